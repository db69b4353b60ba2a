#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Ferry's bridge, asked for all that concerns a device's migration (ask.c), answers as the real
kernel: its record is like the one of Linux 6.12 with the reference driver.

usage: test_ask.py FERRY BRIDGE ASK RECORDER
"""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../kernel-backend"))
from kernel_rig import PROGRAM_S, KernelRig  # noqa: E402 pylint: disable=wrong-import-position

GOLDEN = os.path.join(HERE, "../nested/golden/ask.record")

ferry, bridge, ask, recorder = sys.argv[1:5]
with KernelRig(ferry, bridge) as rig:
    device = rig.serve("copy,memory=64K")
    record = rig.path("ask.record")
    preloaded = rig.preloaded()
    env = dict(preloaded["env"], LD_PRELOAD=recorder + ":" + bridge, FERRY_RECORD=record)
    subprocess.run([ask, "/dev/vfio/devices/vfio%d" % device.number], env=env,
                   pass_fds=preloaded["fds"], timeout=PROGRAM_S, check=True)
    compared = subprocess.run(["sh", os.path.join(HERE, "compare.sh"), GOLDEN, record],
                              stdout=subprocess.PIPE, text=True, check=False)
    print(compared.stdout)
    sys.exit(compared.returncode)
