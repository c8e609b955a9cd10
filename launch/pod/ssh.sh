# shellcheck shell=bash disable=SC2034,SC2154 # the launcher sets what it reads
# Plain hosts that ssh reaches without a password. Reads: machines (array), port, coordinator, worker.

secure=(-o BatchMode=yes -o ConnectTimeout=20) # asks nothing: a prompt would wait for ever

ssh_hosts() { # $1, the value of --hosts: sets machines, hosts and processes
    local machine
    IFS=, read -r -a machines <<<"$1"
    [ ${#machines[@]} -gt 0 ] || fail "--hosts got '', wanted names with commas between them, such as a,b"
    for machine in "${machines[@]}"; do
        [[ $machine =~ ^[A-Za-z0-9_][A-Za-z0-9_.@-]*$ ]] ||
            fail "--hosts got '$1', wanted names (NAME or USER@NAME) with commas between them"
    done
    [ -z "$(printf '%s\n' "${machines[@]}" | sort | uniq -d)" ] || fail "--hosts got '$1', which names a host twice"
    hosts=${#machines[@]}
    # what fewvid/parallel/processes.py reads; @INDEX@ is filled in for each host
    processes="env FEWVID_COORDINATOR=${coordinator:-${machines[0]#*@}}:$port FEWVID_PROCESSES=$hosts FEWVID_PROCESS_ID=@INDEX@"
}

on_all() { # at the same time; what each printed comes out whole, in the order of the hosts
    local index chosen=() waiting=() failed=0 at=0 out
    if [ "$worker" = all ]; then chosen=("${!machines[@]}"); else chosen=("$worker"); fi
    if dry || [ ${#chosen[@]} = 1 ]; then
        for index in "${chosen[@]}"; do
            run ssh -n "${secure[@]}" "${machines[$index]}" "${1//@INDEX@/$index}"
        done
        return
    fi
    out=$(mktemp -d "$bundle/out.XXXXXX")
    for index in "${chosen[@]}"; do
        ssh -n "${secure[@]}" "${machines[$index]}" "${1//@INDEX@/$index}" >"$out/$index" &
        waiting+=("$!")
    done
    for index in "${chosen[@]}"; do
        wait "${waiting[$at]}" || failed=$?
        at=$((at + 1))
        cat "$out/$index"
    done
    return "$failed"
}

send() {
    local machine
    for machine in "${machines[@]}"; do
        run scp -q "${secure[@]}" "$@" "$machine:$folder/inbox/" || return
    done
}
