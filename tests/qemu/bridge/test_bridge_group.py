#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Devices by VFIO's groups and a container: QEMU 7.2 knows nothing else, later ones can.

usage: test_bridge_group.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import os
import re
import sys

import bridge_move as move
import bridge_rig
import qemu_rig
from bridge_token import send, token

VERSION = sys.argv[7]
OLD = VERSION == "7.2"
GROUPS = [] if OLD else ["--groups"]
COPY = "copy,memory=1M"
FIRST = 1000000000  # of group numbers; a token's descriptor is added


def folder(vm, name):
    """What ferry qemu gave to QEMU as the device's folder in sysfs."""
    return re.search(r"id=%s,sysfsdev=([^,\s]+)" % name, vm.said())[1]


def mapped(rig, name):
    """Has the server mapped the guest's memory?"""
    with open(f"/proc/{rig.server[name].pid}/maps", encoding="utf-8") as maps:
        return "memory-backend-memfd" in maps.read()


def comes(rig, vm):
    """Waits until the guest works with a device that was plugged in."""
    rig.wait(lambda: any(line.split()[1:3] == qemu_rig.ACC.split() and
                         line.endswith("virtio-pci") for line in vm.guest("pci")),
             "the guest does not see it")
    rig.wait(lambda: vm.guest("irqs controlq"), "the driver does not start")
    qemu_rig.check_crypto(vm)


def test_devices_of_a_container_work_and_one_goes_and_comes(rig):
    rig.serve("acc0", "acc")
    rig.serve("a0", COPY)
    vm = rig.start("vm0", ["acc0,bus=plug", "a0"], VERSION, options=GROUPS).boot()
    qemu_rig.check_crypto(vm)
    vm.guest("copy start storm")
    rig.goes_on(vm, "copy")
    assert mapped(rig, "acc0") and mapped(rig, "a0")
    device = {"driver": "vfio-pci", "sysfsdev": folder(vm, "acc"), "bus": "plug"}
    reply = vm.ask("device_add", id="more", **device)
    assert "already" in reply["desc"], reply
    for _ in range(2):
        vm.call("device_del", id="acc")
        vm.wait_event("DEVICE_DELETED")
        rig.wait(lambda: rig.info("acc0"), "its server is not free")
        rig.goes_on(vm, "copy")
        vm.call("device_add", id="acc", **device)
        comes(rig, vm)
    rig.goes_on(vm, "copy")
    rig.end(vm)


def test_another_device_is_plugged_by_its_number(rig):
    rig.serve("acc0", "acc")
    rig.serve("a0", COPY)
    vm = rig.start("vm0", ["a0"], VERSION, options=GROUPS).boot()
    fd = send(vm, token(rig.library, rig.path("acc0"), rig.path("vm0.plug.log")), "add-fd")["fd"]
    os.mkdir(rig.path("acc"))
    os.symlink(f"/sys/kernel/iommu_groups/{FIRST + fd}", rig.path("acc/iommu_group"))
    vm.call("device_add", driver="vfio-pci", id="acc", bus="plug", sysfsdev=rig.path("acc"))
    comes(rig, vm)
    os.remove(rig.path("acc/iommu_group"))
    os.rmdir(rig.path("acc"))
    rig.end(vm)


def test_a_check_says_what_a_group_comes_to(rig):
    rig.serve("acc0", "acc")
    out = rig.check(["acc0"], VERSION, *GROUPS)
    assert out.returncode == 0 and "Nothing keeps this QEMU" in out.stdout, out.stdout
    rig.end_server("acc0")
    out = rig.check(["acc0"], VERSION, *GROUPS)
    assert out.returncode == 3 and "cannot be opened" in out.stdout, out.stdout


def test_devices_move_by_groups_and_without(rig):
    for side in "01":
        for name in "a", "b":
            rig.serve(name + side, COPY)
    vm = rig.start("vm0", ["a0", "b0"], VERSION, options=GROUPS).boot()
    assert "blocked-reasons" not in vm.call("query-migrate")
    vm.guest("copy start pair")
    for number, options in enumerate((GROUPS, [], GROUPS), 1):
        rig.goes_on(vm, "copy")
        target = rig.start(f"vm{number}", [f"a{number % 2}", f"b{number % 2}"], VERSION,
                           incoming=True, options=options)
        move.move(rig, vm, target)
        vm = target
    rig.goes_on(vm, "copy")
    vm.guest("copy stop")
    rig.end(vm)


def wrong_pages(rig, dirty, *filters):
    """Pages that were written during a migration, and how many arrived as they were before.

    Since 8.1 QEMU wants the device's own log, or to be told that it shall migrate all the same.
    """
    rig.serve_again("a0", COPY, *filters)
    rig.serve_again("a1", COPY)
    vm = rig.start("vm0" + dirty, ["a0,qemu.enable-migration=on,dirty=" + dirty], VERSION, options=GROUPS).boot()
    target = rig.start("vm1" + dirty, ["a1"], VERSION, incoming=True, options=GROUPS)
    vm.guest("dirty fill 1")
    move.begin(vm, move.listen(rig, target), hold=True)
    move.held(vm)
    vm.guest("dirty fill 2")
    move.release(vm)
    move.moved(vm, target)
    said = target.guest("dirty check 2")
    rig.end(target)
    return [int(word.split("=")[1]) for word in said[0].split()[1:3]]


def test_the_container_tells_what_a_device_wrote(rig):
    pages, wrong = wrong_pages(rig, "iommu")
    assert pages >= 8 and wrong == 0, (pages, wrong)


def test_the_guest_finds_what_the_containers_log_loses(rig):
    pages, wrong = wrong_pages(rig, "iommu", "--filter", "lose=any")
    assert wrong == pages, (pages, wrong)


def test_beside_a_viommu_an_old_qemu_works_and_stays(rig):
    rig.serve("acc0", "acc")
    vm = rig.start("vm0", ["acc0"], VERSION, args=["-device", "intel-iommu,caching-mode=on"],
                   kernel="intel_iommu=on iommu.strict=1 ").boot()
    qemu_rig.check_crypto(vm)
    assert "vIOMMU" in vm.said(), vm.said()
    reply = vm.ask("migrate", uri="unix:" + rig.path("nobody"))
    assert "doesn't support migration" in reply["desc"], reply
    rig.end(vm)


bridge_rig.run([test_devices_of_a_container_work_and_one_goes_and_comes,
                test_another_device_is_plugged_by_its_number,
                test_a_check_says_what_a_group_comes_to,
                *([test_beside_a_viommu_an_old_qemu_works_and_stays] if OLD else
                  [test_devices_move_by_groups_and_without,
                   test_the_container_tells_what_a_device_wrote,
                   test_the_guest_finds_what_the_containers_log_loses])])
