/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "models/nic/migration/migration_private.h"

/* What is done on each arc, and in which order the two halves stop. */

/* Suspends the initiator: it starts nothing more, what was in flight is complete. */
static int quiet(struct nic_migration *migration)
{
    nic_queues_quiet(migration->nic);
    return FERRY_OK;
}

static int resume(struct nic_migration *migration)
{
    nic_queues_resume(migration->nic);
    ferry_device_schedule(migration->nic->device);
    return FERRY_OK;
}

/* Suspends the responder: it answers nothing, and takes nothing from the wire. */
static void freeze_responder(struct nic *nic)
{
    nic->frozen = 1;
    nic_backlog_seal(nic->backlog, 1);
}

static int freeze(struct nic_migration *migration)
{
    freeze_responder(migration->nic);
    return FERRY_OK;
}

static int thaw(struct nic_migration *migration)
{
    nic_backlog_seal(migration->nic->backlog, 0);
    migration->nic->frozen = 0;
    return FERRY_OK;
}

static int begin_precopy(struct nic_migration *migration)
{
    return nic_save_begin(migration, 1);
}

static int begin_stop_copy(struct nic_migration *migration)
{
    return nic_save_begin(migration, 0);
}

static int freeze_and_save(struct nic_migration *migration)
{
    const int status = nic_save_freeze(migration);

    if (status == FERRY_OK) {
        freeze_responder(migration->nic);
    }
    return status;
}

static int end_save(struct nic_migration *migration)
{
    nic_save_end(migration);
    return FERRY_OK;
}

static int end_load(struct nic_migration *migration)
{
    const int status = nic_load_finish(migration);

    if (status == FERRY_OK) {
        migration->announce = 1;
        freeze_responder(migration->nic);
    }
    return status;
}

struct arc {
    uint32_t from, to;
    int (*take)(struct nic_migration *migration);
};

static const struct arc arcs[] = {
    { FERRY_STATE_RUNNING, FERRY_STATE_RUNNING_P2P, quiet },
    { FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING, resume },
    { FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP, freeze },
    { FERRY_STATE_STOP, FERRY_STATE_RUNNING_P2P, thaw },
    { FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY, begin_precopy },
    { FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING, end_save },
    { FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY_P2P, begin_precopy },
    { FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_RUNNING_P2P, end_save },
    { FERRY_STATE_PRE_COPY, FERRY_STATE_PRE_COPY_P2P, quiet },
    { FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_PRE_COPY, resume },
    { FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_STOP_COPY, freeze_and_save },
    { FERRY_STATE_STOP, FERRY_STATE_STOP_COPY, begin_stop_copy },
    { FERRY_STATE_STOP_COPY, FERRY_STATE_STOP, end_save },
    { FERRY_STATE_STOP, FERRY_STATE_RESUMING, nic_load_begin },
    { FERRY_STATE_RESUMING, FERRY_STATE_STOP, end_load },
};
#define ARC_COUNT (sizeof(arcs) / sizeof(arcs[0]))

int nic_migration_arc(struct nic_migration *migration, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < ARC_COUNT; i++) {
        if (arcs[i].from == from && arcs[i].to == to) {
            return arcs[i].take(migration);
        }
    }
    return FERRY_E_ARC;
}

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
    if (migration != NULL) {
        nic_save_end(migration);
        nic_load_end(migration);
        free(migration);
    }
}

void nic_migration_reset(struct nic_migration *migration, enum ferry_reset_reason reason)
{
    nic_save_end(migration);
    migration->announce = 0;
    if (reason == FERRY_RESET_RESUMING) {
        /* Still stopped; the session, which the arc began, stays. */
        migration->nic->quiet = 1;
        freeze_responder(migration->nic);
        return;
    }
    nic_load_end(migration);
    (void)thaw(migration);
    nic_queues_resume(migration->nic);
}

int nic_migration_load(struct nic_migration *migration, const void *data, size_t count)
{
    return nic_load_write(migration, data, count);
}

int nic_migration_work(struct nic_migration *migration)
{
    const uint32_t state = ferry_device_state(migration->nic->device);

    if (migration->announce != 0 && state == FERRY_STATE_RUNNING) {
        migration->announce = 0;
        nic_queues_announce(migration->nic);
    }
    return migration->save.hash != NULL && nic_save_hardware(migration);
}
