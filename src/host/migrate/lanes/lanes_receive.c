/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/random.h"

/* A target's lanes: who may be one, and barriers. */

void ferry_lanes_put_accept(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_stream_connections connections = { .count = lanes->asked < lanes->wanted
                                                                 ? lanes->asked
                                                                 : lanes->wanted };
    uint8_t payload[64];
    struct ferry_writer writer;

    /* Without a listener nobody could come; without a secret everybody could. */
    if (!run->listening || connections.count <= 1 ||
        ferry_os_random(lanes->secret, sizeof(lanes->secret)) < 0) {
        return;
    }
    memcpy(connections.secret, lanes->secret, sizeof(connections.secret));
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_connections(&writer, &connections);
    assert(!writer.overflow);
    ferry_run_put(run, FERRY_REC_CONNECTIONS, FERRY_NO_DEVICE, payload, writer.pos);
    lanes->count = connections.count;
    lanes->open = 1;
    ferry_loop_timer_set(run->context->loop, &lanes->attach_timer,
                         ferry_os_now_ns() + FERRY_LANES_ATTACH_NS);
    ferry_migration_watch_listener(run->migration);
}

static uint32_t free_slot(const struct ferry_run *run)
{
    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        if (run->lanes.lane[i].state == FERRY_LANE_FREE) {
            return i;
        }
    }
    return 0;
}

int ferry_lanes_listening(const struct ferry_run *run)
{
    return run->lanes.open && !run->ended && free_slot(run) > 0;
}

void ferry_lanes_accept(struct ferry_run *run, int fd)
{
    uint32_t slot = ferry_lanes_listening(run) ? free_slot(run) : 0;

    if (slot == 0) {
        ferry_os_close(&fd);
        return;
    }
    (void)ferry_lanes_add(run, slot, fd);
    ferry_migration_watch_listener(run->migration);
}

/* In a time that does not tell where they differ. */
static int same_secret(const uint8_t *a, const uint8_t *b)
{
    uint8_t differs = 0;

    for (size_t i = 0; i < FERRY_STREAM_SECRET_BYTES; i++) {
        differs |= a[i] ^ b[i];
    }
    return differs == 0;
}

static const struct ferry_lane *by_number(const struct ferry_run *run, uint32_t number)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        const struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->number == number &&
            (lane->state == FERRY_LANE_READY || lane->state == FERRY_LANE_MEMBER)) {
            return lane;
        }
    }
    return NULL;
}

static void put_attach(struct ferry_lane *lane, const struct ferry_stream_attach *attach)
{
    uint8_t payload[64];
    struct ferry_writer writer;

    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_attach(&writer, attach);
    assert(!writer.overflow);
    /* A failure shows as a lane that the source never uses. */
    (void)ferry_channel_put(lane->channel, FERRY_REC_ATTACH, FERRY_NO_DEVICE, payload,
                            writer.pos);
}

int ferry_lanes_attach(struct ferry_lane *lane, const struct ferry_stream_attach *came,
                       struct ferry_error *reterr)
{
    struct ferry_run *run = lane->run;
    uint32_t attached = 1;

    if (!run->lanes.open || came->epoch != run->epoch ||
        memcmp(came->session_id, run->session_id, sizeof(came->session_id)) != 0 ||
        !same_secret(came->secret, run->lanes.secret) ||
        came->number >= run->lanes.count || by_number(run, came->number)) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "stream", "STR-CON-1", 0,
                               "ATTACH is not about a connection that is expected");
    }
    lane->number = came->number;
    lane->state = FERRY_LANE_READY;
    put_attach(lane, came);
    for (uint32_t i = 1; i < run->lanes.count; i++) {
        attached += by_number(run, i) != NULL;
    }
    if (attached == run->lanes.count) {
        ferry_lanes_close_door(run);
    }
    return FERRY_OK;
}

/* --- barriers --- */

static int wrong(const struct ferry_lane *lane, uint32_t number, const char *what,
                 struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-CON-2", 0,
                           "BARRIER %u on connection %u: %s", number, lane->number, what);
}

static int lost(uint32_t number, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                           "connection %u of the migration has gone", number);
}

/* Lane 0 has told who takes part: is everybody there? A number without a lane: *ret_gone.
 */
static int all_wait(struct ferry_run *run, uint32_t *ret_gone)
{
    int all = 1;

    *ret_gone = 0;
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        const struct ferry_lane *lane;

        if (!(run->lanes.barrier_members & 1u << i)) {
            continue;
        }
        lane = by_number(run, i);
        if (!lane) {
            *ret_gone = i;
            return 0;
        }
        all = all && lane->waiting;
    }
    return all;
}

static void pass(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;

    lanes->barrier++;
    lanes->members = lanes->barrier_members;
    lanes->barrier_members = 0;
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        struct ferry_lane *lane = &lanes->lane[i];

        if (lane->state == FERRY_LANE_READY && lanes->members & 1u << lane->number) {
            lane->state = FERRY_LANE_MEMBER;
        }
        /* The next barrier may be there before this lane has left this one. */
        if (lane->waiting && lane->state == FERRY_LANE_MEMBER) {
            lane->waiting = 0;
            lane->passing = lanes->barrier;
        }
    }
    ferry_lanes_resume(run);
}

int ferry_lanes_at_barrier(struct ferry_lane *lane, const uint8_t *payload,
                           struct ferry_error *reterr)
{
    struct ferry_run *run = lane->run;
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_stream_barrier barrier;
    uint32_t gone;
    int rc =
        ferry_stream_get_barrier(payload, FERRY_STREAM_BARRIER_BYTES, &barrier, reterr);

    if (rc < 0) {
        return rc;
    }
    if (lane->state == FERRY_LANE_READY && barrier.number > lanes->barrier + 1) {
        return FERRY_E_AGAIN; /* it joins later than the others have got */
    }
    if (barrier.number == lanes->barrier + 1) {
        lane->waiting = 1;
        if (lane->number == 0) {
            lanes->barrier_members = barrier.members;
        }
        if (lanes->barrier_members == 0) {
            return FERRY_E_AGAIN;
        }
        if ((lanes->members & ~lanes->barrier_members) != 0) {
            return wrong(lane, barrier.number, "a member is left out", reterr);
        }
        if (!all_wait(run, &gone)) {
            return gone ? lost(gone, reterr) : FERRY_E_AGAIN;
        }
        pass(run);
    }
    if (lane->passing != barrier.number || barrier.members != lanes->members) {
        return wrong(lane, barrier.number, "not what the others have got", reterr);
    }
    lane->passing = 0;
    return FERRY_OK;
}

void ferry_lanes_resume(struct ferry_run *run)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->channel) {
            ferry_channel_resume(lane->channel);
        }
    }
}
