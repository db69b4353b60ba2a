# SPDX-License-Identifier: BSD-3-Clause
"""`ferry qemu`: what it adds to QEMU's command, what it refuses, how models live and end.

QEMU is a program that writes down how it was started.

Usage: test_qemu_command.py FERRY
"""
import json
import os
import select
import shutil
import signal
import stat
import struct
import subprocess
import sys
import time

from qemu_fake import FAKE, LIMIT_S, Rig, expect


def added(plan):
    """The added words as one text."""
    return " ".join(w for one in plan["added"] for w in one["words"])


def the_command_gets_what_it_lacks(rig):
    """Order and content of all words; descriptors of tokens; LD_PRELOAD behind the user's."""
    done = rig.run("--device", "acc.sock,addr=5", "--device",
                   "vfio-user:" + rig.socket + ".2,id=two,bus=plug,qemu.migration-events=on",
                   "--", rig.qemu, "-m", "1G", "disk.img", CODE="0")
    expect("second socket is missing", done.returncode, 3)
    os.link(rig.socket, rig.socket + ".2")
    done = rig.run("--device", "acc.sock,addr=5", "--device",
                   "vfio-user:" + rig.socket + ".2,id=two,bus=plug,qemu.migration-events=on",
                   "--", rig.qemu, "-m", "1G", "disk.img", LD_PRELOAD=rig.bridge)
    expect("exit status " + done.stderr, done.returncode, 0)
    note = rig.note()
    expect("arguments", note["argv"], [
        "-m", "1G", "disk.img",
        "-object", "memory-backend-memfd,id=ferry-ram,size=1G,share=on",
        "-machine", "memory-backend=ferry-ram", "-machine", "aux-ram-share=on",
        "-object", "iommufd,id=ferry,fd=64",
        "-device", "vfio-pci,id=ferry0,fd=65,iommufd=ferry,addr=5",
        "-device", "vfio-pci,id=two,fd=66,iommufd=ferry,bus=plug,migration-events=on"])
    expect("LD_PRELOAD", note["preload"], rig.bridge + ":" + rig.bridge)
    for fd in ("64", "65", "66"):
        assert note["fds"][fd].startswith("/memfd:"), note["fds"]
    lines = done.stderr.splitlines()
    expect("said", [line.split(" (")[0] for line in lines], [
        "ferry qemu: added -object memory-backend-memfd,id=ferry-ram,size=1G,share=on "
        "-machine memory-backend=ferry-ram",
        "ferry qemu: added -machine aux-ram-share=on",
        "ferry qemu: added -object iommufd,id=ferry,fd=64",
        "ferry qemu: added -device vfio-pci,id=ferry0,fd=65,iommufd=ferry,addr=5",
        "ferry qemu: added -device vfio-pci,id=two,fd=66,iommufd=ferry,bus=plug,"
        "migration-events=on"])
    expect("--quiet", rig.run("--quiet", "--device", rig.socket, "--", rig.qemu).stderr, "")


