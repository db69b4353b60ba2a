# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be opened or moved: one sentence each that says what is missing and what helps,
and nothing is left over.

Usage: test_kernel_refusals.py FERRY BRIDGE
"""
import json
import os
import shutil
import sys

from kernel_rig import KernelRig, main_of
from kill_rig import expect

COPY = "copy,memory=256K"
TOKEN = "00000000-1111-2222-3333-444444444444"


def refused(rig, uri, code, *words):
    """ferry info must end with this exit status and these words."""
    done = rig.on("info", uri)
    expect("%s: %s" % (uri, done.stderr), done.returncode, code)
    for word in words:
        assert word in done.stderr, (uri, word, done.stderr)
    assert "ferry serve" not in done.stderr, done.stderr  # nobody serves these
    lines = [line for line in done.stderr.splitlines() if not line.startswith("ferry-bridge")]
    expect("lines of %s" % lines, len(lines), 1)


def works(rig, uri):
    """The device can be opened; return: what ferry info tells."""
    done = rig.on("info", "--json", uri)
    expect("%s: %s" % (uri, done.stderr), done.returncode, 0)
    return json.loads(done.stdout)


def addresses_that_are_none(ferry, bridge):
    """Places that are not there, options that are unknown."""
    with KernelRig(ferry, bridge) as rig:
        folder = rig.serve(COPY).folder
        for scheme in ("vfio:", "vfio-group:"):
            refused(rig, scheme, 2, "`ferry list`")
            refused(rig, scheme + "foo", 2, "'foo'", "PCI address")
            refused(rig, scheme + "/nowhere", 1, "/nowhere")
            refused(rig, scheme + rig.folder, 2, "iommu_group")
            refused(rig, scheme + "ffff:00:00.0", 1, "ffff:00:00.0", "`ferry list'")
            refused(rig, scheme + "/dev/vfio/devices/vfio999", 1, "vfio999", "`ferry list'")
            refused(rig, scheme + folder + ",dirty=all", 2, "dirty=all", "device|iommu|none")
            refused(rig, scheme + folder + ",dirty=none,", 2, "known are")
            refused(rig, scheme + folder + ",token=1", 2, "UUID")
            works(rig, scheme + folder)


def a_device_in_use(ferry, bridge):
    """By somebody else, until he lets go of it."""
    with KernelRig(ferry, bridge) as rig:
        folder = rig.serve(COPY).folder
        rig.start("host", "host", "--device", "d=vfio:" + folder, "--memory", "1M", "--control",
                  rig.path("control"), **rig.preloaded())
        refused(rig, "vfio:" + folder, 1, "in use")
        refused(rig, "vfio-group:" + folder, 1, "in use")
        host = rig.process.pop("host")
        host.terminate()
        host.wait()
        works(rig, "vfio:" + folder)


def what_sysfs_tells(ferry, bridge):
    """No character device, another driver, none, others in the group, no group."""
    with KernelRig(ferry, bridge) as rig:
        device = rig.serve(COPY)
        cdev, group = "vfio:" + device.folder, "vfio-group:" + device.folder
        os.unlink(os.path.join(device.folder, "vfio-dev/vfio%d/dev" % device.number))
        refused(rig, cdev, 1, "no character device", "vfio-group:")
        works(rig, group)
        other = rig.sysfs("bus/pci/drivers/e1000e")
        member = rig.sysfs("kernel/iommu_groups/%d/devices/0000:fe:1f.6" % device.number)
        os.mkdir(other)
        os.mkdir(member)
        os.symlink(other, os.path.join(member, "driver"))
        refused(rig, group, 1, "0000:fe:1f.6", "e1000e", "`ferry bind 0000:fe:1f.6'")
        os.unlink(os.path.join(member, "driver"))
        works(rig, group)
        shutil.rmtree(os.path.join(device.folder, "vfio-dev"))
        driver = os.path.join(device.folder, "driver")
        os.unlink(driver)
        os.symlink(other, driver)
        for uri in (cdev, group):
            refused(rig, uri, 1, "e1000e", "`ferry bind " + device.name)
        os.unlink(driver)
        refused(rig, group, 1, "no driver", "`ferry bind " + device.name)
        os.unlink(os.path.join(device.folder, "iommu_group"))
        refused(rig, group, 1, "no IOMMU group", "intel_iommu=on")


def what_the_kernel_lacks(ferry, bridge):
    """Ways to learn what was written that are not there, and migration itself."""
    with KernelRig(ferry, bridge) as rig:
        device = rig.serve(COPY, dirty="device").folder
        iommu = rig.serve(COPY, dirty="iommu").folder
        refused(rig, "vfio:%s,dirty=iommu" % device, 1, "dirty=iommu", "dirty=none")
        refused(rig, "vfio-group:%s,dirty=iommu" % device, 1, "dirty=iommu", "dirty=none")
        refused(rig, "vfio:%s,dirty=device" % iommu, 1, "dirty=device", "dirty=none")
        expect("logs", [works(rig, uri)["migration"]["dirty_log"] for uri in
                        ("vfio:" + device, "vfio:" + iommu, "vfio-group:" + iommu,
                         "vfio:" + iommu + ",dirty=none")], [True, True, True, False])
        # A character device has nothing of uAPI v1.
        none = "vfio:" + rig.serve(COPY, uapi="v1").folder
        assert not works(rig, none)["migration"]["stop_copy"]
        done = rig.on("save", "--device", "d=" + none, rig.path("state"))
        expect(done.stderr, done.returncode, 3)
        assert "device d cannot migrate" in done.stderr, done.stderr
        expect("a file", os.path.exists(rig.path("state")), False)


def a_device_that_is_gone(ferry, bridge):
    """It was there when sysfs was read, and is not when it is opened."""
    with KernelRig(ferry, bridge) as rig:
        device = rig.serve(COPY)
        device.server.kill()
        device.server.wait()
        refused(rig, "vfio:" + device.folder, 1, "gone")
        refused(rig, "vfio-group:" + device.folder, 1, "gone")
        # A token of a virtual function does not help.
        refused(rig, "vfio:%s,token=%s" % (device.folder, TOKEN), 2, "VF token")


def a_call_that_does_not_end(ferry, bridge):
    """Nobody can take it back: who made it is told, and the command ends."""
    with KernelRig(ferry, bridge) as rig:
        for stuck, words in (("stop_copy", "did not end"),
                             ("read", "the kernel did not end DATA_READ")):
            folder = rig.serve(COPY, "--filter", "delay=%s:600s@1" % stuck,
                               timeout_ms=600000).folder
            done = rig.on("save", "--device", "d=vfio:" + folder, "--device-timeout", "2000",
                          "--arc-limit", "200", rig.path("state"))
            expect(done.stderr, done.returncode, 7)
            assert words in done.stderr, done.stderr
            expect("a file", os.path.exists(rig.path("state")), False)
            works(rig, "vfio:" + folder)


if __name__ == "__main__":
    sys.exit(main_of((addresses_that_are_none, a_device_in_use, what_sysfs_tells,
                      what_the_kernel_lacks, a_device_that_is_gone,
                      a_call_that_does_not_end), sys.argv[1:]))
