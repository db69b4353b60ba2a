# SPDX-License-Identifier: BSD-3-Clause
"""ferry check: its options, its exit status, and each form of output.

Usage: test_check_forms.py FERRY
"""
import json
import os
import pty
import re
import subprocess
import sys
import xml.etree.ElementTree

from cli_rig import Rig

KNOWN = "TO" "DO"  # TAP's directive for failures that are known
PROFILES = ("required", "expected", "recommended")
VERDICTS = ("passed", "failed", "waived", "skipped", "broken")
LEGAL = ("--check", "arc.legal")
# What a device whose DMA log does not start breaks: something that is required.
BAD = ("model:acc", "--filter", "error=log_start:EIO", "--check", "access.running")
# What breaks a recommendation and nothing else.
RECOMMENDED = ("model:copy,memory=1M", "--filter", "corrupt=read", "--check", "data.same")


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def check(rig, *args):
    """Runs `ferry check ARGS` to its end."""
    return rig.run("check", *args)


def wrong_options_exit_with_2_and_say_why(rig):
    """Each option; the message names what is wrong."""
    for args, word in (
            ([], "URI"), (["model:acc", "model:copy"], "one URI"),
            (["model:none"], "there is no model 'none'"),
            (["model:acc,sessions=0"], "sessions"), (["model:acc,none=1"], "none"),
            (["nonsense"], "unknown scheme"),
            (["model:acc", "--profile", "all"], "--profile"),
            (["model:acc", "--check", "none"], "no check like 'none'"),
            (["model:acc", "--check", "MIG-ARC-1"], "--rule"),
            (["model:acc", "--check", "arc.legal arc.same"], "without blanks"),
            (["model:acc", "--check", ""], "--check"),
            (["model:acc", "--check", "arc.legal[NONE]"], "no such case"),
            (["model:acc", "--rule", "NONE"], "no check is left"),
            (["model:acc", "--rule", "MIG-ARC", "--rule", "MIG-ARC"], "one --rule"),
            (["model:acc", "--timeout", "0"], "--timeout"),
            (["model:acc", "--look", "1x"], "--look"),
            (["model:acc", "--filter", "nonsense=1"], "--filter"),
            (["model:acc", "--uapi", "v9"], "v9"),
            (["vfio-user:/x", "--filter", "log"], "--filter"),
            (["vfio-user:/x", "--uapi", "v1"], "--uapi"),
            (["model:acc", "--partner", "model:none"], "none"),
            (["model:acc", "--foreign", "model:none"], "none"),
            (["model:acc", "--tap", "--json"], "--tap"),
            (["model:acc", "--quiet", "--verbose"], "--verbose"),
            (["model:acc", "--list"], "--list"),
            (["model:acc", "--waive", rig.path("none")], "none"),
            (["model:acc", "--junit", rig.path("none/x")], "none/x"),
            (["model:acc", "--driver", rig.path("none.so")], "none.so"),
            (["model:acc", "--driver", "copy"], "not for this device"),
            (["model:acc", "--nonsense"], "nonsense")):
        done = check(rig, *args)
        expect("status of ferry check %s" % " ".join(args), done.returncode, 2)
        assert word in done.stderr, (args, done.stderr)


def the_list_names_rule_and_profile_of_each_check(rig):
    """In both forms, and what the options leave of it."""
    checks = json.loads(check(rig, "--list", "--json").stdout)
    names = [c["check"] for c in checks]
    expect("twice", sorted(set(names)), sorted(names))
    for one in checks:
        assert set(one) == {"check", "rule", "profile", "needs", "title"}, one
        assert one["profile"] in PROFILES and one["title"], one
        assert re.fullmatch(r"MIG-[A-Z0-9]+-\d+", one["rule"]), one
        assert isinstance(one["needs"], list), one
    text = check(rig, "--list").stdout.splitlines()
    expect("lines", [line.split()[0] for line in text], names)
    some = check(rig, "--list", "--json", "--rule", "MIG-ARC", "--profile", "required")
    want = [c["check"] for c in checks
            if c["rule"].startswith("MIG-ARC") and c["profile"] == "required"]
    expect("those that are required", [c["check"] for c in json.loads(some.stdout)], want)
    assert "arc.legal" in want and len(want) < len(names)
    some = check(rig, "--list", "--json", "--rule", "MIG-ARC-1")
    expect("one rule, not the tenth", {c["rule"] for c in json.loads(some.stdout)},
           {"MIG-ARC-1"})


