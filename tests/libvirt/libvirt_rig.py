# SPDX-License-Identifier: BSD-3-Clause
"""Two hosts with a libvirt each, a wire between them, and a guest that moves."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../qemu/bridge"))
sys.path.append(os.path.join(HERE, "../qemu/net"))
import bridge_rig  # noqa: E402 pylint: disable=wrong-import-position
import initramfs  # noqa: E402 pylint: disable=wrong-import-position
import namespaces  # noqa: E402 pylint: disable=wrong-import-position
import net_rig  # noqa: E402 pylint: disable=wrong-import-position,unused-import
import qemu_rig  # noqa: E402 pylint: disable=wrong-import-position

# Limits, not expectations: the machine may be busy.
START_S = 60
TEST_S = 200
NAME = "guest"
GROUP_ID = 64999  # "ferry", which libvirt's user of QEMU is in: host.sh
XML = os.path.join(HERE, "../../examples/libvirt/guest.xml")


class Host:
    """A libvirt daemon in namespaces of its own."""

    def __init__(self, rig, name, address):
        self.rig = rig
        self.name = name
        self.address = address
        self.server = {}
        self.folder = rig.path(name)
        os.mkdir(self.folder)
        os.mkdir(os.path.join(self.folder, "tmp"))
        os.chmod(os.path.join(self.folder, "tmp"), 0o1777)
        self.out = open(os.path.join(self.folder, "daemon"), "wb")
        self.process = subprocess.Popen(
            ["unshare", "--net", "--mount", "--uts", os.path.join(HERE, "host.sh"), name,
             self.folder, namespaces.DRIVERS, rig.cache, rig.build],
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out,
            env=dict(os.environ, MALLOC_PERTURB_="0", TMPDIR=os.path.join(self.folder, "tmp")))

    def path(self, name):
        """A file of the host, as it is seen from here."""
        return f"/proc/{self.process.pid}/root{name}"

    def read(self, name):
        """The text of a file of the host."""
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def up(self):
        """Waits until the daemon answers."""
        self.rig.wait(lambda: os.path.exists(self.path("/run/libvirt/libvirt-sock")) or
                      self.process.poll() is not None, "libvirtd does not start", START_S)
        assert self.process.poll() is None, self.said()

    def said(self):
        """What the daemon wrote."""
        with open(os.path.join(self.folder, "daemon"), encoding="utf-8") as file:
            return file.read() + self.read("/var/log/libvirt/libvirtd.log")

    def command(self, *words):
        """A command as it is given on that host."""
        return ["nsenter", "--target", str(self.process.pid), "--net", "--mount", "--uts",
                *words]

    def virsh(self, *words, good=True):
        """Runs virsh on the host: what it printed."""
        done = subprocess.run(self.command("virsh", "--quiet", *words), capture_output=True,
                              text=True, timeout=TEST_S, check=False)
        assert (done.returncode == 0) == good, (
            f"{self.name}: virsh {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout if good else done.stderr

    def ask_qemu(self, command):
        """What QEMU answers to a command that libvirt hands on."""
        return json.loads(self.virsh("qemu-monitor-command", NAME,
                                     json.dumps({"execute": command})))["return"]

    def guest_said(self):
        """What QEMU and Ferry wrote."""
        return self.read(f"/var/log/libvirt/qemu/{NAME}.log")

    def serve(self, model):
        """A server of a model for the host's guest."""
        path = f"/run/ferry/{model}.sock"
        read_end, write_end = os.pipe()
        log = open(os.path.join(self.folder, model + ".log"), "wb")
        self.server[model] = subprocess.Popen(
            self.command(self.rig.ferry, "serve", model, "--socket", path, "--ready-fd",
                         str(write_end)), pass_fds=[write_end], stdout=log, stderr=log)
        os.close(write_end)
        ready = os.read(read_end, 16)
        os.close(read_end)
        assert ready == b"ready\n", f"{self.name}: {model} is not ready"
        # As ferry-serve@.socket has it.
        os.chown(self.path(path), 0, GROUP_ID)
        os.chmod(self.path(path), 0o660)

    def end_server(self, model):
        """Ends a server, and takes its socket away."""
        server = self.server.pop(model)
        server.terminate()
        server.wait()

    def state(self):
        """The guest's state as libvirt sees it."""
        return self.virsh("domstate", NAME).strip()

    def job(self, *words):
        """`virsh domjobinfo` as {name: number}; times are in ms, sizes in bytes."""
        units = {"": 1, "ms": 1, "s": 1000, "B": 1, "bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20,
                 "GiB": 1 << 30}
        found = {}
        for line in self.virsh("domjobinfo", NAME, *words).splitlines():
            name, _, value = line.partition(":")
            number = re.fullmatch(r"([0-9.]+)(?: +(\w+))?", value.strip())
            if number:
                found[name] = float(number[1]) * units.get(number[2] or "", 1)
            elif value:
                found[name] = value.strip()
        return found


