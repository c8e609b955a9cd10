#!/usr/bin/env bash
# From an image model to a video model on this machine, in a few minutes:
#   bash launch/demo.sh [what `python -m fewvid demo --help` lists]
# Makes .venv and installs what is needed if that has not been done.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/launch/install.sh"
# XLA takes its buffers anew at each step, which is quicker in large pages of memory: they take a
# third off a step (glibc on Linux; elsewhere this is not read).
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
exec "$root/.venv/bin/python" -m fewvid demo "$@"
