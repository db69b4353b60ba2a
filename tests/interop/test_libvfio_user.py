#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""libvfio-user's own sample programs as live peers.

usage: test_libvfio_user.py FERRY REGIONS_PROGRAM BUILD_FOLDER   (LIBVFIO_USER_DIR)
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

LIMIT_S = 30


class Process:
    """A program that runs until the end of the block; its output is in .said()."""

    def __init__(self, *command):
        self.out = tempfile.TemporaryFile("w+")
        # The samples end by assertions where they have had enough.
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=self.out, stderr=subprocess.STDOUT,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    def said(self):
        """All output so far."""
        self.out.seek(0)
        return self.out.read()

    def wait_socket(self, path):
        """Waits until it listens. Return: 0 when it ended instead."""
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(path):
            if self.process.poll() is not None:
                return 0
            assert time.monotonic() < end, "it does not listen"
            time.sleep(0.02)
        return 1


def call(*args):
    """Runs a program to its end."""
    return subprocess.run(args, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def test_gpio(ferry, regions, samples, folder):
    """The gpio sample: info, regions, again info."""
    path = os.path.join(folder, "gpio")
    with Process(os.path.join(samples, "gpio-pci-idio-16"), path) as sample:
        assert sample.wait_socket(path), sample.said()
        for _ in range(2):
            out = call(ferry, "info", "--json", "vfio-user:" + path)
            assert out.returncode == 0, out.stderr
            said = json.loads(out.stdout)
            assert said["identity"]["pci"] == "494f:0dc8", said
            assert said["migration"]["stop_copy"] and said["state"] == "RUNNING", said
        out = call(regions, path)
        assert out.returncode == 0, out.stderr


def test_save(ferry, samples, folder):
    """The state of the sample server: 12 KiB in pre-copy, then that and 8 bytes."""
    path, file = os.path.join(folder, "server"), os.path.join(folder, "state")
    with Process(os.path.join(samples, "server"), path) as sample:
        sample.wait_socket(path)
        out = call(ferry, "save", "--device", "g=vfio-user:" + path, "--then=stop", "--quiet",
                   file)
        if "must be a power of 2" in sample.said():
            # From 850ded8 to efd091b, at least, the library refuses its own sample's BAR.
            print("the sample server does not start here: " + sample.said().strip())
            return
        assert out.returncode == 0, (out.stderr, sample.said())
    out = call(ferry, "show", "--json", file)
    assert out.returncode == 0, out.stderr
    data = [record for record in map(json.loads, out.stdout.splitlines())
            if record.get("tag") == "DEVICE_DATA"]
    assert sum(record["bytes"] for record in data) == 2 * 12288 + 8, data


def test_sample_client(ferry, samples, folder):
    """Their client is made for their server: it ends at the PCI ids, after all
    questions about the device."""
    path = os.path.join(folder, "acc")
    with Process(ferry, "serve", "acc", "--socket", path) as server:
        assert server.wait_socket(path), server.said()
        with Process(os.path.join(samples, "client"), path) as client:
            client.process.wait(LIMIT_S)
            said = client.said()
        assert "expected EINVAL" not in said, said
        assert "config_space.id.vid == 0xdead" in said, said
        out = call(ferry, "info", "vfio-user:" + path)
        assert out.returncode == 0, out.stderr


def main():
    ferry, regions, build = sys.argv[1:4]
    samples = os.path.join(build, "samples")
    with tempfile.TemporaryDirectory() as folder:
        test_gpio(ferry, regions, samples, folder)
        test_save(ferry, samples, folder)
        test_sample_client(ferry, samples, folder)


if __name__ == "__main__":
    main()
