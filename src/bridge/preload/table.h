/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_TABLE_H
#define FERRY_BRIDGE_PRELOAD_TABLE_H

#include "bridge/object.h"

/*
 * The VMM's descriptors that stand for objects. Several descriptors may stand for one
 * (dup, the same token received twice). Thread: any. All keep errno.
 *
 * A child that shares this memory but not the descriptors (vfork(), QEMU's async
 * teardown) changes nothing here: only the process that the table belongs to does. A
 * fork()ed child begins with an empty table.
 */
#define BRIDGE_FDS_MAX (1u << 20)

/* fd stands for object from now on; takes a reference of its own. Return: 0; -EBADF,
 * -ENFILE (BRIDGE_FDS_MAX), -ENOMEM. */
int bridge_table_put(int fd, struct bridge_object *object);
/* A new descriptor that stands for object. name: for /proc; flags: O_CLOEXEC, others are
 * ignored. Return: it; -errno. */
int bridge_table_open(const char *name, int flags, struct bridge_object *object);
/* Return: the object with a reference for the caller, or NULL. Costs a load when fd is
 * nobody's: every read and write of the process asks. */
struct bridge_object *bridge_table_get(int fd);
/* fd stands for nothing any more (before it is closed). */
void bridge_table_drop(int fd);
/* The same for all of [first, last]. */
void bridge_table_drop_range(unsigned first, unsigned last);
/* fresh stands for the same as fd, if anything, and no longer for what it stood for
 * (after a dup). */
void bridge_table_copy(int fd, int fresh);

/*
 * As bridge_table_get(); a descriptor that is not known yet is looked at: a token becomes
 * its object here. Another descriptor with the token's inode gives the same object.
 * Return: NULL when it is none of ours.
 */
struct bridge_object *bridge_table_recognise(int fd);

/* In the child of a fork(): everything in it is the parent's. */
void bridge_table_fork_child(void);

#endif
