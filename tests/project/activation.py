#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry serve takes the sockets that systemd hands over (LISTEN_FDS), as the units do it.

usage: activation.py FERRY
The sockets come from systemd-socket-activate where it is there, and always from this program
as well, which can hand over wrong ones.
"""
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

LIMIT_S = 20
# What systemd does in the new process: descriptors from 3 on, and two variables.
STARTER = """
import json, os, sys
fds, count, pid = json.loads(sys.argv[1])
high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
os.closerange(3, 50)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_FDS"] = str(len(fds) if count is None else count)
os.environ["LISTEN_PID"] = str(pid or os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def wait_until(what, condition):
    """Waits for something that takes as long as the machine likes."""
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def model_at(ferry, path):
    """The model of the device that is served there."""
    run = subprocess.run([ferry, "info", "--json", path], capture_output=True, text=True,
                         timeout=LIMIT_S, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)["identity"]["model"]


def activate(ferry, paths, args, count=None, pid=None):
    """Starts `ferry serve ARGS` with a listening socket for each path.

    count and pid: what to say in LISTEN_FDS and LISTEN_PID instead of the truth."""
    held = []
    for path in paths:
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(path))
        one.listen()
        held.append(one)
    fds = [one.fileno() for one in held]
    process = subprocess.Popen(
        [sys.executable, "-c", STARTER, json.dumps([fds, count, pid]), ferry, "serve",
         *map(str, args)], pass_fds=fds, stderr=subprocess.PIPE, text=True)
    for one in held:
        one.close()
    return process


def end(process):
    """SIGTERM; return: exit status and messages."""
    process.terminate()
    _, err = process.communicate(timeout=LIMIT_S)
    return process.returncode, err


def refused(process):
    """It ends by itself as wrong usage; return: its messages."""
    _, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 2, (process.returncode, err)
    return err


def a_device_needs_no_path_when_its_socket_is_handed_over(ferry, work):
    """It answers there, again and again, and leaves the socket to who made it."""
    path = work / "one"
    process = activate(ferry, [path], ["acc"])
    assert model_at(ferry, path) == "acc" and model_at(ferry, path) == "acc"
    assert end(process) == (0, "")
    assert path.exists(), "the socket is systemd's to remove"


def devices_find_their_sockets_by_path_or_in_order(ferry, work):
    """A path that is named says which one; the rest go to the others in order."""
    paths = [work / "p0", work / "p1", work / "p2"]
    process = activate(ferry, paths, ["acc", "copy", "--socket", paths[0], "copy"])
    assert [model_at(ferry, p) for p in paths] == ["copy", "acc", "copy"]
    assert end(process) == (0, "")


def what_is_meant_for_another_process_is_left_alone(ferry, work):
    """LISTEN_PID is inherited by children, for which it is not meant."""
    err = refused(activate(ferry, [work / "other"], ["acc"], pid=1))
    assert "--socket" in err, err


def wrong_descriptors_are_refused(ferry, work):
    """More sockets than devices, ones that are not open, and what is no number."""
    assert "no MODEL" in refused(activate(ferry, [work / "a", work / "b"], ["acc"]))
    assert "not open" in refused(activate(ferry, [work / "c"], ["acc", "acc"], count=2))
    assert "LISTEN_FDS" in refused(activate(ferry, [work / "d"], ["acc"], count="x"))


def systemds_own_starter_works(ferry, work):
    """systemd-socket-activate starts the device at the first connection."""
    starter = shutil.which("systemd-socket-activate")
    if starter is None or not pathlib.Path("/proc/self").exists():
        print("systemd-socket-activate (package systemd) or /proc, which it needs, is missing")
        return
    path = work / "by-systemd"
    process = subprocess.Popen([starter, "-l", path, ferry, "serve", "acc"],
                               stderr=subprocess.PIPE, text=True)
    wait_until("nobody listens at " + str(path), path.exists)
    assert model_at(ferry, path) == "acc"
    status, err = end(process)
    assert status == 0, err


def main():
    with tempfile.TemporaryDirectory(prefix="ferry-activation-") as name:
        for test in (a_device_needs_no_path_when_its_socket_is_handed_over,
                     devices_find_their_sockets_by_path_or_in_order,
                     what_is_meant_for_another_process_is_left_alone,
                     wrong_descriptors_are_refused, systemds_own_starter_works):
            test(sys.argv[1], pathlib.Path(name))
            print("passed: " + test.__name__.replace("_", " "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