def memory_is_added_only_where_there_is_none(rig):
    """Every way to name memory, and what becomes of it."""
    memfd = "memory-backend-memfd,id=ram,size=1G"
    for args, size, note in (
            ("", "128M", ""), ("-m 512", "512M", ""), ("-m 2G", "2G", ""),
            ("--m 1G", "1G", ""), ("-m size=3G,slots=2,maxmem=8G", "3G", ""),
            ("-m slots=2,maxmem=8G,size=700", "700M", ""), ("-m 1.5G", "1.5G", ""),
            ("-m 1G -m 2G", "2G", ""), ("-m 1G -m maxmem=4G", "1G", ""),
            ("-M q35,memory.size=2147483648", "2147483648", ""),
            # Not options but values of options.
            ("-append -mem-path -m 1G", "1G", ""), ("-name -m -m 3G", "3G", ""),
            ("-S -m 1G", "1G", ""),
            ("-object %s -machine q35,memory-backend=ram" % memfd, None, ""),
            ("-object %s --machine memory-backend=ram -m 1G" % memfd, None, ""),
            ("-object %s -M memory-backend=ram,accel=tcg" % memfd, None, ""),
            ("-object %s -numa node,memdev=ram" % memfd, None, ""),
            ('-object {"qom-type":"memory-backend-memfd","id":"ram","size":1}'
             " -machine memory-backend=ram", None, ""),
            ("-object memory-backend-ram,id=ram,size=1G -machine memory-backend=ram", None,
             "share=on"),
            ("-object memory-backend-file,id=ram,mem-path=/x,share=on -numa node,memdev=ram",
             None, ""),
            ("-object %s,share=off -machine memory-backend=ram" % memfd, None, "share=on"),
            ('-object {"qom-type":"memory-backend-ram","id":"ram"}'
             " -machine memory-backend=ram", None, "share=on"),
            # Memory to be plugged is the user's too, and has to be shared as well.
            ("-m 1G -object memory-backend-ram,id=dimm,size=1G", "1G", "share=on"),
            ("-mem-path /dev/hugepages -m 1G", None, "-mem-path"),
            ("-numa node,mem=1G -m 1G", None, "-numa"), ("-m 1G -numa node,cpus=0", "1G", ""),
            ("-readconfig x.cfg", None, "-readconfig"), ("-machine none", None, "")):
        plan = rig.plan(*args.split(), known=False)
        want = "memory-backend-memfd,id=ferry-ram,size=%s,share=on -machine " \
               "memory-backend=ferry-ram" % size
        expect("memory of " + args, want in added(plan) if size else
               "ferry-ram" not in added(plan), True)
        assert (note in plan.get("note", "")) and bool(note) == ("note" in plan), \
            "%s: note %r" % (args, plan.get("note"))
    for args, said in (([], True), (["-m", "1G"], False)):
        done = rig.run("--device", rig.socket, "--", rig.qemu, *args)
        expect("default size is said", "there is no -m" in done.stderr, said)
    done = rig.run("--keep-memory", "--device", rig.socket, "--", rig.qemu)
    assert "ferry-ram" not in " ".join(rig.note()["argv"]), done.stderr


def roms_are_shared_where_qemu_knows_it(rig):
    """By version, and not twice."""
    for version, there in (("11.1.3", True), ("10.0.2", True), ("9.2.0", False),
                           ("nonsense", False)):
        expect(version, "aux-ram-share=on" in added(rig.plan(VERSION=version)), there)
    assert "aux-ram-share" not in added(rig.plan("-machine", "q35,aux-ram-share=off"))


def ids_are_nobody_elses(rig):
    """Another prefix when the user's ids begin with ferry."""
    for args, iommu, device in (
            (("-object", "iommufd,id=mine"), "id=ferry,", "id=ferry0,"),
            (("-object", "iommufd,id=ferry"), "id=ferry2-,", "id=ferry2-0,"),
            (("-netdev", "user,id=ferry7", "-object", "rng-random,id=ferry2-ram"),
             "id=ferry3-,", "id=ferry3-0,"),
            (("-device", '{"driver":"e1000","id":"ferry0"}'), "id=ferry2-,", "id=ferry2-0,")):
        words = added(rig.plan(*args, known=False))
        assert "iommufd," + iommu in words and "vfio-pci," + device in words, words
    plan = rig.plan(device=rig.socket + ",id=acc.0_a-b,name=cipher")
    assert "vfio-pci,id=acc.0_a-b,fd=" in added(plan), plan


def wrappers_hand_on(rig):
    """A shell, env, and a program of another name."""
    other = rig.program("start-it", b'#!/bin/sh\nexec "%s" "$@"\n' % rig.qemu.encode())
    done = rig.run("--device", rig.socket, other, "-accel", "kvm")
    expect("exit status " + done.stderr, done.returncode, 0)
    expect("an accelerator is no program", rig.note()["argv"][:2], ["-accel", "kvm"])
    for command, there in (
            (["sh", "-c", 'exec "$0" -m 1G "$@"', rig.qemu], "size=128M"),
            (["env", "A=b", rig.qemu, "-m", "1G"], "size=1G"),
            ([other, "-m", "1G"], "size=1G")):
        done = rig.run("--device", rig.socket, *command)
        expect("exit status " + done.stderr, done.returncode, 0)
        note = rig.note()
        assert note["argv"][:2] == ["-m", "1G"] and there in " ".join(note["argv"]), note
        expect("tokens", [note["fds"][fd].split(":")[0] for fd in ("64", "65")],
               ["/memfd", "/memfd"])
        expect("LD_PRELOAD", note["preload"], rig.bridge)


