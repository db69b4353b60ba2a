#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots of a running guest: it goes back to where it was, and works on from there.

usage: test_bridge_snapshot.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys

import bridge_rig
import qemu_rig
from bridge_sides import Sides

VERSION = sys.argv[7]
DISK_BYTES = 1 << 30
MORE = 20


def job(vm, command, **arguments):
    """One of QEMU's jobs, to its end."""
    vm.call(command, **{"job-id": "job"}, **arguments)

    def done():
        found = vm.call("query-jobs")[0]
        return found if found["status"] == "concluded" else None

    found = bridge_rig.Rig.wait(done, command + " does not end")
    vm.call("job-dismiss", id="job")
    assert "error" not in found, (command, found)


def disk(rig, vm):
    """An image in which QEMU can keep snapshots."""
    path = rig.path("disk")
    job(vm, "blockdev-create", options={"driver": "file", "filename": path, "size": 0})
    vm.call("blockdev-add", **{"driver": "file", "filename": path, "node-name": "file"})
    job(vm, "blockdev-create", options={"driver": "qcow2", "file": "file", "size": DISK_BYTES})
    vm.call("blockdev-add", **{"driver": "qcow2", "file": "file", "node-name": "disk"})


def ticks(vm):
    """Is the work going on that began after the snapshot?"""
    try:
        return "running=1" in vm.guest("tick status")[0]
    except qemu_rig.Failed as why:
        assert "never started" in str(why), why
        return False


def goes_back(rig, devices, name, *work):
    """Saved, worked on, loaded, twice; and a live migration is still possible."""
    sides = Sides(rig, VERSION, devices, work)
    vm = sides.source
    disk(rig, vm)
    job(vm, "snapshot-save", tag="then", vmstate="disk", devices=["disk"])
    for _ in range(2):
        assert not ticks(vm), "it went back"
        vm.guest("tick start")
        rig.goes_on(vm, name, "tick", more=MORE)
        job(vm, "snapshot-load", tag="then", vmstate="disk", devices=["disk"])
        rig.wait(lambda: vm.status() == "running", "the guest does not run")
        rig.goes_on(vm, name)
    assert not ticks(vm), "it went back"
    vm.call("blockdev-del", **{"node-name": "disk"})
    sides.moves()


def test_crypto_goes_back_and_on(rig):
    goes_back(rig, {"acc": "acc"}, "crypto", "crypto start")


def test_copies_go_back_and_on(rig):
    goes_back(rig, {"a": "copy,memory=1M", "b": "copy,memory=1M"}, "copy", "copy start pair")


bridge_rig.run([test_crypto_goes_back_and_on, test_copies_go_back_and_on])
