# SPDX-License-Identifier: BSD-3-Clause
"""ferry check against devices of other processes: models, a plug-in's device, a partner,
and devices that die or fall silent.

Usage: test_check_devices.py FERRY COUNTER COUNTER_DRIVER ROOT
"""
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import time

from cli_rig import Rig
from test_examples import wait_for_socket

LIMIT_S = 20
ARCS = ("--check", "arc.*")
PLUGIN = """
#include "ferry/check.h"
const struct ferry_check_driver *ferry_check_driver(void);
static int start(struct ferry_check_device *device, void **state, struct ferry_error *error)
{
    (void)device; (void)state; (void)error;
    return FERRY_OK;
}
static int works(void *state, struct ferry_error *error)
{
    (void)state;
    return ferry_error_set(error, FERRY_E_TIMEOUT, "plug", NULL, 0, "no word of it");
}
static const struct ferry_check_driver driver = { %s };
const struct ferry_check_driver *ferry_check_driver(void)
{
    (void)start;
    (void)works;
    return %s;
}
"""


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def tell(rig, *args, status=0):
    """The JSON of `ferry check ARGS`."""
    done = rig.run("check", "--json", *args)
    expect("status of %s: %s" % (args, done.stderr), done.returncode, status)
    return json.loads(done.stdout)


def results(told, verdict):
    """{check: [case]} of a verdict."""
    found = {}
    for result in told["results"]:
        if result["verdict"] == verdict:
            found.setdefault(result["check"], []).append(result["case"])
    return found


def a_served_model_is_checked(rig):
    """Both forms of the URI; what only vfio-user has is tried there."""
    rig.start("acc", "serve", "acc", "--socket", rig.path("acc"))
    told = tell(rig, "vfio-user:" + rig.path("acc"), "--check", "arc.legal", "--check",
                "arc.forbidden.work")
    expect("device", (told["device"]["model"], told["device"]["driver"]), ("acc", "acc"))
    expect("skipped", results(told, "skip"), {})
    expect("passed", len(results(told, "pass")["arc.legal"]), 19)
    told = tell(rig, rig.path("acc"), "--check", "feature.message")
    assert results(told, "pass")["feature.message"]


def an_inherited_socket_is_checked_once(rig):
    """No second user can come: what needs one is skipped, no driver is looked for."""
    def run(*args):
        ours, theirs = socket.socketpair()
        with subprocess.Popen([rig.ferry, "serve", "acc", "--fd", str(theirs.fileno())],
                              pass_fds=[theirs.fileno()]) as server:
            theirs.close()
            done = subprocess.run(
                [rig.ferry, "check", "vfio-user-fd:%d" % ours.fileno(), "--json", *args],
                pass_fds=[ours.fileno()], capture_output=True, text=True, check=False,
                timeout=LIMIT_S)
            ours.close()
            server.terminate()
        return done
    done = run("--check", "arc.legal")
    expect("status", done.returncode, 0)
    assert "no driver was looked for" in done.stderr, done.stderr
    expect("passed", len(results(json.loads(done.stdout), "pass")["arc.legal"]), 19)
    done = run("--check", "arc.forbidden.work", "--driver", "acc")
    expect("status and message", (done.returncode, done.stderr), (0, ""))
    assert results(json.loads(done.stdout), "pass")["arc.forbidden.work"]
    done = run("--check", "reopen.*", "--check", "data.clean", "--check", "access.map",
               "--driver", "none")
    expect("status", done.returncode, 0)
    told = json.loads(done.stdout)
    assert set(results(told, "skip")) >= {"reopen.running", "reopen.map", "data.clean"}
    assert results(told, "pass")["access.map"] and not results(told, "broken"), told


def others_are_named_or_made(rig):
    """A partner and a foreign device; a model's are made by the command."""
    needs = ("--check", "data.partner", "--check", "data.foreign")
    for name, model in (("one", "acc"), ("two", "acc"), ("else", "copy,memory=1M")):
        rig.start(name, "serve", model, "--socket", rig.path(name))
    told = tell(rig, rig.path("one"), *needs)
    expect("without", sorted(results(told, "skip")), ["data.foreign", "data.partner"])
    told = tell(rig, rig.path("one"), *needs, "--partner", rig.path("two"), "--foreign",
                rig.path("else"))
    expect("with", sorted(results(told, "pass")), ["data.foreign", "data.partner"])
    assert "--partner" in told["results"][0]["again"], told["results"][0]
    told = tell(rig, "model:acc", *needs)
    expect("made", sorted(results(told, "pass")), ["data.foreign", "data.partner"])
    told = tell(rig, rig.path("one"), *needs, "--partner", "model:acc", "--foreign",
                "model:copy,memory=1M")
    expect("models beside", sorted(results(told, "pass")), ["data.foreign", "data.partner"])


