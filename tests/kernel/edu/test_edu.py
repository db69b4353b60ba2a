# SPDX-License-Identifier: BSD-3-Clause
"""What runs in the virtual machine with QEMU's edu, over the fixture of the checker's tests and
the bridge in place of the kernel.

Usage: test_edu.py FERRY BRIDGE EDU_SERVE EDU_LIVE
"""
import json
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "../../kernel-backend"))
# pylint: disable=wrong-import-position
import kernel_rig
from kill_rig import expect

SERVER_S = 10
CHECKS = ("data.once*", "dma.goes-on*", "irq.later*", "cancel.work*", "log.complete*", "log.last*")


class EduRig(kernel_rig.KernelRig):
    """Devices of the fixture."""

    def __init__(self, ferry, bridge, serve):
        super().__init__(ferry, bridge)
        self.program = serve
        kernel_rig.IDS.setdefault("edu", (0x1234, 0x11e8))

    def edu(self, *options, **token):
        """Serves one; token: options of its token. Return: its folder."""
        path = self.path("%d.sock" % len(self.device))
        name = "edu%d" % len(self.device)
        # pylint: disable-next=consider-using-with
        self.process[name] = subprocess.Popen([self.program, path, *options])
        end = time.monotonic() + SERVER_S
        while not os.path.exists(path):
            assert time.monotonic() < end, "the fixture is not served"
            time.sleep(0.01)
        return self.add(path, "edu", **token).folder


def the_checker_finds_its_driver_and_nothing_else(ferry, bridge, serve, _):
    """By the identity in config space; the driver that fills the buffer is taken by name."""
    with EduRig(ferry, bridge, serve) as rig:
        for scheme, more in (("vfio:", []), ("vfio-group:", ["--driver", "edu-buffer"])):
            uri, other = scheme + rig.edu(), scheme + rig.edu()
            names = [word for name in CHECKS for word in ("--check", name)]
            done = rig.on("check", "--json", *names, "--partner", other, *more, uri,
                          timeout=60)
            expect("exit status: " + done.stderr, done.returncode, 0)
            report = json.loads(done.stdout)
            expect("driver", report["device"]["driver"], more[-1] if more else "edu")
            assert len([r for r in report["results"] if r["verdict"] == "pass"]) > 30


def a_guest_moves_with_a_transfer_under_way(ferry, bridge, serve, live):
    """To and fro, over a connection and a file."""
    with EduRig(ferry, bridge, serve) as rig:
        here, there = (rig.edu("slices=20000") for _ in range(2))
        for args in (["--exact", "vfio:" + here, "vfio-group:" + there],
                     ["--fill", "--file", rig.path("state"), "vfio:" + here, "vfio:" + there]):
            done = rig.execute(live, *args)
            expect("exit status: " + done.stderr, done.returncode, 0)
            assert "moved under-way 1" in done.stdout, done.stdout


def what_a_device_loses_is_seen(ferry, bridge, serve, live):
    """The test itself."""
    for fault in ("drops", "forgets", "quiet"):
        with EduRig(ferry, bridge, serve) as rig:
            here, there = (rig.edu("slices=20000", "fault=" + fault) for _ in range(2))
            done = rig.execute(live, "--fill", "--moves", "3", "vfio:" + here, "vfio:" + there)
            expect(fault + ": " + done.stderr, done.returncode, 1)


def what_hangs_kernels_is_sent_only_when_it_is_forced(ferry, bridge, serve, _):
    """From STOP_COPY back to pre-copy: the bridge, which is the kernel here, hears of it or not."""
    refused = "FEATURE 2, flags 0x20000: -22"
    with EduRig(ferry, bridge, serve) as rig:
        for scheme in ("vfio:", "vfio-group:"):
            uri = scheme + rig.edu(trace=1)
            done = rig.on("check", "--check", "arc.back", uri)
            assert done.returncode == 0 and refused not in done.stderr, done.stderr
            done = rig.on("check", "--check", "arc.back", "--force", uri)
            assert done.returncode == 0 and done.stderr.count(refused) == 2, done.stderr


if __name__ == "__main__":
    sys.exit(kernel_rig.main_of((the_checker_finds_its_driver_and_nothing_else,
                                 what_hangs_kernels_is_sent_only_when_it_is_forced,
                                 a_guest_moves_with_a_transfer_under_way,
                                 what_a_device_loses_is_seen), sys.argv[1:]))
