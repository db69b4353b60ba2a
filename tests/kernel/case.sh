# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# What every case in the guest has: the machine's devices by name, and words to test with. The
# host's runner reads the lines that begin with @@ (tests/kernel/machine.py).

mtty=/sys/devices/virtual/mtty/mtty
said=/tmp/said

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

if [ -z "${EDU0+set}" ]; then
    EDU0=$(edu 0)
    EDU1=$(edu 1)
    export EDU0 EDU1
fi

fail() {
    echo "FAILED: $*"
    exit 1
}

# run COMMAND...: what it says is printed and kept; its exit status is in $status.
run() {
    echo "\$ $*"
    status=0
    "$@" >$said 2>&1 || status=$?
    cat $said
}

# works COMMAND...: it has to succeed.
works() {
    run "$@"
    [ $status = 0 ] || fail "it ends with $status: $*"
}

# refused STATUS COMMAND...: it has to end with that status.
refused() {
    expected=$1
    shift
    run "$@"
    [ $status = "$expected" ] || fail "it ends with $status, not with $expected: $*"
}

# says TEXT...: each is in what the last command said.
says() {
    for text; do
        grep -qF -e "$text" $said || fail "it does not say: $text"
    done
}

# says_not TEXT...
says_not() {
    for text; do
        ! grep -qF -e "$text" $said || fail "it says: $text"
    done
}

# The case has a device reach for memory that it may not.
means_faults() {
    echo "@@ faults"
}

# wait_for COMMAND...: until it succeeds.
wait_for() {
    left=100
    until "$@"; do
        left=$((left - 1))
        [ $left -gt 0 ] || fail "waited too long for: $*"
        sleep 0.1
    done
}

# load_edu [SWITCH=VALUE...]: the reference driver, anew, with both devices.
load_edu() {
    unload_edu || return 1
    insmod /lib/modules/edu-vfio-pci.ko "$@" || return 1
    bind "$EDU0" edu-vfio-pci && bind "$EDU1" edu-vfio-pci
}

unload_edu() {
    unbind "$EDU0"
    unbind "$EDU1"
    if [ -d /sys/module/edu_vfio_pci ]; then
        rmmod edu-vfio-pci
    fi
}

# bind ADDRESS DRIVER, by hand: Ferry's own way has its own cases.
bind() {
    echo "$2" >"/sys/bus/pci/devices/$1/driver_override"
    echo "$1" >/sys/bus/pci/drivers_probe
    [ "$(driver_of "$1")" = "$2" ] || fail "$1 has no driver $2"
}

unbind() {
    [ -d "/sys/bus/pci/devices/$1" ] || return 0
    [ ! -e "/sys/bus/pci/devices/$1/driver" ] || echo "$1" >"/sys/bus/pci/devices/$1/driver/unbind"
    echo >"/sys/bus/pci/devices/$1/driver_override"
}

# driver_of ADDRESS: its name, or nothing.
driver_of() {
    [ ! -e "/sys/bus/pci/devices/$1/driver" ] ||
        basename "$(readlink "/sys/bus/pci/devices/$1/driver")"
}

# cdev FOLDER_OF_SYSFS: /dev/vfio/devices/vfioN.
cdev() {
    echo "/dev/vfio/devices/$(ls "$1/vfio-dev")"
}

# load_mtty: the kernel's sample with two devices: their folders are $MTTY0 and $MTTY1.
load_mtty() {
    [ -d /sys/module/mtty ] || insmod /lib/modules/mtty.ko || return 1
    MTTY0=$(new_mtty 1) && MTTY1=$(new_mtty 2)
}

new_mtty() {
    uuid=11111111-2222-3333-4444-00000000000$1
    echo $uuid >$mtty/mdev_supported_types/mtty-2/create || return 1
    echo /sys/bus/mdev/devices/$uuid
}

unload_mtty() {
    [ -d /sys/module/mtty ] || return 0
    for device in /sys/bus/mdev/devices/*/remove; do
        [ ! -e "$device" ] || echo 1 >"$device"
    done
    rmmod mtty
}

# What a case left running goes; the kernel's own threads have no program.
end_programs() {
    for process in /proc/[0-9]*; do
        process=${process#/proc/}
        if [ "$process" != 1 ] && readlink "/proc/$process/exe" >/dev/null; then
            kill -9 "$process"
        fi
    done 2>/dev/null
}

# Every case finds the machine as it was.
clean_up() {
    unload_mtty && unload_edu || return 1
    if [ -d /sys/module/vfio_pci ]; then
        rmmod vfio-pci
    fi
    # One that was pulled out comes back.
    [ -d "/sys/bus/pci/devices/$EDU0" ] || echo 1 >/sys/bus/pci/rescan
}

# run_case NAME LIMIT COMMAND: runs it in a shell of its own, at most LIMIT seconds long, ends
# what it leaves running, and tells how it ended and what the kernel said meanwhile.
run_case() {
    dmesg -c >/dev/null
    echo "@@ begin $1"
    setsid timeout -k 5 "$2" sh -c ". /case.sh; $3"
    result=$?
    end_programs
    # A device that is held without a program would block what lets go of it for good.
    if ! timeout -k 5 20 sh -c '. /case.sh; clean_up'; then
        echo "FAILED: something holds a device or a driver that no program has"
        [ $result != 0 ] || result=1
    fi
    rm -rf /tmp/*
    dmesg -c >/kernel-said
    echo
    sed 's/^/@@ kernel /' /kernel-said
    echo "@@ end $1 $result"
}
