/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_KNOWN_H
#define FERRY_BRIDGE_PRELOAD_KNOWN_H

#include "bridge/object.h"

/*
 * The tokens that have an object, by inode: a token that comes in under another number,
 * over QMP or duplicated where nobody saw it, leads to the same object. The entries hold
 * no reference. Thread: any.
 */

/* Tokens with an object at a time; more devices than QEMU has slots for. */
#define BRIDGE_KNOWN_MAX 512u

/*
 * The object of a descriptor that may be anything; made when its token is new.
 * Return: 1 and *ret_object with a reference for the caller; 0 when it is no token of
 *   ours, or one that cannot be used (that is said).
 */
int bridge_known_find(int fd, struct bridge_object **ret_object);
/* For bridge_object_put(), before an object is destroyed. */
void bridge_known_forget(struct bridge_object *object);

/* Around a fork(): the child knows nothing; the objects are its parent's. */
void bridge_known_fork_prepare(void);
void bridge_known_fork_parent(void);
void bridge_known_fork_child(void);

#endif
