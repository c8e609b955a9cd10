#!/usr/bin/env bash
# From an image model to a video model on this machine, in a few minutes:
#   bash launch/demo.sh [what `python -m fewvid demo --help` lists]
# Makes .venv and installs what is needed if that has not been done.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/launch/install.sh"
exec "$root/.venv/bin/python" -m fewvid demo "$@"