def the_exit_status_says_how_bad_it_is(rig):
    """By a filter that breaks a rule of each profile."""
    for status, *args in (
            (0, "model:acc", *LEGAL),
            (1, "model:acc", "--filter", "error=set_state:EIO@1", *LEGAL),
            (3, "model:acc", "--filter", "error=mig_flags:EIO", *LEGAL),
            (8, *RECOMMENDED),
            (9, "model:acc", "--filter", "error=log_stop:EIO", "--check", "access.log"),
            (10, *BAD)):
        done = check(rig, *args)
        expect("status of ferry check %s" % " ".join(args), done.returncode, status)
    # What a profile leaves out is not counted.
    done = check(rig, "model:acc", "--filter", "error=log_stop:EIO", "--check",
                 "access.log", "--check", "arc.legal", "--profile", "required")
    expect("the same, of what is required", done.returncode, 0)


def a_finding_is_told_with_a_command_that_shows_it_again(rig):
    """The command is for a shell, and what it shows is the same finding."""
    # A path that a shell would take apart.
    done = check(rig, *BAD, "--filter", "log=" + rig.path("it's a log"))
    expect("status", done.returncode, 10)
    found = re.findall(r"^ {9}(access\.\S+)  required by the uAPI\n"
                       r" {11}expected  (.+)\n {11}seen      (.+)\n {11}again     (.+)$",
                       done.stdout, re.M)
    assert len(found) > 1, done.stdout
    name, _, seen, again = found[0]
    assert again.startswith("ferry check model:acc --filter ") and name in again, again
    os.unlink(rig.path("it's a log"))
    repeated = subprocess.run(
        ["sh", "-c", 'ferry() { "$FERRY" "$@"; }; ' + again], capture_output=True,
        text=True, check=False, env=dict(os.environ, FERRY=rig.ferry))
    expect("status of " + again, repeated.returncode, 10)
    assert seen in repeated.stdout and "\n1 case in" in repeated.stdout, repeated.stdout
    assert os.path.exists(rig.path("it's a log"))


def the_table_is_by_rule_and_sums_passed_cases_up(rig):
    """A heading with the rule's text, a line for a check, no line for a passed case."""
    done = check(rig, "model:acc", "--rule", "MIG-ARC")
    assert "\nMIG-ARC-1  A change of state takes the shortest way" in done.stdout
    assert re.search(r"^  pass   arc\.legal +19 passed: ", done.stdout, re.M), done.stdout
    assert "arc.legal[" not in done.stdout and "\033" not in done.stdout
    assert re.search(r"^checked arc.legal: 19 passed$", done.stdout, re.M), done.stdout
    assert "looked for" in done.stdout, done.stdout
    verbose = check(rig, "model:acc", "--verbose", *LEGAL).stdout
    expect("cases", len(re.findall(r"^ {9}arc\.legal\[\S+\]  pass, ", verbose, re.M)), 19)
    quiet = check(rig, "model:acc", "--quiet", *LEGAL).stdout
    assert "arc.legal" not in quiet and "Nothing is broken" in quiet, quiet


def skips_say_what_is_missing(rig):
    """A driver, a feature, an option."""
    text = check(rig, "model:acc", "--driver", "none", "--rule", "MIG-ARC").stdout
    assert "skipped: no driver that has this device work" in text, text
    text = check(rig, "model:acc", "--check", "access.p2p.*").stdout
    assert "skipped: the device has no P2P states" in text, text