def it_becomes_qemu(rig):
    """Exit status, signals and the process id are QEMU's."""
    for code in ("0", "1", "42"):
        expect("exit status", rig.run("--device", rig.socket, "--", rig.qemu,
                                      CODE=code).returncode, int(code))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup's children ignore it
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGHUP):
        process = rig.start("--device", rig.socket, "--device", "model=copy,memory=1M",
                            "--", rig.qemu)
        expect("process id", rig.note()["pid"], process.pid)
        process.send_signal(number)
        expect("killed", process.wait(LIMIT_S), -number)
    rig.wait_clean("killed")


def models_live_as_long_as_qemu(rig):
    """At private sockets; gone after QEMU's end, however that came."""
    process = rig.start("--device", "model=copy,memory=1M,id=c,addr=4", "--device", "model=acc",
                        "--", rig.qemu)
    argv = " ".join(rig.note()["argv"])
    assert "vfio-pci,id=c,fd=65,iommufd=ferry,addr=4" in argv and "id=ferry1,fd=66" in argv
    expect("servers", len(rig.servers()), 2)
    folder = os.path.join(rig.tmp, os.listdir(rig.tmp)[0])
    expect("mode", stat.S_IMODE(os.stat(folder).st_mode), 0o700)
    info = subprocess.run([rig.ferry, "info", "--json", os.path.join(folder, "0.sock")],
                          capture_output=True, text=True, timeout=LIMIT_S, check=False)
    expect("model " + info.stderr, json.loads(info.stdout)["identity"]["model"], "copy")
    process.kill()
    process.wait()
    rig.wait_clean("after SIGKILL")
    done = rig.run("--device", "model=acc", "--", rig.qemu, CODE="7")
    expect("exit status", done.returncode, 7)
    rig.wait_clean("after exit")


def models_of_a_daemon_live_on(rig):
    """The first process ends, its caller's standard error ends, the servers stay."""
    process = rig.start("--device", "model=acc", "--", rig.qemu, "-daemonize", FORK="1")
    expect("exit status", process.wait(LIMIT_S), 0)
    os.kill(rig.note()["pid"], 0)
    expect("servers", len(rig.servers()), 1)
    os.kill(rig.note()["pid"], signal.SIGKILL)
    rig.wait_clean("after the daemon's end")


def models_survive_a_wrapper_that_closes_all(rig):
    """As long as the first process lives."""
    process = rig.start("--device", "model=acc", "--", rig.qemu, CLOSE="1")
    time.sleep(0.3)
    expect("servers", len(rig.servers()), 1)
    process.kill()
    process.wait()
    rig.wait_clean("after its end")


def nothing_of_the_users_is_held(rig):
    """A pipe that the user hands to QEMU ends with QEMU, not later; and no zombie stays."""
    read_end, write_end = os.pipe()
    process = rig.start("--device", "model=acc", "--", rig.qemu, pass_fds=[write_end])
    os.close(write_end)
    server = rig.servers()[0]
    for pid in (server, rig.parent(server)):
        links = [os.readlink("/proc/%d/fd/%s" % (pid, fd))
                 for fd in os.listdir("/proc/%d/fd" % pid)]
        assert os.readlink("/proc/self/fd/%d" % read_end) not in links, links
    process.kill()
    process.wait()
    assert select.select([read_end], [], [], LIMIT_S)[0]
    os.close(read_end)
    rig.wait_clean("after its end")


def killed_while_it_starts(rig):
    """Nothing is left at whatever moment that comes; also for a keeper told to end."""
    for i in range(15):
        process = subprocess.Popen(
            [rig.ferry, "qemu", "--quiet", "--device", "model=acc", "--", rig.qemu],
            env=rig.environment(NAP="60"))
        if i < 12:
            time.sleep(0.004 * i)
        else:  # just when the keeper is about to tell that the server is ready
            while not rig.servers():
                pass
        process.kill()
        process.wait()
        rig.wait_clean("killed in turn %d" % i)
    process = rig.start("--device", "model=acc", "--", rig.qemu)
    os.kill(rig.parent(rig.servers()[0]), signal.SIGTERM)
    rig.wait_clean("keeper was told to end")
    expect("QEMU", process.poll(), None)
    process.kill()
    # Even one that cannot clean up leaves no server behind.
    process = rig.start("--device", "model=acc", "--", rig.qemu)
    os.kill(rig.parent(rig.servers()[0]), signal.SIGKILL)
    rig.wait(lambda: not rig.servers(), "a server outlives its keeper")
    process.kill()
    for name in os.listdir(rig.tmp):
        shutil.rmtree(os.path.join(rig.tmp, name))


