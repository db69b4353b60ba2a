#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry doctor, on machines that are folders of files, with QEMUs that are scripts, and here.

usage: doctor.py FERRY
"""
import concurrent.futures
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
# By QMP; its help texts tell nothing.
NEW_QEMU = """#!/bin/sh
[ "$*" = --version ] && { echo 'QEMU emulator version 11.1.0'; exit; }
[ "$*" = '-machine none -nodefaults -display none -qmp stdio' ] || exit 1
echo '{"QMP": {"version": {"qemu": {"micro": 7, "minor": 1, "major": 11}}}}'
while read -r line; do
    id=${line##*\\"id\\":}
    case "$line" in
    *qmp_capabilities*) echo '{"return": {}}' ;;
    *'"vfio-user-pci"'*) echo '{"return": [USER], "id": '"$id" ;;
    *'"vfio-pci"'*) echo '{"return": [KERNEL], "id": '"$id" ;;
    *memory-backend-memfd*) echo '{"return": [{"name": "share"}], "id": '"$id" ;;
    *query-migrate*) echo '{"return": [CAPABILITIES], "id": '"$id" ;;
    *quit*) echo '{"event": "SHUTDOWN"}'; exit ;;
    *) exit 1 ;;
    esac
done
exit 1
"""
HELP_QEMU = """#!/bin/sh
case "$*" in
--version) echo 'QEMU emulator version 10.1.0' ;;
*vfio-user-pci,help) echo '  socket=<SocketAddress>' ;;
*vfio-pci,help) echo '  enable-migration=<OnOffAuto>' ;;
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


def qmp_qemu(path, user=("socket", "enable-migration"), capabilities=("return-path",)):
    """A QEMU with these properties of vfio-user-pci and capabilities of migration."""
    def entries(key, names):
        return ", ".join(json.dumps({key: n, "type": "x"}) for n in names)

    kernel = ("enable-migration", "x-migration-multifd-transfer")
    return script(path, NEW_QEMU.replace("USER", entries("name", user))
                  .replace("KERNEL", entries("name", kernel))
                  .replace("CAPABILITIES", entries("capability", capabilities)))


def levels(found, level):
    """Names of the findings of a level."""
    return {n for n, f in found.items() if f["level"] == level}


def check_machines(ferry, work):
    """A rich machine has all, a poor one has not what is needed; each line is told."""
    qemu = qmp_qemu(work / "qemu-new", capabilities=("return-path", "switchover-ack"))
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
    assert levels(found, "less") == {"QMP", "vfio-user-pci", "vfio-pci migration",
                                     "memory-backend-memfd"}, found
    folder = work / "bin"
    folder.mkdir()
    script(folder / f"qemu-system-{os.uname().machine}", OLD_QEMU)
    status, found = doctor(ferry, "--root", root, path=f"/nonexistent:{folder}")
    assert status == 0 and "7.0.0" in found["QEMU"]["value"]
    status, found = doctor(ferry, "--root", root, "--qemu", "/nonexistent")
    assert status == 1 and levels(found, "bad") == {"QEMU"}


def check_qmp(ferry, work):
    """What a QEMU says by QMP counts; one that says nothing is asked for its help."""
    root = machine(work / "rich", RICH)
    _, found = doctor(ferry, "--root", root, "--qemu",
                      qmp_qemu(work / "qemu-today", user=("socket", "x-send-queued")))
    assert found["QMP"]["value"] == "11.1.7", found["QMP"]
    assert found["vfio-user-pci"]["value"] == "socket, x-send-queued"
    assert "lost silently" in found["vfio-user migration"]["means"]
    assert "multifd" in found["vfio-pci migration"]["value"]
    assert found["QEMU migration"]["value"] == "return-path"
    assert levels(found, "less") == {"vfio-user migration", "QEMU migration"}, found
    without = script(work / "qemu-without", (work / "qemu-today").read_text().replace(
        '"return": [{"name": "socket"', '"error": [{"name": "socket"'))
    _, found = doctor(ferry, "--root", root, "--qemu", without)
    assert found["vfio-user-pci"]["level"] == "less" and "vfio-user migration" not in found
    _, found = doctor(ferry, "--root", root, "--qemu",
                      script(work / "qemu-help", HELP_QEMU))
    assert "QEMU migration" not in found
    assert levels(found, "less") == {"QMP", "vfio-user migration"}, found


def check_limits(ferry, work):
    """Those that never end are ended, with all that they started; both take the limit."""
    root = machine(work / "rich", RICH)
    noisy = script(work / "qemu-noisy", "#!/bin/sh\nwhile :; do echo " + "x" * 500 + "; done\n")
    mark = f"600.{os.getpid()}"
    silent = script(work / "qemu-silent", (work / "qemu-today").read_text().replace(
        "*quit*) ", f"*quit*) /bin/sleep {mark}; "))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(doctor, ferry, "--root", root, "--qemu", q) for q in (noisy, silent)]
    status, found = runs[0].result()
    assert status == 1 and "in time" in found["QEMU"]["value"], found["QEMU"]
    _, found = runs[1].result()
    assert found["QMP"]["level"] == "less", found["QMP"]
    for cmdline in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert mark.encode() not in cmdline.read_bytes(), "what it started still runs"
        except OSError:
            pass  # it has ended meanwhile


def main():
    ferry = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix="ferry-doctor-") as name:
        work = pathlib.Path(name)
        check_machines(ferry, work)
        check_qemus(ferry, work)
        check_qmp(ferry, work)
        check_limits(ferry, work)
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
