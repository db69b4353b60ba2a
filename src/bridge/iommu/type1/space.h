/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_TYPE1_SPACE_H
#define FERRY_BRIDGE_IOMMU_TYPE1_SPACE_H

#include "bridge/iommu/iommu_private.h"

/*
 * The memory of a container: one address space of an iommufd of its own, and a page table
 * that takes devices without a log as well: all that they can reach then counts as
 * written, as with an IOMMU that cannot log.
 */
struct type1_space {
    struct iommu *iommu; /* NULL: there is none */
    uint32_t ioas, hwpt; /* ids */
};

/* What a bitmap of dirty pages can have at most, as in the kernel: 8 TiB of memory. */
#define TYPE1_BITMAP_BYTES_MAX (256ull << 20)

/* ret_space: holds a reference to its iommufd. Return: 0; -ENOMEM. */
int type1_space_make(struct type1_space *ret_space);

/* The calls of a container with its memory; arg: as it came, not NULL. Return: 0 or
 * -errno. can_log: 0: nothing is said of dirty pages; they are told to who asks. */
long type1_get_info(const struct type1_space *space, int can_log, void *arg);
long type1_map(const struct type1_space *space, void *arg);
long type1_unmap(const struct type1_space *space, void *arg);
long type1_dirty(const struct type1_space *space, void *arg);

#endif
