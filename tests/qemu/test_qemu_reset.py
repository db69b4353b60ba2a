#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Resets, reboots, hot plug: the device starts afresh each time.

usage: test_qemu_reset.py FERRY CACHE INIT
"""
import signal

import qemu_rig as rig_of


def test_drivers_and_resets_come_and_go(rig):
    rig.serve("acc", "acc")
    qemu = rig.start("acc").boot()
    address, _ = rig_of.find(qemu.guest("pci"), rig_of.ACC)
    rig_of.check_crypto(qemu)
    qemu.guest("unbind " + address)
    assert rig_of.find(qemu.guest("pci"), rig_of.ACC)[1] == "-"
    qemu.guest("bind " + address)
    rig_of.check_crypto(qemu)
    # The function's own reset, with the driver away as it must be.
    qemu.guest("unbind " + address)
    qemu.guest("reset " + address)
    qemu.guest("bind " + address)
    rig_of.check_crypto(qemu)
    # QEMU resets the machine, with requests in the guest's rings.
    qemu.call("system_reset")
    qemu.boot()
    rig_of.check_crypto(qemu)
    assert rig_of.interrupts(qemu, "dataq") > 0
    assert qemu.end() == 0


def test_a_device_is_plugged_into_a_running_guest(rig):
    rig.serve("acc", "acc")
    qemu = rig.start().boot()
    assert not any(line.split()[1:3] == rig_of.ACC.split() for line in qemu.guest("pci"))
    qemu.call("device_add", driver="vfio-user-pci", id="acc", bus="plug",
              socket={"type": "unix", "path": rig.path("acc")})
    rig.wait(lambda: any(line.split()[1:3] == rig_of.ACC.split() and line.endswith("virtio-pci")
                         for line in qemu.guest("pci")), "the guest does not see it")
    rig.wait(lambda: rig_of.interrupts(qemu, "controlq") > 0, "the driver does not start")
    rig_of.check_crypto(qemu)
    # docs/interop.md states what follows; where a newer QEMU differs it is to be amended.
    qemu.ask("device_del", id="acc")
    assert qemu.process.wait(rig_of.BOOT_S) == -signal.SIGABRT, qemu.said()
    assert rig.free("acc")["state"] == "RUNNING"


rig_of.run([test_drivers_and_resets_come_and_go,
            test_a_device_is_plugged_into_a_running_guest])
