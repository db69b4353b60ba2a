#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""compare.sh tells records that are alike from those that are not."""
import os
import subprocess
import sys
import tempfile

COMPARE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "compare.sh")
PRE_COPY = "d0 SET MIG_DEVICE_STATE PRE_COPY = ok, PRE_COPY, a descriptor\n"
STOP_COPY = "d0 SET MIG_DEVICE_STATE STOP_COPY = ok, STOP_COPY, no descriptor\n"
DATA = "d0 . read = data # 2 times, 80 bytes\n"
NOTHING = "d0 . read = ENOMSG # 1 times, 0 bytes\n"
SIZE = "d0 . GET MIG_DATA_SIZE = ok # 3 times, 0 bytes\n"
END = "d0 read = end\n"
REFUSED = "d0 SET MIG_DEVICE_STATE STOP_COPY = EIO, STOP_COPY, no descriptor\n"
THREADS = ("--threads",)
ALIKE, DIFFERENT, BAD = 0, 1, 2


def compare(one, other, options=()):
    """Status and words of compare.sh for two records; None: there is no such file."""
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for name, text in ("one", one), ("other", other):
            paths.append(os.path.join(folder, name))
            if text is not None:
                with open(paths[-1], "w", encoding="utf-8") as file:
                    file.write(text)
        run = subprocess.run(["sh", COMPARE, *options, *paths], capture_output=True, text=True,
                             check=False)
        assert not run.stderr, run.stderr
        return run.returncode, run.stdout


CASES = (
    ("how often and how much is a device's own", ALIKE,
     PRE_COPY + DATA, PRE_COPY + "d0 . read = data # 9 times, 1 bytes\n", ()),
    ("a device may have nothing in pre-copy", ALIKE,
     PRE_COPY + DATA + SIZE, PRE_COPY + NOTHING + SIZE, ()),
    ("and not behind its stop", DIFFERENT,
     PRE_COPY + STOP_COPY + DATA, PRE_COPY + STOP_COPY + NOTHING, ()),
    ("nor may it end in pre-copy", DIFFERENT, PRE_COPY + DATA, PRE_COPY + DATA + END, ()),
    ("another state is another one", DIFFERENT, PRE_COPY, STOP_COPY, ()),
    ("a descriptor more", DIFFERENT,
     STOP_COPY, STOP_COPY.replace("no descriptor", "a descriptor"), ()),
    ("a request more", DIFFERENT, PRE_COPY + DATA, PRE_COPY + DATA + SIZE, ()),
    ("one order is not another", DIFFERENT,
     STOP_COPY + SIZE + DATA + END, STOP_COPY + DATA + SIZE + END, ()),
    ("but for threads", ALIKE,
     STOP_COPY + SIZE + DATA + END, STOP_COPY + DATA + END + SIZE, THREADS),
    ("which have to do the same nevertheless", DIFFERENT,
     STOP_COPY + SIZE + DATA + END, STOP_COPY + DATA + SIZE, THREADS),
    ("a refusal has its errno", DIFFERENT, REFUSED, REFUSED.replace("EIO", "EINVAL"), ()),
    ("unless it is a device's own", ALIKE,
     REFUSED, REFUSED.replace("EIO", "EINVAL"), ("--refused",)),
    ("but a refusal is no success", DIFFERENT, REFUSED, STOP_COPY, ("--refused",)),
    ("devices are not mixed up", DIFFERENT, PRE_COPY + DATA, PRE_COPY + DATA.replace("d0", "d1"),
     ()),
    ("a record that lacks something", BAD, PRE_COPY + "fault: too many devices\n", PRE_COPY, ()),
    ("an empty record", BAD, PRE_COPY, "", ()),
    ("no record", BAD, None, PRE_COPY, ()),
)

wrong = 0
for name, expected, *records in CASES:
    status, text = compare(*records)
    if status != expected or (status == DIFFERENT and "the first difference" not in text):
        print(f"{name}: status {status}, not {expected}\n{text}")
        wrong += 1
print(f"{len(CASES) - wrong} of {len(CASES)} as expected")
sys.exit(1 if wrong else 0)
