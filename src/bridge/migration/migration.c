/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/migration/migration.h"

int bridge_migration_create(struct bridge_device *device)
{
    (void)device;
    return -ENOSYS;
}

void bridge_migration_destroy(struct bridge_device *device)
{
    (void)device;
}

uint32_t bridge_migration_flags(const struct bridge_migration *migration)
{
    (void)migration;
    return 0;
}

int bridge_migration_get_state(struct bridge_migration *migration, uint32_t *ret_state)
{
    (void)migration;
    (void)ret_state;
    return -ENOSYS;
}

int bridge_migration_set_state(struct bridge_migration *migration, uint32_t wanted,
                               int *ret_data_fd)
{
    (void)migration;
    (void)wanted;
    (void)ret_data_fd;
    return -ENOSYS;
}

int bridge_migration_data_size(struct bridge_migration *migration, uint64_t *ret_bytes)
{
    (void)migration;
    (void)ret_bytes;
    return -ENOSYS;
}

int bridge_migration_precopy_v2(struct bridge_migration *migration)
{
    (void)migration;
    return -ENOSYS;
}

void bridge_migration_reset(struct bridge_migration *migration)
{
    (void)migration;
}

void bridge_migration_lost(struct bridge_migration *migration)
{
    (void)migration;
}
