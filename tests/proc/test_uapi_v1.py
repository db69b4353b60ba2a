# SPDX-License-Identifier: BSD-3-Clause
"""The workload on devices with version 1 of the uAPI: one device reaches another's memory,
they move to and from devices of both versions, and through files.

Usage: test_uapi_v1.py FERRY
"""
import json
import socket
import sys
import threading

from kill_rig import COPY, KillRig, expect, main_of


class V1Rig(KillRig):
    """Sides whose devices are served with a version of the uAPI."""

    def __init__(self, ferry, **uapi):
        super().__init__(ferry)
        self.uapi = uapi

    def start_device(self, name, side, acc="acc"):
        self.start("%s-%s" % (name, side), "serve", acc if name == "acc" else COPY,
                   "--uapi", self.uapi[side], "--socket",
                   self.path("%s-%s.sock" % (name, side)))

    def start_all(self):
        """The sides, and the work on the first one."""
        for side in self.uapi:
            self.start_worker(side)
        self.begin(min(self.uapi))

    def move(self, here, there):
        """To another side, where the work goes on."""
        code, report, err = self.migrate(here, self.address(there))
        expect("exit status, %s to %s: %s" % (self.uapi[here], self.uapi[there], err), code, 0)
        expect("outcome", report["outcome"], "MOVED")
        self.proceed(there)


def work_moves_between_devices_of_version_1(ferry):
    """Registers with trapped data, and with data that are mapped."""
    with V1Rig(ferry, A="v1", B="v1:partitioned") as rig:
        rig.start_all()
        for here, there in ("AB", "BA", "AB"):
            rig.move(here, there)
        rig.finish("B")


def work_moves_between_the_versions(ferry):
    """Both ways, with the same devices."""
    with V1Rig(ferry, A="v1:mmap", B="v2") as rig:
        rig.start_all()
        for here, there in ("AB", "BA", "AB"):
            rig.move(here, there)
        rig.finish("B")


def work_goes_through_files_of_both_versions(ferry):
    """Saved from version 1 into version 2, and back."""
    with V1Rig(ferry, A="v1", B="v2") as rig:
        rig.start_all()
        for here, there, chunks in (("A", "B", True), ("B", "A", False)):
            done = rig.run("save", "--control", rig.path(here + ".sock"), "--stop",
                           "--compress", rig.path("state"))
            expect("save: " + done.stderr, done.returncode, 0)
            shown = rig.run("show", "--json", rig.path("state"))
            records = [json.loads(line) for line in shown.stdout.splitlines()][:-1]
            data = [r for r in records if r["tag"] == "DEVICE_DATA"]
            expect("transactions", {bool(r["flags"] & 2) for r in data}, {chunks})
            expect("devices of version 1", len([r for r in records if r["tag"] == "HELLO_V1"]),
                   3 if chunks else 0)
            done = rig.run("restore", "--control", rig.path(there + ".sock"),
                           rig.path("state"))
            expect("restore: " + done.stderr, done.returncode, 0)
            rig.proceed(there)
        rig.finish("A")


def info_tells_the_version(ferry):
    """Of a device, in both forms of its output."""
    with V1Rig(ferry, A="v1") as rig:
        rig.start_device("copy0", "A")
        uri = "vfio-user:" + rig.path("copy0-A.sock")
        migration = json.loads(rig.run("info", "--json", uri).stdout)["migration"]
        expect("version", migration["uapi"], 1)
        expect("pre-copy", migration["pre_copy"], True)
        assert "(uAPI v1)" in rig.run("info", uri).stdout


def silent_about_transactions(path, server):
    """A socket before a server, whose device says nothing of any_chunks there: it is one that
    takes its own transactions only. Descriptors do not pass."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def carry(source, sink):
        while data := source.recv(65536):
            # A member that nobody knows is ignored.
            sink.sendall(data.replace(b'"any_chunks"', b'"any_chunkz"'))
        sink.shutdown(socket.SHUT_WR)

    def serve():
        while True:
            user, device = listener.accept()[0], socket.socket(socket.AF_UNIX)
            device.connect(server)
            for ends in ((user, device), (device, user)):
                threading.Thread(target=carry, args=ends, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def info_tells_what_takes_its_own_transactions_only(ferry):
    """Before a migration would: such a device takes nothing that uAPI v2 saved."""
    with V1Rig(ferry, A="v1", B="v2", C="v1") as rig:
        for side in "ABC":
            rig.start_device("copy0", side)
        uri = {side: "vfio-user:" + rig.path("copy0-%s.sock" % side) for side in "ABC"}
        silent_about_transactions(rig.path("silent"), rig.path("copy0-A.sock"))
        silent = "vfio-user:" + rig.path("silent")
        migration = json.loads(rig.run("info", "--json", silent).stdout)["migration"]
        expect("any_chunks", migration["any_chunks"], False)
        assert "of uAPI v1 only" in rig.run("info", silent).stdout
        done = rig.run("info", uri["B"], "--to", silent)
        expect("from v2: " + done.stderr, done.returncode, 3)
        assert "transactions" in done.stdout, done.stdout
        expect("from v1", rig.run("info", uri["C"], "--to", silent).returncode, 0)
        expect("from v2 to what takes any",
               rig.run("info", uri["B"], "--to", uri["C"]).returncode, 0)


if __name__ == "__main__":
    sys.exit(main_of([work_moves_between_devices_of_version_1, work_moves_between_the_versions,
                      work_goes_through_files_of_both_versions, info_tells_the_version,
                      info_tells_what_takes_its_own_transactions_only],
                     sys.argv[1]))
