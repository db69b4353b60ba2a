# SPDX-License-Identifier: BSD-3-Clause
"""Each way to a device of the kernel's, and each way to learn what it wrote: a guest moves live
between two of them in one process, and a device's log is compared with its writes.

Usage: test_kernel_moves.py FERRY BRIDGE LIVE REQUESTS
"""
import sys

from kernel_rig import KernelRig, main_of
from kill_rig import expect

MEMORY_BYTES = 8 << 20  # of live.c


def run(rig, *command):
    """A program that must end well; return: what it printed."""
    done = rig.execute(*command)
    expect("exit status of %s: %s" % (" ".join(command[1:]), done.stderr), done.returncode, 0)
    return done.stdout


def move(rig, live, source, target):
    """There and back. Return: bytes of memory that were sent behind the stop, each time."""
    lines = [line.split() for line in run(rig, live, source, target).splitlines()]
    moved = [dict(zip(line[1::2], map(int, line[2::2]))) for line in lines if line[0] == "moved"]
    expect("moves", len(moved), 2)
    return [figures["stop"] for figures in moved]


def a_guest_moves_live(ferry, bridge, live, _):
    """By the log of the device and by that of the IOMMU, and without one."""
    for options, scheme, dirty in (({}, "vfio:", "device"), ({}, "vfio:", "iommu"),
                                   ({}, "vfio:", "none"), ({}, "vfio-group:", "device"),
                                   ({}, "vfio-group:", "iommu"),
                                   ({"uapi": "v1"}, "vfio-group:", "iommu")):
        with KernelRig(ferry, bridge) as rig:
            uri = ["%s%s,dirty=%s" % (scheme, rig.serve("copy,memory=256K", **options).folder,
                                      dirty) for _ in range(2)]
            stop = move(rig, live, *uri)
        if dirty == "none":
            expect("all is sent again", set(stop), {MEMORY_BYTES})
        else:
            assert max(stop) < MEMORY_BYTES / 4, (scheme, dirty, stop)


def a_guest_moves_from_what_is_best_to_what_is_best(ferry, bridge, live, _):
    """Between a group of a kernel whose device logs nothing, and a character device."""
    with KernelRig(ferry, bridge) as rig:
        old = rig.serve("copy,memory=256K", dirty="iommu")
        new = rig.serve("copy,memory=256K", dirty="device")
        stop = move(rig, live, "vfio-group:" + old.folder, "vfio:" + new.folder)
        assert max(stop) < MEMORY_BYTES / 4, stop


def what_was_written_is_named(ferry, bridge, _, requests):
    """Once, page by page, over holes and behind an unmap."""
    with KernelRig(ferry, bridge) as rig:
        folder = rig.serve("copy,memory=256K").folder
        for scheme in ("vfio:", "vfio-group:"):
            for dirty in ("device", "iommu", "none"):
                run(rig, requests, "%s%s,dirty=%s" % (scheme, folder, dirty),
                    "none" if dirty == "none" else "log")
        run(rig, requests, "vfio-group:" + rig.serve("copy,memory=256K", uapi="v1").folder,
            "log")


if __name__ == "__main__":
    sys.exit(main_of((a_guest_moves_live, a_guest_moves_from_what_is_best_to_what_is_best,
                      what_was_written_is_named), sys.argv[1:]))
