# SPDX-License-Identifier: BSD-3-Clause
"""How these benchmarks tell their figures: as bench/output.h does, for ferry bench."""
import json
import os
import statistics
import sys


def decimals(value):
    """Small figures with what counts of them, large ones without a fraction."""
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3


def shown(value, unit=""):
    """A figure for people."""
    return f"{value:.{decimals(value)}f}" + (" " + unit if unit else "")


def cpu_name():
    """The processor's name."""
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return "unknown"


class Output:
    """Options, and the rows that a benchmark has told."""

    def __init__(self, name, about):
        self.name = name
        self.rows = []
        known = ("--json", "--quick", "--about", "--help")
        for word in sys.argv[1:]:
            if word not in known:
                print(f"bench_{name}: no option '{word}'; see --help", file=sys.stderr)
                sys.exit(2)
        if "--about" in sys.argv:
            print(about)
            sys.exit(0)
        if "--help" in sys.argv:
            print(f"usage: bench_{name} [--json] [--quick] [--about]\n{about}")
            sys.exit(0)
        self.json = "--json" in sys.argv
        self.quick = "--quick" in sys.argv

    def row(self, subject, unit, figure, floor_is=None, floor=None, ratio=0, aim=0,
            aim_is_most=True, **more):
        """Notes a row, and prints it at once when people read."""
        row = {"subject": subject, "unit": unit, "figure": figure}
        text = f"{subject}: {shown(figure, unit)}"
        if floor_is:
            row.update(floor_is=floor_is, floor=floor)
            text += f"; {floor_is}: {shown(floor, unit)}"
        if ratio:
            row.update(ratio=ratio)
            text += f"; ratio {ratio:.3f}"
        if aim:
            judged = ratio or figure
            row.update(aim=aim, aim_is="most" if aim_is_most else "least",
                       met=judged <= aim if aim_is_most else judged >= aim)
            text += (f" (aim: at {row['aim_is']} {shown(aim, '' if ratio else unit)})")
        if more:
            row["more"] = {name.replace("_", " "): value for name, value in more.items()}
            text += "\n    " + ", ".join(f"{name} {shown(value)}"
                                         for name, value in row["more"].items())
        self.rows.append(row)
        if not self.json:
            print(text, flush=True)

    def close(self):
        """Prints the JSON object. Return: the exit status."""
        if self.json:
            machine = {"cpu": cpu_name(), "cpus": os.cpu_count(), "kernel": os.uname().release}
            print(json.dumps({"bench": self.name, "quick": self.quick, "machine": machine,
                              "rows": self.rows}))
        return 0 if self.rows else 1


def median(values):
    """The middle of some figures."""
    return statistics.median(values)
