#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What others said to Ferry once, said again: clients to its servers, servers to its client.

usage: test_transcripts.py FERRY TRANSCRIPT_FOLDER
"""
import glob
import json
import os
import socket
import struct
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


def play(folder, work, name):
    """A server of before: its path."""
    path = os.path.join(work, name)
    return path, player.Player(os.path.join(folder, "servers", name + ".trc"), path)


def device_data(ferry, file):
    """Sizes and checksums of the records of a device's data in a file."""
    out = call(ferry, "show", "--json", file)
    assert out.returncode == 0, out.stderr
    return [(record["bytes"], record["checksum"])
            for record in map(json.loads, out.stdout.splitlines())
            if record.get("tag") == "DEVICE_DATA"]


def test_v1_servers(ferry, folder, work):
    """libvfio-user with the migration region of uAPI v1: info, save, restore."""
    path, _ = play(folder, work, "libvfio-user-v1-gpio-info")
    out = call(ferry, "info", "vfio-user:" + path)
    assert out.returncode == 0 and "STOP_COPY PRE_COPY (uAPI v1)" in out.stdout, out

    file = os.path.join(work, "gpio.fry")
    path, _ = play(folder, work, "libvfio-user-v1-gpio-save")
    out = call(ferry, "save", "--device", "g=vfio-user:" + path, "--then=stop", file)
    assert out.returncode == 0, out.stderr
    assert [size for size, _ in device_data(ferry, file)] == [4]

    # It refuses STOP after the load, which v1 does not draw, and takes RUNNING.
    path, server = play(folder, work, "libvfio-user-v1-gpio-restore")
    out = call(ferry, "restore", "--device", "g=vfio-user:" + path, file)
    assert out.returncode == 0, out.stderr
    assert not [key for key in server.refused if key[0] != player.VERSION], server.refused

    file = os.path.join(work, "server.fry")
    path, _ = play(folder, work, "libvfio-user-v1-server-save")
    out = call(ferry, "save", "--device", "g=vfio-user:" + path, "--then=stop", file)
    assert out.returncode == 0, out.stderr
    assert [size for size, _ in device_data(ferry, file)] == [12288, 12296]


# What ferry check finds in servers of others (docs/findings.md), and what it must not.
CHECKED = {
    "libvfio-user-v1-gpio-check": (
        ["v1.reserved.word", "v1.width", "v1.precopy", "v1.offset", "v1.again", "v1.end",
         "access.map[DMA_MAP@STOP]", "access.reset[RESET@STOP]", "access.stopped.config",
         "data.end"],
        {"v1.reserved.word", "access.map[DMA_MAP@STOP]", "access.reset[RESET@STOP]",
         "access.stopped.config[CONFIG_READ@STOP_COPY]",
         "access.stopped.config[CONFIG_WRITE@STOP_COPY]"},
        {"v1.width": 36, "v1.precopy": 1, "v1.again": 1, "v1.end": 1, "data.end": 2}),
    "libvfio-user-device-check": (
        ["feature.probe", "feature.unknown", "feature.message", "arc.errno", "reset.twice",
         "access.stopped.config", "access.data.size", "access.map[DMA_MAP@STOP]",
         "log.start.twice"],
        {"feature.unknown[4095]", "feature.unknown[0x8001]", "feature.unknown[0xfdff]",
         "feature.unknown[0xffff]", "reset.twice[STOP]", "reset.twice[STOP_COPY]",
         "reset.twice[RESUMING]", "reset.twice[PRE_COPY]", "access.map[DMA_MAP@STOP]",
         "access.stopped.config[CONFIG_READ@STOP_COPY]",
         "access.stopped.config[CONFIG_WRITE@STOP_COPY]", "log.start.twice"},
        {"feature.probe": 12, "feature.message": 17, "arc.errno": 40}),
}


def test_checks(ferry, folder, work):
    """Verdicts on others' servers. A check that asks otherwise than when they were recorded
    gets EINVAL: record anew then, relay.py between a connection that is handed down
    (vfio-user-fd:) and the server."""
    for name, (checks, findings, passes) in CHECKED.items():
        path, _ = play(folder, work, name)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            args = [word for check in checks for word in ("--check", check)]
            out = subprocess.run(
                [ferry, "check", "--json", *args, f"vfio-user-fd:{client.fileno()}"],
                pass_fds=[client.fileno()], capture_output=True, text=True, timeout=30,
                check=False)
        assert out.returncode == 10, (name, out.returncode, out.stderr)
        results = json.loads(out.stdout)["results"]
        seen = {result["check"] + (f"[{result['case']}]" if result["case"] else "")
                for result in results if result["verdict"] in ("fail", "broken")}
        assert seen == findings, (name, seen ^ findings)
        for check, count in passes.items():
            passed = [result for result in results
                      if result["check"] == check and result["verdict"] == "pass"]
            assert len(passed) == count, (name, check, len(passed))


SET_STATE = 1 << 17 | 2  # DEVICE_FEATURE: flags of a SET of feature 2


class Quitter(player.Player):
    """A server that ends the connection when it is to change its state."""

    def answer(self, message):
        command = player.HEADER.unpack_from(message)[1]
        body = message[player.HEADER.size:]
        if command == 16 and struct.unpack_from("<II", body)[1] == SET_STATE:
            raise ConnectionResetError
        return super().answer(message)

    def serve(self):
        try:
            super().serve()
        except ConnectionResetError:
            pass


def test_check_of_a_server_that_ends(ferry, folder, work):
    """The case in which it ends has failed, the others name it."""
    path = os.path.join(work, "quitter")
    Quitter(os.path.join(folder, "servers/libvfio-user-device-check.trc"), path)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        out = subprocess.run(
            [ferry, "check", "--json", "--check", "access.stopped.config",
             f"vfio-user-fd:{client.fileno()}"], pass_fds=[client.fileno()],
            capture_output=True, text=True, timeout=30, check=False)
    assert out.returncode == 10, (out.returncode, out.stderr)
    results = json.loads(out.stdout)["results"]
    first = results[0]
    assert first["verdict"] == "fail", first
    assert first["expected"] == "the device answers and keeps the connection", first
    assert first["seen"].startswith("it ended the connection (FERRY_E_CLOSED): on the way"), first
    assert [result["verdict"] for result in results[1:]] == ["broken"] * (len(results) - 1)
    assert f"since access.stopped.config[{first['case']}]" in results[-1]["seen"], results[-1]


def main():
    ferry, folder = sys.argv[1:3]
    test_clients(ferry, folder)
    with tempfile.TemporaryDirectory() as work:
        test_gpio_server(ferry, folder, work)
        test_v1_servers(ferry, folder, work)
        test_checks(ferry, folder, work)
        test_check_of_a_server_that_ends(ferry, folder, work)


main()
