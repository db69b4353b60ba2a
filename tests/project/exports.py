#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The library exports what its headers declare FERRY_PUBLIC, each name in the symbol map.

usage: exports.py LIBFERRY_SO MAP HEADER_FOLDER | exports.py --self-test
"""
import pathlib
import re
import subprocess
import sys

PUBLIC = re.compile(r"^FERRY_PUBLIC\b[^;{]*?\b(ferry_\w+)\s*\(", re.M)
COMMENT = re.compile(r"/\*.*?\*/", re.S)


def declared(text):
    """Names that a header declares FERRY_PUBLIC."""
    return set(PUBLIC.findall(COMMENT.sub("", text)))


def read_map(text):
    """{name: node} of a version script, and what is wrong with it."""
    names, wrong = {}, []
    for node, body in re.findall(r"([\w.]+)\s*\{(.*?)\}", re.sub(r"#.*", "", text), re.S):
        for name in re.findall(r"([^\s;]+)\s*;", body.split("local:")[0]):
            if not re.fullmatch(r"\w+", name):
                wrong.append(f"{node}: '{name}' is a pattern: name each function")
            elif name in names:
                wrong.append(f"{name} is in {names[name]} and in {node}")
            names[name] = node
    return names, wrong


def exported(text):
    """{name: node} from the output of nm -D --with-symbol-versions; nodes left out."""
    found = {}
    for line in text.splitlines():
        kind, name = line.split()[-2:]
        if kind != "A":
            name, _, node = name.partition("@@")
            found[name] = node
    return found


def compare(public, mapped, library):
    """What differs between headers, map and library."""
    wrong = [f"{n} is FERRY_PUBLIC and not in the map" for n in sorted(public - set(mapped))]
    wrong += [f"{n} is in the map and not FERRY_PUBLIC" for n in sorted(set(mapped) - public)]
    wrong += [f"{n} is declared and not exported" for n in sorted(public - set(library))]
    wrong += [f"{n} is exported and not declared" for n in sorted(set(library) - public)]
    wrong += [f"{n} is exported as '{library[n]}', the map says '{mapped[n]}'"
              for n in sorted(set(library) & set(mapped)) if library[n] != mapped[n]]
    return wrong


def self_test():
    """Each kind of difference is found."""
    public = declared("FERRY_PUBLIC int\nferry_a(int b);\n/* FERRY_PUBLIC int ferry_c(); */\n"
                      "FERRY_PUBLIC const char *ferry_b(void);\nint ferry_d(void);\n")
    assert public == {"ferry_a", "ferry_b"}, public
    mapped, wrong = read_map("# x\nN_0.1 { global: ferry_a; ferry_b; local: *; };")
    assert mapped == {"ferry_a": "N_0.1", "ferry_b": "N_0.1"} and not wrong
    assert read_map("N1 { global: ferry_*; local: *; };")[1]
    assert read_map("N1 { global: ferry_a; };\nN2 { global: ferry_a; } N1;")[1]
    library = exported("0000 A N_0.1@@N_0.1\n0010 T ferry_a@@N_0.1\n"
                       "0020 T ferry_b@@N_0.1\n")
    assert not compare(public, mapped, library)
    assert compare(public | {"ferry_x"}, mapped, library)
    assert compare(public, {"ferry_a": "N_0.1"}, library)
    assert compare(public, mapped, {"ferry_a": "N_0.1"})
    assert compare(public, mapped, dict(library, ferry_y="N_0.1"))
    assert compare(public, dict(mapped, ferry_a="N2"), library)


def main():
    if sys.argv[1:] == ["--self-test"]:
        self_test()
        return 0
    library, version_map, headers = map(pathlib.Path, sys.argv[1:4])
    public = set()
    for header in headers.glob("*.h"):
        public |= declared(header.read_text())
    mapped, wrong = read_map(version_map.read_text())
    nm = subprocess.run(["nm", "-D", "--defined-only", "--with-symbol-versions", library],
                        check=True, capture_output=True, text=True).stdout
    wrong += compare(public, mapped, exported(nm))
    print("\n".join(wrong) or f"{len(public)} functions")
    return 1 if wrong or not public else 0


if __name__ == "__main__":
    sys.exit(main())
