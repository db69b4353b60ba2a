#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Moves a guest with one device from a QEMU to another one, and looks whether its payload works
# on. It needs a POSIX shell and little else, so that the same steps are done inside of a virtual
# machine and outside of it: what is asked of QEMU, and when, is the same.
#
# usage: move.sh CASE FOLDER
# CASE     move     the guest runs; all its memory has been sent once before it is stopped
#          stopped  the guest was stopped before; it goes on at the target
#          cancel   the migration is cancelled while the guest runs; then a move
#          killed   the target is killed while the guest runs; then a move to another one
#          multifd  a move over several connections, with switchover-ack
#          refused  the source's device does not begin with its pre-copy: the guest stays
#          declined the source's device does not stop: the guest stays, and QEMU resets the device
# SOURCE, TARGET  how the two QEMUs are started, with the device and the payload
# RECORDER        a library that is preloaded into them
# LIMIT_S         how long to wait for anything (120)
# In FOLDER are left source.record, target.record (and second.record: of the later target), and
# what QEMUs, monitors and payloads said. The last line is "moved", "stayed" (with "the device lost its state" when it was reset), or
# what is wrong.
set -u

kind=$1
folder=$2
# Bytes a second. QEMU does not stop a guest whose device has more than fits into its downtime;
# and it learns of that downtime a tenth of a second after the begin, so memory takes longer.
held=1000
slow=1000000
room=134217728
limit_s=${LIMIT_S:-120}
rounds=4 # of the payload that have to be good: each of its pages is looked at
asked=0
fd=
pids=

fail() {
    echo "failed: $*"
    for name in source target second; do
        [ ! -s "$folder/$name.log" ] || tail -n 5 "$folder/$name.log"
        [ ! -s "$folder/$name.serial" ] || tail -n 2 "$folder/$name.serial"
    done
    # shellcheck disable=SC2086
    kill -9 $pids 2>/dev/null
    exit 1
}

# wait_for COMMAND...: until it succeeds. Not nested.
wait_for() {
    left=$((limit_s * 10))
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "waited too long for: $*"
        sleep 0.1
    done
}

has() {
    grep -q -e "$2" "$1" 2>/dev/null
}

# start NAME FD COMMAND ARGUMENTS...: a QEMU whose monitor listens to FD.
start() {
    name=$1
    command=$3
    mkfifo "$folder/$name.in"
    : >"$folder/$name.qmp"
    : >"$folder/$name.serial"
    # Open at both ends: neither QEMU nor this script waits for the other one.
    eval "exec $2<>$folder/$name.in; fd_$name=$2"
    shift 3
    # shellcheck disable=SC2086
    LD_PRELOAD=${RECORDER-} FERRY_RECORD=$folder/$name.record \
        $command -name "$name" -nodefaults -no-user-config -display none \
        -chardev "file,id=monitor,path=$folder/$name.qmp,input-path=$folder/$name.in" \
        -mon chardev=monitor,mode=control -serial "file:$folder/$name.serial" \
        "$@" >"$folder/$name.log" 2>&1 &
    eval "pid_$name=$!"
    pids="$pids $!"
    wait_for has "$folder/$name.qmp" '"QMP"'
    ask "$name" qmp_capabilities
    more=false
    [ "$kind" != multifd ] || more=true
    ask "$name" migrate-set-capabilities "\"capabilities\": [
        {\"capability\": \"events\", \"state\": true},
        {\"capability\": \"return-path\", \"state\": true},
        {\"capability\": \"multifd\", \"state\": $more},
        {\"capability\": \"switchover-ack\", \"state\": $more}]"
}

# try NAME COMMAND [ARGUMENTS]: the answer goes to $answer.
try() {
    asked=$((asked + 1))
    eval "fd=\$fd_$1"
    printf '{"execute": "%s", "arguments": {%s}, "id": "q%d."}\n' "$2" "${3-}" $asked >&"$fd"
    turns=$((limit_s * 50))
    until has "$folder/$1.qmp" "\"q${asked}[.]\""; do
        turns=$((turns - 1))
        [ $turns -gt 0 ] || fail "$1: no answer to $2"
        sleep 0.02
    done
    answer=$(grep -e "\"q${asked}[.]\"" "$folder/$1.qmp")
}

ask() {
    try "$@"
    case $answer in
    *'"error"'*) fail "$1: $2: $answer" ;;
    esac
}

# look_at NAME: $lines that the payload has written, none of which says that something is bad.
look_at() {
    if has "$folder/$1.serial" BAD; then
        fail "$1: the payload: $(grep BAD "$folder/$1.serial")"
    fi
    lines=$(grep -c round "$folder/$1.serial")
}

has_lines() {
    look_at "$1"
    [ "$lines" -ge "$2" ]
}

works() {
    look_at "$1"
    wait_for has_lines "$1" $((lines + rounds))
}

# The payload has met a fault, or has gone on for some lines more than these.
bad_or_lines() {
    has "$folder/source.serial" BAD ||
        [ "$(grep -c round "$folder/source.serial")" -ge $(($1 + rounds)) ]
}

run_state_is() {
    ask "$1" query-status
    case $answer in
    *"\"status\": \"$2\""*) ;;
    *) return 1 ;;
    esac
}

status_is() {
    ask source query-migrate
    case $answer in
    *"\"status\": \"$1\""*) ;;
    *'"status": "failed"'*) fail "the migration failed: $answer" ;;
    *) return 1 ;;
    esac
}

