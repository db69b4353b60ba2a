# SPDX-License-Identifier: BSD-3-Clause
"""`ferry qemu --emulator`: a QEMU that knows one more option, as a manager of guests starts it.

QEMU is a program that writes down how it was started.

Usage: test_qemu_emulator.py FERRY SOURCE-ROOT
"""
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

from qemu_fake import FAKE, LIMIT_S, Rig, expect


def inside(*options):
    """The words of a manager for options of ours."""
    return [word for option in options for word in ("-ferry", option)]


def emulator(rig, *args, before=(), **env):
    """Runs it as an emulator."""
    return rig.run("--emulator", *before, "--", rig.qemu, *args, **env)


def without_our_option_it_is_qemu(rig):
    """Nothing is added or said: a manager asks what this QEMU can do."""
    words = ["-S", "-no-user-config", "-machine", "none,accel=tcg", "-name", "-ferry", "-m", "1G"]
    done = emulator(rig, *words, CODE="5", LD_PRELOAD=None)
    expect("exit status " + done.stderr, done.returncode, 5)
    expect("arguments", rig.note()["argv"], words)
    expect("LD_PRELOAD", rig.note()["preload"], None)
    expect("said", (done.stdout, done.stderr), ("", ""))
    done = emulator(rig, "-version")
    assert "fake" in done.stdout, done
    done = rig.run("--emulator", "--", "./nothing", "-version")
    assert done.returncode == 1 and "nothing" in done.stderr, done


def our_options_stand_among_qemus(rig):
    """They are taken out, wherever they are; the others stay in order."""
    words = inside(f"device={rig.socket},id=acc,addr=5") + ["-m", "1G"] + inside(
        "device=model=copy,memory=1M", "no-peer-maps", "log=" + rig.path("log"), "quiet") + [
        "-name", "-ferry", "--ferry", "timeout=2s", "disk.img"]
    done = emulator(rig, *words)
    expect("exit status " + done.stderr, (done.returncode, done.stderr), (0, ""))
    expect("arguments", rig.note()["argv"], [
        "-m", "1G", "-name", "-ferry", "disk.img",
        "-object", "memory-backend-memfd,id=ferry-ram,size=1G,share=on",
        "-machine", "memory-backend=ferry-ram", "-machine", "aux-ram-share=on",
        "-object", "iommufd,id=ferry,fd=64",
        "-device", "vfio-pci,id=acc,fd=65,iommufd=ferry,addr=5",
        "-device", "vfio-pci,id=ferry1,fd=66,iommufd=ferry"])
    expect("LD_PRELOAD", rig.note()["preload"], rig.bridge)
    rig.wait_clean("after its end")


def options_before_qemu_hold_for_every_guest(rig):
    """And one in QEMU's command comes after them."""
    for more, said in (((), True), (inside("quiet"), False)):
        done = emulator(rig, *inside("device=" + rig.socket), *more,
                        before=["--timeout", "3s", "--bridge", rig.bridge], FERRY_BRIDGE="/none")
        expect("exit status " + done.stderr, done.returncode, 0)
        expect("said", "added" in done.stderr, said)


def wrong_options_are_refused(rig):
    """Exit status 2, before QEMU is started."""
    device = "device=" + rig.socket
    for args, word in (
            (inside("no-peer-maps"), "no -ferry device="), (inside("device"), "argument"),
            (inside("device", rig.qemu), "argument"), (inside(device, "nothing"), "--nothing"),
            (inside(device, "print"), "not an option"), (inside(device, "check"), "not an option"),
            (inside(device, "json"), "not an option"),
            (inside(device, "emulator"), "not an option"), (inside(device, device), "twice"),
            (inside(device, "timeout=never"), "--timeout"),
            (inside(*["device=/x%d" % i for i in range(33)]), "32")):
        done = emulator(rig, *args)
        assert done.returncode == 2 and word in done.stderr, (args, done)
    for before, args, word in (
            (["--device", rig.socket], (), "-ferry device="), (["--print"], (), "-ferry device="),
            (["--check"], (), "-ferry device=")):
        done = emulator(rig, *args, before=before)
        assert done.returncode == 2 and word in done.stderr, (before, done)
    assert not os.path.exists(rig.path("note")), "QEMU was started"


def the_installed_emulator_runs_the_qemu_of_its_name(rig, text):
    """By PATH; one that leads to itself is told, with devices and without."""
    os.mkdir(rig.path("bin"))
    os.mkdir(rig.path("libexec"))
    for name in "qemu-system-x86_64", "qemu-system-other":
        rig.program("bin/" + name, (FAKE % sys.executable).encode())
        path = rig.program("libexec/" + name, text.replace(
            "@bindir@", os.path.dirname(rig.ferry)).encode())
        done = subprocess.run([path, *inside("device=" + rig.socket, "quiet"), "-m", "1G"],
                              env=rig.environment(PATH=rig.path("bin") + ":/usr/bin:/bin"),
                              capture_output=True, text=True, timeout=LIMIT_S, check=False)
        expect(name + ": " + done.stderr, done.returncode, 0)
        assert "vfio-pci,id=ferry0,fd=65,iommufd=ferry" in rig.note()["argv"], rig.note()
        os.remove(rig.path("note"))
        for words in (inside("device=" + rig.socket, "quiet"), []):
            done = subprocess.run([path, *words],
                                  env=rig.environment(PATH=rig.path("libexec") + ":/usr/bin:/bin"),
                                  capture_output=True, text=True, timeout=LIMIT_S, check=False)
            expect("exit status " + done.stderr, done.returncode, 1)
            assert "not QEMU" in done.stderr, done.stderr
            assert not os.path.exists(rig.path("note")), "QEMU was started"


def the_documented_domain_is_understood(rig, root):
    """The guide shows the example, and `ferry qemu' takes what the example has for it."""
    domain = (root / "examples/libvirt/guest.xml").read_text(encoding="utf-8")
    shown = re.search(r"<!-- from examples/libvirt/guest.xml -->\n```xml\n(.*?)```\n",
                      (root / "docs/libvirt.md").read_text(encoding="utf-8"), re.S)
    expect("docs/libvirt.md", shown[1], domain)
    words = [arg.get("value") for arg in xml.etree.ElementTree.fromstring(domain).iter(
        "{http://libvirt.org/schemas/domain/qemu/1.0}arg")]
    assert words[::2] == ["-ferry"] * (len(words) // 2), words
    words = [word.replace("/run/ferry/acc.sock", rig.socket) for word in words]
    done = emulator(rig, *words, "-machine", "pc-q35-7.2,memory-backend=pc.ram")
    expect("exit status " + done.stderr, done.returncode, 0)
    assert sum(word.startswith("vfio-pci,") for word in rig.note()["argv"]) == 2, rig.note()
    rig.wait_clean("after its end")


def main():
    root = pathlib.Path(sys.argv[2])
    text = (root / "src/cli/qemu/emulator.in").read_text(encoding="utf-8")
    with Rig(sys.argv[1]) as rig:
        for test in (wrong_options_are_refused, without_our_option_it_is_qemu,
                     our_options_stand_among_qemus, options_before_qemu_hold_for_every_guest):
            began = time.monotonic()
            test(rig)
            print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)
        os.remove(rig.path("note"))
        the_installed_emulator_runs_the_qemu_of_its_name(rig, text)
        the_documented_domain_is_understood(rig, root)


if __name__ == "__main__":
    main()
