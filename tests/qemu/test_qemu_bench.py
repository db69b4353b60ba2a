#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry bench knows the benchmarks that need QEMU, and the quickest one prints its figures.

usage: test_qemu_bench.py FERRY BENCH_FOLDER BENCH_SOURCE_FOLDER
"""
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../project"))
import benches  # noqa: E402 pylint: disable=wrong-import-position

QUICKEST = "qemu_access"


def main():
    """Lists them all and runs one."""
    ferry, folder, source = sys.argv[1:4]
    with open(os.path.join(source, "meson.build"), encoding="utf-8") as file:
        listed = re.search(r"foreach name : \[(.*?)\]", file.read(), re.S).group(1)
    names = {"qemu_" + name for name in re.findall(r"'(\w+)'", listed)}
    assert names and all((pathlib.Path(source) / (name[5:] + ".py")).exists() for name in names)
    status, out, err = benches.ferry_bench(ferry, folder, "--list", "--json")
    assert status == 0, err
    about = {bench["bench"]: bench["about"] for bench in json.loads(out)}
    assert set(about) == names and all(len(text) > 10 for text in about.values()), about
    status, out, err = benches.ferry_bench(ferry, folder, "--quick", "--json", QUICKEST)
    assert status == 0, err
    (result,) = json.loads(out)
    wrong = [text for row in result["rows"] for text in benches.check_row(row)]
    assert result["rows"] and not wrong, wrong
    # Without the cache it says so in one sentence.
    os.environ["FERRY_BENCH_QEMU"] = "/nonexistent"
    status, _, err = benches.ferry_bench(ferry, folder, QUICKEST)
    assert status == 1 and "make bench-qemu" in err and "Traceback" not in err, err
    print(f"{QUICKEST}: {len(result['rows'])} rows")


if __name__ == "__main__":
    main()