def a_dead_model_is_told(rig):
    """Its name, how it ended and what that means; QEMU goes on."""
    process = rig.start("--device", "model=acc,id=cipher", "--log", "log", "--", rig.qemu)
    os.kill(rig.servers()[0], signal.SIGKILL)
    rig.wait(lambda: os.path.exists(rig.path("log")) and "cipher" in
             open(rig.path("log"), encoding="utf-8").read(), "nothing in the log")
    with open(rig.path("log"), encoding="utf-8") as log:
        text = log.read()
    assert "signal 9" in text and "lost" in text, text
    expect("QEMU", process.poll(), None)
    process.terminate()
    process.wait()
    rig.wait_clean("after its end")


def elf(kind, machine=62, segments=()):
    """The beginning of a program: kind is 1 for 32 bits and 2 for 64."""
    head = b"\x7fELF" + bytes((kind, 1, 1)) + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return head + b"".join(struct.pack("<II", s, 4) + bytes(48) for s in segments)


def what_cannot_have_the_bridge_is_refused(rig):
    """Exit status 3, before anything is started."""
    for name, content, word in (
            ("qemu-system-static", elf(2, segments=(1,)), "statically linked"),
            ("qemu-system-small", elf(1), "word size"),
            ("qemu-system-other", elf(2, machine=1, segments=(3,)), "another machine")):
        path = rig.program(name, content)
        done = rig.run("--device", "model=acc", "--", path)
        assert done.returncode == 3 and word in done.stderr and path in done.stderr, done
        # As well behind a wrapper.
        done = rig.run("--device", "model=acc", "--", "env", path)
        assert done.returncode == 3 and word in done.stderr, done
    done = rig.run("--device", rig.socket, "--", "./qemu-system-none")
    assert done.returncode == 3 and "not there" in done.stderr, done
    done = rig.run("--device", rig.path("none.sock"), "--", rig.qemu)
    assert done.returncode == 3 and "none.sock" in done.stderr, done
    done = rig.run("--device", rig.qemu, "--", rig.qemu)
    assert done.returncode == 3 and "no socket" in done.stderr, done
    if os.getuid() == 0:
        path = rig.program("qemu-system-root", FAKE.encode())
        os.chown(path, 1, 1)
        os.chmod(path, 0o4755)
        done = rig.run("--device", rig.socket, "--", path)
        assert done.returncode == 3 and "setuid" in done.stderr, done
    expect("left", os.listdir(rig.tmp), [])


def wrong_options_are_refused(rig):
    """Exit status 2, with what is wrong and what is right."""
    qemu = ["--", rig.qemu]
    for args, word in (
            ([], "--device"), (["--device", rig.socket], "command"),
            (["--device", rig.socket, "--"], "command"), (qemu, "--device"),
            (["--device", "", *qemu], "path"), (["--device", "model=", *qemu], "no socket"),
            (["--device", "/" + "x" * 108, *qemu], "107 bytes"),
            (["--device", rig.socket + ",foo=1", *qemu], "'foo=1'"),
            (["--device", rig.socket + ",", *qemu], "none of"),
            (["--device", rig.socket + ",id=1a", *qemu], "id="),
            (["--device", rig.socket + ",id=a b", *qemu], "id="),
            (["--device", rig.socket + ",id=" + "a" * 48, *qemu], "id="),
            (["--device", rig.socket + ",name=", *qemu], "name="),
            (["--device", rig.socket + ",dirty=yes", *qemu], "dirty="),
            (["--device", rig.socket, "--device", rig.socket, *qemu], "twice"),
            (["--device", "model=acc,id=a", "--device", "model=acc,id=a", *qemu], "id=a"),
            (["--device", "model=acc,id=ferry", *qemu], "IOMMU"),
            (["--device", "model=none", *qemu], "no model"),
            (["--device", "model=copy,memory=3", *qemu], "memory"),
            (["--device", rig.socket, "--timeout", "5x", *qemu], "--timeout"),
            (["--device", rig.socket, "--timeout", "0", *qemu], "--timeout"),
            (["--device", rig.socket, "--timeout", "2000min", *qemu], "--timeout"),
            (["--device", rig.socket, "--json", *qemu], "--json"),
            (["--device", rig.socket + "".join(",qemu.a=%d" % i for i in range(17)), *qemu],
             "16")):
        done = rig.run(*args)
        want = 3 if word == "no socket" else 2
        assert done.returncode == want and word in done.stderr, (args, done)
    many = ["--device=" + rig.path("%d" % i) for i in range(33)]
    done = rig.run(*many, *qemu)
    assert done.returncode == 2 and "32" in done.stderr, done
    expect("left", os.listdir(rig.tmp), [])


