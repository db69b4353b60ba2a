#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Several devices in one guest: DMA, interrupts, peer to peer; and who keeps them from moving.

usage: test_bridge_copy.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys

import bridge_move as move
import bridge_rig
import qemu_rig

VERSION = sys.argv[7]
COPY = "copy,memory=1M"


def there_and_back(rig, vm, devices, work, **how):
    """Moves by other servers and back, while the work goes on."""
    rig.goes_on(vm, *work)
    plan = ((False, []), (True, []), (False, [] if vm.is_old else ["switchover-ack"]))
    for number, (multifd, more) in enumerate(plan, 1):
        side = number % 2
        target = rig.start(f"vm{number}", [name + str(side) for name in devices], VERSION,
                           incoming=True, **how)
        info = move.move(rig, vm, target, multifd=multifd, capabilities=more)
        vm = target
        rig.goes_on(vm, *work)
        print(f"multifd={multifd} {more}: {info['total-time']} ms, downtime "
              f"{info['downtime']} ms, {move.state_bytes(info)} bytes of device state")
    return vm


def test_two_engines_reach_each_other_before_and_after(rig):
    for side in "01":
        for name in "a", "b":
            rig.serve(name + side, COPY)
    vm = rig.start("vm0", ["a0", "b0"], VERSION).boot()
    assert "blocked-reasons" not in vm.call("query-migrate")
    vm.guest("copy start pair")
    vm = there_and_back(rig, vm, "ab", ["copy"])
    for worker, keys in vm.works("copy"):
        assert keys["interrupts"] > 0 and keys["completed"] > 0, (worker, keys)
    vm.guest("copy stop")
    rig.end(vm)


def test_acc_and_two_engines_move_without_peers(rig):
    for side in "01":
        rig.serve("acc" + side, "acc")
        for name in "a", "b":
            rig.serve(name + side, COPY)
    options = ["--no-peer-maps"]
    vm = rig.start("vm0", ["acc0", "a0", "b0"], VERSION, options=options).boot()
    assert "blocked-reasons" not in vm.call("query-migrate")
    vm.guest("crypto start")
    vm.guest("copy start storm")
    vm = there_and_back(rig, vm, ("acc", "a", "b"), ["crypto", "copy"], options=options)
    qemu_rig.check_crypto(vm)
    rig.end(vm)


def test_what_keeps_them_from_moving_is_seen_and_explained(rig):
    rig.serve("acc", "acc")
    rig.serve("a", COPY)
    vm = rig.start("vm0", ["acc", "a"], VERSION, args=["-S"])
    if vm.is_old:  # it knows nothing of P2P: the bridge refuses
        vm.call("migrate", uri="exec:cat >/dev/null")
        assert move.over(vm)["status"] == "failed"
        said = rig.bridge_said(vm)
        assert "P2P" in said and "--no-peer-maps" in said, said
    else:
        reasons = vm.call("query-migrate")["blocked-reasons"]
        assert any("P2P" in reason for reason in reasons), reasons
        reply = vm.ask("migrate", uri="unix:" + rig.path("nobody"))
        assert "P2P" in reply["desc"], reply
    rig.end(vm)
    for options, good in ([], False), (["--no-peer-maps"], True):
        out = rig.check(["acc", "a"], VERSION, *options)
        text = out.stdout + out.stderr
        assert (out.returncode == 0) == good, (out.returncode, text)
        assert good or ("P2P" in text and "--no-peer-maps" in text), text


bridge_rig.run([test_two_engines_reach_each_other_before_and_after,
                test_acc_and_two_engines_move_without_peers,
                test_what_keeps_them_from_moving_is_seen_and_explained])
