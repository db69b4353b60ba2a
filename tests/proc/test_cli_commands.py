# SPDX-License-Identifier: BSD-3-Clause
"""The ferry command: exit codes, info, hosts, moving an idle context, bad control input.

Usage: test_cli_commands.py FERRY
"""
import json
import signal
import sys

from cli_rig import Control, Rig


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def usage_errors_exit_with_2(rig):
    """Wrong options, arguments, models and option values."""
    for args in ([], ["nonsense"], ["serve"], ["serve", "acc"], ["serve", "--nonsense"],
                 ["serve", "nonsense", "--socket", rig.path("x")],
                 ["serve", "acc,sessions=0", "--socket", rig.path("x")],
                 ["serve", "acc,nonsense=1", "--socket", rig.path("x")],
                 ["info"], ["host"], ["host", "--control", rig.path("x"), "--device", "a"],
                 ["host", "--memory", "12X"], ["migrate", "tcp:127.0.0.1:1"],
                 ["resolve", "--control", rig.path("x")],
                 ["resolve", "--control", rig.path("x"), "--run-here", "--discard"],
                 ["serve", "acc", "--socket", rig.path("x"), "--ready-fd", "77"],
                 ["host", "--control", rig.path("x"), "--device", "a=" + rig.path("x"),
                  "--arbiter", "file:" + rig.path("none")],
                 ["host", "--control", rig.path("x"), "--device", "a=x"],
                 ["migrate", "--control", rig.path("x"), "--arbiter", "x", "unix:x"],
                 ["info", "x"], ["info", "/x", "/y"], ["show", "x", "y"],
                 ["migrate", "--control", rig.path("x"), "unix:x", "unix:y"],
                 ["demo", "x", "y"], ["save", "--control", rig.path("x"), "x", "y"],
                 ["demo", "--migrations", "0"], ["demo", "--lanes", "-1"]):
        done = rig.run(*args)
        expect("ferry %s" % " ".join(args), done.returncode, 2)
        assert done.stderr, "ferry %s says nothing" % " ".join(args)


def help_and_version_exit_with_0(rig):
    """On standard output."""
    for args in (["--help"], ["--version"], ["serve", "--help"], ["demo", "--help"]):
        done = rig.run(*args)
        expect("ferry %s" % " ".join(args), done.returncode, 0)
        assert done.stdout and not done.stderr


def nobody_there_is_said(rig):
    """Commands whose other end is missing name the path."""
    for args in (["info", rig.path("none")],
                 ["migrate", "--control", rig.path("none"), "tcp:127.0.0.1:1"],
                 ["resolve", "--control", rig.path("none"), "--discard"]):
        done = rig.run(*args)
        expect("ferry %s" % args[0], done.returncode, 1)
        assert rig.path("none") in done.stderr, done.stderr


def info_tells_what_a_device_is(rig):
    """And whether its state could move to another."""
    rig.start("i1", "serve", "acc,sessions=8", "--socket", rig.path("i1"))
    rig.start("i2", "serve", "acc,sessions=4", "--socket", rig.path("i2"))
    rig.start("i3", "serve", "copy", "--socket", rig.path("i3"))
    view = json.loads(rig.run("info", "--json", "vfio-user:" + rig.path("i1")).stdout)
    expect("model", view["identity"]["model"], "acc")
    expect("stop_copy", view["migration"]["stop_copy"], True)
    expect("p2p", view["migration"]["p2p"], False)
    expect("hindrances", view["migration"]["hindrances"], [])
    expect("extensions", view["extensions"],
           dict.fromkeys(("write_multiple", "notices", "precopy_info",
                          "dirty_runs", "data_fd", "counters"), True) |
           {"twin_socket": False})
    expect("device-specific regions", view["special_regions"], [])
    assert "dirty_runs" in rig.run("info", rig.path("i1")).stdout
    view = json.loads(rig.run("info", "--json", rig.path("i3")).stdout)
    expect("p2p", view["migration"]["p2p"], True)
    assert any(r["mmap"] for r in view["regions"])
    expect("to fewer sessions",
           rig.run("info", rig.path("i1"), "--to", rig.path("i2")).returncode, 3)
    expect("to more sessions",
           rig.run("info", rig.path("i2"), "--to", rig.path("i1")).returncode, 0)
    expect("to another model",
           rig.run("info", rig.path("i1"), "--to", rig.path("i3")).returncode, 3)


