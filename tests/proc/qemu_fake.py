# SPDX-License-Identifier: BSD-3-Clause
"""For the tests of `ferry qemu`: a QEMU that writes down how it was started."""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

LIMIT_S = 20

# NAP: how long it lives; CODE: its exit status; FORK: it becomes a daemon; CLOSE: it closes
# what it was handed, as some wrappers do. Started by --check it is a monitor: FAIL are its words
# when it takes no device, BLOCKED a list of reasons, MEMDEV, SIZE, TCG and LACKS what else it
# tells, DEAF makes it silent, STUCK makes it wait.
FAKE = """#!%s
import json, os, sys, time
if sys.argv[1:] == ["-version"]:
    print("QEMU emulator version " + os.environ.get("VERSION", "11.1.3") + " (fake)")
    sys.exit(0)
links = {}
for fd in os.listdir("/proc/self/fd"):
    try:
        links[fd] = os.readlink("/proc/self/fd/" + fd)
    except OSError:
        pass
def monitor(fd):
    import socket
    sock = socket.socket(fileno=fd)
    lines = sock.makefile("rw")
    def say(message):
        lines.write(json.dumps(message) + "\\r\\n")
        lines.flush()
    say({"QMP": {"version": {}, "capabilities": []}})
    if "FAIL" in os.environ:
        print(os.environ["FAIL"], file=sys.stderr)
        sys.exit(1)
    print(os.environ.get("WORDS", ""), file=sys.stderr, flush=True)
    for line in lines:
        command = json.loads(line)["execute"]
        say({"event": "NOISE", "data": {}})
        if command == os.environ.get("DEAF"):
            sys.exit(1)
        if command == os.environ.get("STUCK"):
            time.sleep(60)
        if command == "quit":
            say({"return": {}})
            sys.exit(0)
        properties = [{"name": n} for n in
                      ("fd", "iommufd", "enable-migration", "x-migration-multifd-transfer",
                       "sysfsdev", "x-enable-migration")
                      if n != os.environ.get("LACKS")]
        say({"return": {
            "device-list-properties": properties,
            "query-migrate": {"blocked-reasons": json.loads(os.environ.get("BLOCKED", "[]"))},
            "query-memdev": [{"id": "ram", "share": os.environ.get("MEMDEV") != "private",
                              "size": int(os.environ.get("SIZE", 1 << 30))}],
            "query-kvm": {"enabled": "TCG" not in os.environ, "present": True},
        }.get(command, {})})
for word in sys.argv:
    if word.startswith("socket,id=") and "-check,fd=" in word:
        with open(os.environ["NOTE"] + ".new", "w") as out:
            json.dump({"argv": sys.argv[1:], "preload": os.environ.get("LD_PRELOAD"),
                       "pid": os.getpid()}, out)
        os.rename(os.environ["NOTE"] + ".new", os.environ["NOTE"])
        monitor(int(word.rsplit("=", 1)[1]))
groups = {}
for word in sys.argv:
    for part in word.split(","):
        if part.startswith("sysfsdev="):
            groups[part[9:]] = os.readlink(part[9:] + "/iommu_group")
note = {"argv": sys.argv[1:], "preload": os.environ.get("LD_PRELOAD"), "fds": links,
        "groups": groups}
if "FORK" in os.environ and os.fork() != 0:
    os._exit(0)
if "CLOSE" in os.environ:
    os.closerange(3, 1024)
note["pid"] = os.getpid()
with open(os.environ["NOTE"] + ".new", "w") as out:
    json.dump(note, out)
os.rename(os.environ["NOTE"] + ".new", os.environ["NOTE"])
time.sleep(float(os.environ.get("NAP", "0")))
sys.exit(int(os.environ.get("CODE", "0")))
"""


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def some_library():
    """A library that every program can have preloaded."""
    with open("/proc/self/maps", encoding="utf-8") as maps:
        return re.search(r"(/\S+/libc\.so\S*)", maps.read()).group(1)


