#!/usr/bin/env bash
# Runs a fewvid command on every host of a Cloud TPU slice; `--help` tells how.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=pod/say.sh
source "$root/launch/pod/say.sh"
# shellcheck source=pod/bundle.sh
source "$root/launch/pod/bundle.sh"
# shellcheck source=pod/fleet.sh
source "$root/launch/pod/fleet.sh"
# shellcheck source=pod/slice.sh
source "$root/launch/pod/slice.sh"

usage() {
    cat <<'USAGE'
usage: launch/tpu_run.sh [start] --tpu NAME --zone Z [--project P] [flags] -- COMMAND...
       launch/tpu_run.sh status | logs | stop | delete --tpu NAME --zone Z [--project P] [flags]

Runs `python -m fewvid COMMAND...` on every host of a TPU slice. A slice that is READY is used; where
there is none it is created (--type); one that was PREEMPTED, SUSPENDED or FAILED is deleted and
created again. The working tree is sent as it is now, with its uncommitted changes and without what
git ignores; requirements are installed once for each hash of them; the run starts detached, with one
log a host. The same command again resumes it.

  launch/tpu_run.sh --tpu mine --zone us-west4-a --project P --type v5litepod-16 --spot --retries 20 \
      --env WANDB_API_KEY -- train --config configs/s3_iv.py:shapes --workdir gs://bucket/run
  launch/tpu_run.sh logs --tpu mine --zone us-west4-a --project P --follow
  DRY_RUN=1 launch/tpu_run.sh ...       prints every command and executes none

  --tpu NAME, --zone Z    the slice;  --project P  (default: gcloud's own)
  --type T                what to create, such as v5litepod-256
  --slices N              so many of them, joined by the data-centre network (default 1), named
                          NAME-0, NAME-1 and so on; train with --config.mesh.slice=N
  --runtime V             its software (default: by the type)
  --spot                  cheap, and may be taken away
  --wait MINUTES          how long it may stay in the queue (default 1440)
  --env NAME              passes this variable on, such as HF_TOKEN; never shown; repeatable
  --retries N             stays, watches, and starts again up to N times when the run or the slice dies
  --poll SECONDS          between two looks (default 30)
  --grace SECONDS         for a checkpoint, between SIGTERM and SIGKILL (default 120)
  --dir FOLDER            the run's folder on a host (default fewvid-run, in the home directory)
  --worker I, --lines N, --follow      of logs: one host, how many lines (default 20), go on

Exit codes: 0 done, 1 a machine or gcloud failed, 2 a mistake in the command.
No real TPU slice has run this yet; its tests play gcloud and every state of a slice.
USAGE
}

action=start tpu='' zone='' project='' type='' runtime='' spot='' wait_minutes=1440 slices=1 only=''
names=() retries=0 poll=30 grace=120 folder=fewvid-run worker=all lines=20 follow='' arguments=()
hosts=0 type_there='' about_node='state,acceleratorType,networkEndpoints.len()'
extra='jax[tpu]'         # what the requirements need on these hosts
processes='env FEWVID_PROCESSES=auto' # JAX finds the other hosts of a slice by itself

case ${1:-} in start | status | logs | stop | delete) action=$1 && shift ;; esac
while [ $# -gt 0 ]; do
    flag=$1
    case $flag in --*=*) set -- "${flag%%=*}" "${flag#*=}" "${@:2}" && flag=$1 ;; esac
    case $flag in
        -h | --help) usage && exit 0 ;;
        --spot) spot=yes && shift && continue ;;
        --follow) follow=follow && shift && continue ;;
        --) shift && arguments=("$@") && break ;;
        --tpu | --zone | --project | --type | --runtime | --wait | --env | --retries | --poll | --grace | --dir | --worker | --lines | --slices) ;;
        *) fail "got '$flag', wanted a flag of launch/tpu_run.sh --help, or -- before the fewvid command" ;;
    esac
    [ $# -ge 2 ] || fail "$flag needs a value"
    case $flag in
        --tpu) plain_word "$flag" "$2" && tpu=$2 ;;
        --zone) plain_word "$flag" "$2" && zone=$2 ;;
        --project) [[ $2 =~ ^[a-z0-9.:-]+$ ]] || fail "--project got '$2', wanted a project id" && project=$2 ;;
        --type) plain_word "$flag" "$2" && type=$2 ;;
        --runtime) plain_word "$flag" "$2" && runtime=$2 ;;
        --dir) plain_word "$flag" "$2" && folder=$2 ;;
        --env) set_names "$flag" "$2" ;;
        --wait) whole_number "$flag" "$2" 1 && wait_minutes=$2 ;;
        --retries) whole_number "$flag" "$2" 0 && retries=$2 ;;
        --poll) whole_number "$flag" "$2" 0 && poll=$2 ;;
        --grace) whole_number "$flag" "$2" 0 && grace=$2 ;;
        --worker) whole_number "$flag" "$2" 0 && worker=$2 ;;
        --slices) whole_number "$flag" "$2" 1 && slices=$2 ;;
        --lines) whole_number "$flag" "$2" 0 && lines=$2 ;;
    esac
    shift 2