def read_tap(text):
    """[(ok, name, directive, members)] of TAP 13; asserts its grammar."""
    lines = iter(text.splitlines())
    expect("version", next(lines), "TAP version 13")
    points, plan = [], None
    for line in lines:
        point = re.fullmatch(r"(not )?ok (\d+) - ([^#]+?)(?: # (SKIP|" + KNOWN + r") (.+))?", line)
        if line == "  ---":
            members = points[-1][3]
            for inner in lines:
                if inner == "  ...":
                    break
                found = re.fullmatch(r'  ([a-z]+): (".*")', inner)
                assert found, inner
                members[found[1]] = json.loads(found[2])
        elif point:
            expect("number", int(point[2]), len(points) + 1)
            points.append((point[1] is None, point[3], point[4], {}))
        else:
            assert plan is None, "two plans"
            plan = re.fullmatch(r"1\.\.(\d+)", line)
            assert plan, line
    expect("plan", int(plan[1]), len(points))
    return points


def the_summary_says_which_options_check_more(rig):
    """The number of checks, and nothing for options that are there."""
    done = check(rig, "model:acc", "--driver", "none", "--check", "dma.p2p", "--check",
                 "race.readers", "--quiet")
    assert ("\nMore is checked with --driver (1 check), --destructive (1 check).\n"
            in done.stdout), done.stdout
    done = check(rig, "model:acc", "--check", "dma.p2p", "--destructive", "--quiet")
    assert "More is checked" not in done.stdout, done.stdout


def tap_is_well_formed(rig):
    """Points that passed, failed and were skipped."""
    done = check(rig, "model:acc", "--tap", "--rule", "MIG-ARC")
    points = read_tap(done.stdout)
    assert len(points) > 20 and all(p[0] for p in points), points
    done = check(rig, *BAD, "--check", "access.p2p.*", "--tap")
    points = read_tap(done.stdout)
    failed = [p for p in points if not p[0]]
    assert failed and all(p[3]["seen"] and p[3]["rule"] in p[1] for p in failed), failed
    assert failed[0][3]["again"].endswith("'"), failed[0]
    assert [p for p in points if p[2] == "SKIP"], points


def output_that_goes_nowhere_is_no_success(rig):
    """A full disk, for each of the places."""
    with open("/dev/full", "w", encoding="ascii") as full:
        for form in ("--json", "--tap", "--quiet"):
            done = subprocess.run([rig.ferry, "check", "model:acc", form, *LEGAL],
                                  stdout=full, stderr=subprocess.PIPE, text=True,
                                  check=False)
            expect("status of " + form, done.returncode, 1)
            assert "standard output: No space left" in done.stderr, done.stderr
        for form in ([], ["--json"]):
            done = subprocess.run([rig.ferry, "check", "--list", *form], stdout=full,
                                  stderr=subprocess.PIPE, text=True, check=False)
            expect("status of --list", done.returncode, 1)
    # Also where only a recommendation is broken, which a build may let pass.
    for what in (("model:acc", *LEGAL), RECOMMENDED):
        done = check(rig, *what, "--junit", "/dev/full")
        expect("status of --junit", done.returncode, 1)
        assert "/dev/full: No space left" in done.stderr, done.stderr


def output_that_nobody_wants_goes_nowhere(rig):
    """Not into the report or the device, which get the number of a closed descriptor."""
    report = rig.path("closed.xml")
    subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", rig.ferry, "check",
                    "model:acc", "--json", "--junit", report, *LEGAL], check=True)
    with open(report, encoding="ascii") as text:
        expect("begin of the report", text.read(5), "<?xml")


def tap_of_what_cannot_be_checked_bails_out(rig):
    """Harnesses take that for a failure whatever came before."""
    done = check(rig, rig.path("none"), "--tap")
    expect("status", done.returncode, 1)
    assert re.fullmatch(r"TAP version 13\nBail out! .*none.*\n", done.stdout), done.stdout


