#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU's own vfio-user-pci does in a migration: it loses the device's state in silence.

That is what `ferry qemu` is for. Where a newer QEMU differs, docs/interop.md is to be amended.

usage: test_qemu_migrate.py FERRY CACHE INIT
"""
import qemu_rig as rig_of

SILENCE_S = 5


def test_the_state_is_lost_in_silence(rig):
    rig.serve("acc", "acc")
    rig.serve("acc2", "acc")
    source = rig.start("acc").boot()
    rig_of.check_crypto(source)
    assert "migration" not in str(source.call("device-list-properties",
                                              typename="vfio-user-pci"))
    source.call("migrate", uri="file:" + rig.path("stream"))
    rig.wait(lambda: source.call("query-migrate")["status"] in ("completed", "failed"),
             "it does not end")
    info = source.call("query-migrate")
    assert info["status"] == "completed", info
    assert info.get("vfio", {}).get("transferred", 0) == 0, info
    assert source.end() == 0
    target = rig.start("acc2", extra=("-incoming", "file:" + rig.path("stream")))
    rig.wait(lambda: target.call("query-status")["status"] == "running", "it does not run")
    # The guest runs, and what it asks of the device is never answered.
    assert target.guest("irqs dataq") != []
    key, iv, plain, coded = rig_of.VECTORS[0]
    try:
        answer = target.guest(f"encrypt {key} {iv} {plain}", SILENCE_S)
        raise RuntimeError(f"the device answered: {answer}, right is {coded}")
    except AssertionError:
        pass


rig_of.run([test_the_state_is_lost_in_silence])