def a_plug_in_has_its_device_work(rig):
    """The example: what its device is known to break is waived, and nothing else breaks."""
    path = rig.path("counter")
    rig.process["counter"] = subprocess.Popen([rig.counter, path])
    wait_for_socket(path)
    told = tell(rig, path, "--driver", "none", "--check", "data.goes-on")
    expect("without it", list(results(told, "skip")), ["data.goes-on"])
    told = tell(rig, path, "--driver", rig.plugin, "--waive",
                str(rig.root / "examples/check/counter.waivers"))
    expect("driver", told["device"]["driver"], "counter")
    for check in ("data.goes-on", "reopen.clean", "data.flip"):
        assert check not in results(told, "skip"), check
    expect("stale", [w["pattern"] for w in told["waivers"] if w["stale"]], [])
    other = rig.run("check", "model:acc", "--driver", rig.plugin)
    expect("status for another device", other.returncode, 2)
    assert "not for this device" in other.stderr, other.stderr


def bad_plug_ins_are_refused(rig):
    """Each with what is wrong; nothing of the device is touched."""
    compiler = os.environ.get("CC", "cc").split()
    full = ".struct_size = sizeof(driver), .name = \"x\", .start = start"
    for number, (members, value, want) in enumerate((
            (full, "NULL", "returned NULL"),
            (".struct_size = 8, .name = \"x\"", "&driver", "too small"),
            (".struct_size = sizeof(driver), .name = \"x\"", "&driver", "start()"),
            (".struct_size = sizeof(driver), .start = start", "&driver", "a name"),
            (full, "&driver", None),
            (full + ", .works = works", "&driver", None))):
        path = rig.path("plug%d.so" % number)
        subprocess.run([*compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", path,
                        "-I", str(rig.root / "include")], input=PLUGIN % (members, value),
                       text=True, check=True)
        done = rig.run("check", "model:acc", "--driver", path, "--check", "arc.same")
        expect("status of %s, %s: %s" % (members, value, done.stderr), done.returncode,
               0 if want is None else 2)
        assert want is None or want in done.stderr, done.stderr
    with open(rig.path("text.so"), "w", encoding="ascii") as file:
        file.write("no library\n")
    done = rig.run("check", "model:acc", "--driver", rig.path("text.so"))
    expect("status of no library", done.returncode, 2)
    assert "text.so" in done.stderr, done.stderr


def a_plug_in_that_never_works_is_no_fault_of_the_device(rig):
    """Uses what the test before it has built; what needs its work is not tried."""
    told = tell(rig, "model:acc", "--driver", rig.path("plug5.so"), "--check", "arc.legal",
                "--check", "data.goes-on", status=1)
    expect("failed", results(told, "fail"), {})
    expect("not tried", list(results(told, "broken")), ["data.goes-on"])
    seen = [r["seen"] for r in told["results"] if r["verdict"] == "broken"]
    assert all("driver 'x'" in text and "no word of it" in text for text in seen), seen


def a_server_that_refuses_is_named(rig):
    """It is neither an option that is wrong nor a device that does not migrate."""
    path = rig.path("refuses")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(0.1)
    for errno in (22, 25, 95):
        process = subprocess.Popen([rig.ferry, "check", path], stderr=subprocess.PIPE,
                                   text=True)
        while process.poll() is None:
            try:
                client = listener.accept()[0]
            except TimeoutError:
                continue
            with client:
                number, _, size = struct.unpack("<HHI",
                                                client.recv(8, socket.MSG_WAITALL))
                client.recv(size - 8, socket.MSG_WAITALL)
                client.sendall(struct.pack("<HHIII", number, 1, 16, 1 | 1 << 5, errno))
        told = process.communicate(timeout=LIMIT_S)[1]
        expect("status for errno %d" % errno, process.returncode, 1)
        assert path + ": the server refuses" in told, (errno, told)
    listener.close()


