# SPDX-License-Identifier: BSD-3-Clause
"""Guests at work on devices of the kernel's move between hosts, live and through files.

Usage: test_kernel_work.py FERRY BRIDGE
"""
import sys

from kernel_rig import WorkRig, main_of
from kill_rig import expect


def move(rig, here, there):
    """To another side, where the work goes on."""
    code, report, err = rig.migrate(here, rig.address(there))
    expect("exit status: " + err, code, 0)
    expect("outcome", report["outcome"], "MOVED")
    rig.proceed(there)
    return report


def work_moves_to_and_fro(ferry, bridge):
    """Over character devices: three devices, one of which reaches another's memory, and a nic."""
    with WorkRig(ferry, bridge) as rig:
        rig.start_worker("A", nic="nic,net=echo")
        rig.start_worker("B", nic="nic,net=echo")
        rig.begin("A")
        for here, there in ("AB", "BA", "AB"):
            move(rig, here, there)
        rig.finish("B")


def work_moves_by_groups(ferry, bridge):
    """And from one to a character device."""
    with WorkRig(ferry, bridge, scheme="vfio-group:") as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        for here, there in ("AB", "BA"):
            move(rig, here, there)
        rig.scheme = "vfio:"
        rig.start_worker("C")
        move(rig, "A", "C")
        rig.finish("C")


def a_peer_without_a_state_for_it_is_refused(ferry, bridge):
    """uAPI v1 has none, so nobody can stop two devices that reach each other."""
    with WorkRig(ferry, bridge, scheme="vfio-group:", uapi="v1") as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 3)
        assert "copy0" in err and "P2P" in err, err
        rig.proceed("A")
        rig.finish("A")


def work_goes_through_a_file(ferry, bridge):
    """Saved, shown and restored elsewhere."""
    with WorkRig(ferry, bridge) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        done = rig.run("save", "--control", rig.path("A.sock"), "--stop", rig.path("state"))
        expect("save: " + done.stderr, done.returncode, 0)
        done = rig.run("show", rig.path("state"))
        expect("show: " + done.stderr, done.returncode, 0)
        done = rig.run("restore", "--control", rig.path("B.sock"), rig.path("state"))
        expect("restore: " + done.stderr, done.returncode, 0)
        rig.proceed("B")
        rig.finish("B")


if __name__ == "__main__":
    sys.exit(main_of((work_moves_to_and_fro, work_moves_by_groups,
                      a_peer_without_a_state_for_it_is_refused, work_goes_through_a_file),
                     sys.argv[1:]))