# What query-migrate said of memory.
of_memory() {
    found=$(echo "$answer" | sed -n "s/.*\"ram\": {[^}]*\"$1\": \\([0-9]*\\).*/\\1/p")
    echo "${found:-0}"
}

# The guest runs while all memory has been sent once. QEMU 10.0 does not look for memory that was
# written as long as a device has data.
sent_once() {
    status_is active && [ "$(of_memory transferred)" -gt 65536 ] &&
        { [ "$(of_memory dirty-sync-count)" -ge 2 ] || [ "$(of_memory remaining)" -eq 0 ]; }
}

# QEMU says that a migration is over before it has cleaned up after it.
is_begun() {
    try source migrate "\"uri\": \"unix:$folder/$1.migrate\""
    case $answer in
    *'duplicate yank instance'*) return 1 ;;
    *'"error"'*) fail "migrate: $answer" ;;
    esac
}

# wait_at TARGET: a new QEMU that waits for the guest.
wait_at() {
    start "$1" 4 "$TARGET" -incoming defer
    ask "$1" migrate-incoming "\"uri\": \"unix:$folder/$1.migrate\""
}

# begin TARGET: a migration that does not end by itself.
begin() {
    ask source migrate-set-parameters \
        "\"avail-switchover-bandwidth\": $held, \"max-bandwidth\": $slow"
    wait_for is_begun "$1"
    [ "$kind" = refused ] || wait_for sent_once
}

# end NAME: QEMU ends in its own way.
end() {
    ask "$1" quit
    eval "wait \$pid_$1" || fail "the $1 ended with $?"
}

# The migration may come to its end.
release() {
    ask source migrate-set-parameters \
        "\"avail-switchover-bandwidth\": $room, \"max-bandwidth\": 0"
}

# finish TARGET: the guest works there, and both QEMUs end in their own way.
finish() {
    release
    wait_for status_is completed
    wait_for run_state_is source postmigrate
    if [ "$kind" = stopped ]; then
        wait_for run_state_is "$1" paused
        ask "$1" cont
    fi
    wait_for run_state_is "$1" running
    works "$1"
    end "$1"
    end source
    look_at source
    echo "$lines lines at the source"
    look_at "$1"
    echo "$lines lines at the target"
    echo moved
}

# Over without a success, and the guest runs: not so if it had failed on the way.
is_over() {
    ask source query-migrate
    case $answer in
    *'"status": "cancelled"'* | *'"status": "failed"'*) run_state_is source running ;;
    *) return 1 ;;
    esac
}

# First, while there is no payload that takes the processor.
wait_at target
start source 3 "$SOURCE"
works source
case $kind in
move | multifd)
    begin target
    finish target
    ;;
refused | declined)
    begin target
    [ "$kind" = refused ] || release
    wait_for is_over
    # shellcheck disable=SC2154
    wait "$pid_target"
    if [ "$kind" = declined ] && wait_for bad_or_lines "$(grep -c round "$folder/source.serial")" &&
        has "$folder/source.serial" BAD; then
        echo "the device lost its state"
    else
        works source
    fi
    end source
    echo stayed
    ;;
stopped)
    ask source stop
    begin target
    finish target
    ;;
cancel | killed)
    begin target
    works source
    if [ "$kind" = killed ]; then
        kill -9 "$pid_target"
    else
        ask source migrate_cancel
    fi
    wait_for is_over
    # shellcheck disable=SC2154
    wait "$pid_target"
    works source
    wait_at second
    begin second
    finish second
    ;;
*) fail "there is no case $kind" ;;
esac
