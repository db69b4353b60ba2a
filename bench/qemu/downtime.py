#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""How long a guest stands still while its device's state goes to another QEMU.

`seen` is from the last work of the guest at the source to its first at the target. The floor is
a chain of bare processes that relays the same bytes over the same hops, in turns with each move.
"""
import sys

import machines
import told

SIZES = (16 << 10, 64 << 20, 512 << 20)
VERSIONS = ("11.1", "10.0")
FLOOR = "bare chain of the same bytes"
PRECOPY_AIM = 0.2
CHANGED_PERCENT = 1


def size_text(size):
    """A size for people."""
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def tell(out, subject, moves, plain):
    """A row of one way to move: pairs of (floor, what a move took). plain: what it took
    the same guest without a device."""
    floors = [floor for floor, _ in moves]
    seen = [took["seen"] for _, took in moves]
    reported = [took["downtime"] for _, took in moves]
    out.row(subject, "ms", told.median(seen), FLOOR, told.median(floors),
            told.median([took["seen"] / floor for floor, took in moves]),
            least=min(seen), most=max(seen), QEMU_reports=told.median(reported),
            its_ratio=told.median([took["downtime"] / floor for floor, took in moves]),
            STOP_to_RESUME=told.median([took["stopped"] for _, took in moves]),
            whole_migration=told.median([took["total"] for _, took in moves]),
            **({"without_a_device": told.median([took["seen"] for took in plain])}
               if plain else {}))


def sizes(out, rig, version, size, rounds, kind="unix"):
    """One size of state and QEMU, without and with multifd, in turns with the floor."""
    guest = machines.Guest(rig, version, size)
    bare = machines.Guest(rig, version, 0) if size == SIZES[0] else None
    chain = machines.Chain(rig.bare_chain, size, kind)
    moves, plain = {False: [], True: []}, {False: [], True: []}
    guest.move(kind)  # memory and caches are warm after it
    for _ in range(rounds):
        for multifd, found in moves.items():
            floor = chain.run()
            found.append((floor, guest.move(kind, multifd=multifd)))
            if bare:
                plain[multifd].append(bare.move(kind, multifd=multifd))
    for multifd, found in moves.items():
        tell(out, f"{size_text(size)}, QEMU {version}, {kind}, multifd "
             f"{'on' if multifd else 'off'}: seen by the guest", found, plain[multifd])
    chain.close()
    guest.close()
    if bare:
        bare.close()


def precopy(out, rig, version, rounds):
    """A large device that changes slowly, with pre-copy and without, in turns."""
    size = SIZES[-1]
    without = machines.Guest(rig, version, size)
    with_it = machines.Guest(rig, version, size, "p2p", CHANGED_PERCENT)
    moves = []
    for number in range(rounds + 1):
        pair = without.move(), with_it.move()
        if number > 0:
            moves.append(pair)
    seen = [took["seen"] for _, took in moves]
    out.row(f"{size_text(size)}, QEMU {version}, {CHANGED_PERCENT} % a second changes, pre-copy: "
            "seen by the guest", "ms", told.median(seen), "without pre-copy",
            told.median([took["seen"] for took, _ in moves]),
            told.median([took["seen"] / base["seen"] for base, took in moves]), PRECOPY_AIM,
            least=min(seen), most=max(seen),
            QEMU_reports=told.median([took["downtime"] for _, took in moves]),
            its_ratio=told.median([took["downtime"] / base["downtime"] for base, took in moves]),
            whole_migration=told.median([took["total"] for _, took in moves]))
    without.close()
    with_it.close()


def main():
    """Measures."""
    out = told.Output("qemu_downtime", "how long a guest of QEMU stands still for a device's state")
    rounds = 1 if out.quick else 5
    with machines.Rig() as rig:
        for version in VERSIONS[:1] if out.quick else VERSIONS:
            for size in SIZES:
                sizes(out, rig, version, size, rounds)
            precopy(out, rig, version, rounds)
        if not out.quick:
            sizes(out, rig, VERSIONS[0], SIZES[-1], rounds, "tcp")
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
