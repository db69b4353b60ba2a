# SPDX-License-Identifier: BSD-3-Clause
"""Live migrations of the rig's guests by plain QMP, and the ways in which they end."""
import os
import select
import socket
import threading
import time

from bridge_rig import (DOWNTIME_MS, HELD_BYTES_S, MIGRATION_OVER, MOVE_S, SWITCHOVER_BYTES_S,
                        Rig)
import qemu_rig

CHANNELS = 4
# Of a QEMU without avail-switchover-bandwidth: less than a guest that churns writes.
HELD_MS = 1
HELD_MAX_BYTES_S = 64 << 20
CHUNK = 1 << 18
SENT_BYTES = 1 << 20
RETRY_S = 0.05
# A target that has not taken a guest over; "paused" is for its manager to decide.
NOT_RUNNING = (None, "inmigrate", "paused", "prelaunch")


def configure(vm, multifd=False, hold=False, one_way=False, capabilities=(), **parameters):
    """Capabilities and parameters of both sides. hold: the guest is not stopped yet."""
    # With a return path the source knows that the target has everything.
    on = ["events", *([] if one_way else ["return-path"]), *capabilities,
          *(["multifd"] if multifd else [])]
    vm.call("migrate-set-capabilities",
            capabilities=[{"capability": name, "state": name in on} for name in
                          sorted({*on, "multifd", "return-path", "pause-before-switchover",
                                  *([] if vm.is_old else ["switchover-ack"])})])
    wanted = {"downtime-limit": DOWNTIME_MS, "multifd-channels": CHANNELS,
              "max-bandwidth": 0}
    if not vm.is_old:
        wanted["avail-switchover-bandwidth"] = HELD_BYTES_S if hold else SWITCHOVER_BYTES_S
    wanted.update({name.replace("_", "-"): value for name, value in parameters.items()})
    if vm.is_old and hold:
        wanted.update({"downtime-limit": HELD_MS, "max-bandwidth": HELD_MAX_BYTES_S})
    vm.call("migrate-set-parameters", **wanted)


def listen(rig, target, kind="unix", **how):
    """The target waits; returns the URI for the source."""
    configure(target, **how)
    if kind == "unix":
        uri = "unix:" + rig.path(target.name + ".migrate")
        target.call("migrate-incoming", uri=uri)
        return uri
    target.call("migrate-incoming", uri="tcp:127.0.0.1:0")
    where = target.call("query-migrate")["socket-address"][0]
    return f"tcp:{where['host']}:{where['port']}"


def churn(source):
    """The guest writes more memory than a held migration sends.

    QEMU 7.2 cannot be told how much it sends in the end; a guest that does little is stopped
    when all has been sent once.
    """
    try:
        source.guest("churn start")
    except qemu_rig.Failed:
        pass  # it does, from the migration before


def begin(source, uri, **how):
    """The source begins to send."""
    if source.is_old and how.get("hold"):
        churn(source)
    configure(source, **how)
    source.event = [event for event in source.event if event["event"] != "MIGRATION"]
    reply = source.ask("migrate", uri=uri)
    # QEMU says that a migration has failed before it has cleaned up after it.
    while "duplicate yank instance" in reply.get("desc", ""):
        time.sleep(RETRY_S)
        reply = source.ask("migrate", uri=uri)
    assert "desc" not in reply, reply


def held(source):
    """Waits until all memory has been sent once while the guest runs on."""
    def sent():
        info = source.call("query-migrate")
        assert info["status"] not in MIGRATION_OVER, info
        ram = info.get("ram", {"transferred": 0})
        # QEMU 10.0 does not look for dirty memory while a device has data.
        return info["status"] == "active" and ram["transferred"] > SENT_BYTES and (
            ram["dirty-sync-count"] >= 2 or ram["remaining"] == 0)

    Rig.wait(sent, "the memory is not sent")


def release(source):
    """A held migration may stop the guest now."""
    if source.is_old:
        source.call("migrate-set-parameters",
                    **{"downtime-limit": DOWNTIME_MS, "max-bandwidth": 0})
        return
    source.call("migrate-set-parameters",
                **{"avail-switchover-bandwidth": SWITCHOVER_BYTES_S})


