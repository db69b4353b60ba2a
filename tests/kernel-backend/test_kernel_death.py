# SPDX-License-Identifier: BSD-3-Clause
"""Devices of the kernel's are pulled out in each phase of a migration: what tests/proc has of
devices whose servers die, with the same ends.

Usage: test_kernel_death.py FERRY BRIDGE
"""
import functools
import sys

from kernel_rig import WorkRig

import test_kill_device


def main():
    ferry, bridge = sys.argv[1:]
    test_kill_device.KillRig = functools.partial(WorkRig, bridge=bridge)
    sys.argv[1:] = [ferry]
    return test_kill_device.main()


if __name__ == "__main__":
    sys.exit(main())
