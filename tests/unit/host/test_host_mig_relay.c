/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_host_mig_relay.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/reader.h"
#include "core/session/source.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"

#define LIMIT_MS 8000u
#define RELAY_BYTES (3u << 20)

static uint32_t next_random(struct move *move, uint32_t below)
{
    move->random = move->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(move->random >> 33) % below;
}

/* --- the relay --- */

void relay_cut(struct relay_conn *conn)
{
    ferry_os_close(&conn->source);
    ferry_os_close(&conn->target);
    free(conn->bytes);
    conn->bytes = NULL;
    conn->have = conn->allowed = 0;
}

static void take_connection(struct move *move)
{
    struct ferry_os_address address;
    struct relay_conn *conn = &move->conn[move->conn_count];
    int fd;

    if (ferry_os_accept(move->listener, &fd) != FERRY_OK) {
        return;
    }
    assert_true(move->conn_count < RELAY_MAX);
    move->conn_count++;
    conn->source = fd;
    conn->target = -1;
    if (move->refuse_from != 0 && move->conn_count > move->refuse_from) {
        relay_cut(conn);
        return;
    }
    assert_int_equal(ferry_os_address_parse(move->to, &address, NULL), FERRY_OK);
    assert_int_equal(ferry_os_connect(&address, 1000, &conn->target, NULL), FERRY_OK);
    fcntl(conn->source, F_SETFL, O_NONBLOCK);
    fcntl(conn->target, F_SETFL, O_NONBLOCK);
    conn->bytes = malloc(RELAY_BYTES);
    assert_non_null(conn->bytes);
}

/* Bytes of the record at `at`; 0 while it is not whole. */
static size_t whole_record(const struct relay_conn *conn, size_t at)
{
    uint64_t bytes;

    if (conn->have - at < FERRY_RECORD_HEADER_BYTES) {
        return 0;
    }
    bytes = FERRY_RECORD_HEADER_BYTES + ferry_load_le64(conn->bytes + at + 16);
    return bytes <= conn->have - at ? (size_t)bytes : 0;
}

static void forward(struct relay_conn *conn, uint32_t most)
{
    ssize_t count = -1;

    errno = EAGAIN; /* when it is full */
    if (conn->have < RELAY_BYTES) {
        count = read(conn->source, conn->bytes + conn->have, RELAY_BYTES - conn->have);
    }
    if (count > 0) {
        conn->have += (size_t)count;
    } else if (count == 0 || errno != EAGAIN) {
        conn->source_ended = 1;
    }
    for (size_t bytes; most > 0 && (bytes = whole_record(conn, conn->allowed)) > 0;
         most--) {
        conn->allowed += bytes;
        conn->records++;
    }
    if (conn->forge_at != 0 && conn->records >= conn->forge_at && conn->allowed == 0) {
        conn->forge_at = 0;
        (void)!send(conn->target, conn->forged, conn->forged_bytes, MSG_NOSIGNAL);
    }
    if (conn->allowed > 0) {
        count = send(conn->target, conn->bytes, conn->allowed, MSG_NOSIGNAL);
        if (count > 0) {
            conn->have -= (size_t)count;
            conn->allowed -= (size_t)count;
            memmove(conn->bytes, conn->bytes + count, conn->have);
        }
    } else if (conn->source_ended) {
        relay_cut(conn);
    }
}

static void backward(struct relay_conn *conn)
{
    uint8_t bytes[4096];
    ssize_t count;

    while ((count = read(conn->target, bytes, sizeof(bytes))) > 0) {
        (void)!send(conn->source, bytes, (size_t)count, MSG_NOSIGNAL);
    }
    if (count == 0) {
        relay_cut(conn);
    }
}

static void relay_turn(struct move *move)
{
    take_connection(move);
    move->held_turns -= move->held_turns > 0;
    if (move->held_turns == 0) {
        move->held = next_random(move, 5);
        move->held_turns = next_random(move, 400);
    }
    for (uint32_t i = 0; i < move->conn_count; i++) {
        struct relay_conn *conn = &move->conn[i];

        if (conn->bytes) {
            forward(conn, move->held == i ? 0 : next_random(move, 3));
        }
        if (conn->bytes) {
            backward(conn);
        }
    }
}

/* --- a move --- */

void move_open(struct move *move, uint32_t seed)
{
    const struct rig_choice choice = { .memory_bytes = MEMORY_BYTES };
    struct ferry_os_address address;

    memset(move, 0, sizeof(*move));
    strcpy(move->folder, "/tmp/ferry-conn-XXXXXX");
    assert_non_null(mkdtemp(move->folder));
    snprintf(move->from, sizeof(move->from), "unix:%s/relay", move->folder);
    snprintf(move->to, sizeof(move->to), "unix:%s/target", move->folder);
    move->random = seed * 2654435761u + 99;
    assert_int_equal(ferry_os_address_parse(move->from, &address, NULL), FERRY_OK);
    assert_int_equal(ferry_os_listen(&address, 32, &move->listener, NULL), FERRY_OK);
    rig_open(&move->rig, &choice);
    rig_fill(&move->rig, seed);
    move->rig.side[0].pause_pending = 1;
}

