#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A small VMM with the bridge in front of its C library, and libvfio-user behind it.

usage: test_bridge_small.py DEVICE VMM BRIDGE
"""
import os
import subprocess
import sys
import tempfile

LIMIT_S = 30


def main():
    device, vmm, bridge = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "device")
        with subprocess.Popen([device, path], stdout=subprocess.PIPE, text=True) as server:
            try:
                assert server.stdout.readline() == "ready\n"
                done = subprocess.run([vmm, path], env=dict(os.environ, LD_PRELOAD=bridge),
                                      capture_output=True, text=True, timeout=LIMIT_S,
                                      check=False)
                assert done.returncode == 0 and done.stderr == "", done
                assert server.poll() is None, "the server ended"
            finally:
                server.kill()


main()
