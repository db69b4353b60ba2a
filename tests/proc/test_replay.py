#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Transcripts: recorded, replayed over a socket and in the process, damaged.

Usage: test_replay.py FERRY TRANSCRIPT_FOLDER
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile


def replay(ferry, *args):
    """Return: exit code and what it says in JSON."""
    run = subprocess.run([ferry, "replay", "--json", *args], capture_output=True, text=True,
                         timeout=30, check=False)
    return run.returncode, json.loads(run.stdout) if run.stdout else run.stderr


def record(ferry, folder):
    """Serves an acc, lets `ferry info` look at it. Return: the transcript's path."""
    path, trace = os.path.join(folder, "s"), os.path.join(folder, "made.trc")
    with open(trace, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o644)
    ready, told = os.pipe()
    server = subprocess.Popen([ferry, "serve", "acc", "--socket-path=" + path,
                               "--record", trace, "--ready-fd", str(told)], pass_fds=[told])
    os.close(told)
    try:
        assert os.read(ready, 16) == b"ready\n"
        subprocess.run([ferry, "info", "vfio-user:" + path], check=True,
                       stdout=subprocess.DEVNULL)
        code, said = replay(ferry, trace, "--socket", path)
        assert code == 0 and said["same"], said
    finally:
        server.terminate()
        assert server.wait() == 0
    # What devices tell of themselves may hold keys.
    assert os.stat(trace).st_mode & 0o777 == 0o600, oct(os.stat(trace).st_mode)
    return trace


def full_disk(ferry, folder):
    """It ends the recording, never the serving."""
    path = os.path.join(folder, "full")
    ready, told = os.pipe()
    server = subprocess.Popen([ferry, "serve", "acc", "--socket", path, "--record",
                               "/dev/full", "--ready-fd", str(told)], pass_fds=[told])
    os.close(told)
    try:
        assert os.read(ready, 16) == b"ready\n"
        for _ in range(2):
            subprocess.run([ferry, "info", "vfio-user:" + path], check=True,
                           stdout=subprocess.DEVNULL, timeout=20)
    finally:
        server.terminate()
        assert server.wait() == 0


def inherited(ferry):
    """A connected socket and a listening one in place of a path."""
    ours, theirs = socket.socketpair()
    twice = ["acc", "--fd", str(theirs.fileno())] * 2
    assert subprocess.run([ferry, "serve", *twice], pass_fds=[theirs.fileno()],
                          stderr=subprocess.DEVNULL, timeout=20,
                          check=False).returncode == 2
    server = subprocess.Popen([ferry, "serve", "acc", "--fd", str(theirs.fileno())],
                              pass_fds=[theirs.fileno()])
    theirs.close()
    ours.sendall(struct.pack("<HHIII", 1, 1, 20, 0, 0) + struct.pack("<HH", 0, 1))
    assert struct.unpack("<HH", ours.recv(4096)[:4]) == (1, 1)
    ours.close()
    assert server.wait(10) == 0
    with tempfile.TemporaryDirectory() as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.path.join(folder, "s"))
        listener.listen()

        def activate():
            os.dup2(listener.fileno(), 3)
            os.environ["LISTEN_PID"] = str(os.getpid())

        server = subprocess.Popen(
            ["sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve acc", ferry],
            preexec_fn=activate, pass_fds=[3])
        try:
            subprocess.run([ferry, "info", "vfio-user:" + os.path.join(folder, "s")],
                           check=True, stdout=subprocess.DEVNULL, timeout=20)
        finally:
            server.terminate()
            server.wait()


def main():
    ferry, transcripts = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as folder:
        trace = record(ferry, folder)
        full_disk(ferry, folder)
        with open(trace, "rb") as file:
            data = bytearray(file.read())
        code, said = replay(ferry, trace, "acc")
        assert code == 0 and said["compared"] > 10, said
        # Another device answers otherwise; the first to say so is VERSION's identity.
        code, said = replay(ferry, trace, "copy")
        assert code == 1 and said["command"] == "VERSION" and said["message"] == 2, said
        code, said = replay(ferry, trace, "copy", "--mask", "VERSION")
        assert code == 1 and said["message"] > 2 and said["command"] != "VERSION", said
        # The last byte of the file is one of the server's last reply.
        data[-1] ^= 1
        with open(trace, "wb") as file:
            file.write(data)
        code, said = replay(ferry, trace, "acc")
        assert code == 1 and said["field"] == "payload" and said["offset"] > 0, said
        with open(trace, "wb") as file:
            file.write(data[:-1])
        code, said = replay(ferry, trace, "acc")
        assert code == 1 and said["error"], said
        assert replay(ferry, os.path.join(folder, "none"), "acc")[0] == 1
        assert replay(ferry, trace)[0] == 2
        assert replay(ferry, trace, "acc", "--mask", "NO_SUCH")[0] == 2
    kept = sorted(os.listdir(transcripts))
    assert kept
    for name in kept:
        if name.endswith(".trc"):
            # "acc-save.trc" is of an acc; libvfio-user's and QEMU's are served elsewhere.
            code, said = replay(ferry, os.path.join(transcripts, name), name.split("-")[0],
                                "--mask", "VERSION")
            assert code == 0 and said["same"], (name, said)
    inherited(ferry)


main()
