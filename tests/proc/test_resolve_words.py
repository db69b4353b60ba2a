# SPDX-License-Identifier: BSD-3-Clause
"""Undecided on both sides, and what ends a migration before it begins: the operator's words.

Usage: test_resolve_words.py FERRY
"""
import os
import signal
import sys

from kill_rig import KillRig, Link, Watch, expect, main_of


def undecided(rig, *args):
    """A migration from A to B whose link is cut at the COMMIT record."""
    target = Watch(rig.path("B.sock"))
    link = Link(rig.address("B"), "COMMIT")
    process = rig.migrate_begin("A", link.address, *args)
    link.reach()
    link.cut()
    code, _, err = rig.migrate_end(process)
    expect("exit status: " + err, code, 5)
    assert "ferry resolve" in err, err
    expect("target", target.next("finished", "undecided")["event"], "undecided")
    expect("work at B", rig.work("B")["here"], False)
    stood = rig.work("A")["completed"]
    expect("work at A", rig.work("A")["completed"], stood)
    return target


def start(rig, *args):
    """Two sides, and work at A."""
    rig.start_worker("A", *args)
    rig.start_worker("B", *args)
    rig.begin("A")


def after_a_cut_at_the_commit_either_side_can_go_on(ferry):
    """One is told to discard, the other to run; its work ends identical."""
    for stays, goes in (("A", "B"), ("B", "A")):
        with KillRig(ferry) as rig:
            start(rig)
            undecided(rig)
            stood = {side: rig.work(side)["completed"] for side in ("A", "B")}
            expect("discard", rig.resolve(goes, "--discard"), 0)
            expect("work at the one that discarded", rig.work(goes)["here"], False)
            expect("the other still waits", rig.work(stays)["completed"], stood[stays])
            expect("run", rig.resolve(stays, "--run-here"), 0)
            rig.proceed(stays)
            expect("a second word", rig.resolve(goes, "--run-here"), 3)
            expect("a second word", rig.resolve(stays, "--discard"), 3)
            expect("work at the one that discarded", rig.work(goes)["here"], False)
            # And who has discarded receives again.
            code, _, err = rig.migrate(stays, rig.address(goes))
            expect("once more: " + err, code, 0)
            rig.proceed(goes)
            expect("work at the one that sent", rig.work(stays)["here"], False)
            rig.finish(goes)


def a_cut_at_the_commit_needs_no_operator_with_an_arbiter(ferry):
    """The decision was written before the record was sent: the target runs."""
    with KillRig(ferry) as rig:
        start(rig, "--arbiter", "file:" + rig.folder)
        target = Watch(rig.path("B.sock"))
        link = Link(rig.address("B"), "COMMIT")
        process = rig.migrate_begin("A", link.address)
        link.reach()
        decided = [name for name in os.listdir(rig.folder) if name.endswith("-0")]
        expect("decisions", len(decided), 1)
        with open(rig.path(decided[0]), encoding="ascii") as file:
            expect("decision", file.read(), "commit\n")
        link.cut()
        code, _, err = rig.migrate_end(process)
        # The source knows that it must not run, but not yet that the target does.
        expect("exit status: " + err, code, 5)
        expect("target", target.next("finished", "undecided")["report"]["outcome"], "MOVED")
        stood = rig.work("A")["completed"]
        rig.proceed("B")
        expect("work at the source", rig.work("A")["completed"], stood)
        expect("discard", rig.resolve("A", "--discard"), 0)
        expect("work at the source", rig.work("A")["here"], False)
        rig.finish("B")


def a_target_that_was_asleep_at_the_commit_never_makes_two_run(ferry):
    """SIGSTOP until the source has given up waiting; the COMMIT lies in its buffer."""
    with KillRig(ferry) as rig:
        start(rig)
        source, target = Watch(rig.path("A.sock")), Watch(rig.path("B.sock"))
        link = Link(rig.address("B"), "COMMIT")
        process = rig.migrate_begin("A", link.address, "--peer-limit", "400")
        link.reach()
        rig.kill("host-B", signal.SIGSTOP)
        link.release()
        code, _, err = rig.migrate_end(process)
        expect("exit status: " + err, code, 5)
        rig.kill("host-B", signal.SIGCONT)
        event = target.next("finished", "undecided")
        print("    awake: %s %s" % (event["event"], event["report"]["outcome"]))
        if event["event"] == "finished":
            # It has heard COMMIT and its late RUNNING tells the source.
            expect("outcome", event["report"]["outcome"], "MOVED")
            expect("source", source.next("finished")["report"]["outcome"], "MOVED")
        else:
            expect("discard", rig.resolve("A", "--discard"), 0)
            expect("run", rig.resolve("B", "--run-here"), 0)
        rig.proceed("B")
        expect("work at the source", rig.work("A")["here"], False)
        rig.finish("B")


def a_target_that_slept_past_its_limit_takes_no_commit(ferry):
    """The operator has let the source go on; the COMMIT in the buffer comes too late."""
    with KillRig(ferry) as rig:
        start(rig, "--peer-limit", "300")
        target = Watch(rig.path("B.sock"))
        link = Link(rig.address("B"), "COMMIT")
        process = rig.migrate_begin("A", link.address, "--peer-limit", "1000")
        link.reach()
        rig.kill("host-B", signal.SIGSTOP)
        link.release()
        expect("exit status", rig.migrate_end(process)[0], 5)
        expect("run", rig.resolve("A", "--run-here"), 0)
        rig.proceed("A")
        rig.kill("host-B", signal.SIGCONT)
        expect("target", target.next("finished", "undecided")["event"], "undecided")
        expect("discard", rig.resolve("B", "--discard"), 0)
        expect("work at the target", rig.work("B")["here"], False)
        rig.proceed("A")
        rig.finish("A")


def main():
    return main_of((after_a_cut_at_the_commit_either_side_can_go_on,
                    a_cut_at_the_commit_needs_no_operator_with_an_arbiter,
                    a_target_that_was_asleep_at_the_commit_never_makes_two_run,
                    a_target_that_slept_past_its_limit_takes_no_commit), sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
