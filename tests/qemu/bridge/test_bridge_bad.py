#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Servers whose devices no hardware is like: QEMU refuses them or goes on, and never aborts.

usage: test_bridge_bad.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import bridge_rig

FERRY, CACHE, BRIDGE, VERSION = sys.argv[1], sys.argv[2], sys.argv[5], sys.argv[7]
LIMIT_S = 60
CONFIG = 7
VERSION_, DMA_MAP, DMA_UNMAP, INFO, REGION, IRQ, IRQS, READ, WRITE, RESET = \
    1, 2, 3, 4, 5, 7, 8, 9, 10, 13


class Server(threading.Thread):
    """A device with config space and one BAR, which keeps nothing that is written."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.config = bytearray(4096)
        struct.pack_into("<HH", self.config, 0, 0x1af4, 0x10f0)
        self.put(0x06, 0x10)
        self.put(0x0b, 0xff)
        self.put(0x34, 0x40)
        self.put(0x40, 1, 0, 3, 0)  # power management
        self.size = {0: 0x1000, CONFIG: 4096}
        self.refuses = False  # maps, once QEMU has set up interrupts or reset it
        self.is_used = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)

    def put(self, off, *values):
        """Bytes of config space."""
        self.config[off:off + len(values)] = bytes(values)

    def answer(self, command, ask):
        """Payload, or an errno."""
        if command == VERSION_:
            return b"\0\0\1\0{}\0"
        if command == INFO:
            return struct.pack("<IIII", 16, 3, 9, 3)
        if command == REGION:
            index, = struct.unpack_from("<I", ask, 8)
            return struct.pack("<IIIIQQ", 32, 3, index, 0, self.size.get(index, 0), 0)
        if command == IRQ:
            return ask[:12] + struct.pack("<I", 1)
        if command == READ:
            off, index, count = struct.unpack_from("<QII", ask)
            return ask[:16] + (bytes(self.config[off:off + count]) if index == CONFIG else
                               bytes(count))
        self.is_used |= command in (IRQS, RESET)
        if command == DMA_MAP and self.refuses and self.is_used:
            return 12
        return {WRITE: ask[:16], DMA_MAP: b"", DMA_UNMAP: ask[:24], IRQS: b"", RESET: b""}.get(
            command, 22)

    def run(self):
        connection, _ = self.listener.accept()
        with connection, connection.makefile("rb") as stream:
            while True:
                head = stream.read(16)
                if len(head) < 16:
                    return
                number, command, size, flags, _ = struct.unpack("<HHIII", head)
                reply = self.answer(command, stream.read(size - 16))
                error = reply if isinstance(reply, int) else 0
                reply = b"" if error else reply
                if not flags & 0x10:
                    connection.sendall(struct.pack("<HHIII", number, command, 16 + len(reply),
                                                   0x21 if error else 1, error) + reply)


def size(index, value):
    """Changes what a server says of a region."""
    return lambda server: server.size.__setitem__(index, value)


def put(off, *values):
    """Changes bytes of config space."""
    return lambda server: server.put(off, *values)


def refuse(server):
    """Changes its mind about memory."""
    server.refuses = True


def rom(server):
    """A ROM whose address does not change."""
    server.size[6] = 0x1000
    server.put(0x30, 0x01, 0x28, 0xe1, 0xfe)


# Name, change, and what the bridge says; one that begins with ":" does not end QEMU's start.
CASES = [
    ("nothing", lambda server: None, ":"),
    ("a BAR of 12 KiB", size(0, 0x3000), "no power of two"),
    ("a list without an end", put(0x41, 0x40), "does not end"),
    ("an extended list that leads out", put(0x100, 0x0b, 0, 1, 4), "first 256 bytes"),
    ("an extended space of ones", put(0x100, *[255] * 3840), ":"),
    ("64 MSI vectors", put(0x40, 5, 0, 0x0c, 0), "32 vectors"),
    ("an MSI-X table nowhere", put(0x40, 0x11, 0, 1, 0, 7, 0, 0, 0, 7, 8, 0, 0), "of the BARs"),
    ("interrupt pin 200", put(0x3d, 200), "interrupt pin"),
    ("a ROM of an odd size", rom, ":"),
    ("300 bytes of config space", size(CONFIG, 300), ":"),
    ("memory that is refused later", refuse, ":cannot reach all memory"),
]


def wait_for(log, text):
    """The bridge's word."""
    end = time.monotonic() + LIMIT_S
    while True:
        with open(log, encoding="utf-8") as file:
            if text in file.read():
                return
        assert time.monotonic() < end, "no word of " + text
        time.sleep(0.05)


def run_case(folder, number, change, said):
    """One QEMU."""
    path, log = (os.path.join(folder, "%d.%s" % (number, what)) for what in ("sock", "log"))
    server = Server(path)
    change(server)
    server.start()
    with open(log, "a", encoding="utf-8") as out:  # as the bridge does
        words, modules = bridge_rig.program(CACHE, VERSION)
        with subprocess.Popen(
                [FERRY, "qemu", "--bridge", BRIDGE, "--quiet", "--log", log, "--device", path,
                 "--", *words, "-machine", "q35", "-m", "128M", "-nodefaults", "-display",
                 "none", "-accel", "tcg", "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=out,
                stderr=out, env=dict(os.environ, QEMU_MODULE_DIR=modules),
                preexec_fn=bridge_rig.before_exec) as qemu:
            try:
                if said[0] == ":":
                    wait_for(log, said[1:] or '"QMP"')
                    qemu.stdin.write(b'{"execute":"qmp_capabilities"}\n{"execute":"quit"}\n')
                    qemu.stdin.flush()
                status = qemu.wait(LIMIT_S)
            finally:
                qemu.kill()
    with open(log, encoding="utf-8") as file:
        text = file.read()
    assert status == (0 if said[0] == ":" else 1), "status %d: %s" % (status, text)
    assert said.lstrip(":") in text, text
    server.listener.close()


def main():
    with tempfile.TemporaryDirectory(prefix="ferry-bad-") as folder:
        for number, (name, change, said) in enumerate(CASES):
            began = time.monotonic()
            try:
                run_case(folder, number, change, said)
            except AssertionError as error:
                raise AssertionError("%s: %s" % (name, error)) from error
            print("%s: %.1f s" % (name, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
