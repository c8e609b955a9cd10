#!/usr/bin/env bash
# What a launcher does on a host; it is sent there and lies in the run's folder, which holds
#   inbox/      what came last: tree.tgz, wanted.txt, arguments, secrets (removed once read)
#   tree/       the code; COMMIT names its commit
#   venv-HASH/  one environment for each hash of wanted.txt
#   run.log     this host's log, of all starts;  run.pid, run.code, run.stopped: the process, its end
# Prints one line, `host NAME STATE`, for the launcher to read. The state is idle, running (and the
# sum of its arguments), ended CODE, installed, failed, stopped or deleted.
#   bash on_host.sh state | install | start | stop SECONDS | logs LINES [follow] | delete
set -euo pipefail
base=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$base"

answer() { printf 'host %s %s\n' "$(hostname)" "$*"; }
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; }
hash_of() { sha256sum "$1" | cut -c1-12; }

alive() { # the process of run.pid is there and is ours: ids are used again after a restart
    [ -s run.pid ] && [ ! -e run.code ] && ps -o args= -p "$(cat run.pid)" 2>/dev/null | grep -q -- '-m fewvid'
}

state() {
    if ! alive && [ -e run.pid ] && [ ! -s run.code ]; then sleep 1; fi # between its end and run.code
    if alive; then
        answer running "$(cksum <run.arguments | cut -d' ' -f1)"
    elif [ -e run.stopped ]; then
        answer ended stopped # by stop: nobody starts it again
    elif [ -s run.code ]; then
        answer ended "$(cat run.code)"
    elif [ -e run.pid ]; then
        answer ended lost # the machine restarted under it
    else
        answer idle
    fi
}

make_venv() { # TPU images come with an older Python: uv brings one
    local python
    for python in python3.12 python3.11 python3; do
        if supported "$python" && "$python" -c 'import ensurepip, venv' 2>/dev/null; then
            "$python" -m venv "$1"
            return
        fi
    done
    python3 -m pip install --user --quiet uv && python3 -m uv venv --seed --python 3.12 "$1"
}

install() {
    rm -rf tree.new
    mkdir tree.new
    tar -xzf inbox/tree.tgz -C tree.new
    rm -rf tree
    mv tree.new tree
    local venv
    venv=venv-$(hash_of inbox/wanted.txt)
    if [ -e "$venv/.installed" ]; then
        answer installed already
        return
    fi
    rm -rf "$venv" # one that an interruption left half-filled
    if make_venv "$venv" >install.log 2>&1 &&
        "$venv/bin/python" -m pip install --disable-pip-version-check --no-input \
            -r inbox/wanted.txt >>install.log 2>&1; then
        touch "$venv/.installed"
        answer installed
    else
        answer failed "$({ grep -iE '^ *error' install.log || cat install.log; } | tail -n 1 | cut -c1-200)"
        return 1
    fi
}

start() {
    if alive; then
        answer running already
        return
    fi
    cp inbox/arguments run.arguments
    rm -f run.pid run.code run.stopped
    if [ -e inbox/secrets ]; then
        # shellcheck source=/dev/null
        source inbox/secrets
        rm -f inbox/secrets
    fi
    # of a session of its own, with no terminal: it outlives this connection
    setsid bash "$base/on_host.sh" supervise "venv-$(hash_of inbox/wanted.txt)" </dev/null >/dev/null 2>&1 &
    local tries
    for tries in $(seq 200); do
        [ ! -s run.pid ] || break
        sleep 0.05
    done
    if [ -s run.pid ]; then answer running; else answer failed "nothing had started after $tries looks"; fi
}

supervise() { # in the background: runs it, and keeps how it ended
    local code=0 arguments=()
    # shellcheck source=/dev/null
    source run.arguments
    printf '\n== %s host %s, commit %s\n' "$(date -u +%FT%TZ)" "$(hostname)" "$(paste -sd' ' tree/COMMIT)" >>run.log
    cd tree
    PYTHONUNBUFFERED=1 "$base/$1/bin/python" -m fewvid "${arguments[@]}" >>../run.log 2>&1 &
    echo "$!" >../run.pid
    wait "$!" || code=$?
    echo "$code" >../run.code
}

stop() { # SIGTERM first: training saves a checkpoint; after $1 seconds SIGKILL
    local waited=0
    if alive; then
        touch run.stopped
        kill -TERM "$(cat run.pid)" 2>/dev/null || true
        while alive && [ "$waited" -lt "$(($1 * 5))" ]; do
            sleep 0.2
            waited=$((waited + 1))
        done
        ! alive || kill -KILL "$(cat run.pid)" 2>/dev/null || true
    fi
    answer stopped
}

logs() {
    [ -e run.log ] || { answer "has no log yet"; return; }
    printf '==> %s\n' "$(hostname)"
    if [ "${2:-}" = follow ]; then exec tail -n "$1" -F run.log; else tail -n "$1" run.log; fi
}

delete() { # what a launcher has put here, and the folder if that leaves nothing in it
    rm -rf inbox tree tree.new venv-* logs job stopped run.* install.log on_host.sh
    cd / && rmdir "$base" 2>/dev/null || true
    answer deleted
}

case ${1:-} in
    state | install | start | delete) "$1" ;;
    supervise | stop | logs) "$@" ;;
    *) printf 'fewvid: error: on_host.sh got %q\n' "${1:-}" >&2; exit 2 ;;
esac
