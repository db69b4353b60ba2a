#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A guest's network by a `nic` behind the bridge, against QEMU's own virtio-net-pci.

Both are devices of one guest, each at a switch and a host of its own, all of one kind; they take
turns, and the other one is idle.
"""
import sys
import time

import machines
import told
# machines knows where the rig is.
sys.path.insert(0, machines.HERE + "/../../tests/qemu/net")
import net_rig as net  # noqa: E402 pylint: disable=wrong-import-position

VERSION = "11.1"
AIM = 0.8
PORT = 5001
SMALL_BYTES = 64
WARM_S = 0.3
# Interface of the guest, guest's address, host's address; in the order of their slots.
NIC = ("eth0", "10.77.0.2", "10.77.0.1")
OWN = ("eth1", "10.78.0.2", "10.78.0.1")
OWN_MAC = "52:54:00:78:00:02"


class End:
    """One of the guest's devices, and the host behind it."""

    def __init__(self, vm, peer, where):
        self.vm = vm
        self.peer = peer
        self.interface, self.guest, self.host = where
        vm.guest(f"net up {self.interface} {self.guest}")

    def measure(self, work, there, back, key, seconds):
        """Starts the receiver, then the sender: how much of key a second comes to the receiver.

        there, back: what the receiver and the sender are asked.
        """
        receiver, sender = there[0], back[0]
        receiver(f"{work} start {there[1]}")
        sender(f"{work} start {back[1]}")
        time.sleep(WARM_S)
        begin = time.monotonic()
        before = net.keys_of(receiver(f"{work} status"))[key]
        time.sleep(seconds)
        after = net.keys_of(receiver(f"{work} status"))[key]
        took = time.monotonic() - begin
        for ask in sender, receiver:
            assert "errors=0" in ask(f"{work} stop")[0]
        assert after > before, f"{self.interface}: nothing comes"
        return (after - before) / took

    def stream(self, out, seconds):
        """Bytes a second of a TCP connection, out of the guest or into it."""
        ways = ("receive plain", "send plain")
        if out:
            return self.measure("stream", (self.peer.ask, f"listen {PORT} {ways[0]}"),
                                (self.vm.guest, f"{self.host} {PORT} {ways[1]}"), "received",
                                seconds)
        return self.measure("stream", (self.vm.guest, f"listen {PORT} {ways[0]}"),
                            (self.peer.ask, f"{self.guest} {PORT} {ways[1]}"), "received",
                            seconds)

    def packets(self, out, seconds):
        """Small UDP packets a second, out of the guest or into it."""
        if out:
            return self.measure("datagram", (self.peer.ask, f"receive {PORT}"),
                                (self.vm.guest, f"{self.host} {PORT} {SMALL_BYTES}"), "received",
                                seconds)
        return self.measure("datagram", (self.vm.guest, f"receive {PORT}"),
                            (self.peer.ask, f"{self.guest} {PORT} {SMALL_BYTES}"), "received",
                            seconds)


KINDS = (
    ("throughput guest to host, TCP", "MB/s", 1e6, lambda end, s: end.stream(True, s)),
    ("throughput host to guest, TCP", "MB/s", 1e6, lambda end, s: end.stream(False, s)),
    ("packets guest to host, 64 bytes", "1000/s", 1e3, lambda end, s: end.packets(True, s)),
    ("packets host to guest, 64 bytes", "1000/s", 1e3, lambda end, s: end.packets(False, s)),
)


def main():
    """Measures."""
    out = told.Output("qemu_network", "a guest's network by a nic, and by QEMU's own device")
    rounds, seconds = (1, 0.3) if out.quick else (7, 1.0)
    with machines.Rig() as rig:
        peers = [net.Peer(rig, rig.net_peer, name, where[2])
                 for name, where in (("nic.hub", NIC), ("own.hub", OWN))]
        net.serve(rig, peers[0], "nic0")
        vm = rig.start("vm0", [f"nic0,addr={net.SLOT - 1}"], VERSION,
                       args=net.own_device(peers[1], mac=OWN_MAC)).boot()
        ends = [End(vm, peer, where) for peer, where in zip(peers, (NIC, OWN))]
        for (interface, mac) in (("eth0", net.MAC), ("eth1", OWN_MAC)):
            assert f"mac={mac}" in vm.guest(f"net link {interface}")[0], interface
        for subject, unit, scale, kind in KINDS:
            pairs = []
            for number in range(rounds + 1):
                order = ends if number % 2 == 0 else ends[::-1]
                found = {end.interface: kind(end, seconds) / scale for end in order}
                if number > 0 or out.quick:
                    pairs.append((found[OWN[0]], found[NIC[0]]))
            figures = [nic for _, nic in pairs]
            out.row(subject, unit, told.median(figures), "QEMU's virtio-net-pci",
                    told.median([own for own, _ in pairs]),
                    told.median([nic / own for own, nic in pairs]), AIM, False,
                    least=min(figures), most=max(figures))
        for peer in peers:
            peer.close()
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
