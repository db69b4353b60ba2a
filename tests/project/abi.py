#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares the library's interface with the one that was looked at, or notes a new one.

usage: abi.py LIBFERRY_SO ROOT | abi.py --update LIBFERRY_SO ROOT | abi.py --self-test CC
Needs abidw and abidiff (Debian: abigail-tools) and a library with debug information.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
DUMP = "abi/ferry-0.1.abixml"
# Of abidiff's exit status: 1 and 2 are its own errors, 4 is a change, 8 one that breaks users.
ERRORS = 3


def dump(library, headers, path):
    """Writes the interface of a library, without what only its inside knows."""
    subprocess.run(["abidw", "--headers-dir", headers, "--drop-private-types",
                    "--exported-interfaces-only", "--no-corpus-path", "--no-comp-dir-path",
                    "--no-show-locs", "--out-file", path, library], check=True)


def write_committed(library, headers, path):
    """The dump as it is committed: paths from src on, the licence line that every file has.

    The line stands within the root element: abidiff knows a dump by how it begins.
    """
    dump(library, headers, path)
    text = re.sub(r" path='[^']*?/(?=src/)", " path='", path.read_text())
    root, rest = text.split("\n", 1)
    path.write_text(f"{root}\n  <!-- SPDX-License-Identifier: BSD-3-Clause -->\n{rest}")


def differences(old, library, headers, suppressions):
    """Return: abidiff's text; empty when nothing differs. Ends the process on its errors."""
    with tempfile.TemporaryDirectory() as folder:
        new = pathlib.Path(folder) / "new.abixml"
        dump(library, headers, new)
        run = subprocess.run(["abidiff", "--harmless", "--suppressions", suppressions, old, new],
                             capture_output=True, text=True, check=False)
    if run.returncode & ERRORS:
        sys.exit(f"abidiff failed ({run.returncode}):\n{run.stdout}{run.stderr}")
    return run.stdout if run.returncode else ""


def build(cc, folder, header, source):
    """A small library of its own, for the self-test."""
    (folder / "lib.h").write_text(header)
    (folder / "lib.c").write_text('#include "lib.h"\n' + source)
    library = folder / "lib.so"
    subprocess.run([*cc, "-g", "-shared", "-fPIC", folder / "lib.c", "-o", library], check=True)
    return library


def self_test(cc, suppressions):
    """What is the same passes; a grown, a moved, another member, a function more or less do not."""
    options = "struct ferry_x_options { unsigned long struct_size; int a; %s };\n"
    call = "int ferry_x(const struct ferry_x_options *o);\n"
    body = "int ferry_x(const struct ferry_x_options *o) { return o->a; }\n"
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        old = folder / "old.abixml"
        write_committed(build(cc, folder, options % "int b;" + call, body), folder, old)

        def differ(header, source=body):
            return differences(old, build(cc, folder, header, source), folder, suppressions)

        assert not differ(options % "int b;" + call)
        assert "long int c" in differ(options % "int b; long c;" + call)
        assert "int a" in differ(options.replace("int a;", "long a;") % "int b;" + call)
        assert differ(options.replace("int a;", "int z; int a;") % "int b;" + call)
        assert "ferry_y" in differ(options % "int b;" + call + "int ferry_y(void);\n",
                                   body + "int ferry_y(void) { return 1; }\n")
        assert "ferry_x" in differ(options % "int b;", "int other;\n")


def main():
    if shutil.which("abidw") is None or shutil.which("abidiff") is None:
        print("abidw and abidiff are missing (Debian: abigail-tools)")
        return SKIP
    if sys.argv[1] == "--self-test":
        root = pathlib.Path(__file__).resolve().parents[2]
        self_test(sys.argv[2:], root / "abi/suppressions")
        return 0
    update = sys.argv[1] == "--update"
    library, root = map(pathlib.Path, sys.argv[-2:])
    headers, old = root / "include/ferry", root / DUMP
    if not old.exists() and not update:
        print(f"{DUMP} is not there yet: scripts/abi-update writes it")
        return SKIP
    text = differences(old, library, headers, root / "abi/suppressions") if old.exists() else ""
    if update:
        write_committed(library, headers, old)
        functions = len(re.findall("<function-decl", old.read_text()))
        print(text or "nothing differs")
        print(f"{DUMP}: {functions} functions")
        return 0
    if text:
        print(text + f"\nMeant? scripts/abi-update renews {DUMP}.")
    return 1 if text else 0


if __name__ == "__main__":
    sys.exit(main())