def the_bridge_is_found_or_named(rig):
    """--bridge before FERRY_BRIDGE; a path that LD_PRELOAD cannot hold is refused."""
    plain = rig.path("plain.so")
    odd = rig.path("odd name.so")
    for path in (plain, odd):
        shutil.copy(rig.bridge, path)
    done = rig.run("--device", rig.socket, "--bridge", "plain.so", "--", rig.qemu)
    expect("--bridge " + done.stderr, rig.note()["preload"], os.path.realpath(plain))
    for path, word in ((odd, "space"), (rig.path("none.so"), "FERRY_BRIDGE")):
        done = rig.run("--device", rig.socket, "--", rig.qemu, FERRY_BRIDGE=path)
        assert done.returncode == 1 and word in done.stderr and path in done.stderr, done
    beside = os.path.join(os.path.dirname(rig.ferry), "../bridge/libferry-bridge.so")
    if os.path.exists(beside):
        expect("the build's", rig.plan(FERRY_BRIDGE=None)["environment"]["LD_PRELOAD"],
               os.path.realpath(beside))


def a_printed_command_can_be_run(rig):
    """What a shell makes of it is what would have been run."""
    odd = ["-append", "it's \"quoted\" $HOME `x` *", "-name", "", "-m", "1G"]
    printed = rig.run("--device", rig.socket, "--print", "--", rig.qemu, *odd)
    expect("exit status " + printed.stderr, printed.returncode, 0)
    expect("said", printed.stderr, "")
    subprocess.run(["sh", "-c", printed.stdout], env=rig.environment(), check=True,
                   timeout=LIMIT_S)
    note = rig.note()
    expect("quoted", note["argv"][:6], odd)
    plan = rig.plan(*odd)
    expect("JSON", plan["command"], [rig.qemu] + note["argv"])
    expect("LD_PRELOAD", note["preload"], plan["environment"]["LD_PRELOAD"])
    expect("descriptors", (plan["iommu_fd"], plan["devices"][0]["fd"],
                           plan["devices"][0]["socket"]), (64, 65, rig.socket))
    assert "Descriptor 64" in printed.stdout and "65 for ferry0 at" in printed.stdout
    # A model is not started, and leaves nothing.
    model = rig.plan(device="model=copy,memory=1M")["devices"][0]
    expect("model", (model["model"], model["options"]), ("copy", ["memory=1M"]))
    expect("left", os.listdir(rig.tmp), [])


def main():
    with Rig(sys.argv[1]) as rig:
        for test in (the_command_gets_what_it_lacks, memory_is_added_only_where_there_is_none,
                     roms_are_shared_where_qemu_knows_it, ids_are_nobody_elses,
                     wrappers_hand_on, it_becomes_qemu, models_live_as_long_as_qemu,
                     models_of_a_daemon_live_on, models_survive_a_wrapper_that_closes_all,
                     nothing_of_the_users_is_held, killed_while_it_starts,
                     a_dead_model_is_told,
                     what_cannot_have_the_bridge_is_refused, wrong_options_are_refused,
                     the_bridge_is_found_or_named, a_printed_command_can_be_run):
            began = time.monotonic()
            test(rig)
            print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
