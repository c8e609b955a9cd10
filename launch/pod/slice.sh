# shellcheck shell=bash disable=SC2154 # the launcher sets what it reads
# A TPU slice: what state it is in, and what to do about it. A slice is a node and the queued
# resource that asked for it, both named $tpu.

on_tpu() { # $1 queued-resources or tpu-vm, $2 verb, then flags
    printf '%s\0' gcloud compute tpus "$1" "$2" "$tpu" "--zone=$zone" ${project:+"--project=$project"} "${@:3}"
}

tpus() { # runs one of these commands; nothing of them reads what the launcher reads
    local command=()
    while IFS= read -r -d '' word; do command+=("$word"); done < <(on_tpu "$@")
    run "${command[@]}" </dev/null
}

described() { # prints the fields of $2 of the resource $1, or MISSING; stops where gcloud refuses
    local said errors
    errors=$(mktemp)
    if said=$(tpus "$1" describe "--format=value($2)" 2>"$errors"); then
        printf '%s\n' "$said"
    elif grep -q NOT_FOUND "$errors"; then
        echo MISSING
    else
        said=$(grep . "$errors" | head -n 1)
        rm -f "$errors"
        broken "gcloud could not describe $tpu in $zone: ${said:-it said nothing}"
    fi
    rm -f "$errors"
}

look() { # sets node, queue (their states) and, where there is a node, type_there and hosts
    local fields count
    fields=$(described tpu-vm 'state,acceleratorType,networkEndpoints.len()') || return
    IFS=$'\t ' read -r node type_there count <<<"$fields"
    queue=$(described queued-resources state.state) || return
    [ "$node" != READY ] || [[ $count =~ ^[1-9][0-9]*$ ]] ||
        broken "gcloud says that $tpu is READY, and not how many hosts it has: got '$fields'"
    hosts=${count:-$hosts}
}

verdict() { # of the two states: ready, missing, lost (to be made again), wait, or odd
    case $queue/$node in
        FAILED/* | SUSPENDED/* | */PREEMPTED | */TERMINATED) echo lost ;;
        DELETING/* | SUSPENDING/* | */DELETING) echo wait ;;
        ACTIVE/READY | MISSING/READY) echo ready ;;
        MISSING/MISSING) echo missing ;;
        ACTIVE/MISSING) echo lost ;;
        */STOPPED | */STOPPING | */HIDDEN | */HIDING) echo odd ;;
        *) echo wait ;;
    esac
}

create_slice() {
    tpus queued-resources create "--node-id=$tpu" "--accelerator-type=$type" "--runtime-version=$runtime" \
        ${spot:+--spot} --quiet || broken "gcloud could not create $tpu ($type in $zone)"
}

delete_slice() { # the queued resource takes its node with it; a node made without one goes alone
    [ "$queue" = MISSING ] || tpus queued-resources delete --force --quiet ||
        broken "gcloud could not delete the queued resource $tpu"
    if [ "$queue" = MISSING ] && [ "$node" != MISSING ]; then
        tpus tpu-vm delete --quiet || broken "gcloud could not delete $tpu"
    fi
}

have_slice() { # returns when the slice is READY, made anew where it had to be
    if dry; then show_slice; return; fi
    local began=$SECONDS said='' now made=''
    while true; do
        look
        [ "$(verdict)" = ready ] || [ $((SECONDS - began)) -le $((wait_minutes * 60)) ] ||
            broken "$tpu was not READY within --wait $wait_minutes minutes: node $node, queue $queue"
        case $(verdict) in
            ready) break ;;
            missing)
                [ -n "$type" ] || fail "there is no slice $tpu in $zone, and no --type to make one of, such as --type v5litepod-16"
                say "creates $tpu ($type${spot:+, spot})"
                create_slice
                made=yes
                ;;
            lost)
                [ -n "$type" ] || fail "the slice $tpu is ${queue}/${node}; give --type to make it again"
                # a request that failed at once will fail again: no quota, no such type in this zone
                [ -z "$made" ] || [ "$queue" != FAILED ] ||
                    broken "the request for $tpu ($type in $zone) FAILED; gcloud compute tpus queued-resources describe tells why"
                say "deletes $tpu, which is $(worst), and creates it again"
                delete_slice
                ;;
            odd) fail "the slice $tpu is $node: start it with gcloud compute tpus tpu-vm start, or delete it" ;;
            wait)
                now="waits for $tpu: node $node, queue $queue"
                [ "$now" = "$said" ] || say "$now"
                said=$now
                sleep "$poll"
                ;;
        esac
    done
    [ -z "$type" ] || [ "$type" = "$type_there" ] ||
        fail "the slice $tpu is a $type_there, --type is $type; give another --tpu, or delete it first"
    say "uses $tpu ($type_there, $hosts hosts), which is READY"
}

worst() { case $queue in MISSING | ACTIVE) echo "$node" ;; *) echo "$queue" ;; esac; }

show_slice() { # the same with DRY_RUN=1: the state is not asked for, so every branch is shown
    described tpu-vm 'state,acceleratorType,networkEndpoints.len()'
    described queued-resources state.state
    note "READY: used as it is. PREEMPTED, SUSPENDED or FAILED: deleted first"
    tpus queued-resources delete --force --quiet
    note "then, or where there is none: created, and asked for its state until it is READY"
    if [ -n "$type" ]; then create_slice; else note "(needs --type)"; fi
}
