#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU's settings for a migration do to a guest whose device has much state.

Each setting takes turns with the one that docs/qemu.md recommends.
"""
import sys

import machines
import told
from machines import MIB

VERSION = "11.1"
STATE_BYTES = 256 * MIB
CHANGED_PERCENT = 1
LIMIT_MS = machines.LIMIT_MS


def bandwidth(bytes_left):
    """avail-switchover-bandwidth with which QEMU stops the guest when so much is left."""
    return {"avail_switchover_bandwidth": int(bytes_left * 1000 / LIMIT_MS)}


# What QEMU does when nobody says anything; given up after LIMIT_S.
DEFAULTS = {"max_bandwidth": 128 * MIB, "avail_switchover_bandwidth": 0}
LIMIT_S = 10

STOP_ONLY = ("stop", (
    ("avail-switchover-bandwidth fits state and downtime-limit", {}),
    ("... four times of that", bandwidth(4 * (STATE_BYTES + MIB))),
    ("QEMU's defaults", DEFAULTS),
    ("multifd with 2 channels", {"multifd": True, "multifd_channels": 2}),
    ("multifd with 4 channels", {"multifd": True, "multifd_channels": 4}),
    ("multifd with 8 channels", {"multifd": True, "multifd_channels": 8}),
))
PRECOPY = ("p2p", (
    ("pre-copy, room for 1 MiB left", {}),
    ("pre-copy, QEMU's defaults", DEFAULTS),
    ("pre-copy, room for 64 MiB", bandwidth(64 * MIB)),
    ("pre-copy, room for all of the state", bandwidth(2 * STATE_BYTES)),
    ("pre-copy, room for all of it, and switchover-ack",
     {**bandwidth(2 * STATE_BYTES), "capabilities": ["switchover-ack"]}),
))


def compare(out, rig, flags, settings, rounds):
    """A row for each setting; the first is what the others are compared with."""
    guest = machines.Guest(rig, VERSION, STATE_BYTES, flags, CHANGED_PERCENT)
    moves = {name: [] for name, _ in settings}
    guest.move(**settings[0][1])
    for _ in range(rounds):
        for name, how in settings:
            if None in moves[name]:
                continue
            moves[name].append(guest.move(limit=LIMIT_S, **how))
    guest.close()
    first = moves[settings[0][0]]
    for name, found in moves.items():
        if None in found:
            out.row(f"{STATE_BYTES // MIB} MiB, {name}: the guest still runs at the source after",
                    "s", LIMIT_S)
            continue
        seen = [took["seen"] for took in found]
        base = {} if found is first else {
            "floor_is": settings[0][0], "floor": told.median([took["seen"] for took in first]),
            "ratio": told.median([took["seen"] / least["seen"]
                                  for took, least in zip(found, first)])}
        out.row(f"{STATE_BYTES // MIB} MiB, {name}: seen by the guest", "ms", told.median(seen),
                **base, least=min(seen), most=max(seen),
                QEMU_reports=told.median([took["downtime"] for took in found]),
                whole_migration=told.median([took["total"] for took in found]))


def main():
    """Measures."""
    out = told.Output("qemu_knobs", "what QEMU's settings do to a guest with a large device")
    with machines.Rig() as rig:
        for flags, settings in (STOP_ONLY, PRECOPY):
            compare(out, rig, flags, settings, 1 if out.quick else 5)
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
