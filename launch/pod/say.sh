# shellcheck shell=bash disable=SC2034,SC2154 # the launchers share their variables
# What the launchers say, how they stop, and the one place where they run a command or only show it.

say() { printf 'fewvid: %s\n' "$*"; }
fail() { printf 'fewvid: error: %s\n' "$*" >&2; exit 2; }   # the user can mend it
broken() { printf 'fewvid: error: %s\n' "$*" >&2; exit 1; } # a machine, or a service, did not do it

dry() { [ "${DRY_RUN:-}" = 1 ]; }
note() { if dry; then printf '# %s\n' "$*"; fi; }
quoted() { # the words, so that a bash reads the same ones back
    local word
    for word in "$@"; do
        case $word in
            '' | *[!A-Za-z0-9_./:=,@%+-]*)
                if [[ $word == *[\'[:cntrl:]]* ]]; then printf ' %q' "$word"; else printf " '%s'" "$word"; fi
                ;;
            *) printf ' %s' "$word" ;;
        esac
    done
}
show() { printf '+%s\n' "$(quoted "$@")"; }

run() { # runs a command; with DRY_RUN=1 prints it
    if dry; then show "$@"; else "$@"; fi
}

needs() { # stops where a tool is missing
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || fail "$tool was not found on PATH; install it first"
    done
}

whole_number() { # $1 flag, $2 value, $3 the least allowed
    if ! [[ $2 =~ ^[0-9]{1,9}$ ]] || [ "$2" -lt "$3" ]; then
        fail "$1 got '$2', wanted a whole number of at least $3"
    fi
}

plain_word() { # $1 flag, $2 value: what goes into a remote command as it is
    [[ $2 =~ ^[A-Za-z0-9_./][A-Za-z0-9_./-]*$ ]] ||
        fail "$1 got '$2', wanted letters, digits and . _ / - only"
}

set_names() { # $1 flag, $2 name: remembers the name of a variable that the run gets; never its value
    [[ $2 != *=* ]] || fail "$1 takes the name of a variable, without =VALUE: export it and give its name"
    [[ $2 =~ ^[A-Za-z_][A-Za-z0-9_]*$ ]] || fail "$1 got '$2', wanted the name of an environment variable"
    printenv "$2" >/dev/null || fail "$1 $2: $2 is not set, or not exported, in this shell"
    names+=("$2")
}
