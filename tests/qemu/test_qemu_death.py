#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""QEMU or the server is killed in the middle.

usage: test_qemu_death.py FERRY CACHE INIT
"""
import signal

import qemu_rig as rig_of


def test_after_a_killed_qemu_the_next_client_finds_a_fresh_device(rig):
    rig.serve("acc", "acc")
    fresh = rig.info("acc")
    qemu = rig.start("acc").boot()
    rig_of.check_crypto(qemu)
    # Requests are in flight.
    qemu.send("bulk 65536")
    qemu.process.kill()
    qemu.process.wait()
    assert rig.free("acc") == fresh
    assert rig.mapped("acc") == 0, "nothing of the dead guest's memory is held"
    qemu = rig.start("acc").boot()
    rig_of.check_crypto(qemu)
    assert qemu.end() == 0


def test_qemu_and_guest_outlive_the_server_until_a_reset(rig):
    rig.serve("acc", "acc")
    qemu = rig.start("acc").boot()
    rig_of.check_crypto(qemu)
    rig.server["acc"].kill()
    rig.server["acc"].wait()
    # docs/interop.md states what follows; where a newer QEMU differs it is to be amended.
    assert qemu.call("query-status")["status"] == "running"
    assert rig_of.interrupts(qemu, "dataq") > 0, "the guest goes on"
    qemu.tell("system_reset")
    assert qemu.process.wait(rig_of.END_S) == -signal.SIGABRT, qemu.said()
    assert "DMA mapping failed" in qemu.said()


rig_of.run([test_after_a_killed_qemu_the_next_client_finds_a_fresh_device,
            test_qemu_and_guest_outlive_the_server_until_a_reset])
