# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# A user who means no good: the reference driver and the kernel outlive what he does, and the
# device works for the next one.

# attack NAME [SWITCH=VALUE...]
attack() {
    name=$1
    shift
    works load_edu "$@"
    [ "$name" != head ] || echo sticky >/sys/module/edu_vfio_pci/parameters/defect
    works timeout 50 edu_attack "$name" "$(cdev "/sys/bus/pci/devices/$EDU0")"
    works ferry info "vfio:$EDU0"
    says "now          RUNNING"
}

# A planted fault breaks its rule and nothing else: the length is still the kernel's to look at.
test_a_record_that_is_refused_and_continued() { attack head; }

test_page_tables_that_are_taken_while_the_buffer_is_saved() {
    attack page-tables scratch_iova=0x8000000
}

test_threads_that_do_all_at_once() { attack threads; }
test_threads_that_do_all_at_once_with_the_buffer() { attack threads-in scratch_iova=0x8000000; }
