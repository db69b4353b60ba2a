/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/access/race/race.h"
#include "check/classes.h"
#include "os/clock.h"

/* SET_STATE, a reset and GET_STATE while something else is under way. */

#define ROUNDS 16u
#define GETS 2000u
#define MANY 64u
#define MANY_MS 5000u

/* What goes on while it happens. */
static const struct scene {
    const char *name;
    uint32_t state;  /* of the transfer */
    uint32_t wanted; /* SET_STATE meanwhile */
    uint32_t reset;  /* a reset instead */
    uint32_t needs;  /* FERRY_MIG_* */
} scenes[] = {
    { "SET_STOP@STOP_COPY", FERRY_STATE_STOP_COPY, FERRY_STATE_STOP, 0, 0 },
    { "SET_RUNNING@STOP_COPY", FERRY_STATE_STOP_COPY, FERRY_STATE_RUNNING, 0, 0 },
    { "SET_STOP@RESUMING", FERRY_STATE_RESUMING, FERRY_STATE_STOP, 0, 0 },
    { "SET_RUNNING@PRE_COPY", FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING, 0,
      FERRY_MIG_PRE_COPY },
    { "SET_STOP_COPY@PRE_COPY", FERRY_STATE_PRE_COPY, FERRY_STATE_STOP_COPY, 0,
      FERRY_MIG_PRE_COPY },
    { "RESET@STOP_COPY", FERRY_STATE_STOP_COPY, FERRY_STATE_RUNNING, 1, 0 },
    { "RESET@RESUMING", FERRY_STATE_RESUMING, FERRY_STATE_RUNNING, 1, 0 },
    { "RESET@PRE_COPY", FERRY_STATE_PRE_COPY, FERRY_STATE_RUNNING, 1,
      FERRY_MIG_PRE_COPY },
};

static uint32_t scene_at(const struct check_run *run, uint32_t at,
                         const struct scene **ret_scene)
{
    const uint32_t reset = strcmp(run->check->info.id, "race.reset") == 0;
    uint32_t count = 0;

    for (size_t i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++) {
        if (scenes[i].reset == reset && (scenes[i].needs & ~run->device.features) == 0 &&
            count++ == at) {
            *ret_scene = &scenes[i];
        }
    }
    return count;
}

static uint32_t scene_cases(const struct check_run *run)
{
    const struct scene *scene;

    return scene_at(run, UINT32_MAX, &scene);
}

static void scene_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    const struct scene *scene = &scenes[0];

    (void)scene_at(run, at, &scene);
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", scene->name);
}

static int answered(int status)
{
    return status != FERRY_E_TIMEOUT && status != FERRY_E_CLOSED;
}

/* A transfer by the one, SET_STATE or a reset by the other. */
static int meanwhile(struct check_run *run, const struct scene *scene,
                     const struct check_stream *stream, uint8_t *room, uint32_t round)
{
    uint32_t piece_bytes[512];
    atomic_uint steps = 0;
    struct race_worker worker[2] = {
        { .step = scene->state == FERRY_STATE_RESUMING ? race_write : race_read,
          .data = scene->state == FERRY_STATE_RESUMING ? stream->data : room,
          .bytes = scene->state == FERRY_STATE_RESUMING ? stream->bytes : 0,
          .cap = stream->bytes * 2,
          .piece = stream->bytes / 256 + 1,
          .piece_bytes = piece_bytes,
          .pieces_max = 512,
          .count = &steps },
        { .step = scene->reset ? race_reset : race_set,
          .wanted = scene->wanted,
          .after = &steps,
          .wait_for = round * 8 },
    };
    uint32_t state = FERRY_STATE_COUNT;

    if (!race_run(run, worker, 2) ||
        !check_that(run, answered(worker[0].status) && answered(worker[1].status),
                    "both are answered", "%s, %s", ferry_status_name(worker[0].status),
                    ferry_status_name(worker[1].status)) ||
        !check_ok(run, check_get_state(run, &state), "GET_STATE afterwards")) {
        return 0;
    }
    if (scene->reset) {
        return check_ok(run, worker[1].status, "a reset during a transfer") &&
               check_is(run, FERRY_STATE_RUNNING, "after a reset during a transfer");
    }
    return check_that(run, worker[1].status < 0 || state == scene->wanted,
                      "a SET_STATE that worked took it there", "it is in %s",
                      ferry_state_name(state));
}

