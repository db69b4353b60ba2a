#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Devices are unplugged and plugged in a running guest, by descriptors over QMP.

usage: test_bridge_plug.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys

import bridge_move as move
import bridge_rig
import qemu_rig
from bridge_token import hand_over, token

VERSION = sys.argv[7]


def plug(rig, vm, server, name):
    """A fresh token for a server goes to QEMU, and the device into the guest."""
    hand_over(vm, name, token(rig.library, rig.path(server), rig.path(vm.name + ".plug.log")))
    iommu = next(item["name"] for item in vm.call("qom-list", path="/objects")
                 if item["type"] == "child<iommufd>")
    vm.call("device_add", driver="vfio-pci", id="acc", bus="plug", fd=name, iommufd=iommu)
    rig.wait(lambda: any(line.split()[1:3] == qemu_rig.ACC.split() and
                         line.endswith("virtio-pci") for line in vm.guest("pci")),
             "the guest does not see it")
    rig.wait(lambda: vm.guest("irqs controlq"), "the driver does not start")


def test_a_device_goes_and_another_comes(rig):
    for name in "acc0", "acc1", "acc2":
        rig.serve(name, "acc")
    vm = rig.start("vm0", ["acc0,bus=plug"], VERSION).boot()
    qemu_rig.check_crypto(vm)
    for number, server in enumerate(("acc1", "acc0")):
        vm.call("device_del", id="acc")
        vm.wait_event("DEVICE_DELETED")
        rig.wait(lambda number=number: rig.info(f"acc{number}"), "its server is not free")
        assert not any(line.split()[1:3] == qemu_rig.ACC.split() for line in vm.guest("pci"))
        plug(rig, vm, server, f"token{number}")
        assert rig.info(server) is None, "its server is busy"
        qemu_rig.check_crypto(vm)
    vm.guest("crypto start")
    target = rig.start("vm1", ["acc2,bus=plug"], VERSION, incoming=True)
    move.move(rig, vm, target)
    rig.goes_on(target, "crypto")
    qemu_rig.check_crypto(target)
    rig.end(target)


def test_a_server_that_is_not_there_is_refused(rig):
    rig.serve("acc0", "acc")
    vm = rig.start("vm0", ["acc0"], VERSION, args=["-S"])
    hand_over(vm, "nobody", token(rig.library, rig.path("nobody"), rig.path("nobody.log")))
    iommu = next(item["name"] for item in vm.call("qom-list", path="/objects")
                 if item["type"] == "child<iommufd>")
    reply = vm.ask("device_add", driver="vfio-pci", id="none", bus="plug", fd="nobody",
                   iommufd=iommu)
    assert "desc" in reply, reply
    hand_over(vm, "taken", token(rig.library, rig.path("acc0"), rig.path("nobody.log")))
    reply = vm.ask("device_add", driver="vfio-pci", id="none", bus="plug", fd="taken",
                   iommufd=iommu)
    assert "desc" in reply, reply
    assert vm.status() == "prelaunch"
    rig.end(vm)


bridge_rig.run([test_a_device_goes_and_another_comes,
                test_a_server_that_is_not_there_is_refused])
