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

# finds WAY: exactly what docs/findings.md says of it.
finds() {
    load_mtty
    run ferry check "$1:$MTTY0" --partner "$1:$MTTY1" --destructive --quiet
    [ $status = 10 ] || fail "it ends with $status"
    sed -n 's/^  \(FAIL\|BROKEN\) *\([^ ]*\).*/\2/p' $said | sort >/tmp/found
    sed 's/#.*//; s/ .*//' /cases/mtty.waived | sort | grep . >/tmp/known
    works cmp /tmp/known /tmp/found
    # With all of it waived nothing is left, but for what could not be tried.
    run ferry check "$1:$MTTY0" --partner "$1:$MTTY1" --waive /cases/mtty.waived --quiet
    says_not FAIL
}

test_what_is_found_by_iommufd_is_what_is_known() { finds vfio; }
test_what_is_found_by_groups_is_what_is_known() { finds vfio-group; }

test_a_sample_device_is_no_edu() {
    works load_edu
    load_mtty
    works ferry save /tmp/state --device "device=vfio:$MTTY0"
    run ferry restore /tmp/state --device "device=vfio:$EDU0"
    [ $status != 0 ] || fail "it was taken"
    works ferry info "vfio:$EDU0"
    says "now          RUNNING"
}
