# SPDX-License-Identifier: BSD-3-Clause
"""Contexts and devices saved in files, restored and shown, with real devices under load.

Usage: test_files.py FERRY
"""
import json
import os
import signal
import subprocess
import sys

from kill_rig import KEY, KillRig, Link, expect, main_of


def save(rig, side, name, *args):
    """`ferry save` of a side; return: exit status, report, messages."""
    done = rig.run("save", "--control", rig.path(side + ".sock"), "--json", *args,
                   rig.path(name))
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def restore(rig, side, name, *args):
    """The same of `ferry restore`."""
    done = rig.run("restore", "--control", rig.path(side + ".sock"), "--json", *args,
                   rig.path(name))
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def show(rig, name, *args):
    """`ferry show --json`: exit status, records, summary, messages."""
    done = rig.run("show", "--json", *args, rig.path(name))
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, lines[:-1], lines[-1]["summary"], done.stderr


def leftovers(rig, name):
    """Files of a save that was not finished."""
    return [n for n in os.listdir(rig.folder) if n.startswith(name + ".")]


def work_goes_on_from_a_file(ferry):
    """Saved under load and stopped; restored elsewhere; the results are right."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        code, report, err = save(rig, "A", "state", "--stop", "--compress")
        expect("exit status: " + err, code, 0)
        expect("outcome", report["outcome"], "MOVED")
        expect("mode", os.stat(rig.path("state")).st_mode & 0o777, 0o600)
        expect("its length", report["file_bytes"], os.stat(rig.path("state")).st_size)
        expect("leftovers", leftovers(rig, "state"), [])
        assert rig.address("A"), "the host that was emptied does not listen again"
        code, records, summary, err = show(rig, "state")
        expect("show: " + err, code, 0)
        expect("devices", sorted(summary["devices"]), ["acc", "copy0", "copy1"])
        assert summary["blocks"] > 0 and summary["is_file"]
        assert not any("data" in r for r in records)
        # The key is in acc's state, and nowhere in what show says.
        assert KEY not in json.dumps(records)
        code, report, err = restore(rig, "B", "state")
        expect("exit status: " + err, code, 0)
        expect("outcome", report["outcome"], "MOVED")
        rig.proceed("B")
        code, _, err = restore(rig, "B", "state")
        expect("over a guest that works: " + err, code, 3)
        rig.finish("B")


def the_work_goes_on_beside_a_copy(ferry):
    """--then run is the default; a disk that is full and an interrupt change nothing."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        code, report, err = save(rig, "A", "copy")
        expect("exit status: " + err, code, 0)
        expect("outcome", report["outcome"], "SAVED")
        rig.proceed("A")
        done = rig.run("save", "--control", rig.path("A.sock"), "/dev/full")
        expect("a full disk", done.returncode, 4)
        assert "/dev/full" in done.stderr and "No space left" in done.stderr, done.stderr
        rig.proceed("A")
        code, _, err = save(rig, "A", "none/copy")
        expect("no such folder: " + err, code, 3)
        # It cannot end within the limit, so it is there to be interrupted.
        process = subprocess.Popen(
            [ferry, "save", "--control", rig.path("A.sock"), "--max-downtime", "1",
             rig.path("cancelled")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True)
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
        assert process.returncode in (0, 6), err
        expect("a file", os.path.exists(rig.path("cancelled")), process.returncode == 0)
        expect("leftovers", leftovers(rig, "cancelled"), [])
        rig.proceed("A")
        expect("the first file", show(rig, "copy")[0], 0)
        rig.finish("A")


def devices_are_saved_without_a_host(ferry):
    """And compared: what was restored is what is saved again."""
    with KillRig(ferry) as rig:
        devices = []
        for name in ("acc", "copy0"):
            rig.start_device(name, "A")
            devices += ["--device", "%s=%s" % (name, rig.path(name + "-A.sock"))]
        done = rig.run("save", *devices, rig.path("one"))
        expect("save: " + done.stderr, done.returncode, 0)
        assert "PRE_COPY" in done.stdout and "run on" in done.stdout, done.stdout
        done = rig.run("restore", *devices, rig.path("one"))
        expect("restore: " + done.stderr, done.returncode, 0)
        process = subprocess.Popen([ferry, "restore", "--hold", *devices, rig.path("one")],
                                   stdout=subprocess.PIPE, text=True)
        while "devices run" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
        expect("--hold", process.returncode, 0)
        done = rig.run("save", "--quiet", "--compress=9", *devices, rig.path("two"))
        expect("save: " + done.stderr, done.returncode, 0)
        assert os.stat(rig.path("two")).st_size < os.stat(rig.path("one")).st_size / 2
        ends = [{r["name"]: r["fields"] for r in show(rig, name)[1]
                 if r["tag"] == "DEVICE_END"} for name in ("one", "two")]
        expect("lengths and hashes", ends[0], ends[1])


def a_bad_file_is_refused_and_explained(ferry):
    """Cut, damaged, foreign; the devices can be used after each."""
    with KillRig(ferry) as rig:
        rig.start_device("acc", "A")
        device = ["--device", "acc=" + rig.path("acc-A.sock")]
        expect("save", rig.run("save", *device, rig.path("good")).returncode, 0)
        with open(rig.path("good"), "rb") as file:
            good = file.read()
        bad = bytearray(good)
        bad[600] ^= 4
        cases = {"cut": (good[:900], "STR-END-2"), "damaged": (bytes(bad), "STR-SUM-1"),
                 "empty": (b"", "STR-END-2"), "foreign": (b"#!/bin/sh\n" * 9, "STR-HDR-1"),
                 "longer": (good + good, "STR-ORD-1")}
        for name, (data, rule) in cases.items():
            with open(rig.path(name), "wb") as file:
                file.write(data)
            done = rig.run("restore", *device, rig.path(name))
            expect(name + ": " + done.stderr, done.returncode, 3)
            assert rule in done.stderr and "record " in done.stderr, done.stderr
            code, _, summary, err = show(rig, name)
            expect("show " + name, code, 1)
            expect("its rule: " + err, summary["error"]["rule"], rule)
        done = rig.run("restore", "--device", "other=" + rig.path("acc-A.sock"),
                       rig.path("good"))
        expect("another name: " + done.stderr, done.returncode, 3)
        expect("restore", rig.run("restore", *device, rig.path("good")).returncode, 0)


def show_reads_a_pipe_and_hides_data(ferry):
    """Unless it is told to show it, which it warns of."""
    with KillRig(ferry) as rig:
        rig.start_device("acc", "A")
        device = ["--device", "acc=" + rig.path("acc-A.sock")]
        expect("save", rig.run("save", *device, rig.path("good")).returncode, 0)
        with open(rig.path("good"), "rb") as file:
            done = subprocess.run([ferry, "show", "-"], stdin=file, capture_output=True,
                                  text=True, timeout=20, check=False)
        expect("exit status: " + done.stderr, done.returncode, 0)
        for word in ("PREAMBLE", "model=acc", "command=0x", "MSI-X", "sessions", "FILE_END",
                     "a file of version 1"):
            assert word in done.stdout, word
        assert "00000000  " not in done.stdout
        done = rig.run("show", "--data", rig.path("good"))
        assert "00000000  " in done.stdout and "keys" in done.stderr
        done = rig.run("show", "--summary", rig.path("good"))
        assert "DEVICE_CONFIG" in done.stdout and "model=acc" not in done.stdout


def a_pipe_costs_no_device(ferry):
    """Its reader goes away, or never reads: the save fails, the work goes on."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        os.mkfifo(rig.path("pipe"))
        reader = subprocess.Popen(["head", "-c", "10", rig.path("pipe")],
                                  stdout=subprocess.DEVNULL)
        done = rig.run("save", "--control", rig.path("A.sock"), rig.path("pipe"))
        expect("the reader has gone: " + done.stderr, done.returncode, 4)
        assert "Broken pipe" in done.stderr, done.stderr
        reader.wait()
        rig.proceed("A")
        end = os.open(rig.path("pipe"), os.O_RDWR)
        done = rig.run("save", "--control", rig.path("A.sock"), rig.path("pipe"))
        expect("nobody reads: " + done.stderr, done.returncode, 4)
        assert "timed out" in done.stderr, done.stderr
        os.close(end)
        rig.finish("A")


def whoever_receives_is_not_disturbed(ferry):
    """Commands that come meanwhile are refused, and it listens again when that fails."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.start_worker("B")
        rig.begin("A")
        expect("save", save(rig, "A", "state")[0], 0)
        link = Link(rig.address("B"), "DEVICE_DATA")
        process = subprocess.Popen([ferry, "migrate", "--quiet", "--control",
                                    rig.path("A.sock"), link.address],
                                   stderr=subprocess.DEVNULL)
        link.reach()
        for command in (restore(rig, "B", "state"), save(rig, "B", "other"),
                        save(rig, "A", "other")):
            expect("meanwhile: " + command[2], command[0], 3)
            assert "under way" in command[2], command[2]
        done = rig.run("migrate", "--control", rig.path("B.sock"), link.address)
        expect("meanwhile: " + done.stderr, done.returncode, 3)
        link.cut()
        expect("cut off", process.wait(20), 4)
        rig.proceed("A")
        done = rig.run("migrate", "--quiet", "--control", rig.path("A.sock"),
                       rig.address("B"))
        expect("once more: " + done.stderr, done.returncode, 0)
        rig.finish("B")


def a_killed_host_leaves_no_part_of_a_file(ferry):
    """At whatever step of a save; what had the name before is still there."""
    with KillRig(ferry) as rig:
        rig.start_worker("A")
        rig.begin("A")
        expect("save", save(rig, "A", "state")[0], 0)
        # It cannot end within the limit, so it is there to be killed.
        process = subprocess.Popen(
            [ferry, "save", "--control", rig.path("A.sock"), "--max-downtime", "1",
             "--deadline", "20000", rig.path("state")], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True)
        while "PRE_COPY" not in process.stdout.readline():
            pass
        rig.process["host-A"].kill()
        rig.process["host-A"].wait()
        process.communicate(timeout=20)
        expect("leftovers", leftovers(rig, "state"), [])
        expect("the first file", show(rig, "state")[0], 0)


def nobody_who_listens_costs_no_device(ferry):
    """Messages and a log go to a pipe that has no reader any more."""
    with KillRig(ferry) as rig:
        ends = os.pipe()
        before = os.dup(2)
        os.dup2(ends[1], 2)
        try:
            rig.start("acc", "serve", "acc", "--filter", "log", "--socket",
                      rig.path("acc.sock"))
        finally:
            os.dup2(before, 2)
            os.close(before)
            os.close(ends[1])
        os.close(ends[0])
        for _ in range(2):
            done = rig.run("save", "--device", "acc=" + rig.path("acc.sock"),
                           rig.path("file"))
            expect("save: " + done.stderr, done.returncode, 0)


def wrong_options_exit_with_2(ferry):
    """And nobody there with 1."""
    with KillRig(ferry) as rig:
        for args in (["save"], ["save", "x"], ["save", "--control", "a", "--device", "b=c",
                                               "x"],
                     ["save", "--device", "a", "x"], ["save", "--compress=20", "--control",
                                                      "a", "x"],
                     ["save", "--then", "fly", "--control", "a", "x"], ["restore", "x"],
                     ["restore", "--hold", "--control", "a", "x"], ["show"],
                     ["show", "a", "b"]):
            expect("ferry " + " ".join(args), rig.run(*args).returncode, 2)
        for args in (["save", "--control", rig.path("none"), "x"],
                     ["restore", "--device", "a=" + rig.path("none"), "x"],
                     ["show", rig.path("none")]):
            done = rig.run(*args)
            expect("ferry " + " ".join(args), done.returncode, 1)
            assert rig.path("none") in done.stderr, done.stderr


if __name__ == "__main__":
    sys.exit(main_of((work_goes_on_from_a_file, the_work_goes_on_beside_a_copy,
                      devices_are_saved_without_a_host, a_bad_file_is_refused_and_explained,
                      show_reads_a_pipe_and_hides_data, a_pipe_costs_no_device,
                      a_killed_host_leaves_no_part_of_a_file, whoever_receives_is_not_disturbed,
                      nobody_who_listens_costs_no_device, wrong_options_exit_with_2),
                     sys.argv[1]))
