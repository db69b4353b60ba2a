# SPDX-License-Identifier: BSD-3-Clause
"""Timelines: what `ferry migrate --trace` and `ferry report` write, and bad files.

Usage: test_timeline.py FERRY
"""
import json
import socket
import sys
import threading

from cli_rig import DEVICES, Rig


def move(rig):
    """One migration from a to b, traced; the trace of both sides."""
    rig.start_side("a")
    rig.start_side("b")
    address = rig.control("b").call("status")["address"]
    done = rig.run("migrate", "--control", rig.path("a.sock"), "--trace",
                   rig.path("source.json"), address)
    assert done.returncode == 0, done.stderr
    done = rig.run("report", "--control", rig.path("a.sock"), "--control",
                   rig.path("b.sock"), "--trace", rig.path("both.json"), "--output",
                   rig.path("page.html"))
    assert done.returncode == 0, done.stderr
    return read(rig, "both.json")


def read(rig, name):
    """A file as an object."""
    with open(rig.path(name), encoding="utf-8") as file:
        return json.load(file)


def write(rig, name, text):
    """A file of this text; its path."""
    with open(rig.path(name), "w", encoding="utf-8") as file:
        file.write(text if isinstance(text, str) else json.dumps(text))
    return rig.path(name)


def pid_of(trace, role):
    """The process number of a side."""
    return next(side["pid"] for side in trace["otherData"]["sides"]
                if side["role"] == role)


def spans(trace, role, cat, device=None):
    """Spans of one kind of a side."""
    return [event for event in trace["traceEvents"]
            if event["ph"] == "X" and event["pid"] == pid_of(trace, role) and
            event["cat"] == cat and event["args"].get("device") == device]


def both_sides_are_there_with_every_device(trace):
    """Names, states, data."""
    sides = {side["role"]: side for side in trace["otherData"]["sides"]}
    assert set(sides) == {"source", "target"}
    assert sides["source"]["session"] == sides["target"]["session"] != ""
    for side in sides.values():
        assert side["devices"] == [name for name, _ in DEVICES]
        assert side["report"]["outcome"] == "MOVED"
    for name, _ in DEVICES:
        names = [event["name"] for event in spans(trace, "source", "state", name)]
        assert names[-1] == "STOP_COPY" and names[0] == "PRE_COPY", names
        assert spans(trace, "target", "state", name)[-1]["name"] == "RUNNING"
        assert spans(trace, "source", "data", name) and spans(trace, "target", "data", name)


def the_times_are_in_order(trace):
    """The pause comes before every stop, the stop before the target's run."""
    paused = spans(trace, "source", "cpus")
    assert [event["name"] for event in paused] == ["pausing", "paused"]
    for name, _ in DEVICES:
        stop = spans(trace, "source", "state", name)[-1]
        run = spans(trace, "target", "state", name)[-1]
        assert paused[0]["ts"] <= stop["ts"] <= stop["ts"] + stop["dur"] <= run["ts"]
    times = [event["ts"] for event in trace["traceEvents"] if event["ph"] != "M"]
    assert times == sorted(times)


def spans_of_a_row_do_not_overlap(trace):
    """Or a viewer would draw one inside the other."""
    rows = {}
    for event in trace["traceEvents"]:
        if event["ph"] == "X":
            rows.setdefault((event["pid"], event["tid"]), []).append(event)
    for row in rows.values():
        for before, after in zip(row, row[1:]):
            assert before["ts"] + before["dur"] <= after["ts"] + 0.002, (before, after)


def text_lists_the_steps(rig):
    """Of a trace of the source alone."""
    done = rig.run("report", rig.path("source.json"))
    assert done.returncode == 0, done.stderr
    for word in ("source of migration", "PRE_COPY", "STOP_COPY", "copy1", "last round"):
        assert word in done.stdout, done.stdout


def clocks_of_two_machines_are_put_together(rig, trace):
    """A target whose clock is an hour ahead, on another machine."""
    pid = pid_of(trace, "target")
    for side in trace["otherData"]["sides"]:
        if side["pid"] == pid:
            side["boot"] = "another"
    for event in trace["traceEvents"]:
        if event["pid"] == pid and "ts" in event:
            event["ts"] += 3600e6
    path = write(rig, "ahead.json", trace)
    done = rig.run("report", "--json", path)
    assert done.returncode == 0, done.stderr
    again = json.loads(done.stdout)
    both_sides_are_there_with_every_device(again)
    the_times_are_in_order(again)


