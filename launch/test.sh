#!/usr/bin/env bash
# The style, the types and the tests of this checkout:
#   bash launch/test.sh [what pytest takes, such as -k name or -n 2]
# Makes .venv and installs what is needed if that has not been done.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash launch/install.sh dev
python=.venv/bin/python

heading() { printf '\n== %s\n' "$1"; }

heading "ruff check"
$python -m ruff check .
heading "ruff format --check"
$python -m ruff format --check .
heading "pyright"
PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $python -m pyright --pythonpath $python
heading "pytest"
exec $python -m pytest -q "$@"
