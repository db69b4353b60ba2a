/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/access/race/race.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/classes.h"
#include "os/clock.h"

#define STEPS_MAX 100000u
#define PIECES_MAX 512u /* of each reader: the way they fit together is searched for */

int race_call(struct race_worker *worker, struct ferry_request *request)
{
    const int status = worker->backend->ops->call(worker->backend, request);

    worker->status = status;
    worker->refused += status < 0 && status != FERRY_E_DRY;
    return status;
}

static void *work(void *user)
{
    struct race_worker *worker = user;
    uint32_t steps = 0;

    while (atomic_load(worker->go) == 0 ||
           (worker->after && atomic_load(worker->after) < worker->wait_for)) {
        (void)sched_yield();
    }
    while (steps++ < worker->steps_max && worker->step(worker)) {
        if (worker->count) {
            atomic_store(worker->count, steps);
            (void)sched_yield(); /* the lock of a local device is not fair */
        }
    }
    if (worker->count) {
        atomic_store(worker->count, UINT32_MAX);
    }
    return NULL;
}

int race_run(struct check_run *run, struct race_worker *worker, uint32_t count)
{
    atomic_uint go = 0;
    uint32_t made = 0;

    while (made < count) {
        worker[made].backend = run->at->backend;
        worker[made].go = &go;
        if (worker[made].steps_max == 0) {
            worker[made].steps_max = STEPS_MAX;
        }
        if (pthread_create(&worker[made].thread, NULL, work, &worker[made]) != 0) {
            break;
        }
        made++;
    }
    for (uint32_t i = made; i < count; i++) {
        if (worker[i].count) {
            atomic_store(worker[i].count, UINT32_MAX); /* nobody waits for it */
        }
    }
    atomic_store(&go, 1);
    for (uint32_t i = 0; i < made; i++) {
        (void)pthread_join(worker[i].thread, NULL);
    }
    return made == count || check_broken(run, "no thread can be made");
}

void race_survived(struct check_run *run, const char *what)
{
    char when[96];
    uint32_t state;

    snprintf(when, sizeof(when), "after %s", what);
    if (!check_ok(run, check_get_state(run, &state), "GET_STATE afterwards")) {
        return;
    }
    check_that(run, state < FERRY_STATE_COUNT, "GET_STATE tells a state", "%u", state);
    if (run->at->can_reset) {
        if (!check_ok(run, check_reset(run), "a reset afterwards")) {
            return;
        }
    } else if (!check_reopen(run)) {
        return;
    }
    if (check_is(run, FERRY_STATE_RUNNING, when)) {
        check_works(run, when);
    }
}

int race_read(struct race_worker *worker)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    uint64_t got;

    if (worker->cap - worker->bytes < worker->piece ||
        worker->pieces == worker->pieces_max) {
        return 0;
    }
    request.u.data.data = worker->data + worker->bytes;
    request.u.data.size = worker->piece;
    if (race_call(worker, &request) != FERRY_OK || request.u.data.got == 0) {
        return 0;
    }
    got = request.u.data.got;
    worker->piece_bytes[worker->pieces++] = (uint32_t)got;
    worker->bytes += got;
    return 1;
}

int race_write(struct race_worker *worker)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };
    const uint64_t left = worker->bytes - worker->at;

    if (left == 0) {
        return 0;
    }
    request.u.data.data = worker->data + worker->at;
    request.u.data.size = left < worker->piece ? left : worker->piece;
    if (race_call(worker, &request) != FERRY_OK) {
        return 0;
    }
    worker->at += request.u.data.size;
    return 1;
}

int race_set(struct race_worker *worker)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = worker->wanted };

    (void)race_call(worker, &request);
    return 0;
}

int race_get(struct race_worker *worker)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    if (race_call(worker, &request) == FERRY_OK && request.u.state < 32) {
        worker->seen |= 1u << request.u.state;
    }
    return 1;
}

int race_reset(struct race_worker *worker)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    (void)race_call(worker, &request);
    return 0;
}

/* -- Two readers -- */

static int here(const struct check_stream *stream, uint64_t at,
                const struct race_worker *reader, uint64_t from, uint32_t bytes)
{
    return memcmp(stream->data + at, reader->data + from, bytes) == 0;
}

/*
 * Is the stream some way of putting the two readers' pieces together? All bytes together
 * are as many as the stream has. reach[j]: i pieces of the one and j of the other make up
 * its beginning.
 */
