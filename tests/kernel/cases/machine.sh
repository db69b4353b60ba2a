# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: devices
# ferry list, bind and unbind on a real kernel: who gets a device, and who gets it back.

records=/run/ferry/bind

# as_it_was: EDU0 has no driver, no override and no record.
as_it_was() {
    [ -z "$(driver_of "$EDU0")" ] || fail "$EDU0 has the driver $(driver_of "$EDU0")"
    [ "$(cat "/sys/bus/pci/devices/$EDU0/driver_override")" = "(null)" ] ||
        fail "$EDU0 has an override"
    [ ! -e "$records/$EDU0" ] || fail "$EDU0 has a record"
}

# nobody ARGUMENT...: ferry as a user who is not root.
nobody() {
    mkdir -p /etc
    echo "nobody:x:65534:65534::/:/bin/sh" >/etc/passwd
    start-stop-daemon -S -c 65534:65534 -x /bin/ferry -- "$@"
}

test_the_variant_driver_is_found_loaded_and_given_back() {
    works ferry list
    says "$EDU0  1234:11e8  - " "$EDU1" "no: it has no driver: \`ferry bind $EDU0'"
    says_not "0000:00:00.0"
    works ferry bind "$EDU0"
    says "$EDU0 has the driver edu-vfio-pci" "its URI is vfio:$EDU0"
    works ferry list "$EDU0"
    says "edu-vfio-pci" "v2 STOP_COPY P2P PRE_COPY dirty-log"
    works ferry info "vfio:$EDU0"
    # What drivers there are does not change who has it.
    echo "$EDU0" >/sys/bus/pci/drivers_probe
    [ "$(driver_of "$EDU0")" = edu-vfio-pci ] || fail "another driver took it"
    works ferry bind "$EDU0"
    works ferry unbind "$EDU0"
    says "$EDU0 has no driver"
    as_it_was
}

test_the_general_driver_cannot_migrate_and_the_list_says_who_can() {
    works ferry bind "$EDU0" --driver vfio-pci
    works ferry list "$EDU0"
    says "no: its driver vfio-pci cannot migrate it: \`ferry bind $EDU0' gives it to"
    works ferry bind "${EDU0#0000:}"
    says "$EDU0 has the driver edu-vfio-pci"
    works ferry unbind "$EDU0"
    as_it_was
}

test_the_list_as_json() {
    works ferry bind "$EDU0"
    works ferry list --json
    says "\"uri\": \"vfio:$EDU0\"" '"can_migrate": true' '"can_migrate": false' '"uapi": 2'
    works ferry list --json --no-open "$EDU0"
    says '"can_migrate": null' '"migration": null' '"vendor": 4660'
    works ferry unbind "$EDU0"
}

test_mediated_devices_are_listed_and_have_no_driver_to_change() {
    works load_mtty
    works ferry list
    says "$(basename "$MTTY0")  mdev" "v2 STOP_COPY P2P PRE_COPY"
    refused 3 ferry bind "$(basename "$MTTY0")"
    says "an mdev belongs to VFIO"
}

test_a_device_that_a_process_has_open_stays_where_it_is() {
    works ferry bind "$EDU0"
    group=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$EDU0/iommu_group")")
    exec 8<>"$group"
    refused 3 ferry bind "$EDU0" --driver vfio-pci
    says "is in the hands of process"
    refused 3 ferry unbind --force "$EDU0"
    says "is in the hands of process"
    # The kernel knows also where no process is seen.
    refused 3 unshare -m sh -c "umount -l /proc; ferry unbind $EDU0"
    says "a process that is not seen here"
    exec 8>&-
    exec 8<"$(cdev "/sys/bus/pci/devices/$EDU0")"
    refused 3 ferry unbind "$EDU0"
    says "is in the hands of process"
    exec 8>&-
    works ferry unbind "$EDU0"
    as_it_was
}

