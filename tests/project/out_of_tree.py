#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A program outside the tree builds against an installed copy, in four ways, and runs.

usage: out_of_tree.py BUILD_FOLDER EXAMPLE_FOLDER MESON CC...
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

WANT = ": MOVED, register 0x5eaf00d\n"


def run(command, **more):
    """A command that has to succeed. Return: what it printed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                 f"{done.stdout}{done.stderr}")
    return done.stdout


def install(meson, build, folder):
    """Installs library and headers below folder. Return: the folder of ferry.pc."""
    run([meson, "install", "-C", build, "--no-rebuild", "--destdir", folder,
         "--tags", "runtime,devel"])
    found = list(folder.rglob("ferry.pc"))
    assert len(found) == 1, found
    return found[0].parent


def check(program, env, static):
    """Runs a program, and looks whether it needs the shared library."""
    out = run([program], env=env)
    assert out.startswith("libferry ") and out.endswith(WANT), out
    needed = run(["readelf", "-d", program])
    assert ("libferry.so.0" in needed) != static, needed


def main():
    build, example = map(pathlib.Path, sys.argv[1:3])
    meson, cc = sys.argv[3], sys.argv[4:]
    with tempfile.TemporaryDirectory(prefix="ferry-out-of-tree-") as name:
        work = pathlib.Path(name)
        root = work / "root"
        pc = install(meson, build, root)
        env = dict(os.environ, CC=" ".join(cc), PKG_CONFIG_PATH=str(pc),
                   PKG_CONFIG_SYSROOT_DIR=str(root), LD_LIBRARY_PATH=str(pc.parent))
        for static in False, True:
            source = work / f"make-{static}"
            shutil.copytree(example, source)
            run(["make", "-C", source] + (["STATIC=1"] if static else []), env=env)
            check(source / "move", env, static)
            folder = work / f"meson-{static}"
            run([meson, "setup", folder, example, f"-Dstatic={str(static).lower()}"], env=env)
            run(["ninja", "-C", folder], env=env)
            check(folder / "move", env, static)
        print("built and run: make and meson, shared and static")
    return 0


if __name__ == "__main__":
    sys.exit(main())
