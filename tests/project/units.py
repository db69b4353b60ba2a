#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd takes the units that are installed, and the command knows the options they use.

usage: units.py FERRY UNIT
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77


def main():
    ferry, unit = sys.argv[1], pathlib.Path(sys.argv[2])
    text = unit.read_text()
    command = re.search(r"^ExecStart=\S+/ferry (\w+) (.*)$", text, re.M)
    shown = subprocess.run([ferry, command[1], "--help"], capture_output=True, text=True,
                           check=True).stdout
    for option in re.findall(r"--[a-z-]+", command[2]):
        assert option in shown, f"{unit.name} uses {option}"
    if shutil.which("systemd-analyze") is None:
        print("systemd-analyze is missing: the unit was not verified")
        return SKIP
    with tempfile.TemporaryDirectory() as folder:
        # With this command, which is not installed, and as an instance.
        path = pathlib.Path(folder) / unit.name.replace("@", "@test")
        path.write_text(re.sub(r"^(ExecStart=)\S+/ferry ", rf"\g<1>{ferry} ", text, flags=re.M))
        run = subprocess.run(["systemd-analyze", "verify", "--man=no", path],
                             capture_output=True, text=True, check=False)
        told = [line for line in run.stderr.splitlines() if unit.stem.rstrip("@") in line]
        print("\n".join(told) or "verified")
        if run.returncode != 0 and not told:
            print(run.stderr + "systemd-analyze cannot run here")
            return SKIP
        return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
