# SPDX-License-Identifier: BSD-3-Clause
"""QEMU with an emulated IOMMU and two edu devices, and what the cases in it report.

The guest writes to a port of its own. Lines that begin with "@@ " are the cases' (case.sh):
    @@ begin NAME          what follows is this case's output
    @@ faults              an access of a device that the IOMMU refuses is no fault of the case
    @@ kernel TEXT         a line of the kernel's log
    @@ end NAME STATUS     its exit status
"""
import os
import resource
import select
import socket
import subprocess
import tempfile
import time

# Limits, not expectations: the machine may be busy. A case's own seconds are the guest's, which
# are longer than the host's while it computes.
BOOT_S = 120
SLOWER = 5
MEMORY_MB = 512
# The emulated IOMMU refuses assignment without interrupt remapping, which needs the split
# irqchip; an edu device that sits behind no root port has no way to be reset.
MACHINE = ("-machine", "q35,kernel-irqchip=split", "-cpu", "max",
           "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
           "-device", "intel-iommu,intremap=on,aw-bits=48")
# A physical function that can have virtual ones, for VF tokens.
SRIOV = ("-device", "nvme-subsys,id=disks", "-device", "pcie-root-port,id=disk,chassis=99",
         "-device", "nvme,bus=disk,subsys=disks,serial=1,max_ioqpairs=6,msix_qsize=6,"
         "sriov_max_vfs=1,sriov_vq_flexible=2,sriov_vi_flexible=1")
# While all the guest's programs wait, its clock leaps to what they wait for: an edu device takes
# 100 ms for each transfer, and a busy host makes nothing late.
LEAPING = ("-accel", "tcg", "-icount", "shift=1,sleep=off")
REAL = ("-accel", "tcg,thread=multi")
APPEND = "console=ttyS0 quiet loglevel=4 panic=-1 intel_iommu=on "
# busybox tells a time limit by the signal that it sent.
TIMED_OUT = (128 + 15, 128 + 9)
# The kernel's words for what is wrong whatever a case does.
KERNEL_TROUBLE = ("BUG:", "WARNING:", "Oops", "Call Trace", "general protection", "refcount_t:",
                  "possible circular", "possible recursive", "leaked")
# The emulated IOMMU refused an access of a device.
FAULT = "DMAR: [DMA"


class Case:
    """What one case did: its output, what the kernel said, its exit status or None."""

    def __init__(self, name):
        self.name = name
        self.means_faults = False
        self.output = []
        self.kernel = []
        self.status = None
        self.seconds = 0.0

    def trouble(self):
        """The kernel's first line that is wrong whatever a case does."""
        words = KERNEL_TROUBLE if self.means_faults else (*KERNEL_TROUBLE, FAULT)
        return next((line for line in self.kernel if any(word in line for word in words)), None)


def command(qemu, kernel, initrd, devices=2, memory=MEMORY_MB, clock=LEAPING, share=None,
            append=""):
    """QEMU's command line. qemu: a root of scripts/qemu-cache. share: the host's folder that
    the guest has as /share."""
    usr = os.path.join(qemu, "usr")
    libs = os.path.join(usr, "lib/x86_64-linux-gnu")
    args = [os.path.join(libs, "ld-linux-x86-64.so.2"), "--library-path", libs,
            os.path.join(usr, "bin/qemu-system-x86_64"),
            "-L", os.path.join(usr, "share/qemu"), "-L", os.path.join(usr, "share/seabios"),
            *clock, *MACHINE, "-m", str(memory), "-kernel", kernel, "-initrd", initrd,
            "-append", APPEND + ("share " if share else "") + append + " "]
    for number in range(devices):
        args += ["-device", f"pcie-root-port,id=port{number},chassis={number + 1}",
                 "-device", f"edu,bus=port{number}"]
    args += SRIOV
    if share:
        args += ["-fsdev", f"local,id=share,path={share},security_model=none,multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=share,mount_tag=share"]
    return args, dict(os.environ, QEMU_MODULE_DIR=os.path.join(libs, "qemu"), MALLOC_PERTURB_="0")


class Machine:
    """One boot. Use it by `with`: QEMU is killed at the end."""

    def __init__(self, args, env):
        self.port, theirs = socket.socketpair()
        self.console = tempfile.NamedTemporaryFile(prefix="ferry-console-")
        self.errors = tempfile.TemporaryFile()
        self.text = b""
        self.until = 0.0
        with theirs:
            self.process = subprocess.Popen(
                [*args, "-serial", "file:" + self.console.name,
                 "-device", "virtio-serial-pci",
                 "-chardev", f"socket,id=port,fd={theirs.fileno()}",
                 "-device", "virtserialport,chardev=port,name=cases"],
                env=env, stdin=subprocess.DEVNULL, stdout=self.errors, stderr=self.errors,
                pass_fds=[theirs.fileno()],
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.port.close()

    def said(self):
        """What QEMU and the guest's console said."""
        self.errors.seek(0)
        self.console.seek(0)
        return (self.errors.read() + self.console.read()).decode(errors="replace")

    def lines(self):
        """Lines of the port until QEMU ends. Raises TimeoutError when it is later than
        self.until."""
        while True:
            *whole, self.text = self.text.split(b"\n")
            for line in whole:
                yield line.decode(errors="replace")
            left = self.until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if select.select([self.port], [], [], left)[0]:
                try:
                    got = self.port.recv(65536)
                except ConnectionResetError:
                    got = b""
                if not got:
                    return
                self.text += got

    def allow(self, seconds):
        """The next line has to come before that."""
        self.until = time.monotonic() + seconds

    def cases(self, limits, show=None):
        """Each Case that begins, at its end; the one with status None is where the guest died.

        limits: {name: the seconds that the guest gives to it}. show: called with each line of
        output as it comes.
        """
        case, start = None, 0.0
        self.allow(BOOT_S)
        try:
            for line in self.lines():
                if line.startswith("@@ begin "):
                    case, start = Case(line[9:]), time.monotonic()
                    self.allow(BOOT_S + SLOWER * limits.get(case.name, 0))
                elif case is None:
                    continue
                elif line == "@@ faults":
                    case.means_faults = True
                elif line.startswith("@@ kernel "):
                    case.kernel.append(line[10:])
                elif line.startswith("@@ end "):
                    case.status = int(line.rsplit(" ", 1)[1])
                    case.seconds = time.monotonic() - start
                    # The guest ends the last line of a case in any event.
                    if case.output and not case.output[-1]:
                        case.output.pop()
                    yield case
                    case = None
                    self.allow(BOOT_S)
                else:
                    case.output.append(line)
                    if show:
                        show(line)
        except TimeoutError:
            pass
        if case is not None:
            case.seconds = time.monotonic() - start
            yield case
