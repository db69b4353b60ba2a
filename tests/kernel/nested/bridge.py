#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Moves the payload (payload/) between two QEMU 10.0 that have Ferry's `copy` behind the bridge,
by the same steps (move.sh) that a guest of check-kernel does with a device of a real kernel's
VFIO, and records what QEMU asks of the device's migration.

usage: bridge.py FERRY BRIDGE PAYLOAD RECORDER ROOT
ROOT: QEMU 10.0 of scripts/qemu-cache. The bridge's records have to be like those in golden/,
which are the real kernel's.
"""
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, "golden")
COMPARE = os.path.join(HERE, "../record/compare.sh")
# The records that a case leaves: not of one who is killed, nor of a target to which the source
# may or may not have said a word; and how they are compared.
CASES = {
    "move": (("source", "target"), ()),
    "stopped": (("source", "target"), ()),
    "cancel": (("source", "target", "second"), ()),
    "killed": (("source", "second"), ()),
    "multifd": (("source", "target"), ("--threads",)),
    "refused": (("source",), ("--refused",)),
    "declined": (("source",), ("--refused",)),
}
MACHINE = "-machine q35 -accel tcg -m 16"
# The same flags as the reference driver's: STOP_COPY, P2P, PRE_COPY.
MODEL = "copy,memory=1M"
REFUSES = {"refused": "error=pre_copy:EINVAL@1", "declined": "error=stop_copy:EINVAL@1"}
CASE_S = 120


def environment(ferry, bridge, payload, recorder, root):
    """What move.sh wants to know of QEMU 10.0 with the bridge. root: of scripts/qemu-cache."""
    usr = os.path.join(root, "usr")
    libs = os.path.join(usr, "lib/x86_64-linux-gnu")
    qemu = (f"{libs}/ld-linux-x86-64.so.2 --library-path {libs} {usr}/bin/qemu-system-x86_64"
            f" -L {usr}/share/qemu -L {usr}/share/seabios")
    command = (f"{ferry} qemu --quiet --bridge {bridge} --device model={MODEL} -- {qemu}"
               f" {MACHINE} -kernel {payload}")
    return dict(os.environ, SOURCE=command, TARGET=command, RECORDER=recorder,
                QEMU_MODULE_DIR=os.path.join(libs, "qemu"), MALLOC_PERTURB_="0")


@contextlib.contextmanager
def source_that(refuses, folder, env):
    """The environment with a source whose device refuses that once."""
    ferry = env["SOURCE"].split()[0]
    place = os.path.join(folder, "device")
    read_end, write_end = os.pipe()
    server = subprocess.Popen([ferry, "serve", MODEL, "--filter", refuses, "--socket", place,
                               "--ready-fd", str(write_end)], pass_fds=[write_end],
                              stderr=subprocess.DEVNULL)
    os.close(write_end)
    with os.fdopen(read_end) as ready:
        ready.read(1)
    yield dict(env, SOURCE=env["SOURCE"].replace("model=" + MODEL, place))
    server.kill()
    server.wait()


def move(case, folder, env):
    """One case; what it said, and whether it did what it should."""
    os.makedirs(folder)
    how = source_that(REFUSES[case], folder, env) if case in REFUSES else \
        contextlib.nullcontext(env)
    with how as own:
        run = subprocess.run(["sh", os.path.join(HERE, "move.sh"), case, folder], env=own,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=CASE_S, check=False)
    # QEMU 10.0 resets a device that does not stop; the bridge keeps its state all the same.
    return run.stdout, run.returncode == 0 and "lost its state" not in run.stdout


def compare(record, other, options=()):
    """What differs first, and whether the two are alike."""
    run = subprocess.run(["sh", COMPARE, *options, record, other], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=False)
    return run.stdout, run.returncode == 0


def try_case(case, folder, env):
    """One case, compared with the real kernel's records: what there is to say, and whether all
    is well."""
    text, good = move(case, folder, env)
    names, options = CASES[case]
    for name in names if good else ():
        more, alike = compare(os.path.join(GOLDEN, f"{case}-{name}.record"),
                              os.path.join(folder, name + ".record"), options)
        text += more
        good &= alike
    return text, good


def add_to(guest, folder):
    """What the same steps in a guest need: /nested. folder: of this machine's records."""
    guest.add(os.path.join(HERE, "move.sh"), "nested/move.sh")
    guest.add(COMPARE, "nested/compare.sh")
    guest.add(os.path.join(GOLDEN, "ask.record"), "nested/bridge/ask.record")
    for case, (names, _) in CASES.items():
        for name in names:
            record = os.path.join(folder, case, name + ".record")
            if os.path.exists(record):
                guest.add(record, f"nested/bridge/{case}-{name}.record")


def main():
    env = environment(*map(os.path.abspath, sys.argv[1:6]))
    folder = tempfile.mkdtemp(prefix="ferry-nested-")
    failed = 0
    for case in CASES:
        text, good = try_case(case, os.path.join(folder, case), env)
        print(text, end="", flush=True)
        failed += not good
    # Records that are not alike are told from each other.
    text, alike = compare(os.path.join(GOLDEN, "move-source.record"),
                          os.path.join(GOLDEN, "cancel-source.record"))
    assert not alike and "+d0 SET DMA_LOGGING_STOP = ok" in text, text
    if failed:
        print(f"all logs: {folder}")
        sys.exit(1)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
