# SPDX-License-Identifier: BSD-3-Clause
"""Plays the server of a transcript to a client: what a foreign server said, without it.

The client may have learned to ask in another order, or for more: an answer is looked for by
the request, and what the server of then was never asked is refused as it refused unknown
things, with EINVAL. Descriptors are eventfds, a twin socket one that stays silent.
"""
import errno
import os
import socket
import struct
import threading

HEADER = struct.Struct("<HHIII")
RECORD = struct.Struct("<IIIHBB")
VERSION = 1
REPLY, REPLY_ERROR = 1, 0x21
CLIENT = 1


def messages(path):
    """All messages of a transcript: sender, bytes, count of descriptors."""
    with open(path, "rb") as file:
        data = file.read()
    assert data[:12] == b"FERRYTRC" + struct.pack("<I", 1), path
    pos = 16
    while pos < len(data):
        number, size, _, fds, sender, _ = RECORD.unpack_from(data, pos)
        assert number > 0 and pos + RECORD.size + size <= len(data), path
        yield sender, data[pos + RECORD.size:pos + RECORD.size + size], fds
        pos += RECORD.size + size


def key_of(message):
    """What tells one request from another. VERSION's text is the client's own matter."""
    command = HEADER.unpack_from(message)[1]
    return command, b"" if command == VERSION else message[HEADER.size:]


class Player:
    """A server at a path, in a thread, for one client."""

    def __init__(self, transcript, path):
        self.answers = {}
        self.used = set()
        self.refused = []
        self.twins = []
        asked = {}
        for sender, message, fds in messages(transcript):
            number = HEADER.unpack_from(message)[0]
            if sender == CLIENT:
                asked[number] = key_of(message)
            else:
                self.answers.setdefault(asked.pop(number), []).append((message, fds))
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def answer(self, message):
        """The reply to a message, with its descriptors."""
        number, command, *_ = HEADER.unpack_from(message)
        key = key_of(message)
        if key not in self.answers:
            self.refused.append(key)
            return HEADER.pack(number, command, HEADER.size, REPLY_ERROR, errno.EINVAL), 0
        self.used.add(key)
        kept = self.answers[key]
        # The last answer holds on.
        reply, fds = kept.pop(0) if len(kept) > 1 else kept[0]
        return struct.pack("<H", number) + reply[2:], fds

    def serve(self):
        """Answers until the client goes."""
        client, _ = self.listener.accept()
        with client, client.makefile("rb") as stream:
            while True:
                header = stream.read(HEADER.size)
                if len(header) < HEADER.size:
                    return
                size = HEADER.unpack(header)[2]
                reply, count = self.answer(header + stream.read(size - HEADER.size))
                twins = [socket.socketpair() for _ in range(count)
                         if HEADER.unpack(header)[1] == VERSION]
                fds = ([theirs.detach() for _, theirs in twins] or
                       [os.eventfd(0) for _ in range(count)])
                self.twins += [ours for ours, _ in twins]
                socket.send_fds(client, [reply], fds)
                for number in fds:
                    os.close(number)