int move_start(struct move *move, const struct ferry_migrate_options *source,
               const struct ferry_migrate_options *target)
{
    struct ferry_error error = { .code = FERRY_OK };

    assert_int_equal(
        ferry_context_listen(move->rig.side[1].context, move->to, target, &error),
        FERRY_OK);
    return ferry_context_send(move->rig.side[0].context, move->from, source, &error);
}

void move_close(struct move *move)
{
    for (uint32_t i = 0; i < move->conn_count; i++) {
        if (move->conn[i].bytes) {
            relay_cut(&move->conn[i]);
        }
    }
    rig_close(&move->rig);
    ferry_os_close(&move->listener);
    (void)remove(move->from + 5);
    (void)rmdir(move->folder);
}

/* Are there enough connections and rounds for what is tried? */
static int stops(struct move *move, const struct ferry_run *run)
{
    if (move->first_round == 0 && ferry_lanes_used(run) >= move->wait_for) {
        move->first_round = run->ram.rounds + 1;
    }
    return move->first_round != 0 &&
           run->ram.rounds >= move->first_round + move->dirty_rounds &&
           (move->cut_phase != FERRY_SRC_PRE_COPY || move->cut_done);
}

/* The guest: writes anywhere, and tells of it. */
static void write_memory(struct move *move)
{
    struct rig_side *source = &move->rig.side[0];
    const struct ferry_run *run = source->context->migration->run;

    if (!source->running || !run || stops(move, run)) {
        return;
    }
    for (uint32_t i = 0; i < 12; i++) {
        uint32_t page = next_random(move, MEMORY_BYTES / 4096);
        uint8_t *bytes = source->memory + page * 4096u;

        memset(bytes, next_random(move, 4) == 0 ? 0 : (int)next_random(move, 256), 4096);
        ferry_context_mark_dirty(source->context, RIG_IOVA + page * 4096u, 4096);
    }
}

/* It stops no sooner than that, whatever it expects. */
static void maybe_stop(struct move *move)
{
    struct ferry_run *run = move->rig.side[0].context->migration->run;

    if (run) {
        ((struct ferry_source *)run->session)->config.max_downtime_ns =
            stops(move, run) ? 60 * FERRY_NS_PER_S : 0;
    }
}

/* The CPUs take their time when something is to happen meanwhile. */
static void maybe_pause(struct move *move)
{
    struct rig_side *source = &move->rig.side[0];

    if (source->pause_pending && source->pauses > 0 &&
        (move->cut_phase != FERRY_SRC_PAUSE || move->cut_done)) {
        source->pause_pending = 0;
        source->running = 0;
        ferry_context_cpus_done(source->context, FERRY_OK);
    }
}

static void maybe_cut(struct move *move)
{
    if (move->cut_conn == 0 || move->cut_done || move->conn_count <= move->cut_conn ||
        rig_phase(&move->rig, 0) != move->cut_phase ||
        !move->conn[move->cut_conn].bytes || move->conn[move->cut_conn].records < 2) {
        return;
    }
    move->cut_done = 1;
    relay_cut(&move->conn[move->cut_conn]);
}

static int ended(const struct move *move)
{
    for (uint32_t i = 0; i < 2; i++) {
        if (!move->rig.side[i].finished && !rig_undecided(&move->rig, i)) {
            return 0;
        }
    }
    return 1;
}

int move_run(struct move *move)
{
    uint64_t limit_ns = ferry_os_now_ns() + (uint64_t)LIMIT_MS * FERRY_NS_PER_MS;

    while (!ended(move) && ferry_os_now_ns() < limit_ns) {
        for (uint32_t i = 0; i < 2; i++) {
            assert_int_equal(ferry_context_dispatch(move->rig.side[i].context, 0),
                             FERRY_OK);
        }
        relay_turn(move);
        write_memory(move);
        maybe_stop(move);
        maybe_pause(move);
        maybe_cut(move);
        if (move->hook) {
            move->hook(move);
        }
    }
    return ended(move);
}

void move_expect(const struct move *move, const char *what, uint32_t seed)
{
    const struct ferry_report *report = &move->rig.side[0].report;

    if (rig_outcome(&move->rig, 0) != FERRY_OUTCOME_MOVED ||
        rig_outcome(&move->rig, 1) != FERRY_OUTCOME_MOVED) {
        fail_msg("%s %u: %s / %s: %s / %s", what, seed,
                 ferry_outcome_name(rig_outcome(&move->rig, 0)),
                 ferry_outcome_name(rig_outcome(&move->rig, 1)), report->error.text,
                 move->rig.side[1].report.error.text);
    }
    if (memcmp(move->rig.side[0].memory, move->rig.side[1].memory, MEMORY_BYTES) != 0 ||
        !rig_state_equal(&move->rig)) {
        fail_msg("%s %u: the target does not hold what the source had", what, seed);
    }
    assert_true(rig_runs(&move->rig, 1));
}
