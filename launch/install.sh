#!/usr/bin/env bash
# Makes .venv in the checkout and installs fewvid into it; at once when that is already done.
#   bash launch/install.sh [dev]     dev: also what the tests need
# PYTHON=/path/to/python chooses the interpreter of a new .venv; otherwise 3.12, then 3.11.
# demo.sh and test.sh call this. A .venv of your own that works is installed into, never removed;
# one that this script was still filling when it was interrupted is made again.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=$root/.venv
stamp=$venv/.fewvid-installed       # what was installed here, word for word
making=$venv/.fewvid-making         # there while this script makes and fills .venv
log=$venv/install.log

fail() { printf 'fewvid: error: %s\n' "$1" >&2; exit 1; }
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }

find_python() { # prints the interpreter to use; one that is there may be another version, or a stub
    local python
    for python in ${PYTHON:+"$PYTHON"} python3.12 python3.11 python3 python; do
        if supported "$python"; then
            "$python" -c 'import ensurepip, venv' 2>/dev/null ||
                fail "$python cannot make virtual environments; on Debian and Ubuntu install its package python3.x-venv"
            command -v "$python"
            return
        fi
        [ "$python" != "${PYTHON:-}" ] || fail "PYTHON=$python does not run or is not Python 3.11 or 3.12"
    done
    fail "found no Python 3.12 or 3.11; install one, or name it: PYTHON=/path/to/python3.12 bash launch/demo.sh"
}

wanted() { # prints what an environment of kind $1 is made from
    printf '%s %s\n' "$1" "$root"
    cat "$root/pyproject.toml" "$root/requirements.txt"
    [ "$1" != dev ] || cat "$root/requirements-dev.txt"
}

kind=${1:-run}
case $kind in run | dev) ;; *) fail "install.sh got '$kind', wanted nothing or dev" ;; esac

# two starts at the same time (a demo and the tests) take turns
if command -v flock >/dev/null; then
    exec 9>"$root/.venv.lock"
    flock -n 9 || { echo "fewvid: waiting for another installation of this checkout"; flock 9; }
fi

for have in "$kind" dev; do
    if [ -f "$stamp-$have" ] && [ "$(cat "$stamp-$have")" = "$(wanted "$have")" ] && supported "$venv/bin/python"; then
        exit 0
    fi
done

if [ -e "$making" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
    python=$(find_python)
    echo "fewvid: making .venv with $("$python" --version)"
    mkdir -p "$venv" && touch "$making"
    find "$venv/" -mindepth 1 -maxdepth 1 ! -name "${making##*/}" -exec rm -rf {} +
    "$python" -m venv "$venv"
elif ! supported "$venv/bin/python"; then
    fail ".venv holds $("$venv/bin/python" --version), wanted Python 3.11 or 3.12; move it away and start again"
fi
"$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null

requirements="requirements.txt"
[ "$kind" != dev ] || requirements="requirements-dev.txt"
echo "fewvid: installing $requirements into .venv, about 1.3 GB; 1 to 3 minutes the first time"
# compat: the checkout goes on the path by a plain .pth file. The default, an import hook, loses to
# a folder named fewvid in the current directory, which is what a fresh clone is seen from outside.
if ! (cd "$root" && "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
    -r "$requirements" -e . --config-settings editable_mode=compat) >"$log" 2>&1; then
    grep -E '^ *(ERROR|error)' "$log" | tail -n 5 >&2 || tail -n 5 "$log" >&2
    fail "the installation failed; all of its output is in $log"
fi
wanted "$kind" >"$stamp-$kind"
rm -f "$making"
