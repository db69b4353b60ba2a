/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_MAPPINGS_H
#define FERRY_BRIDGE_PRELOAD_MAPPINGS_H

#include <stddef.h>
#include <stdint.h>

/*
 * The shared mappings of files that the process made: QEMU 10.0 names guest memory by
 * address only, and a device's server needs the file behind it. Also those of device
 * regions, with which peers are reached. Thread: any. All keep errno.
 *
 * A mapping is remembered with the number of its descriptor, not with a copy, which would
 * keep the file alive; whether that number still is the same file is looked at when it is
 * asked for.
 */

/* Pieces remembered at a time; what comes beyond is reached by DMA messages. */
#define BRIDGE_MAPPINGS_MAX 4096u

/*
 * The one file behind all of [address, address + size).
 * ret_fd: the caller's own, close it. ret_is_region: 1 when it is a region of a device of
 * the bridge (a peer).
 * Return: 0; -ENOENT: not one shared file mapping; -EMFILE.
 */
int bridge_mappings_find(const void *address, uint64_t size, int *ret_fd,
                         uint64_t *ret_off, int *ret_is_region);
/*
 * A mapping was made / went away; from the mmap and munmap of the process. add replaces
 * what was in its range; only files (no devices) are remembered. fd: borrowed.
 */
void bridge_mappings_add(void *address, size_t size, int fd, uint64_t off, int is_region);
void bridge_mappings_remove(void *address, size_t size);
/* All of [address, address + size) went to another place. */
void bridge_mappings_move(void *address, size_t size, void *fresh, size_t fresh_size);
/*
 * The file of a region was exchanged: fd is the same number, but another file. Its
 * mappings get that one's pages in one step each, with prot. Return: 0 or -errno.
 */
int bridge_mappings_exchange(int fd, int prot);

/* Around a fork(). */
void bridge_mappings_fork_prepare(void);
void bridge_mappings_fork_done(void);

#endif