def what_is_no_timeline_is_refused(rig, trace):
    """With the file's name and what is wrong in it."""
    event = {"ph": "X", "pid": 1, "name": "x", "args": {}}
    cases = {
        "no JSON": "{", "a list": "[]", "another format": {"otherData": {"format": "x"}},
        "no sides": {"otherData": {"format": "ferry-timeline-1"}, "traceEvents": []},
        "a side without a pid": {"otherData": {"format": "ferry-timeline-1", "sides": [{}]},
                                 "traceEvents": []},
        "an empty event": dict(trace, traceEvents=[{}]),
        "a span without a length": dict(trace, traceEvents=[dict(event, ts=1, cat="c")]),
        "an unknown event": dict(trace, traceEvents=[dict(event, ph="Z")]),
        "a name that is a number": dict(trace, traceEvents=[dict(event, ph="M", name=1)]),
        "a long name": dict(trace, traceEvents=[dict(event, ph="M", name="n" * 300)]),
        "deep nesting": "[" * 5000,
    }
    for what, content in cases.items():
        done = rig.run("report", write(rig, "bad.json", content))
        assert done.returncode == 1, (what, done)
        assert rig.path("bad.json") in done.stderr, (what, done.stderr)
    done = rig.run("report", rig.path("none.json"))
    assert done.returncode == 1 and "No such file" in done.stderr, done
    done = rig.run("report")
    assert done.returncode == 2, done
    done = rig.run("report", "--output", "/dev/full", rig.path("source.json"))
    assert done.returncode == 1 and "/dev/full" in done.stderr, done


def answers_of_any_host_are_taken(rig):
    """One that says nothing of what is expected neither ends the command nor its terminal."""
    path = rig.path("strange.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    pages = [
        {"next": 5, "total": 5, "role": "\033[2Jsource", "devices": [None, {}, "a\033"],
         "report": {"outcome": "\033]0;x\007"}, "events": [
             [1, 4, -1, 0, None, None, None], [1, 1, 0, 0, None, None, 0],
             [2, 2, 0, -3, None, None, 7], [2, 3, 1, 0, {}, [], 0], [], 7, None,
             [3, 1, 2, 0, "state\033", "b\033[1m", 0], [9, 2, 2, 0, "state\033", "s", 0]]},
        {"next": 1 << 40, "total": 1 << 62, "role": 7, "devices": 3, "report": [],
         "events": None},
    ]

    def answer():
        for page in pages:
            peer = listener.accept()[0]
            with peer, peer.makefile("rw", encoding="utf-8") as lines:
                at = 0
                while lines.readline():
                    # A host that never ends is left in the end.
                    lines.write(json.dumps(dict(page, next=page["next"] + at)) + "\n")
                    lines.flush()
                    at += 1

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    for _ in pages:
        done = rig.run("report", "--control", path)
        assert done.returncode in (0, 1), (done.returncode, done.stderr)
        assert "\033" not in done.stdout and "\007" not in done.stdout, done.stdout
    thread.join(20)
    assert not thread.is_alive()


def times_that_are_none_are_printed(rig, trace):
    """A length below zero, past every number, or none."""
    for length in (-1e9, 1e300, float("nan")):
        for event in trace["traceEvents"]:
            if event["ph"] == "X":
                event["dur"] = length
        done = rig.run("report", write(rig, "odd.json", json.dumps(trace)))
        assert done.returncode in (0, 1), (length, done.returncode, done.stderr)


def a_host_without_a_migration_says_so(rig):
    """Instead of an empty page."""
    rig.start_side("c")
    done = rig.run("report", "--control", rig.path("c.sock"))
    assert done.returncode == 1 and "nothing has migrated" in done.stderr, done


def a_page_holds_no_text_that_ends_its_script(rig, trace):
    """Names come from files."""
    trace["traceEvents"][-1]["name"] = "</script><b>x"
    path = write(rig, "script.json", trace)
    done = rig.run("report", "--output", "-", path)
    assert done.returncode == 0, done.stderr
    assert "</script><b>" not in done.stdout
    assert done.stdout.count("</script>") == 2


def main():
    """All of it over one migration."""
    with Rig(sys.argv[1]) as rig:
        trace = move(rig)
        both_sides_are_there_with_every_device(trace)
        the_times_are_in_order(trace)
        spans_of_a_row_do_not_overlap(trace)
        text_lists_the_steps(rig)
        clocks_of_two_machines_are_put_together(rig, read(rig, "both.json"))
        what_is_no_timeline_is_refused(rig, read(rig, "both.json"))
        a_page_holds_no_text_that_ends_its_script(rig, read(rig, "both.json"))
        times_that_are_none_are_printed(rig, read(rig, "both.json"))
        a_host_without_a_migration_says_so(rig)
        answers_of_any_host_are_taken(rig)


main()
