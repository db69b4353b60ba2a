#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Counts the results of meson test runs and prints one plain line.

usage: count-results.py BUILD_FOLDER...

Reads meson-logs/testlog.json of each folder (one JSON object a test). A folder without
results counts as a failure: a run that did not happen is not a run that passed.
"""
import json
import os
import sys

GOOD = {"OK", "EXPECTEDFAIL"}
SKIP = {"SKIP", "IGNORED"}


def main():
    passed = failed = skipped = 0
    bad = []
    for folder in sys.argv[1:]:
        path = os.path.join(folder, "meson-logs", "testlog.json")
        before = passed + failed + skipped
        if os.path.exists(path):
            with open(path, encoding="utf-8") as log:
                for line in log:
                    test = json.loads(line)
                    if test["result"] in GOOD:
                        passed += 1
                    elif test["result"] in SKIP:
                        skipped += 1
                    else:
                        failed += 1
                        bad.append(f"{folder}: {test['name']}: {test['result']}")
        if passed + failed + skipped == before:
            failed += 1
            bad.append(f"{folder}: no results")
    for line in bad:
        print(line)
    extra = f", {skipped} skipped" if skipped else ""
    print(f"{passed} passed, {failed} failed{extra}")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
