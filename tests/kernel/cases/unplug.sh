# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# A device is pulled out while it is in use: who uses it is told and ends, nobody waits for good,
# and the device works again when it is back.

# pull: the kernel asks the device back and waits until its user has let go of it.
pull() {
    works timeout 30 sh -c "echo 1 >/sys/bus/pci/devices/$EDU0/remove"
    [ ! -e "/sys/bus/pci/devices/$EDU0" ] || fail "$EDU0 is still there"
}

back() {
    echo 1 >/sys/bus/pci/rescan
    works bind "$EDU0" edu-vfio-pci
    works ferry info "vfio:$EDU0"
    says "now          RUNNING"
}

# gone STATUS: the program in the background ends by itself, and not with success.
gone() {
    ended=0
    wait "$1" || ended=$?
    cat /tmp/user
    [ $ended != 0 ] || fail "it ends as if nothing had been"
    [ $ended -lt 124 ] || fail "it was killed: $ended"
}

# limit: 120
test_while_it_is_checked() {
    works load_edu
    for way in vfio vfio-group; do
        for delay in 0.1 0.2 0.4 0.8; do
            timeout 60 ferry check "$way:$EDU0" --quiet >/tmp/user 2>&1 &
            user=$!
            sleep $delay
            pull
            gone $user
            grep -qiE "lost|gone|asks|back|no device" /tmp/user || fail "it does not say why"
            back
        done
    done
}

# limit: 120
test_while_a_host_has_it() {
    works load_edu
    for way in vfio vfio-group; do
        ferry host --device "edu=$way:$EDU0" --control /tmp/host --memory 1M >/tmp/user 2>&1 &
        user=$!
        wait_for [ -S /tmp/host ]
        pull
        run ferry save /tmp/state --control /tmp/host --quiet
        [ $status != 0 ] || fail "a device that is gone was saved"
        kill $user
        wait $user || true
        cat /tmp/user
        rm -f /tmp/host
        back
    done
}

# limit: 120
test_while_a_guest_with_it_moves() {
    works load_edu
    for delay in 0.3 0.6 1 1.5 2; do
        timeout 100 edu_live --work 2 --moves 30 "vfio:$EDU0" "vfio:$EDU1" >/tmp/user 2>&1 &
        user=$!
        sleep $delay
        pull
        gone $user
        back
        works ferry info "vfio:$EDU1"
        says "now          RUNNING"
    done
}
