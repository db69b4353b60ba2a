#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest's stock virtio_crypto driver works with the acc device.

usage: test_qemu_crypto.py FERRY CACHE INIT shared|private
"""
import sys

import qemu_rig as rig_of

SHARED = sys.argv[4] == "shared"


def test_the_stock_driver_encrypts(rig):
    rig.serve("acc", "acc")
    qemu = rig.start("acc", memory=rig_of.SHARED if SHARED else rig_of.PRIVATE).boot()
    address, driver = rig_of.find(qemu.guest("pci"), rig_of.ACC)
    assert driver == "virtio-pci", driver
    # With a file the server reaches the memory itself, without it asks QEMU for each byte.
    assert (rig.mapped("acc") > 0) == SHARED
    before = rig_of.interrupts(qemu, "dataq")
    rig_of.check_crypto(qemu)
    assert rig_of.interrupts(qemu, "dataq") >= before + 2 * len(rig_of.VECTORS)
    # Larger than one page, so that a request has several pieces.
    assert len(qemu.guest("bulk 65536")) == 1
    config = bytes.fromhex(qemu.guest("config " + address)[0])
    assert config[4] & 6 == 6, "memory decoding and bus mastering are on"
    assert qemu.end() == 0
    assert rig.free("acc")["state"] == "RUNNING"


rig_of.run([test_the_stock_driver_encrypts])