class Guest(bridge_rig.Vm):
    """The guest by its serial lines. pylint: disable=super-init-not-called"""

    def __init__(self, host):
        self.host = host
        self.name = host.name
        self.console = qemu_rig.Lines(self.connect("/run/ferry/console"))
        self.beats = bridge_rig.Drain(self.connect("/run/ferry/beats"))

    def connect(self, name):
        """A serial line."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.host.path(name))
        return sock

    def said(self):
        return self.host.guest_said()


class Rig:
    """A folder, and two hosts "a" and "b", which end with the namespaces."""

    def __init__(self, ferry, cache, init, module, bridge, net_peer, version, folder):
        self.cache = os.path.realpath(cache)
        self.build = os.path.commonpath([os.path.realpath(path) for path in (ferry, init, bridge)])
        self.ferry, self.bridge = (
            os.path.join("/run/ferry/build", os.path.relpath(os.path.realpath(path), self.build))
            for path in (ferry, bridge))
        self.net_peer = net_peer
        self.version = version
        self.folder = folder
        os.chmod(self.folder, 0o755)
        initramfs.write(self.path("initrd"), init, os.path.join(cache, "guest/modules"),
                        [module])
        self.emulator = self.write_emulator()
        self.host = {}
        self.vm = None

    wait = staticmethod(bridge_rig.Rig.wait)
    goes_on = staticmethod(bridge_rig.Rig.goes_on)

    def up(self):
        """Starts the hosts, and puts a wire between them."""
        for name, address in (("a", "10.0.0.1"), ("b", "10.0.0.2")):
            self.host[name] = Host(self, name, address)
        for host in self.host.values():
            host.up()
        self.wire()

    def path(self, name):
        """A path in the rig's folder."""
        return os.path.join(self.folder, name)

    def write_emulator(self):
        """What a domain names as its emulator: the QEMU of the cache has its own loader."""
        words, modules = bridge_rig.program("/run/ferry/qemu", self.version)
        path = self.path("qemu-system-x86_64")
        with open(path, "w", encoding="utf-8") as out:
            out.write(f"#!/bin/sh\nexport QEMU_MODULE_DIR='{modules}'\n"
                      f"exec '{self.ferry}' qemu --emulator --bridge '{self.bridge}' -- "
                      + " ".join(f"'{word}'" for word in words) + ' "$@"\n')
        os.chmod(path, 0o755)
        return path

    def wire(self):
        """A veth between the hosts."""
        a, b = (str(self.host[name].process.pid) for name in "ab")
        subprocess.run(["ip", "link", "add", "wire", "netns", a, "type", "veth", "peer",
                        "name", "wire", "netns", b], check=True)
        for host in self.host.values():
            for words in (["address", "add", host.address + "/24", "dev", "wire"],
                          ["link", "set", "wire", "up"]):
                subprocess.run(host.command("ip", *words), check=True)

    def domain(self, change=None):
        """The documented domain, with this machine's paths and a second serial line."""
        with open(XML, encoding="utf-8") as file:
            text = file.read()
        for old, new in (
                ("/usr/libexec/ferry/qemu-system-x86_64", self.emulator),
                ("/var/lib/libvirt/images/vmlinuz", os.path.join("/run/ferry/qemu", initramfs.KERNEL)),
                ("/var/lib/libvirt/images/initrd", self.path("initrd")),
                ("console=ttyS0", initramfs.APPEND + "cryptomgr.notests"),
                ("    <controller type='usb'", "    <serial type='unix'>\n      <source "
                 "mode='bind' path='/run/ferry/beats'/>\n    </serial>\n"
                 "    <controller type='usb'")):
            assert old in text, old
            text = text.replace(old, new)
        if change:
            text = change(text)
        path = self.path("domain.xml")
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        return path

    def talk(self, name):
        """The guest at a host. Its serial lines take one at a time."""
        self.vm = Guest(self.host[name])
        return self.vm

    def migrate(self, target, *words):
        """virsh's words for a move."""
        return ["migrate", "--live", *words, NAME,
                f"qemu+tcp://{self.host[target].address}/system"]

    def move(self, source, target, *words):
        """`virsh migrate --live` as an administrator gives it on the source."""
        self.host[source].virsh(*self.migrate(target, *words))
        return self.talk(target)

    def refused(self, source, target, *words):
        """A move that fails: what virsh says."""
        return self.host[source].virsh(*self.migrate(target, *words), good=False)

    def begin(self, source, target, *words):
        """A move that goes on."""
        return subprocess.Popen(
            self.host[source].command("virsh", "--quiet", *self.migrate(target, *words)),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def close(self, failed):
        """Ends what can be ended in order; with the namespaces ends all else."""
        for host in self.host.values():
            if failed:
                said = "\n".join(line for line in host.guest_said().splitlines()
                                 if "ferry-bridge" not in line or ": state " in line)
                print(f"-- {host.name}:\n{host.said()[-6000:]}\n-- its guest:\n{said[-6000:]}",
                      file=sys.stderr)
            host.process.terminate()
            host.process.wait()
            host.out.close()


def run(tests):
    """Runs the tests of a file, in turn with one rig: FERRY CACHE INIT MODULE BRIDGE PEER
    QEMU."""
    def too_long(number, _):
        raise TimeoutError(f"signal {number}: the test takes too long")

    folder = namespaces.enter()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(TEST_S)
    rig = Rig(*sys.argv[1:8], folder)
    failed = True
    try:
        rig.up()
        for test in tests:
            began = time.monotonic()
            test(rig)
            print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)
        failed = False
    finally:
        rig.close(failed)
