#!/bin/sh
# Stops a shared test server and removes its directory when nobody needs it any more.
#
# Started by the process that makes the server, before it makes it. That process, and all others that use the
# server, have a file `holders/<identity>` each, where an identity is `<process id>.<start time>`: ids are used
# again, and where nobody reaps them the dead keep theirs. Processes need not say good-bye; however they die,
# their identity is dead.
#
# A shell script, because a test run has nobody who outlives it, and a shell is everywhere.
# usage: supervisor.sh <directory of the server>

# How long the server outlives its last holder: until the next test binary has started.
grace_seconds=${KUBERNAUT_TEST_SERVER_GRACE_SECONDS:-10}

# The identity of a living process; fails for a dead one, reaped or not. src/process.rs makes the same.
identity() {
    if [ -d /proc/self ]; then
        { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
        # The name, in parentheses, may have blanks. After it come the state and, 19 fields on, the start time.
        pid=$1
        set -- ${stat##*") "}
        case $1 in Z | X) return 1 ;; esac
        shift 19
        identity=$pid.$1
    else
        shown=$(LC_ALL=C TZ=UTC ps -o stat= -o lstart= -p "$1" 2>/dev/null) || return 1
        case $shown in Z*) return 1 ;; esac
        pid=$1
        set -- $shown
        shift
        identity=$pid.$(IFS=_ && echo "$*")
    fi
}

is_alive() {
    identity "${1%%.*}" && [ "$identity" = "$1" ]
}

anybody_holds() {
    for holder in "$directory"/holders/*; do
        is_alive "${holder##*/}" && return 0
    done
    return 1
}

# Remembers the server while its file is there, since somebody may remove the whole directory.
look_for_server() {
    { read -r server_pid <"$directory/postgres/data/postmaster.pid"; } 2>/dev/null || return
    identity "$server_pid" && server=$identity
}

signal_server_and_wait() { # signal, seconds
    [ -n "$server" ] && is_alive "$server" || return 0
    kill -s "$1" "${server%%.*}" 2>/dev/null
    tenths=$(($2 * 10))
    while [ "$tenths" -gt 0 ] && is_alive "$server"; do
        # Fractions of a second are not POSIX, but work wherever this runs; where not, we wait too long.
        sleep 0.1 || sleep 1
        tenths=$((tenths - 1))
    done
}

finish() {
    look_for_server
    # Fast, then immediate shutdown, then none.
    signal_server_and_wait INT 10
    signal_server_and_wait QUIT 5
    signal_server_and_wait KILL 1
    rm -rf "$directory" || { sleep 1 && rm -rf "$directory"; }
    exit 0
}

main() {
    directory=$1
    server=
    case $grace_seconds in *[!0-9]*) grace_seconds=10 ;; esac
    # Neither Ctrl-C nor a closed terminal is meant for the server; a machine that shuts down is.
    trap '' HUP INT
    trap finish TERM
    idle=0
    while :; do
        sleep 1
        look_for_server
        if anybody_holds; then
            idle=0
            continue
        fi
        idle=$((idle + 1))
        [ "$idle" -ge "$grace_seconds" ] || continue
        # First say that it closes, then look once more. A process that wants in first makes its file, then looks
        # whether it closes. So at least one of us sees the other.
        : >"$directory/closing"
        anybody_holds || finish
        rm -f "$directory/closing"
        idle=0
    done
}

main "$@"
exit