class Rig:
    """A folder with a QEMU and a served device; ends what it started."""

    def __init__(self, ferry):
        self.ferry = os.path.abspath(ferry)
        self.folder = tempfile.mkdtemp(prefix="ferry-test-")
        self.tmp = self.path("tmp")
        os.mkdir(self.tmp)
        self.qemu = self.program("qemu-system-fake", (FAKE % sys.executable).encode())
        self.bridge = some_library()
        self.process = []
        self.pids = []
        self.socket = self.path("acc.sock")
        read_end, write_end = os.pipe()
        self.process.append(subprocess.Popen(
            [self.ferry, "serve", "acc", "--socket", self.socket, "--ready-fd",
             str(write_end)], pass_fds=[write_end]))
        os.close(write_end)
        expect("server", os.read(read_end, 16), b"ready\n")
        os.close(read_end)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for process in self.process:
            process.kill()
            process.wait()
        shutil.rmtree(self.folder)

    def path(self, name):
        """A path in the rig's folder."""
        return os.path.join(self.folder, name)

    def program(self, name, content):
        """Makes an executable file."""
        path = self.path(name)
        with open(path, "wb") as out:
            out.write(content)
        os.chmod(path, 0o755)
        return path

    def environment(self, **more):
        """For ferry and QEMU."""
        env = dict(os.environ, NOTE=self.path("note"), TMPDIR=self.tmp,
                   FERRY_BRIDGE=self.bridge)
        env.update(more)
        return {name: value for name, value in env.items() if value is not None}

    def run(self, *args, **env):
        """Runs `ferry qemu ARGS` to its end."""
        return subprocess.run([self.ferry, "qemu", *args], capture_output=True, text=True,
                              timeout=LIMIT_S, check=False, cwd=self.folder,
                              env=self.environment(**env))

    def start(self, *args, pass_fds=(), **env):
        """Starts it; returns when QEMU has made its note."""
        if os.path.exists(self.path("note")):
            os.unlink(self.path("note"))
        process = subprocess.Popen([self.ferry, "qemu", *args], stderr=subprocess.PIPE,
                                   text=True, cwd=self.folder,
                                   pass_fds=pass_fds,
                                   env=self.environment(NAP="60", **env))
        self.process.append(process)
        self.wait(lambda: os.path.exists(self.path("note")), "QEMU has not started")
        self.pids.append(self.note()["pid"])
        return process

    def note(self):
        """What QEMU wrote down."""
        with open(self.path("note"), encoding="utf-8") as file:
            return json.load(file)

    def plan(self, *args, device=None, known=True, **env):
        """What --print --json says for QEMU with these arguments; known: not when it has a name
        by which nobody knows it, so that it is not asked for its version."""
        done = self.run("--device", device or self.socket, "--print", "--json", "--",
                        self.qemu if known else "/bin/true", *args, **env)
        expect("--print " + " ".join(args) + done.stderr, done.returncode, 0)
        return json.loads(done.stdout)

    def servers(self):
        """Processes that serve models at sockets in the rig's temporary folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/cmdline" % pid, "rb") as file:
                    if b"--socket=" + self.tmp.encode() in file.read():
                        found.append(int(pid))
            except OSError:
                pass
        return found

    @staticmethod
    def parent(pid):
        """Who started a process."""
        with open("/proc/%d/stat" % pid, encoding="utf-8") as file:
            return int(file.read().rsplit(")", 1)[1].split()[1])

    def wait(self, holds, text):
        """Waits until holds() is true."""
        end = time.monotonic() + LIMIT_S
        while not holds():
            assert time.monotonic() < end, text
            time.sleep(0.01)

    def wait_clean(self, what):
        """No server and no folder of a model is left."""
        end = time.monotonic() + LIMIT_S
        while True:
            left = (self.servers(), os.listdir(self.tmp))
            if left == ([], []):
                return
            assert time.monotonic() < end, "%s: left are %s and %s" % (what, *left)
            time.sleep(0.01)
