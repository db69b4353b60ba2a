# SPDX-License-Identifier: BSD-3-Clause
"""ferry info of a device that has most of what a PCI device can have.

Usage: test_info.py FERRY BOARD
"""
import json
import subprocess
import sys

from cli_rig import Rig
from test_examples import expect, wait_for_socket


def the_board_is_told_with_all_it_has(rig, board):
    """Interrupts of each kind, a region of its own, a serial number, what was agreed."""
    path = rig.path("board")
    rig.process["board"] = subprocess.Popen([board, path], stdout=subprocess.DEVNULL)
    wait_for_socket(path)
    view = json.loads(rig.run("info", "--json", path).stdout)
    expect("irqs", view["irqs"], {"INTx": 1, "MSI": 1, "MSI-X": 0, "ERR": 1, "REQ": 1})
    expect("regions", [r["name"] for r in view["regions"]], ["BAR0", "ROM", "config"])
    expect("device-specific", view["special_regions"],
           [{"index": 9, "size": 64, "type": 0x80001234, "subtype": 1, "read": True,
             "write": False, "mmap": False}])
    expect("serial", view["serial"], 0x000b0a0000000001)
    assert view["extensions"]["data_fd"] and view["extensions"]["dirty_runs"]
    text = rig.run("info", path).stdout
    for line in ("serial       000b0a0000000001", "device-specific, type 80001234",
                 "extensions   write_multiple notices"):
        assert line in text, text


def what_a_nic_counts_is_told_for_each_queue(rig, ferry):
    path = rig.path("nic")
    rig.process["nic"] = subprocess.Popen([ferry, "serve", "nic,net=echo,pairs=2",
                                           "--socket", path], stdout=subprocess.DEVNULL)
    wait_for_socket(path)
    view = json.loads(rig.run("info", "--json", path).stdout)
    assert view["extensions"]["counters"]
    expect("lost frames", [c for c in view["counters"] if c["name"] == "rx_lost"],
           [{"name": "rx_lost", "queue": queue, "value": 0} for queue in range(2)])
    expect("of the whole device", [c for c in view["counters"] if "queue" not in c],
           [{"name": f"wire_{name}", "value": 0}
            for name in ("dropped", "broken", "connects")])
    # Nothing has happened yet, and that is not worth a line each.
    assert "counted" not in rig.run("info", path).stdout


def main():
    with Rig(sys.argv[1]) as rig:
        the_board_is_told_with_all_it_has(rig, sys.argv[2])
        print("passed: the board is told with all it has")
        what_a_nic_counts_is_told_for_each_queue(rig, sys.argv[1])
        print("passed: what a nic counts is told for each queue")
    return 0


if __name__ == "__main__":
    sys.exit(main())
