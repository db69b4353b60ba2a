/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/lanes/lanes.h"

#include <assert.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "os/clock.h"
#include "os/memory.h"

/* --- one lane's input --- */

static int refuse(struct ferry_error *reterr, const struct ferry_lane *lane,
                  const struct ferry_record *record, const char *rule, uint64_t off)
{
    return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", rule, off,
                           "record %s may not come on connection %u now",
                           ferry_record_name(record->tag), lane->number);
}

/* What is said, not carried, belongs on lane 0. */
static int is_data(uint32_t tag)
{
    return tag == FERRY_REC_MEMORY_PAGES || tag == FERRY_REC_DEVICE_DATA ||
           tag == FERRY_REC_DEVICE_INITIAL || tag == FERRY_REC_DEVICE_END;
}

static int begin(void *user, const struct ferry_record *record, uint64_t stream_off,
                 size_t *ret_prefix, struct ferry_error *reterr)
{
    struct ferry_lane *lane = user;
    struct ferry_run *run = lane->run;

    if (lane->state == FERRY_LANE_GREETING) {
        return record->tag == FERRY_REC_ATTACH
                   ? FERRY_OK
                   : refuse(reterr, lane, record, "STR-CON-1", stream_off);
    }
    /* Lane 0 may be behind: an end that it has told holds for all. */
    if (run->down || ferry_stream_order_end(&run->order, 0, NULL) == FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, "stream", NULL, stream_off,
                               "record %s came after the end",
                               ferry_record_name(record->tag));
    }
    if (!run->incoming || (record->tag != FERRY_REC_BARRIER &&
                           (!is_data(record->tag) || lane->state != FERRY_LANE_MEMBER))) {
        return refuse(reterr, lane, record, "STR-CON-2", stream_off);
    }
    return ferry_run_sink.begin(run, record, stream_off, ret_prefix, reterr);
}

static int place(void *user, const struct ferry_record *record, const uint8_t *prefix,
                 uint8_t **ret_place, struct ferry_error *reterr)
{
    struct ferry_lane *lane = user;

    if (record->tag == FERRY_REC_BARRIER) {
        return ferry_lanes_at_barrier(lane, prefix, reterr);
    }
    if (record->tag == FERRY_REC_ATTACH) {
        return FERRY_OK;
    }
    return ferry_run_sink.place(lane->run, record, prefix, ret_place, reterr);
}

static int record_here(void *user, const struct ferry_record *record, uint64_t stream_off,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_lane *lane = user;
    struct ferry_stream_attach attach;
    int rc;

    if (record->tag != FERRY_REC_ATTACH) {
        return lane->run->down ? FERRY_OK
                               : ferry_run_sink.record(lane->run, record, stream_off,
                                                       payload, reterr);
    }
    rc = ferry_stream_get_attach(payload, (size_t)record->payload_bytes, &attach, reterr);
    if (rc < 0) {
        return rc;
    }
    return lane->run->incoming ? ferry_lanes_attach(lane, &attach, reterr)
                               : ferry_lanes_attached(lane, &attach, reterr);
}

static void room(void *user)
{
    struct ferry_lane *lane = user;

    ferry_run_sink.room(lane->run);
}

/* Nothing is to come any more over a lane whose end does not matter. */
static int is_over(const struct ferry_run *run)
{
    uint32_t told = run->incoming ? run->order.seen : run->order.sent;

    return run->ended || run->down || (told & 1u << FERRY_REC_ALL_SENT) != 0 ||
           ferry_stream_order_end(&run->order, 0, NULL) == FERRY_OK;
}

static void down(void *user, const struct ferry_error *error)
{
    struct ferry_lane *lane = user;
    struct ferry_run *run = lane->run;
    struct ferry_lanes *lanes = &run->lanes;

    if (lane->state != FERRY_LANE_MEMBER) {
        ferry_lanes_drop(lane);
    } else if (is_over(run)) {
        lane->state = FERRY_LANE_LOST; /* destroyed with the run */
    } else if (error->code != FERRY_E_CLOSED && error->code != FERRY_E_IO) {
        ferry_run_sink.down(run, error);
    } else if (lanes->word_timer.deadline_ns == 0) {
        ferry_error_set(&lanes->word, error->code, FERRY_HOST_LAYER, NULL, error->offset,
                        "connection %u of the migration: %.200s", lane->number,
                        error->text);
        ferry_loop_timer_set(run->context->loop, &lanes->word_timer,
                             ferry_os_now_ns() + FERRY_LANES_WORD_NS);
    }
}

static const struct ferry_channel_sink lane_sink = {
    .begin = begin,
    .place = place,
    .record = record_here,
    .room = room,
    .down = down,
};

/* --- all of them --- */

void ferry_lanes_lost(struct ferry_run *run, const struct ferry_error *error)
{
    ferry_run_note(run, error);
    ferry_run_put_abort(run, error->code); /* lane 0 can still tell why */
    ferry_run_link_down(run, error);
}

static void word_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct ferry_run *run = timer->user;

    (void)now_ns;
    if (!is_over(run)) {
        ferry_lanes_lost(run, &run->lanes.word);
    }
}

static void attach_due(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    (void)now_ns;
    ferry_lanes_close_door(timer->user);
}

