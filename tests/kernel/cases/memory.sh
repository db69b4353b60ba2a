# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# The kernel's two ways to memory, and who may have a device. The emulated VT-d tracks no dirty
# pages: that has to be found out.

vfio_pci() {
    works insmod /lib/modules/vfio-pci.ko
    bind "$EDU0" vfio-pci
    bind "$EDU1" vfio-pci
}

test_memory_by_an_iommufd() {
    vfio_pci
    means_faults
    works kernel_memory iommufd "$EDU0" "$EDU1"
    says "has no dirty tracking (IOMMU_HWPT_ALLOC: EOPNOTSUPP)" "in use by another process" \
        "the limit is 1024 KiB" "peer: iommufd of this kernel does not map"
}

test_memory_by_a_container() {
    vfio_pci
    means_faults
    works kernel_memory type1 "$EDU0" "$EDU1"
    says "tracking: every page counts as written" "/dev/vfio/" "the limit is 1024 KiB" \
        "peer: mapped"
}

test_memory_of_a_mediated_device() {
    works load_mtty
    works kernel_memory type1 "$MTTY0"
    says "tracking: exact"
    works kernel_memory iommufd "$MTTY0"
    says "tracking: an iommufd tells no pages of a mediated device" "in use by another process"
}

test_a_device_that_somebody_has_is_named_as_busy() {
    vfio_pci
    # An open alone keeps nobody out of a character device: the bind does.
    exec 8<"$(cdev "/sys/bus/pci/devices/$EDU0")"
    works ferry info "vfio:$EDU0"
    group=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$EDU1/iommu_group")")
    exec 9<"$group"
    refused 1 ferry info "vfio-group:$EDU1"
    says "$group is in use by another process"
    refused 1 ferry info "vfio:$EDU1"
    says "in use by another process"
    exec 8<&- 9<&-
    works ferry info "vfio:$EDU1"
    works ferry info "vfio-group:$EDU0"
}

test_a_vf_token_where_none_is_wanted_is_named() {
    vfio_pci
    for way in vfio vfio-group; do
        refused 2 ferry info "$way:$EDU0,token=00112233-4455-6677-8899-aabbccddeeff"
        says "no VF token"
    done
}

test_a_user_without_rights_is_told_what_would_help() {
    vfio_pci
    mkdir -p /etc
    echo "guest:x:1000:1000::/:/bin/sh" >/etc/passwd
    refused 1 su -s /bin/sh -c "ferry info vfio:$EDU0" guest
    says "no permission to open /dev/vfio/devices/" "chown"
    refused 1 su -s /bin/sh -c "ferry info vfio-group:$EDU0" guest
    says "no permission to open /dev/vfio/" "chown"
}

test_a_virtual_function_wants_the_token_of_its_physical_one() {
    token=00112233-4455-6677-8899-aabbccddeeff
    pf=$(basename "$(dirname /sys/bus/pci/devices/*/sriov_totalvfs)")
    works insmod /lib/modules/vfio-pci.ko enable_sriov=1
    bind "$pf" vfio-pci
    echo "echo 1 >/sys/bus/pci/devices/$pf/sriov_numvfs
        for given in '' ,token=$token ,token=${token%ff}fe; do
            ferry info vfio-group:${pf%.0}.1\$given
        done
        echo 0 >/sys/bus/pci/devices/$pf/sriov_numvfs" >/tmp/with_pf
    works kernel_hold "$pf" $token "sh /tmp/with_pf"
    says "give it with token=UUID" "this is not the VF token" "class 010802"
    unbind "$pf"
}