def serve_ends_at_sigterm_and_leaves_nothing(rig):
    """Exit status 0, the socket is gone; a second server is refused before."""
    rig.start("end", "serve", "copy", "--socket", rig.path("end"))
    expect("second server",
           rig.run("serve", "copy", "--socket", rig.path("end")).returncode, 1)
    process = rig.process.pop("end")
    process.send_signal(signal.SIGTERM)
    expect("exit status", process.wait(5), 0)


def bad_control_lines_get_errors(rig):
    """And the host goes on."""
    control = rig.control("A")
    expect("unknown", control.call("nonsense")["error"]["code"], "FERRY_E_MESSAGE")
    expect("no cancel", "error" in control.call("cancel"), True)
    expect("no resolve", control.call("resolve", run_here=True)["error"]["code"],
           "FERRY_E_STATE")
    expect("resolve what", control.call("resolve")["error"]["code"], "FERRY_E_ARGUMENT")
    expect("no work", control.call("work-start", key="00" * 32)["error"]["code"],
           "FERRY_E_STATE")
    expect("no address", "error" in control.call("migrate"), True)
    for line in ("[1]", "{", "{} {}", "x" * 70000):
        broken = rig.control("A")
        try:
            broken.send(line)
            expect("broken line", broken.file.readline(), "")
        except (ConnectionResetError, BrokenPipeError):
            pass
    expect("still there", Control(rig.path("A.sock")).call("status")["reply"], "status")


def addresses_beyond_loopback_are_refused(rig):
    """A plain TCP listener binds to loopback only."""
    rig.start("l1", "serve", "copy", "--socket", rig.path("l1"))
    done = rig.run("host", "--device", "c=" + rig.path("l1"), "--control", rig.path("l"),
                   "--listen", "tcp:0.0.0.0:0")
    expect("exit status", done.returncode, 1)
    assert "0.0.0.0" in done.stderr, done.stderr


def an_idle_context_moves_to_and_fro(rig):
    """By ferry migrate; a host whose context has left listens again."""
    here, there = "A", "B"
    for _ in range(3):
        address = ""
        while not address:
            address = rig.control(there).call("status")["address"]
        done = rig.run("migrate", "--control", rig.path(here + ".sock"), "--json", address)
        expect("migrate: " + done.stderr, done.returncode, 0)
        report = json.loads(done.stdout)
        expect("outcome", report["outcome"], "MOVED")
        expect("devices", [d["name"] for d in report["devices"]], ["acc", "copy0", "copy1"])
        parts = sum(report[k + "_ns"] for k in ("pause", "quiet", "stop", "transfer",
                                                "prepare", "commit"))
        expect("parts of the downtime", parts, report["downtime_ns"])
        here, there = there, here


def requests_in_flight_need_a_guest(rig):
    """A host without work has none, now or later; the reason is said."""
    done = rig.run("migrate", "--control", rig.path("B.sock"), "--min-in-flight", "1",
                   "unix:" + rig.path("none"))
    expect("exit status", done.returncode, 3)
    assert "--work" in done.stderr, done.stderr


def migrating_to_nobody_is_refused(rig):
    """Exit status 3, and the host can still move."""
    done = rig.run("migrate", "--control", rig.path("B.sock"), "unix:" + rig.path("none"))
    expect("exit status", done.returncode, 3)
    assert "none" in done.stderr, done.stderr


def main():
    with Rig(sys.argv[1]) as rig:
        rig.start_side("A")
        rig.start_side("B")
        for test in (usage_errors_exit_with_2, help_and_version_exit_with_0,
                     nobody_there_is_said, info_tells_what_a_device_is,
                     serve_ends_at_sigterm_and_leaves_nothing, bad_control_lines_get_errors,
                     addresses_beyond_loopback_are_refused, an_idle_context_moves_to_and_fro,
                     requests_in_flight_need_a_guest, migrating_to_nobody_is_refused):
            test(rig)
            print("passed: " + test.__name__.replace("_", " "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
