# SPDX-License-Identifier: BSD-3-Clause
"""Devices and hosts as processes, for the tests of the ferry command."""
import json
import os
import shutil
import socket
import subprocess
import tempfile

DEVICES = (("acc", "acc"), ("copy0", "copy,memory=1M"), ("copy1", "copy,memory=1M"))
TIMEOUT_S = 20


class Control:
    """A connection to a host's control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")

    def read(self):
        """The next line as an object."""
        return json.loads(self.file.readline())

    def send(self, text):
        """A line as it is."""
        self.file.write(text + "\n")
        self.file.flush()

    def call(self, command, **more):
        """One command and its reply."""
        self.send(json.dumps(dict(more, command=command)))
        return self.read()


class Rig:
    """Three devices for each side and a host on each; ends all of it at the end."""

    def __init__(self, ferry):
        self.ferry = ferry
        self.folder = tempfile.mkdtemp(prefix="ferry-test-")
        self.process = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.process.values():
            process.terminate()
        for process in self.process.values():
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.folder)

    def path(self, name):
        """A path in the rig's folder."""
        return os.path.join(self.folder, name)

    def start(self, name, *args, fds=(), env=None):
        """Starts `ferry ARGS` and waits until it is ready. fds: that it inherits."""
        read_end, write_end = os.pipe()
        self.process[name] = subprocess.Popen(
            [self.ferry, *args, "--ready-fd", str(write_end)],
            pass_fds=[write_end, *fds], env=env, stdout=subprocess.DEVNULL)
        os.close(write_end)
        ready = os.read(read_end, 16)
        os.close(read_end)
        assert ready == b"ready\n", "%s did not get ready" % name

    def start_side(self, side, *args):
        """Devices and host of a side; the host listens and maps copy1 for copy0."""
        devices = []
        for name, model in DEVICES:
            path = self.path("%s-%s.sock" % (name, side))
            self.start("%s-%s" % (name, side), "serve", model, "--socket", path)
            devices += ["--device", "%s=vfio-user:%s" % (name, path)]
        self.start("host-" + side, "host", *devices, "--peer", "copy0:copy1", "--memory",
                   "8M", "--listen", "tcp:127.0.0.1:0", "--control",
                   self.path("%s.sock" % side), *args)

    def control(self, side):
        """A new connection to a side's host."""
        return Control(self.path("%s.sock" % side))

    def run(self, *args):
        """Runs a ferry command to its end."""
        return subprocess.run([self.ferry, *args], capture_output=True, text=True,
                              timeout=TIMEOUT_S, check=False)
