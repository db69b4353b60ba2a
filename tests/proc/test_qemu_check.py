# SPDX-License-Identifier: BSD-3-Clause
"""`ferry qemu --check`: what it finds with a QEMU that answers as it is told to.

Usage: test_qemu_check.py FERRY
"""
import json
import os
import signal
import sys
import time

from qemu_fake import Rig, expect

NOT_LOGGED = "VFIO device doesn't support device and IOMMU dirty tracking"
NOT_ALL_P2P = "Multiple VFIO devices migration is supported only if all of them support P2P"


def check(rig, *devices, args=(), options=(), code=0, **env):
    """Runs --check --json; its answer."""
    words = []
    for device in devices or (rig.socket,):
        words += ["--device", device]
    done = rig.run("--check", "--json", *options, *words, "--", rig.qemu, *args, **env)
    expect("exit status: " + done.stdout + done.stderr, done.returncode, code)
    report = json.loads(done.stdout)
    expect("ok", report["ok"], code == 0)
    return report


def find(report, level, *words):
    """The one finding of a level with these words in text or advice."""
    found = [one for one in report["findings"] if one["level"] == level and
             all(word in one["text"] + one.get("todo", "") for word in words)]
    assert len(found) == 1, (level, words, report["findings"])
    return found[0]


def nothing_is_found_where_all_is_well(rig):
    """A good QEMU and a good device; QEMU runs without its guest, under the bridge."""
    report = check(rig)
    expect("levels", {one["level"] for one in report["findings"]}, {"good", "note"})
    expect("started", report["started"], True)
    find(report, "good", "11.1.3")
    find(report, "good", "acc: STOP_COPY PRE_COPY dirty-log")
    find(report, "good", "names nothing that blocks")
    find(report, "note", "postcopy-ram", "background-snapshot")
    note = rig.note()
    expect("arguments", note["argv"][-5:-3] + note["argv"][-2:-1], ["-S", "-chardev", "-mon"])
    assert "-device" in note["argv"] and "memory-backend=ferry-ram" in note["argv"], note
    expect("LD_PRELOAD", note["preload"], rig.bridge)
    text = rig.run("--check", "--device", rig.socket, "--", rig.qemu)
    assert text.returncode == 0 and "Nothing keeps this QEMU from" in text.stdout, text


def models_are_started_for_it_and_end(rig):
    """As for a real run."""
    report = check(rig, "model=copy,memory=1M", "model=copy,memory=1M,id=b")
    assert [one["about"] for one in report["findings"]].count("b") == 1, report
    devices = [one["text"] for one in report["findings"] if one["about"] in ("ferry0", "b")]
    expect("devices", devices, 2 * ["copy: STOP_COPY P2P PRE_COPY dirty-log, 1.0 MiB of state"])
    expect("left", (rig.servers(), os.listdir(rig.tmp)), ([], []))


def what_qemu_says_is_explained(rig):
    """Its own words, what they mean, and what to do."""
    for reason, means in ((NOT_ALL_P2P, "--no-peer-maps"), (NOT_LOGGED, "enable-migration=on"),
                          ("0: Migration is disabled for VFIO device", "leave it out"),
                          ("Migration is currently not supported with vIOMMU enabled",
                           "dirty=iommu"),
                          ("VFIO migration is not supported in kernel", "save its device")):
        find(check(rig, code=3, BLOCKED=json.dumps([reason])), "blocks", reason, means)
    report = check(rig, code=3, BLOCKED=json.dumps(["because", NOT_LOGGED]))
    expect("unknown", find(report, "blocks", "because").get("todo"), None)
    find(report, "blocks", NOT_LOGGED)


def a_qemu_that_takes_no_device_is_quoted(rig):
    """Though its monitor has greeted already; also one that dies later."""
    report = check(rig, code=3, FAIL="ferry-bridge: acc: no\nerror bind device fd=65")
    expect("started", report["started"], False)
    find(report, "blocks", "does not start")
    find(report, "blocks", "ferry-bridge: acc: no")
    find(report, "blocks", "error bind device", "is the server running")
    find(check(rig, code=3, FAIL="x: Inappropriate ioctl for device"), "blocks",
         "the bridge is not in QEMU")
    find(check(rig, code=3, DEAF="query-migrate"), "blocks", "does not answer query-migrate")
    find(check(rig, WORDS="memory by messages"), "note", "it says: memory by messages")


