# SPDX-License-Identifier: BSD-3-Clause
"""What is inside the guest: kernel modules, programs of this build with what they link to."""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../qemu"))
import initramfs  # noqa: E402 pylint: disable=wrong-import-position

# Loaded at boot with what they need; drivers of devices are not.
STOCK = ("vfio", "vfio_iommu_type1", "mdev", "vfio_pci_core")
VFIO = ("iommufd", *STOCK)
SHARE = ("9pnet_virtio", "9p")
LIBRARIES = "lib/x86_64-linux-gnu"
LOADER = "lib64/ld-linux-x86-64.so.2"
# Of a second level's QEMU: what a PC without a screen needs.
FIRMWARE = ("bios-256k.bin", "kvmvapic.bin", "linuxboot_dma.bin", "multiboot_dma.bin", "pvh.bin",
            "multiboot.bin", "linuxboot.bin")


def libraries(command):
    """{name: path} of what a dynamic loader's command loads; the loader itself is not in it."""
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        return {}
    return dict(re.findall(r"^\t(\S+) => (/\S+)", run.stdout, re.M))


def module_name(path):
    """A module's own name."""
    return os.path.basename(path)[:-len(".ko")].replace("-", "_")


def modinfo(module):
    """What a module says of itself: a function from a key to a list."""
    return lambda key: [text.decode() for text in re.findall(
        b"\\0" + key.encode() + b"=([^\\0]*)", module)]


class Files:
    """The guest's first file system, which is all in its memory."""

    def __init__(self):
        self.members = {}
        self.folder("dev")
        for name in ("proc", "sys", "tmp", "bin"):
            self.folder(name)
        self.members["dev/console"] = (0o20600, b"", (5, 1))

    def folder(self, name):
        """A folder and those above it."""
        if name and name not in self.members:
            self.folder(os.path.dirname(name))
            self.members[name] = (0o40755, b"", (0, 0))

    def put(self, name, data, mode=0o644):
        """A file of these bytes."""
        self.folder(os.path.dirname(name))
        self.members[name] = (0o100000 | mode, data, (0, 0))

    def add(self, path, name):
        """A file of the host, or a folder with all that is in it."""
        if os.path.isdir(path):
            for inner in sorted(os.listdir(path)):
                self.add(os.path.join(path, inner), os.path.join(name, inner))
            return
        with open(path, "rb") as file:
            self.put(name, file.read(), 0o755 if os.access(path, os.X_OK) else 0o644)

    def program(self, path, name=None):
        """A program or library of the host, with what it links to."""
        self.add(path, name or "bin/" + os.path.basename(path))
        found = libraries(["ldd", path])
        for library, place in found.items():
            self.add(place, f"{LIBRARIES}/{library}")
        if found:
            self.add("/" + LOADER, LOADER)

    def modules(self, cache, stock):
        """All modules, and which of them are loaded at boot: in "load", and in "share" what
        /share needs."""
        folder = os.path.join(cache, "stock" if stock else "modules")
        self.add(folder, "lib/modules")
        for name, wanted in (("load", STOCK if stock else VFIO), ("share", SHARE)):
            order = initramfs.load_order(folder, wanted)
            self.put("lib/modules/" + name, "".join(file + "\n" for file in order).encode())

    def index(self):
        """What modprobe, and whoever looks for a device's driver, reads of the modules."""
        names = {module_name(path): os.path.basename(path)
                 for path in self.members if path.endswith(".ko")}
        needed, aliases = {}, ""
        for name, file in names.items():
            words = modinfo(self.members["lib/modules/" + file][1])
            needed[file] = [names[need.replace("-", "_")]
                            for need in words("depends")[0].split(",") if need]
            aliases += "".join(f"alias {alias} {name}\n" for alias in words("alias"))
        # A line has also what the needed ones need; they are loaded from its end.
        for needs in needed.values():
            for file in needs:
                needs.extend(more for more in needed[file] if more not in needs)
        self.put("lib/modules/modules.dep", "".join(
            f"{file}: {' '.join(needs)}\n" for file, needs in needed.items()).encode())
        self.put("lib/modules/modules.alias", aliases.encode())

    def qemu(self, root):
        """QEMU out of scripts/qemu-cache: /qemu, and the command /bin/qemu."""
        usr = os.path.join(root, "usr")
        libs = os.path.join(usr, LIBRARIES)
        binary = os.path.join(usr, "bin/qemu-system-x86_64")
        loader = os.path.join(libs, "ld-linux-x86-64.so.2")
        self.add(binary, "qemu/qemu-system-x86_64")
        self.add(loader, "qemu/lib/ld.so")
        for name, path in libraries([loader, "--library-path", libs, "--list", binary]).items():
            self.add(path, "qemu/lib/" + name)
        for folder in ("share/qemu", "share/seabios"):
            for name in FIRMWARE:
                path = os.path.join(usr, folder, name)
                if os.path.exists(path):
                    self.add(path, "qemu/share/" + name)
        self.put("bin/qemu", b"#!/bin/sh\nexec /qemu/lib/ld.so --library-path /qemu/lib "
                 b"/qemu/qemu-system-x86_64 -L /qemu/share \"$@\"\n", 0o755)

    def write(self, path):
        """Writes the archive that the kernel unpacks."""
        self.index()
        with open(path, "wb") as out:
            for number, (name, member) in enumerate(self.members.items(), 1):
                mode, data, device = member
                out.write(initramfs.entry(number, name, mode, data, device))
            out.write(initramfs.entry(0, "TRAILER!!!", 0))


def files(cache, build, stock=False):
    """The guest's files: busybox, modules, ferry of this build.

    cache: scripts/kernel-cache's folder. build: a meson build folder. stock: Debian's modules
    as they are, without iommufd and devices' own character devices.
    """
    guest = Files()
    guest.add(os.path.join(cache, "busybox"), "bin/busybox")
    guest.modules(cache, stock)
    guest.add(os.path.join(HERE, "init"), "init")
    guest.add(os.path.join(HERE, "case.sh"), "case.sh")
    guest.program(os.path.join(build, "src/cli/ferry"))
    return guest


def add_tests(guest, build):
    """The cases and what they need: programs of tests/kernel in the build folder."""
    guest.add(os.path.join(HERE, "cases"), "cases")
    folder = os.path.join(build, "tests/kernel")
    for path, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            program = os.path.join(path, name)
            with open(program, "rb") as file:
                if file.read(4) == b"\x7fELF" and os.access(program, os.X_OK):
                    guest.program(program)