def json_has_each_result_and_the_summary_is_their_sum(rig):
    """The members that docs/check.md names."""
    done = check(rig, *BAD, "--check", "arc.legal", "--check", "access.p2p.*", "--json")
    told = json.loads(done.stdout)
    expect("members", set(told), {"format", "ferry", "device", "results", "summary",
                                  "waivers", "duration_ns", "end", "error",
                                  "exit_status"})
    expect("format", told["format"], 1)
    expect("exit status", (told["exit_status"], done.returncode), (10, 10))
    expect("device", told["device"],
           {"uri": "model:acc", "model": "acc", "pci": "1af4:1054", "uapi": 2,
            "features": ["STOP_COPY", "PRE_COPY"], "driver": "acc"})
    expect("end", (told["end"], told["error"]), ("done", None))
    sums = {p: dict.fromkeys(VERDICTS, 0) for p in PROFILES}
    name = {"pass": "passed", "fail": "failed", "skip": "skipped", "broken": "broken"}
    for result in told["results"]:
        expect("members", set(result),
               {"check", "case", "rule", "title", "profile", "verdict", "expected", "seen",
                "looked_ms", "duration_ns", "waived", "again"})
        sums[result["profile"]][name[result["verdict"]]] += 1
    expect("summary", told["summary"], sums)
    assert sums["required"]["failed"] and sums["required"]["passed"] >= 19, sums


def json_of_what_cannot_be_checked_has_the_error(rig):
    """And no results."""
    done = check(rig, rig.path("none"), "--json")
    told = json.loads(done.stdout)
    expect("status", (done.returncode, told["exit_status"]), (1, 1))
    expect("end", (told["end"], told["results"]), ("error", []))
    assert told["error"]["code"] == "FERRY_E_NOT_FOUND", told["error"]


def junit_counts_what_it_holds(rig):
    """Parsed; every count is that of its children."""
    path = rig.path("out.xml")
    done = check(rig, *BAD, "--check", "arc.legal", "--check", "access.p2p.*", "--junit",
                 path, "--quiet")
    expect("status", done.returncode, 10)
    root = xml.etree.ElementTree.parse(path).getroot()
    expect("root", (root.tag, root.get("name")), ("testsuites", "model:acc"))
    for suites in (root, *root):
        cases = list(suites.iter("testcase"))
        expect("tests of " + suites.get("name"), int(suites.get("tests")), len(cases))
        for count, tag in (("failures", "failure"), ("errors", "error"),
                           ("skipped", "skipped")):
            expect(count, int(suites.get(count)), len(list(suites.iter(tag))))
    assert int(root.get("failures")) > 1 and int(root.get("skipped")) > 1, root.attrib
    failure = next(root.iter("failure"))
    expect("type", failure.get("type"), "required")
    assert "again: ferry check model:acc" in failure.text, failure.text
    # A device that is not there is an error, not an empty success.
    check(rig, rig.path("none"), "--junit", path)
    root = xml.etree.ElementTree.parse(path).getroot()
    expect("errors", (root.get("tests"), root.get("errors")), ("1", "1"))


def waivers_take_findings_out_of_the_status(rig):
    """By check, by case and by rule; they are told all the same."""
    path, known = rig.path("waivers"), "  # known\n\n%s   the reason, with # and \"\n"
    rule = json.loads(check(rig, "--list", "--json", "--check",
                            "access.running").stdout)[0]["rule"]
    for pattern in ("access.running", "access.running[*]", rule, "access.*"):
        with open(path, "w", encoding="ascii") as file:
            file.write(known % pattern)
        done = check(rig, *BAD, "--waive", path, "--json")
        expect("status with " + pattern, done.returncode, 0)
        told = json.loads(done.stdout)
        waived = [r for r in told["results"] if r["waived"]]
        expect("waived", len(waived), told["summary"]["required"]["waived"])
        assert len(waived) > 1 and waived[0]["verdict"] == "fail", waived
        assert waived[0]["waived"].startswith("the reason"), waived[0]
        expect("waivers", [(w["pattern"], w["line"], w["findings"], w["stale"])
                           for w in told["waivers"]], [(pattern, 3, len(waived), False)])
    points = read_tap(check(rig, *BAD, "--waive", path, "--tap").stdout)
    expect("directives", {p[2] for p in points if not p[0]}, {KNOWN})
    done = check(rig, *BAD, "--waive", path, "--junit", rig.path("waived.xml"))
    assert "           waived    the reason" in done.stdout, done.stdout
    root = xml.etree.ElementTree.parse(rig.path("waived.xml")).getroot()
    expect("failures", root.get("failures"), "0")


