#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's own work and checks, which the tests of migrations rely on.

usage: test_qemu_work.py FERRY CACHE INIT MODULE
"""
import os
import socket
import sys

import initramfs
import qemu_rig as rig_of

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "bridge"))
import bridge_rig  # noqa: E402 pylint: disable=wrong-import-position

WORKS = 20
COPIES = ("copy,memory=1M", "copy,memory=64K")


def start(rig, *names, **how):
    """A guest with these servers, and what it says on its second serial line."""
    path = rig.path("beats")
    initramfs.write(rig.path("initrd"), sys.argv[3],
                    os.path.join(rig.cache, "guest/modules"), [sys.argv[4]])
    qemu = rig.start(*names, kernel="cryptomgr.notests", extra=(
        "-chardev", f"socket,id=beats,path={path},server=on,wait=off",
        "-serial", "chardev:beats"), **how)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(path)
    return qemu.boot(), bridge_rig.Drain(sock)


def status(qemu, name):
    """{worker: {key: number}} and {worker: text of its first error}."""
    found, error = {}, {}
    for line in qemu.guest(name + " status"):
        worker, *rest = line.split()
        if rest[0] == "error":
            error[worker] = line
        else:
            found[worker] = {key: int(value) for key, value in
                             (word.split("=") for word in rest)}
    return found, error


def works_on(rig, qemu, name):
    """Each worker has done some more, and nothing was wrong."""
    before, _ = status(qemu, name)
    rig.wait(lambda: all(keys["works"] >= before[worker]["works"] + WORKS or keys["errors"]
                         for worker, keys in status(qemu, name)[0].items()),
             name + " does not go on")
    found, error = status(qemu, name)
    assert not error, error
    assert all(keys["errors"] == 0 and keys["running"] == 1 for keys in found.values()), found
    return found


def test_devices_work_while_commands_are_answered(rig):
    rig.serve("acc", "acc")
    for number, model in enumerate(COPIES):
        rig.serve(f"copy{number}", model)
    qemu, beats = start(rig, "acc", "copy0", "copy1")
    qemu.guest("beat on")
    for command in "crypto start", "copy start host", "tick start":
        qemu.guest(command)
    for name in "crypto", "copy", "tick":
        works_on(rig, qemu, name)
    rig.wait(lambda: status(qemu, "tick")[0]["tick"]["gap_us"] > 500, "no gap is measured")
    assert len(works_on(rig, qemu, "copy")) == len(COPIES)
    rig.wait(lambda: len(beats.line) > 100, "no beats")
    said = {letter: [int(text[2:]) for _, text in beats.line if text[0] == letter]
            for letter in "cpt"}
    for letter, numbers in said.items():
        assert len(numbers) > 1 and numbers == sorted(set(numbers)), (letter, numbers)
    qemu.guest("beat off")
    # What was counted before a stop is what is there after it.
    for line in qemu.guest("copy stop"):
        keys = dict(word.split("=") for word in line.split()[1:])
        assert int(keys["submitted"]) == int(keys["completed"]) >= 4 * int(keys["works"])
        assert 0 < int(keys["interrupts"]) <= int(keys["completed"]) + int(keys["spurious"])
    qemu.guest("copy start storm")
    works_on(rig, qemu, "copy")
    works_on(rig, qemu, "crypto")
    for name in "copy", "crypto", "tick":
        assert all("errors=0" in line for line in qemu.guest(name + " stop"))
    assert qemu.end() == 0


def test_pages_are_as_the_device_left_them_and_no_others(rig):
    rig.serve("copy", COPIES[0])
    qemu, _ = start(rig, "copy")
    for seed in 1, 2:
        qemu.guest(f"dirty fill {seed}")
        line = qemu.guest(f"dirty check {seed}")[0].split()
        assert line[2:] == ["wrong=0", "first=-1"], line
        line = qemu.guest(f"dirty check {seed + 1}")[0].split()
        assert line[2].split("=")[1] == line[1].split("=")[1] and line[3] == "first=0", line
    assert qemu.end() == 0


def test_registers_are_timed(rig):
    rig.serve("copy", COPIES[0])
    qemu, _ = start(rig, "copy")
    address, driver = rig_of.find(qemu.guest("pci"), rig_of.COPY)
    assert driver == "ferry_copy"
    for command, value in (f"mmio read {address} 0 0 100", "value=0x59504f43"), \
                          (f"mmio write {address} 0 0x2018 100 0", "value=0x0"):
        keys = qemu.guest(command)[0].split()
        assert keys[0] == "count=100" and keys[3] == value, keys
        assert 0 < int(keys[1].split("=")[1]) <= int(keys[2].split("=")[1]), keys
    assert qemu.end() == 0


def test_a_job_that_fails_is_an_error_and_the_next_are_done(rig):
    for number, model in enumerate(COPIES):
        rig.serve(f"copy{number}", model)
    qemu, _ = start(rig, "copy0", "copy1")
    # QEMU's own client maps no device's memory for another one.
    qemu.guest("copy start pair")
    rig.wait(lambda: len(status(qemu, "copy")[1]) == 2, "the module does not notice")
    found, error = status(qemu, "copy")
    for worker, keys in found.items():
        assert keys["errors"] > 0 and keys["works"] == 0 and keys["running"] == 1, keys
        assert "with status 4 and 0 bytes" in error[worker], error
    qemu.guest("copy stop")
    qemu.guest("copy start host")
    works_on(rig, qemu, "copy")
    assert qemu.end() == 0


rig_of.run([test_devices_work_while_commands_are_answered,
            test_pages_are_as_the_device_left_them_and_no_others,
            test_registers_are_timed,
            test_a_job_that_fails_is_an_error_and_the_next_are_done])
