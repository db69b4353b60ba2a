# SPDX-License-Identifier: BSD-3-Clause
"""ferry list, bind and unbind over a made-up machine: what they print and how they end.

Usage: test_machine.py FERRY

The kernel is missing here, so nothing a driver is told has an effect; tests/kernel has one.
"""
import json
import os
import subprocess
import sys
import tempfile

EDU, NIC, FREE = "0000:01:00.0", "0000:02:00.0", "0000:03:00.0"
UUID = "6f7e2c1a-0b7a-4f0e-9d0c-2f6d5a3b8c10"
DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3


class Machine:
    """Files below a folder, as sysfs has them."""

    def __init__(self, ferry, folder):
        self.ferry, self.root = ferry, folder
        self.file("sys/bus/pci/drivers_probe", "")
        os.makedirs(self.path("sys/bus/pci/devices"))
        self.file("modules/modules.alias",
                  "alias vfio_pci:v00001234d000011E8sv*sd*bc*sc*i* edu_vfio_pci\n"
                  "alias vfio_pci:v*d*sv*sd*bc*sc*i* vfio_pci\n")
        for driver in ("vfio-pci", "e1000e"):
            self.file(f"sys/bus/pci/drivers/{driver}/bind", "")
            self.file(f"sys/bus/pci/drivers/{driver}/unbind", "")

    def path(self, name):
        """A path below the folder."""
        return os.path.join(self.root, name)

    def file(self, name, text):
        """A file with the folders above it."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)

    def link(self, name, target):
        """A link with the folders above it."""
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        os.symlink(target, self.path(name))

    def device(self, address, driver, group, ids=("0x1234", "0x11e8")):
        """A PCI device."""
        folder = f"sys/devices/pci0000:00/{address}"
        for name, text in (("vendor", ids[0]), ("device", ids[1]), ("class", "0x020000"),
                           ("driver_override", "(null)"),
                           ("modalias", "pci:v0000%sd0000%ssv0sd0bc02sc00i00" % (
                               ids[0][2:].upper(), ids[1][2:].upper()))):
            self.file(f"{folder}/{name}", text + "\n")
        self.link(folder + "/subsystem", "../../../bus/pci")
        self.link(f"sys/bus/pci/devices/{address}", "../../../devices/pci0000:00/" + address)
        if driver:
            self.link(folder + "/driver", "../../../bus/pci/drivers/" + driver)
        if group is not None:
            self.link(folder + "/iommu_group", f"../../../kernel/iommu_groups/{group}")
            self.link(f"sys/kernel/iommu_groups/{group}/devices/{address}",
                      "../../../../devices/pci0000:00/" + address)

    def run(self, status, *args):
        """Runs a command; returns what it said on both its outputs."""
        run = subprocess.run([self.ferry, args[0], "--root", self.root, *args[1:]],
                             capture_output=True, text=True, timeout=20, check=False)
        assert run.returncode == status, (args, run.returncode, run.stdout, run.stderr)
        assert (run.stderr == "") == (status == DONE), (args, run.stderr)
        return run.stdout + run.stderr


def says(text, *words):
    """Each is in it."""
    for word in words:
        assert word in text, (word, text)


def a_machine_without_devices_says_what_to_turn_on(machine):
    says(machine.run(DONE, "list"), "in an IOMMU group", "intel_iommu=on")
    assert json.loads(machine.run(DONE, "list", "--json")) == {"devices": []}


def the_table_has_a_row_for_each_device(machine):
    lines = machine.run(DONE, "list").splitlines()
    assert lines[0].split() == ["DEVICE", "IDS", "DRIVER", "GROUP", "MIGRATION"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [EDU, "1234:11e8", "vfio-pci", "5"], [NIC, "8086:1533", "e1000e", "6"],
        [FREE, "1234:11e8", "-", "7"], [UUID, "mdev", "mtty", "8"]]
    assert [line[line.index(" no") + 1:] if " no" in line else line for line in lines[1:]] == [
        "not asked",
        f"no: it belongs to the driver e1000e, which is none of VFIO's: `ferry bind {NIC}' "
        "gives it to one",
        f"no: it has no driver: `ferry bind {FREE}' gives it one of VFIO's", "not asked"]
    # All columns begin at the same place.
    assert len({line.index(word) for line, word in zip(lines, (
        "MIGRATION", "not asked", "no: it belongs", "no: it has", "not asked"))}) == 1


def json_has_what_a_program_needs(machine):
    one = json.loads(machine.run(DONE, "list", "--json", "1:0.0"))["devices"]
    assert one == [{
        "name": EDU, "driver": "vfio-pci", "variant": "edu_vfio_pci", "group": 5,
        "cdev": machine.path("dev/vfio/devices/vfio0"), "uri": "vfio:" + EDU,
        "vendor": 0x1234, "device": 0x11e8, "subvendor": 0, "subdevice": 0, "class": 0x020000,
        "vfio": True, "mediated": False, "virtual": False, "shared_group": False,
        "override": False, "no_reset": True, "can_migrate": None, "migration": None, "why": None}], one
    rest = json.loads(machine.run(DONE, "list", "--json"))["devices"][1:]
    assert [(d["name"], d["can_migrate"], d["uri"]) for d in rest] == [
        (NIC, False, None), (FREE, False, None), (UUID, None, "vfio-group:" + UUID)], rest


def what_is_no_device_is_refused(machine):
    says(machine.run(FAILED, "list", "0000:09:00.0"), "no device 0000:09:00.0", "`ferry list'")
    says(machine.run(USAGE, "list", "eth0"), "'eth0'")
    for command in ("bind", "unbind"):
        says(machine.run(USAGE, command, "eth0"), "'eth0' is no PCI address")
        says(machine.run(USAGE, command), "0000:01:00.0")
        says(machine.run(REFUSED, command, UUID), "mdev")
        says(machine.run(REFUSED, command, "0000:09:00.0"), "no device 0000:09:00.0")


def a_device_that_has_the_driver_keeps_it(machine):
    text = machine.run(DONE, "bind", "--driver", "vfio-pci", EDU)
    assert text == f"{EDU} has the driver vfio-pci\nits URI is vfio:{EDU}\n", text


def a_bind_without_effect_is_undone(machine):
    """The driver does not let go: what was written is taken back."""
    text = machine.run(FAILED, "bind", "--driver", "vfio-pci", NIC)
    says(text, f"the driver e1000e did not let go of {NIC}", "it is back at e1000e")
    with open(machine.path(f"sys/bus/pci/devices/{NIC}/driver_override"),
              encoding="utf-8") as override:
        assert override.read() == "\n"
    assert not os.listdir(machine.path("run"))
    text = machine.run(FAILED, "bind", "--driver", "vfio-pci", FREE)
    says(text, f"the driver vfio-pci did not take {FREE}", "no driver, as before")


def the_right_driver_is_loaded_and_missed(machine):
    says(machine.run(REFUSED, "bind", FREE), "no program", machine.path("modprobe"))
    machine.file("modprobe", "#!/bin/sh\necho \"$0: no $*\" >&2\nexit 1\n")
    os.chmod(machine.path("modprobe"), 0o755)
    says(machine.run(REFUSED, "bind", FREE), "no driver edu_vfio_pci", ": no edu_vfio_pci")
    machine.file("modprobe", f"""#!/bin/sh
