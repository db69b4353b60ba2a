#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""systemd takes the units that are installed, and the command knows the options they use.

usage: units.py FERRY SERVICE SOCKET
systemd-analyze needs no systemd that runs: it reads the units by itself.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77


def value(text, key):
    """What a unit says for a key."""
    found = re.search(rf"^{key}=(.*)$", text, re.M)
    assert found, f"{key}= is missing"
    return found[1]


def check_command(ferry, service):
    """ExecStart is a command line that this command knows."""
    _, command, *args = value(service, "ExecStart").split()
    shown = subprocess.run([ferry, command, "--help"], capture_output=True, text=True,
                           check=True).stdout
    for option in [a.split("=")[0] for a in args if a.startswith("-")]:
        assert option in shown, f"the unit uses {option}"


def check_pair(service, socket):
    """The socket is handed over: the service needs it and may make none itself."""
    assert "%p@%i.socket" in value(service, "Requires"), "it would start without a socket"
    assert "--socket" not in service and "RuntimeDirectory" not in service
    assert value(socket, "ListenStream") == "/run/ferry/%i.sock"
    assert value(socket, "SocketGroup") == "ferry" and value(socket, "SocketMode") == "0660"
    for unit in service, socket:
        assert value(unit, "ConditionPathExists") == "/etc/ferry/%i.conf"


def verify(analyze, folder, paths):
    """Return: what systemd says of the units, [] for nothing; and all that it said."""
    run = subprocess.run([analyze, "verify", "--man=no", *paths], capture_output=True,
                         text=True, check=False)
    told = [line for line in run.stderr.splitlines() if "ferry-serve@" in line]
    if run.returncode != 0 and not told:
        sys.exit(f"systemd-analyze cannot run here (status {run.returncode}): {run.stderr}"
                 f"units: {sorted(p.name for p in folder.iterdir())}")
    return told


def main():
    ferry = sys.argv[1]
    units = [pathlib.Path(name) for name in sys.argv[2:4]]
    text = [unit.read_text() for unit in units]
    check_command(ferry, text[0])
    check_pair(*text)
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        print("systemd-analyze is missing (package systemd): the units were not verified")
        return SKIP
    with tempfile.TemporaryDirectory() as name:
        # With this command, which is not installed, and as an instance.
        folder = pathlib.Path(name)
        here = re.sub(r"^(ExecStart=)\S+/ferry ", rf"\g<1>{ferry} ", text[0], flags=re.M)
        paths = [folder / unit.name.replace("@", "@test") for unit in units]
        for path, content in zip(paths, (here, text[1])):
            path.write_text(content)
        told = verify(analyze, folder, paths)
        # What it says of a wrong unit has to be seen.
        paths[1].write_text(text[1].replace("ListenStream=", "ListenSteam="))
        assert verify(analyze, folder, paths), "systemd-analyze verify finds nothing"
    print("\n".join(told) or "verified")
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
