#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pages that a device writes while memory is copied arrive, by each kind of dirty tracking.

The negative control: with a log that loses them, the guest itself finds the old pages.

usage: test_bridge_dirty.py FERRY CACHE INIT MODULE BRIDGE LIBRARY QEMU
"""
import sys

import bridge_move as move
import bridge_rig

VERSION = sys.argv[7]
COPY = "copy,memory=1M"


def wrong_pages(rig, dirty, *filters):
    """How many of the pages that were written during a migration arrived as they were before."""
    rig.serve("a0", COPY, *filters)
    rig.serve("a1", COPY)
    vm = rig.start("vm0", ["a0,dirty=" + dirty], VERSION).boot()
    target = rig.start("vm1", ["a1,dirty=" + dirty], VERSION, incoming=True)
    vm.guest("dirty fill 1")
    move.begin(vm, move.listen(rig, target), hold=True)
    move.held(vm)
    vm.guest("dirty fill 2")
    assert " wrong=0 " in vm.guest("dirty check 2")[0]
    move.release(vm)
    move.moved(vm, target)
    said = target.guest("dirty check 2")
    pages, wrong = (int(word.split("=")[1]) for word in said[0].split()[1:3])
    assert pages >= 8, said
    rig.end(target)
    return pages, wrong


def test_the_devices_log_tells_them(rig):
    assert wrong_pages(rig, "device")[1] == 0


def test_the_emulated_iommu_tells_them(rig):
    assert wrong_pages(rig, "iommu")[1] == 0


def test_the_guest_finds_what_a_devices_log_loses(rig):
    pages, wrong = wrong_pages(rig, "device", "--filter", "lose=any")
    assert wrong == pages, (pages, wrong)


def test_the_guest_finds_what_the_iommus_log_loses(rig):
    pages, wrong = wrong_pages(rig, "iommu", "--filter", "lose=any")
    assert wrong == pages, (pages, wrong)


# QEMU 7.2 asks the IOMMU only.
bridge_rig.run([test_the_emulated_iommu_tells_them,
                test_the_guest_finds_what_the_iommus_log_loses,
                *([] if VERSION == "7.2" else [test_the_devices_log_tells_them,
                                               test_the_guest_finds_what_a_devices_log_loses])])
