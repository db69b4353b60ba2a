/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/migration/inside.h"
#include "bridge/say.h"

uint32_t bridge_state_of(const struct bridge_migration *migration, uint32_t state)
{
    if (migration->features & FERRY_MIG_P2P) {
        return state;
    }
    /* Shown because no peer can be reached: then running is as good as being quiet. */
    if (state == FERRY_STATE_RUNNING_P2P) {
        return FERRY_STATE_RUNNING;
    }
    return state == FERRY_STATE_PRE_COPY_P2P ? (uint32_t)FERRY_STATE_PRE_COPY : state;
}

static int walk_arc(struct bridge_migration *migration, uint32_t next,
                    struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE };
    struct ferry_error why = { .code = FERRY_OK };
    int rc;

    request.u.state = next;
    request.reterr = &why;
    rc = bridge_migration_call(migration, &request);
    bridge_trace(migration->device, "state %s -> %s: %s",
                 ferry_state_name(migration->server), ferry_state_name(next),
                 rc == FERRY_OK ? "ok" : ferry_status_name(rc));
    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "bridge", NULL, 0, "%s to %s: %.200s",
                               ferry_state_name(migration->server),
                               ferry_state_name(next),
                               why.text[0] != '\0' ? why.text : ferry_status_text(rc));
    }
    migration->server = next;
    if (next != FERRY_STATE_STOP && next != FERRY_STATE_STOP_COPY) {
        bridge_device_moves(migration->device);
    }
    return FERRY_OK;
}

int bridge_state_walk(struct bridge_migration *migration, uint32_t wanted,
                      struct ferry_error *reterr)
{
    uint32_t path[FERRY_STATE_COUNT];
    int count = ferry_state_path(migration->server, bridge_state_of(migration, wanted),
                                 migration->features, path);
    int rc = FERRY_OK;

    if (count < 0) {
        return ferry_error_set(reterr, count, "bridge", NULL, 0,
                               "no way from %s to %s with features 0x%x",
                               ferry_state_name(migration->server),
                               ferry_state_name(wanted), migration->features);
    }
    for (int i = 0; i < count && rc == FERRY_OK; i++) {
        rc = walk_arc(migration, path[i], reterr);
    }
    return rc;
}

void bridge_state_find(struct bridge_migration *migration)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    if (bridge_migration_call(migration, &request) == FERRY_OK &&
        request.u.state < FERRY_STATE_COUNT) {
        migration->server = request.u.state;
    }
    if (migration->server == FERRY_STATE_ERROR) {
        bridge_say(migration->device, "the device is in ERROR: only a reset leaves it");
    }
    /* What the VMM believes may stand for it still. */
    if (bridge_state_of(migration, migration->vmm) != migration->server) {
        migration->vmm = migration->server;
    }
}
