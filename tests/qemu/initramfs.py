# SPDX-License-Identifier: BSD-3-Clause
"""The initial file system of the tests' guest: one static program and kernel modules."""
import os
import re

# The unpacked kernel, which QEMU starts by its PVH entry: no time goes into unpacking it.
KERNEL = "guest/vmlinux"
# With relaxed rules a program may map registers that a driver has.
APPEND = "console=ttyS0 quiet panic=-1 iomem=relaxed "
MODULES = ("virtio_pci", "virtio_crypto", "algif_skcipher", "virtio_net")


def depends(path):
    """The modules that a module names in its own information."""
    with open(path, "rb") as file:
        found = re.search(rb"\0depends=([^\0]*)\0", file.read())
    return [name.replace("-", "_") for name in found.group(1).decode().split(",") if name]


def load_order(folder, wanted=MODULES):
    """File names of the wanted modules and what they need, in the order to load them.

    What has no file is part of the kernel itself.
    """
    files = {name[:-3].replace("-", "_"): name for name in os.listdir(folder)
             if name.endswith(".ko")}
    order = []

    def add(name):
        if name in files and files[name] not in order:
            for needed in depends(os.path.join(folder, files[name])):
                add(needed)
            order.append(files[name])

    for name in wanted:
        assert name in files, "the kernel package has no module " + name
        add(name)
    return order


def entry(number, name, mode, data=b"", device=(0, 0)):
    """One member of a cpio archive in the "newc" form."""
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    head += name.encode() + b"\0"
    return head + b"\0" * (-len(head) % 4) + data + b"\0" * (-len(data) % 4)


def write(path, init, folder, modules=()):
    """Writes the archive with the program init and the modules in folder to path.

    modules: files of modules of our own, which need no others; they are loaded last.
    """
    order = load_order(folder)
    members = [("dev", 0o40755, b"", (0, 0)), ("dev/console", 0o20600, b"", (5, 1))]
    with open(init, "rb") as file:
        members.append(("init", 0o100755, file.read(), (0, 0)))
    members.append(("modules", 0o100644, "".join(
        f"/{os.path.basename(name)}\n" for name in (*order, *modules)).encode(), (0, 0)))
    for name in (*(os.path.join(folder, name) for name in order), *modules):
        with open(name, "rb") as file:
            members.append((os.path.basename(name), 0o100644, file.read(), (0, 0)))
    with open(path, "wb") as out:
        for number, (name, mode, data, device) in enumerate(members, 1):
            out.write(entry(number, name, mode, data, device))
        out.write(entry(0, "TRAILER!!!", 0))
