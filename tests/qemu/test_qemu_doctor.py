#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry doctor asks this QEMU what it can do, and finds what the other tests see of it.

usage: test_qemu_doctor.py FERRY CACHE
"""
import json
import os
import shlex
import subprocess
import sys
import tempfile


def program(cache, root, path):
    """A script that runs the cache's QEMU, which is not installed."""
    usr = os.path.join(cache, root, "usr")
    libs = os.path.join(usr, "lib/x86_64-linux-gnu")
    words = [os.path.join(libs, "ld-linux-x86-64.so.2"), "--library-path", libs,
             os.path.join(usr, "bin/qemu-system-x86_64"),
             "-L", os.path.join(usr, "share/qemu"), "-L", os.path.join(usr, "share/seabios")]
    modules = shlex.quote(os.path.join(libs, "qemu"))
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\nQEMU_MODULE_DIR={modules} MALLOC_PERTURB_=0 exec "
                   f"{shlex.join(words)} \"$@\"\n")
    os.chmod(path, 0o755)
    return path


def doctor(ferry, cache, root):
    """What ferry doctor finds of a QEMU of the cache, by name."""
    with tempfile.TemporaryDirectory(prefix="ferry-doctor-") as folder:
        run = subprocess.run([ferry, "doctor", "--json", "--qemu",
                              program(cache, root, os.path.join(folder, "qemu"))],
                             capture_output=True, text=True, timeout=60, check=False)
    return {f["name"]: f for f in json.loads(run.stdout)["findings"]}


def main():
    ferry, cache = sys.argv[1:3]
    found = doctor(ferry, cache, "root-7.2")
    assert found["QMP"]["value"].startswith("7.2."), found["QMP"]
    assert found["vfio-pci migration"]["level"] == "good", found["vfio-pci migration"]
    assert "with groups" in found["vfio-pci migration"]["value"], found["vfio-pci migration"]
    found = doctor(ferry, cache, "root")
    about = {n: found[n] for n in ("QEMU", "QMP", "vfio-user-pci", "vfio-user migration",
                                   "vfio-pci migration", "memory-backend-memfd",
                                   "QEMU migration")}
    print(json.dumps(about, indent=1))
    assert about["QMP"]["value"].startswith("11.1."), about["QMP"]
    assert about["QMP"]["value"] in about["QEMU"]["value"]
    assert "x-no-posted-writes" in about["vfio-user-pci"]["value"]
    # docs/interop.md states what follows; where a newer QEMU differs it is to be amended.
    assert about["vfio-user migration"]["value"] == "none"
    assert "lost silently" in about["vfio-user migration"]["means"]
    for name in "vfio-pci migration", "memory-backend-memfd", "QEMU migration":
        assert about[name]["level"] == "good", about[name]
    return 0


if __name__ == "__main__":
    sys.exit(main())
