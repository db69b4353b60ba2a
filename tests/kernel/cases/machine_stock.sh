# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: stock
# Debian's kernel as it is: without iommufd and devices' own character devices.

test_a_kernel_without_character_devices_has_groups() {
    works ferry bind "$EDU0"
    says "$EDU0 has the driver edu-vfio-pci" "its URI is vfio-group:$EDU0"
    works ferry list "$EDU0"
    says "v2 STOP_COPY P2P PRE_COPY"
    # Logging starts there and cannot report.
    says_not "dirty-log"
    refused 1 ferry info "vfio:$EDU0"
    says "has no character device" "use vfio-group:$EDU0"
    works ferry info "vfio-group:$EDU0"
    works ferry unbind "$EDU0"
    says "$EDU0 has no driver"
}
