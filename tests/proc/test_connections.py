# SPDX-License-Identifier: BSD-3-Clause
"""A guest at work moves over several connections.

Usage: test_connections.py FERRY
"""
import sys

from kill_rig import KillRig, expect, main_of

# Slow enough that the further connections are there before the first round is over.
SLOW = ("--bandwidth", "20M")


def a_guest_at_work_moves_over_four_connections_and_back(ferry):
    """The target's limit holds on the way back."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", "--connections", "2")
        rig.start_worker("B")
        rig.begin("A")
        code, report, err = rig.migrate("A", rig.address("B"), "--connections", "4", *SLOW)
        expect("there: " + err, code, 0)
        expect("connections there", report["connections"], 4)
        rig.proceed("B")
        code, report, err = rig.migrate("B", rig.address("A"), "--connections", "16", *SLOW)
        expect("back: " + err, code, 0)
        expect("connections back", report["connections"], 2)
        rig.proceed("A")
        code, report, err = rig.migrate("A", rig.address("B"))
        expect("with one: " + err, code, 0)
        expect("connections at last", report["connections"], 1)
        rig.proceed("B")
        rig.finish("B")


def a_number_that_cannot_be_is_refused(ferry):
    """By the command and by the host, which goes on."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        code, _, err = rig.migrate("A", "tcp:127.0.0.1:9", "--connections", "17")
        assert code == 2 and "--connections" in err, (code, err)
        for many in (17, 2 ** 32 + 1):
            reply = rig.control("A").call("migrate", to="tcp:127.0.0.1:9", connections=many)
            assert "connections" in reply["error"]["text"], reply


if __name__ == "__main__":
    main_of([a_guest_at_work_moves_over_four_connections_and_back,
             a_number_that_cannot_be_is_refused], sys.argv[1])
