#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bridge in front of a program's C library: preloaded.c tells what must hold.

Usage: test_bridge_preload.py FERRY PRELOADED LIBRARY MAP
"""
import os
import re
import subprocess
import sys

from cli_rig import Rig

# Of preloaded.c, and what each is about.
SCENARIOS = (
    ("others", "other people's descriptors and requests are as they were"),
    ("copies", "each way to another number leads to the same device"),
    ("functions", "every function leads to the device"),
    ("maps", "a device's memory is the same in each mapping of it"),
    ("children", "children are without the bridge once a token was used, and with it before"),
    ("forks", "children that tidy up do not speak for their parent"),
    ("daemon", "a daemon's forks come before the first thread and socket"),
    ("second_life", "a token that was used before a fork is a fresh device in the child"),
    ("kvm", "KVM is told of the device, and hears nothing of it"),
    ("races", "a close under a call in another thread"),
    ("refused", "tokens that cannot be used are refused with a message"),
)
# What must be said; the others say nothing.
SAID = {"refused": ("the token is not sealed", "the token is of version 2",
                    "/no/such/server.sock")}
TIMEOUT_S = 60


def run(program, library, scenario, path):
    """One scenario; return: its exit code and what it said."""
    done = subprocess.run([program, scenario, path], timeout=TIMEOUT_S, text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=dict(os.environ, LD_PRELOAD=library))
    return done.returncode, done.stdout


def check_names(library, version_script):
    """Return: what the library shows without being told, or does not show although told. A
    linker says nothing of a name in its map that no function has."""
    with open(version_script, encoding="utf-8") as script:
        text = re.sub(r"#.*", "", script.read())
    told = set(re.findall(r"(\w+);", text.split("global:")[1].split("local:")[0]))
    names = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library], check=True,
                           capture_output=True, text=True).stdout
    shown = {line.split()[0] for line in names.splitlines()}
    assert len(told) > 20, told
    return sorted(told ^ shown)


def main():
    ferry, program, library, version_script = sys.argv[1:]
    wrong = check_names(library, version_script)
    failed = len(wrong) > 0
    print("%s: the library shows what its map says %s" % ("FAILED" if wrong else "passed", wrong))
    with Rig(ferry) as rig:
        path = rig.path("copy.sock")
        rig.start("copy", "serve", "copy,memory=1M", "--socket", path)
        for scenario, words in SCENARIOS:
            code, said = run(program, library, scenario, path)
            bad = code != 0 or any(w not in said for w in SAID.get(scenario, ()))
            bad = bad or (said != "" and scenario not in SAID)
            failed += bad
            print("%s: %s" % ("FAILED" if bad else "passed", words))
            if bad:
                print("  exit %d: %s" % (code, said))
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
