# SPDX-License-Identifier: BSD-3-Clause
"""The source host dies in each phase, with and without an arbiter.

Usage: test_kill_source.py FERRY
"""
import os
import sys

from kill_rig import KillRig, Link, Watch, expect, main_of

EARLY = (("HELLO", "ACCEPT", ()), ("LOG", "ALL_SENT", ()),
         ("PRE_COPY", "ALL_SENT", ("--max-downtime", "1")), ("FREEZE", "ALL_SENT", ()),
         ("TRANSFER", "ALL_SENT", ()), ("PREPARE", "ALL_SENT", ()))
# The target is PREPARED when the link stops here.
LATE = (("PREPARE", "PREPARED"), ("COMMIT", "COMMIT"))


def die(rig, source, phase, record, options):
    """Migrates to B and kills the source's host in a phase; return: B's events."""
    watch, target = Watch(rig.path(source + ".sock")), Watch(rig.path("B.sock"))
    link = Link(rig.address("B"), record)
    process = rig.migrate_begin(source, link.address, *options)
    if phase in ("HELLO", "PREPARE", "COMMIT"):
        link.reach()
    else:
        assert watch.until_phase(phase), "no phase " + phase
    rig.kill("host-" + source)
    link.cut()
    code, _, err = rig.migrate_end(process)
    expect("migrate without its host: " + err, code, 1)
    assert "gone" in err, err
    hit = watch.reached()
    print("    the source dies in %s at %s: hit in %s" % (phase, record, hit))
    return target


def a_target_that_is_not_prepared_discards_and_receives_again(ferry):
    """One target, one dying source after the other, and a last one that lives."""
    for arbiter in ("none", "file:"):
        with KillRig(ferry) as rig:
            if arbiter != "none":
                arbiter = "file:" + rig.folder
            rig.start_worker("B", "--arbiter", arbiter)
            for i, (phase, record, options) in enumerate(EARLY):
                side = "S%d" % i
                rig.start_worker(side, "--arbiter", arbiter)
                rig.begin(side)
                event = die(rig, side, phase, record, options).next("finished", "undecided")
                expect("end in " + phase, event["event"], "finished")
                expect("outcome in " + phase, event["report"]["outcome"], "ROLLED_BACK")
                assert event["report"]["error"]["text"]
                expect("work at B", rig.work("B")["here"], False)
                rig.drop_side(side)
            for name in os.listdir(rig.folder):
                if name.startswith("pass-"):
                    os.remove(rig.path(name))
            rig.start_worker("A", "--arbiter", arbiter)
            rig.begin("A")
            code, _, err = rig.migrate("A", rig.address("B"))
            expect("the source that lives: " + err, code, 0)
            rig.proceed("B")
            rig.finish("B")


def a_prepared_target_without_arbiter_waits_for_the_operator(ferry):
    """And goes on where the source stood."""
    for phase, record in LATE:
        with KillRig(ferry) as rig:
            rig.start_worker("A")
            rig.start_worker("B")
            rig.begin("A")
            target = die(rig, "A", phase, record, ())
            event = target.next("finished", "undecided")
            expect("end in " + phase, event["event"], "undecided")
            expect("the work waits", rig.work("B")["here"], False)
            expect("resolve", rig.resolve("B", "--run-here"), 0)
            expect("outcome", target.next("finished")["report"]["outcome"], "RESOLVED")
            expect("resolve again", rig.resolve("B", "--run-here"), 3)
            expect("nothing can overwrite it", rig.status("B")["address"], "")
            rig.proceed("B")
            rig.finish("B")


def a_prepared_target_can_be_told_to_discard(ferry):
    """Then it is empty and receives again."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        target = die(rig, "A", "COMMIT", "COMMIT", ())
        expect("end", target.next("finished", "undecided")["event"], "undecided")
        expect("resolve", rig.resolve("B", "--discard"), 0)
        expect("outcome", target.next("finished")["report"]["outcome"], "RESOLVED")
        expect("the work", rig.work("B")["here"], False)
        rig.start_worker("C")
        rig.begin("C")
        code, _, err = rig.migrate("C", rig.address("B"))
        expect("another source: " + err, code, 0)
        rig.proceed("B")


def a_prepared_target_with_an_arbiter_runs_by_itself(ferry):
    """The dead source has decided for it, or it decides for itself."""
    for phase, record in LATE:
        with KillRig(ferry) as rig:
            arbiter = ("--arbiter", "file:" + rig.folder)
            rig.start_worker("A", *arbiter)
            rig.start_worker("B", *arbiter)
            rig.begin("A")
            target = die(rig, "A", phase, record, ())
            event = target.next("finished", "undecided")
            expect("end in " + phase, event["event"], "finished")
            expect("outcome in " + phase, event["report"]["outcome"], "MOVED")
            rig.proceed("B")
            rig.finish("B")


def main():
    return main_of((a_target_that_is_not_prepared_discards_and_receives_again,
                    a_prepared_target_without_arbiter_waits_for_the_operator,
                    a_prepared_target_can_be_told_to_discard,
                    a_prepared_target_with_an_arbiter_runs_by_itself), sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
