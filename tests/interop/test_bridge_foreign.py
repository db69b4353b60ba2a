#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Guests whose device is served by libvfio-user, behind the bridge.

usage: test_bridge_foreign.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU DEVICE
"""
import os
import subprocess
import sys

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../qemu/bridge"))

import bridge_move as move  # pylint: disable=wrong-import-position
import bridge_rig  # pylint: disable=wrong-import-position

VERSION, DEVICE = sys.argv[7:9]
# Of device.c, BAR 0.
WORKS, ERRORS, RUN, ADDRESS, VALUE, HOW = range(0, 24, 4)
PLAIN = 0x40
# Memory that the guest's kernel leaves alone, so that only the device writes there.
KERNEL = "mem=192M"
PAGE = 0xd000000
BY_MESSAGES = 1
SLOW_BYTES_S = 200 << 20


def serve(rig, name, *args, program=DEVICE):
    """Starts a server that is none of Ferry's."""
    with open(rig.path(name + ".server.log"), "ab") as log:
        rig.server[name] = subprocess.Popen([program, rig.path(name), *args], stdout=log,
                                            stderr=log, preexec_fn=bridge_rig.before_exec)
    rig.wait(lambda: os.path.exists(rig.path(name)), name + " does not listen")


def address(vm):
    """Where the guest has the device."""
    return next(line.split()[0] for line in vm.guest("pci")
                if line.split()[1:3] == ["0xfe44", "0xf0e1"])


def read(vm, off, bar=0):
    """A register, as the guest reads it."""
    line = vm.guest(f"mmio read {address(vm)} {bar} {off} 1 0")[0]
    return int(line.split("value=")[1], 16)


def write(vm, off, value, bar=0):
    """The guest writes a register."""
    vm.guest(f"mmio write {address(vm)} {bar} {off} 1 {value}")


def memory(vm, where):
    """A word of guest memory as QEMU has it."""
    text = vm.call("human-monitor-command", **{"command-line": f"xp /1wx {where}"})
    return int(text.split(":")[1], 16)


def start(rig, name, server, **how):
    """A machine with one device."""
    return rig.start(name, [server], VERSION, kernel=KERNEL, **how)


def sides(rig, **how):
    """A guest with a device that works by itself."""
    serve(rig, "dev0")
    serve(rig, "dev1")
    vm = start(rig, "vm0", "dev0", **how).boot()
    write(vm, PLAIN, 0x1234567)
    write(vm, 0x8000, 0xabcdef1, bar=2)
    write(vm, ADDRESS, PAGE)
    return vm


def works_on(rig, vm):
    """Its registers and its memory are the guest's, and it does more DMA, without errors."""
    assert read(vm, PLAIN) == 0x1234567 and read(vm, 0x8000, 2) == 0xabcdef1
    before = read(vm, WORKS)
    rig.wait(lambda: read(vm, WORKS) > before + 2, "the device does nothing")
    assert read(vm, ERRORS) == 0
    rig.wait(lambda: memory(vm, PAGE + 4096) > before, "the device's memory is not there")


def store(rig, vm, value):
    """The device writes a page of its own."""
    done = read(vm, WORKS)
    write(vm, VALUE, value)
    rig.wait(lambda: read(vm, WORKS) > done, "the device does not write")
    assert memory(vm, PAGE) == value


def there_and_back(rig, how, **options):
    """Two live migrations, a page written late in each: the log has to tell of it."""
    vm = sides(rig, **options)
    write(vm, HOW, how)
    write(vm, RUN, 1)
    works_on(rig, vm)
    for turn in (1, 2):
        rig.wait(lambda turn=turn: rig.info(f"dev{turn % 2}"), "the target is not free")
        target = start(rig, f"vm{turn}", f"dev{turn % 2}", incoming=True, **options)
        uri = move.listen(rig, target)
        # QEMU 10.0 is over when nothing is left before its first look at the bandwidth.
        move.begin(vm, uri, hold=True, max_bandwidth=SLOW_BYTES_S)
        move.held(vm)
        store(rig, vm, 0x1000 + turn)
        works_on(rig, vm)
        move.release(vm)
        move.moved(vm, target)
        assert memory(target, PAGE) == 0x1000 + turn
        works_on(rig, target)
        vm = target
    rig.end(vm)


