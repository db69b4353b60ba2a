# SPDX-License-Identifier: BSD-3-Clause
"""The workload over packed virtqueues, moved to and fro while requests are in flight.

Usage: test_packed_work.py FERRY
"""
import sys

from kill_rig import KillRig, expect, main_of

PACKED = "acc,packed=on"


def work_over_packed_rings_moves_to_and_fro(ferry):
    """Three moves; the result is complete and right at the end."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", acc=PACKED)
        rig.start_worker("B", acc=PACKED)
        rig.begin("A")
        here, there = "A", "B"
        for _ in range(3):
            code, report, err = rig.migrate(here, rig.address(there))
            expect("exit status: " + err, code, 0)
            expect("outcome", report["outcome"], "MOVED")
            rig.proceed(there)
            here, there = there, here
        rig.finish(here)


def a_target_without_them_is_refused(ferry):
    """Before anything is touched, by name; the other way it goes."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", acc=PACKED)
        rig.start_worker("B")
        rig.begin("A")
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 3)
        assert "acc" in err and "features" in err, err
        rig.proceed("A")
        rig.finish("A")


def split_rings_move_to_where_packed_ones_are_offered(ferry):
    """What the guest chose stays."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B", acc=PACKED)
        rig.begin("A")
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 0)
        rig.proceed("B")
        rig.finish("B")


if __name__ == "__main__":
    sys.exit(main_of([work_over_packed_rings_moves_to_and_fro,
                      a_target_without_them_is_refused,
                      split_rings_move_to_where_packed_ones_are_offered], sys.argv[1]))
