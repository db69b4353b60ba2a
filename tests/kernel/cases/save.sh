# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# ferry info, save, show, restore and bench with devices of the kernel.

test_info_tells_what_a_device_is() {
    works load_edu
    works ferry info "vfio:$EDU0"
    says "1234:11e8" "now          RUNNING" "STOP_COPY P2P PRE_COPY dirty-log" \
        "nothing keeps it from migrating"
    works ferry info "vfio:$(cdev "/sys/bus/pci/devices/$EDU0")"
    says "1234:11e8"
    works ferry info --json "vfio-group:$EDU0"
}

test_a_state_goes_from_one_device_to_the_other() {
    works load_edu
    works ferry save /tmp/state --device "edu=vfio:$EDU0"
    works ferry show /tmp/state
    says edu
    works ferry restore /tmp/state --device "edu=vfio:$EDU1"
    # A group's user and a character device's make the same stream.
    works ferry restore /tmp/state --device "edu=vfio-group:$EDU0"
    works ferry save /tmp/state --device "edu=vfio-group:$EDU0"
    works ferry restore /tmp/state --device "edu=vfio:$EDU1"
}

test_a_damaged_state_is_refused_and_the_device_runs() {
    works load_edu
    works ferry save /tmp/state --device "edu=vfio:$EDU0"
    head -c 100 /tmp/state >/tmp/short
    run ferry restore /tmp/short --device "edu=vfio:$EDU1"
    [ $status != 0 ] || fail "it was taken"
    works ferry info "vfio:$EDU1"
    says "now          RUNNING"
}

test_a_device_that_is_saved_and_stopped_is_free_again() {
    works load_edu
    works ferry save /tmp/state --stop --device "edu=vfio:$EDU0"
    works ferry restore /tmp/state --device "edu=vfio:$EDU1"
    works ferry info "vfio:$EDU0"
    says "now          RUNNING"
}
