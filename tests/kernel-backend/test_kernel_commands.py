# SPDX-License-Identifier: BSD-3-Clause
"""Ferry's commands on devices of the kernel's.

Usage: test_kernel_commands.py FERRY BRIDGE WAIVERS WAIVERS_V1 [CHECK...]
CHECK: options of ferry check, to check less.
"""
import json
import sys

from kernel_rig import KernelRig, main_of
from kill_rig import expect

COPY = "copy,memory=256K"


def must(done, code=0):
    """A command that must end so; return: what it printed."""
    expect("exit status of %s: %s" % (done.args[1:], done.stderr), done.returncode, code)
    return done.stdout


def info_tells_what_there_is(ferry, bridge, *_):
    """By each way to the device, and of each version."""
    with KernelRig(ferry, bridge) as rig:
        new, old = rig.serve(COPY).folder, rig.serve(COPY, uapi="v1").folder
        seen = {uri: json.loads(must(rig.on("info", "--json", uri))) for uri in
                ("vfio:" + new, "vfio-group:" + new, "vfio-group:" + old)}
        for uri, info in seen.items():
            expect("pci of " + uri, info["identity"]["pci"], "fe44:0c0f")
            expect("irqs", info["irqs"], {"INTx": 0, "MSI": 0, "MSI-X": 4, "ERR": 1, "REQ": 1})
            expect("regions", [(r["name"], r["size"], r["mmap"]) for r in info["regions"]],
                   [("BAR0", 16384, False), ("BAR2", 262144, True), ("BAR4", 8192, False),
                    ("config", 4096, False)])
            v1 = uri == "vfio-group:" + old
            expect("version", info["migration"]["uapi"], 1 if v1 else 2)
            expect("features", [info["migration"][name] for name in
                                ("stop_copy", "p2p", "pre_copy", "dirty_log")],
                   [True, not v1, True, True])
            expect("hindrances", info["migration"]["hindrances"], [])
        assert "yes" in must(rig.on("info", "vfio:" + new, "--to", "vfio-group:" +
                                    rig.serve(COPY).folder))
        must(rig.on("info", "vfio:" + new, "--to", "vfio:" + rig.serve("acc").folder), 3)


def devices_go_through_a_file(ferry, bridge, *_):
    """Saved, shown and restored, by the same way or another; a damaged file touches nothing."""
    with KernelRig(ferry, bridge) as rig:
        for model in ("copy,memory=256K", "acc", "nic"):
            there, here = (rig.serve(model).folder for _ in range(2))
            path = rig.path(model[:4])
            report = json.loads(must(rig.on("save", "--json", "--device", "d=vfio:" + there,
                                            path)))
            expect("outcome", report["outcome"], "SAVED")
            expect("state", report["devices"][0]["state"], "RUNNING")
            last = json.loads(must(rig.run("show", "--json", path)).splitlines()[-1])
            expect("devices", list(last["summary"]["devices"]), ["d"])
            report = json.loads(must(rig.on("restore", "--json", "--device",
                                            "d=vfio-group:" + here, path)))
            expect("outcome", report["outcome"], "MOVED")
            with open(path, "r+b") as file:
                file.seek(-200, 2)
                file.write(b"\xff")
            must(rig.on("restore", "--device", "d=vfio:" + here, path), 3)
            must(rig.on("info", "vfio:" + here))
        old = "d=vfio-group:" + rig.serve(COPY, uapi="v1").folder
        must(rig.on("save", "--device", old, rig.path("v1")))
        must(rig.on("restore", "--device", old, rig.path("v1")))


def check(rig, waivers, uri, partner, *less):
    """ferry check must find nothing but what is waived. Return: cases that passed."""
    done = rig.on("check", "--json", "--waive", waivers, "--partner", partner, *less, uri,
                  timeout=60)
    summary = json.loads(must(done))["summary"]
    expect("failed", [summary[p]["failed"] for p in ("required", "expected", "recommended")],
           [0, 0, 0])
    return summary["required"]["passed"]


def check_finds_nothing(ferry, bridge, waivers, waivers_v1, *less):
    """But what the bridge's own form of a device's data explains; a planted defect is seen."""
    with KernelRig(ferry, bridge) as rig:
        one, two = (rig.serve(COPY).folder for _ in range(2))
        assert check(rig, waivers, "vfio:" + one, "vfio:" + two, *less) > 50
        # What else there is to a group is memory and what was written to it.
        assert check(rig, waivers, "vfio-group:" + one, "vfio-group:" + two, "--check", "log.*",
                     "--check", "access.map", "--check", "re*.map", "--check", "irq.set") > 20
        one, two = ("vfio-group:" + rig.serve(COPY, uapi="v1").folder for _ in range(2))
        assert check(rig, waivers_v1, one, two, *less) > 20
        done = rig.on("check", "--json", "--check", "arc.legal",
                      "vfio:" + rig.serve(COPY, "--filter", "error=stop_copy:EIO@1").folder)
        expect("a planted defect: " + done.stderr, done.returncode, 10)


if __name__ == "__main__":
    sys.exit(main_of((info_tells_what_there_is, devices_go_through_a_file, check_finds_nothing),
                     sys.argv[1:]))
