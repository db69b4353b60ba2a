# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# What every case in the guest has: the machine's devices by name, and a few words. The host's
# runner reads the lines that begin with @@ (tests/kernel/machine.py).

# edu NUMBER: the PCI address of QEMU's edu device, from 0.
edu() {
    number=0
    for device in /sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor" "$device/device")" = "0x1234
0x11e8" ] || continue
        [ "$number" != "$1" ] || basename "$device"
        number=$((number + 1))
    done
}

EDU0=$(edu 0)
EDU1=$(edu 1)
export EDU0 EDU1

# What a case left running goes; the kernel's own threads have no program.
end_programs() {
    for process in /proc/[0-9]*; do
        process=${process#/proc/}
        if [ "$process" != 1 ] && readlink "/proc/$process/exe" >/dev/null; then
            kill -9 "$process"
        fi
    done 2>/dev/null
}

# run_case NAME LIMIT COMMAND: runs it in a shell of its own, at most LIMIT seconds long, kills
# what it leaves running, and tells how it ended and what the kernel said meanwhile.
run_case() {
    dmesg -c >/dev/null
    echo "@@ begin $1"
    setsid timeout -k 5 "$2" sh -c ". /case.sh; $3"
    status=$?
    end_programs
    dmesg -c >/tmp/kernel-said
    echo
    sed 's/^/@@ kernel /' /tmp/kernel-said
    echo "@@ end $1 $status"
}
