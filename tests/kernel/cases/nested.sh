# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: nested
# The second level: QEMU 10.0 has an edu device by the real kernel's vfio-pci and moves a guest to
# a second QEMU that has the other one. The payload looks in each round at what the round before
# left in the device and in memory; what QEMU asked and was answered is compared with what Ferry's
# bridge was asked and answered by the same steps.

scratch=0x8000000 # no memory of the payload's machine, and within edu's reach
machine='-machine q35 -accel tcg -m 16 -kernel /bin/nested_payload'

# qemus WAY [COMMAND_LINE]: how both QEMUs are started: by iommufd, or by group.
qemus() {
    options=
    device=
    if [ "$1" = iommufd ]; then
        options='-object iommufd,id=iommufd'
        device=,iommufd=iommufd
    fi
    export RECORDER=/bin/recorder.so LIMIT_S=60
    export SOURCE="qemu $machine $options -device vfio-pci,addr=5,host=$EDU0$device ${2-}"
    export TARGET="qemu $machine $options -device vfio-pci,addr=5,host=$EDU1$device ${2-}"
}

# moves WAY CASE [COMMAND_LINE [END]]
moves() {
    qemus "$1" "${3-}"
    mkdir "/tmp/$2"
    works sh /nested/move.sh "$2" "/tmp/$2"
    says "${4-moved}"
}

# alike CASE NAME [HOW]: the record of this QEMU is like the bridge's.
alike() {
    # shellcheck disable=SC2086
    works sh /nested/compare.sh ${3-} "/nested/bridge/$1-$2.record" "/tmp/$1/$2.record"
}

# limit: 120
test_a_guest_moves_by_iommufd() {
    works load_edu scratch_iova=$scratch
    moves iommufd move
    alike move source
    alike move target
}

# limit: 120
test_a_guest_moves_by_group_and_container() {
    works load_edu scratch_iova=$scratch
    moves group move
    alike move source
    alike move target
}

# limit: 120
test_a_guest_that_was_stopped_moves() {
    works load_edu scratch_iova=$scratch
    moves iommufd stopped
    alike stopped source
    alike stopped target
}

# limit: 120
test_a_migration_is_cancelled_and_the_next_one_succeeds() {
    works load_edu scratch_iova=$scratch
    moves iommufd cancel
    alike cancel source
    alike cancel target
    alike cancel second
}

# limit: 120
test_a_target_is_killed_and_the_next_one_gets_the_guest() {
    works load_edu scratch_iova=$scratch
    moves iommufd killed
    alike killed source
    alike killed second
}

# limit: 120
test_a_guest_moves_over_several_connections() {
    works load_edu scratch_iova=$scratch
    moves iommufd multifd
    alike multifd source --threads
    alike multifd target --threads
}

# limit: 120
test_a_device_whose_buffer_was_written_stays_without_the_page_and_works_on() {
    works load_edu
    moves iommufd refused '' stayed
    alike refused source --refused
}

# QEMU 10.0 resets a device that refuses to stop: what it had is lost, and the guest runs on. Here
# the page is in the way of the guest's memory.
# limit: 120
test_a_device_that_refuses_to_stop_is_reset_by_qemu() {
    works load_edu scratch_iova=0x108000
    moves iommufd declined '' stayed
    says 'the device lost its state'
    alike declined source --refused
}

# limit: 120
test_a_device_whose_buffer_was_not_written_moves_without_the_page() {
    works load_edu
    moves iommufd move '-append nobuffer'
    alike move source
    alike move target
}

# limit: 120
test_a_register_that_the_driver_loses_is_seen() {
    works load_edu scratch_iova=$scratch defect=lose-live
    qemus iommufd
    mkdir /tmp/move
    refused 1 sh /nested/move.sh move /tmp/move
    says "target: the payload: BAD edu's liveness register"
}

# limit: 120
test_a_page_that_the_driver_does_not_log_is_seen() {
    works load_edu scratch_iova=$scratch defect=log-miss
    qemus iommufd
    mkdir /tmp/move
    refused 1 sh /nested/move.sh move /tmp/move
    says "target: the payload: BAD"
}

# ask: what QEMU never asks, too. The bridge is held to the same record by `make check`.
ask() {
    device=$(cdev "/sys/bus/pci/devices/$EDU0")
    rm -f /tmp/ask.record
    works env LD_PRELOAD=/bin/recorder.so FERRY_RECORD=/tmp/ask.record vfio_ask "$device"
}

test_every_request_is_answered_as_by_the_bridge() {
    works load_edu scratch_iova=$scratch
    ask
    works sh /nested/compare.sh /nested/bridge/ask.record /tmp/ask.record
}

# limit: 120
test_an_answer_of_the_driver_that_is_not_the_bridges_is_seen() {
    works load_edu scratch_iova=$scratch
    for defect in zero keep-fd log-twice; do
        echo $defect >/sys/module/edu_vfio_pci/parameters/defect
        ask
        refused 1 sh /nested/compare.sh /nested/bridge/ask.record /tmp/ask.record
        says 'the first difference'
    done
}
