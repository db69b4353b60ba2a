/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_UAPI_PRECOPY_H
#define FERRY_OS_UAPI_PRECOPY_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel's VFIO interface defines for a migration's data descriptor. Newer than
 * the headers of Debian 12.
 */

/* ioctl on the data descriptor: what could be read in a pre-copy state now. */
#define UAPI_MIG_GET_PRECOPY_INFO 0x3b79ul /* _IO(';', 100 + 21) */

/* Initial bytes begin anew; only after a SET of feature UAPI_PRECOPY_V2. */
#define UAPI_PRECOPY_REINIT 1u

struct uapi_precopy_info {
    uint32_t argsz;
    uint32_t flags;         /* out: UAPI_PRECOPY_REINIT */
    uint64_t initial_bytes; /* to be read before a stop makes sense */
    uint64_t dirty_bytes;   /* beyond these */
};
static_assert(sizeof(struct uapi_precopy_info) == 24, "VFIO_MIG_GET_PRECOPY_INFO");
static_assert(offsetof(struct uapi_precopy_info, dirty_bytes) == 16, "as in the kernel");

#endif
