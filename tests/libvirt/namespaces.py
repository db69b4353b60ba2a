# SPDX-License-Identifier: BSD-3-Clause
"""Where the tests run: namespaces of their own, which end with everything that is in them."""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77
NEEDS = {"libvirtd": "libvirt-daemon", "virsh": "libvirt-clients", "unshare": "util-linux",
         "nsenter": "util-linux", "mount": "mount", "ip": "iproute2"}
DRIVERS = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver"
UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
INSIDE = "FERRY_TEST_INSIDE"
PR_SET_PDEATHSIG = 1


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


def stop(number, _):
    """A signal ends this process in order."""
    sys.exit(128 + number)


def end_with_parent():
    """In a child: it does not outlive who started it."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def run_inside():
    """Runs this program once more, in namespaces and with a folder: its exit code."""
    folder = tempfile.mkdtemp(prefix="ferry-libvirt-")
    for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
        signal.signal(number, stop)
    process = None
    try:
        process = subprocess.Popen([*UNSHARE, sys.executable, *sys.argv],
                                   env=dict(os.environ, **{INSIDE: folder}),
                                   preexec_fn=end_with_parent)
        return process.wait()
    finally:
        if process is not None:
            process.kill()  # and all that is inside
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def enter():
    """Inside of the namespaces: the folder. Ends the process with 77 where there can be none."""
    if INSIDE not in os.environ:
        lack = missing()
        if lack:
            print("libvirt is not tried: " + lack, file=sys.stderr)
            sys.exit(SKIPPED)
        sys.exit(run_inside())
    child = os.fork()
    if child:
        be_first(child)
    return os.environ[INSIDE]
