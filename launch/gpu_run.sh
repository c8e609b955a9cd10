#!/usr/bin/env bash
# Runs a fewvid command on GPU nodes: as a Slurm job, or on hosts that ssh reaches; `--help` tells how.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=pod/say.sh
source "$root/launch/pod/say.sh"
# shellcheck source=pod/bundle.sh
source "$root/launch/pod/bundle.sh"
# shellcheck source=pod/fleet.sh
source "$root/launch/pod/fleet.sh"
# shellcheck source=pod/ssh.sh
source "$root/launch/pod/ssh.sh"
# shellcheck source=pod/slurm.sh
source "$root/launch/pod/slurm.sh"

usage() {
    cat <<'USAGE'
usage: launch/gpu_run.sh [start] --hosts A,B [flags] -- COMMAND...
       launch/gpu_run.sh [start] --slurm --nodes N --gpus G [flags] -- COMMAND...
       launch/gpu_run.sh status | logs | stop | delete --hosts A,B | --slurm [flags]

Runs `python -m fewvid COMMAND...` on every host: one process a host on plain ssh hosts, one process
a GPU on Slurm. The working tree is sent as it is now, with its uncommitted changes and without what
git ignores; requirements are installed once for each hash of them; the run starts detached. The same
command again resumes it.

  launch/gpu_run.sh --hosts ann@node1,ann@node2 --env WANDB_API_KEY --retries 3 \
      -- train --config configs/s3_iv.py:shapes --workdir /shared/runs/one
  launch/gpu_run.sh --slurm --nodes 2 --gpus 8 --sbatch=--partition=a100 --sbatch=--time=12:00:00 \
      --retries 5 -- train --config configs/s3_iv.py:shapes --workdir /shared/runs/one
  launch/gpu_run.sh logs --slurm --lines 50
  DRY_RUN=1 launch/gpu_run.sh ...       prints every command and executes none

  --env NAME              passes this variable on, such as HF_TOKEN; never shown; repeatable
  --retries N             starts again up to N times when the run dies (ssh: stays and watches)
  --lines N, --follow     of logs: how many lines (default 20), go on
  --jax EXTRA             what jax needs there (default cuda13)
 ssh:
  --hosts A,B             where; the first one is the coordinator
  --coordinator ADDRESS   under which the others reach it (default: its name)
  --port N                on which it listens (default 8476)
  --dir FOLDER            the run's folder, on a disk of each host's own (default fewvid-run, in home)
  --poll, --grace SECONDS between two looks (30); from SIGTERM to SIGKILL (120)
  --worker I              of logs: one host
 Slurm:
  --nodes N, --gpus G     nodes, and GPUs of each;  --sbatch=FLAG  handed to sbatch; repeatable
  --name NAME             of the job (default fewvid)
  --dir FOLDER            the run's folder, seen by all nodes (default fewvid-run/NAME in home)

Exit codes: 0 done, 1 a machine failed, 2 a mistake in the command.
No real cluster has run this yet; its tests play ssh and Slurm.
USAGE
}

action=start slurm='' list='' coordinator='' port=8476 nodes='' gpus='' name=fewvid queue_flags=()
names=() retries=0 poll=30 grace=120 folder='' worker=all lines=20 follow='' arguments=() extra='jax[cuda13]'
machines=() processes=''

case ${1:-} in start | status | logs | stop | delete) action=$1 && shift ;; esac
while [ $# -gt 0 ]; do
    flag=$1
    case $flag in --*=*) set -- "${flag%%=*}" "${flag#*=}" "${@:2}" && flag=$1 ;; esac
    case $flag in
        -h | --help) usage && exit 0 ;;
        --slurm) slurm=yes && shift && continue ;;
        --follow) follow=follow && shift && continue ;;
        --) shift && arguments=("$@") && break ;;
        --hosts | --coordinator | --port | --nodes | --gpus | --name | --sbatch | --jax) ;;
        --env | --retries | --poll | --grace | --dir | --worker | --lines) ;;
        *) fail "got '$flag', wanted a flag of launch/gpu_run.sh --help, or -- before the fewvid command" ;;
    esac
    [ $# -ge 2 ] || fail "$flag needs a value"
    case $flag in
        --hosts) list=$2 ;;
        --coordinator) plain_word "$flag" "$2" && coordinator=$2 ;;
        --port) whole_number "$flag" "$2" 1 && port=$2 ;;
        --nodes) whole_number "$flag" "$2" 1 && nodes=$2 ;;
        --gpus) whole_number "$flag" "$2" 1 && gpus=$2 ;;
        --name) plain_word "$flag" "$2" && name=$2 ;;
        --sbatch) queue_flags+=("$2") ;;
        --jax) plain_word "$flag" "$2" && extra="jax[$2]" ;;
        --dir) plain_word "$flag" "$2" && folder=$2 ;;
        --env) set_names "$flag" "$2" ;;
        --retries) whole_number "$flag" "$2" 0 && retries=$2 ;;
        --poll) whole_number "$flag" "$2" 0 && poll=$2 ;;
        --grace) whole_number "$flag" "$2" 0 && grace=$2 ;;
        --worker) whole_number "$flag" "$2" 0 && worker=$2 ;;
        --lines) whole_number "$flag" "$2" 0 && lines=$2 ;;
    esac
    shift 2
done
[ -n "$slurm$list" ] || fail "--hosts or --slurm is missing: where to run"
[ -z "$slurm" ] || [ -z "$list" ] || fail "got both --slurm and --hosts, wanted one of them"
if [ "$action" = start ]; then
    [ ${#arguments[@]} -gt 0 ] || fail "nothing after --: give the fewvid command, such as -- train --config F --workdir D"
    if [ -n "$slurm" ] && { [ -z "$nodes" ] || [ -z "$gpus" ]; }; then
        fail "--nodes or --gpus is missing: how many nodes, and how many GPUs each has"
    fi
else
    [ ${#arguments[@]} -eq 0 ] || fail "$action takes no command after --"
fi
if [ -n "$list" ]; then
    ssh_hosts "$list"
    folder=${folder:-fewvid-run}
    [ "$worker" = all ] || [ "$worker" -lt "$hosts" ] || fail "--worker got $worker, there are hosts 0 to $((hosts - 1))"
else
    folder=${folder:-$HOME/fewvid-run/$name}
    case $folder in /*) ;; *) folder=$PWD/$folder ;; esac
fi

bundle=/tmp/fewvid-bundle # as a dry run shows it
if ! dry; then
    needs git tar gzip
    bundle=$(mktemp -d)
    trap 'rm -rf "$bundle"' EXIT
fi

over_ssh() {
    dry || needs ssh scp
    case $action in
        start)
            launch
            [ "$retries" -eq 0 ] || keep_going "$retries"
            ;;
        status) asked "$(remote state)" "asking for the state" ;;
        logs)
            if [ -n "$follow" ] && [ "$worker" = all ]; then worker=0; fi
            on_all "$(remote logs "$lines" $follow)"
            ;;
        stop) halt ;;
        delete)
            halt >/dev/null
            asked "$(remote delete)" deleting
            ;;
    esac
}
again() { launch; }

over_slurm() {
    dry || needs sbatch squeue scancel
    case $action in
        start) submit ;;
        status) job_status ;;
        logs) job_logs ;;
        stop) stop_job ;;
        delete) delete_job ;;
    esac
}

if [ -n "$slurm" ]; then over_slurm; else over_ssh; fi
