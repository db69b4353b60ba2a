#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds every file of the project to what CONTRIBUTING.md says of files.

usage: style.py ROOT | style.py --self-test ROOT
Licence line, length, formatting of C (clang-format-14), and words that do not belong here.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
LINES_MAX = 600
FORMATTER = "clang-format-14"
C = {".c", ".h"}
CODE = C | {".py", ".build", ".map", ""}
# Data, and files whose form has no place for a comment.
NO_LICENCE_LINE = re.compile(
    r"^(LICENSE|tests/fuzz/corpus/|tests/sim/golden/|tests/.*/(data|golden|streams?|transcripts?)/"
    r"|debian/(changelog|copyright|source/|.*\.(install|docs|examples|symbols|manpages))"
    r"|.*\.(bin|json|jsonl|trace|trc|ferry|png|zst|gz)$)")
# What must not be in a file, each with the reason. The patterns are built so that this file
# has none of them.
WORDS = [
    (re.compile(r"(?<![\w$})\"'])/" + r"(work|home|root)/\w"), "a path of somebody's machine"),
    (re.compile("/" + r"tmp/ferry/"), "a path of somebody's machine"),
    (re.compile(r"\b(TO" + r"DO|FIX" + r"ME)\b(?!\s*\(?#\d)"), "unfinished without an issue number"),
    (re.compile(r"\b(white|black)" + r"list\b", re.I), "say allow or refuse"),
]


def tracked(root):
    """What git holds, as relative paths."""
    out = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True,
                         check=True).stdout
    return [n for n in out.split("\0") if n and (root / n).is_file()]


def check_text(name, text):
    """Return: what is wrong with one file."""
    wrong = []
    lines = text.splitlines()
    path = pathlib.PurePath(name)
    if not NO_LICENCE_LINE.match(name):
        # What is built into a kernel has the kernel's licence.
        licence = "GPL-2.0-only" if path.parts[0] == "kernel" else "BSD-3-Clause"
        if "SPDX-License-Identifier: " + licence not in "\n".join(lines[:6]):
            wrong.append(f"{name}: no SPDX line at its beginning")
        for i, line in enumerate(lines, 1):
            wrong += [f"{name}:{i}: '{w[0].search(line)[0]}': {w[1]}" for w in WORDS
                      if w[0].search(line)]
    if path.suffix in CODE and path.parts[0] not in ("abi", "debian") and len(lines) > LINES_MAX \
            and not NO_LICENCE_LINE.match(name):
        wrong.append(f"{name}: {len(lines)} lines, {LINES_MAX} are the most")
    return wrong


def check_format(root, names):
    """Return: C files that the formatter would change."""
    files = [n for n in names if pathlib.PurePath(n).suffix in C]
    run = subprocess.run([FORMATTER, "--dry-run", "-Werror", *files], cwd=root,
                         capture_output=True, text=True, check=False)
    if run.returncode == 0:
        return []
    found = sorted(set(re.findall(r"^(\S+?):\d+:\d+: error:", run.stderr, re.M)))
    return [f"{n}: {FORMATTER} -i changes it" for n in found] or [run.stderr]


def self_test(root):
    """Each rule finds its violation."""
    good = "/* SPDX-License-Identifier: BSD-3-Clause */\nint a;\n"
    assert not check_text("src/x.c", good)
    assert check_text("src/x.c", "int a;\n")
    assert check_text("kernel/x.c", good)
    assert not check_text("kernel/x.c", good.replace("BSD-3-Clause", "GPL-2.0-only"))
    assert not check_text("tests/fuzz/corpus/wire/x", "\0")
    assert check_text("src/x.c", good * LINES_MAX)
    assert check_text("src/x.c", good + "/* TO" + "DO later */\n")
    assert not check_text("src/x.c", good + "/* TO" + "DO #12 later */\n")
    assert check_text("docs/x.md", good + "see " + "/work" + "/x\n")
    if shutil.which(FORMATTER):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            shutil.copy(root / ".clang-format", folder)
            (folder / "x.c").write_text("int  a;\n")
            (folder / "y.c").write_text("int a;\n")
            assert check_format(folder, ["x.c", "y.c"]) == [f"x.c: {FORMATTER} -i changes it"]


def main():
    root = pathlib.Path(sys.argv[-1]).resolve()
    if sys.argv[1] == "--self-test":
        self_test(root)
        return 0
    try:
        names = tracked(root)
    except (subprocess.CalledProcessError, FileNotFoundError):
        print("no git here: it is not known which files belong to the project")
        return SKIP
    wrong = []
    for name in names:
        wrong += check_text(name, (root / name).read_bytes().decode(errors="replace"))
    formatter = shutil.which(FORMATTER)
    if formatter:
        wrong += check_format(root, names)
    print("\n".join(wrong) or f"{len(names)} files")
    if wrong:
        return 1
    if not formatter:
        print(f"{FORMATTER} is missing: the formatting was not checked")
        return SKIP
    return 0


if __name__ == "__main__":
    sys.exit(main())
