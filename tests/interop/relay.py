#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands between a vfio-user client and a server and writes a transcript of both.

For servers other than ferry's, which cannot record (docs/transcripts.md has the format).
One connection, then it ends.

usage: relay.py LISTEN_SOCKET SERVER_SOCKET TRANSCRIPT
"""
import array
import os
import socket
import struct
import sys
import threading

HEADER = struct.Struct("<HHIII")
CLIENT, SERVER = 1, 2
FDS_MAX = 64


def receive(sock, count, fds):
    """Exactly count bytes, or None when the peer closed; descriptors are added to fds."""
    data = b""
    while len(data) < count:
        part, ancillary, _, _ = sock.recvmsg(count - len(data), socket.CMSG_SPACE(4 * FDS_MAX))
        for _, _, content in ancillary:
            fds.frombytes(content[:len(content) - len(content) % 4])
        if not part:
            return None
        data += part
    return data


class Transcript:
    """The file; messages of both sides come from two threads."""

    def __init__(self, path):
        self.file = open(path, "wb")  # pylint: disable=consider-using-with
        self.file.write(b"FERRYTRC" + struct.pack("<II", 1, 0))
        self.lock = threading.Lock()
        self.count = 0

    def add(self, sender, message, fd_count):
        """One message, before it is passed on."""
        with self.lock:
            self.count += 1
            self.file.write(struct.pack("<IIIHBB", self.count, len(message), 1, fd_count,
                                        sender, 0) + message)
            self.file.flush()


def pump(source, target, sender, transcript):
    """Passes on what source says until it closes."""
    try:
        while True:
            fds = array.array("i")
            header = receive(source, HEADER.size, fds)
            if header is None:
                break
            body = receive(source, HEADER.unpack(header)[2] - HEADER.size, fds)
            if body is None:
                break
            transcript.add(sender, header + body, len(fds))
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else []
            sent = target.sendmsg([header + body], ancillary)
            target.sendall((header + body)[sent:])
            for number in fds:
                os.close(number)
    except (BrokenPipeError, ConnectionResetError):
        pass
    for sock in (source, target):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def main():
    listen, server, path = sys.argv[1:4]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(listen)
    listener.listen(1)
    transcript = Transcript(path)
    front, _ = listener.accept()
    back = socket.socket(socket.AF_UNIX)
    back.connect(server)
    threads = [threading.Thread(target=pump, args=(front, back, CLIENT, transcript)),
               threading.Thread(target=pump, args=(back, front, SERVER, transcript))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


main()
