# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# The kernel's own sample, which nobody here wrote: mediated devices without DMA.

test_a_state_goes_from_one_sample_device_to_the_other() {
    works load_mtty
    works ferry info "vfio:$MTTY0"
    says STOP_COPY P2P PRE_COPY
    works ferry save /tmp/state --device "tty=vfio:$MTTY0"
    works ferry show /tmp/state
    works ferry restore /tmp/state --device "tty=vfio:$MTTY1"
}

test_the_same_by_groups() {
    works load_mtty
    works ferry save /tmp/state --device "tty=vfio-group:$MTTY0"
    works ferry restore /tmp/state --device "tty=vfio-group:$MTTY1"
}

test_what_is_found_stands_in_the_findings() {
    works load_mtty
    run ferry check "vfio:$MTTY0" --partner "vfio:$MTTY1" --quiet
}

test_a_sample_device_is_no_edu() {
    works load_edu
    load_mtty
    works ferry save /tmp/state --device "device=vfio:$MTTY0"
    run ferry restore /tmp/state --device "device=vfio:$EDU0"
    [ $status != 0 ] || fail "it was taken"
    works ferry info "vfio:$EDU0"
    says "now          RUNNING"
}