def waivers_that_are_not_needed_are_told(rig):
    """Stale is what was tried and fails no more, not what was left out."""
    path = rig.path("stale")
    with open(path, "w", encoding="ascii") as file:
        file.write("arc.legal was wrong once\narc.gone no such check\n"
                   "arc.same not tried now\n")
    done = check(rig, "model:acc", *LEGAL, "--waive", path)
    expect("status", done.returncode, 0)
    told = done.stderr.splitlines()
    expect("lines", len(told), 2)
    assert told[0].startswith("ferry check: %s:1: stale: 'arc.legal'" % path), told
    assert told[1].startswith("ferry check: %s:2: stale: 'arc.gone'" % path), told


def bad_waiver_files_are_refused_with_the_line(rig):
    """Before the device is touched."""
    path = rig.path("bad")
    for text, want in (("arc.legal\n", ":1: a reason is needed"),
                       ("# x\n\narc.legal  \n", ":3: a reason is needed"),
                       ("x" * 200 + " why\n", ":1: the pattern is too long"),
                       ("arc.legal " + "x" * 2000 + "\n", ":1: the line is too long"),
                       ("arc.legal \0\nx", ":1: "),
                       ("arc.legal why\n" * 1001, ":1001: too many waivers"),
                       ("#" * 1000 + "\n", None),
                       (("#" * 1000 + "\n") * 1100, ": the file is too long")):
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        done = check(rig, "model:acc", *LEGAL, "--waive", path)
        expect("status of %r" % text[:20], done.returncode, 0 if want is None else 2)
        assert want is None or "bad" in done.stderr and want in done.stderr, done.stderr


def a_terminal_gets_colours_and_a_bar(rig):
    """Unless its user does not want colours."""
    for none, colours in (("", True), ("1", False)):
        master, slave = pty.openpty()
        with subprocess.Popen([rig.ferry, "check", "model:acc", *LEGAL], stdout=slave,
                              env=dict(os.environ, TERM="xterm", NO_COLOR=none)) as process:
            os.close(slave)
            text = b""
            try:
                while piece := os.read(master, 65536):
                    text += piece
            except OSError:
                pass  # the other end is closed
            expect("status", process.wait(), 0)
        os.close(master)
        expect("colours", b"\033[32mpass" in text, colours)
        assert b"\r[......" in text and b"checked" not in text, text


CASES = (wrong_options_exit_with_2_and_say_why,
         the_list_names_rule_and_profile_of_each_check, the_exit_status_says_how_bad_it_is,
         a_finding_is_told_with_a_command_that_shows_it_again,
         the_table_is_by_rule_and_sums_passed_cases_up, skips_say_what_is_missing,
         the_summary_says_which_options_check_more,
         output_that_goes_nowhere_is_no_success, output_that_nobody_wants_goes_nowhere,
         tap_is_well_formed, tap_of_what_cannot_be_checked_bails_out,
         json_has_each_result_and_the_summary_is_their_sum,
         json_of_what_cannot_be_checked_has_the_error, junit_counts_what_it_holds,
         waivers_take_findings_out_of_the_status, waivers_that_are_not_needed_are_told,
         bad_waiver_files_are_refused_with_the_line, a_terminal_gets_colours_and_a_bar)


def main():
    """Runs all of it."""
    with Rig(sys.argv[1]) as rig:
        for case in CASES:
            case(rig)
            print("ok", case.__name__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
