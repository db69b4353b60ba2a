/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_CDEV_H
#define FERRY_BRIDGE_IOMMU_CDEV_H

struct bridge_device;

/*
 * Character devices, for a program that gets no descriptors handed but opens paths:
 * /dev/vfio/devices/vfioNUMBER (tokens/inherited.h), and /dev/iommu while a device that
 * was opened so waits to be bound: the program's next iommufd is for that one. Everything
 * else that is opened is none of ours.
 *
 * flags: of open(). Return: 0: it is not, nothing was done; 1: *ret_fd is the answer, a
 * descriptor of the program's or -errno. Thread: any. Keeps errno.
 */
int bridge_cdev_open(const char *path, int flags, int *ret_fd);

/* The device is bound, or about to be freed: it waits for no iommufd any more. Nothing
 * happens when it does not. */
void bridge_cdev_served(struct bridge_device *device);

/* In the child of a fork(): the devices are its parent's. */
void bridge_cdev_fork_child(void);

#endif
