# SPDX-License-Identifier: BSD-3-Clause
"""The cases of cases/*.sh: which there are, how each ended, and a line for each."""
import os
import re
import sys
import threading

import machine

CASE_S = 60
PRINT = threading.Lock()


class Plan:
    """The cases of one boot: (name, file, function, seconds)."""

    def __init__(self, boot):
        self.boot = boot
        self.cases = []

    def limits(self):
        """{name: seconds}."""
        return {name: seconds for name, _, _, seconds in self.cases}

    def script(self):
        """The guest's /plan."""
        return "".join(f"run_case '{name}' {seconds} 'set -eu; . /{path}; {function}'\n"
                       for name, path, function, seconds in self.cases)


def plans(folder, boots, only=""):
    """One Plan for each boot that has cases whose names match."""
    found = {}
    for file in sorted(os.listdir(folder)):
        if not file.endswith(".sh"):
            continue
        with open(os.path.join(folder, file), encoding="utf-8") as text:
            text = text.read()
        boot = re.search(r"^# boot: (\w+)$", text, re.M)
        assert boot and boot[1] in boots, f"{file} names no boot"
        functions = re.findall(r"^(?:# limit: (\d+)\n)?(test_\w+)\(\)", text, re.M)
        assert functions, f"{file} has no cases"
        for limit, function in functions:
            name = f"{file[:-3]}: {function[5:].replace('_', ' ')}"
            if re.search(only, name):
                found.setdefault(boot[1], Plan(boot[1])).cases.append(
                    (name, "cases/" + file, function, int(limit or CASE_S)))
    return [found[boot] for boot in boots if boot in found]


def wrong_with(case):
    """Why a case did not pass; None when it did."""
    if case.status is None:
        return "the guest died, or did not answer any more"
    if case.status in machine.TIMED_OUT:
        return "it took too long"
    if case.status:
        return f"status {case.status}"
    trouble = case.trouble()
    return "the kernel says: " + trouble if trouble else None


def tell(boot, case, wrong, verbose=False):
    """One line for a case, and below it what it said if that is of interest. Returns how many
    passed and failed."""
    with PRINT:
        print(f"{'FAIL' if wrong else 'ok  '} [{boot}] {case.name} ({case.seconds:.1f} s)"
              + (": " + wrong if wrong else ""))
        if wrong or verbose:
            for line in case.output + ["kernel: " + line for line in case.kernel]:
                print("        " + line)
        sys.stdout.flush()
    return (0, 1) if wrong else (1, 0)


def run_plan(plan, guest_machine, verbose=False):
    """Runs a plan's cases in a machine that has them. Returns how many passed and failed: one
    that is not told to have ended has failed."""
    counts = [(0, 0)]
    left = [case[0] for case in plan.cases]
    for case in guest_machine.cases(plan.limits()):
        if case.name in left:
            left.remove(case.name)
            counts.append(tell(plan.boot, case, wrong_with(case), verbose))
    said = guest_machine.said() if left else ""
    counts += [tell(plan.boot, machine.Case(name), "it was not run") for name in left]
    if said:
        with PRINT:
            print(f"     [{plan.boot}] QEMU and the kernel said at last:")
            print("\n".join("        " + line for line in said.splitlines()[-60:]))
    return tuple(map(sum, zip(*counts)))
