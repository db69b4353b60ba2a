/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_SERVICE_H
#define FERRY_BRIDGE_PRELOAD_SERVICE_H

struct bridge_link;

/*
 * The bridge's one thread: it serves what servers ask for while nobody waits for them
 * (DMA by messages) and sends what a socket did not take at once. It starts with the
 * first connection, all signals blocked, and never in a constructor: QEMU forks before.
 * Return: 0 or -errno. Thread: any. remove waits until the thread has let go of it.
 */
int bridge_service_add(struct bridge_link *link);
void bridge_service_remove(struct bridge_link *link);

#endif
