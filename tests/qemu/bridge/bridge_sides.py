# SPDX-License-Identifier: BSD-3-Clause
"""One guest that stays alive through migrations that fail: its source, and targets in turn."""
import bridge_move as move


def cancel_says(version):
    """How a migration may end that was cancelled.

    Before 11.1 QEMU may meet the socket that its cancel has shut before it knows of the cancel.
    """
    return ("cancelled",) if version == "11.1" else ("cancelled", "failed")


class Sides:
    """A guest at the source, and targets that come and go."""

    def __init__(self, rig, version, devices, work, filters=(), first=0, **how):
        self.rig = rig
        self.version = version
        self.devices = devices
        self.how = how
        self.start = work
        self.work = [name.split()[0] for name in work]
        self.count = first
        for name, model in devices.items():
            rig.serve_again(name + "0", model, *filters)
            rig.serve_again(name + "1", model)
        self.source = rig.start(f"vm{first}", [name + "0" for name in devices], version,
                                **how).boot()
        for name in work:
            self.source.guest(name)
        rig.goes_on(self.source, *self.work)

    def target(self):
        """A fresh machine that waits for the guest."""
        self.count += 1
        for name in self.devices:
            self.rig.wait(lambda name=name: self.rig.info(name + "1"), "the target is not free")
        return self.rig.start(f"vm{self.count}", [name + "1" for name in self.devices],
                              self.version, incoming=True, waits=True, **self.how)

    def cancelled(self, target):
        """The migration is cancelled and the guest works on."""
        self.source.call("migrate_cancel")
        move.stayed(self.source, target, *self.work, status=cancel_says(self.version))

    def pausing(self):
        """A migration that waits with the guest stopped: its target."""
        target = self.target()
        how = {"capabilities": ["pause-before-switchover"]}
        move.begin(self.source, move.listen(self.rig, target, **how), **how)
        self.rig.wait(lambda: self.source.call("query-migrate")["status"] == "pre-switchover",
                      "the migration does not come to its switchover")
        return target

    def moves(self):
        """A real migration works after all that."""
        target = self.target()
        move.move(self.rig, self.source, target)
        self.rig.goes_on(target, *self.work)
        self.rig.end(target)

    def restart(self):
        """The guest starts again, with devices that are as good as new."""
        self.source.call("system_reset")
        if self.source.status() != "running":
            self.source.call("cont")
        self.source.boot()
        for name in self.start:
            self.source.guest(name)
        self.rig.goes_on(self.source, *self.work)
