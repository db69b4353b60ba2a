#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The link between two QEMUs breaks in each phase of a migration.

Not with multifd: QEMU, also one without such devices, then waits for ever for a channel now
and then, with its guest standing still (docs/qemu.md).

usage: test_bridge_link.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys
import time

import bridge_move as move
import bridge_rig
from bridge_sides import Sides

VERSION = sys.argv[7]
COPY = "copy,memory=1M"
# Bytes behind the stop after which the link breaks: in the last memory, in the device's
# state, shortly before the end.
AFTER = (1, 20000, 500000)


def quiet(relay):
    """Nothing passes the relay any more."""
    def look():
        before = relay.passed
        time.sleep(0.2)
        return relay.passed == before

    bridge_rig.Rig.wait(look, "the relay is not quiet")


def broken(sides, phase, after=None):
    """The link breaks in a phase; the guest works on at the source."""
    rig = sides.rig
    target = sides.target()
    how = {"capabilities": ["pause-before-switchover"]}
    relay = move.Relay(rig, target.name, move.listen(rig, target, **how),
                       after if phase == "set-up" else None)
    move.begin(sides.source, relay.uri, hold=phase == "pre-copy", **how)
    if phase == "pre-copy":
        move.held(sides.source)
        relay.cut()
        move.release(sides.source)
    elif phase == "switchover":
        rig.wait(lambda: sides.source.call("query-migrate")["status"] == "pre-switchover",
                 "the migration does not come to its switchover")
        quiet(relay)
        relay.cut_in(after)
        sides.source.call("migrate-continue", state="pre-switchover")
    move.stayed(sides.source, target, *sides.work)
    assert relay.over, "the link was cut"


def test_the_guest_stays_when_the_link_breaks(rig):
    sides = Sides(rig, VERSION, {"a": COPY, "b": COPY}, ["copy start pair"])
    broken(sides, "set-up", after=100)
    broken(sides, "pre-copy")
    for after in AFTER:
        broken(sides, "switchover", after)
    sides.moves()


def test_the_guest_stays_when_the_target_is_killed(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target), hold=True)
    move.held(sides.source)
    target.kill()
    move.release(sides.source)
    move.stayed(sides.source, None, *sides.work)
    target = sides.pausing()
    target.kill()
    sides.source.call("migrate-continue", state="pre-switchover")
    move.stayed(sides.source, None, *sides.work)
    sides.moves()


def test_nothing_runs_at_the_target_when_the_source_is_killed(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    target = sides.pausing()
    sides.source.kill()
    rig.wait(lambda: target.gone(0), "the target waits for a dead source")
    rig.wait(lambda: rig.info("acc1"), "its server is not free")


bridge_rig.run([test_the_guest_stays_when_the_link_breaks,
                test_the_guest_stays_when_the_target_is_killed,
                test_nothing_runs_at_the_target_when_the_source_is_killed])
