#!/usr/bin/env bash
# Runs the studies one after the other, all of them or those named:
#   bash launch/studies.sh SIZE OUT [NAME ...]
# SIZE is full (one GPU), laptop (two cores, hours) or tiny (two cores, minutes, meaningless numbers);
# OUT/NAME gets the page of each. They share the image model that they start from and the experiments
# that they have in common. Stopped and started again, it goes on where it was.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ $# -lt 2 ]; then
    sed -n '2,/^set/{/^# /s/^# //p}' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
mkdir -p "$2"
size=$1 out=$(cd "$2" && pwd)
shift 2
cd "$root"
bash launch/install.sh
all=(identity keep samplers strategies amount kind tradeoff content transfer diversity adapter)
export GLIBC_TUNABLES=${GLIBC_TUNABLES:-glibc.malloc.hugetlb=1}
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$out/compiled}
export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=${JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS:-0.3}
for name in "${@:-${all[@]}}"; do
    printf '\n== %s\n' "$name"
    .venv/bin/python -m fewvid study "$name" --config "configs/studies/$name.py:$size" \
        --out "$out/$name" --base "$out/base" --cells "$out/cells"
done
