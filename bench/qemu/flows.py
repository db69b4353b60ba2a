#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a guest with a nic is gone when the nic has a large table of flows, against a small one.

Two guests of one kind take turns. Frames of ever other flows come to both, so many that a part of
the large table's pages changes each second.
"""
import sys

import machines
import told
# machines knows where the rig is.
sys.path.insert(0, machines.HERE + "/../../tests/qemu/net")
import net_rig as net  # noqa: E402 pylint: disable=wrong-import-position

VERSION = "11.1"
AIM = 1.5
LARGE_BYTES = 256 << 20
PAGE_BYTES = 4096
CHANGED_PERCENT = 1
FRAMES_A_SECOND = LARGE_BYTES // PAGE_BYTES * CHANGED_PERCENT // 100
# The guest is stopped when so much is left, which docs/qemu.md recommends for devices with pre-copy.
ROOM = {"capabilities": ["switchover-ack"], "downtime_limit": machines.LIMIT_MS,
        "avail_switchover_bandwidth": machines.SLACK_BYTES * 1000 // machines.LIMIT_MS}
SIZES = (("small", "1M"), ("large", "256M"))


def start(rig, name, size):
    """A guest with its host and its two nics."""
    peer = net.Peer(rig, rig.net_peer, name + ".hub")
    for side in "01":
        net.serve(rig, peer, name + side, ",flows=" + size)
    guest = net.Guest(rig, peer, VERSION, [name], load=False)
    peer.ask(f"scatter start {net.MAC.replace(':', '')} {FRAMES_A_SECOND}")
    return guest


def tell(out, subject, moves, key):
    """A row of one figure of both guests' moves."""
    large = [found[key] for _, found in moves]
    out.row(subject, "ms", told.median(large), "1 MiB of flows",
            told.median([found[key] for found, _ in moves]),
            told.median(large) / told.median([found[key] for found, _ in moves]), AIM,
            least=min(large), most=max(large))


def main():
    """Measures."""
    out = told.Output("qemu_flows", "how long a guest is gone whose nic has a large table")
    rounds = 2 if out.quick else 11
    with machines.Rig() as rig:
        guests = [start(rig, name, size) for name, size in SIZES]
        for guest in guests:  # memory and caches are warm after it, at both sides
            guest.move(**ROOM)
            guest.move(**ROOM)
        moves = [[guest.move(**ROOM) for guest in guests] for _ in range(rounds)]
        tell(out, "256 MiB of flows, 1 % changes each second: longest time without an answer "
             "to a ping every 10 ms", moves, "gap")
        tell(out, "256 MiB of flows, 1 % changes each second: downtime as QEMU says", moves,
             "downtime")
        for guest in guests:
            assert guest.talk.peer.keys("scatter stop")["errors"] == 0
            guest.talk.peer.close()
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