static int fits(const struct check_stream *stream, const struct race_worker *a,
                const struct race_worker *b)
{
    uint8_t reach[PIECES_MAX + 1] = { 0 };
    uint64_t a_at = 0; /* bytes of a's first i pieces */

    for (uint32_t i = 0; i <= a->pieces; i++) {
        const uint32_t a_bytes = i > 0 ? a->piece_bytes[i - 1] : 0;
        uint64_t b_at = 0; /* of b's first j */

        a_at += a_bytes;
        for (uint32_t j = 0; j <= b->pieces; j++) {
            const uint32_t b_bytes = j > 0 ? b->piece_bytes[j - 1] : 0;
            int now = i == 0 && j == 0;

            b_at += b_bytes;
            now |= i > 0 && reach[j] &&
                   here(stream, a_at - a_bytes + b_at, a, a_at - a_bytes, a_bytes);
            now |= j > 0 && reach[j - 1] &&
                   here(stream, a_at + b_at - b_bytes, b, b_at - b_bytes, b_bytes);
            reach[j] = (uint8_t)now;
        }
    }
    return reach[b->pieces];
}

static int make_reader(struct race_worker *worker, uint64_t bytes)
{
    worker->step = race_read;
    worker->piece = bytes / (PIECES_MAX / 2) + 1;
    worker->cap = bytes + worker->piece;
    worker->pieces_max = PIECES_MAX;
    worker->data = malloc(worker->cap);
    worker->piece_bytes = calloc(PIECES_MAX, sizeof(*worker->piece_bytes));
    return worker->data && worker->piece_bytes;
}

static void free_reader(struct race_worker *worker)
{
    free(worker->data);
    free(worker->piece_bytes);
}

static void two_readers(struct check_run *run, const struct check_stream *stream)
{
    struct race_worker worker[2] = { 0 };

    if (make_reader(&worker[0], stream->bytes) &&
        make_reader(&worker[1], stream->bytes) && check_go(run, FERRY_STATE_STOP_COPY) &&
        race_run(run, worker, 2)) {
        const uint64_t all = worker[0].bytes + worker[1].bytes;

        check_that(run, worker[0].status == FERRY_OK && worker[1].status == FERRY_OK,
                   "two readers read to the end", "%s, %s",
                   ferry_status_name(worker[0].status),
                   ferry_status_name(worker[1].status));
        check_that(run, all == stream->bytes, "two readers get each byte once",
                   "%llu bytes of %llu", (unsigned long long)all,
                   (unsigned long long)stream->bytes);
        check_that(run, all != stream->bytes || fits(stream, &worker[0], &worker[1]),
                   "what two readers get makes up the stream", "it does not");
        race_survived(run, "two readers");
    }
    free_reader(&worker[0]);
    free_reader(&worker[1]);
}

static void run_readers(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };

    (void)at;
    if (access_steady(run, &stream)) {
        two_readers(run, &stream);
    }
    check_stream_free(&stream);
}

/* -- Two writers -- */

static uint32_t writer_cases(const struct check_run *run)
{
    (void)run;
    return 2;
}

static void writer_name(const struct check_run *run, uint32_t at,
                        char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", at == 0 ? "halves" : "twice");
}

/* Both write at once: what comes together is no stream, or one by chance. */
static void run_writers(struct check_run *run, uint32_t at)
{
    struct race_worker worker[2] = { { .step = race_write }, { .step = race_write } };
    struct check_stream stream = { 0 };
    uint64_t half;
    int rc;

    if (!access_own_stream(run, &stream) || !check_go(run, FERRY_STATE_RESUMING)) {
        check_stream_free(&stream);
        return;
    }
    half = at == 0 ? stream.bytes / 2 : 0;
    for (uint32_t i = 0; i < 2; i++) {
        worker[i].data = stream.data + i * half;
        worker[i].bytes = at == 1 ? stream.bytes : i == 0 ? half : stream.bytes - half;
        worker[i].piece = stream.bytes / 64 + 1;
    }
    if (race_run(run, worker, 2)) {
        rc = check_set_state(run, FERRY_STATE_STOP);
        check_that(run, rc != FERRY_E_TIMEOUT && rc != FERRY_E_CLOSED,
                   "RESUMING to STOP is answered after two writers", "%s",
                   ferry_status_name(rc));
        check_that(run, at == 0 || rc < 0, "a state that was written twice is refused",
                   "it is taken");
        race_survived(run, "two writers");
        check_undrive(run); /* what is loaded knows nothing of it */
        if (run->at->can_reset && check_load(run, &stream) &&
            check_go(run, FERRY_STATE_RUNNING)) {
            check_is(run, FERRY_STATE_RUNNING, "with a good load after two writers");
        }
    }
    check_stream_free(&stream);
}

const struct check check_access_race[] = {
    { { "race.readers", "MIG-RACE-1", "two readers at once get each byte once",
        FERRY_CHECK_RECOMMENDED, FERRY_CHECK_DESTRUCTIVE },
      NULL,
      NULL,
      run_readers },
    { { "race.writers", "MIG-RACE-2", "two writers at once do no harm",
        FERRY_CHECK_REQUIRED, FERRY_CHECK_DESTRUCTIVE },
      writer_cases,
      writer_name,
      run_writers },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
