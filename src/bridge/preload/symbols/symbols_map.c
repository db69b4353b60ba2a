/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "bridge/preload/mappings.h"
#include "bridge/preload/symbols/real.h"
#include "bridge/preload/symbols/symbols.h"
#include "bridge/preload/table.h"

static int is_shared(int flags)
{
    const int type = flags & MAP_TYPE;

    return !(flags & MAP_ANONYMOUS) &&
           (type == MAP_SHARED || type == MAP_SHARED_VALIDATE);
}

/* A region of a device: the file that stands for it is mapped in its place. */
static void *map_region(struct bridge_object *object, void *address, size_t size,
                        int prot, int flags, off_t off)
{
    void *mapping = MAP_FAILED;
    int err = errno;
    uint64_t file_off;
    int rc = -ENODEV;
    int fd;

    if (object->ops->map && off >= 0) {
        rc = object->ops->map(object, (uint64_t)off, size, &fd, &file_off);
    }
    if (rc >= 0) {
        errno = err;
        mapping = bridge_real()->mmap(address, size, prot, flags, fd, (off_t)file_off);
        if (mapping != MAP_FAILED) {
            bridge_mappings_add(mapping, size, fd, file_off, 1);
        }
        rc = mapping == MAP_FAILED ? -errno : 0;
    }
    bridge_symbol_end(object, rc, err);
    return mapping;
}

BRIDGE_SYMBOL void *mmap(void *address, size_t size, int prot, int flags, int fd,
                         off_t off)
{
    struct bridge_object *object;
    void *mapping;

    if (is_shared(flags)) {
        object = bridge_table_get(fd);
        if (object) {
            return map_region(object, address, size, prot, flags, off);
        }
    }
    mapping = bridge_real()->mmap(address, size, prot, flags, fd, off);
    if (mapping == MAP_FAILED) {
        return mapping;
    }
    if (is_shared(flags)) {
        bridge_mappings_add(mapping, size, fd, (uint64_t)off, 0);
    } else {
        /* It may lie over another. */
        bridge_mappings_remove(mapping, size);
    }
    return mapping;
}

BRIDGE_SYMBOL void *mmap64(void *address, size_t size, int prot, int flags, int fd,
                           off64_t off)
{
    return mmap(address, size, prot, flags, fd, off);
}

BRIDGE_SYMBOL int munmap(void *address, size_t size)
{
    /* Before it is free for another thread's mapping, which this must not remove. */
    bridge_mappings_remove(address, size);
    return bridge_real()->munmap(address, size);
}

BRIDGE_SYMBOL void *mremap(void *address, size_t size, size_t fresh_size, int flags, ...)
{
    va_list args;
    void *fresh;

    va_start(args, flags);
    fresh = va_arg(args, void *);
    va_end(args);
    fresh = bridge_real()->mremap(address, size, fresh_size, flags, fresh);
    if (fresh != MAP_FAILED) {
        bridge_mappings_move(address, size, fresh, fresh_size);
    }
    return fresh;
}
