#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The sessions with QEMU guests of README and of docs/nic.md do what they say.

usage: test_bridge_readme.py FERRY README GUEST NIC
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
ANSWERS = 100  # so many without a loss: the move is over


def session(page, heading):
    """The commands of a page's session, without their comments."""
    with open(page, encoding="utf-8") as file:
        block = re.search(rf"^## {heading}.*?^```\n(.*?)^```", file.read(),
                          re.MULTILINE | re.DOTALL).group(1)
    return [line.split("  # ")[0].strip() for line in block.splitlines()]


def wait(holds, text):
    """Waits until holds() is true."""
    end = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end, text
        time.sleep(0.2)


def last(folder, name, pattern):
    """The numbers of the last line in a log that fits a pattern, or None."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            found = re.findall(pattern, file.read())
    except FileNotFoundError:
        return None
    return tuple(map(int, found[-1])) if found else None


class Crypto:
    """README's guest encrypts."""

    def __init__(self, folder):
        self.folder = folder
        self.before = None

    def status(self, side):
        """works and errors."""
        return last(self.folder, side + ".log", r"crypto running=1 works=(\d+) errors=(\d+)")

    def works(self):
        """The guest works at the source."""
        self.before = self.status("a")
        return self.before

    def goes_on(self):
        """It does so at the target, and nothing was wrong."""
        after = self.status("b")
        assert self.before[1] == 0 and (after is None or after[1] == 0), (self.before, after)
        return after is not None and after[0] > self.before[0]


class Pings:
    """The guest of docs/nic.md is pinged."""

    def __init__(self, folder):
        self.folder = folder
        self.lost = None

    def status(self):
        """answers, lost and moves."""
        return last(self.folder, "ping.log", r"(\d+) answers, (\d+) lost, .* moved (\d+) times")

    def works(self):
        """There are answers from the source."""
        found = self.status()
        return found and found[0] > 0

    def goes_on(self):
        """There are answers from the target, and no more are lost."""
        found = self.status()
        if found[2] != 1:
            return False
        settled = self.lost is not None and found[1] == self.lost[1] and \
            found[0] > self.lost[0] + ANSWERS
        self.lost = found if self.lost is None or found[1] != self.lost[1] else self.lost
        return settled


def run(lines, folder, environment, guest):
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
                elif "--ping" in words:
                    wait(lambda: os.path.exists(folder + "/wire"), "no wire")
                continue
            if "(qemu) migrate " in line:
                wait(guest.works, "the guest does not work")
            monitor.stdin.write(line.removeprefix("(qemu) ") + "\n")
            monitor.stdin.flush()
        wait(guest.goes_on, "the work does not go on at the target")
        return monitor.stdout.read()
    finally:
        for process in running:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


def check(ferry, page, heading, guest, kind):
    """Runs one session."""
    folder = tempfile.mkdtemp(prefix="ferry-readme-")
    environment = dict(os.environ, MALLOC_PERTURB_="0",
                       PATH=os.path.dirname(ferry) + ":" + os.environ["PATH"])
    lines = [line.replace("/tmp/", folder + "/").replace("scripts/guest", guest)
             for line in session(page, heading)]
    assert len(lines) <= 10, lines
    try:
        said = run(lines, folder, environment, kind(folder))
        assert "completed" in said, said
    finally:
        shutil.rmtree(folder)


def main():
    ferry, readme, guest, nic = sys.argv[1:5]
    check(ferry, readme, "A QEMU guest moves", guest, Crypto)
    if os.path.exists("/dev/net/tun"):
        check(ferry, nic, "A session", guest, Pings)
    else:
        print("without /dev/net/tun nobody can ping: the session of docs/nic.md was not run")


main()
