#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Builds the Debian packages from a copy of the tree, looks into them, and runs what they hold.

usage: debian.py ROOT
Nothing is installed: the packages are unpacked into a folder. The tests of the tree are not run
again (nocheck). lintian, where it is there, may find no error.
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77
PACKAGES = {"ferry", "libferry0", "libferry-dev"}


def run(command, **more):
    """A command that has to succeed. Return: what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **more)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}\n"
                 f"{done.stdout[-6000:]}")
    return done.stdout


def copy_tree(root, to):
    """What git has or would add; of a tree without git, all but build folders."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard", "-z"],
                         capture_output=True, text=True, check=False)
    if git.returncode != 0:
        shutil.copytree(root, to, ignore=shutil.ignore_patterns("build*", ".git", "corpus"))
        return
    for name in git.stdout.split("\0"):
        if name and (root / name).is_file() and not name.startswith("tests/fuzz/corpus"):
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, to / name)


def check_depends(root):
    """Every library that a build needs is in Build-Depends, and a static link's in -dev."""
    control = (root / "debian/control").read_text()
    source, dev = control.split("Package: ")[0], control.split("Package: libferry-dev")[1]
    for line in (root / "packages.txt").read_text().splitlines():
        name, *use = line.split("#")[0].split()[:2] or [""]
        if use == ["build"] and name.startswith("lib") and name.endswith("-dev") \
                and name != "libc6-dev":
            assert name in source, f"{name} is not in Build-Depends"
    pc = next(root.parent.glob("root/usr/lib/*/pkgconfig/ferry.pc")).read_text()
    needed = re.search(r"^Requires.private: (.*)$", pc, re.M)[1]
    for name in re.findall(r"[\w-]+", needed):
        want = name if name.startswith("lib") else "lib" + name
        assert f"{want}-dev" in dev, f"ferry.pc requires {name}; libferry-dev does not"


def build(root, work):
    """Return: {package: path} of what dpkg-buildpackage made."""
    copy_tree(root, work / "ferry")
    env = dict(os.environ, DEB_BUILD_OPTIONS="nocheck parallel=2 noautodbgsym",
               DEB_BUILD_PROFILES="nocheck", DEB_VENDOR="Debian", LC_ALL="C.UTF-8",
               PATH="/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin")
    # Options of another build must not get in.
    for name in "CC", "CFLAGS", "LDFLAGS", "DESTDIR", "MAKEFLAGS", "LD_LIBRARY_PATH":
        env.pop(name, None)
    run(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=work / "ferry", env=env)
    return {p.name.split("_")[0]: p for p in work.glob("*.deb")}


def check_contents(root):
    """The unpacked packages have what they promise, and the command runs."""
    library = next(root.glob("usr/lib/*/libferry.so.0"))
    for name in ("usr/include/ferry/host.h", "usr/lib/systemd/system/ferry-serve@.service",
                 "usr/lib/systemd/system/ferry-serve@.socket",
                 "usr/share/man/man1/ferry.1.gz", "usr/libexec/ferry/bench/bench_dma_log",
                 "usr/share/doc/libferry-dev/examples/out-of-tree/main.c",
                 "usr/share/bash-completion/completions/ferry",
                 "usr/share/zsh/vendor-completions/_ferry",
                 "usr/share/fish/vendor_completions.d/ferry.fish"):
        assert (root / name).exists(), f"{name} is in no package"
    env = dict(os.environ, LD_LIBRARY_PATH=str(library.parent))
    ferry = root / "usr/bin/ferry"
    assert run([ferry, "--version"], env=env).startswith("ferry 0."), "ferry --version"
    assert "dma_log" in run([ferry, "bench", "--list"], env=env)
    dynamic = run(["readelf", "-d", ferry])
    assert "RUNPATH" not in dynamic and "RPATH" not in dynamic, dynamic


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    if not all(map(shutil.which, ["dpkg-buildpackage", "dh"])):
        print("dpkg-buildpackage or debhelper is missing")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="ferry-debian-") as name:
        work = pathlib.Path(name)
        packages = build(root, work)
        assert set(packages) == PACKAGES, sorted(packages)
        for path in packages.values():
            run(["dpkg-deb", "-x", path, work / "root"])
        check_depends(work / "ferry")
        check_contents(work / "root")
        depends = run(["dpkg-deb", "-f", packages["ferry"], "Depends"])
        assert "libferry0 (>= 0.1.0)" in depends, depends
        if shutil.which("lintian"):
            changes = next(work.glob("*.changes"))
            print(run(["lintian", "--fail-on", "error", "--allow-root", changes]))
    print("built, unpacked and run:", ", ".join(sorted(packages)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