static void run_scene(struct check_run *run, uint32_t at)
{
    const struct scene *scene = &scenes[0];
    struct check_stream stream = { 0 };
    uint8_t *room;
    int good = 1;

    (void)scene_at(run, at, &scene);
    if (!access_own_stream(run, &stream)) {
        return;
    }
    room = malloc(stream.bytes * 2);
    for (uint32_t i = 0; room && good && i < ROUNDS; i++) {
        good = check_go(run, FERRY_STATE_RUNNING) && check_go(run, scene->state) &&
               meanwhile(run, scene, &stream, room, i);
    }
    if (good) {
        race_survived(run, scene->name);
    }
    free(room);
    check_stream_free(&stream);
}

/* -- GET_STATE and a second SET_STATE while one is pending -- */

static const struct {
    uint32_t from, to, other;
} arcs[] = {
    { FERRY_STATE_RUNNING, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY },
    { FERRY_STATE_RUNNING, FERRY_STATE_STOP_COPY, FERRY_STATE_RUNNING },
    { FERRY_STATE_STOP, FERRY_STATE_RUNNING, FERRY_STATE_STOP_COPY },
    { FERRY_STATE_RUNNING, FERRY_STATE_RESUMING, FERRY_STATE_STOP_COPY },
};
#define ARCS ((uint32_t)(sizeof(arcs) / sizeof(arcs[0])))

static uint32_t arc_cases(const struct check_run *run)
{
    (void)run;
    return ARCS;
}

static void get_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s", ferry_state_name(arcs[at].from),
             ferry_state_name(arcs[at].to));
}

static void set_name(const struct check_run *run, uint32_t at,
                     char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s>%s+%s",
             ferry_state_name(arcs[at].from), ferry_state_name(arcs[at].to),
             ferry_state_name(arcs[at].other));
}

/* Both ends and all between. */
static uint32_t path_bits(const struct check_run *run, uint32_t from, uint32_t to)
{
    uint32_t path[FERRY_STATE_COUNT];
    uint32_t bits = 1u << from;
    const int count = ferry_state_path(from, to, run->at->features, path);

    for (int i = 0; i < count; i++) {
        bits |= 1u << path[i];
    }
    return bits;
}

static void run_get(struct check_run *run, uint32_t at)
{
    const uint32_t legal = path_bits(run, arcs[at].from, arcs[at].to);

    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct race_worker worker[2] = {
            { .step = race_get, .steps_max = GETS / ROUNDS },
            { .step = race_set, .wanted = arcs[at].to },
        };

        if (!check_go(run, FERRY_STATE_RUNNING) || !check_go(run, arcs[at].from) ||
            !race_run(run, worker, 2)) {
            return;
        }
        check_that(run, worker[0].refused == 0, "GET_STATE works while an arc is pending",
                   "%s", ferry_status_name(worker[0].status));
        check_that(run, (worker[0].seen & ~legal) == 0,
                   "GET_STATE tells a state on the way", "states 0x%x, the way is 0x%x",
                   worker[0].seen, legal);
        if (!check_ok(run, worker[1].status, "SET_STATE") ||
            !check_is(run, arcs[at].to, "after SET_STATE")) {
            return;
        }
    }
    race_survived(run, "GET_STATE during arcs");
}

/* Where two SET_STATE at once may leave it, as bits: where one that worked went, and when
 * the other failed after it, where that was by then. */
static uint32_t ends(const struct check_run *run, const struct race_worker *worker)
{
    uint32_t bits = 0;

    for (uint32_t i = 0; i < 2; i++) {
        const uint32_t other = worker[1 - i].wanted;

        if (worker[i].status != FERRY_OK) {
            continue;
        }
        bits |= 1u << worker[i].wanted;
        /* Refused without a try it changes nothing. */
        if (worker[1 - i].status == FERRY_E_DEVICE_ERROR) {
            bits |= path_bits(run, worker[i].wanted, other) | 1u << FERRY_STATE_ERROR;
        }
    }
    return bits;
}

