# shellcheck shell=bash disable=SC2154 # the launcher sets what it reads
# A TPU slice: what state it is in, and what to do about it. A slice is a node and the queued
# resource that asked for it, both named $tpu; of several slices ($slices) one queued resource asks
# for all nodes, which are named $tpu-0, $tpu-1 and so on.

members() { # the names of the nodes
    local at
    if [ "$slices" = 1 ]; then echo "$tpu"; return; fi
    for ((at = 0; at < slices; at++)); do echo "$tpu-$at"; done
}

each_slice() { # runs "$@" for every node ($member), or for $only, side by side; prints in their order
    local member at failed=0 jobs=()
    if dry || [ "$slices" = 1 ] || [ -n "$only" ]; then
        for member in ${only:-$(members)}; do "$@" || failed=1; done
        return "$failed"
    fi
    for member in $(members); do
        "$@" >"$bundle/said-$member" &
        jobs+=($!)
    done
    for at in "${jobs[@]}"; do wait "$at" || failed=1; done
    for member in $(members); do cat "$bundle/said-$member"; done
    return "$failed"
}

on_tpu() { # $1 queued-resources or tpu-vm, $2 verb, then flags
    local name=$tpu
    [ "$1" != tpu-vm ] || name=${member:-$tpu}
    printf '%s\0' gcloud compute tpus "$1" "$2" "$name" "--zone=$zone" ${project:+"--project=$project"} "${@:3}"
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
        broken "gcloud could not describe ${member:-$tpu} in $zone: ${said:-it said nothing}"
    fi
    rm -f "$errors"
}

look() { # sets node, queue (their states) and, where there is a node, type_there and hosts
    local fields state kind count member all=0
    node='' absent=''
    for member in $(members); do
        fields=$(described tpu-vm "$about_node") || return
        IFS=$'\t ' read -r state kind count <<<"$fields"
        [ "$state" != READY ] || [[ $count =~ ^[1-9][0-9]*$ ]] ||
            broken "gcloud says that $member is READY, and not how many hosts it has: got '$fields'"
        [ "$state" != MISSING ] || absent+=" $member"
        node=$(of_both "$node" "$state")
        type_there=${kind:-$type_there}
        all=$((all + ${count:-0}))
    done
    queue=$(described queued-resources state.state) || return
    [ "$all" = 0 ] || hosts=$all
}

of_both() { # what two nodes are together: what one of them is that is neither READY nor MISSING
    case $1/$2 in
        /* | "$2/$1") echo "$2" ;;
        */PREEMPTED | */TERMINATED) echo "$2" ;;
        READY/MISSING | MISSING/READY | PARTIAL/READY | PARTIAL/MISSING) echo PARTIAL ;;
        READY/* | MISSING/* | PARTIAL/*) echo "$2" ;;
        *) echo "$1" ;;
    esac
}

verdict() { # of the two states: ready, missing, lost (to be made again), wait, odd, or other
    case $queue/$node in
        FAILED/* | SUSPENDED/* | */PREEMPTED | */TERMINATED) echo lost ;;
        DELETING/* | SUSPENDING/* | */DELETING) echo wait ;;
        ACTIVE/READY | MISSING/READY) echo ready ;;
        MISSING/MISSING) echo missing ;;
        # of several nodes none goes by itself: it is not what is asked for, and may be at work
        ACTIVE/MISSING) if [ "$slices" = 1 ]; then echo lost; else echo other; fi ;;
        ACTIVE/PARTIAL | MISSING/PARTIAL) echo other ;;
        */STOPPED | */STOPPING | */HIDDEN | */HIDING) echo odd ;;
        *) echo wait ;;
    esac
}

create_slice() {
    local nodes=("--node-id=$tpu")
    [ "$slices" = 1 ] || nodes=("--node-count=$slices" "--node-prefix=$tpu")
    tpus queued-resources create "${nodes[@]}" "--accelerator-type=$type" "--runtime-version=$runtime" \
        ${spot:+--spot} --quiet || broken "gcloud could not create $tpu ($type in $zone)"
}

delete_slice() { # the queued resource takes its node with it; a node made without one goes alone
    [ "$queue" = MISSING ] || tpus queued-resources delete --force --quiet ||
        broken "gcloud could not delete the queued resource $tpu"
    if [ "$queue" != MISSING ]; then return; fi
    local member
    for member in $(members); do
        case "$absent " in *" $member "*) continue ;; esac
        tpus tpu-vm delete --quiet || broken "gcloud could not delete $member"
    done
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
                say "creates $tpu ($(of_slices "$type")${spot:+, spot})"
                create_slice
                made=yes
                ;;
            lost)
                [ -n "$type" ] || fail "the slice $tpu is ${queue}/${node}; give --type to make it again"
                # a request that failed at once will fail again: no quota, no such type in this zone
                [ -z "$made" ] || [ "$queue" != FAILED ] ||
                    broken "the request for $tpu ($type in $zone) FAILED; gcloud compute tpus queued-resources describe tells why"
                [ "$queue/$node" != ACTIVE/MISSING ] || [ "$(member=$tpu-0 described tpu-vm "$about_node")" = MISSING ] ||
                    fail "$tpu is of several slices ($tpu-0 and so on); give --slices with their number"
                say "deletes $tpu, which is $(worst), and creates it again"
                delete_slice
                ;;
            other) fail "$tpu has no node$absent, and --slices is $slices: give the number that it has, or delete it first" ;;
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
    [ "$slices" = 1 ] || [ "$(member=$tpu-$slices described tpu-vm "$about_node")" = MISSING ] ||
        fail "$tpu has more slices than --slices $slices: there is a $tpu-$slices"
    say "uses $tpu ($(of_slices "$type_there"), $hosts hosts), which is READY"
}

of_slices() { if [ "$slices" = 1 ]; then echo "$1"; else echo "$slices slices of $1"; fi; }

worst() { case $queue in MISSING | ACTIVE) echo "$node" ;; *) echo "$queue" ;; esac; }

show_slice() { # the same with DRY_RUN=1: the state is not asked for, so every branch is shown
    each_slice described tpu-vm "$about_node"
    described queued-resources state.state
    note "READY: used as it is. PREEMPTED, SUSPENDED or FAILED: deleted first"
    tpus queued-resources delete --force --quiet
    note "then, or where there is none: created, and asked for its state until it is READY"
    if [ -n "$type" ]; then create_slice; else note "(needs --type)"; fi
}
