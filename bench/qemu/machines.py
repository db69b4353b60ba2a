# SPDX-License-Identifier: BSD-3-Clause
"""The QEMU tests' rig with what is measured in it: large devices, an idle guest, the floor."""
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../tests/qemu/bridge"))
import bridge_move as move  # noqa: E402 pylint: disable=wrong-import-position
import bridge_rig  # noqa: E402 pylint: disable=wrong-import-position

MIB = 1 << 20
KINDS = ("unix", "tcp")
LIMIT_MS = 300  # QEMU's own default of downtime-limit
# Memory that may be left when the guest is stopped, besides the device's state.
SLACK_BYTES = MIB
# Touched: a page that comes into being while it is looked at costs more than the look.
MEMORY = ("-m", "128", "-object",
          "memory-backend-memfd,id=ram,size=128M,share=on,prealloc=on",
          "-machine", "memory-backend=ram")

# An option ROM, so that the guest needs no disk: the BIOS comes here and never gets further.
# Its timer wakes the processor a thousand times a second, and each time it says so on COM2.
IDLE_ROM = bytes.fromhex(
    "55aa01"      # signature, size of 512 bytes
    "b034e643"    # mov al,0x34; out 0x43,al   timer 0, rate generator
    "b0a9e640"    # mov al,0xa9; out 0x40,al   1193182 Hz / 1193
    "b004e640"    # mov al,0x04; out 0x40,al
    "baf802"      # mov dx,0x2f8               COM2
    "fb"          # sti
    "f4"          # again: hlt
    "b00aee"      # mov al,10; out dx,al       a line
    "ebfa")       # jmp again

# In the place of `ferry`, for a machine without devices: QEMU's words alone.
PLAIN = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
"""


def write_rom(path):
    """An option ROM's bytes sum up to 0."""
    image = IDLE_ROM.ljust(511, b"\0")
    with open(path, "wb") as file:
        file.write(image + bytes([-sum(image) % 256]))


class Chain:
    """The floor: bare processes that relay so many bytes over the hops that a move has."""

    def __init__(self, program, size, kind):
        self.process = subprocess.Popen([program, str(size), kind], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)

    def run(self):
        """Milliseconds of one run."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline()) / 1e6

    def close(self):
        """Ends it."""
        self.process.stdin.close()
        self.process.wait()


class Rig(bridge_rig.Rig):
    """The tests' rig with more to start."""

    def __init__(self):
        def built(name):
            return os.path.join(os.environ["FERRY_BENCH_BUILD"], name)

        cache = os.environ["FERRY_BENCH_QEMU"]
        init = built("tests/qemu/guest_init")
        bridge = built("src/bridge/libferry-bridge.so")
        for path in (os.path.join(cache, "guest/vmlinux"), init, bridge):
            if not os.path.exists(path):
                sys.exit(f"there is no {path or 'cache'}: `make bench-qemu` prepares everything")
        super().__init__(os.environ.get("FERRY", built("src/cli/ferry")), cache, init, "", bridge,
                         built("libferry.so.0"))
        self.state_server = built("bench/qemu/qemu_state_server")
        self.bare_chain = built("bench/qemu/qemu_bare_chain")
        self.net_peer = built("tests/qemu/net_peer")
        self.count = 0
        write_rom(self.path("idle.rom"))
        with open(self.path("plain"), "w", encoding="utf-8") as file:
            file.write(PLAIN)
            os.fchmod(file.fileno(), 0o755)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.close(kind is not None)

    def serve_state(self, name, size, flags, percent=0):
        """A server of a device of that many bytes, all of them touched."""
        read_end, write_end = os.pipe()
        with open(self.path(name + ".server.log"), "ab") as log:
            self.server[name] = subprocess.Popen(
                [self.state_server, self.path(name), str(size), flags, str(percent),
                 str(write_end)],
                pass_fds=[write_end], stdout=log, stderr=log,
                preexec_fn=bridge_rig.before_exec)
        os.close(write_end)
        ready = os.read(read_end, 16)
        os.close(read_end)
        assert ready == b"ready\n", name + " is not ready"

    def idle(self, server, version, incoming=False, args=(), options=()):
        """A machine that does nothing but say so each millisecond."""
        self.count += 1
        name = f"vm{self.count}"
        words = ["--log", self.path(name + ".bridge.log"), *options,
                 *self.words([server] if server else [])]
        more = ["-machine", "q35", *MEMORY, "-option-rom", self.path("idle.rom"), *args]
        ferry = self.ferry
        self.ferry = ferry if server else self.path("plain")
        try:
            vm = bridge_rig.Vm(self, name, version, words,
                               more + (["-incoming", "defer"] if incoming else []))
        finally:
            self.ferry = ferry
        vm.waits = False
        self.machine.append(vm)
        return vm.greet()

    def beats(self, vm, count=20):
        """Waits until the guest has said so many times that it runs."""
        self.wait(lambda: len(vm.beats.line) >= count, "the guest does not run", every=0.01)


