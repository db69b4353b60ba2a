# SPDX-License-Identifier: BSD-3-Clause
"""`ferry qemu` for a QEMU that knows no iommufd: devices by groups.

QEMU is a program that writes down how it was started.

Usage: test_qemu_groups.py FERRY
"""
import os
import re
import signal
import sys
import time

from qemu_fake import LIMIT_S, Rig, expect

OLD = "7.2.22"
FIRST = 1000000000


def devices(argv):
    """What stands behind -device."""
    return [argv[i + 1] for i, word in enumerate(argv) if word == "-device"]


def check_note(rig, migrates):
    """Each device has a folder whose link names the descriptor of its token."""
    note = rig.note()
    argv = note["argv"]
    assert not any("iommufd" in word or "aux-ram-share" in word for word in argv), argv
    assert "memory-backend-memfd,id=ferry-ram,size=1G,share=on" in argv, argv
    one, two = devices(argv)
    match = re.fullmatch(r"vfio-pci,id=(\S+),sysfsdev=([^,]+)/\1" + migrates + "", one)
    assert match and match[1] == "ferry0", one
    expect("second", two, f"vfio-pci,id=two,sysfsdev={match[2]}/two{migrates},addr=5")
    for name, fd in (("ferry0", 64), ("two", 65)):
        expect("group", note["groups"][f"{match[2]}/{name}"],
               f"/sys/kernel/iommu_groups/{FIRST + fd}")
        assert note["fds"][str(fd)].startswith("/memfd:"), note["fds"]
    return match[2]


def an_old_qemu_gets_groups(rig):
    """With what it needs to migrate; the folder is gone with it, however it ends."""
    os.link(rig.socket, rig.socket + ".2")
    words = ["--device", "acc.sock", "--device", rig.socket + ".2,id=two,addr=5", "--",
             rig.qemu, "-m", "1G"]
    process = rig.start(*words, VERSION=OLD)
    folder = check_note(rig, ",x-enable-migration=on")
    expect("folder", os.path.dirname(folder), rig.tmp)
    process.kill()
    process.wait(LIMIT_S)
    rig.wait_clean("after SIGKILL")
    done = rig.run(*words, VERSION="8.2.1", CODE="7")
    expect("exit status", done.returncode, 7)
    check_note(rig, "")
    rig.wait_clean("after exit")


def a_wrapper_is_asked_for_the_version(rig):
    """Also one with a name that says nothing."""
    other = rig.program("start-it", b'#!/bin/sh\nexec "%s" "$@"\n' % rig.qemu.encode())
    for command in ([other], ["env", "A=b", rig.qemu]):
        done = rig.run("--device", "model=acc", "--", *command, VERSION=OLD)
        expect("exit status " + done.stderr, done.returncode, 0)
        assert "sysfsdev=" in devices(rig.note()["argv"])[0], rig.note()["argv"]
    rig.wait_clean("after exit")


def groups_can_be_asked_for(rig):
    """Of a QEMU that knows better; its daemon keeps them."""
    process = rig.start("--groups", "--device", rig.socket, "--", rig.qemu, "-daemonize",
                        FORK="1")
    expect("exit status", process.wait(LIMIT_S), 0)
    (path, link), = rig.note()["groups"].items()
    expect("link", os.readlink(path + "/iommu_group"), link)
    assert "x-enable-migration" not in devices(rig.note()["argv"])[0]
    os.kill(rig.note()["pid"], signal.SIGKILL)
    rig.wait_clean("after the daemon's end")


def what_an_old_qemu_cannot_is_refused(rig):
    """The device's own log came with 8.1."""
    done = rig.run("--device", rig.socket + ",dirty=device", "--", rig.qemu, VERSION=OLD)
    expect("exit status", done.returncode, 2)
    assert "8.1" in done.stderr, done.stderr
    rig.wait_clean("after a refusal")


def groups_are_printed(rig):
    """And none is made."""
    plan = rig.plan("-m", "1G", VERSION=OLD)
    expect("group", (plan["devices"][0]["fd"], plan["devices"][0]["group"]), (64, FIRST + 64))
    assert "iommu_fd" not in plan, plan
    done = rig.run("--device", rig.socket, "--print", "--", rig.qemu, VERSION=OLD)
    assert f"64 for ferry0 at {rig.socket} (/dev/vfio/{FIRST + 64})" in done.stdout, done.stdout
    expect("left", os.listdir(rig.tmp), [])


def main():
    with Rig(sys.argv[1]) as rig:
        for test in (an_old_qemu_gets_groups, a_wrapper_is_asked_for_the_version,
                     groups_can_be_asked_for, what_an_old_qemu_cannot_is_refused,
                     groups_are_printed):
            began = time.monotonic()
            test(rig)
            print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
