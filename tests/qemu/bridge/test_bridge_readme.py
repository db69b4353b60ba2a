#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""README's session with a QEMU guest does what it says.

usage: test_bridge_readme.py FERRY README GUEST
"""
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIMIT_S = 150


def session(readme):
    """The commands of README's session, without their comments."""
    with open(readme, encoding="utf-8") as file:
        block = re.search(r"^## A QEMU guest moves.*?^```\n(.*?)^```", file.read(),
                          re.MULTILINE | re.DOTALL).group(1)
    return [line.split("  # ")[0].strip() for line in block.splitlines()]


def wait(holds, text):
    """Waits until holds() is true."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, text
        time.sleep(0.2)


def status(log):
    """works and errors of the last status in a console's log, or None."""
    if not os.path.exists(log):
        return None
    with open(log, encoding="utf-8", errors="replace") as file:
        found = re.findall(r"crypto running=1 works=(\d+) errors=(\d+)", file.read())
    return tuple(map(int, found[-1])) if found else None


def run(lines, folder, environment):
    """Types the lines as a reader would; returns what the monitor said."""
    running = []
    monitor = None
    try:
        for line in lines:
            if not line.startswith("(qemu) "):
                if monitor is not None:
                    monitor.wait(LIMIT_S)
                words = line.removesuffix("&")
                running.append(subprocess.Popen(
                    "exec " + words, shell=True, env=environment, stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE if "stdio" in words else None, text=True,
                    start_new_session=True))
                if "-monitor stdio" in words:
                    monitor = running[-1]
                elif not line.endswith("&"):
                    assert running[-1].wait(LIMIT_S) == 0, line
                elif "--socket" in words:
                    path = words.split("--socket ")[1].strip()
                    wait(lambda path=path: os.path.exists(path), path)
                elif "-incoming" in words:
                    wait(lambda: os.path.exists(folder + "/move"), "no target")
                continue
            if "(qemu) migrate " in line:
                wait(lambda: status(folder + "/a.log"), "the guest does not work")
            monitor.stdin.write(line.removeprefix("(qemu) ") + "\n")
            monitor.stdin.flush()
        before = status(folder + "/a.log")
        wait(lambda: (status(folder + "/b.log") or (0, 0))[0] > before[0],
             "the work does not go on at the target")
        assert before[1] == status(folder + "/b.log")[1] == 0
        return monitor.stdout.read()
    finally:
        for process in running:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def main():
    ferry, readme, guest = sys.argv[1:4]
    folder = tempfile.mkdtemp(prefix="ferry-readme-")
    environment = dict(os.environ, MALLOC_PERTURB_="0",
                       PATH=os.path.dirname(ferry) + ":" + os.environ["PATH"])
    lines = [line.replace("/tmp/", folder + "/").replace("scripts/guest", guest)
             for line in session(readme)]
    assert len(lines) <= 10, lines
    try:
        said = run(lines, folder, environment)
        assert "completed" in said, said
    finally:
        shutil.rmtree(folder)


main()
