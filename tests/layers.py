#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds every #include of the project to scripts/layers.txt.

usage: layers.py ROOT | layers.py --self-test
"""

import pathlib
import re
import sys
import tempfile

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
GNU = re.compile(r"^\s*#\s*define\s+_GNU_SOURCE\b", re.M)
PUBLIC = "include/ferry"
# errno.h is there for its numbers; a use of errno itself fails the purity test.
PURE_HEADERS = {
    "assert.h", "errno.h", "inttypes.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h",
    "stdint.h", "stdio.h", "string.h", "xxhash.h", "xxh_x86dispatch.h",
}


class Layer:
    def __init__(self, level, folder, options):
        self.level, self.folder = level, folder
        self.uses = set()
        self.flags = set()
        for option in options:
            if option.startswith("uses="):
                self.uses.update(option[5:].split(","))
            else:
                self.flags.add(option)


def read_layers(root):
    layers = {}
    for line in (root / "scripts/layers.txt").read_text().splitlines():
        words = line.split("#")[0].split()
        if words:
            layers[words[1]] = Layer(int(words[0]), words[1], words[2:])
    return layers


def layer_of(path, layers):
    """The layer whose folder holds a path; None outside of all."""
    for parent in path.parents:
        if str(parent) in layers:
            return layers[str(parent)]
    return None


def target_of(root, file, name):
    """Folder that an include leads to: PUBLIC, "src/x", or None for a system header."""
    if name.startswith("ferry/"):
        return PUBLIC
    first = name.split("/")[0]
    if "/" in name and (root / "src" / first).is_dir():
        return "src/" + first
    if (root / file.parent / name).is_file():
        return str(file.parent)
    return None


def check_include(root, file, layer, quote, name, layers):
    """Why an include is wrong, or None."""
    if ".." in name.split("/"):
        return "leaves its folder"
    target = target_of(root, file, name)
    if target is None:
        if quote == '"':
            return "is nowhere"
        if "pure" in layer.flags and name not in PURE_HEADERS:
            return "is a system header, the layer is pure"
        return None
    if target == PUBLIC:
        return None
    there = layers.get(target) or layer_of(pathlib.Path(target) / "x", layers)
    if there is None:
        return "is in a folder that scripts/layers.txt does not name"
    if there is layer or there.folder in layer.uses:
        return None
    if "public" in layer.flags:
        return f"is inside {there.folder}; {layer.folder} uses public headers only"
    if there.level >= layer.level:
        return f"points up: {layer.folder} is level {layer.level}, " \
               f"{there.folder} level {there.level}"
    return None


def check(root):
    """Violations, and the number of includes that were looked at."""
    layers = read_layers(root)
    wrong, seen = [], 0
    public = sorted((root / PUBLIC).rglob("*.h"))
    for path in public:
        for _, name in INCLUDE.findall(path.read_text()):
            seen += 1
            if target_of(root, path.relative_to(root), name) not in (None, PUBLIC):
                wrong.append(f"{path.relative_to(root)}: {name} is not public")
    for top in ("src", "examples"):
        for path in sorted((root / top).rglob("*.[ch]")):
            file = path.relative_to(root)
            layer = layer_of(file, layers)
            if layer is None:
                wrong.append(f"{file}: its folder is not in scripts/layers.txt")
                continue
            text = path.read_text()
            if "gnu" not in layer.flags and GNU.search(text):
                wrong.append(f"{file}: _GNU_SOURCE does not belong into {layer.folder}")
            for quote, name in INCLUDE.findall(text):
                seen += 1
                why = check_include(root, file, layer, quote, name, layers)
                if why:
                    wrong.append(f"{file}: {name} {why}")
    return wrong, seen


# {file: content}, and a word of the violation that it must give (None: it is right).
CASES = [
    ("src/base/a.c", '#include "core/x.h"\n', "points up"),
    ("src/base/a.c", '#include <unistd.h>\n', "pure"),
    ("src/core/a.c", '#include "wire/x.h"\n', "points up"),
    ("src/core/sub/a.c", '#include "link/x.h"\n', "points up"),
    ("src/device/a.c", '#include "host/x.h"\n', "points up"),
    ("src/host/a.c", '  # include "device/x.h"\n', "points up"),
    ("src/models/a.c", '#include "base/x.h"\n', "public"),
    ("src/models/a.c", '#include "device/x.h"\n', "public"),
    ("src/cli/a.c", '#include "host/x.h"\n', "public"),
    ("examples/e/a.c", '#include "core/x.h"\n', "public"),
    ("src/host/a.c", '#include "../device/x.h"\n', "leaves"),
    ("src/host/a.c", '#include "gone.h"\n', "nowhere"),
    ("src/link/a.c", "#define _GNU_SOURCE\n", "_GNU_SOURCE"),
    ("src/odd/a.c", "int a;\n", "not in"),
    ("include/ferry/a.h", '#include "core/x.h"\n', "not public"),
    ("src/host/a.c", '#include "link/x.h"\n#include "ferry/x.h"\n#include <poll.h>\n', None),
    ("src/host/a.c", '#include "host/x.h"\n#include "x.h"\n', None),
    ("src/cli/a.c", '#include "models/x.h"\n#include "ferry/x.h"\n', None),
    ("src/os/a.c", '#define _GNU_SOURCE\n#include "base/x.h"\n', None),
]


def self_test(layers_text):
    """Builds one small tree per case and looks whether the check says what it must."""
    folders = ["base", "core", "core/sub", "wire", "os", "link", "device", "host", "models",
               "cli", "odd"]
    for name, content, expected in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            root = pathlib.Path(temporary)
            for folder in folders:
                (root / "src" / folder).mkdir(parents=True)
                if folder != "odd":
                    (root / "src" / folder / "x.h").write_text("")
            for folder in (PUBLIC, "examples/e", "scripts"):
                (root / folder).mkdir(parents=True)
            (root / PUBLIC / "x.h").write_text("")
            (root / "scripts/layers.txt").write_text(layers_text)
            (root / name).write_text(content)
            wrong, _ = check(root)
            if expected is None and wrong:
                return f"{name}: {content!r} is right, but: {wrong}"
            if expected and not any(name in w and expected in w for w in wrong):
                return f"{name}: {content!r} was not found: {wrong}"
    return None


def main():
    if sys.argv[1:] == ["--self-test"]:
        here = pathlib.Path(__file__).resolve().parent.parent
        failure = self_test((here / "scripts/layers.txt").read_text())
        print(failure or f"{len(CASES)} cases as expected")
        return 1 if failure else 0
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    wrong, seen = check(pathlib.Path(sys.argv[1]))
    for line in wrong:
        print(line)
    print(f"{seen} includes, {len(wrong)} violations")
    # No includes at all means that the wrong folder was looked at.
    return 1 if wrong or seen == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
