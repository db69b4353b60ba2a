#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The host, its switch and the guest's talk find what is wrong, with QEMU's own network device.

usage: test_net_rig.py FERRY CACHE INIT MODULE BRIDGE LIBRARY PEER QEMU
"""
import os
import socket
import struct
import sys
import time

import net_rig as net
from net_rig import bridge_rig

PEER, VERSION = sys.argv[7:9]


def plain(rig):
    """Machines are QEMU alone."""
    rig.ferry = rig.path("plain")
    with open(rig.ferry, "w", encoding="utf-8") as file:
        file.write(net.PLAIN)
        os.fchmod(file.fileno(), 0o755)


def test_a_talk_goes_on_when_qemu_moves_its_own_device(rig):
    plain(rig)
    peer = net.Peer(rig, PEER)
    guest = net.Guest(rig, peer, VERSION, args=net.own_device(peer))
    gap = guest.move()["gap"]
    figures = guest.end()
    hub = peer.keys("hub")
    assert hub["moves"] == 1 and hub["announces"] > 0 and hub["malformed"] == 0, hub
    assert gap > 0 and figures["pings"] > figures["lost"], (gap, figures)
    print(f"QEMU's own device: gap {gap:.0f} ms, {figures}")
    peer.close()


class Wire:
    """A port of the switch, held by the test itself."""

    def __init__(self, peer):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(bridge_rig.WORK_S)
        self.socket.connect(peer.path)

    def send(self, frame):
        """One frame."""
        self.socket.sendall(struct.pack(">I", len(frame)) + frame)

    def next(self):
        """The next frame."""
        head = self.socket.recv(4, socket.MSG_WAITALL)
        return self.socket.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL)

    def closed(self):
        """Waits until the switch has closed the port."""
        while self.socket.recv(65536):
            pass


def frame(target, source, mark, kind=b"\x88\xb5"):
    """A frame of a type for experiments, or another one."""
    return (target + source + kind + mark).ljust(60, b"\0")


def test_the_switch_learns_and_closes_what_is_malformed(rig):
    peer = net.Peer(rig, PEER)
    first, second, third = Wire(peer), Wire(peer), Wire(peer)
    here, there = b"\x52\0\0\0\0\1", b"\x52\0\0\0\0\2"
    bridge_rig.Rig.wait(lambda: peer.keys("hub")["ports"] == 3, "a port is missing")
    # Nobody knows where it is: everybody gets it.
    first.send(frame(there, here, b"flood"))
    assert second.next() == third.next() == frame(there, here, b"flood")
    second.send(frame(here, there, b"back"))
    assert first.next() == frame(here, there, b"back")
    # The address goes to another port, by a RARP frame to all.
    rarp = frame(b"\xff" * 6, there, b"", b"\x80\x35")
    third.send(rarp)
    assert first.next() == second.next() == rarp
    hub = peer.keys("hub")
    assert hub["moves"] == 1 and hub["announces"] == 1, hub
    first.send(frame(there, here, b"moved"))
    assert third.next() == frame(there, here, b"moved")
    second.socket.sendall(struct.pack(">I", 1 << 31))
    second.closed()
    hub = peer.keys("hub")
    assert hub["malformed"] == 1 and hub["ports"] == 2, hub
    peer.close()


def test_a_wrong_byte_and_a_lost_ping_are_found(rig):
    """The guest's end is played by a second host, and the wire between them by the test."""
    near = net.Peer(rig, PEER)
    far = net.Peer(rig, PEER, "far", net.GUEST)
    ends = Wire(near), Wire(far)
    left = {"data": 1, "ping": 3}

    def spoil(data):
        """One byte of a segment, with the checksum as it has to be for that; no answer to
        three pings."""
        data = bytearray(data)
        if len(data) > 1000 and data[23] == 6 and left["data"]:
            left["data"] -= 1
            # Two words of the payload change places: the checksum stays right.
            data[100:102], data[102:104] = data[102:104], data[100:102]
        elif data[23] == 1 and left["ping"]:
            left["ping"] -= 1
            return None
        return bytes(data)

    far.ask(f"stream start listen {net.PORT}")
    near.ask(f"stream start {net.GUEST} {net.PORT}")
    near.ask(f"ping start {net.GUEST}")
    end = time.monotonic() + bridge_rig.WORK_S
    found, rest = 0, [b"", b""]
    # The first question for an address may be lost and comes again after a second.
    while not found and time.monotonic() < end:
        relay(ends, spoil, rest, time.monotonic() + 0.5)
        ping = near.keys("ping status")
        wrong = far.ask("stream status")
        found = (3 <= ping["open"] < ping["sent"] and ping["gap_us"] >= 30000 and
                 len(wrong) == 2)
    assert found, (ping, wrong)
    assert "was sent" in wrong[1], wrong
    for peer in near, far:
        peer.close()


def relay(ends, spoil, rest, end):
    """Carries frames between two switches until that time; spoil looks at those to the far."""
    for wire in ends:
        wire.socket.settimeout(0.001)
    while time.monotonic() < end:
        for side, wire in enumerate(ends):
            try:
                rest[side] += wire.socket.recv(1 << 16)
            except TimeoutError:
                continue
            while len(rest[side]) >= 4:
                count = struct.unpack(">I", rest[side][:4])[0]
                if len(rest[side]) < 4 + count:
                    break
                data, rest[side] = rest[side][4:4 + count], rest[side][4 + count:]
                data = spoil(data) if side == 0 else data
                if data:
                    ends[1 - side].socket.settimeout(bridge_rig.WORK_S)
                    ends[1 - side].send(data)
                    ends[1 - side].socket.settimeout(0.001)


bridge_rig.run([test_a_talk_goes_on_when_qemu_moves_its_own_device,
                test_the_switch_learns_and_closes_what_is_malformed,
                test_a_wrong_byte_and_a_lost_ping_are_found])
