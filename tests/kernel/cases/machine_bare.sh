# shellcheck shell=sh
# SPDX-License-Identifier: BSD-3-Clause
# boot: bare
# A machine without an IOMMU.

test_a_machine_without_iommu_says_how_to_turn_it_on() {
    works ferry list
    says "No device of this machine is in an IOMMU group" "intel_iommu=on"
    works ferry list "$EDU0"
    says "no: it is in no IOMMU group" "intel_iommu=on"
    refused 3 ferry bind "$EDU0"
    says "$EDU0 is in no IOMMU group" "intel_iommu=on"
    [ -z "$(driver_of "$EDU0")" ] || fail "it has a driver"
    refused 1 ferry info "vfio:$EDU0"
    says "$EDU0 is in no IOMMU group" "intel_iommu=on"
    refused 1 ferry info "vfio-group:$EDU0"
    says "$EDU0 is in no IOMMU group" "intel_iommu=on"
}
