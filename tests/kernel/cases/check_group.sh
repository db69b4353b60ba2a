# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: check_group
# The same with groups and a container of type 1, and with the driver's page in their memory, by which
# the device's buffer is carried.

# limit: 900
test_the_reference_driver_by_groups_and_a_container() {
    works load_edu scratch_iova=0xf000000
    works ferry check "vfio-group:$EDU1" --partner "vfio-group:$EDU0" --driver edu-buffer --quiet
}

test_a_device_that_cannot_migrate_is_not_checked() {
    works insmod /lib/modules/vfio-pci.ko
    bind "$EDU0" vfio-pci
    refused 3 ferry check "vfio:$EDU0" --quiet
}
