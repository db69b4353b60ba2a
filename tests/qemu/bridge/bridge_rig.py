# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified QEMUs with Ferry's devices behind the bridge, and what moves their guests.

A test takes a rig, starts servers and machines with it, and moves a guest between them.
Everything is killed at the end; when a test fails, the logs of QEMUs, bridges and servers
stay in a folder that is named.
"""
import ctypes
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import initramfs  # noqa: E402 pylint: disable=wrong-import-position
import qemu_rig  # noqa: E402 pylint: disable=wrong-import-position

# Limits, not expectations: the machine may be busy.
MOVE_S = 60
WORK_S = 30
TEST_S = 240
MEMORY_MB = 256
SWITCHOVER_BYTES_S = 128 << 20
HELD_BYTES_S = 1000  # so slow that QEMU does not stop the guest: no device has so little
DOWNTIME_MS = 300
MIGRATION_OVER = ("completed", "failed", "cancelled")
MACHINE_OF_BOTH = "pc-q35-10.0"
ROOTS = {"11.1": "root", "10.0": "root-10.0", "7.2": "root-7.2"}
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


def before_exec():
    """In a child: it ends with the tests, and leaves no core file."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Drain(threading.Thread):
    """Reads what the guest says on its second serial line, with the time of each line."""

    def __init__(self, sock):
        super().__init__(daemon=True)
        self.socket = sock
        self.line = []
        self.start()

    def run(self):
        rest = b""
        try:
            while True:
                got = self.socket.recv(65536)
                if not got:
                    return
                now = time.monotonic()
                *lines, rest = (rest + got).split(b"\n")
                self.line += [(now, text.decode(errors="replace")) for text in lines]
        except OSError:
            pass


def program(cache, version):
    """The words that start a QEMU of the cache by its own loader, and its modules' folder."""
    usr = os.path.join(cache, ROOTS[version], "usr")
    libs = os.path.join(usr, "lib/x86_64-linux-gnu")
    words = [os.path.join(libs, "ld-linux-x86-64.so.2"), "--library-path", libs,
             os.path.join(usr, "bin/qemu-system-x86_64"),
             "-L", os.path.join(usr, "share/qemu"), "-L", os.path.join(usr, "share/seabios")]
    return words, os.path.join(libs, "qemu")


def memory_size(version, megabytes=MEMORY_MB):
    """A guest's memory as QEMU's options want it.

    QEMU 7.2 loses writes of a TCG guest when its memory is a multiple of 256 KiB.
    """
    return f"{megabytes * 1024 + 8}K" if version == "7.2" else f"{megabytes}M"


