# SPDX-License-Identifier: BSD-3-Clause
"""A device server dies, at the target or at the source, in each phase of a migration.

Usage: test_kill_device.py FERRY
"""
import sys

from kill_rig import DEVICES, KillRig, Link, Watch, expect, main_of

# Phase to strike in and the record at which the link stops, so that it cannot be over
# before the strike.
PHASES = (("HELLO", "ACCEPT", ()), ("LOG", "ALL_SENT", ()), ("PRE_COPY_ARC", "ALL_SENT", ()),
          ("PRE_COPY", "ALL_SENT", ("--max-downtime", "1")), ("PAUSE", "ALL_SENT", ()),
          ("FOREIGN", "ALL_SENT", ()), ("FREEZE", "ALL_SENT", ()),
          ("TRANSFER", "ALL_SENT", ()), ("PREPARE", "ALL_SENT", ()),
          ("PREPARE", "PREPARED", ()), ("COMMIT", "COMMIT", ()))


def strike(rig, phase, record, options, victim, side):
    """Migrates from A to `side` and kills a device server in a phase.

    Return: exit status, report, phase that was hit, messages."""
    watch = Watch(rig.path("A.sock"))
    link = Link(rig.address(side), record)
    process = rig.migrate_begin("A", link.address, *options)
    if phase in ("HELLO", "PREPARE", "COMMIT"):
        link.reach()
    else:
        assert watch.until_phase(phase), "no phase " + phase
    rig.kill(victim)
    link.release()
    code, report, err = rig.migrate_end(process)
    hit = watch.reached()
    watch.close()
    print("    %s dies in %s: hit in %s, exit status %d, %s" %
          (victim, phase, hit, code, report and report.get("error", {}).get("text")))
    return code, report, hit, err


def the_source_goes_on_when_a_device_of_the_target_dies(ferry):
    """In every phase: rolled back, the message names the device."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        for i, (phase, record, options) in enumerate(PHASES):
            side, device = "T%d" % i, DEVICES[i % 3]
            if record in ("PREPARED", "COMMIT"):
                device = "acc"  # the target is complete: for the others see below
            rig.start_worker(side)
            code, report, hit, err = strike(rig, phase, record, options,
                                            "%s-%s" % (device, side), side)
            expect("%s: %s" % (phase, err), code, 4)
            expect("outcome", report["outcome"], "ROLLED_BACK")
            assert device in err or hit == "COMMIT" and "gave" in err, err
            assert rig.process["host-" + side].poll() is None, "the target's host died"
            rig.proceed("A")
            expect("work at the target", rig.work(side)["here"], False)
            if phase != "PRE_COPY":
                rig.drop_side(side)
        # A new server at the same socket, and the same target host can receive.
        again = [i for i, phase in enumerate(PHASES) if phase[0] == "PRE_COPY"][0]
        device, side = DEVICES[again % 3], "T%d" % again
        rig.start_device(device, side)
        code, _, err = rig.migrate("A", rig.address(side))
        expect("to the repaired target: " + err, code, 0)
        rig.proceed(side)
        rig.finish(side)


def a_device_that_dies_at_the_commit_is_given_back_with_all_others(ferry):
    """The dead one fails before any other may run: quiet first, then those without P2P."""
    for device in DEVICES:
        with KillRig(ferry) as rig:
            rig.start_worker("A")
            rig.start_worker("B")
            rig.begin("A")
            target = Watch(rig.path("B.sock"))
            code, report, _, err = strike(rig, "COMMIT", "COMMIT", (), device + "-B", "B")
            expect("exit status: " + err, code, 4)
            expect("source", report["outcome"], "ROLLED_BACK")
            expect("target", target.next("finished")["report"]["outcome"], "ROLLED_BACK")
            expect("work at the target", rig.work("B")["here"], False)
            rig.proceed("A")
            rig.finish("A")


def a_dead_device_of_the_source_is_named_and_the_host_lives(ferry):
    """In every phase; what a device had is gone, and that is what is said."""
    for i, (phase, record, options) in enumerate(PHASES):
        device = DEVICES[(i + 1) % 3]
        with KillRig(ferry) as rig:
            rig.start_worker("A")
            rig.start_worker("B")
            rig.begin("A")
            target = Watch(rig.path("B.sock"))
            code, report, _, err = strike(rig, phase, record, options, device + "-A", "B")
            assert rig.process["host-A"].poll() is None, "the source's host died"
            expect("the host answers", rig.status("A")["reply"], "status")
            if code == 0:
                # Everything had been sent: the target has the whole state.
                expect("outcome", report["outcome"], "MOVED")
                rig.proceed("B")
                rig.finish("B")
                expect("it cannot receive yet", rig.status("A")["address"], "")
                rig.start_device(device, "A")
                assert rig.address("A")
                continue
            expect("%s: %s" % (phase, err), code, 7)
            expect("outcome", report["outcome"], "LOST")
            assert device in err, err
            expect("target", target.next("finished")["report"]["outcome"] in
                   ("ROLLED_BACK", "REFUSED"), True)
            assert rig.address("B")


def main():
    return main_of((the_source_goes_on_when_a_device_of_the_target_dies,
                    a_device_that_dies_at_the_commit_is_given_back_with_all_others,
                    a_dead_device_of_the_source_is_named_and_the_host_lives), sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