static void destroy(struct ferry_lane *lane)
{
    if (lane->channel) {
        ferry_channel_destroy(lane->channel);
    }
    lane->channel = NULL;
    lane->state = FERRY_LANE_FREE;
}

static int work(struct ferry_loop_idle *idle)
{
    struct ferry_run *run = idle->user;
    struct ferry_lanes *lanes = &run->lanes;

    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        if (lanes->lane[i].state == FERRY_LANE_DEAD) {
            destroy(&lanes->lane[i]);
        }
    }
    if (run->incoming) {
        ferry_migration_watch_listener(run->migration); /* a slot may be free again */
        return 0;
    }
    return lanes->open ? ferry_lanes_connect(run) : 0;
}

void ferry_lanes_init(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;

    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        lanes->lane[i].run = run;
    }
    lanes->lane[0].channel = run->channel;
    lanes->lane[0].state = FERRY_LANE_MEMBER;
    lanes->members = 1;
    lanes->worker.fn = work;
    lanes->worker.user = run;
    lanes->attach_timer.fn = attach_due;
    lanes->attach_timer.user = run;
    lanes->word_timer.fn = word_due;
    lanes->word_timer.user = run;
    ferry_loop_idle_add(run->context->loop, &lanes->worker);
}

void ferry_lanes_free(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_loop *loop = run->context->loop;

    if (!lanes->worker.fn) {
        return; /* there was no channel */
    }
    lanes->open = 0;
    ferry_loop_timer_cancel(loop, &lanes->attach_timer);
    ferry_loop_timer_cancel(loop, &lanes->word_timer);
    ferry_loop_idle_remove(loop, &lanes->worker);
    /* The reason for the end first: whoever sees a lane closed waits for it. */
    ferry_channel_flush(run->channel);
    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        destroy(&lanes->lane[i]);
    }
}

struct ferry_lane *ferry_lanes_add(struct ferry_run *run, uint32_t slot, int fd)
{
    struct ferry_lane *lane = &run->lanes.lane[slot];

    assert(lane->state == FERRY_LANE_FREE && slot > 0);
    if (ferry_channel_create(run->context->loop, fd, &lane_sink, lane, &lane->channel) <
        0) {
        return NULL;
    }
    ferry_channel_share_limit(lane->channel, run->channel);
    lane->state = FERRY_LANE_GREETING;
    lane->number = 0;
    lane->waiting = 0;
    lane->passing = 0;
    return lane;
}

void ferry_lanes_drop(struct ferry_lane *lane)
{
    assert(lane->state != FERRY_LANE_MEMBER);
    lane->state = FERRY_LANE_DEAD;
    ferry_loop_idle_start(lane->run->context->loop, &lane->run->lanes.worker);
}

void ferry_lanes_close_door(struct ferry_run *run)
{
    struct ferry_lanes *lanes = &run->lanes;

    lanes->open = 0;
    ferry_loop_timer_cancel(run->context->loop, &lanes->attach_timer);
    for (uint32_t i = 1; i < FERRY_LANES_MAX; i++) {
        if (lanes->lane[i].state == FERRY_LANE_GREETING) {
            ferry_lanes_drop(&lanes->lane[i]);
        }
    }
    if (run->incoming) {
        ferry_migration_watch_listener(run->migration);
    }
}

int ferry_lanes_receive(struct ferry_run *run, const uint8_t *payload, size_t bytes,
                        struct ferry_error *reterr)
{
    struct ferry_lanes *lanes = &run->lanes;
    struct ferry_stream_connections connections;
    int rc = ferry_stream_get_connections(payload, bytes, &connections, reterr);

    if (rc < 0) {
        return rc;
    }
    if (run->incoming) {
        lanes->asked = connections.count;
        return FERRY_OK;
    }
    if (connections.count > lanes->wanted) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-CON-1", 0,
                               "CONNECTIONS: the target takes %u, %u were asked for",
                               connections.count, lanes->wanted);
    }
    memcpy(lanes->secret, connections.secret, sizeof(lanes->secret));
    lanes->count = connections.count;
    lanes->opened = 1;
    lanes->open = 1;
    ferry_loop_timer_set(run->context->loop, &lanes->attach_timer,
                         ferry_os_now_ns() + FERRY_LANES_ATTACH_NS);
    ferry_loop_idle_start(run->context->loop, &lanes->worker);
    return FERRY_OK;
}

void ferry_lanes_flush(struct ferry_run *run)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        if (run->lanes.lane[i].state == FERRY_LANE_MEMBER) {
            ferry_channel_flush(run->lanes.lane[i].channel);
        }
    }
}

void ferry_lanes_drop_data(struct ferry_run *run)
{
    for (uint32_t i = 0; i < FERRY_LANES_MAX; i++) {
        if (run->lanes.lane[i].state == FERRY_LANE_MEMBER) {
            ferry_channel_drop_data(run->lanes.lane[i].channel);
        }
    }
}

uint32_t ferry_lanes_used(const struct ferry_run *run)
{
    uint32_t used = 0;

    for (uint32_t bits = run->lanes.members; bits != 0; bits &= bits - 1) {
        used++;
    }
    return used;
}
