#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Migrations that are cancelled in each phase, and a real one after them.

usage: test_bridge_cancel.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys
import time

import bridge_move as move
import bridge_rig
import qemu_rig
from bridge_sides import Sides, cancel_says

VERSION = sys.argv[7]
COPY = "copy,memory=1M"
HOLD_S = 1
HOLD = ["--filter", f"delay=pre_copy:{HOLD_S}s@1"]


def each_phase(sides):
    """Cancelled in set-up, pre-copy, before the switchover, and during it."""
    target = sides.target()
    move.begin(sides.source, move.listen(sides.rig, target), hold=True)
    # The first change of state is held by a filter, so this is the set-up. Not at once: a
    # QEMU that is cancelled in the moment of the connection may wait for its peer for ever.
    time.sleep(HOLD_S / 3)
    sides.cancelled(target)
    target = sides.target()
    move.begin(sides.source, move.listen(sides.rig, target), hold=True)
    move.held(sides.source)
    sides.cancelled(target)
    target = sides.pausing()
    assert sides.source.status() != "running"
    sides.cancelled(target)
    assert "pre-switchover" in move.statuses(sides.source)


def test_crypto_goes_on_after_each_cancel(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], HOLD)
    each_phase(sides)
    sides.moves()


def test_copies_go_on_after_each_cancel(rig):
    sides = Sides(rig, VERSION, {"a": COPY, "b": COPY}, ["copy start pair"], HOLD)
    each_phase(sides)
    sides.moves()


def test_a_cancel_while_the_device_is_saved_leaves_one_guest(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"],
                  ["--filter", "delay=stop_copy:2s@1"])
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target))
    rig.wait(lambda: "device" in move.statuses(sides.source) or
             sides.source.call("query-migrate")["status"] in bridge_rig.MIGRATION_OVER,
             "no device phase")
    sides.source.ask("migrate_cancel")
    info = move.over(sides.source)
    if info["status"] == "completed":  # it came too late
        move.moved(sides.source, target)
        rig.goes_on(target, "crypto")
        qemu_rig.check_crypto(target)
        return
    move.stayed(sides.source, target, "crypto", status=cancel_says(VERSION))
    sides.moves()


bridge_rig.run([test_crypto_goes_on_after_each_cancel, test_copies_go_on_after_each_cancel,
                test_a_cancel_while_the_device_is_saved_leaves_one_guest])