def run_until(rig, act, *args, word="checked arc.legal"):
    """Runs `ferry check ARGS` and acts when it has printed the word."""
    begun = time.monotonic()
    with subprocess.Popen([rig.ferry, "check", *args], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        text = ""
        for line in process.stdout:
            text += line
            if word in line:
                act(process)
                break
        rest, errors = process.communicate(timeout=LIMIT_S)
    return process.returncode, text + rest, errors, time.monotonic() - begun


def a_device_that_dies_ends_the_run(rig):
    """What was found before is told; the rest could not be tried."""
    rig.start("dies", "serve", "acc", "--socket", rig.path("dies"))
    status, text, _, _ = run_until(rig, lambda _: rig.process["dies"].kill(),
                                   rig.path("dies"), "--rule", "MIG-", "--look", "100ms")
    assert status in (1, 10), (status, text)
    assert re.search(r"^  pass   arc\.legal ", text, re.M), text
    assert "not tried" in text and "could not be tried" in text, text


def a_device_that_is_started_again_is_checked_to_the_end(rig):
    """The case in which it died has failed; none is left out."""
    def again(_):
        rig.process["again"].kill()
        rig.process["again"].wait()
        time.sleep(0.2)
        os.unlink(rig.path("again"))
        rig.start("again", "serve", "acc", "--socket", rig.path("again"))
    rig.start("again", "serve", "acc", "--socket", rig.path("again"))
    status, text, _, _ = run_until(rig, again, rig.path("again"), *ARCS,
                                   "--check", "session.*")
    assert status in (0, 8, 9, 10), (status, text)
    assert "could not be tried" not in text, text
    assert re.search(r"^  pass   session\.direction ", text, re.M), text
    assert text.count("it ended the connection") <= 1, text


def a_device_that_falls_silent_is_given_up(rig):
    """After as many limits as one may wait for."""
    rig.start("silent", "serve", "acc", "--socket", rig.path("silent"))
    try:
        status, text, _, took = run_until(
            rig, lambda _: rig.process["silent"].send_signal(signal.SIGSTOP),
            rig.path("silent"), "--timeout", "200ms", "--look", "100ms", "--rule", "MIG-")
    finally:
        rig.process["silent"].send_signal(signal.SIGCONT)
    assert status in (1, 10), (status, text)
    assert "not tried" in text and took < LIMIT_S, text


def a_request_that_hangs_in_each_case_ends_the_run(rig):
    """Else hundreds of cases would wait for hours."""
    done = rig.run("check", "model:acc", "--filter", "delay=stop:60s", "--timeout",
                   "50ms", *ARCS)
    assert done.returncode in (1, 10), (done.returncode, done.stdout)
    assert "one request after the other run into the time limit" in done.stdout, done.stdout


def an_interrupt_ends_the_run_with_what_was_found(rig):
    """All forms are complete."""
    xml = rig.path("interrupted.xml")
    status, text, errors, _ = run_until(
        rig, lambda p: p.send_signal(signal.SIGINT), "model:acc", "--look", "300ms",
        "--junit", xml)
    expect("status", status, 6)
    assert "ended by the user" in text and "arc.legal" in text, text
    assert "once more ends it at once" in errors, errors
    with open(xml, encoding="utf-8") as file:
        assert "ended by the user" in file.read()
    status, text, _, _ = run_until(
        rig, lambda p: p.send_signal(signal.SIGTERM), "model:acc", "--look", "300ms",
        "--tap", word="ok 20 ")
    expect("status", status, 6)
    assert text.splitlines()[-1].startswith("Bail out! ended by the user"), text


def the_guide_shows_code_that_is_built(rig):
    """Every block of C is, byte for byte, a piece of the example."""
    guide = (rig.root / "docs/check.md").read_text()
    blocks = re.findall(r"<!-- from (\S+) -->\n+```c\n(.*?)```\n", guide, re.S)
    expect("blocks with a file", len(blocks), guide.count("```c\n"))
    assert len(blocks) >= 3, len(blocks)
    for file, code in blocks:
        assert code in (rig.root / file).read_text(), "%s does not say:\n%s" % (file, code)


CASES = (a_served_model_is_checked, an_inherited_socket_is_checked_once,
         others_are_named_or_made, a_plug_in_has_its_device_work, bad_plug_ins_are_refused,
         a_plug_in_that_never_works_is_no_fault_of_the_device,
         a_server_that_refuses_is_named, a_device_that_dies_ends_the_run,
         a_device_that_is_started_again_is_checked_to_the_end,
         a_device_that_falls_silent_is_given_up,
         a_request_that_hangs_in_each_case_ends_the_run,
         an_interrupt_ends_the_run_with_what_was_found, the_guide_shows_code_that_is_built)


def main():
    """Runs all of it."""
    with Rig(sys.argv[1]) as rig:
        rig.counter, rig.plugin = sys.argv[2:4]
        rig.root = pathlib.Path(sys.argv[4])
        for case in CASES:
            case(rig)
            print("ok", case.__name__, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
