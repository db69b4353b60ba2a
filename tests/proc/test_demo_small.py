# SPDX-License-Identifier: BSD-3-Clause
"""The demo over a small input: it is right, its figures add up, and it leaves nothing.

Usage: test_demo_small.py FERRY
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time


def start(ferry, folder, *args):
    """The demo with its temporary folder inside `folder`."""
    return subprocess.Popen([ferry, "demo", *args, os.path.join(folder, "input")],
                            env=dict(os.environ, TMPDIR=folder), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def children(process):
    """The processes that a demo has started."""
    path = "/proc/%d/task/%d/children" % (process.pid, process.pid)
    with open(path, encoding="ascii") as file:
        return [int(pid) for pid in file.read().split()]


def alive(pids):
    """Which of these are still there."""
    return [pid for pid in pids if os.path.exists("/proc/%d" % pid)]


def a_demo_is_identical_and_adds_up(ferry, folder):
    """An input that ends inside a block, so that padding and short requests are in it."""
    demo = start(ferry, folder, "--json", "--migrations", "3")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    report = json.loads(out)
    work = report["work"]
    assert report["ok"] and report["identical"]
    assert len(report["migrations"]) == 3 and work["stop_count"] == 3
    assert min(m["in_flight"] for m in report["migrations"]) >= 16
    assert all(m["report"]["outcome"] == "MOVED" for m in report["migrations"])
    assert work["passes"] >= 1
    assert report["lanes_verified"] == work["passes"] * report["lanes"]
    assert work["completed"] == work["submitted"] == 3 * work["requests"]
    assert work["lost"] == work["twice"] == work["interrupts_lost"] == 0
    assert report["worst_downtime_ns"] == max(m["report"]["downtime_ns"]
                                              for m in report["migrations"])
    frames = work["frames"]
    assert frames["sent"] == frames["received"] > 1000, frames
    assert frames["lost"] == frames["wrong"] == frames["twice"] == 0, frames
    assert frames["announced"] == 3, frames
    assert not work["packed"]
    assert os.listdir(folder) == ["input"], os.listdir(folder)


def packed_rings_are_identical_too(ferry, folder):
    """And the guest really uses them."""
    demo = start(ferry, folder, "--json", "--migrations", "2", "--packed", "--lanes", "16",
                 "--depth", "3", "--block", "16K")
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    report = json.loads(out)
    assert report["ok"] and report["identical"] and report["work"]["packed"]
    assert report["lanes"] == report["work"]["lanes"] == 16


def a_tiny_input_is_repeated(ferry, folder):
    """Of one byte, thousands of passes would have to be verified."""
    with open(os.path.join(folder, "tiny"), "wb") as file:
        file.write(b"x")
    done = subprocess.run([ferry, "demo", "--json", "--migrations", "1",
                           os.path.join(folder, "tiny")], timeout=60, check=False,
                          env=dict(os.environ, TMPDIR=folder), capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["identical"] and report["work"]["passes"] < 100, report["work"]
    os.remove(os.path.join(folder, "tiny"))
    assert os.listdir(folder) == ["input"], os.listdir(folder)


def an_interrupt_while_verifying_is_no_failure(ferry, folder):
    """Also when the whole process group gets it, as by a terminal's Ctrl-C."""
    demo = subprocess.Popen([ferry, "demo", "--migrations", "2",
                             os.path.join(folder, "input")],
                            env=dict(os.environ, TMPDIR=folder), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, start_new_session=True)
    while "decrypting" not in demo.stdout.readline():
        assert demo.poll() is None, demo.stderr.read()
    os.killpg(demo.pid, signal.SIGINT)
    _, err = demo.communicate(timeout=20)
    assert demo.returncode == 6, (demo.returncode, err)
    assert "decrypt to" not in err, err
    assert os.listdir(folder) == ["input"], os.listdir(folder)


def wait_for_children(demo, count):
    """Until the demo has started so many."""
    deadline = time.monotonic() + 20
    while len(children(demo)) < count and time.monotonic() < deadline:
        time.sleep(0.02)
    pids = children(demo)
    assert len(pids) == count, pids
    return pids


def an_interrupted_demo_leaves_nothing(ferry, folder):
    """No process, no file, exit status 6."""
    demo = start(ferry, folder, "--migrations", "50")
    pids = wait_for_children(demo, 10)
    time.sleep(0.5)
    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=20)
    assert demo.returncode == 6, demo.returncode
    assert not alive(pids)
    assert os.listdir(folder) == ["input"], os.listdir(folder)


def a_device_that_dies_fails_the_demo(ferry, folder):
    """With a message that says so, and nothing is left either."""
    demo = start(ferry, folder, "--migrations", "50")
    pids = wait_for_children(demo, 10)
    os.kill(pids[0], signal.SIGKILL)
    _, err = demo.communicate(timeout=40)
    assert demo.returncode == 1, demo.returncode
    assert "FAILED" in err, err
    assert not alive(pids)
    assert os.listdir(folder) == ["input"], os.listdir(folder)


def main():
    with tempfile.TemporaryDirectory(prefix="ferry-test-") as folder:
        with open(os.path.join(folder, "input"), "wb") as file:
            file.write(os.urandom(20000003))
        for test in (a_demo_is_identical_and_adds_up, packed_rings_are_identical_too,
                     a_tiny_input_is_repeated,
                     an_interrupt_while_verifying_is_no_failure,
                     an_interrupted_demo_leaves_nothing,
                     a_device_that_dies_fails_the_demo):
            test(sys.argv[1], folder)
            print("passed: " + test.__name__.replace("_", " "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
