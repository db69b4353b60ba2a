#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest's stock virtio_crypto encrypts while the guest moves back and forth.

usage: test_bridge_acc.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU QEMU (versions, source first)
"""
import sys

import bridge_move as move
import bridge_rig
import qemu_rig

VERSION = sys.argv[7:9]
MIXED = VERSION[0] != VERSION[1]
MACHINE = bridge_rig.MACHINE_OF_BOTH if MIXED else "q35"
# Other versions may have another form of the device data's packets; 7.2 has none.
PLAN = (("unix", False), ("tcp", False)) if MIXED or VERSION[0] == "7.2" else (
    ("unix", False), ("tcp", False), ("unix", True), ("tcp", True))


def test_crypto_goes_on_while_the_guest_moves(rig):
    for name in "acc0", "acc1":
        rig.serve(name, "acc")
    vm = rig.start("vm0", ["acc0"], VERSION[0], MACHINE).boot()
    assert qemu_rig.find(vm.guest("pci"), qemu_rig.ACC)[1] == "virtio-pci"
    qemu_rig.check_crypto(vm)
    vm.guest("crypto start")
    rig.goes_on(vm, "crypto")
    for number, (kind, multifd) in enumerate(PLAN, 1):
        side = number % 2
        before = vm.works("crypto")[0][1]["works"]
        interrupts = qemu_rig.interrupts(vm, "dataq")
        target = rig.start(f"vm{number}", [f"acc{side}"], VERSION[side], MACHINE, incoming=True)
        info = move.move(rig, vm, target, kind, multifd=multifd)
        assert vm.process.returncode == 0
        vm = target
        rig.goes_on(vm, "crypto")
        assert vm.works("crypto")[0][1]["works"] > before, "it counts on"
        assert qemu_rig.interrupts(vm, "dataq") > interrupts
        print(f"{kind} multifd={multifd}: {info['total-time']} ms, downtime "
              f"{info['downtime']} ms, {move.state_bytes(info)} bytes of device state")
        rig.wait(lambda side=side: rig.info(f"acc{1 - side}"), "the source's server is not free")
    qemu_rig.check_crypto(vm)
    vm.guest("crypto stop")
    rig.end(vm)


bridge_rig.run([test_crypto_goes_on_while_the_guest_moves])
