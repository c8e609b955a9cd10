#!/usr/bin/env bash
# The job that gpu_run.sh queues: `slurm_job.sh FOLDER RETRIES`. One log a process; ends with the
# code of the run, and asks Slurm to queue it again where another try may help.
set -euo pipefail
folder=$1 retries=$2 code=0 arguments=()
# shellcheck source=/dev/null
source "$folder/run.arguments"
venv=venv-$(sha256sum "$folder/inbox/wanted.txt" | cut -c1-12)
printf '\n== %s job %s, commit %s\n' "$(date -u +%FT%TZ)" "${SLURM_JOB_ID:-}" "$(paste -sd' ' "$folder/tree/COMMIT")"
cd "$folder/tree"
export PYTHONUNBUFFERED=1
srun --export=ALL --kill-on-bad-exit=1 --open-mode=append "--output=$folder/logs/process-%t.log" \
    "$folder/$venv/bin/python" -m fewvid "${arguments[@]}" || code=$?
printf '== ended with code %s\n' "$code"
case $code in
    0 | 2) ;; # done, or a mistake that another try does not mend
    *)
        if [ "${SLURM_RESTART_COUNT:-0}" -lt "$retries" ] && [ ! -e "$folder/stopped" ]; then
            scontrol requeue "$SLURM_JOB_ID"
        fi
        ;;
esac
exit "$code"
