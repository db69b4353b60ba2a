# SPDX-License-Identifier: BSD-3-Clause
"""Guests that talk to a host through a device that moves with them.

The host is net_peer: a switch, and Linux's own TCP/IP behind it. Each machine's device is a port
of the switch, so the source's and the target's are two, and the guest's address goes from one to
the other.
"""
import os
import re
import socket
import subprocess
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../bridge"))
import bridge_move as move  # noqa: E402 pylint: disable=wrong-import-position
import bridge_rig  # noqa: E402 pylint: disable=wrong-import-position
import qemu_rig  # noqa: E402 pylint: disable=wrong-import-position

SKIPPED = 77
HOST = "10.77.0.1"
GUEST = "10.77.0.2"
MAC = "52:54:00:77:00:02"
PORT = 5001
SLOT = 6
# Instead of `ferry`, for a machine without its devices: QEMU's words alone.
PLAIN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


class Peer:
    """The host at the other end of the wire."""

    def __init__(self, rig, program, name="hub", address=HOST):
        self.path = rig.path(name)
        ours, theirs = socket.socketpair()
        with open(rig.path(name + ".peer.log"), "wb") as log:
            self.process = subprocess.Popen(
                [program, self.path, address], stdin=theirs, stdout=theirs, stderr=log,
                preexec_fn=bridge_rig.before_exec)
        theirs.close()
        self.console = qemu_rig.Lines(ours)
        line = self.console.next(bridge_rig.WORK_S)
        if line != "ready" and self.process.wait() == SKIPPED:
            print(f"skipped: {line}: a TAP in a network namespace is needed")
            sys.exit(SKIPPED)
        assert line == "ready", line

    def ask(self, command):
        """One command: the lines of its answer."""
        self.console.socket.sendall(command.encode() + b"\n")
        answer = []
        while True:
            line = self.console.next(bridge_rig.WORK_S)
            assert line is not None, "the peer is gone"
            if line == "ok":
                return answer
            assert not line.startswith("error"), f"{command}: {line}"
            answer.append(line.removeprefix("= "))

    def keys(self, command):
        """The numbers in the first line of an answer; no error was noted."""
        return keys_of(self.ask(command))

    def close(self):
        """Ends it, and its processes with it."""
        self.process.kill()
        self.process.wait()


def keys_of(lines):
    """{key: number} of the first line of a status, after which there is none with an error."""
    assert len(lines) == 1, lines
    return {key: int(value) for key, value in
            (word.split("=") for word in lines[0].split()[1:])}


def own_device(peer, name="own", mac=MAC, slot=SLOT):
    """QEMU's words for a virtio-net-pci of its own at the peer's switch."""
    return ["-netdev", f"stream,id={name},server=off,addr.type=unix,addr.path={peer.path}",
            "-device", f"virtio-net-pci,netdev={name},mac={mac},addr={slot},romfile="]


def serve(rig, peer, name, options="", mac=MAC):
    """A server of a `nic` at the peer's switch."""
    rig.serve(name, f"nic,mac={mac},net=stream:{peer.path}{options}")


class Guest:
    """A guest with a device at the peer's switch, which moves back and forth.

    devices: names of servers without their last digit, 0 or 1 for the two sides.
    """

    def __init__(self, rig, peer, version, devices=(), load=True, **how):
        self.rig = rig
        self.version = version
        self.devices = devices
        self.how = how
        self.name = "-".join(["vm", *devices]).partition(",")[0]
        self.count = 0
        self.at = self.machine().boot()
        self.at.guest(f"net up eth0 {GUEST}")
        self.talk = Talk(peer, self.at, load)

    def machine(self, **how):
        """The next machine."""
        side = self.count % 2
        names = [re.sub(r"^(\w+)", rf"\g<1>{side}", name) for name in self.devices]
        for name in names:
            name = name.partition(",")[0]
            self.rig.wait(lambda name=name: self.rig.info(name), name + " stays busy")
        return self.rig.start(f"{self.name}{self.count}", names, self.version, **self.how, **how)

    def move(self, *works, **how):
        """One move under load, after which everything goes on: QEMU's figures, and `gap`, the
        longest time without an answer to a ping in milliseconds."""
        self.count += 1
        target = self.machine(incoming=True)
        self.talk.gap()
        move.begin(self.at, move.listen(self.rig, target, **how), **how)
        info = move.moved(self.at, target, vfio=len(self.devices) > 0)
        self.at = target
        self.talk.goes_on()
        self.rig.goes_on(target, *works)
        return dict(info, gap=self.talk.gap())

    def end(self):
        """The talk ends, and the machine: the talk's figures."""
        figures = self.talk.end(self.at)
        self.rig.end(self.at)
        return figures


class Talk:
    """A stream both ways (load), and a ping every 10 ms from the host to the guest."""

    def __init__(self, peer, vm, load=True):
        self.peer = peer
        self.load = load
        self.gap_us = 0
        if load:
            vm.guest(f"stream start listen {PORT}")
            peer.ask(f"stream start {GUEST} {PORT}")
        peer.ask(f"ping start {GUEST}")
        self.goes_on()

    def counts(self):
        """Answers so far, and bytes in and out; nothing wrong."""
        ping = self.peer.keys("ping status")
        self.gap_us = max(self.gap_us, ping["gap_us"])
        found = [ping["received"]]
        if self.load:
            stream = self.peer.keys("stream status")
            assert stream["errors"] == 0, stream
            found += [stream["received"], stream["sent"]]
        assert ping["errors"] == 0, ping
        return found

    def goes_on(self, more=(30, 1 << 19, 1 << 19)):
        """More bytes come and go, and more answers come."""
        before = self.counts()
        bridge_rig.Rig.wait(lambda: all(now > old + least for now, old, least in
                                        zip(self.counts(), before, more)),
                            "the talk does not go on", bridge_rig.WORK_S, 0.05)

    def gap(self):
        """Milliseconds of the longest time without an answer since this was asked last."""
        self.counts()
        gap_us, self.gap_us = self.gap_us, 0
        return gap_us / 1e3

    def end(self, vm):
        """Both sides stop: nothing was wrong or is missing. Return: figures."""
        ping = self.peer.keys("ping stop")
        host = self.peer.keys("stream stop")
        guest = keys_of(vm.guest("stream stop"))
        assert ping["errors"] == host["errors"] == guest["errors"] == 0, (ping, host, guest)
        assert host["sent"] == guest["received"] > 0, (host, guest)
        assert guest["sent"] == host["received"] > 0, (host, guest)
        assert ping["twice"] == 0, ping
        counters = keys_of(vm.guest("net counters eth0"))
        # A page that a move lost would show here first, before TCP mends it.
        for where in counters, self.peer.keys("net counters peer0"):
            for name in "tcp_errors", "tcp_checksums", "icmp_checksums", "udp_checksums":
                assert where[name] == 0, (name, where)
        return {"bytes": host["sent"] + host["received"], "pings": ping["sent"],
                "lost": ping["open"], "rtt_us": ping["rtt_us"],
                "host_sent_again": host["retransmits"],
                "guest_sent_again": guest["retransmits"]}
