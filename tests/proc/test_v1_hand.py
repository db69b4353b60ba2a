# SPDX-License-Identifier: BSD-3-Clause
"""Devices served by version 1 of the uAPI, driven by hand: each access to the migration
region is made by a program that knows nothing else of such devices.

Usage: test_v1_hand.py FERRY V1_HAND
"""
import subprocess
import sys

from cli_rig import Rig

FORMS = ("v1", "v1:mmap", "v1:partitioned")


def serve(rig, name, model, *args):
    """A device; its socket."""
    path = rig.path(name)
    rig.start(name, "serve", model, *args, "--socket", path)
    return path


def a_device_moves_to_both_versions(rig, hand, model, form, other):
    """MIG-V1-11, MIG-V1-14"""
    tag = model + form.replace(":", "-")
    done = subprocess.run(
        [hand, model, serve(rig, tag + "-a", model, "--uapi", form),
         serve(rig, tag + "-b", model, "--uapi", other), serve(rig, tag + "-c", model)],
        capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, (model, form, other, done.stderr)
    assert done.stdout.startswith("moved "), done.stdout
    print("passed: %s, %s to %s and v2: %s" % (model, form, other, done.stdout.strip()))


def filters_see_the_region(rig, hand):
    """They lie nearer to the client: the first access to the region is refused."""
    bad = serve(rig, "bad", "acc", "--uapi", "v1", "--filter", "error=region_read:EIO")
    done = subprocess.run(
        [hand, "acc", bad, serve(rig, "good", "acc", "--uapi", "v1"),
         serve(rig, "v2", "acc")], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "device_state" in done.stderr, done.stderr
    print("passed: filters see the region")


def a_version_that_is_none_is_refused(rig):
    """The exit status of a wrong command line, and what was wrong."""
    done = rig.run("serve", "acc", "--uapi", "v3", "--socket", rig.path("none"))
    assert done.returncode == 2 and "v3" in done.stderr, (done.returncode, done.stderr)
    print("passed: a version that is none is refused")


def main():
    with Rig(sys.argv[1]) as rig:
        for model in ("acc", "copy"):
            for i, form in enumerate(FORMS):
                a_device_moves_to_both_versions(rig, sys.argv[2], model, form,
                                                FORMS[(i + 1) % 3])
        filters_see_the_region(rig, sys.argv[2])
        a_version_that_is_none_is_refused(rig)
    return 0


if __name__ == "__main__":
    sys.exit(main())