def over(source):
    """Waits for the end of a migration: what query-migrate says."""
    def look():
        info = source.call("query-migrate")
        return info if info.get("status") in MIGRATION_OVER else None

    return Rig.wait(look, "the migration does not end", MOVE_S)


def statuses(source):
    """The states that the migration went through, as its events told."""
    source.call("query-status")
    return [event["data"]["status"] for event in source.event
            if event["event"] == "MIGRATION"]


def state_bytes(info):
    """Bytes of devices' state that were sent; QEMU 7.2 does not tell."""
    return info.get("vfio", {}).get("transferred", 0)


def moved(source, target, vfio=True):
    """The guest is at the target and nowhere else; the source is ended. vfio: with devices."""
    info = over(source)
    assert info["status"] == "completed", info
    Rig.wait(lambda: target.call("query-migrate").get("status") == "completed",
             "the target does not complete")
    if target.waits:  # as a manager does when it knows that the source is over
        Rig.wait(lambda: target.status() == "paused", "the target is not ready")
        target.call("cont")
    Rig.wait(lambda: target.status() == "running", "the target does not run")
    assert source.status() == "postmigrate", source.status()
    assert not vfio or source.is_old or state_bytes(info) > 0, info
    assert source.end() == 0
    return info


def stayed(source, target, *work, status=("failed",)):
    """The migration failed as it should; the guest works on at the source, only there."""
    info = over(source)
    assert info["status"] in status, info
    Rig.wait(lambda: source.status() == "running", "the source does not run")
    if target is not None:
        assert target.gone(0) or target.status() in NOT_RUNNING, target.status()
        target.kill()
    Rig.goes_on(source, *work)
    return info


def move(rig, source, target, kind="unix", **how):
    """A whole migration."""
    begin(source, listen(rig, target, kind, **how), **how)
    return moved(source, target)


class Relay:
    """Stands in the way of a migration, and breaks off when it is told or after bytes."""

    def __init__(self, rig, name, uri, cut_after=None):
        self.target = uri
        self.left = cut_after
        self.passed = 0
        self.lock = threading.Lock()
        self.sockets = []
        self.over = False
        self.listener = socket.socket(socket.AF_UNIX)
        self.path = rig.path(name + ".relay")
        self.listener.bind(self.path)
        self.listener.listen(16)
        self.uri = "unix:" + self.path
        rig.relay.append(self)
        threading.Thread(target=self.accept, daemon=True).start()

    def connect(self):
        """A connection to the target."""
        kind, _, place = self.target.partition(":")
        if kind == "unix":
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(place)
        else:
            host, port = place.split(":")
            sock = socket.create_connection((host, int(port)))
        return sock

    def accept(self):
        """Takes connections of the source."""
        try:
            while not self.over:
                near, _ = self.listener.accept()
                far = self.connect()
                with self.lock:
                    if self.over:
                        return
                    self.sockets += [near, far]
                threading.Thread(target=self.pump, args=(near, far), daemon=True).start()
        except OSError:
            pass

    def allowed(self, count):
        """How many of these bytes may pass to the target."""
        with self.lock:
            self.passed += count
            if self.left is None:
                return count
            count = min(count, self.left)
            self.left -= count
            return count

    def pump(self, near, far):
        """Passes on what comes, both ways."""
        speaking = [near, far]
        try:
            while speaking and not self.over:
                for sock in select.select(speaking, [], [], 1)[0]:
                    data = sock.recv(CHUNK)
                    other = far if sock is near else near
                    if not data:
                        speaking.remove(sock)
                        other.shutdown(socket.SHUT_WR)
                        continue
                    allowed = self.allowed(len(data)) if sock is near else len(data)
                    other.sendall(data[:allowed])
                    if allowed < len(data):
                        self.cut()
        except (OSError, ValueError):
            self.cut()

    def cut_in(self, count):
        """The link breaks after so many bytes more."""
        with self.lock:
            self.left = count

    def cut(self):
        """The link breaks."""
        with self.lock:
            if self.over:
                return
            self.over = True
            os.remove(self.path)
            self.listener.close()
            for sock in self.sockets:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
