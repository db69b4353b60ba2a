/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"

/* A source's lanes: connecting, barriers, and what goes where. */

void ferry_lanes_put_hello(struct ferry_run *run)
{
    struct ferry_stream_connections connections = { .count = run->lanes.wanted };
    uint8_t payload[64];
    struct ferry_writer writer;

    if (run->lanes.wanted <= 1) {
        return;
    }
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_connections(&writer, &connections);
    assert(!writer.overflow);
    ferry_run_put(run, FERRY_REC_CONNECTIONS, FERRY_NO_DEVICE, payload, writer.pos);
}

static void put_attach(struct ferry_lane *lane)
{
    struct ferry_run *run = lane->run;
    struct ferry_stream_attach attach = { .epoch = run->epoch, .number = lane->number };
    uint8_t payload[64];
    struct ferry_writer writer;

    memcpy(attach.session_id, run->session_id, sizeof(attach.session_id));
    memcpy(attach.secret, run->lanes.secret, sizeof(attach.secret));
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_attach(&writer, &attach);
    assert(!writer.overflow);
    /* A failure shows as a lane that is never attached. */
    (void)ferry_channel_put(lane->channel, FERRY_REC_ATTACH, FERRY_NO_DEVICE, payload,
                            writer.pos);
}

int ferry_lanes_connect(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_lane *lane;
    int fd;

    if (lanes->opened >= lanes->count || run->ended || run->cancelled) {
        return 0;
    }
    if (ferry_os_connect(&lanes->address, FERRY_LANES_CONNECT_MS, &fd, NULL) < 0) {
        lanes->opened = lanes->count; /* what fails once is not tried again and again */
        return 0;
    }
    lane = ferry_lanes_add(run, lanes->opened, fd);
    if (lane) {
        lane->number = lanes->opened;
        put_attach(lane);
    }
    lanes->opened++;
    return lanes->opened < lanes->count;
}

int ferry_lanes_attached(struct ferry_lane *lane, const struct ferry_stream_attach *came,
                         struct ferry_error *reterr)
{
    struct ferry_run *run = lane->run;

    if (came->number != lane->number || came->epoch != run->epoch ||
        memcmp(came->session_id, run->session_id, sizeof(came->session_id)) != 0) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "stream", "STR-CON-1", 0,
                               "ATTACH: the answer is about another connection");
    }
    lane->state = FERRY_LANE_READY;
    ferry_lanes_barrier(run);
    return FERRY_OK;
}

static void put_barrier(struct ferry_run *run, struct ferry_lane *lane,
                        const uint8_t *payload, size_t bytes)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = ferry_channel_put(lane->channel, FERRY_REC_BARRIER, FERRY_NO_DEVICE, payload,
                               bytes);

    /* A dead output is told by the input. */
    if (rc < 0 && rc != FERRY_E_CLOSED) {
        ferry_error_set(&error, rc, FERRY_HOST_LAYER, NULL, 0,
                        "record BARRIER could not be queued: %s", ferry_status_text(rc));
        ferry_run_link_down(run, &error);
    }
}

void ferry_lanes_barrier(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_stream_barrier barrier = { .number = lanes->barrier + 1 };
    uint8_t payload[FERRY_STREAM_BARRIER_BYTES];
    struct ferry_writer writer;

    if (run->incoming || run->aborted || run->down || run->ended ||
        !(run->order.seen & 1u << FERRY_REC_ACCEPT) ||
        run->order.sent & 1u << FERRY_REC_ALL_SENT) {
        return;
    }
    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        if (lanes->lane[i].state == FERRY_LANE_READY) {
            lanes->lane[i].state = FERRY_LANE_MEMBER;
            lanes->members |= 1u << i;
        }
    }
    if (lanes->members == 1) {
        return;
    }
    lanes->barrier++;
    barrier.members = lanes->members;
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_barrier(&writer, &barrier);
    assert(!writer.overflow && writer.pos == sizeof(payload));
    ferry_stream_order_sent(&run->order, FERRY_REC_BARRIER);
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        if (lanes->members & 1u << i) {
            put_barrier(run, &lanes->lane[i], payload, writer.pos);
        }
    }
}

struct ferry_channel *ferry_lanes_of_device(struct ferry_run *run, uint32_t device)
{
    uint32_t skip = device % ferry_lanes_used(run), number = 0;

    /* The number of the member with so many before it. */
    while (skip > 0 || !(run->lanes.members & 1u << number)) {
        skip -= run->lanes.members >> number & 1;
        number++;
    }
    return run->lanes.lane[number].channel;
}

struct ferry_channel *ferry_lanes_of_memory(struct ferry_run *run)
{
    struct ferry_channel *least = run->channel;

    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        const struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->state == FERRY_LANE_MEMBER &&
            ferry_channel_queued(lane->channel) < ferry_channel_queued(least)) {
            least = lane->channel;
        }
    }
    return least;
}

int ferry_lanes_room(struct ferry_run *run)
{
    int room = 0;

    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->state == FERRY_LANE_MEMBER && ferry_channel_room(lane->channel)) {
            room = 1;
        }
    }
    return room;
}

void ferry_lanes_drain(struct ferry_run *run)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->state == FERRY_LANE_MEMBER) {
            lane->drain_until =
                ferry_channel_sent(lane->channel) + ferry_channel_queued(lane->channel);
        }
    }
}

int ferry_lanes_drained(struct ferry_run *run)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        struct ferry_lane *lane = &run->lanes.lane[i];

        if (lane->state == FERRY_LANE_MEMBER &&
            ferry_channel_sent(lane->channel) < lane->drain_until) {
            ferry_channel_tell(lane->channel);
            return 0;
        }
    }
    return 1;
}

void ferry_lanes_unlimit(struct ferry_run *run)
{
    ferry_channel_limit(run->channel, 0);
    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        if (run->lanes.lane[i].state == FERRY_LANE_MEMBER) {
            ferry_channel_flush(run->lanes.lane[i].channel);
        }
    }
}
