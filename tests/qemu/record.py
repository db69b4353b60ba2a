#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Records the transcripts of QEMU that `make check` replays (docs/transcripts.md).

To be run by hand when a new QEMU comes: scripts/qemu-record.

usage: record.py FERRY CACHE INIT FOLDER
"""
import os
import shutil
import sys

import qemu_rig as rig_of


def realize(rig, model):
    """QEMU takes the device, resets it, and ends."""
    trace = rig.path("trace")
    rig.serve(model, model, "--record", trace)
    qemu = rig.start(model, guest=False)
    qemu.call("system_reset")
    qemu.call("query-pci")
    assert qemu.end() == 0
    return trace


def messages(rig):
    """A guest's driver starts, and two requests are made, all DMA by messages."""
    trace = rig.path("trace")
    rig.serve("acc", "acc", "--record", trace)
    # Without the kernel's own tests of its drivers, which are hundreds of requests.
    qemu = rig.start("acc", memory=rig_of.PRIVATE, kernel="cryptomgr.notests").boot()
    key, iv, plain, coded = rig_of.VECTORS[0]
    assert qemu.guest(f"encrypt {key} {iv} {plain}") == [coded]
    assert qemu.guest(f"decrypt {key} {iv} {coded}") == [plain]
    assert qemu.end() == 0
    return trace


CASES = (("acc-qemu-11.1-realize", lambda rig: realize(rig, "acc")),
         ("copy-qemu-11.1-realize", lambda rig: realize(rig, "copy")),
         ("acc-qemu-11.1-messages", messages))

for case, record in CASES:
    with rig_of.Rig(*sys.argv[1:4]) as one:
        path = record(one)
        for server in one.server.values():
            server.terminate()
            server.wait()
        target = os.path.join(sys.argv[4], case + ".trc")
        shutil.copy(path, target)
        print(target, os.path.getsize(target), "bytes")
