/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_EVENTFD_H
#define FERRY_OS_EVENTFD_H

#include <stdint.h>

/*
 * A non-blocking eventfd with count 0, close-on-exec; the caller closes it.
 * Return: FERRY_OK, FERRY_E_LIMIT (no more descriptors), FERRY_E_MEMORY, FERRY_E_IO.
 */
int ferry_os_eventfd_create(int *ret_fd);

/*
 * Takes a descriptor that a peer sent as an eventfd into use: checks that it is one and
 * makes it non-blocking, so that a full one can never stop the thread that signals it.
 * To be called once for every eventfd that came from a peer, before the first signal.
 * fd: borrowed.
 * Return: FERRY_OK; FERRY_E_FDS (not an eventfd); FERRY_E_IO.
 */
int ferry_os_eventfd_adopt(int fd);

/*
 * Adds 1. A full eventfd is signalled already: nothing is added and nothing blocks.
 * fd: borrowed; from ferry_os_eventfd_create() or adopted.
 * Return: FERRY_OK, FERRY_E_IO.
 * Thread: any.
 */
int ferry_os_eventfd_signal(int fd);

/*
 * Reads and zeroes the count.
 * ret_count: 0 when it was not signalled; may be NULL.
 * Return: FERRY_OK, FERRY_E_IO.
 */
int ferry_os_eventfd_drain(int fd, uint64_t *ret_count);

/*
 * The same for an eventfd that a peer holds as well: it never blocks, although the peer
 * may have made the descriptor blocking again and taken the count away meanwhile (both
 * share the open file). Needs Linux 5.8; before that as ferry_os_eventfd_drain().
 */
int ferry_os_eventfd_drain_shared(int fd, uint64_t *ret_count);

#endif
