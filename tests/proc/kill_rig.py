# SPDX-License-Identifier: BSD-3-Clause
"""Hosts at work whose processes are killed, and a link that stops at a chosen record."""
import glob
import json
import os
import queue
import signal
import socket
import struct
import subprocess
import threading
import time

from cli_rig import Control, Rig

LIMIT_S = 30
KEY = "0123456789abcdef" * 4
LANES = 4
INPUT_BYTES = 3 << 19
COPY = "copy,memory=256K"
DEVICES = ("acc", "copy0", "copy1")
RECORDS = {"ACCEPT": 5, "REFUSE": 6, "MEMORY_PAGES": 7, "MEMORY_END": 9, "DEVICE_DATA": 10,
           "DEVICE_END": 12, "ALL_SENT": 16, "INITIAL_DONE": 17, "PREPARED": 18,
           "COMMIT": 19, "RUNNING": 20, "RETURN": 21, "ABORT": 22}
HEADER_BYTES = 32
MASK = (1 << 64) - 1


def wait_until(what, done):
    """Until done() is true; a limit that only a hang reaches."""
    end = time.monotonic() + LIMIT_S
    while not done():
        assert time.monotonic() < end, "waited in vain: " + what
        time.sleep(0.005)


class Link:
    """Carries a migration stream; stops for good or for a while at a record."""

    def __init__(self, to, stop_at=None):
        self.to = to
        self.name = stop_at
        self.stop_at = RECORDS.get(stop_at)
        self.stopped = threading.Event()
        self.go = threading.Event()
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "tcp:127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        try:
            source = self.listener.accept()[0]
            host, port = self.to[len("tcp:"):].rsplit(":", 1)
            target = socket.create_connection((host, int(port)))
        except OSError:
            return
        self.sockets = [source, target]
        for one, other in ((source, target), (target, source)):
            threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    @staticmethod
    def _read(sock, count):
        data = bytearray()
        while len(data) < count:
            more = sock.recv(count - len(data))
            if not more:
                raise ConnectionError
            data += more
        return bytes(data)

    def _carry(self, one, other):
        try:
            while True:
                head = self._read(one, HEADER_BYTES)
                _, tag = struct.unpack_from("<IH", head)
                body = self._read(one, struct.unpack_from("<Q", head, 16)[0])
                if tag == self.stop_at and not self.go.is_set():
                    self.stopped.set()
                    self.go.wait()
                other.sendall(head + body)
        except OSError:
            try:
                other.shutdown(socket.SHUT_WR)
            except OSError:
                pass

    def reach(self):
        """Until the record is here."""
        assert self.stopped.wait(LIMIT_S), "the record never came"

    def release(self):
        """The record goes on."""
        self.go.set()

    def cut(self):
        """The connection breaks; what was held never arrives."""
        self.listener.close()
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.go.set()


class Watch:
    """Every event of a host, kept in order."""

    def __init__(self, path):
        self.control = Control(path)
        self.control.socket.settimeout(None)
        assert self.control.call("watch")["reply"] == "watch"
        self.queue = queue.Queue()
        self.phases = []
        self.over = False  # the migration's end, or the host's, was read
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self.control.file:
                self.queue.put(json.loads(line))
        except (OSError, ValueError):
            pass
        self.queue.put({"event": "gone"})

    def _take(self):
        event = self.queue.get(timeout=LIMIT_S)
        if event["event"] == "phase":
            self.phases.append(event["phase"])
        self.over |= event["event"] in ("finished", "undecided", "gone")
        return event

    def next(self, *kinds):
        """The next event of these kinds; notes the phases on the way."""
        while True:
            event = self._take()
            if event["event"] in kinds:
                return event
            assert event["event"] != "gone", "the host has gone"

    def until_phase(self, phase):
        """Return: 1 when the phase came, 0 when the migration ended without it."""
        while True:
            event = self.next("phase", "finished", "undecided")
            if event["event"] != "phase":
                return 0
            if event["phase"] == phase:
                return 1

    def reached(self):
        """Waits for the end of the migration; the last phase of the way forward."""
        while not self.over:
            self._take()
        forward = [p for p in self.phases if not p.startswith("BACK")
                   and p not in ("ENDED", "UNDECIDED")]
        return forward[-1] if forward else "?"

    def close(self):
        """No more events."""
        self.control.socket.shutdown(socket.SHUT_RDWR)


