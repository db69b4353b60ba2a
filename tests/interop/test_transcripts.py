#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What others said to Ferry once, said again: clients to its servers, servers to its client.

usage: test_transcripts.py FERRY TRANSCRIPT_FOLDER
"""
import glob
import json
import os
import subprocess
import sys
import tempfile

import player


def call(*args):
    """Runs a ferry command."""
    return subprocess.run(args, capture_output=True, text=True, timeout=30, check=False)


def test_clients(ferry, folder):
    """Byte for byte, VERSION too: these clients are told nothing of Ferry's own."""
    paths = [path for client in ("qemu", "libvfio-user")
             for path in glob.glob(os.path.join(folder, f"*-{client}-*.trc"))]
    assert len(paths) >= 4, paths
    for path in paths:
        out = call(ferry, "replay", "--json", path, os.path.basename(path).split("-")[0])
        assert out.returncode == 0 and json.loads(out.stdout)["same"], (path, out)


def test_gpio_server(ferry, folder, work):
    """libvfio-user's gpio sample, by what `ferry info` makes of it."""
    path = os.path.join(work, "gpio")
    server = player.Player(os.path.join(folder, "servers/libvfio-user-gpio-info.trc"), path)
    out = call(ferry, "info", "--json", "vfio-user:" + path)
    assert out.returncode == 0, out.stderr
    said = json.loads(out.stdout)
    assert said["identity"]["pci"] == "494f:0dc8", said
    assert said["identity"]["model"] == "", "it does not know of Ferry's identities"
    assert said["state"] == "RUNNING", said
    sizes = {region["name"]: region["size"] for region in said["regions"]}
    assert sizes == {"BAR2": 256, "config": 256}, sizes
    assert said["irqs"] == {"INTx": 1, "MSI": 0, "MSI-X": 0, "ERR": 1, "REQ": 1}, said
    migration = said["migration"]
    assert migration["stop_copy"] and migration["pre_copy"] and migration["dirty_log"], said
    assert not migration["p2p"] and not migration["precopy_info"], said
    assert (player.VERSION, b"") in server.used
    assert len(server.used) > 10, server.used


def main():
    ferry, folder = sys.argv[1:3]
    test_clients(ferry, folder)
    with tempfile.TemporaryDirectory() as work:
        test_gpio_server(ferry, folder, work)


main()
