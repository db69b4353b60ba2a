#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guests that are stopped and continued around a migration, and QEMUs that shut themselves in.

usage: test_bridge_life.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import os
import sys

import bridge_move as move
import bridge_rig
import qemu_rig
from bridge_sides import Sides

VERSION = sys.argv[7]
SANDBOX = ["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"]
OLD = VERSION == "7.2"
NOBODY = ["-runas", "nobody"] if OLD else ["-run-with", "user=nobody"]


def stop_and_cont(rig, vm, *work):
    """The guest stands still, and works on."""
    vm.call("stop")
    assert vm.status() == "paused"
    vm.call("cont")
    assert vm.status() == "running"
    rig.goes_on(vm, *work)


def test_a_paused_guest_moves_and_goes_on_there(rig):
    sides = Sides(rig, VERSION, {"a": "copy,memory=1M", "b": "copy,memory=1M"},
                  ["copy start pair"])
    vm = sides.source
    stop_and_cont(rig, vm, "copy")
    vm.call("stop")
    target = sides.target()
    move.begin(vm, move.listen(rig, target))
    info = move.over(vm)
    assert info["status"] == "completed", info
    rig.wait(lambda: target.status() == "paused", "the target is not paused")
    vm.end()
    target.call("cont")
    rig.goes_on(target, "copy")
    stop_and_cont(rig, target, "copy")
    rig.end(target)


def test_a_guest_is_paused_during_a_migration(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    vm = sides.source
    # docs/qemu.md states what follows; where a newer QEMU differs it is to be amended: one
    # that goes on before the migration is over makes QEMU give the migration up.
    target = sides.target()
    move.begin(vm, move.listen(rig, target), hold=True)
    move.held(vm)
    stop_and_cont(rig, vm, "crypto")
    move.release(vm)
    move.stayed(vm, target, "crypto")
    # The second is QEMU 7.2's word, for the bridge refuses it a second session.
    assert "data_fd out of sync" in vm.said() or "state STOP and SAVING" in vm.said()
    target = sides.target()
    move.begin(vm, move.listen(rig, target), hold=True)
    move.held(vm)
    vm.call("stop")
    move.release(vm)
    assert move.over(vm)["status"] == "completed"
    rig.wait(lambda: target.status() == "paused", "the target is not paused")
    target.call("cont")
    rig.goes_on(target, "crypto")
    rig.end(target)


def test_the_guest_comes_back_where_its_target_was_never_started(rig):
    # What a manager does whose target dies when all was sent: the source has everything yet.
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target))
    info = move.over(sides.source)
    assert info["status"] == "completed", info
    target.kill()
    assert sides.source.status() == "postmigrate"
    sides.source.call("cont")
    rig.goes_on(sides.source, "crypto")
    sides.moves()


def test_a_guest_that_starts_again_during_a_migration_is_not_torn(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    target = sides.target()
    move.begin(sides.source, move.listen(rig, target), hold=True)
    move.held(sides.source)
    sides.restart()
    move.release(sides.source)
    info = move.over(sides.source)
    if info["status"] == "completed":
        move.moved(sides.source, target)
        rig.goes_on(target, "crypto")
        qemu_rig.check_crypto(target)
        return
    move.stayed(sides.source, target, "crypto")
    sides.moves()


def test_memory_without_a_file_moves_as_well(rig):
    # Every access of the device is a message then.
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"], options=["--keep-memory"])
    assert "by messages" in rig.bridge_said(sides.source) + sides.source.said()
    sides.moves()


def test_a_guest_rests_in_a_file(rig):
    sides = Sides(rig, VERSION, {"acc": "acc"}, ["crypto start"])
    path = rig.path("guest")
    move.begin(sides.source, "exec:cat >" + path if OLD else "file:" + path, one_way=True)
    assert move.over(sides.source)["status"] == "completed"
    sides.source.end()
    target = sides.target()
    move.configure(target, one_way=True)
    target.call("migrate-incoming", uri="exec:cat " + path if OLD else "file:" + path)
    rig.wait(lambda: target.status() == "paused", "the guest is not back")
    target.call("cont")
    rig.goes_on(target, "crypto")
    qemu_rig.check_crypto(target)
    rig.end(target)


def arrives(rig, vm, name, server, *args):
    """The guest moves to a QEMU with these arguments: that QEMU."""
    target = rig.start(name, [server], VERSION, incoming=True, args=args)
    move.begin(vm, move.listen(rig, target, "tcp"))
    assert move.over(vm)["status"] == "completed"
    rig.wait(lambda: target.status() == "running", "the target does not run")
    assert vm.status() == "postmigrate"
    vm.tell("quit")
    rig.goes_on(target, "crypto")
    qemu_rig.check_crypto(target)
    return target


def test_a_guest_moves_from_a_daemon_to_a_sandbox_to_nobody(rig):
    os.chmod(rig.folder, 0o755)
    for name in "acc0", "acc1", "acc2":
        rig.serve(name, "acc")
    # QEMU itself does not become a daemon with the other two denied.
    vm = rig.start("vm0", ["acc0"], VERSION,
                   args=["-daemonize", "-sandbox", "on,obsolete=deny,resourcecontrol=deny"])
    assert vm.process.wait(qemu_rig.END_S) == 0, "the first process has ended"
    vm.boot()
    vm.guest("crypto start")
    rig.goes_on(vm, "crypto")
    vm = arrives(rig, vm, "vm1", "acc1", *SANDBOX)
    if os.getuid() == 0:
        vm = arrives(rig, vm, "vm2", "acc2", *NOBODY)
        with open(f"/proc/{vm.pid()}/status", encoding="utf-8") as status:
            assert "\nUid:\t65534" in status.read()
    rig.end(vm)


bridge_rig.run([test_a_paused_guest_moves_and_goes_on_there,
                test_a_guest_is_paused_during_a_migration,
                test_the_guest_comes_back_where_its_target_was_never_started,
                test_a_guest_that_starts_again_during_a_migration_is_not_torn,
                test_memory_without_a_file_moves_as_well,
                test_a_guest_rests_in_a_file,
                test_a_guest_moves_from_a_daemon_to_a_sandbox_to_nobody])
