# SPDX-License-Identifier: BSD-3-Clause
"""The examples of docs/filters.md, as they are written there, over real processes.

Usage: test_filters_table.py FERRY FILTERS_MD
"""
import sys
import time

from cli_rig import Rig

LIMIT_S = 20
ROWS_LEAST = 10


def expect(what, have, want):
    """One comparison."""
    assert have == want, "%s: %r instead of %r" % (what, have, want)


def read_rows(path):
    """(side, filter, options, exit, then) of each row of the table of examples."""
    rows = []
    with open(path, encoding="utf-8") as page:
        for line in page:
            cell = [c.strip() for c in line.split("|")[1:-1]]
            if len(cell) == 6 and cell[0] in ("source", "target"):
                rows.append((cell[0], cell[1].strip("`"), cell[2].strip("`").split(),
                             int(cell[3]), int(cell[4]) if cell[4] else None))
    return rows


def start_side(rig, side, spec):
    """A device under a filter, and its host."""
    path = rig.path("acc-%s.sock" % side)
    rig.start("acc-" + side, "serve", "acc", "--socket", path,
              *(("--filter", spec) if spec else ()))
    rig.start("host-" + side, "host", "--device", "acc=" + path, "--memory", "8M",
              "--listen", "tcp:127.0.0.1:0", "--control", rig.path(side + ".sock"))


def migrate(rig, options):
    """Source to target, once the target listens. Return: the command's end."""
    end = time.monotonic() + LIMIT_S
    address = ""
    while not address:
        assert time.monotonic() < end, "the target does not listen"
        address = rig.control("B").call("status")["address"]
        time.sleep(0.005)
    return rig.run("migrate", "--control", rig.path("A.sock"), "--quiet", *options, address)


def check_row(ferry, row):
    """One example: exit status of the first try and of the second."""
    side, spec, options, code, then = row
    with Rig(ferry) as rig:
        start_side(rig, "A", spec if side == "source" else None)
        start_side(rig, "B", spec if side == "target" else None)
        done = migrate(rig, options)
        expect("%s %s: exit status: %s" % (side, spec, done.stderr), done.returncode, code)
        if code in (3, 4, 7):
            assert "acc" in done.stderr or "in phase" in done.stderr or \
                "the target" in done.stderr, done.stderr
        if then is not None:
            done = migrate(rig, options)
            expect("%s %s: second try: %s" % (side, spec, done.stderr), done.returncode, then)


def main():
    rows = read_rows(sys.argv[2])
    assert len(rows) >= ROWS_LEAST, "only %d examples were found" % len(rows)
    for row in rows:
        check_row(sys.argv[1], row)
        print("passed: %s %s" % (row[0], row[1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
