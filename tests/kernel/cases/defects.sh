# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: defects
# Each fault that can be planted in the reference driver (kernel/edu-vfio-pci/defects.h) is found
# by the check of the rule that it breaks; without it the same check finds nothing.

# found DEFECT CHECK [OPTION...]
found() {
    defect=$1
    check=$2
    shift 2
    works load_edu
    works plant "$defect"
    run ferry check "vfio:$EDU0" --partner "vfio:$EDU1" --driver edu --quiet \
        --check "$check" "$@"
    case $status in
    8 | 9 | 10) says "FAIL   $check" ;;
    *) fail "$check does not find $defect: status $status" ;;
    esac
    works plant none
    works ferry check "vfio:$EDU0" --partner "vfio:$EDU1" --driver edu --quiet \
        --check "$check" "$@"
}

plant() {
    echo "$1" >/sys/module/edu_vfio_pci/parameters/defect
}

test_a_stop_that_does_not_wait_for_dma() { found busy dma.stopped; }
test_a_stopped_device_that_takes_writes() { found stop-write access.stopped.region; }
test_a_load_that_leaves_out_a_register() { found lose-live data.round; }
test_pre_copy_that_does_not_send_changes() { found lose-change precopy.changed; }
test_a_load_that_lacks_its_end() { found short data.short; }
test_a_load_that_is_damaged() { found no-crc data.flip; }
test_a_refused_load_that_is_forgotten() { found sticky data.sticky; }
test_pre_copy_that_ends_with_0() { found zero precopy.dry; }
test_pre_copy_information_that_gives_back_what_was_there() { found echo precopy.poison; }
test_initial_bytes_that_rise() { found rise precopy.initial; }
test_a_size_that_is_too_small() { found size size.below; }
test_bytes_that_nobody_set() { found leak data.clean; }
test_a_descriptor_that_outlives_its_session() { found keep-fd session.ends; }
test_a_reset_that_leaves_sessions() { found keep-reset reset.session; }
test_a_reset_that_leaves_registers() { found keep-regs reopen.clean; }
test_a_log_that_stays_on_when_the_device_is_closed() { found keep-log reopen.log; }
test_a_log_that_misses_a_page() { found log-miss log.complete; }
test_a_log_that_tells_writes_when_they_begin() { found log-early log.busy; }
test_a_log_that_tells_too_much() { found log-more log.precise; }
test_a_log_that_a_report_does_not_clear() { found log-keep log.report.clears; }
test_a_log_that_is_started_twice() { found log-twice log.start.twice; }

# Every fault that the driver has is in a case above.
test_every_defect_has_a_case() {
    works load_edu
    for defect in $(modprobe_defects); do
        grep -q "found $defect " /cases/defects.sh || fail "no case plants $defect"
    done
}

# The names that the driver takes: those in the module that it accepts.
modprobe_defects() {
    strings /lib/modules/edu-vfio-pci.ko | grep -xE '[a-z-]{3,14}' | while read -r name; do
        plant "$name" 2>/dev/null && [ "$name" != none ] && echo "$name"
    done
    plant none
}
