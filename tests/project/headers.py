#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Each public header compiles alone, as C17 and as C++17, and links from C++.

usage: headers.py HEADER_FOLDER LIBFERRY_SO CC... -- CXX
"""
import os
import pathlib
import subprocess
import sys
import tempfile

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wundef"]


def compile_alone(compiler, flags, header, folder, suffix):
    """Includes a header twice in an otherwise empty file. Return: what went wrong."""
    source = folder / ("alone" + suffix)
    line = f"#include <ferry/{header.name}>\n"
    source.write_text(line + line + "extern int ferry_nothing;\n")
    run = subprocess.run([*compiler, *flags, *WARNINGS, "-fsyntax-only",
                          "-I", header.parent.parent, source],
                         capture_output=True, text=True, check=False)
    return f"{header.name} as {flags[0]}:\n{run.stderr}" if run.returncode else ""


def link_from_cxx(cxx, headers, library, folder):
    """A C++ program calls the library: the names must not be mangled."""
    source, program = folder / "call.cc", folder / "call"
    source.write_text("".join(f"#include <ferry/{h.name}>\n" for h in headers) +
                      '#include <cstring>\nint main() { return std::strcmp(ferry_version(),'
                      ' "") == 0 || ferry_status_name(0) == nullptr; }\n')
    run = subprocess.run([*cxx, "-std=c++17", *WARNINGS, "-I", headers[0].parent.parent,
                          source, library, "-o", program],
                         capture_output=True, text=True, check=False)
    if run.returncode == 0:
        env = dict(os.environ, LD_LIBRARY_PATH=str(library.parent))
        run = subprocess.run([program], capture_output=True, text=True, check=False, env=env)
    return f"a C++ program:\n{run.stderr}" if run.returncode else ""


def main():
    folder, library = map(pathlib.Path, sys.argv[1:3])
    split = sys.argv.index("--")
    cc, cxx = sys.argv[3:split], sys.argv[split + 1:]
    headers = sorted(folder.glob("*.h"))
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        wrong = []
        for header in headers:
            wrong.append(compile_alone(cc, ["-std=c17"], header, work, ".c"))
            wrong.append(compile_alone(cxx, ["-std=c++17"], header, work, ".cc"))
        if library.name != "none":
            wrong.append(link_from_cxx(cxx, headers, library, work))
    wrong = [w for w in wrong if w]
    print("\n".join(wrong) or f"{len(headers)} headers")
    return 1 if wrong or len(headers) < 9 else 0


if __name__ == "__main__":
    sys.exit(main())
