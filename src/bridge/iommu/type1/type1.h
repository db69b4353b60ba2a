/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_TYPE1_TYPE1_H
#define FERRY_BRIDGE_IOMMU_TYPE1_TYPE1_H

#include "bridge/object.h"

struct bridge_device;

/*
 * Groups and containers, for a VMM that knows no iommufd or is not told to use it: it
 * opens /dev/vfio/NUMBER and /dev/vfio/vfio. The number of a group of the bridge's is
 * that of an inherited token (tokens/inherited.h). Everything else that is opened is none
 * of ours.
 */

/*
 * Is it the path of a group, or of the container that a group of ours waits for?
 * flags: of open(). Return: 0: it is not, nothing was done; 1: *ret_fd is the answer, a
 * descriptor of the VMM's or -errno. Thread: any. Keeps errno.
 */
int bridge_type1_open(const char *path, int flags, int *ret_fd);

/* A device that a group gave away is about to be freed: gives its reference to the group
 * back. Nothing happens when it is of no group. */
void bridge_group_left(struct bridge_device *device);

/* Is the descriptor a group, with this number? For what a VMM hands back (a hot reset).
 */
int bridge_group_is(int fd, uint32_t number);

/* In the child of a fork(): groups are its parent's. */
void bridge_type1_fork_child(void);

#endif
