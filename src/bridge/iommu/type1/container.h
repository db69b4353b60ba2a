/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_IOMMU_TYPE1_CONTAINER_H
#define FERRY_BRIDGE_IOMMU_TYPE1_CONTAINER_H

#include "bridge/iommu/type1/space.h"
#include "bridge/object.h"

/* /dev/vfio/vfio for the VMM. Lock: its own, the last of all but the space's. */
struct type1_container;

/* Groups of one container; each has one device. */
#define TYPE1_GROUPS_MAX 512u

int type1_container_create(struct bridge_object **ret_object);
/* NULL when the object is no container. */
struct type1_container *type1_container_of(struct bridge_object *object);

/* A group comes or goes; with the last one the memory goes too. can_log: 0: its device
 * wants no log of the container's. Return: 0; -ENOSPC. */
int type1_container_join(struct type1_container *container, int can_log);
void type1_container_leave(struct type1_container *container, int can_log);
/* Its memory, with a reference for the caller. Return: 0; -EINVAL: it has none yet. */
int type1_container_space(struct type1_container *container,
                          struct type1_space *ret_space);

#endif
