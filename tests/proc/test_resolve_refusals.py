# SPDX-License-Identifier: BSD-3-Clause
"""Migrations that are refused or cancelled: the source goes on as if nothing had been.

Usage: test_resolve_refusals.py FERRY
"""
import signal
import sys

from kill_rig import KEY, KillRig, Link, Watch, expect, main_of


def an_incompatible_target_is_refused(ferry):
    """An acc with fewer sessions; the message names device and key; a good target takes it."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B", acc="acc,sessions=1")
        rig.start_worker("C")
        rig.begin("A")
        target = Watch(rig.path("B.sock"))
        code, report, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 3)
        expect("outcome", report["outcome"], "REFUSED")
        assert "acc" in err and "sessions" in err, err
        expect("target", target.next("finished")["report"]["outcome"], "REFUSED")
        rig.proceed("A")
        assert rig.address("B"), "the target does not listen any more"
        code, _, err = rig.migrate("A", rig.address("C"))
        expect("a good target: " + err, code, 0)
        rig.proceed("C")
        rig.finish("C")


def a_device_that_cannot_be_quieted_must_not_reach_a_peer(ferry):
    """The message names device, peer and the two ways out."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", host_args=("--peer", "acc:copy1"))
        rig.start_worker("B", host_args=())
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 3)
        for word in ("device acc", "device copy1", "no peer maps", "leave acc out"):
            assert word in err, "%s is not in: %s" % (word, err)
        assert rig.address("B")
        assert rig.address("A"), "the source does not listen as before"


def without_peer_maps_it_moves(ferry):
    """--no-peer-maps refuses the map, and a context without one goes."""
    with KillRig(ferry) as rig:
        rig.start_worker("A", "--no-peer-maps", host_args=())
        rig.start_worker("B", host_args=())
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("exit status: " + err, code, 0)
        rig.start_device("acc", "C")
        rig.start_device("copy1", "C")
        done = rig.run("host", "--device", "acc=" + rig.path("acc-C.sock"), "--device",
                       "copy1=" + rig.path("copy1-C.sock"), "--peer", "acc:copy1",
                       "--no-peer-maps", "--control", rig.path("C.sock"))
        expect("exit status", done.returncode, 1)
        assert "peer" in done.stderr, done.stderr


def too_little_in_flight_is_refused(ferry):
    """Nothing has begun, and the work goes on."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        code, _, err = rig.migrate("A", rig.address("B"), "--min-in-flight", "100000")
        expect("exit status: " + err, code, 3)
        rig.proceed("A")
        rig.finish("A")


def a_cancelled_migration_costs_nothing(ferry):
    """By SIGINT and SIGTERM to the command, and by the control socket; in two phases."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        for record in (None, "PREPARED"):
            for how in (signal.SIGINT, signal.SIGTERM, "cancel"):
                source, target = Watch(rig.path("A.sock")), Watch(rig.path("B.sock"))
                link = Link(rig.address("B"), record)
                process = rig.migrate_begin("A", link.address,
                                            *(() if record else ("--max-downtime", "1")))
                if record:
                    link.reach()
                else:
                    assert source.until_phase("PRE_COPY")
                if how == "cancel":
                    expect("cancel", rig.control("A").call("cancel")["reply"], "cancel")
                else:
                    process.send_signal(how)
                code, report, err = rig.migrate_end(process)
                expect("exit status: " + err, code, 6)
                expect("outcome", report["outcome"], "ROLLED_BACK")
                link.release()
                expect("target", target.next("finished")["report"]["outcome"], "ROLLED_BACK")
                rig.proceed("A")
                source.close()
                target.close()
        code, _, err = rig.migrate("A", rig.address("B"))
        expect("and then: " + err, code, 0)
        rig.proceed("B")
        rig.finish("B")


def a_cancel_after_the_commit_comes_too_late(ferry):
    """The target runs: the command says that it has moved."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        link = Link(rig.address("B"), "RUNNING")
        process = rig.migrate_begin("A", link.address)
        link.reach()
        process.send_signal(signal.SIGINT)
        rig.control("A").call("cancel")
        link.release()
        code, _, err = rig.migrate_end(process)
        expect("exit status: " + err, code, 0)
        rig.proceed("B")
        rig.finish("B")


def a_host_that_works_takes_no_context(ferry):
    """Nor can its work be started twice."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        expect("address", rig.status("A")["address"], "")
        assert "error" in rig.control("A").call("work-start", key=KEY)
        rig.proceed("A")


def main():
    return main_of((an_incompatible_target_is_refused,
                    a_device_that_cannot_be_quieted_must_not_reach_a_peer,
                    without_peer_maps_it_moves, too_little_in_flight_is_refused,
                    a_cancelled_migration_costs_nothing,
                    a_cancel_after_the_commit_comes_too_late,
                    a_host_that_works_takes_no_context), sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
