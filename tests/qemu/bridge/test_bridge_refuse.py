#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Devices that refuse, on either side, and targets that are not the same device.

usage: test_bridge_refuse.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys

import bridge_move as move
import bridge_rig
from bridge_sides import Sides

VERSION = sys.argv[7]


def refused(sides, *server, said=()):
    """A migration to such a server fails; the guest works on at the source."""
    if server:
        sides.rig.serve_again("acc1", *server)
    target = sides.target()
    move.begin(sides.source, move.listen(sides.rig, target))
    move.stayed(sides.source, target, *sides.work)
    log = target.said() + sides.rig.bridge_said(target)
    assert any(text in log for text in said) or not said, log


def test_a_target_that_refuses_leaves_the_guest_where_it_is(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    for spec in ("error=resuming:ENOMEM", "error=write:EIO@1", "corrupt=write@1",
                 "error=stop:EIO", "error=set_state:EBUSY"):
        refused(sides, "acc", "--filter", spec)
    rig.serve_again("acc1", "acc")
    sides.moves()


def test_a_target_that_is_something_else_is_refused(rig):
    sides = Sides(rig, VERSION, {"acc": "acc,sessions=64"}, ["crypto start"])
    refused(sides, "copy,memory=64K")
    refused(sides, "acc,sessions=8", said=["sessions"])
    refused(sides, "acc,queues=2")
    rig.serve_again("acc1", "acc,sessions=128")
    sides.moves()


def test_a_source_that_refuses_goes_on(rig):
    # QEMU 7.2 hears of no log that fails: everything counts as written.
    faults = ([] if VERSION == "7.2" else ["log_start:EIO@1"]) + ["pre_copy:EIO@1", "read:EIO@2"]
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"],
                  [word for fault in faults for word in ("--filter", "error=" + fault)])
    for _ in faults:
        refused(sides)
    sides.moves()


def test_a_source_that_does_not_stop_keeps_its_state(rig):
    # QEMU resets a device whose change of state fails; the bridge takes it back instead.
    for model, work in (("acc", "crypto start"), ("copy,memory=1M", "copy start")):
        sides = Sides(rig, VERSION, {"acc": model}, [work],
                      ["--filter", "error=stop_copy:EIO@1"], first=0 if model == "acc" else 10)
        refused(sides)
        assert "STOP_COPY" in rig.bridge_said(sides.source)
        sides.moves()


def test_a_source_that_cannot_go_back_either_stops_its_guest(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"],
                  ["--filter", "error=stop_copy:EIO@1", "--filter", "error=running:EIO@1"])
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target))
    assert move.over(sides.source)["status"] == "failed"
    target.kill()
    rig.wait(lambda: sides.source.status() == "internal-error",
             "the guest runs with a device that has lost its state")
    sides.restart()
    sides.moves()


def test_a_target_that_does_not_run_is_not_silent(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    rig.serve_again("acc1", "acc", "--filter", "error=running:EIO")
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target))
    assert move.over(sides.source)["status"] == "completed"
    target.ask("cont")
    # The state was taken, so the guest left; it must not run with a device that does not.
    rig.wait(lambda: target.status() in (None, "internal-error", "io-error", "paused"),
             f"the target runs without its device: {target.status()}")
    assert "RUNNING" in rig.bridge_said(target) + target.said()


bridge_rig.run([test_a_target_that_refuses_leaves_the_guest_where_it_is,
                test_a_target_that_is_something_else_is_refused,
                test_a_source_that_refuses_goes_on,
                test_a_source_that_does_not_stop_keeps_its_state,
                test_a_source_that_cannot_go_back_either_stops_its_guest,
                test_a_target_that_does_not_run_is_not_silent])