done
[ -n "$tpu" ] || fail "--tpu is missing: the name of the slice"
[ -n "$zone" ] || fail "--zone is missing: where the slice is, such as us-west4-a"
if [ "$action" = start ]; then
    [ ${#arguments[@]} -gt 0 ] || fail "nothing after --: give the fewvid command, such as -- train --config F --workdir D"
else
    [ ${#arguments[@]} -eq 0 ] || fail "$action takes no command after --"
fi
if [ -n "$type" ] && [ -z "$runtime" ]; then
    case $type in
        v2-* | v3-* | v4-*) runtime='tpu-ubuntu2204-base' ;;
        v5litepod-*) runtime=v2-alpha-tpuv5-lite ;;
        v5p-*) runtime=v2-alpha-tpuv5 ;;
        v6e-*) runtime=v2-alpha-tpuv6e ;;
        *) fail "--type got '$type', which has no known software; name it with --runtime" ;;
    esac
fi

on_all() { each_slice tpus tpu-vm ssh "--worker=$worker" --quiet "--command=$1"; }
send() { each_slice send_one "$@"; }
send_one() {
    run gcloud compute tpus tpu-vm scp "$@" "$member:$folder/inbox/" \
        "--zone=$zone" ${project:+"--project=$project"} --worker=all --quiet </dev/null
}
gone() {
    look || return
    [ "$(verdict)" != ready ]
}
again() {
    have_slice
    launch
}

ready() { # for all but start: the slice has to be there
    if dry; then return; fi
    look
    [ "$(verdict)" = ready ] || broken "$tpu is not READY: node $node, queue $queue"
}

bundle=/tmp/fewvid-bundle # as a dry run shows it
if ! dry; then
    needs gcloud git tar gzip
    bundle=$(mktemp -d)
    trap 'rm -rf "$bundle"' EXIT
fi
case $action in
    start)
        again
        [ "$retries" -eq 0 ] || keep_going "$retries"
        ;;
    status)
        ready
        dry || say "$tpu is READY ($(of_slices "$type_there"), $hosts hosts)"
        asked "$(remote state)" "asking for the state"
        ;;
    logs)
        ready
        if [ -n "$follow" ] && [ "$worker" = all ]; then worker=0; fi
        if [ "$slices" -gt 1 ] && [ "$worker" != all ] && ! dry; then # hosts are counted through
            [ "$worker" -lt "$hosts" ] || fail "--worker is $worker, and $tpu has $hosts hosts, from 0"
            only=$tpu-$((worker / (hosts / slices))) worker=$((worker % (hosts / slices)))
        fi
        on_all "$(remote logs "$lines" $follow)"
        ;;
    stop)
        ready
        halt
        ;;
    delete)
        if dry; then queue='?' node='?'; else look; fi
        if [ "$queue/$node" = MISSING/MISSING ]; then
            say "there is no $tpu in $zone"
        else
            delete_slice
            dry || say "deleted $tpu"
        fi
        ;;
esac
