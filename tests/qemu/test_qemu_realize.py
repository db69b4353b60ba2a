#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""QEMU's own vfio-user-pci takes the devices that ferry serves.

usage: test_qemu_realize.py FERRY CACHE INIT
"""
import qemu_rig as rig_of


def function(qemu, slot):
    """QEMU's own view of a PCI function."""
    for bus in qemu.call("query-pci"):
        for device in bus["devices"]:
            if device["slot"] == slot:
                return device
    raise AssertionError(f"nothing in slot {slot}")


def check(rig, qemu, name, slot):
    """QEMU's view of ids and BARs is what the server says."""
    device = function(qemu, slot)
    said = rig.told[name]
    ids = "%04x:%04x" % (device["id"]["vendor"], device["id"]["device"])
    assert ids == said["identity"]["pci"], (ids, said)
    bars = {region["bar"]: region["size"] for region in device["regions"]}
    regions = {region["index"]: region["size"] for region in said["regions"]
               if region["index"] < 6}
    assert bars == regions, (bars, regions)


def test_acc_and_copy_side_by_side(rig):
    rig.told = {}
    for name, model in (("acc", "acc"), ("copy", "copy,memory=1M")):
        rig.serve(name, model)
        rig.told[name] = rig.info(name)
    qemu = rig.start("acc", "copy", guest=False)
    check(rig, qemu, "acc", 2)
    check(rig, qemu, "copy", 3)
    # A second user is refused while QEMU holds the device, and the first does not notice.
    try:
        rig.start("acc", guest=False)
        raise RuntimeError("two QEMUs have one device")
    except AssertionError:
        assert rig.qemus[-1].process.wait(rig_of.END_S) != 0
    reply = qemu.ask("device_add", driver="vfio-user-pci", bus="plug",
                     socket={"type": "unix", "path": rig.path("acc")})
    assert "busy" in reply["desc"], reply
    check(rig, qemu, "acc", 2)
    assert qemu.end() == 0
    for name in ("acc", "copy"):
        assert rig.free(name) == rig.told[name]


def test_a_guest_sees_what_is_served(rig):
    rig.serve("copy", "copy,memory=1M")
    regions = {region["index"]: region["size"] for region in rig.info("copy")["regions"]}
    qemu = rig.start("copy").boot()
    lines = qemu.guest("pci")
    address, driver = rig_of.find(lines, rig_of.COPY)
    assert driver == "-", "nobody has a driver for it"
    seen = sorted(int(end, 16) - int(start, 16) + 1 for start, end in
                  (line.split()[2:4] for line in lines
                   if line.startswith(address + " resource")))
    assert seen == sorted(size for index, size in regions.items() if index < 7), seen
    config = bytes.fromhex(qemu.guest("config " + address)[0])
    assert config[:4] == bytes.fromhex("44fe0f0c"), config.hex()
    assert qemu.end() == 0


def test_a_socket_without_a_server_is_refused(rig):
    qemu = rig.start(guest=False)
    reply = qemu.ask("device_add", driver="vfio-user-pci", bus="plug",
                     socket={"type": "unix", "path": rig.path("nobody")})
    assert "desc" in reply, reply
    assert qemu.call("query-status")["status"] == "running"


rig_of.run([test_acc_and_copy_side_by_side, test_a_guest_sees_what_is_served,
            test_a_socket_without_a_server_is_refused])
