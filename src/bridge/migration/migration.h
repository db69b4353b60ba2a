/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_MIGRATION_H
#define FERRY_BRIDGE_MIGRATION_MIGRATION_H

#include "link/request.h"

struct bridge_device;
struct bridge_migration;

/*
 * A device's states and its data towards the VMM. The VMM's states may differ from the
 * server's: arcs that it skips are walked, P2P states may be shown that the device lacks
 * (no_peer_maps), and a device that has been loaded completely is in STOP while the VMM
 * still believes in RESUMING.
 */

/* At BIND: asks what the device can do; sets device->migration, or leaves it NULL.
 * Return: 0 also when it cannot migrate; -errno when the server failed. */
int bridge_migration_create(struct bridge_device *device);
void bridge_migration_destroy(struct bridge_device *device);

/* Feature 1: FERRY_MIG_*, as shown to the VMM. */
uint32_t bridge_migration_flags(const struct bridge_migration *migration);
/* Feature 2. ret_data_fd: a fresh descriptor, known to the table, the VMM's; or -1. */
int bridge_migration_get_state(struct bridge_migration *migration, uint32_t *ret_state);
int bridge_migration_set_state(struct bridge_migration *migration, uint32_t wanted,
                               int *ret_data_fd);
/*
 * For uAPI v1: as set_state, without a descriptor and without the recovery that QEMU's
 * code for v2 is known to try. A device that cannot run alarms the VMM, unless it merely
 * lost its server. ret_data: the session that has begun, a reference of the caller's, or
 * NULL.
 */
struct bridge_data;
int bridge_migration_go(struct bridge_migration *migration, uint32_t wanted,
                        struct bridge_data **ret_data);
/*
 * To the P2P twin of a state in which it runs; from one in which it stands still with its
 * state to RUNNING_P2P. A device that lacks P2P, is in another state or has no server is
 * left alone. Return: 0 or -errno.
 */
int bridge_migration_quiet(struct bridge_migration *migration);
void bridge_migration_wake(struct bridge_migration *migration);
/* Feature 9: bytes that a stop-copy gives, at least a page. */
int bridge_migration_data_size(struct bridge_migration *migration, uint64_t *ret_bytes);
/* Feature 12: the VMM understands VFIO_PRECOPY_INFO_REINIT. 0 or -ENOTTY. */
int bridge_migration_precopy_v2(struct bridge_migration *migration);

/*
 * VFIO_DEVICE_RESET begins. QEMU up to 11.1 answers a refused change of state with one,
 * under a guest that knows nothing of it, and then believes in RUNNING: the device is
 * walked there instead and keeps its state. When that fails the VMM is alarmed.
 * Return: 1 when nothing is left to do.
 */
int bridge_migration_recover(struct bridge_migration *migration);
/* The device was reset or came back: RUNNING, no data session. */
void bridge_migration_reset(struct bridge_migration *migration);
/* The server died: data calls under way and later ones fail with EIO. */
void bridge_migration_lost(struct bridge_migration *migration);

#endif
