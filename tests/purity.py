#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Looks at what the pure layers (base, core, wire) call: nothing that allocates, does I/O,
reads a clock or touches errno.

usage: purity.py LIBRARY_OR_OBJECT... | purity.py --self-test COMPILER...
"""

import pathlib
import re
import subprocess
import sys
import tempfile

ALLOWED = re.compile(
    r"""^(
        mem(cpy|set|cmp|move|chr) | str(len|nlen|cmp|ncmp|chr) | v?snprintf
      | __(mem(cpy|set|move)|v?snprintf)_chk          # the same, fortified
      | bcmp                                             # what clang makes of memcmp
      | XXH\w+
      | __(popcount|ctz|clz)[sdt]i2                      # the compiler's own arithmetic
      | __assert_fail | __stack_chk_(fail|guard) | _GLOBAL_OFFSET_TABLE_
      | __(asan|ubsan|tsan|msan|lsan|sanitizer|sancov|gcov|llvm)_\w+ | _?_afl\w*
    )$""", re.X)


def undefined(files):
    """Symbols that are used and not defined among the files themselves, with their user."""
    output = subprocess.run(["nm", "--format=posix", *files], check=True, text=True,
                            stdout=subprocess.PIPE).stdout
    used, defined, member = {}, set(), "?"
    for line in output.splitlines():
        words = line.split()
        if line.endswith(":"):
            member = line[:-1]
        elif len(words) >= 2 and words[1] in "Uwv":
            used.setdefault(words[0], member)
        elif len(words) >= 2:
            defined.add(words[0])
    return {name: who for name, who in used.items() if name not in defined}, len(defined)


def check(files):
    symbols, defined = undefined(files)
    wrong = [f"{who}: {name}" for name, who in sorted(symbols.items())
             if not ALLOWED.match(name)]
    return wrong, defined


CASES = [
    ("#include <stdlib.h>\nvoid *f(void); void *f(void) { return malloc(9); }", "malloc"),
    ("#include <unistd.h>\nlong f(void); long f(void) { return write(1, \"\", 1); }",
     "write"),
    ("#include <errno.h>\nint f(void); int f(void) { return errno; }", "__errno_location"),
    ("#include <time.h>\nlong f(void); long f(void) { return time(0); }", "time"),
    ("#include <stdio.h>\nvoid f(int); void f(int i) { printf(\"%d\", i); }", "printf"),
    ("#include <stdlib.h>\nvoid f(void); void f(void) { exit(1); }", "exit"),
    ("#include <string.h>\nvoid f(char *a, unsigned long n);"
     "void f(char *a, unsigned long n) { memset(a, 1, n); }", None),
]


def self_test(compiler):
    for source, expected in CASES:
        with tempfile.TemporaryDirectory() as temporary:
            c = pathlib.Path(temporary) / "a.c"
            c.write_text(source)
            subprocess.run([*compiler, "-O1", "-c", str(c), "-o", str(c) + ".o"], check=True)
            wrong, _ = check([str(c) + ".o"])
            if expected is None and wrong:
                return f"{source!r} is pure, but: {wrong}"
            if expected and not any(w.endswith(": " + expected) for w in wrong):
                return f"{source!r}: {expected} was not found: {wrong}"
    return None


def main():
    if len(sys.argv) > 2 and sys.argv[1] == "--self-test":
        failure = self_test(sys.argv[2:])
        print(failure or f"{len(CASES)} cases as expected")
        return 1 if failure else 0
    if len(sys.argv) < 2:
        print(__doc__)
        return 2
    wrong, defined = check(sys.argv[1:])
    for line in wrong:
        print(line)
    print(f"{defined} symbols defined, {len(wrong)} forbidden ones used")
    # A library without symbols was not looked at.
    return 1 if wrong or defined == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