class Vm(qemu_rig.Qemu):
    """One `ferry qemu` and its QEMU. pylint: disable=super-init-not-called"""

    def __init__(self, rig, name, version, options, args):
        self.name = name
        self.version = version
        self.is_old = version == "7.2"  # uAPI v1 over groups; neither iommufd nor events
        self.log = rig.path(name + ".qemu.log")
        self.pid_file = rig.path(name + ".pid")
        words, modules = program(rig.cache, version)
        ours, theirs = zip(*(socket.socketpair() for _ in range(3)))
        monitor, console, beats = (sock.fileno() for sock in theirs)
        self.command = [
            rig.ferry, "qemu", *options, "--", *words,
            "-accel", "tcg", "-nodefaults", "-no-user-config", "-display", "none",
            "-name", name, "-pidfile", self.pid_file,
            "-chardev", f"socket,id=monitor,fd={monitor}",
            "-mon", "chardev=monitor,mode=control",
            "-chardev", f"socket,id=console,fd={console}", "-serial", "chardev:console",
            "-chardev", f"socket,id=beats,fd={beats}", "-serial", "chardev:beats", *args]
        with open(self.log, "wb") as log:
            log.write((" ".join(self.command) + "\n").encode())
            log.flush()
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(rig.environment, QEMU_MODULE_DIR=modules),
                pass_fds=[monitor, console, beats], start_new_session=True,
                preexec_fn=before_exec)
        for sock in theirs:
            sock.close()
        self.monitor = qemu_rig.Lines(ours[0])
        self.console = qemu_rig.Lines(ours[1])
        self.beats = Drain(ours[2])
        self.event = []

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def status(self):
        """QEMU's run state, or None when it is gone."""
        try:
            return self.call("query-status")["status"]
        except (AssertionError, OSError):
            if self.gone(1):
                return None
            raise

    def gone(self, limit):
        """Has QEMU ended within that time?"""
        try:
            self.process.wait(limit)
            return True
        except subprocess.TimeoutExpired:
            return False

    def works(self, name):
        """What the guest says of its work: a list of (worker, {key: number}); no errors."""
        found = []
        for line in self.guest(name + " status"):
            worker, *rest = line.split()
            assert rest[0] != "error", f"{self.name}: {line}"
            found.append((worker, {key: int(value) for key, value in
                                   (word.split("=") for word in rest)}))
        assert found, f"no {name} at work"
        for worker, keys in found:
            assert keys["errors"] == 0 and keys["running"] == 1, (self.name, worker, keys)
        return found

    def pid(self):
        """QEMU's own process, also of one that made itself a daemon."""
        with open(self.pid_file, encoding="utf-8") as file:
            return int(file.read())

    def kill(self):
        """Ends QEMU, and what `ferry qemu` started besides it, the hard way."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        try:
            with open(f"/proc/{self.pid()}/cmdline", encoding="utf-8") as file:
                if self.pid_file in file.read():  # it made itself a daemon
                    os.kill(self.pid(), signal.SIGKILL)
        except (OSError, ValueError):
            pass
        self.process.wait()


class Rig:
    """A folder with sockets and logs, servers and machines; ends all of it."""

    def __init__(self, ferry, cache, init, module, bridge, library):
        self.ferry = ferry
        self.cache = cache
        self.bridge = bridge
        self.library = library
        self.folder = tempfile.mkdtemp(prefix="ferry-bridge-")
        self.server = {}
        self.machine = []
        self.relay = []
        # meson's perturbed memory is for our own programs.
        self.environment = dict(os.environ, MALLOC_PERTURB_="0")
        initramfs.write(self.path("initrd"), init, os.path.join(cache, "guest/modules"),
                        [module] if module else [])

    def path(self, name):
        """A path in the rig's folder."""
        return os.path.join(self.folder, name)

    def close(self, keep):
        """Kills everything; keep: the logs stay, and their folder is named."""
        for relay in self.relay:
            relay.cut()
        for vm in self.machine:
            vm.kill()
        for server in self.server.values():
            server.kill()
            server.wait()
        if not keep:
            shutil.rmtree(self.folder)
            return
        for name in sorted(os.listdir(self.folder)):
            if not name.endswith(".log"):
                os.remove(self.path(name))
                continue
            with open(self.path(name), encoding="utf-8", errors="replace") as log:
                text = log.read()
            if text:
                print(f"-- {name}, its end:\n{text[-3000:]}", file=sys.stderr)
        print(f"-- all logs: {self.folder}", file=sys.stderr)

    def serve(self, name, model, *args):
        """Starts `ferry serve MODEL` and waits until it is ready."""
        read_end, write_end = os.pipe()
        with open(self.path(name + ".server.log"), "ab") as log:
            self.server[name] = subprocess.Popen(
                [self.ferry, "serve", model, "--socket", self.path(name), *args,
                 "--ready-fd", str(write_end)],
                pass_fds=[write_end], stdout=log, stderr=log, preexec_fn=before_exec)
        os.close(write_end)
        ready = os.read(read_end, 16)
        os.close(read_end)
        assert ready == b"ready\n", name + " is not ready"

    def serve_again(self, name, model, *args):
        """A server of that name in the place of another one."""
        self.end_server(name)
        self.serve(name, model, *args)

    def bridge_said(self, vm):
        """What a machine's bridge has written."""
        try:
            with open(self.path(vm.name + ".bridge.log"), encoding="utf-8") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def end_server(self, name, how=signal.SIGKILL):
        """Ends a server, if there is one, and waits for its end."""
        if name not in self.server:
            return
        self.server[name].send_signal(signal.SIGCONT)
        self.server[name].send_signal(how)
        self.server[name].wait()

    def info(self, name):
        """`ferry info` of a free server as an object; None when it is busy or not there."""
        out = subprocess.run([self.ferry, "info", "vfio-user:" + self.path(name), "--json"],
                             capture_output=True, text=True, timeout=20, check=False)
        return json.loads(out.stdout) if out.returncode == 0 else None

    def words(self, devices):
        """Options of `ferry qemu` for servers: "acc0" has the id "acc", "acc0,dirty=iommu"."""
        words = ["--bridge", self.bridge]
        for device in devices:
            name, comma, rest = device.partition(",")
            words += ["--device",
                      f"{self.path(name)},id={name.rstrip('0123456789')}{comma}{rest}"]
        return words

    def check(self, devices, version, *options):
        """Runs `ferry qemu --check`."""
        words, modules = program(self.cache, version)
        return subprocess.run([self.ferry, "qemu", "--check", *options, *self.words(devices), "--",
                               *words, "-machine", "q35", "-accel", "tcg", "-nodefaults"],
                              env=dict(self.environment, QEMU_MODULE_DIR=modules),
                              capture_output=True, text=True, timeout=MOVE_S, check=False)

    def start(self, name, devices, version="11.1", machine="q35", incoming=False, waits=False,
              options=(), args=(), kernel="", timeout=None, memory=MEMORY_MB):
        """Starts a machine with these servers as devices.

        kernel: more of its command line. waits: a guest that comes in is not started before
        somebody says so, as managers do it: only the source knows whether it has left.
        """
        words = ["--log", self.path(name + ".bridge.log"), *options, *self.words(devices)]
        if timeout is not None:
            words += ["--timeout", str(timeout)]
        more = ["-machine", machine, "-m", memory_size(version, memory),
                "-kernel", os.path.join(self.cache, initramfs.KERNEL),
                "-initrd", self.path("initrd"),
                "-append", initramfs.APPEND + "cryptomgr.notests " + kernel,
                "-device", "pcie-root-port,id=plug,chassis=1", *args]
        if incoming:
            more += ["-incoming", "defer"] + (["-S"] if waits else [])
        vm = Vm(self, name, version, words, more)
        vm.waits = waits
        self.machine.append(vm)
        return vm.greet()

    def end(self, vm):
        """Ends a machine in its own way."""
        code = vm.end()
        vm.kill()
        assert code == 0, f"{vm.name} ended with {code}"

    @staticmethod
    def wait(holds, text, limit=MOVE_S, every=0.05):
        """Waits until holds() is true; returns what it gave."""
        end = time.monotonic() + limit
        while True:
            found = holds()
            if found:
                return found
            assert time.monotonic() < end, text
            time.sleep(every)

    @staticmethod
    def goes_on(vm, *names, more=3):
        """The guest's work goes on, without an error, at this machine."""
        for name in names:
            before = dict(vm.works(name))
            Rig.wait(lambda name=name, before=before:
                     all(keys["works"] >= before[worker]["works"] + more
                         for worker, keys in vm.works(name)),
                     f"{vm.name}: {name} does not go on: {vm.works(name)}", WORK_S, 0.1)


def run(tests):
    """Runs the tests of a file: FERRY CACHE INIT MODULE BRIDGE LIBRARY."""
    def too_long(number, _):
        raise TimeoutError(f"signal {number}: the test takes too long")

    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGTERM, too_long)
    # Where somebody looks for a fault: FERRY_QEMU_TEST=part of the name.
    only = os.environ.get("FERRY_QEMU_TEST", "")
    for test in tests:
        if not re.search(only, test.__name__):
            continue
        began = time.monotonic()
        signal.alarm(TEST_S)
        rig = Rig(*sys.argv[1:7])
        failed = True
        try:
            test(rig)
            failed = False
        finally:
            signal.alarm(0)
            if failed:
                print(f"-- {test.__name__} failed after %.1f s" % (time.monotonic() - began),
                      file=sys.stderr)
            rig.close(failed)
        print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)
