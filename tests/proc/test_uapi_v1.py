# SPDX-License-Identifier: BSD-3-Clause
"""The workload on devices with version 1 of the uAPI: one device reaches another's memory,
they move to and from devices of both versions, and through files.

Usage: test_uapi_v1.py FERRY
"""
import json
import sys

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


if __name__ == "__main__":
    sys.exit(main_of([work_moves_between_devices_of_version_1, work_moves_between_the_versions,
                      work_goes_through_files_of_both_versions, info_tells_the_version],
                     sys.argv[1]))
