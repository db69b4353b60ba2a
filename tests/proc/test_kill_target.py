# SPDX-License-Identifier: BSD-3-Clause
"""The target host dies, falls silent or loses a device in each phase; the source goes on.

Usage: test_kill_target.py FERRY
"""
import signal
import sys

from kill_rig import KillRig, Link, Watch, expect, main_of

# Phase to strike in, the record at which the link stops, so that it cannot be over before
# the strike, and options that keep the source in it.
PHASES = (("HELLO", "ACCEPT", ()), ("LOG", "ALL_SENT", ()), ("PRE_COPY_ARC", "ALL_SENT", ()),
          ("PRE_COPY", "ALL_SENT", ("--max-downtime", "1")), ("PAUSE", "ALL_SENT", ()),
          ("FOREIGN", "ALL_SENT", ()), ("FREEZE", "ALL_SENT", ()),
          ("TRANSFER", "ALL_SENT", ()), ("PREPARE", "PREPARED", ()),
          ("COMMIT", "COMMIT", ()), ("COMMIT", "RUNNING", ()))
# Phases that end by an answer of the target: the link's record tells when they are reached.
ANSWERED = ("HELLO", "PREPARE", "COMMIT")
SHORT = ("--deadline", "500", "--stop-deadline", "500")


class Story:
    """One context at A that is to survive target after target."""

    def __init__(self, rig):
        self.rig = rig
        self.targets = 0
        self.side = ""

    def strike(self, phase, record, options, strike):
        """Migrates to a fresh target and strikes in a phase.

        Return: exit status, report, phase that was hit, messages."""
        rig = self.rig
        self.targets += 1
        self.side = "T%d" % self.targets
        rig.start_worker(self.side)
        watch = Watch(rig.path("A.sock"))
        link = Link(rig.address(self.side), record)
        process = rig.migrate_begin("A", link.address, *options)
        if phase in ANSWERED:
            link.reach()
        else:
            watch.until_phase(phase)
        strike(self.side, link)
        code, report, err = rig.migrate_end(process)
        hit = watch.reached()
        watch.close()
        link.cut()
        print("    %s at %s: hit in %s, exit status %d, %s" %
              (phase, record, hit, code, report and report.get("error", {}).get("text")))
        return code, report, hit, err

    def outcome(self, what, code, hit, err):
        """Rolled back, or from COMMIT on undecided and resolved; then the work goes on."""
        if hit in ("COMMIT", "UNDECIDED"):
            expect(what + ": " + err, code, 5)
            assert "resolve" in err, err
            expect("resolve", self.rig.resolve("A", "--run-here"), 0)
        else:
            expect(what + ": " + err, code, 4)
        self.rig.proceed("A")

    def end(self):
        """A further migration works, and the results are identical."""
        self.rig.start_worker("Z")
        code, report, err = self.rig.migrate("A", self.rig.address("Z"))
        expect("the last migration: " + err, code, 0)
        expect("outcome", report["outcome"], "MOVED")
        self.rig.proceed("Z")
        self.rig.finish("Z")


def a_killed_target_host_costs_nothing_in_any_phase(ferry):
    """kill -9; the link ends with it."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        story = Story(rig)

        def strike(side, link):
            rig.kill("host-" + side)
            link.cut()

        for phase, record, options in PHASES:
            code, _, hit, err = story.strike(phase, record, options, strike)
            rig.drop_side(story.side)
            story.outcome("killed in " + phase, code, hit, err)
        story.end()


def a_silent_target_host_costs_nothing_in_any_phase(ferry):
    """SIGSTOP: the link stays up and nothing comes; a limit ends it."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        story = Story(rig)

        def strike(side, link):
            rig.kill("host-" + side, signal.SIGSTOP)
            if link.name == "COMMIT":
                link.release()  # it waits in the target's buffer

        for phase, record, options in PHASES:
            if record == "RUNNING":
                continue  # it runs already: nothing is silent any more
            options += ("--peer-limit", "1500") if phase in ANSWERED else SHORT
            code, _, hit, err = story.strike(phase, record, options, strike)
            # The operator makes sure that the other side is dead before he says go on.
            rig.drop_side(story.side)
            story.outcome("silent in " + phase, code, hit, err)
        story.end()


def main():
    return main_of((a_killed_target_host_costs_nothing_in_any_phase,
                    a_silent_target_host_costs_nothing_in_any_phase), sys.argv[1])


if __name__ == "__main__":
    sys.exit(main())
