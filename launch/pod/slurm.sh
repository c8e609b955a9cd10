# shellcheck shell=bash disable=SC2154 # the launcher sets what it reads
# A run as a Slurm job. $folder is on a file system that all nodes see; on_host.sh installs there,
# sbatch queues slurm_job.sh, and that starts one process a GPU with srun. Secrets stay in the
# environment, which sbatch and srun hand on. Reads: name, nodes, gpus, queue_flags (array), retries.

job_now() { # "ID STATE" of this run's job, or nothing
    [ -s "$folder/job" ] || return 0
    squeue --noheader "--jobs=$(cat "$folder/job")" --format='%i %T' 2>/dev/null || true
}

submit() {
    local job same
    if dry; then
        make_bundle
        printf '+ cp tree.tgz wanted.txt arguments on_host.sh %s/inbox/\n' "$folder"
        show bash "$folder/on_host.sh" install
        queue_job
        return
    fi
    make_bundle
    job=$(job_now)
    if [ -n "$job" ]; then
        same=$(cmp -s "$bundle/arguments" "$folder/run.arguments" && echo yes || true)
        [ -n "$same" ] || fail "another run is in $folder (job $job); wait for it, end it with stop, or give another --name"
        say "this run is there already: job $job; nothing was sent"
        return
    fi
    (umask 077 && mkdir -p "$folder/inbox" "$folder/logs")
    cp "$bundle/tree.tgz" "$bundle/wanted.txt" "$bundle/arguments" "$folder/inbox/"
    mv "$bundle/on_host.sh" "$folder/on_host.sh"
    bash "$folder/on_host.sh" install >"$bundle/said" ||
        broken "installing failed: $(cut -d' ' -f4- "$bundle/said"); all of it is in install.log in the run's folder"
    cp "$bundle/arguments" "$folder/run.arguments"
    rm -f "$folder/stopped"
    queue_job >"$folder/job" || { rm -f "$folder/job" && broken "sbatch refused the job"; }
    say "queued as job $(cat "$folder/job")"
}

queue_job() { # prints the job's id
    # SIGTERM two minutes before the time is up, so that training saves a checkpoint
    run sbatch --parsable "--job-name=$name" "--nodes=$nodes" "--ntasks-per-node=$gpus" "--gpus-per-node=$gpus" \
        --requeue --open-mode=append --signal=TERM@120 --export=ALL "--output=$folder/logs/job.log" \
        ${queue_flags[@]+"${queue_flags[@]}"} "$folder/tree/launch/pod/slurm_job.sh" "$folder" "$retries"
}

job_status() {
    local job
    if dry; then show squeue --noheader "--jobs=JOB" '--format=%i %T'; return; fi
    [ -s "$folder/job" ] || { say "no job was queued as $name"; return; }
    job=$(job_now)
    [ -n "$job" ] || job=$(sacct -X --noheader "--jobs=$(cat "$folder/job")" --format=JobID,State,ExitCode | tail -n 1)
    say "job $job"
}

job_logs() {
    if [ -n "$follow" ]; then run tail -n "$lines" -F "$folder"/logs/*.log; else run tail -n "$lines" "$folder"/logs/*.log; fi
}

stop_job() { # a job that runs gets SIGTERM and saves; one that waits is taken out of the queue
    local job
    if dry; then show scancel --signal=TERM JOB; return; fi
    job=$(job_now)
    [ -n "$job" ] || { say "no job of $name is running"; return; }
    touch "$folder/stopped" # the job does not try again
    if [[ $job == *RUNNING* ]]; then scancel --signal=TERM "${job%% *}"; else scancel "${job%% *}"; fi
    say "stopped job ${job%% *}"
}

delete_job() {
    if dry; then show scancel JOB; show bash "$folder/on_host.sh" delete; return; fi
    [ -e "$folder/on_host.sh" ] || { say "there is no run in the folder of $name"; return; }
    local job
    job=$(job_now)
    [ -z "$job" ] || { touch "$folder/stopped" && scancel "${job%% *}"; }
    bash "$folder/on_host.sh" delete >/dev/null
    say "deleted the run $name: its code, environment and logs; its --workdir is left"
}
