/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <stdarg.h>
#include <unistd.h>

#include "bridge/iommu/cdev.h"
#include "bridge/iommu/type1/type1.h"
#include "bridge/migration/v1/v1.h"
#include "bridge/preload/mappings.h"
#include "bridge/preload/service.h"
#include "bridge/preload/symbols/real.h"
#include "bridge/preload/symbols/symbols.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/known.h"
#include "bridge/say.h"

/* In the order in which they are taken inside each other. */
static void fork_prepare(void)
{
    bridge_known_fork_prepare();
    bridge_service_fork_prepare();
    bridge_mappings_fork_prepare();
    bridge_say_fork_prepare();
}

static void fork_parent(void)
{
    bridge_say_fork_done();
    bridge_mappings_fork_done();
    bridge_service_fork_parent();
    bridge_known_fork_parent();
}

/*
 * A child has its parent's connections, and must not speak on them: not even to say
 * goodbye when it closes descriptors. So it forgets all objects without destroying them;
 * a token that it uses itself (QEMU becomes a daemon before) gets an object of its own.
 */
static void fork_child(void)
{
    bridge_say_fork_done();
    bridge_mappings_fork_done();
    bridge_service_fork_child();
    bridge_known_fork_child();
    bridge_table_fork_child();
    bridge_cdev_fork_child();
    bridge_type1_fork_child();
    bridge_v1_fork_child();
}

__attribute__((constructor)) static void bridge_start(void)
{
    bridge_real();
    pthread_atfork(fork_prepare, fork_parent, fork_child);
}

BRIDGE_SYMBOL int close(int fd)
{
    /* Before its number is free for another thread's descriptor. */
    bridge_table_drop(fd);
    return bridge_real()->close(fd);
}

BRIDGE_SYMBOL int close_range(unsigned first, unsigned last, int flags)
{
    if (first <= last && !(flags & (int)CLOSE_RANGE_CLOEXEC)) {
        bridge_table_drop_range(first, last);
    }
    return bridge_real()->close_range(first, last, flags);
}

BRIDGE_SYMBOL void closefrom(int first)
{
    bridge_table_drop_range(first < 0 ? 0 : (unsigned)first, UINT_MAX);
    bridge_real()->closefrom(first);
}

BRIDGE_SYMBOL int dup(int fd)
{
    const int fresh = bridge_real()->dup(fd);

    if (fresh >= 0) {
        bridge_table_copy(fd, fresh);
    }
    return fresh;
}

BRIDGE_SYMBOL int dup2(int fd, int fresh)
{
    const int rc = bridge_real()->dup2(fd, fresh);

    if (rc >= 0) {
        bridge_table_copy(fd, fresh);
    }
    return rc;
}

BRIDGE_SYMBOL int dup3(int fd, int fresh, int flags)
{
    const int rc = bridge_real()->dup3(fd, fresh, flags);

    if (rc >= 0) {
        bridge_table_copy(fd, fresh);
    }
    return rc;
}

BRIDGE_SYMBOL int fcntl(int fd, int command, ...)
{
    va_list args;
    void *arg;
    int rc;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    rc = bridge_real()->fcntl(fd, command, arg);
    if (rc >= 0 && (command == F_DUPFD || command == F_DUPFD_CLOEXEC)) {
        bridge_table_copy(fd, rc);
    }
    return rc;
}

BRIDGE_SYMBOL int fcntl64(int fd, int command, ...)
{
    va_list args;
    void *arg;

    va_start(args, command);
    arg = va_arg(args, void *);
    va_end(args);
    return fcntl(fd, command, arg);
}
