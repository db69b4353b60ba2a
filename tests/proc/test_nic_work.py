# SPDX-License-Identifier: BSD-3-Clause
"""The workload with a nic: numbered frames go out and come back while the guest moves.

Usage: test_nic_work.py FERRY
"""
import signal
import socket
import struct
import sys
import threading

from kill_rig import KillRig, Link, Watch, expect, main_of, wait_until

ECHO = "nic,net=echo"
IN_FLIGHT = 32  # of the workload, at most
MINE = b"\x88\xb5"  # the workload's EtherType


class Peer:
    """A switch with nothing but an echo behind it, at a UNIX socket in QEMU's framing.

    change: has a frame of the workload's and its number in the order that they came in;
    returns the frames that go back."""

    def __init__(self, path, change=lambda frame, number: [frame]):
        self.change = change
        self.ports = {}  # MAC address to the connection that it was last seen at
        self.count = 0
        self.lock = threading.Lock()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                port = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._serve, args=(port,), daemon=True).start()

    def _serve(self, port):
        file = port.makefile("rb")
        while True:
            try:
                head = file.read(4)
                frame = file.read(struct.unpack("!I", head)[0])
            except (OSError, struct.error):
                return
            with self.lock:
                self._take(port, frame)

    def _take(self, port, frame):
        self.ports[frame[6:12]] = port
        if frame[12:14] != MINE:
            return
        self.count += 1
        for back in self.change(frame, self.count):
            try:
                self.ports[back[0:6]].sendall(struct.pack("!I", len(back)) + back)
            except OSError:
                pass  # it has gone: the frame is lost


def wired(path):
    """The model's options for a nic that is plugged into a peer."""
    return "nic,net=stream:" + path


def move(rig, here, there):
    """One migration at work."""
    code, report, err = rig.migrate(here, rig.address(there))
    expect("exit status: " + err, code, 0)
    expect("outcome", report["outcome"], "MOVED")
    rig.proceed(there)


def no_frame_is_lost_changed_or_doubled_on_moves_to_and_fro(ferry):
    """What comes back while the device cannot give it away is carried."""
    with KillRig(ferry) as rig:
        for side in "AB":
            rig.start_worker(side, nic=ECHO)
        rig.begin("A")
        here, there = "A", "B"
        for _ in range(5):
            move(rig, here, there)
            here, there = there, here
        frames = rig.finish(here)["frames"]
        print("   ", frames)
        expect("lost, wrong, twice", [frames["lost"], frames["wrong"], frames["twice"]],
               [0, 0, 0])
        expect("all came back", frames["received"], frames["sent"])
        expect("announcements", frames["announced"], 5)


def a_stream_over_a_switch_follows_the_guest(ferry):
    """It learns where the guest is now; only what was under way can be lost."""
    with KillRig(ferry) as rig:
        peer = Peer(rig.path("switch"))
        for side in "AB":
            rig.start_worker(side, nic=wired(rig.path("switch")))
        rig.begin("A")
        here, there = "A", "B"
        for _ in range(3):
            move(rig, here, there)
            here, there = there, here
        frames = rig.finish(here)["frames"]
        print("   ", frames)
        expect("wrong, twice", [frames["wrong"], frames["twice"]], [0, 0])
        expect("sent", frames["received"] + frames["lost"], frames["sent"])
        assert frames["lost"] <= 3 * IN_FLIGHT, frames
        assert peer.count >= frames["received"], (peer.count, frames)


def a_source_whose_target_dies_goes_on_with_its_frames(ferry):
    """Before and after the device stopped."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", nic=ECHO)
        rig.begin("A")
        for number, (phase, record) in enumerate((("PRE_COPY", "ALL_SENT"),
                                                  ("TRANSFER", "ALL_SENT"),
                                                  ("PREPARE", "PREPARED"))):
            side = "T%d" % number
            rig.start_worker(side, nic=ECHO)
            watch = Watch(rig.path("A.sock"))
            link = Link(rig.address(side), record)
            process = rig.migrate_begin("A", link.address, *(
                ("--max-downtime", "1") if phase == "PRE_COPY" else
                ("--stop-deadline", "500")))
            if phase == "PREPARE":
                link.reach()
            else:
                watch.until_phase(phase)
            rig.drop_side(side)
            code, _, err = rig.migrate_end(process)
            watch.close()
            link.cut()
            expect("%s: %s" % (phase, err), code, 4)
            rig.proceed("A")
        frames = rig.finish("A")["frames"]
        print("   ", frames)
        expect("lost, wrong, twice", [frames["lost"], frames["wrong"], frames["twice"]],
               [0, 0, 0])


def a_killed_nic_fails_its_context_alone(ferry):
    """The guest is gone with its device; the peer serves the next one."""
    with KillRig(ferry) as rig:
        Peer(rig.path("switch"))
        rig.start_worker("A", nic=wired(rig.path("switch")))
        rig.begin("A")
        rig.kill("nic-A", signal.SIGKILL)
        rig.start_worker("B", nic=wired(rig.path("switch")))
        rig.begin("B")
        expect("lost", rig.finish("B")["frames"]["lost"], 0)


def faults_of_the_wire_show(ferry):
    """What the workload says of its frames can fail: each fault of a peer is seen."""
    def every_hundredth(what):
        return lambda frame, number: what(frame) if number % 100 == 0 else [frame]

    def changed(frame):
        return [frame[:-1] + bytes([frame[-1] ^ 1])]

    for what, text in ((lambda frame: [frame, frame], "twice"), (changed, "changed"),
                       (lambda frame: [frame[:-1]], "changed")):
        with KillRig(ferry) as rig:
            Peer(rig.path("switch"), every_hundredth(what))
            rig.start_worker("A", nic=wired(rig.path("switch")))
            assert rig.control("A").call("work-start", key=rig.key)["reply"]
            wait_until("a failure", lambda r=rig: r.work("A")["phase"] == "failed")
            assert text in rig.work("A")["error"], rig.work("A")["error"]
    with KillRig(ferry) as rig:
        Peer(rig.path("switch"), every_hundredth(lambda frame: []))
        rig.start_worker("A", nic=wired(rig.path("switch")))
        rig.begin("A")
        rig.proceed("A")
        frames = rig.finish("A")["frames"]
        expect("sent", frames["received"] + frames["lost"], frames["sent"])
        expect("lost", frames["lost"], frames["sent"] // 100)
        expect("wrong, twice", [frames["wrong"], frames["twice"]], [0, 0])


if __name__ == "__main__":
    sys.exit(main_of([no_frame_is_lost_changed_or_doubled_on_moves_to_and_fro,
                      a_stream_over_a_switch_follows_the_guest,
                      a_source_whose_target_dies_goes_on_with_its_frames,
                      a_killed_nic_fails_its_context_alone,
                      faults_of_the_wire_show], sys.argv[1]))
