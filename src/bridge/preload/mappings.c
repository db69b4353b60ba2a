/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/preload/mappings.h"

int bridge_mappings_find(const void *address, uint64_t size, int *ret_fd,
                         uint64_t *ret_off, int *ret_is_region)
{
    (void)address;
    (void)size;
    (void)ret_fd;
    (void)ret_off;
    (void)ret_is_region;
    return -ENOSYS;
}

void bridge_mappings_add(void *address, size_t size, int fd, uint64_t off, int is_region)
{
    (void)address;
    (void)size;
    (void)fd;
    (void)off;
    (void)is_region;
}

void bridge_mappings_remove(void *address, size_t size)
{
    (void)address;
    (void)size;
}
