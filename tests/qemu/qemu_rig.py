# SPDX-License-Identifier: BSD-3-Clause
"""QEMU out of the cache with a guest on its serial console, and devices that ferry serves."""
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import initramfs

# Limits, not expectations: the machine may be busy.
BOOT_S = 120
ANSWER_S = 60
END_S = 60
MEMORY_MB = 256
# How the guest's memory is made: with a file that a server can map, or without.
SHARED = ("-object", f"memory-backend-memfd,id=ram,size={MEMORY_MB}M,share=on",
          "-machine", "memory-backend=ram")
PRIVATE = ()


class Failed(AssertionError):
    """The guest answered a command with an error."""


class Lines:
    """Lines from a socket, with a time limit; all that came is kept in text."""

    def __init__(self, sock):
        self.socket = sock
        self.text = b""
        self.read = 0

    def next(self, limit):
        """The next whole line; None at the end of the stream."""
        end = time.monotonic() + limit
        while True:
            newline = self.text.find(b"\n", self.read)
            if newline >= 0:
                line = self.text[self.read:newline].rstrip(b"\r")
                self.read = newline + 1
                return line.decode(errors="replace")
            left = end - time.monotonic()
            assert left > 0, "no line in %d s after: %s" % (limit, self.text[-2000:].decode(
                errors="replace"))
            if select.select([self.socket], [], [], left)[0]:
                try:
                    got = self.socket.recv(65536)
                except ConnectionResetError:
                    got = b""
                if not got:
                    return None
                self.text += got


class Qemu:
    """One QEMU process."""

    def __init__(self, cache, folder, *args, memory=SHARED, guest=True, kernel=""):
        root = os.path.join(cache, "root/usr")
        libs = os.path.join(root, "lib/x86_64-linux-gnu")
        monitor, monitor_theirs = socket.socketpair()
        console, console_theirs = socket.socketpair()
        command = [
            os.path.join(libs, "ld-linux-x86-64.so.2"), "--library-path", libs,
            os.path.join(root, "bin/qemu-system-x86_64"),
            "-L", os.path.join(root, "share/qemu"), "-L", os.path.join(root, "share/seabios"),
            "-machine", "q35", "-accel", "tcg", "-m", str(MEMORY_MB), *memory,
            "-nodefaults", "-no-user-config", "-display", "none",
            "-device", "pcie-root-port,id=plug,chassis=1",
            "-chardev", f"socket,id=monitor,fd={monitor_theirs.fileno()}",
            "-mon", "chardev=monitor,mode=control",
            "-chardev", f"socket,id=console,fd={console_theirs.fileno()}",
            "-serial", "chardev:console"]
        if guest:
            command += ["-kernel", os.path.join(cache, initramfs.KERNEL),
                        "-initrd", os.path.join(folder, "initrd"),
                        "-append", initramfs.APPEND + kernel]
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command + list(args), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=self.errors,
            # meson's perturbed memory is for our own programs.
            env=dict(os.environ, QEMU_MODULE_DIR=os.path.join(libs, "qemu"),
                     MALLOC_PERTURB_="0"),
            pass_fds=[monitor_theirs.fileno(), console_theirs.fileno()],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        monitor_theirs.close()
        console_theirs.close()
        self.console = Lines(console)
        self.monitor = Lines(monitor)
        self.event = []

    def said(self):
        """All that QEMU wrote to its standard error."""
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def greet(self):
        """Waits for the monitor: the devices of the command line are there."""
        line = self.monitor.next(BOOT_S)
        assert line is not None and "QMP" in line, self.said()
        reply = self.call("qmp_capabilities")
        assert reply == {}, reply
        return self

    def message(self):
        """The next message of the monitor; None when QEMU is gone."""
        line = self.monitor.next(ANSWER_S)
        return None if line is None else json.loads(line)

    def tell(self, command, **arguments):
        """One command, after which QEMU may be gone before it answers."""
        text = json.dumps({"execute": command, "arguments": arguments})
        self.monitor.socket.sendall(text.encode() + b"\n")

    def ask(self, command, **arguments):
        """One command: its result, or its error as {"class": ..., "desc": ...}."""
        try:
            self.tell(command, **arguments)
        except OSError as error:
            raise AssertionError("QEMU is gone: " + self.said()) from error
        while True:
            message = self.message()
            assert message is not None, "QEMU is gone: " + self.said()
            if "event" in message:
                self.event.append(message)
            else:
                return message.get("return", message.get("error"))

    def call(self, command, **arguments):
        """One command that must work."""
        reply = self.ask(command, **arguments)
        assert not (isinstance(reply, dict) and "desc" in reply), reply
        return reply

    def wait_event(self, name):
        """Waits for an event."""
        while True:
            for index, event in enumerate(self.event):
                if event["event"] == name:
                    return self.event.pop(index)
            message = self.message()
            assert message is not None, "QEMU is gone: " + self.said()
            if "event" in message:
                self.event.append(message)

    def boot(self):
        """Waits until the guest takes commands."""
        while True:
            line = self.console.next(BOOT_S)
            assert line is not None, "QEMU ended: " + self.said()
            assert not line.startswith("error"), line
            if line == "ready":
                return self

    def guest(self, command, limit=ANSWER_S):
        """One command to the guest: the lines of its answer."""
        self.console.socket.sendall(command.encode() + b"\n")
        answer = []
        while True:
            line = self.console.next(limit)
            assert line is not None, "QEMU ended: " + self.said()
            if line == "ok":
                return answer
            if line.startswith("error"):
                raise Failed(f"{command[:60]}: {line}")
            if line.startswith("= "):
                answer.append(line[2:])

    def send(self, command):
        """A command to the guest that is not answered."""
        self.console.socket.sendall(command.encode() + b"\n")

    def end(self):
        """Ends QEMU by its monitor; returns its exit code."""
        if self.process.poll() is None:
            try:
                self.monitor.socket.sendall(b'{"execute":"quit"}\n')
                self.process.wait(END_S)
            except (OSError, subprocess.TimeoutExpired):
                self.process.kill()
        return self.process.wait()


