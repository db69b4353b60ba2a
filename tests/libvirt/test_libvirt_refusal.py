#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libvirt 9 runs a QEMU that is newer than it, and cannot move its guests: docs/libvirt.md.

Its `migrate' has an argument that QEMU 11.1 does not take any more. With a libvirt that does
without, docs/libvirt.md is to be amended.

usage: test_libvirt_refusal.py FERRY CACHE INIT MODULE BRIDGE PEER QEMU
"""
import libvirt_rig
import qemu_rig


def test_the_guest_works_and_stays(rig):
    a, b = rig.host["a"], rig.host["b"]
    for host in a, b:
        host.serve("acc")
    a.virsh("create", rig.domain())
    vm = rig.talk("a").boot()
    qemu_rig.check_crypto(vm)
    vm.guest("copy start host")
    for said in (rig.refused("a", "b"),
                 a.virsh("save", libvirt_rig.NAME, "/run/ferry/guest.save", good=False)):
        assert "'migrate': Parameter 'detach' is unexpected" in said, said
    rig.goes_on(vm, "copy")
    qemu_rig.check_crypto(vm)
    assert a.state() == "running", a.state()
    assert "guest" not in b.virsh("list", "--all", "--name")


libvirt_rig.run([test_the_guest_works_and_stays])
