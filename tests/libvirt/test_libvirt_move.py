#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest of libvirt moves with its devices between two hosts: docs/libvirt.md.

The tests follow one another with the same guest.

usage: test_libvirt_move.py FERRY CACHE INIT MODULE BRIDGE PEER QEMU
"""
import os
import re

import libvirt_rig
import qemu_rig
from libvirt_rig import net_rig

WORK = ("crypto", "copy")
DEVICES = 3
PAGE_BYTES = 4096
HEAD_BYTES = 9  # of a page in QEMU's stream, at most
OTHERS_BYTES = 1 << 20  # at most: what QEMU sends of its own devices, with headers
APART_MS = 1000  # between what libvirt and Ferry saw: the machine may be busy


def more_of_ferry(*options):
    """A change to the domain: further options for `ferry qemu`."""
    words = "".join(f"\n    <qemu:arg value='-ferry'/>\n    <qemu:arg value='{option}'/>"
                    for option in options)
    return lambda text: text.replace("<qemu:commandline>", "<qemu:commandline>" + words)


def of_ferry(source, target):
    """What Ferry says of the last move: ms without a running device, bytes of devices."""
    stops = [float(at) for at in re.findall(
        r"ferry-bridge: \w+: ([0-9.]+) \d+: state \w+ -> STOP_COPY: ok", source)]
    runs = [float(at) for at in re.findall(
        r"ferry-bridge: \w+: ([0-9.]+) \d+: state \w+ -> RUNNING: ok", target)]
    loads = [int(count) for count in re.findall(r": loaded (\d+) bytes, state STOP", target)]
    for found in stops, runs, loads:
        assert len(found) >= DEVICES, (stops, runs, loads)
    return (max(runs) - min(stops[-DEVICES:])) * 1000, sum(loads[-DEVICES:])


def goes_on(rig, vm):
    """All three devices work on, and the connection lives."""
    rig.goes_on(vm, *WORK)
    rig.network.goes_on()


def compare(rig, source, target):
    """libvirt's numbers of a move against Ferry's."""
    host = rig.host[target]
    job = host.job("--completed")
    still_ms, device_bytes = of_ferry(rig.host[source].guest_said(), host.guest_said())
    print(f"libvirt: {job['Time elapsed']:.0f} ms, downtime {job['Total downtime']:.0f} ms, "
          f"{job['Data processed']:.0f} bytes; Ferry: devices stopped for {still_ms:.1f} ms, "
          f"{device_bytes} bytes of them")
    assert abs(job["Total downtime"] - still_ms) < APART_MS, (job, still_ms)
    assert job["Time elapsed"] >= job["Total downtime"] > 0, job
    assert job["Data remaining"] == 0, job
    # What QEMU calls its memory's bytes is, from 8.1 on, all that went out.
    assert device_bytes > 0
    least = job["Normal pages"] * PAGE_BYTES + (0 if rig.version == "7.2" else device_bytes)
    heads = (job["Normal pages"] + job["Constant pages"]) * HEAD_BYTES
    rounding = job["Data processed"] / 1000
    assert least - rounding <= job["Data processed"], (job, device_bytes)
    assert job["Data processed"] <= least + heads + OTHERS_BYTES + rounding, (job, device_bytes)
    return job


def test_the_guest_moves_and_the_numbers_agree(rig):
    a, b = rig.host["a"], rig.host["b"]
    for host in a, b:
        host.serve("acc")
    rig.peer = net_rig.Peer(rig, rig.net_peer)
    os.chmod(rig.peer.path, 0o666)
    a.virsh("define", rig.domain(more_of_ferry(
        "trace", f"device=model=nic,mac={net_rig.MAC},net=stream:{rig.peer.path},id=nic,addr=0x12")))
    a.virsh("start", libvirt_rig.NAME)
    vm = rig.talk("a").boot()
    vm.guest(f"net up eth0 {net_rig.GUEST}")
    rig.network = net_rig.Talk(rig.peer, vm)
    vm.guest("crypto start")
    vm.guest("copy start host")
    rig.goes_on(vm, *WORK)
    vm = rig.move("a", "b")
    goes_on(rig, vm)
    qemu_rig.check_crypto(vm)
    assert b.state() == "running" and a.state() == "shut off", (b.state(), a.state())
    job = compare(rig, "a", "b")
    # The domain is defined at the source, so it remembers the move as well.
    seen = a.job("--completed")
    assert seen["Operation"] == "Outgoing migration", seen
    assert seen["Data processed"] == job["Data processed"], (seen, job)


def test_it_comes_back_by_the_daemons_alone_over_several_connections(rig):
    vm = rig.move("b", "a", "--p2p", "--parallel", "--parallel-connections", "2")
    goes_on(rig, vm)
    qemu_rig.check_crypto(vm)
    compare(rig, "b", "a")
    assert "guest" not in rig.host["b"].virsh("list", "--all", "--name")


def test_a_move_is_watched_and_aborted(rig):
    a, vm = rig.host["a"], rig.vm
    a.virsh("migrate-setspeed", libvirt_rig.NAME, "1")
    move = rig.begin("a", "b")
    rig.wait(lambda: a.job().get("Memory processed", 0) > 0, "the move does not begin")
    job = a.job()
    assert job["Operation"] == "Outgoing migration" and job["Data remaining"] > 0, job
    if rig.version != "7.2":  # which does not tell; libvirt has no line for it
        assert "transferred" in a.ask_qemu("query-migrate")["vfio"]
    goes_on(rig, vm)
    a.virsh("domjobabort", libvirt_rig.NAME)
    said = move.communicate(timeout=libvirt_rig.START_S)[0]
    assert move.returncode != 0 and "canceled by client" in said, said
    goes_on(rig, vm)
    assert a.state() == "running", a.state()
    assert "guest" not in rig.host["b"].virsh("list", "--all", "--name")


def test_without_a_device_at_the_target_it_stays(rig):
    a, b, vm = rig.host["a"], rig.host["b"], rig.vm
    b.end_server("acc")
    said = rig.refused("a", "b")
    assert "/run/ferry/acc.sock" in said, said
    goes_on(rig, vm)
    b.serve("acc")
    said = rig.refused("a", "b", "--postcopy", "--timeout", "1", "--timeout-postcopy")
    assert "postcopy" in said.lower(), said
    goes_on(rig, vm)
    a.virsh("suspend", libvirt_rig.NAME)
    a.virsh("resume", libvirt_rig.NAME)
    goes_on(rig, vm)
    figures = rig.network.end(vm)
    print(f"{figures['lost']} of {figures['pings']} pings lost, "
          f"{figures['bytes'] >> 20} MiB of the stream right")


def test_the_guest_rests_in_a_file(rig):
    a = rig.host["a"]
    a.virsh("save", libvirt_rig.NAME, "/run/ferry/guest.save")
    assert a.state() == "shut off", a.state()
    a.virsh("restore", "/run/ferry/guest.save")
    vm = rig.talk("a")
    rig.goes_on(vm, *WORK)
    qemu_rig.check_crypto(vm)
    a.virsh("destroy", libvirt_rig.NAME)
    a.virsh("undefine", libvirt_rig.NAME)


def test_libvirt_tells_what_keeps_a_guest_from_moving(rig):
    a = rig.host["a"]
    alone = "<qemu:arg value='-ferry'/>\n    <qemu:arg value='no-peer-maps'/>"
    a.virsh("create", rig.domain(lambda text: text.replace(alone, "")))
    said = rig.refused("a", "b")
    # QEMU 7.2 knows no P2P: the bridge refuses, and says so in the guest's log.
    assert "P2P" in (a.guest_said() if rig.version == "7.2" else said), (said, a.guest_said())
    assert a.state() == "running", a.state()


libvirt_rig.run([
    test_the_guest_moves_and_the_numbers_agree,
    test_it_comes_back_by_the_daemons_alone_over_several_connections,
    test_a_move_is_watched_and_aborted,
    test_without_a_device_at_the_target_it_stays,
    test_the_guest_rests_in_a_file,
    test_libvirt_tells_what_keeps_a_guest_from_moving])