class KillRig(Rig):
    """A rig whose sides have a workload and can be killed piece by piece."""

    def __init__(self, ferry):
        super().__init__(ferry)
        self.key = KEY
        with open(self.path("input"), "wb") as file:
            file.write(os.urandom(INPUT_BYTES - 37))
        self.work_args = ("--work", self.path("input"), "--result", self.folder, "--lanes",
                          str(LANES), "--block", "16K", "--rate", "6M")

    def start_device(self, name, side, model=None):
        """A server of one device; model: with options."""
        if model is None:
            model = "acc" if name == "acc" else COPY
        self.start("%s-%s" % (name, side), "serve", model,
                   "--socket", self.path("%s-%s.sock" % (name, side)))

    def start_worker(self, side, *args, acc="acc", nic=None, host_args=None):
        """Devices and a host that can work; nic: the model with options."""
        devices = []
        models = {"acc": acc, "copy0": COPY, "copy1": COPY, "nic": nic}
        for name in DEVICES + (("nic",) if nic else ()):
            self.start_device(name, side, models[name])
            devices += ["--device", "%s=vfio-user:%s" %
                        (name, self.path("%s-%s.sock" % (name, side)))]
        if host_args is None:
            host_args = ("--peer", "copy0:copy1", *self.work_args)
        self.start("host-" + side, "host", *devices, *host_args,
                   "--memory", "4M", "--listen", "tcp:127.0.0.1:0", "--control",
                   self.path(side + ".sock"), *args)

    def begin(self, side):
        """The guest boots and has requests under way."""
        reply = self.control(side).call("work-start", key=KEY)
        assert reply.get("reply") == "work-start", reply
        self.proceed(side)

    def status(self, side):
        """What a host says of itself."""
        control = self.control(side)
        reply = control.call("status")
        control.socket.close()
        return reply

    def work(self, side):
        """The state of the work."""
        return self.status(side)["work"]

    def proceed(self, side):
        """The work of a side goes on: several requests more of every lane."""
        wait_until("work comes to " + side, lambda: self.work(side)["here"])
        begin = self.work(side)

        def further():
            work = self.work(side)
            assert work["phase"] != "failed", work["error"]
            return (work["bytes"] >= begin["bytes"] + 2 * LANES * 16384 and
                    frames_of(work) >= frames_of(begin) + (64 if "frames" in work else 0))

        wait_until("work at " + side, further)

    def kill(self, name, number=signal.SIGKILL):
        """Sends a signal; after SIGKILL the process has been reaped."""
        process = self.process[name]
        process.send_signal(number)
        if number == signal.SIGKILL:
            process.wait()
            del self.process[name]

    def drop_side(self, side):
        """Kills what is left of a side."""
        for name in [n for n in self.process if n.endswith("-" + side)]:
            self.kill(name)

    def address(self, side):
        """Where a side waits for a context."""
        wait_until(side + " listens", lambda: self.status(side)["address"])
        return self.status(side)["address"]

    def migrate_begin(self, side, address, *args):
        """`ferry migrate` in the background."""
        return subprocess.Popen(
            [self.ferry, "migrate", "--control", self.path(side + ".sock"), "--json", *args,
             address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    @staticmethod
    def migrate_end(process):
        """Its exit status, report and messages."""
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, json.loads(out) if out else None, err

    def migrate(self, side, address, *args):
        """`ferry migrate` to its end."""
        return self.migrate_end(self.migrate_begin(side, address, *args))

    def resolve(self, side, word):
        """`ferry resolve`; return: its exit status."""
        return self.run("resolve", "--control", self.path(side + ".sock"), word).returncode

    def finish(self, side):
        """Ends the work and verifies every pass of it. Return: its last state."""
        assert self.control(side).call("work-finish")["reply"] == "work-finish"

        def done():
            work = self.work(side)
            assert work["phase"] != "failed", work["error"]
            return work["phase"] == "done"

        wait_until("the end of the pass", done)
        work = self.work(side)
        assert work["lost"] == work["twice"] == work["interrupts_lost"] == 0, work
        assert work["submitted"] == work["completed"] == 3 * work["requests"], work
        assert work["passes"] >= 1
        self.verify(work["passes"])
        return work

    def verify(self, passes):
        """Every result decrypts to the input."""
        with open(self.path("input"), "rb") as file:
            data = file.read()
        files = sorted(glob.glob(self.path("pass-*.bin")))
        assert len(files) == passes, "%d files, %d passes" % (len(files), passes)
        whole = (-(-len(data) // LANES) + 15) // 16 * 16
        for number, path in enumerate(files):
            with open(path, "rb") as file:
                result = file.read()
            for lane in range(LANES):
                plain = data[lane * whole:(lane + 1) * whole]
                at = lane * (whole + 16)
                cipher = result[at:at + len(plain) + 16 - len(plain) % 16]
                done = subprocess.run(
                    ["openssl", "enc", "-d", "-aes-256-cbc", "-K", KEY, "-iv",
                     lane_iv(number, lane)], input=cipher, capture_output=True, check=False)
                assert done.returncode == 0 and done.stdout == plain, \
                    "pass %d, lane %d is not identical" % (number, lane)


def lane_iv(number, lane):
    """The initialisation vector that the guest uses (two steps of splitmix64)."""
    x, out = number << 32 | lane, b""
    for _ in range(2):
        x = (x + 0x9e3779b97f4a7c15) & MASK
        x = ((x ^ x >> 30) * 0xbf58476d1ce4e5b9) & MASK
        x = ((x ^ x >> 27) * 0x94d049bb133111eb) & MASK
        x ^= x >> 31
        out += struct.pack("<Q", x)
    return out.hex()


def frames_of(work):
    """Frames that the guest has back; 0 without a nic."""
    return work.get("frames", {"received": 0})["received"]


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def main_of(tests, ferry):
    """Runs tests that each make their own rig."""
    for test in tests:
        begin = time.monotonic()
        test(ferry)
        print("passed: %s (%.1f s)" % (test.__name__.replace("_", " "),
                                       time.monotonic() - begin), flush=True)
    return 0