def old_and_small_qemus_are_told(rig):
    """By version and by properties."""
    find(check(rig, code=3, VERSION="5.1.0"), "blocks", "migrates no VFIO device")
    find(check(rig, VERSION="6.2.0"), "note", "uAPI v1", "not tested")
    find(check(rig, VERSION="7.2.22", LACKS="enable-migration"), "good", "uAPI v1, with groups")
    find(check(rig, code=3, VERSION="7.2.22", LACKS="x-enable-migration"), "blocks",
         "no x-enable-migration")
    find(check(rig, VERSION="8.2.1"), "note", "not tested")
    find(check(rig, code=3, VERSION="8.2.1", LACKS="sysfsdev"), "blocks", "no sysfsdev")
    find(check(rig, VERSION="9.2.0"), "note", "not tested")
    find(check(rig, VERSION="x"), "note", "version is not known")
    find(check(rig, code=3, LACKS="iommufd"), "blocks", "no iommufd")
    find(check(rig, LACKS="x-migration-multifd-transfer"), "note", "multifd")


def several_devices_need_p2p(rig):
    """Or --no-peer-maps; acc has none."""
    two = (rig.socket, "model=copy,memory=1M")
    find(check(rig, *two, code=3), "blocks", "it has no P2P states", "--no-peer-maps")
    find(check(rig, *two, code=3, VERSION="7.2.22"), "blocks", "it has no P2P states")
    report = check(rig, *two, options=["--no-peer-maps"])
    find(report, "note", "the bridge shows them")
    find(report, "note", "no device can reach another")
    check(rig, "model=copy,memory=1M", "model=copy,memory=1M")


def devices_are_asked(rig):
    """Nobody there, in use."""
    report = check(rig, rig.path("none.sock"), code=3)
    find(report, "blocks", "none.sock", "is its server running")


def memory_is_looked_at(rig):
    """As QEMU tells, or else as the command does."""
    private = ["-object", "memory-backend-ram,id=ram,size=1G", "-machine",
               "memory-backend=ram"]
    find(check(rig, MEMDEV="private"), "note", "ram: no server can map it")
    find(check(rig, args=private, code=3, FAIL="no"), "note", "share=on")


def a_size_of_which_an_old_qemu_forgets_pages_is_told(rig):
    """QEMU before 8.0, emulated processors, a multiple of 256 KiB: all three."""
    old = {"VERSION": "7.2.22", "TCG": "1"}
    find(check(rig, **old), "note", "forgets pages", "no multiple of 256 KiB")
    for well in ({"SIZE": str((1 << 30) + 8192)}, {"TCG": None}, {"VERSION": "8.0.0"},
                 {"DEAF": "query-kvm"}):
        said = json.dumps(check(rig, **{**old, **well}))
        assert "forgets" not in said, (well, said)


def the_command_is_read(rig):
    """vIOMMU, vfio-user-pci, another user."""
    intel = ["-device", "intel-iommu,caching-mode=on"]
    find(check(rig, args=intel, code=3), "blocks", "dirty=iommu")
    find(check(rig, rig.socket + ",dirty=iommu", args=intel), "good", "tracked by the IOMMU")
    find(check(rig, rig.socket + ",dirty=iommu", args=intel, code=3, VERSION="10.0.2"),
         "blocks", "before 11.0")
    find(check(rig, args=intel, code=3, VERSION="7.2.22"), "blocks", "kept from migrating")
    find(check(rig, args=["-device", '{"driver":"vfio-user-pci"}'], code=3), "blocks",
         "silently")
    find(check(rig, args=["-run-with", "user=nobody"]), "note", "as the new user")


def a_check_that_is_interrupted_leaves_nothing(rig):
    """A QEMU without a guest would hold images and servers, and nobody would see it."""
    process = rig.start("--check", "--device", "model=copy,memory=1M", "--", rig.qemu,
                        STUCK="qmp_capabilities")
    process.send_signal(signal.SIGINT)
    expect("interrupted", process.wait(), -signal.SIGINT)

    def gone():
        try:
            os.kill(rig.note()["pid"], 0)
        except ProcessLookupError:
            return True
        return False
    rig.wait(gone, "QEMU goes on")
    rig.wait_clean("interrupted")


def what_cannot_have_the_bridge_is_a_finding(rig):
    """Nothing is started then."""
    rig.qemu, good = rig.path("qemu-system-none"), rig.qemu
    report = check(rig, code=3)
    find(report, "blocks", "qemu-system-none", "not there")
    expect("findings", len(report["findings"]), 1)
    rig.qemu = good


def main():
    with Rig(sys.argv[1]) as rig:
        for test in (nothing_is_found_where_all_is_well, models_are_started_for_it_and_end,
                     what_qemu_says_is_explained, a_qemu_that_takes_no_device_is_quoted,
                     old_and_small_qemus_are_told, several_devices_need_p2p,
                     devices_are_asked, memory_is_looked_at,
                     a_size_of_which_an_old_qemu_forgets_pages_is_told, the_command_is_read,
                     a_check_that_is_interrupted_leaves_nothing,
                     what_cannot_have_the_bridge_is_a_finding):
            began = time.monotonic()
            test(rig)
            print("%s: %.1f s" % (test.__name__, time.monotonic() - began), flush=True)


if __name__ == "__main__":
    main()
