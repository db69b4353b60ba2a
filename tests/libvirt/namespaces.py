# SPDX-License-Identifier: BSD-3-Clause
"""Where the tests run: namespaces of their own, which end with everything that is in them."""
import os
import shutil
import subprocess
import sys

SKIPPED = 77
NEEDS = {"libvirtd": "libvirt-daemon", "virsh": "libvirt-clients", "unshare": "util-linux",
         "nsenter": "util-linux", "mount": "mount", "ip": "iproute2"}
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
INSIDE = "FERRY_TEST_NAMESPACES"


def missing():
    """What the machine lacks, as a text; "" for nothing."""
    os.environ["PATH"] = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    packages = {package for tool, package in NEEDS.items() if shutil.which(tool) is None}
    if not os.path.exists(os.path.join(DRIVERS, "libvirt_driver_qemu.so")):
        packages.add("libvirt-daemon-driver-qemu")
    if packages:
        return "these packages are missing: " + ", ".join(sorted(packages))
    if os.geteuid() != 0:
        return "it needs root, to make namespaces in which QEMU is another user"
    done = subprocess.run([*UNSHARE, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return "namespaces cannot be made here: " + done.stderr.strip()
    return ""


def be_first(child):
    """The first process of its namespace: daemons are its children, so it collects them."""
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.exit(os.waitstatus_to_exitcode(status) & 0xff)


def enter():
    """Returns inside of the namespaces; ends the process with 77 where there can be none."""
    if INSIDE not in os.environ:
        lack = missing()
        if lack:
            print("libvirt is not tried: " + lack, file=sys.stderr)
            sys.exit(SKIPPED)
        os.environ[INSIDE] = "1"
        os.execvp("unshare", [*UNSHARE, sys.executable, *sys.argv])
    child = os.fork()
    if child:
        be_first(child)
