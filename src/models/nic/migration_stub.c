/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "models/nic/nic_private.h"

/* Stands in until the nic's migration is there: it stops and runs, its state is empty. */

struct nic_migration {
    struct nic *nic;
};

int nic_migration_create(struct nic *nic, struct nic_migration **ret_migration)
{
    struct nic_migration *migration = calloc(1, sizeof(*migration));

    if (migration == NULL) {
        return FERRY_E_MEMORY;
    }
    migration->nic = nic;
    *ret_migration = migration;
    return FERRY_OK;
}

void nic_migration_destroy(struct nic_migration *migration)
{
    free(migration);
}

void nic_migration_reset(struct nic_migration *migration, enum ferry_reset_reason reason)
{
    (void)migration;
    (void)reason;
}

int nic_migration_arc(struct nic_migration *migration, uint32_t from, uint32_t to)
{
    (void)from;
    if (to == FERRY_STATE_RUNNING || to == FERRY_STATE_PRE_COPY) {
        nic_queues_resume(migration->nic);
    } else {
        nic_queues_quiet(migration->nic);
    }
    return FERRY_OK;
}

int nic_migration_save(struct nic_migration *migration, void *ret_data, size_t cap)
{
    (void)ret_data;
    (void)cap;
    return ferry_device_state(migration->nic->device) == FERRY_STATE_STOP_COPY
               ? 0
               : FERRY_E_DRY;
}

int nic_migration_load(struct nic_migration *migration, const void *data, size_t count)
{
    (void)migration;
    (void)data;
    return count == 0 ? FERRY_OK : FERRY_E_LONG;
}

int nic_migration_precopy_info(struct nic_migration *migration,
                               struct ferry_device_precopy *ret_info)
{
    (void)migration;
    *ret_info = (struct ferry_device_precopy){ 0 };
    return FERRY_OK;
}

int nic_migration_data_size(struct nic_migration *migration, uint64_t *ret_bytes)
{
    (void)migration;
    *ret_bytes = 1;
    return FERRY_OK;
}

int nic_migration_work(struct nic_migration *migration)
{
    (void)migration;
    return 0;
}