test_a_device_that_is_in_use_is_listed_as_such() {
    works ferry bind "$EDU0"
    group=/dev/vfio/$(basename "$(readlink "/sys/bus/pci/devices/$EDU0/iommu_group")")
    exec 8<>"$group"
    works ferry list "$EDU0"
    says "not known: " "in use by another process"
    exec 8>&-
    works ferry unbind "$EDU0"
}

test_only_root_gives_devices_away() {
    refused 3 nobody bind "$EDU0"
    says "only root" "\`sudo ferry bind $EDU0'"
    works nobody list --no-open
    says "$EDU0" "$EDU1"
    as_it_was
    works ferry bind "$EDU0"
    refused 3 nobody unbind "$EDU0"
    says "\`sudo ferry unbind $EDU0'"
    # Whoever may not open it is told so in the list.
    works nobody list "$EDU0"
    says "not known: " "ermission"
    works ferry unbind "$EDU0"
}

test_sysfs_that_can_only_be_read() {
    refused 3 unshare -m sh -c "mount -o remount,bind,ro /sys; ferry bind $EDU0"
    says "sysfs can only be read here"
    as_it_was
}

test_only_drivers_of_vfio_get_a_device() {
    # What the cases' own lines go through has a driver of the machine's.
    address=$(basename "$(dirname "$(readlink -f /sys/bus/virtio/devices/virtio0)")")
    works ferry list "$address"
    says "virtio-pci, which is none of VFIO's"
    refused 2 ferry bind "$EDU0" --driver virtio-pci
    says "none of VFIO's drivers"
    as_it_was
}

test_a_driver_that_is_nowhere() {
    refused 3 ferry bind "$EDU0" --driver mlx5_vfio_pci
    says "\`modprobe mlx5_vfio_pci' brought none"
    refused 2 ferry bind "$EDU0" --driver ../vfio-pci
    as_it_was
}

test_a_driver_that_refuses_a_device_gives_it_back() {
    works modprobe edu-vfio-pci
    other=0000:00:1f.3
    refused 1 ferry bind $other --driver edu-vfio-pci
    says "the driver edu-vfio-pci did not take $other" "it has no driver, as before"
    [ -z "$(driver_of $other)" ] || fail "$other has a driver"
    [ "$(cat /sys/bus/pci/devices/$other/driver_override)" = "(null)" ] || fail "an override"
    [ ! -e "$records/$other" ] || fail "a record"
}

test_a_device_that_was_pulled_out() {
    works ferry bind "$EDU0"
    echo 1 >"/sys/bus/pci/devices/$EDU0/remove"
    refused 3 ferry unbind "$EDU0"
    says "this machine has no device $EDU0"
    works ferry list
    says_not "$EDU0"
    echo 1 >/sys/bus/pci/rescan
    wait_for [ -e "/sys/bus/pci/devices/$EDU0/driver_override" ]
    # What it had is known still.
    works ferry unbind "$EDU0"
    as_it_was
}

test_a_physical_function_keeps_its_virtual_ones() {
    pf=$(basename "$(dirname /sys/bus/pci/devices/*/sriov_totalvfs)")
    works modprobe vfio-pci enable_sriov=1
    works ferry bind "$pf" --driver vfio-pci
    echo 1 >"/sys/bus/pci/devices/$pf/sriov_numvfs"
    works ferry list --no-open --json "${pf%.0}.1"
    says '"virtual": true'
    refused 3 ferry unbind "$pf"
    says "its virtual functions (1) would vanish" "--force"
    [ "$(driver_of "$pf")" = vfio-pci ] || fail "it was touched"
    works ferry unbind --force "$pf"
    [ ! -e "/sys/bus/pci/devices/${pf%.0}.1" ] || fail "the virtual function is still there"
}

test_what_ferry_did_not_bind_is_left_alone() {
    works modprobe vfio-pci
    bind "$EDU0" vfio-pci
    refused 3 ferry unbind "$EDU0"
    says "\`ferry unbind --force $EDU0'"
    [ "$(driver_of "$EDU0")" = vfio-pci ] || fail "it was touched"
    works ferry unbind --force "$EDU0"
    as_it_was
}
