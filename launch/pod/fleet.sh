# shellcheck shell=bash disable=SC2034,SC2154 # the launcher sets what it reads
# A run on several hosts at once: send, install, start, watch, stop. How a host is reached is told by
# the launcher, in two functions:
#   on_all COMMAND   runs it on every host (or on host $worker alone) and prints what they print
#   send FILE...     copies files into the inbox of every host
# in the number $hosts, and in $processes, what a start needs to know of the others. $folder is the
# run's folder there, from the home directory on.

remote() { # the command that has the hosts do $1, such as state; one that has no run is idle
    local words="bash $folder/on_host.sh $*"
    case $1 in
        install | start) ;;
        *) words="if test -e $folder/on_host.sh; then $words; else echo host \$(hostname) idle; fi" ;;
    esac
    printf '%s' "$words"
}

states() { # one line a host, `NAME STATE ...`; fails where not all of them answer
    local answers
    answers=$(on_all "$1" 2>"$bundle/errors" | sed -n 's/^host //p' | sort) || true
    [ -z "$answers" ] || printf '%s\n' "$answers"
    [ "$(grep -c . <<<"$answers")" = "$hosts" ]
}

asked() { # the same, and stops the launcher where a host is missing; $2 says what was wanted of them
    local found
    if dry; then on_all "$1"; return; fi
    if ! found=$(states "$1"); then
        tail -n 5 "$bundle/errors" >&2
        broken "$2: $(grep -c . <<<"$found") of $hosts hosts answered${found:+ ($(names_of "$found"))}; try again, or look with status"
    fi
    printf '%s\n' "$found"
}

names_of() { cut -d' ' -f1 <<<"$1" | paste -sd' ' -; }
with_state() { grep -E "^[^ ]+ $1" <<<"$2" || true; }

prepare() { # the inbox, which nobody else may read; prints what each host is doing
    local inbox=$folder/inbox
    asked "umask 077; mkdir -p $inbox; chmod 700 $inbox; rm -f $inbox/secrets; $(remote state)" "making $folder"
}

deliver() {
    send "$bundle/tree.tgz" "$bundle/wanted.txt" "$bundle/arguments" "$bundle/on_host.sh" ||
        broken "sending to the hosts failed; try again"
    local found failed
    # from the inbox, where a run that is going on is not in its way
    found=$(asked "mv $folder/inbox/on_host.sh $folder/on_host.sh && $(remote install)" installing)
    if dry; then printf '%s\n' "$found"; return; fi
    failed=$(with_state failed "$found")
    [ -z "$failed" ] || broken "installing failed on $(grep -c . <<<"$failed") of $hosts hosts:" \
        "$(paste -sd';' - <<<"${failed// failed/}"); all of it is in $folder/install.log there"
    say "installed on $hosts hosts$([ -n "$(with_state 'installed$' "$found")" ] || echo ' already')"
}

launch() { # sends, installs and starts, unless the very same run is going on
    local found running same
    if dry; then
        prepare
        make_bundle
    else
        found=$(prepare)
        make_bundle
        running=$(with_state running "$found")
        same=$(with_state "running $(cksum <"$bundle/arguments" | cut -d' ' -f1)\$" "$found")
        if [ -n "$same" ] && [ "$(grep -c . <<<"$same")" = "$hosts" ]; then
            say "this run is going on already on $hosts hosts; nothing was sent"
            return
        fi
        if [ -n "$running" ] && [ -z "$same" ]; then
            fail "another run is going on ($(names_of "$running")); wait for it, or end it with stop"
        fi
        # a part of this run is left: the others have died, so it cannot go on either
        if [ -n "$running" ]; then halt; fi
    fi
    deliver
    if [ ${#names[@]} -gt 0 ]; then send "$bundle/secrets" || broken "sending the secrets failed; try again"; fi
    found=$(asked "${processes:+$processes }$(remote start)" starting)
    if dry; then printf '%s\n' "$found"; return; fi
    [ -z "$(with_state failed "$found")" ] || broken "starting failed: $(with_state failed "$found" | paste -sd';' -)"
    say "started on $hosts hosts; it goes on when this launcher ends"
}

halt() { asked "$(remote stop "$grace")" stopping; }

gone() { false; } # a launcher whose machines can be taken away says here whether they have been

watch() { # until the run has ended on all hosts; sets $code: 0, what it ended with, stopped or lost
    local found ended codes silent=0
    while true; do
        sleep "$poll"
        if ! found=$(states "$(remote state)"); then
            if gone; then code=lost; return; fi
            silent=$((silent + 1))
            [ "$silent" -lt 10 ] || broken "not all hosts have answered ten times in a row; look with status"
            continue
        fi
        silent=0
        # a host that knows nothing of the run was made anew under it
        found=${found// idle/ ended lost}
        ended=$(with_state ended "$found")
        if [ -z "$ended" ]; then continue; fi
        # one end says it all; what another host still does without it is only waiting
        codes=$(sed -E 's/.* ended //' <<<"$ended" | sort -u | grep -vx 0) || true
        code=$(grep -x 2 <<<"$codes" || grep -vx stopped <<<"$codes" | head -n 1) || true
        code=${code:-$codes}
        if [ -z "$code" ] && [ "$(grep -c . <<<"$ended")" != "$hosts" ]; then continue; fi
        if [ -n "$code" ] && [ -n "$(with_state running "$found")" ]; then (halt >/dev/null) || true; fi
        code=${code:-0}
        return
    done
}

keep_going() { # $1 tries again: `again` brings the machines back and launches
    local left=$1 code='' failed=0
    if dry; then note "then: asks for the state every $poll s, and starts again up to $left times"; on_all "$(remote state)"; return; fi
    say "watches the run, and starts it again up to $left times; Ctrl-C ends the watching, not the run"
    while true; do
        if [ "$failed" = 0 ]; then watch; else code="not started" && sleep "$poll"; fi
        case $code in
            0) say "the run has ended well"; return ;;
            stopped) say "the run was stopped"; return ;;
            2) fail "the run ended with code 2, a mistake that another try does not mend; see logs" ;;
        esac
        [ "$left" -gt 0 ] || broken "the run ended with code $code, and there are no tries left; see logs"
        left=$((left - 1))
        say "the run ended with code $code; starts it again ($left left after this)"
        # in a shell of its own: machines that fail meanwhile cost a try, and do not end the watching
        set +e
        (set -e && again)
        failed=$?
        set -e
        [ "$failed" != 2 ] || exit 2
    done
}
