#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Samples of libvfio-user from before version 2 of its migration (September 2023) as live
peers: devices with the migration region of uAPI v1.

usage: test_libvfio_user_v1.py FERRY BUILD_FOLDER   (LIBVFIO_USER_V1_DIR)
"""
import json
import os
import sys
import tempfile

from test_libvfio_user import Process, call


def device_data(ferry, file):
    """Sizes and checksums of the records of a device's data in a file."""
    out = call(ferry, "show", "--json", file)
    assert out.returncode == 0, out.stderr
    return [(record["bytes"], record["checksum"])
            for record in map(json.loads, out.stdout.splitlines())
            if record.get("tag") == "DEVICE_DATA"]


def save(ferry, path, file):
    """Saves a device and leaves it stopped."""
    return call(ferry, "save", "--device", "g=vfio-user:" + path, "--then=stop", "--quiet", file)


def test_gpio(ferry, samples, folder):
    """Info; its state, saved, restored into a second one and saved again, is the same."""
    first, second = os.path.join(folder, "g1"), os.path.join(folder, "g2")
    files = os.path.join(folder, "first"), os.path.join(folder, "again")
    program = os.path.join(samples, "gpio-pci-idio-16")
    with Process(program, first) as one, Process(program, second) as two:
        assert one.wait_socket(first) and two.wait_socket(second)
        out = call(ferry, "info", "vfio-user:" + first)
        assert out.returncode == 0 and "(uAPI v1)" in out.stdout, out
        out = save(ferry, first, files[0])
        assert out.returncode == 0, (out.stderr, one.said())
        out = call(ferry, "restore", "--device", "g=vfio-user:" + second, "--quiet", files[0])
        assert out.returncode == 0, (out.stderr, two.said())
    data = device_data(ferry, files[0])
    assert [size for size, _ in data] == [4], data


def test_server(ferry, samples, folder):
    """It saves; without a timer that is set it does not run again, and says so."""
    file = os.path.join(folder, "state")
    for name in ("s1", "s2"):
        path = os.path.join(folder, name)
        with Process(os.path.join(samples, "server"), path) as sample:
            assert sample.wait_socket(path), sample.said()
            if name == "s1":
                out = save(ferry, path, file)
                assert out.returncode == 0, (out.stderr, sample.said())
                continue
            out = call(ferry, "restore", "--device", "g=vfio-user:" + path, "--quiet", file)
            assert out.returncode != 0 and "RUNNING: migration region" in out.stderr, out
    assert [size for size, _ in device_data(ferry, file)] == [12288, 12296]


def test_migrate(ferry, samples, folder):
    """From one host to the other."""
    program = os.path.join(samples, "gpio-pci-idio-16")
    devices = [os.path.join(folder, name) for name in ("m1", "m2")]
    controls = [os.path.join(folder, name) for name in ("c1", "c2")]
    listen = os.path.join(folder, "l")
    with Process(program, devices[0]) as one, Process(program, devices[1]) as two:
        assert one.wait_socket(devices[0]) and two.wait_socket(devices[1])
        with Process(ferry, "host", "--control", controls[0],
                     "-d", "g=vfio-user:" + devices[0]) as source, \
             Process(ferry, "host", "--control", controls[1], "--listen", "unix:" + listen,
                     "-d", "g=vfio-user:" + devices[1]) as target:
            assert source.wait_socket(controls[0]), source.said()
            assert target.wait_socket(listen), target.said()
            out = call(ferry, "migrate", "--control", controls[0], "--quiet", "unix:" + listen)
            assert out.returncode == 0, (out.stderr, source.said(), target.said())


def test_check(ferry, samples, folder):
    """What is found in it stays what docs/findings.md says."""
    path = os.path.join(folder, "checked")
    with Process(os.path.join(samples, "gpio-pci-idio-16"), path) as sample:
        assert sample.wait_socket(path), sample.said()
        out = call(ferry, "check", "--json", "--check", "v1.width", "--check",
                   "v1.reserved.word", "--check", "v1.precopy", "vfio-user:" + path)
        assert out.returncode == 10, (out, sample.said())
    found = {result["check"]: result["verdict"] for result in json.loads(out.stdout)["results"]}
    assert found == {"v1.width": "pass", "v1.reserved.word": "fail", "v1.precopy": "pass"}, found


def main():
    ferry, build = sys.argv[1], sys.argv[2]
    samples = os.path.join(build, "samples")
    with tempfile.TemporaryDirectory() as folder:
        test_gpio(ferry, samples, folder)
        test_server(ferry, samples, folder)
        test_migrate(ferry, samples, folder)
        test_check(ferry, samples, folder)


main()
