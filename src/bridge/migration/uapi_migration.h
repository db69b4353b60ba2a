/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_MIGRATION_UAPI_MIGRATION_H
#define FERRY_BRIDGE_MIGRATION_UAPI_MIGRATION_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel's VFIO interface defines for a migration's data descriptor and the
 * bridge serves there. Newer than the headers of Debian 12.
 */

/* ioctl on the data descriptor: what could be read in a pre-copy state now. */
#define BRIDGE_VFIO_MIG_GET_PRECOPY_INFO 0x3b79ul /* _IO(';', 100 + 21) */

struct bridge_vfio_precopy_info {
    uint32_t argsz;
    uint32_t flags;         /* out; bit 0: initial bytes begin anew. Never set */
    uint64_t initial_bytes; /* to be read before a stop makes sense */
    uint64_t dirty_bytes;   /* beyond these */
};
static_assert(sizeof(struct bridge_vfio_precopy_info) == 24, "as in the kernel");
static_assert(offsetof(struct bridge_vfio_precopy_info, dirty_bytes) == 16,
              "as in the kernel");

#endif
