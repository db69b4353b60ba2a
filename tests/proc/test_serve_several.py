# SPDX-License-Identifier: BSD-3-Clause
"""Several devices in one `ferry serve`: each has its client, and none disturbs another.

Usage: test_serve_several.py FERRY
"""
import json
import os
import signal
import socket
import struct
import subprocess
import sys

from cli_rig import Rig

LIMIT_S = 20


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def model_at(rig, path):
    """The model that is served at a path."""
    done = rig.run("info", "--json", path)
    expect("info " + path + done.stderr, done.returncode, 0)
    return json.loads(done.stdout)["identity"]["model"]


def each_model_has_its_socket(rig):
    """Options behind a model are its own; one line of JSON for each; SIGTERM ends all."""
    a, b, c = (rig.path("each-" + n) for n in "abc")
    process = subprocess.Popen(
        [rig.ferry, "serve", "--json", "--socket", a, "acc,sessions=8", "copy,memory=1M",
         "--filter", "error=identity:EIO", "--socket", b, "acc", "--socket", c],
        stdout=subprocess.PIPE, text=True)
    rig.process["each"] = process
    said = [json.loads(process.stdout.readline()) for _ in range(3)]
    expect("said", [(s["model"], s["socket"]) for s in said],
           [("acc", a), ("copy", b), ("acc", c)])
    expect("first", model_at(rig, a), "acc")
    expect("third", model_at(rig, c), "acc")
    # The filter is the second's only: its identity cannot be asked for.
    expect("second", model_at(rig, b) == "copy", False)
    process.send_signal(signal.SIGTERM)
    expect("exit status", process.wait(LIMIT_S), 0)
    for path in (a, b, c):
        assert not os.path.exists(path), path + " is left"
    del rig.process["each"]
    process.stdout.close()


def a_broken_client_disturbs_its_own_device_only(rig):
    """Garbage, half a message and a silent client at one; the other answers."""
    a, b = rig.path("broken-a"), rig.path("broken-b")
    rig.start("broken", "serve", "acc", "--socket", a, "copy,memory=1M", "--socket", b)
    clients = []
    for data in (b"\xff" * 4096, struct.pack("<HHIII", 1, 1, 4096, 0, 0), b""):
        client = socket.socket(socket.AF_UNIX)
        client.connect(a)
        client.sendall(data)
        clients.append(client)
        expect("the other", model_at(rig, b), "copy")
    for client in clients:
        client.close()
    expect("afterwards", model_at(rig, a), "acc")


def a_device_that_is_stuck_holds_nobody_else_up(rig):
    """Its log goes to a pipe that nobody reads: its thread waits, the other's does not."""
    a, b = rig.path("stuck-a"), rig.path("stuck-b")
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [rig.ferry, "serve", "acc", "--socket", a, "--filter", "log=json",
         "copy,memory=1M", "--socket", b, "--ready-fd", str(write_end)],
        pass_fds=[write_end], stderr=subprocess.PIPE)
    rig.process["stuck"] = process
    os.close(write_end)
    expect("ready", os.read(read_end, 16), b"ready\n")
    os.close(read_end)
    stuck = False
    for _ in range(100):
        try:
            subprocess.run([rig.ferry, "info", a], capture_output=True, timeout=1,
                           check=False)
        except subprocess.TimeoutExpired:
            stuck = True
            break
    expect("stuck", stuck, True)
    expect("the other", model_at(rig, b), "copy")
    process.send_signal(signal.SIGTERM)
    process.stderr.read()
    expect("exit status", process.wait(LIMIT_S), 0)
    del rig.process["stuck"]
    process.stderr.close()


def wrong_sets_are_refused(rig):
    """Exit status 2, and nothing is left behind."""
    x, y = rig.path("wrong-x"), rig.path("wrong-y")
    for args in (["acc", "copy", "--socket", x], ["acc", "--socket", x, "copy"],
                 ["acc", "--socket", x, "--socket", y], ["--socket", x],
                 ["acc", "--socket", x, "nonsense", "--socket", y],
                 ["acc", "--socket", x, "copy", "--socket", y, "--filter", "delay=stop:1"]):
        done = rig.run("serve", *args)
        expect("serve %s" % " ".join(args), done.returncode, 2)
        assert done.stderr
        assert not os.path.exists(x) and not os.path.exists(y)
    # The same path twice is no usage error: somebody listens there.
    expect("one path", rig.run("serve", "acc", "--socket", x, "copy", "--socket",
                               x).returncode, 1)
    assert not os.path.exists(x)


def main():
    with Rig(sys.argv[1]) as rig:
        for test in (each_model_has_its_socket, a_broken_client_disturbs_its_own_device_only,
                     a_device_that_is_stuck_holds_nobody_else_up, wrong_sets_are_refused):
            test(rig)
            print("passed: " + test.__name__.replace("_", " "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