def stamp(vm, name):
    """When an event was sent, in milliseconds."""
    vm.call("query-status")
    found = [event["timestamp"] for event in vm.event if event["event"] == name]
    return found[-1]["seconds"] * 1e3 + found[-1]["microseconds"] / 1e3


def threads(pid):
    """Milliseconds on a processor of each thread of a process, by name and number."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{thread}/comm", encoding="utf-8") as file:
                name = file.read().strip()
            with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="utf-8") as file:
                found[name, thread] = int(file.read().split()[0]) / 1e6
        except OSError:
            pass  # it has ended
    return found


class Guest:
    """An idle guest that goes back and forth; size: of its device's state, 0: it has none."""

    def __init__(self, rig, version, size, flags="stop", percent=0, args=(), options=()):
        self.rig = rig
        self.version = version
        self.size = size
        self.flags = flags
        self.how = {"args": args, "options": options}
        self.servers = [None, None]
        for side in range(2 if size > 0 else 0):
            name = f"{flags}{rig.count}{side}"
            rig.serve_state(name, size, flags, percent)
            self.servers[side] = name
        self.at = rig.idle(self.servers[0], version, **self.how)
        rig.beats(self.at)

    def close(self):
        """Ends it and its servers."""
        self.at.kill()
        for name in filter(None, self.servers):
            self.rig.end_server(name)

    def parameters(self):
        """QEMU stops the guest when the rest fits into the limit at this bandwidth."""
        rest = SLACK_BYTES + (self.size if self.flags == "stop" else 0) * 1.02
        return {"downtime_limit": LIMIT_MS,
                "avail_switchover_bandwidth": int(rest * 1000 / LIMIT_MS)}

    def over(self, target, limit):
        """How the migration ended; None when it did not within the limit, and is cancelled."""
        end = time.monotonic() + limit
        while time.monotonic() < end:
            info = self.at.call("query-migrate")
            if info.get("status") in bridge_rig.MIGRATION_OVER:
                assert info["status"] == "completed", info
                return info
            time.sleep(0.05)
        self.at.call("migrate_cancel")
        move.over(self.at)
        target.kill()
        return None

    def move(self, kind="unix", limit=bridge_rig.MOVE_S, **how):
        """One move: milliseconds of `downtime` as QEMU says, `seen` from the guest's last work
        to its first, `stopped` between QEMU's own events, `total`. None: it has not ended within
        so many seconds, and the guest goes on where it was."""
        source = self.at
        here, there = self.servers
        if there:
            self.rig.wait(lambda: self.rig.info(there), "the server stays busy")
        target = self.rig.idle(there, self.version, incoming=True, **self.how)
        how = {**self.parameters(), **how}
        move.begin(source, move.listen(self.rig, target, kind, **how), **how)
        info = self.over(target, limit)
        if info is None:
            return None
        self.rig.beats(target)
        seen = (target.beats.line[0][0] - source.beats.line[-1][0]) * 1e3
        stopped = stamp(target, "RESUME") - stamp(source, "STOP")
        assert info.get("vfio", {}).get("transferred", 0) >= self.size, info
        self.rig.end(source)
        self.at = target
        self.servers = [there, here]
        return {"downtime": info["downtime"], "seen": seen, "stopped": stopped,
                "total": info["total-time"]}
