#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry doctor, on machines that are folders of files, with QEMUs that are scripts, and here.

usage: doctor.py FERRY
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max open files            {files}                {files}                files
Max locked memory         {locked}              {locked}              bytes
"""
RICH = {
    "proc/sys/kernel/osrelease": "6.12.1-test\n",
    "proc/meminfo": "MemTotal: 1 kB\nHugePages_Total:      16\nHugepagesize:       2048 kB\n",
    "sys/devices/system/cpu/online": "0-3,6\n",
    "sys/class/net/lo/flags": "0x9\n",
    "dev/kvm": "", "dev/vfio/vfio": "", "dev/iommu": "", "dev/vfio/devices/vfio0": "",
    "sys/kernel/iommu_groups/0/type": "DMA\n", "sys/kernel/iommu_groups/1/type": "DMA\n",
    "proc/sys/kernel/seccomp/actions_avail": "kill allow\n",
    "sys/kernel/security/lsm": "capability,landlock,yama\n",
    "proc/self/limits": LIMITS.format(files=524288, locked="unlimited"),
    "proc/sys/vm/max_map_count": "262144\n",
    "proc/sys/kernel/io_uring_disabled": "0\n",
    "proc/self/cgroup": "0::/a/b\n",
    "sys/fs/cgroup/a/b/memory.max": "max\n",
    "sys/fs/cgroup/a/b/pids.max": "4096\n",
}
POOR = {
    "proc/sys/kernel/osrelease": "4.19.0\n",
    "sys/devices/system/cpu/online": "0\n",
    "proc/self/limits": LIMITS.format(files=64, locked=65536),
    "proc/sys/vm/max_map_count": "100\n",
    "proc/sys/kernel/io_uring_disabled": "2\n",
    "proc/self/cgroup": "0::/\n",
    "sys/fs/cgroup/memory.max": "16777216\n",
}
NEW_QEMU = """#!/bin/sh
case "$*" in
--version) echo 'QEMU emulator version 11.1.0' ;;
*vfio-user-pci,help) echo '  socket=<SocketAddress>' ;;
*vfio-pci,help) echo '  enable-migration=<OnOffAuto>'; echo '  x-migration-multifd-transfer=<x>' ;;
*memfd,help) echo '  share=<bool>' ;;
*) exit 1 ;;
esac
"""
OLD_QEMU = """#!/bin/sh
[ "$1" = --version ] && { echo 'QEMU emulator version 7.0.0'; exit; }
echo "unknown" >&2
exit 1
"""


def doctor(ferry, *args, path="/nonexistent"):
    """Runs ferry doctor --json. Return: exit status, {name: finding}."""
    run = subprocess.run([ferry, "doctor", "--json", *map(str, args)], capture_output=True,
                         text=True, check=False, timeout=60, env=dict(os.environ, PATH=path))
    result = json.loads(run.stdout)
    assert result["ok"] == (run.returncode == 0), run
    found = {f["name"]: f for f in result["findings"]}
    assert len(found) == len(result["findings"]), "a name twice"
    for finding in found.values():
        assert finding["value"] and finding["means"], finding
        assert ("todo" in finding) == (finding["level"] != "good"), finding
    return run.returncode, found


def machine(folder, files):
    """Makes a machine of files."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def script(path, text):
    """Makes a program."""
    path.write_text(text)
    path.chmod(0o755)
    return path


def levels(found, level):
    """Names of the findings of a level."""
    return {n for n, f in found.items() if f["level"] == level}


def check_machines(ferry, work):
    """A rich machine has all, a poor one has not what is needed; each line is told."""
    qemu = script(work / "qemu-new", NEW_QEMU)
    rich = machine(work / "rich", RICH)
    status, found = doctor(ferry, "--root", rich, "--qemu", qemu)
    assert status == 0 and levels(found, "good") == set(found), found
    assert found["cores"]["value"] == "5", found["cores"]
    assert found["IOMMU groups"]["value"] == "2"
    assert "16 of 2048" in found["huge pages"]["value"]
    assert "multifd" in found["vfio-pci migration"]["value"]
    assert "11.1.0" in found["QEMU"]["value"]
    status, found = doctor(ferry, "--root", machine(work / "poor", POOR))
    assert status == 1
    assert levels(found, "bad") == {"open files", "max_map_count", "cgroup memory"}, found
    for name in "kernel", "cores", "loopback", "KVM", "VFIO", "iommufd", "IOMMU groups", \
            "seccomp", "Landlock", "io_uring", "locked memory", "QEMU", "huge pages":
        assert found[name]["level"] == "less", found[name]
    status, found = doctor(ferry, "--root", machine(work / "empty", {"x": ""}))
    assert status == 0 and found["kernel"]["value"] == "unknown"


def check_qemus(ferry, work):
    """An old QEMU, one in PATH, one that is none, and one that never answers."""
    root = machine(work / "rich", RICH)
    old = script(work / "qemu-old", OLD_QEMU)
    status, found = doctor(ferry, "--root", root, "--qemu", old)
    assert status == 0
    assert levels(found, "less") == {"vfio-user-pci", "vfio-pci migration",
                                     "memory-backend-memfd"}, found
    folder = work / "bin"
    folder.mkdir()
    script(folder / f"qemu-system-{os.uname().machine}", OLD_QEMU)
    status, found = doctor(ferry, "--root", root, path=f"/nonexistent:{folder}")
    assert status == 0 and "7.0.0" in found["QEMU"]["value"]
    status, found = doctor(ferry, "--root", root, "--qemu", "/nonexistent")
    assert status == 1 and levels(found, "bad") == {"QEMU"}
    noisy = script(work / "qemu-noisy", "#!/bin/sh\nwhile :; do echo " + "x" * 500 + "; done\n")
    status, found = doctor(ferry, "--root", root, "--qemu", noisy)
    assert status == 1 and "in time" in found["QEMU"]["value"], found["QEMU"]


def main():
    ferry = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="ferry-doctor-") as name:
        work = pathlib.Path(name)
        check_machines(ferry, work)
        check_qemus(ferry, work)
    _, found = doctor(ferry)
    assert found["memfd"]["level"] == "good", found["memfd"]
    text = subprocess.run([ferry, "doctor"], capture_output=True, text=True, check=False).stdout
    assert all(n in text for n in found), text
    wrong = subprocess.run([ferry, "doctor", "x"], capture_output=True, check=False)
    assert wrong.returncode == 2
    print(f"{len(found)} findings here")
    return 0


if __name__ == "__main__":
    sys.exit(main())
