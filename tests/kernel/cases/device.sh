# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# What the cases stand on: the guest has what they need of it.

test_the_kernel_has_iommufd_and_devices_of_their_own() {
    [ -c /dev/iommu ] || fail "no /dev/iommu"
    load_mtty || fail "mtty does not load"
    [ -c "$(cdev "$MTTY0")" ] || fail "an mdev has no character device"
    [ -n "$EDU1" ] || fail "there are no two edu devices"
    for address in $EDU0 $EDU1; do
        folder=/sys/bus/pci/devices/$address
        [ -d "$folder/iommu_group" ] || fail "$address is in no IOMMU group"
        [ "$(ls "$folder/iommu_group/devices")" = "$address" ] || fail "$address is not alone"
        [ -n "$(cat "$folder/reset_method")" ] || fail "$address has no reset method"
    done
}

test_the_reference_driver_takes_both_devices() {
    works load_edu
    for address in $EDU0 $EDU1; do
        [ -c "$(cdev "/sys/bus/pci/devices/$address")" ] || fail "no character device"
    done
    works unload_edu
    [ -z "$(driver_of "$EDU0")" ] || fail "$EDU0 is still bound"
}
