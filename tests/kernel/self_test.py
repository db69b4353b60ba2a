#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The runner of the kernel's tests passes what passes and nothing else: without QEMU, a program
says what a guest would say.

usage: self_test.py
"""
import os
import sys
import tempfile

import machine
import plan as plan_of

CASES = """# boot: devices
test_one() {
    true
}

# limit: 7
test_two_words() { true; }
test_three() {
    true
}
"""
# What QEMU is asked to do is told to this; it writes to the port that the guest would have.
GUEST = """import re, sys, time
number = re.search("fd=(\\\\d+)", " ".join(sys.argv))[1]
port = open(int(number), "wb", buffering=0)
port.write(sys.argv[1].encode())
time.sleep(float(sys.argv[2]))
"""


def played(text, wait=0.0):
    """What the runner counts when a guest says this, and ends after wait seconds."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "x.sh"), "w", encoding="utf-8") as file:
            file.write(CASES)
        plan, = plan_of.plans(folder, ["devices"])
        assert plan.limits() == {"x: one": 60, "x: two words": 7, "x: three": 60}
        assert "run_case 'x: two words' 7 'set -eu; . /cases/x.sh; test_two_words'\n" \
            in plan.script()
        with machine.Machine([sys.executable, "-c", GUEST, text, str(wait)],
                             dict(os.environ)) as guest:
            return plan_of.run_plan(plan, guest)


def ended(name, status=0, kernel=""):
    """A guest's words for one case."""
    return f"@@ begin {name}\nsays\n\n{kernel}@@ end {name} {status}\n"


def main():
    names = ("x: one", "x: two words", "x: three")
    good = [ended(name) for name in names]
    assert played("noise\n" + "".join(good)) == (3, 0)
    assert played(good[0] + ended(names[1], 1) + good[2]) == (2, 1)
    assert played(good[0] + ended(names[1], 143) + good[2]) == (2, 1)
    # The kernel complains.
    assert played(good[0] + ended(names[1], 0, "@@ kernel [ 1.0] harmless\n") + good[2]) == (3, 0)
    assert played(good[0] + ended(
        names[1], 0, "@@ kernel [ 1.0] WARNING: CPU: 0 PID: 1\n") + good[2]) == (2, 1)
    fault = "@@ kernel [ 1.0] DMAR: [DMA Write NO_PASID] Request device [01:00.0]\n"
    assert played(good[0] + ended(names[1], 0, fault) + good[2]) == (2, 1)
    assert played(good[0] + ended(names[1], 0, "@@ faults\n" + fault) + good[2]) == (3, 0)
    # The guest dies: before, between and in cases.
    assert played("") == (0, 3)
    assert played(good[0]) == (1, 2)
    assert played(good[0] + "@@ begin x: two words\nsays\n@@ kernel x") == (1, 2)
    # One that nobody asked for counts for nothing, and none counts twice.
    assert played("".join(good) + ended("x: four")) == (3, 0)
    assert played(good[0] + good[0] + good[1]) == (2, 1)
    # It says nothing any more.
    machine.BOOT_S, machine.SLOWER = 0.5, 0
    assert played(good[0] + "@@ begin x: two words\n", 60) == (1, 2)


if __name__ == "__main__":
    main()
