# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: check
# ferry check finds nothing wrong with the reference driver, whichever way the device is reached.

# limit: 900
test_the_reference_driver_by_devices_of_their_own_and_iommufd() {
    works load_edu
    load_mtty
    works ferry check "vfio:$EDU0" --partner "vfio:$EDU1" --foreign "vfio:$MTTY0" \
        --driver edu --destructive --quiet
}
