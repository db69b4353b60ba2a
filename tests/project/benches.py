#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""ferry bench knows every benchmark, and each prints what ferry-bench(1) promises.

usage: benches.py FERRY BENCH_FOLDER BENCH_SOURCE_FOLDER [NAME...]
Figures are not looked at, but that they are there and that the ratio fits the figures' sign.
"""
import json
import os
import pathlib
import subprocess
import sys

TEXTS = {"subject", "unit"}
MEMBERS = TEXTS | {"figure", "floor_is", "floor", "ratio", "best", "aim", "aim_is", "met", "more"}


def ferry_bench(ferry, folder, *args):
    """Runs ferry bench. Return: status, output, errors."""
    env = dict(os.environ, FERRY_BENCH_FOLDER=str(folder), FERRY=ferry)
    run = subprocess.run([ferry, "bench", *args], capture_output=True, text=True, check=False,
                         env=env, timeout=100)
    return run.returncode, run.stdout, run.stderr


def check_row(row):
    """Return: what is wrong with a row."""
    wrong = [f"unknown member {m}" for m in sorted(set(row) - MEMBERS)]
    wrong += [f"no text {t}" for t in sorted(TEXTS) if not row.get(t)]
    if not row.get("figure", 0) > 0:
        wrong.append("no figure")
    if ("floor" in row) != ("floor_is" in row) or ("aim" in row) != ("met" in row):
        wrong.append("half a floor or half an aim")
    if "aim" in row:
        judged = row.get("ratio", row["figure"])
        met = judged <= row["aim"] if row["aim_is"] == "most" else judged >= row["aim"]
        if met != row["met"]:
            wrong.append(f"met is {row['met']} for {judged} and {row['aim']}")
    return [f"{row.get('subject')}: {w}" for w in wrong]


def main():
    ferry, folder, source = sys.argv[1:4]
    names = sorted(p.stem[len("bench_"):] for p in pathlib.Path(source).glob("bench_*.c"))
    status, out, err = ferry_bench(ferry, folder, "--list", "--json")
    assert status == 0, err
    listed = {b["bench"]: b["about"] for b in json.loads(out)}
    assert sorted(listed) == names, (sorted(listed), names)
    assert all(len(about) > 10 for about in listed.values()), listed
    wrong = []
    chosen = sys.argv[4:] or names
    status, out, err = ferry_bench(ferry, folder, "--quick", "--json", *chosen)
    results = json.loads(out)
    assert status == 0, err
    assert [r["bench"] for r in results] == chosen, results
    for result in results:
        assert result["quick"] is True and result["machine"]["cpus"] > 0, result
        assert result["rows"], result
        for row in result["rows"]:
            wrong += [f"{result['bench']}: {w}" for w in check_row(row)]
    status, _, err = ferry_bench(ferry, folder, "no-such")
    assert status == 2 and "no-such" in err
    status, _, err = ferry_bench(ferry, "/nonexistent")
    assert status == 1 and "FERRY_BENCH_FOLDER" in err
    print("\n".join(wrong) or f"{len(chosen)} of {len(names)} benchmarks")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
