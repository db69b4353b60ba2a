#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A connection and pings live through moves of a guest with its `nic`, under load.

usage: test_net_moves.py FERRY CACHE INIT MODULE BRIDGE LIBRARY PEER QEMU
"""
import sys

import net_rig as net
from net_rig import bridge_rig

PEER, VERSION = sys.argv[7:9]
MOVES = 10
LARGE_MOVES = 2
MIXED_MOVES = 2
# 1 % of the pages of 256 MiB each second, each by a frame of its own.
LARGE = ",flows=256M"
SCATTER_A_SECOND = 700


def tell(guest, peer, moves):
    """Ends the guest; prints what a move costs, and checks what has to hold of each."""
    figures = guest.end()
    hub = peer.keys("hub")
    assert hub["moves"] == len(moves) and hub["malformed"] == 0, hub
    # Each target tells the switch where the guest is now.
    assert hub["announces"] >= len(moves), hub
    gaps = sorted(move["gap"] for move in moves)
    again = figures["host_sent_again"] + figures["guest_sent_again"]
    print(f"{len(moves)} moves: {figures['lost']} of {figures['pings']} pings lost, longest gap "
          f"{gaps[-1]:.0f} ms (median {gaps[len(gaps) // 2]:.0f} ms), {again} segments sent "
          f"again, {figures['bytes'] >> 20} MiB right; downtime as QEMU says "
          f"{max(move['downtime'] for move in moves)} ms at most")
    return figures


def test_ten_moves_back_and_forth_under_load(rig):
    peer = net.Peer(rig, PEER)
    for side in "01":
        net.serve(rig, peer, "nic" + side)
    guest = net.Guest(rig, peer, VERSION, ["nic"])
    tell(guest, peer, [guest.move(multifd=number % 2 == 1) for number in range(MOVES)])
    peer.close()


def test_a_large_table_that_changes_all_the_time(rig):
    peer = net.Peer(rig, PEER)
    for side in "01":
        net.serve(rig, peer, "nic" + side, LARGE)
    guest = net.Guest(rig, peer, VERSION, ["nic"])
    peer.ask(f"scatter start {net.MAC.replace(':', '')} {SCATTER_A_SECOND}")
    # QEMU 7.2 knows none; its own idea of what is left stops the guest.
    ack = [] if VERSION == "7.2" else ["switchover-ack"]
    moves = [guest.move(capabilities=ack) for _ in range(LARGE_MOVES)]
    scatter = peer.keys("scatter stop")
    assert scatter["errors"] == 0 and scatter["sent"] > 0, scatter
    tell(guest, peer, moves)
    peer.close()


def test_with_acc_and_copy_in_the_same_guest(rig):
    peer = net.Peer(rig, PEER)
    for side in "01":
        net.serve(rig, peer, "nic" + side)
        rig.serve("acc" + side, "acc")
        rig.serve("copy" + side, "copy,memory=1M")
    guest = net.Guest(rig, peer, VERSION, ["nic", "acc", "copy"], options=["--no-peer-maps"])
    for command in "crypto start", "copy start host":
        guest.at.guest(command)
    rig.goes_on(guest.at, "crypto", "copy")
    moves = [guest.move("crypto", "copy") for _ in range(MIXED_MOVES)]
    for name in "crypto", "copy":
        assert all("errors=0" in line for line in guest.at.guest(name + " stop"))
    tell(guest, peer, moves)
    peer.close()


bridge_rig.run([test_ten_moves_back_and_forth_under_load,
                test_a_large_table_that_changes_all_the_time,
                test_with_acc_and_copy_in_the_same_guest])
