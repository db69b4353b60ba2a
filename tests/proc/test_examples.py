# SPDX-License-Identifier: BSD-3-Clause
"""The examples of a VMM over real devices, and the manuals that show their code.

Usage: test_examples.py FERRY MINIVMM REMAP COUNTER SOURCE-ROOT
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import time

from cli_rig import Rig

LIMIT_S = 20
MANUALS = ("docs/write-a-device.md", "docs/use-in-a-vmm.md")
SNIPPET = re.compile(r"<!-- from (\S+) -->\n+```c\n(.*?)```\n", re.S)
LINES_MOST = 200  # of a program that sends and receives


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def wait_for_socket(path):
    """Until somebody listens there."""
    limit = time.monotonic() + LIMIT_S
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(path)
                return
            except OSError:
                assert time.monotonic() < limit, "nobody listens at " + path
        time.sleep(0.01)


def start(rig, name, *args):
    """A process of the rig, with its output kept."""
    rig.process[name] = subprocess.Popen(args, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, text=True)
    return rig.process[name]


def listening(path):
    """Waits for a listener without connecting to it: it takes one source only."""
    limit = time.monotonic() + LIMIT_S
    while not os.path.exists(path):
        assert time.monotonic() < limit, path + " does not appear"
        time.sleep(0.01)


def move(rig, program, name, here, there):
    """Runs both sides of an example. (exit status, output, errors) of each."""
    at = rig.path(name + ".move")
    target = start(rig, name + "-target", program, "receive", "unix:" + at,
                   *("vfio-user:" + d for d in there))
    listening(at)
    source = subprocess.run([program, "send", "unix:" + at,
                             *("vfio-user:" + d for d in here)],
                            capture_output=True, text=True, timeout=LIMIT_S, check=False)
    if source.returncode != 0:
        target.terminate()
    out, err = target.communicate(timeout=LIMIT_S)
    return (source.returncode, source.stdout, source.stderr), (target.returncode, out, err)


def tick(side):
    """The tick at which a side ended."""
    found = re.match(r"MOVED at tick (\d+), \d+ rounds, (\d+) interrupts\n$", side[1])
    assert found and side[0] == 0, "a side said %r" % (side,)
    return int(found[1]), int(found[2])


def a_vmm_moves_with_a_served_device(rig):
    """`ferry serve acc`: the memory that the CPU wrote all the time is right there."""
    a, b = rig.path("acc-a"), rig.path("acc-b")
    rig.start("acc", "serve", "acc", "--socket", a, "acc", "--socket", b)
    source, target = move(rig, rig.minivmm, "acc", [a], [b])
    (sent, _), (got, _) = tick(source), tick(target)
    assert sent >= 200 and got >= sent + 200, "ticks %d and %d" % (sent, got)


def a_vmm_moves_while_its_device_works(rig):
    """The counter counts each tick once, by register, by DMA and by interrupt."""
    a, b = rig.path("counter-a"), rig.path("counter-b")
    for path in (a, b):
        start(rig, path, rig.counter, path)
        wait_for_socket(path)
    source, target = move(rig, rig.minivmm, "counter", [a], [b])
    (sent, first), (got, second) = tick(source), tick(target)
    assert got >= sent + 200, "ticks %d and %d" % (sent, got)
    # A device may answer several doorbells with one interrupt, but not with more.
    assert 0 < first <= sent and 0 < second <= got - sent + 1, (first, second)


def a_device_of_another_kind_is_refused_and_the_source_goes_on(rig):
    """The source's error names the difference."""
    a, b = rig.path("other-a"), rig.path("other-b")
    rig.start("other", "serve", "acc", "--socket", a, "copy,memory=1M", "--socket", b)
    source, _ = move(rig, rig.minivmm, "other", [a], [b])
    expect("exit status", source[0], 1)
    assert "FERRY_E_INCOMPATIBLE" in source[2], source[2]


def nobody_there_is_said(rig):
    """No target: an error at once."""
    a = rig.path("alone-a")
    rig.start("alone", "serve", "acc", "--socket", a)
    done = subprocess.run([rig.minivmm, "send", "unix:" + rig.path("alone"),
                           "vfio-user:" + a],
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)
    expect("exit status", done.returncode, 1)
    assert "FERRY_E_NOT_FOUND" in done.stderr, done.stderr


def a_bar_moves_and_memory_waits(rig):
    """The BAR's new place and the memory that waits arrive with the guest."""
    path = [rig.path("copy-" + n) for n in "abcd"]
    rig.start("copies", "serve",
              *(word for p in path for word in ("copy,memory=1M", "--socket", p)))
    source, target = move(rig, rig.remap, "remap", path[:2], path[2:])
    expect("source", source, (0, "MOVED, BAR at 0x90000000, 1 waiting, 0 plugged\n", ""))
    expect("target", target, (0, "MOVED, BAR at 0x90000000, 0 waiting, 1 plugged\n", ""))


def the_manuals_show_code_that_is_built(root):
    """Every block of C in the manuals is, byte for byte, a piece of a file that is built."""
    for manual in MANUALS:
        text = (root / manual).read_text()
        blocks = SNIPPET.findall(text)
        expect("blocks of C that name their file in " + manual, len(blocks),
               text.count("```c\n"))
        assert len(blocks) >= 5, manual + " shows too little"
        for file, code in blocks:
            assert file.startswith("examples/"), file
            assert code in (root / file).read_text(), \
                "%s shows what %s does not say:\n%s" % (manual, file, code)


def sending_and_receiving_is_short(root):
    """What the manual promises."""
    lines = (root / "examples/vmm/minivmm.c").read_text().count("\n")
    assert lines < LINES_MOST, "minivmm.c has %d lines" % lines


def main():
    """Runs all of it."""
    ferry, minivmm, remap, counter, root = sys.argv[1:]
    the_manuals_show_code_that_is_built(pathlib.Path(root))
    sending_and_receiving_is_short(pathlib.Path(root))
    with Rig(ferry) as rig:
        rig.minivmm, rig.remap, rig.counter = minivmm, remap, counter
        for case in (a_vmm_moves_with_a_served_device,
                     a_vmm_moves_while_its_device_works,
                     a_device_of_another_kind_is_refused_and_the_source_goes_on,
                     nobody_there_is_said, a_bar_moves_and_memory_waits):
            case(rig)
            print("ok", case.__name__)


if __name__ == "__main__":
    main()
