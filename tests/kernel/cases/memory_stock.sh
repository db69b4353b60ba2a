# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: stock
# Debian's kernel as it is: no iommufd and no character devices; groups and containers work.

test_a_device_without_a_character_device_is_sent_to_its_group() {
    works insmod /lib/modules/vfio-pci.ko
    bind "$EDU0" vfio-pci
    refused 1 ferry info "vfio:$EDU0"
    says "has no character device" "vfio-group:$EDU0"
    works ferry info "vfio-group:$EDU0"
}

test_memory_by_a_container_of_a_stock_kernel() {
    works insmod /lib/modules/vfio-pci.ko
    bind "$EDU0" vfio-pci
    bind "$EDU1" vfio-pci
    means_faults
    works kernel_memory type1 "$EDU0" "$EDU1"
    says "tracking: every page counts as written" "peer: mapped"
}
