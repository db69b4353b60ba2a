# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# A guest at work on an edu device moves from one user context to another while a transfer of the
# device is under way: by live migration and over a file. Every byte of its memory and every
# interrupt is looked at; hardly a page more is sent than was written (tests/kernel/edu/live.c).

# moves COMMAND...: it found a transfer under way; there is a moment between two.
moves() {
    works "$@"
    says "moved under-way 1"
}

# limit: 120
test_a_guest_moves_live_by_iommufd() {
    works load_edu
    moves edu_live --exact --work 2 --moves 3 "vfio:$EDU0" "vfio:$EDU1"
}

# limit: 120
test_a_guest_moves_live_by_group_and_container() {
    works load_edu
    moves edu_live --exact --work 2 "vfio-group:$EDU0" "vfio-group:$EDU1"
}

# limit: 120
test_a_guest_moves_live_from_the_one_to_the_other() {
    works load_edu
    moves edu_live --exact --work 2 "vfio:$EDU0" "vfio-group:$EDU1"
}

# limit: 120
test_a_guest_goes_over_a_file() {
    works load_edu
    moves edu_live --exact --work 2 --file /tmp/state "vfio:$EDU0" "vfio:$EDU1"
}

# Nobody tracks what the device writes: all of the memory is sent while it is stopped.
# limit: 120
test_a_guest_moves_without_a_log() {
    works load_edu
    moves edu_live "vfio:$EDU0,dirty=none" "vfio:$EDU1,dirty=none"
    run edu_live --exact "vfio:$EDU0,dirty=none" "vfio:$EDU1,dirty=none"
    [ $status = 1 ] || fail "that more is sent is not seen"
}

# The driver's opt-in: a page of its own in the user's address space moves the buffer.
# limit: 120
test_a_buffer_moves_with_its_device() {
    works load_edu scratch_iova=0xf000000
    moves edu_live --fill --exact --work 2 "vfio:$EDU0" "vfio:$EDU1"
    moves edu_live --fill --work 2 --file /tmp/state "vfio-group:$EDU0" "vfio-group:$EDU1"
}

# Without it a device whose buffer was written stays where it is, and works on.
test_a_buffer_that_cannot_move_is_refused() {
    works load_edu
    run edu_live --fill "vfio:$EDU0" "vfio:$EDU1"
    [ $status = 1 ] || fail "it moved"
    works edu_live --moves 0 "vfio:$EDU0" "vfio:$EDU1"
}

# The test is one: a log that misses pages is seen by the bytes that are missing.
# limit: 120
test_a_log_that_misses_a_page_is_seen_by_the_guest() {
    works load_edu
    echo log-miss >/sys/module/edu_vfio_pci/parameters/defect
    run edu_live --moves 6 "vfio:$EDU0" "vfio:$EDU1"
    [ $status = 1 ] || fail "nothing is missing"
}

test_forbidden_changes_back_to_pre_copy_do_not_hang() {
    works load_edu
    load_mtty
    works ferry check "vfio:$EDU0" --check arc.back --force --quiet
    works ferry check "vfio:$MTTY0" --check arc.back --force --quiet
}
