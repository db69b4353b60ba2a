#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a guest's access to a device's register costs, as the guest's own clock has it.

The bridge and QEMU's own vfio-user-pci each have a guest and a server of their own, of one kind;
they take turns.
"""
import json
import os
import sys

import machines
import told
# machines knows where the rig is.
import bridge_rig
import qemu_rig

IDS = "0xfe44 0x0b0c"
STATE_BYTES = 4096
READ_AIM = 1.1
WRITE_AIM = 0.3
# At a register, not where a page's first access may be special.
OFF = 64


class Plain(qemu_rig.Qemu):
    """QEMU 11.1 with its own client, without the bridge."""

    def __init__(self, rig, server):
        device = json.dumps({"driver": "vfio-user-pci", "id": "changing",
                             "socket": {"type": "unix", "path": rig.path(server)}})
        super().__init__(rig.cache, rig.folder, "-device", device)

    def kill(self):
        """As the rig ends its machines."""
        self.process.kill()
        self.process.wait()


class Guest:
    """A guest that takes the time of its accesses."""

    def __init__(self, vm):
        self.vm = vm.boot()
        self.address, _ = qemu_rig.find(vm.guest("pci"), IDS)

    def access(self, kind, count):
        """Nanoseconds of one access: the middle round's."""
        value = " 1" if kind == "write" else ""
        answer = self.vm.guest(f"mmio {kind} {self.address} 0 {OFF} {count}{value}")[0]
        found = dict(word.split("=") for word in answer.split())
        assert int(found["value"], 0) != 0xffffffff, answer
        return int(found["median_ns"])


def main():
    """Measures."""
    out = told.Output("qemu_access", "a guest's access to a register through QEMU and the bridge")
    rounds, count = (3, 2000) if out.quick else (15, 20000)
    reads, plain_reads, writes = [], [], []
    with machines.Rig() as rig:
        rig.serve_state("bridged0", STATE_BYTES, "stop")
        rig.serve_state("plain0", STATE_BYTES, "stop")
        plain = Plain(rig, "plain0")
        rig.machine.append(plain)
        plain = Guest(plain.greet())
        bridged = Guest(rig.start("bridged", ["bridged0"]))
        for number in range(rounds + 1):
            found = (plain.access("read", count), bridged.access("read", count),
                     bridged.access("write", count))
            if number > 0:
                for figures, figure in zip((plain_reads, reads, writes), found):
                    figures.append(figure)
    out.row("trapped 4-byte read, bridge and server", "ns", told.median(reads),
            "QEMU's vfio-user-pci and the same server", told.median(plain_reads),
            told.median([read / base for read, base in zip(reads, plain_reads)]), READ_AIM,
            least=min(reads), most=max(reads))
    out.row("posted 4-byte write, bridge and server", "ns", told.median(writes), "a read",
            told.median(reads),
            told.median([write / read for write, read in zip(writes, reads)]), WRITE_AIM,
            least=min(writes), most=max(writes))
    return out.close()


if __name__ == "__main__":
    sys.exit(main())