cd {machine.root}/sys
mkdir -p module/edu_vfio_pci/drivers bus/pci/drivers/edu-vfio-pci
ln -s ../../../bus/pci/drivers/edu-vfio-pci module/edu_vfio_pci/drivers/pci:edu-vfio-pci
: >bus/pci/drivers/edu-vfio-pci/bind
""")
    says(machine.run(FAILED, "bind", FREE), f"the driver edu-vfio-pci did not take {FREE}")


def what_the_machine_needs_is_asked_for_twice(machine):
    folder = f"sys/devices/pci0000:00/{NIC}/net/eth0"
    machine.file(folder + "/flags", "0x1003\n")
    machine.link("sys/class/net/eth0", "../../../" + folder)
    says(machine.run(REFUSED, "bind", "--driver", "vfio-pci", NIC), "eth0 is up", "--force")
    says(machine.run(FAILED, "bind", "--force", "--driver", "vfio-pci", NIC), "did not let go")


def what_was_not_bound_is_not_unbound(machine):
    says(machine.run(REFUSED, "unbind", EDU), "did not give", f"`ferry unbind --force {EDU}'")


def main():
    with tempfile.TemporaryDirectory(prefix="ferry-machine-") as folder:
        machine = Machine(sys.argv[1], folder)
        a_machine_without_devices_says_what_to_turn_on(machine)
        print("passed: a machine without devices says what to turn on")
        machine.device(EDU, "vfio-pci", 5)
        machine.file(f"sys/devices/pci0000:00/{EDU}/vfio-dev/vfio0/dev", "511:0\n")
        machine.device(NIC, "e1000e", 6, ("0x8086", "0x1533"))
        machine.device(FREE, None, 7)
        mdev = "sys/devices/mtty/" + UUID
        machine.link(mdev + "/iommu_group", "../../../kernel/iommu_groups/8")
        machine.link(mdev + "/subsystem", "../../../bus/mdev")
        machine.link(mdev + "/driver", "../../../bus/mdev/drivers/mtty")
        os.makedirs(machine.path(mdev + "/vfio-dev/vfio1"))
        machine.link("sys/bus/mdev/devices/" + UUID, "../../../devices/mtty/" + UUID)
        for case in (the_table_has_a_row_for_each_device, json_has_what_a_program_needs,
                     what_is_no_device_is_refused, a_device_that_has_the_driver_keeps_it,
                     a_bind_without_effect_is_undone, the_right_driver_is_loaded_and_missed,
                     what_the_machine_needs_is_asked_for_twice,
                     what_was_not_bound_is_not_unbound):
            case(machine)
            print("passed: " + case.__name__.replace("_", " "))
    return 0


if __name__ == "__main__":
    sys.exit(main())