static void run_sets(struct check_run *run, uint32_t at)
{
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct race_worker worker[2] = {
            { .step = race_set, .wanted = arcs[at].to },
            { .step = race_set, .wanted = arcs[at].other },
        };
        uint32_t state = FERRY_STATE_COUNT;

        if (!check_go(run, FERRY_STATE_RUNNING) || !check_go(run, arcs[at].from) ||
            !race_run(run, worker, 2) ||
            !check_ok(run, check_get_state(run, &state), "GET_STATE afterwards")) {
            return;
        }
        check_that(run, worker[0].status == FERRY_OK || worker[1].status == FERRY_OK,
                   "one of two SET_STATE at once works", "%s, %s",
                   ferry_status_name(worker[0].status),
                   ferry_status_name(worker[1].status));
        check_that(run, (ends(run, worker) >> state & 1u) != 0,
                   "the device is where the one that worked took it", "%s",
                   ferry_state_name(state));
    }
    race_survived(run, "two SET_STATE at once");
}

/* -- Many requests under way -- */

struct flight {
    struct ferry_request request;
    uint8_t data[64];
    uint32_t ends;
};

static void landed(struct ferry_request *request)
{
    struct flight *flight = request->user;

    flight->ends++;
}

static void take_off(struct flight *flight, uint32_t i)
{
    static const uint32_t kinds[] = { FERRY_RQ_GET_STATE, FERRY_RQ_REGION_READ,
                                      FERRY_RQ_GET_INFO, FERRY_RQ_SET_STATE };

    memset(flight, 0, sizeof(*flight));
    flight->request.kind = kinds[i % 4];
    flight->request.done = landed;
    flight->request.user = flight;
    if (flight->request.kind == FERRY_RQ_REGION_READ) {
        flight->request.u.io.index = 7;
        flight->request.u.io.count = sizeof(flight->data);
        flight->request.u.io.data = flight->data;
    } else if (flight->request.kind == FERRY_RQ_SET_STATE) {
        flight->request.u.state = i % 8 < 4 ? FERRY_STATE_STOP : FERRY_STATE_RUNNING;
    }
}

static uint32_t in_flight(const struct flight *flight)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < MANY; i++) {
        count += flight[i].ends == 0;
    }
    return count;
}

static void run_many(struct check_run *run, uint32_t at)
{
    const uint64_t until = ferry_os_now_ns() + MANY_MS * (uint64_t)FERRY_NS_PER_MS;
    struct ferry_backend *backend = run->at->backend;
    struct flight *flight = calloc(MANY, sizeof(*flight));
    uint32_t twice = 0, wrong = 0, unanswered = 0;

    (void)at;
    for (uint32_t i = 0; flight && i < MANY; i++) {
        take_off(&flight[i], i);
        if (backend->ops->submit(backend, &flight[i].request) != FERRY_PENDING) {
            flight[i].ends++;
        }
    }
    while (flight && in_flight(flight) > 0 && ferry_os_now_ns() < until) {
        (void)ferry_check_turn(&run->driven, 1);
    }
    if (!flight || in_flight(flight) > 0) {
        check_that(run, !flight, "all requests under way are answered", "%u are not",
                   flight ? in_flight(flight) : 0);
        /* What is still under way points at this memory. */
        if (flight && check_reopen(run)) {
            free(flight);
        }
        return;
    }
    for (uint32_t i = 0; i < MANY; i++) {
        twice += flight[i].ends > 1;
        unanswered += !answered(flight[i].request.status);
        wrong += flight[i].request.kind == FERRY_RQ_REGION_READ &&
                 flight[i].request.status == FERRY_OK &&
                 memcmp(flight[i].data, flight[1].data, 4) != 0;
    }
    free(flight);
    check_that(run, unanswered == 0, "all requests under way are answered", "%u are not",
               unanswered);
    check_that(run, twice == 0, "each request is answered once", "%u twice", twice);
    check_that(run, wrong == 0, "each request gets its own answer",
               "%u reads give other bytes", wrong);
    race_survived(run, "many requests at once");
}

const struct check check_access_race_set[] = {
    { { "race.set", "MIG-RACE-2", "a SET_STATE during a transfer does no harm",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE },
      scene_cases,
      scene_name,
      run_scene },
    { { "race.reset", "MIG-RST-3", "a reset during a transfer ends it",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE | FERRY_CHECK_NEEDS_RESET },
      scene_cases,
      scene_name,
      run_scene },
    { { "race.get", "MIG-ARC-6", "GET_STATE during a change tells a state on the way",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE },
      arc_cases,
      get_name,
      run_get },
    { { "race.sets", "MIG-ARC-8", "two changes at once: one of them, or both in a row",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE },
      arc_cases,
      set_name,
      run_sets },
    { { "race.many", "MIG-RACE-2", "many requests under way are answered, each once",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE },
      NULL,
      NULL,
      run_many },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
