/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_V1_V1_H
#define FERRY_BRIDGE_MIGRATION_V1_V1_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "link/request.h"

struct bridge_device;
struct bridge_v1;

/*
 * The migration region of uAPI v1 for a VMM that knows no other: QEMU 7.2. It stands on
 * the device's migration, whose states and data of v2 it shows in v1's words; the data
 * has the bridge's form, one piece of at most a mebibyte a transaction.
 *
 * Its lock is the first of all; then that of the list of devices, then a migration's.
 */

/* Behind make_parts(): sets device->v1, or leaves it NULL when the device cannot migrate.
 * Return: 0 or -errno. */
int bridge_v1_create(struct bridge_device *device);
/* Before the migration's end. */
void bridge_v1_destroy(struct bridge_device *device);

/* The region's number: behind all that the server has. */
uint32_t bridge_v1_index(const struct bridge_device *device);
/* What the VMM is told of it; fd is borrowed. */
const struct ferry_region_info *bridge_v1_region(const struct bridge_v1 *v1);

/* Accesses of the VMM at `off` of the region. Return: count or -errno. */
ssize_t bridge_v1_read(struct bridge_v1 *v1, uint64_t off, void *ret_data, size_t count);
ssize_t bridge_v1_write(struct bridge_v1 *v1, uint64_t off, const void *data,
                        size_t count);

/* In the child of a fork(): devices are its parent's, and no peers of its own. */
void bridge_v1_fork_child(void);

/* The device was reset: it runs, without a session. */
void bridge_v1_reset(struct bridge_v1 *v1);

#endif
