# SPDX-License-Identifier: BSD-3-Clause
"""Ferry's models as devices of the kernel's VFIO, for a program that opens them by path.

The program runs with the bridge in front of its C library. A device is served by a process of
its own; a token, which the program inherits, leads the bridge to it. Its folder is made as
sysfs has it, and names the token's number as the device's and its group's.
"""
import collections
import fcntl
import os
import re
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "proc"))
# pylint: disable=wrong-import-position
from cli_rig import Rig
from kill_rig import KillRig

# src/bridge/preload/tokens/inherited.h
NUMBER_FIRST = 1000000000
IDS = {"copy": (0xfe44, 0x0c0f), "acc": (0x1af4, 0x1054), "nic": (0x1af4, 0x1041)}
SEALS = 0x0001 | 0x0002 | 0x0004 | 0x0008
F_ADD_SEALS = 1033
PROGRAM_S = 20

# folder: PLACE of a URI; number: of the character device and the group; name: address
Device = collections.namedtuple("Device", "folder number name server socket token")


def write(path, text):
    """A file of sysfs."""
    with open(path, "w", encoding="ascii") as file:
        file.write(text + "\n")


def make_token(path, name, options):
    """Return: a descriptor by which the bridge finds the server of a device. options: of the
    token (src/bridge/preload/tokens/token.h)."""
    text = "ferry-bridge 1\nkind=device\npath=%s\nname=%s\n" % (path, name)
    text += "".join("%s=%s\n" % option for option in dict({"uapi": "v2"}, **options).items())
    token = os.memfd_create("ferry-device", os.MFD_ALLOW_SEALING)
    os.write(token, text.encode())
    fcntl.fcntl(token, F_ADD_SEALS, SEALS)
    return token


class KernelRig(Rig):
    """Devices, and the programs that use them."""

    def __init__(self, ferry, bridge):
        super().__init__(ferry)
        self.bridge = bridge
        self.device = []
        for folder in ("bus/pci/drivers/vfio-pci", "bus/pci/devices", "devices",
                       "kernel/iommu_groups", "class/vfio-dev"):
            os.makedirs(self.sysfs(folder))

    def __exit__(self, *args):
        super().__exit__(*args)
        for device in self.device:
            os.close(device.token)

    def preloaded(self):
        """For a process: the descriptors that it inherits, and its environment."""
        return {"fds": [device.token for device in self.device],
                "env": dict(os.environ, LD_PRELOAD=self.bridge)}

    def sysfs(self, path):
        """A path in the made-up sysfs."""
        return self.path("sys/" + path)

    def serve(self, model, *args, **token):
        """Serves a device; args: more for ferry serve; token: options of its token. Return: a
        Device."""
        name = "0000:fe:%02x.0" % len(self.device)
        path = self.path("%d.sock" % len(self.device))
        self.start(name, "serve", model, "--socket", path, *args)
        return self.add(path, model.split(",", maxsplit=1)[0], self.process[name], **token)

    def add(self, path, model, server=None, **token):
        """A device that somebody serves at a socket. Return: a Device."""
        name = "0000:fe:%02x.0" % len(self.device)
        fd = make_token(path, name, token)
        device = Device(self.sysfs("devices/" + name), NUMBER_FIRST + fd, name, server, path, fd)
        self.device.append(device)
        self.make_folder(device, *IDS.get(model, (0xfe44, 0xffff)))
        return device

    def make_folder(self, device, vendor, number):
        """What sysfs has of a device that is bound to vfio-pci, alone in its group."""
        cdev = "vfio%d" % device.number
        group = self.sysfs("kernel/iommu_groups/%d" % device.number)
        os.makedirs(os.path.join(device.folder, "vfio-dev", cdev))
        os.makedirs(os.path.join(group, "devices"))
        for file, text in (("vendor", "0x%04x" % vendor), ("device", "0x%04x" % number),
                           ("subsystem_vendor", "0x0000"), ("subsystem_device", "0x0000"),
                           ("class", "0x088000"), ("driver_override", "(null)"),
                           ("vfio-dev/%s/dev" % cdev, "511:%d" % device.token)):
            write(os.path.join(device.folder, file), text)
        write(os.path.join(group, "type"), "DMA")
        for link, target in ((os.path.join(device.folder, "iommu_group"), group),
                             (os.path.join(group, "devices", device.name), device.folder),
                             (os.path.join(device.folder, "driver"),
                              self.sysfs("bus/pci/drivers/vfio-pci")),
                             (os.path.join(device.folder, "subsystem"), self.sysfs("bus/pci")),
                             (self.sysfs("bus/pci/devices/" + device.name), device.folder),
                             (self.sysfs("bus/pci/drivers/vfio-pci/" + device.name),
                              device.folder),
                             (self.sysfs("class/vfio-dev/" + cdev),
                              os.path.join(device.folder, "vfio-dev", cdev))):
            os.symlink(target, link)

    def spawn(self, *command, **options):
        """Starts a program under the bridge; options: of subprocess.Popen."""
        preloaded = self.preloaded()
        return subprocess.Popen(  # pylint: disable=consider-using-with
            command, env=preloaded["env"], pass_fds=preloaded["fds"], **options)

    def execute(self, *command, timeout=PROGRAM_S):
        """Runs a program under the bridge to its end. Return: as subprocess.run(), with text."""
        with self.spawn(*command, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE) as process:
            try:
                out, err = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                raise AssertionError("%s does not end: %s%s" % (command, out, err)) from None
        return subprocess.CompletedProcess(command, process.returncode, out, err)

    def on(self, *args, **options):
        """Runs a ferry command under the bridge to its end."""
        return self.execute(self.ferry, *args, **options)


class WorkRig(KernelRig, KillRig):
    """Sides with a workload whose hosts reach their devices through the kernel. A server that
    ends is a device that is pulled out; a new one at its socket is plugged into the same slot."""

    def __init__(self, ferry, bridge, scheme="vfio:", option="", **token):
        super().__init__(ferry, bridge)
        self.scheme = scheme
        self.option = option
        self.token = token

    def __exit__(self, *args):
        # Hosts first: they would complain of devices that are pulled out.
        for name in [name for name in self.process if name.startswith("host-")]:
            process = self.process.pop(name)
            process.terminate()
            process.wait()
        super().__exit__(*args)

    def start(self, name, *args, **options):
        """Hosts are started under the bridge, with other addresses of the same devices."""
        if args[0] == "host":
            args = [self.address_of(word) for word in args]
            options = self.preloaded()
        super().start(name, *args, **options)

    def address_of(self, word):
        """NAME=vfio-user:SOCKET as a device of the kernel's."""
        match = re.fullmatch(r"(\w+)=vfio-user:(.*)", word)
        if not match:
            return word
        name, path = match.groups()
        known = [device for device in self.device if device.socket == path]
        device = known[0] if known else self.add(path, re.sub(r"\d", "", name), **self.token)
        return "%s=%s%s%s" % (name, self.scheme, device.folder, self.option)


def main_of(tests, arguments):
    """Runs tests that take the same arguments."""
    for test in tests:
        begin = time.monotonic()
        test(*arguments)
        print("passed: %s (%.1f s)" % (test.__name__.replace("_", " "),
                                       time.monotonic() - begin), flush=True)
    return 0