class Rig:
    """A folder with sockets, ferry processes and QEMUs; ends all of it."""

    def __init__(self, ferry, cache, init):
        self.ferry = ferry
        self.cache = cache
        self.folder = tempfile.mkdtemp(prefix="ferry-qemu-")
        self.server = {}
        self.qemus = []
        initramfs.write(os.path.join(self.folder, "initrd"), init,
                        os.path.join(cache, "guest/modules"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for qemu in self.qemus:
            qemu.process.kill()
            qemu.process.wait()
        for server in self.server.values():
            server.terminate()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        shutil.rmtree(self.folder)

    def path(self, name):
        """A path in the rig's folder."""
        return os.path.join(self.folder, name)

    def serve(self, name, model, *args):
        """Starts `ferry serve MODEL` and waits until it is ready."""
        read_end, write_end = os.pipe()
        with open(self.path(name + ".log"), "wb") as log:
            self.server[name] = subprocess.Popen(
                [self.ferry, "serve", model, "--socket", self.path(name), *args,
                 "--ready-fd", str(write_end)],
                pass_fds=[write_end], stdout=subprocess.DEVNULL, stderr=log)
        os.close(write_end)
        ready = os.read(read_end, 16)
        os.close(read_end)
        assert ready == b"ready\n", self.server_said(name)

    def server_said(self, name):
        """What a server wrote to its standard error."""
        with open(self.path(name + ".log"), encoding="utf-8") as log:
            return log.read()

    def device(self, name, **more):
        """The description of a vfio-user-pci device at a server."""
        return json.dumps(dict(more, driver="vfio-user-pci", id=name,
                               socket={"type": "unix", "path": self.path(name)}))

    def start(self, *devices, memory=SHARED, guest=True, extra=(), kernel="",
              **more):
        """Starts QEMU with vfio-user devices at these servers; more: their properties."""
        args = []
        for name in devices:
            args += ["-device", self.device(name, **more)]
        qemu = Qemu(self.cache, self.folder, *args, *extra, memory=memory, guest=guest,
                    kernel=kernel)
        self.qemus.append(qemu)
        return qemu.greet()

    def ask(self, name):
        """Runs `ferry info` at a server."""
        return subprocess.run([self.ferry, "info", "vfio-user:" + self.path(name), "--json"],
                              capture_output=True, text=True, timeout=20, check=False)

    def info(self, name):
        """`ferry info` of a server as an object."""
        out = self.ask(name)
        assert out.returncode == 0, out.stderr
        return json.loads(out.stdout)

    def free(self, name):
        """Waits until a server serves the next client: what `ferry info` says of it."""
        self.wait(lambda: self.ask(name).returncode == 0, "the server stays busy")
        return self.info(name)

    def wait(self, holds, text):
        """Waits until holds() is true."""
        end = time.monotonic() + BOOT_S
        while not holds():
            assert time.monotonic() < end, text
            time.sleep(0.1)

    def mapped(self, name):
        """How many parts of a guest's memory a server has mapped."""
        with open(f"/proc/{self.server[name].pid}/maps", encoding="utf-8") as maps:
            return sum("memory-backend-memfd" in line for line in maps)


ACC = "0x1af4 0x1054"
COPY = "0xfe44 0x0c0f"
# RFC 3602: key, IV, plain text, cipher text.
VECTORS = (
    ("06a9214036b8a15b512e03d534120006", "3dafba429d9eb430b422da802c9fac41",
     "53696e676c6520626c6f636b206d7367", "e353779c1079aeb82708942dbe77181a"),
    ("c286696d887c9aa0611bbb3e2025a45a", "562e17996d093d28ddb3ba695a2e6f58",
     "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
     "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1"),
    # SP 800-38A, F.2.5: a key of 256 bits.
    ("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
     "000102030405060708090a0b0c0d0e0f", "6bc1bee22e409f96e93d7e117393172a",
     "f58c4c04d6e5f1ba779eabfb5f7bfbd6"),
)


def check_crypto(qemu):
    """The guest's stock driver gets every vector right, both ways."""
    for key, iv, plain, coded in VECTORS:
        assert qemu.guest(f"encrypt {key} {iv} {plain}") == [coded]
        assert qemu.guest(f"decrypt {key} {iv} {coded}") == [plain]


def interrupts(qemu, name):
    """How many interrupts of that name the guest has counted."""
    return sum(int(line.split()[0]) for line in qemu.guest("irqs " + name))


def run(tests):
    """Runs the tests of a file in turn, each with a rig of its own: FERRY CACHE INIT."""
    for test in tests:
        began = time.monotonic()
        with Rig(*sys.argv[1:4]) as rig:
            try:
                test(rig)
            except BaseException:
                for number, qemu in enumerate(rig.qemus):
                    print(f"-- QEMU {number} said:\n{qemu.said()}", file=sys.stderr)
                for name in rig.server:
                    print(f"-- {name} said:\n{rig.server_said(name)}", file=sys.stderr)
                raise
        print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


def find(lines, ids):
    """Address and driver of the function with these ids ("0x1af4 0x1054") in pci's answer."""
    for line in lines:
        word = line.split()
        if word[1] != "resource" and " ".join(word[1:3]) == ids:
            return word[0], word[4]
    raise AssertionError(f"no function {ids} in {lines}")