def test_moves_with_shared_memory(rig):
    """The server maps the guest's memory and logs what it writes."""
    there_and_back(rig, 0)


def test_moves_with_messages(rig):
    """Memory that could be mapped, but the device sends messages: the bridge logs these."""
    there_and_back(rig, BY_MESSAGES)


def test_moves_without_a_file(rig):
    """The guest's memory has no file: the server's log knows nothing of it."""
    args = ["-object", f"memory-backend-ram,id=ram,size={bridge_rig.memory_size(VERSION)}",
            "-machine", "memory-backend=ram"]
    there_and_back(rig, BY_MESSAGES, args=args)


def test_cancelled_and_moved(rig):
    """Cancelled in pre-copy, at the switchover, and then a migration that works."""
    vm = sides(rig)
    write(vm, RUN, 1)
    for number, how in enumerate(({"hold": True, "max_bandwidth": SLOW_BYTES_S},
                                  {"capabilities": ["pause-before-switchover"]}, {}), 1):
        rig.wait(lambda: rig.info("dev1"), "the target is not free")
        target = start(rig, f"vm{number}", "dev1", incoming=True, waits=True)
        move.begin(vm, move.listen(rig, target, **how), **how)
        if not how:
            move.moved(vm, target)
            vm = target
            break
        if "hold" in how:
            move.held(vm)
        else:
            rig.wait(lambda vm=vm: vm.call("query-migrate")["status"] == "pre-switchover",
                     "it does not come to its switchover")
        vm.call("migrate_cancel")
        move.stayed(vm, target, status="cancelled")
        works_on(rig, vm)
    works_on(rig, vm)
    rig.end(vm)


def test_without_migration(rig):
    """The guest runs, and `migrate` says why not; --check says it before."""
    serve(rig, "dev0", "no-migration")
    vm = start(rig, "vm0", "dev0").boot()
    write(vm, PLAIN, 5)
    assert read(vm, PLAIN) == 5
    answer = vm.ask("migrate", uri="unix:/none")
    assert "migration is not supported" in answer.get("desc", "") or (
        "doesn't support migration" in answer.get("desc", "")), answer
    rig.end(vm)
    checked = rig.check(["dev0"], VERSION)
    assert checked.returncode != 0 and "no migration support" in checked.stdout, checked


def test_without_dma(rig):
    """libvfio-user says that such a device logs, and ends when its log is begun."""
    for name in ("dev0", "dev1"):
        serve(rig, name, "no-dma")
    vm = start(rig, "vm0", "dev0").boot()
    target = start(rig, "vm1", "dev1", incoming=True, waits=True)
    move.begin(vm, move.listen(rig, target))
    move.stayed(vm, target)
    assert "the device's server is lost" in rig.bridge_said(vm), rig.bridge_said(vm)
    assert read(vm, PLAIN) == 0xffffffff
    rig.end(vm)


def test_dies(rig):
    """The server dies under the guest; another in its place is taken at the next reset."""
    vm = sides(rig)
    write(vm, RUN, 1)
    works_on(rig, vm)
    rig.end_server("dev0")
    rig.wait(lambda: "the device's server is lost" in rig.bridge_said(vm), "nothing is said")
    assert read(vm, WORKS) == 0xffffffff
    os.remove(rig.path("dev0"))
    serve(rig, "dev0")
    vm.call("system_reset")
    vm.boot()
    assert read(vm, PLAIN) == 0
    write(vm, ADDRESS, PAGE)
    store(rig, vm, 77)
    rig.end(vm)


def main():
    bridge_rig.run([test_moves_with_shared_memory, test_moves_with_messages,
                    test_moves_without_a_file, test_cancelled_and_moved, test_without_migration,
                    test_without_dma, test_dies])


main()
