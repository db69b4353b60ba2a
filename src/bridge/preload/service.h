/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_SERVICE_H
#define FERRY_BRIDGE_PRELOAD_SERVICE_H

struct bridge_link;

/*
 * The bridge's one thread: it serves what servers ask for while nobody waits for them
 * (DMA by messages) and sends what a socket did not take at once. It starts with the
 * first connection, all signals blocked, and never in a constructor: QEMU forks before.
 *
 * add also makes the thread ask for the link's descriptor again (after a reopen: take it
 * out, reopen it, add it). A link that is dead is dispatched once more, and then left
 * alone until it is added again; so is one whose descriptor is negative. remove waits
 * until the thread has let go of it, unless it is that thread that calls. The thread asks
 * for descriptors with the service's lock held: a link calls here without its own.
 * Return: 0 or -errno (-ENOSPC: BRIDGE_LINKS_MAX). Thread: any.
 */
#define BRIDGE_LINKS_MAX 256u

int bridge_service_add(struct bridge_link *link);
void bridge_service_remove(struct bridge_link *link);

/* Around a fork(): the child has no thread and no links. */
void bridge_service_fork_prepare(void);
void bridge_service_fork_parent(void);
void bridge_service_fork_child(void);

#endif
