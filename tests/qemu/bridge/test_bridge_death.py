#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Servers that are killed or fall silent in each phase of a migration, on either side.

usage: test_bridge_death.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU source|silence
"""
import signal
import sys
import time

import bridge_move as move
import bridge_rig
from bridge_sides import Sides

VERSION = sys.argv[7]
SILENCE_MS = 1000
# With that limit for the server: what a monitor may take until it answers.
PATIENCE_S = 20
OLD_S = 1
PHASES = ("running", "pre-copy", "switchover")


def bring_to(sides, phase):
    """Begins a migration and holds it in a phase: its target; None when it runs."""
    if phase == "running":
        return None
    if phase == "switchover":
        return sides.pausing()
    target = sides.target()
    move.begin(sides.source, move.listen(sides.rig, target), hold=True)
    move.held(sides.source)
    return target


def carry_on(sides, phase):
    """Lets the migration go on."""
    info = sides.source.call("query-migrate")
    if phase == "pre-copy" and info["status"] not in bridge_rig.MIGRATION_OVER:
        move.release(sides.source)
    elif info["status"] == "pre-switchover":
        sides.source.call("migrate-continue", state="pre-switchover")


def lost(sides, target, phase):
    """The source's device is gone: no migration succeeds, QEMU lives, and it is said."""
    rig = sides.rig
    if target is not None:
        carry_on(sides, phase)
        info = move.over(sides.source)
        assert info["status"] == "failed", info
        # QEMU 7.2 keeps the connection of a migration that failed: its target waits on.
        assert target.gone(OLD_S if target.is_old else bridge_rig.MOVE_S) or (
            target.status() == "inmigrate")
        target.kill()
    began = time.monotonic()
    assert sides.source.status() is not None
    assert time.monotonic() - began < PATIENCE_S
    # Nothing moves a guest whose device is lost.
    target = sides.target()
    reply = sides.source.ask("migrate", uri=move.listen(rig, target))
    if "desc" not in reply:
        info = move.over(sides.source)
        assert info["status"] == "failed", info
    target.kill()
    log = rig.bridge_said(sides.source)
    assert "the device's server is lost" in log, log


def test_a_killed_server_at_the_source(rig):
    for number, phase in enumerate(PHASES):
        sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], first=10 * number)
        target = bring_to(sides, phase)
        rig.end_server("acc0")
        lost(sides, target, phase)
        rig.serve("acc0", "acc")
        sides.restart()
        sides.moves()


def test_a_silent_server_at_the_source(rig):
    for number, phase in enumerate(PHASES):
        sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], timeout=SILENCE_MS,
                      first=10 * number)
        target = bring_to(sides, phase)
        rig.server["acc0"].send_signal(signal.SIGSTOP)
        lost(sides, target, phase)
        rig.server["acc0"].send_signal(signal.SIGCONT)
        sides.restart()
        sides.moves()


def test_a_server_that_comes_back_does_not_pass_for_the_old_one(rig):
    for number, phase in enumerate(PHASES[1:]):
        sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], first=10 * number)
        target = bring_to(sides, phase)
        rig.serve_again("acc0", "acc")
        carry_on(sides, phase)
        info = move.over(sides.source)
        assert info["status"] == "failed", info
        target.kill()
        # The guest's driver knows nothing of a new device: it is stopped, or the old one is
        # still as dead as it was.
        rig.wait(lambda sides=sides: sides.source.status() == "internal-error" or
                 rig.info("acc0"), f"{phase}: the guest runs on with a new device")
        sides.restart()
        sides.moves()


def test_a_killed_or_silent_server_at_the_target(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], timeout=SILENCE_MS)
    for phase in PHASES[1:]:
        for how in signal.SIGKILL, signal.SIGSTOP:
            target = bring_to(sides, phase)
            rig.server["acc1"].send_signal(how)
            carry_on(sides, phase)
            move.stayed(sides.source, target, *sides.work)
            said = rig.bridge_said(target)
            # A silent one may be met at its data descriptor, which has a limit of its own.
            assert "the device's server is lost" in said or (
                how == signal.SIGSTOP and "no data from the server within" in said), said
            rig.serve_again("acc1", "acc")
    sides.moves()


TESTS = {"source": [test_a_killed_server_at_the_source,
                    test_a_server_that_comes_back_does_not_pass_for_the_old_one],
         "silence": [test_a_silent_server_at_the_source,
                     test_a_killed_or_silent_server_at_the_target]}
bridge_rig.run(TESTS[sys.argv[8]])
