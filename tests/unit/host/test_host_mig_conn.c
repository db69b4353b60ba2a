/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/writer.h"
#include "core/session/source.h"
#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"
#include "test_host_mig_relay.h"

/* Migrations over several connections, whose records overtake each other. */
#define LIMIT_MS 8000u

static const struct ferry_migrate_options four = {
    .struct_size = sizeof(four),
    .connections = 4,
    .bandwidth_bytes_per_s = 400u << 20, /* time for all to be attached */
};

static void records_that_overtake_each_other_change_nothing(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 6; seed++) {
        struct move move;

        move_open(&move, seed);
        move.dirty_rounds = 4;
        move.wait_for = 4;
        assert_int_equal(move_start(&move, &four, NULL), FERRY_OK);
        assert_true(move_run(&move));
        move_expect(&move, "seed", seed);
        assert_int_equal(move.rig.side[0].report.connections, 4);
        assert_int_equal(move.rig.side[1].report.connections, 4);
        for (uint32_t i = 1; i < 4; i++) {
            assert_true(move.conn[i].records > 2); /* ATTACH, barriers, and data */
        }
        /* Pages came often, else nothing could be overwritten by what is older. */
        assert_true(move.rig.side[0].report.rounds > 4);
        assert_true(move.rig.side[0].report.ram_precopy_bytes > MEMORY_BYTES);
        move_close(&move);
    }
}

/* Moves with these options and says how many connections were used. */
static void expect_connections(uint32_t wanted, uint32_t taken, uint32_t used)
{
    struct ferry_migrate_options source = four,
                                 target = { .struct_size = sizeof(target) };
    struct move move;

    source.connections = wanted;
    target.connections = taken;
    move_open(&move, wanted * 16 + taken);
    move.dirty_rounds = 1;
    move.wait_for = used;
    assert_int_equal(move_start(&move, &source, &target), FERRY_OK);
    assert_true(move_run(&move));
    move_expect(&move, "wanted", wanted);
    assert_int_equal(move.rig.side[0].report.connections, used);
    assert_int_equal(move.rig.side[1].report.connections, used);
    assert_int_equal(move.conn_count, used);
    move_close(&move);
}

static void the_smaller_number_is_used(void **state)
{
    (void)state;
    expect_connections(0, 0, 1);
    expect_connections(1, 16, 1);
    expect_connections(4, 1, 1);
    expect_connections(16, 3, 3);
    expect_connections(2, 16, 2);
    expect_connections(16, 0, 16);
}

static void a_number_that_cannot_be_is_refused(void **state)
{
    struct ferry_migrate_options options = four;
    struct ferry_error error = { .code = FERRY_OK };
    struct move move;

    (void)state;
    options.connections = 17;
    move_open(&move, 1);
    assert_int_equal(
        ferry_context_listen(move.rig.side[1].context, move.to, &options, &error),
        FERRY_E_ARGUMENT);
    assert_int_equal(move_start(&move, &options, &four), FERRY_E_ARGUMENT);
    assert_int_equal(move.conn_count, 0);
    move_close(&move);
}

static void a_connection_that_was_given_stays_the_only_one(void **state)
{
    struct ferry_migrate_options options = four;
    struct rig rig;

    (void)state;
    options.max_downtime_ms = 0;
    rig_open(&rig, NULL);
    rig_fill(&rig, 3);
    assert_int_equal(rig_start(&rig, &options), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_int_equal(rig.side[0].report.connections, 1);
    assert_true(rig_memory_equal(&rig));
    rig_close(&rig);
}

static void a_connection_that_is_refused_is_done_without(void **state)
{
    (void)state;
    for (uint32_t refuse = 1; refuse < 4; refuse++) {
        struct move move;

        move_open(&move, refuse);
        move.refuse_from = refuse;
        move.dirty_rounds = 1;
        move.wait_for = refuse;
        assert_int_equal(move_start(&move, &four, NULL), FERRY_OK);
        assert_true(move_run(&move));
        move_expect(&move, "refused from", refuse);
        assert_int_equal(move.rig.side[0].report.connections, refuse);
        move_close(&move);
    }
}

/* --- a connection that is lost --- */

static void lose(uint32_t conn, uint32_t phase)
{
    struct ferry_migrate_options options = four;
    struct move move;
    int runs[2];

    options.peer_limit_ms = 1000;
    options.arc_limit_ms = 500;
    move_open(&move, conn * 100 + phase);
    move.dirty_rounds = 1;
    move.wait_for = 4;
    move.cut_conn = conn;
    move.cut_phase = phase;
    assert_int_equal(move_start(&move, &options, NULL), FERRY_OK);
    assert_true(move_run(&move));
    if (!move.cut_done) {
        fail_msg("connection %u was not there in phase %u", conn, phase);
    }
    for (uint32_t i = 0; i < 2; i++) {
        runs[i] = rig_runs(&move.rig, i);
    }
    if (runs[0] == runs[1] || rig_undecided(&move.rig, 0) ||
        rig_undecided(&move.rig, 1)) {
        fail_msg("connection %u lost in phase %u: runs %d and %d", conn, phase, runs[0],
                 runs[1]);
    }
    if (phase <= FERRY_SRC_PRE_COPY) {
        assert_int_equal(rig_outcome(&move.rig, 0), FERRY_OUTCOME_ROLLED_BACK);
        assert_int_equal(move.rig.side[0].report.error.code, FERRY_E_CLOSED);
        assert_int_equal(rig_outcome(&move.rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    } else if (runs[1]) {
        move_expect(&move, "lost in phase", phase);
    }
    move_close(&move);
}

static void any_connection_that_is_lost_is_the_link_that_is_lost(void **state)
{
    (void)state;
    for (uint32_t conn = 1; conn < 4; conn += 2) {
        lose(conn, FERRY_SRC_PRE_COPY);
        lose(conn, FERRY_SRC_PAUSE);
        lose(conn, FERRY_SRC_PREPARE); /* its last records are still under way */
    }
}

static void cut_when_all_is_there(struct move *move)
{
    static uint64_t cut_ns;
    const struct ferry_run *run = move->rig.side[1].context->migration->run;

    if (run && run->order.seen & 1u << FERRY_REC_ALL_SENT && !move->cut_done) {
        move->cut_done = 1;
        relay_cut(&move->conn[2]);
        cut_ns = ferry_os_now_ns();
    }
    /* COMMIT comes when nobody waits any longer for a word about the loss. */
    if (move->cut_done && ferry_os_now_ns() < cut_ns + FERRY_LANES_WORD_NS * 5 / 4) {
        move->held = 0;
        move->held_turns = 2;
    }
}

static void after_all_is_sent_a_further_connection_does_not_matter(void **state)
{
    struct move move;

    (void)state;
    move_open(&move, 5);
    move.dirty_rounds = 1;
    move.wait_for = 4;
    move.hook = cut_when_all_is_there;
    assert_int_equal(move_start(&move, &four, NULL), FERRY_OK);
    assert_true(move_run(&move));
    assert_true(move.cut_done);
    move_expect(&move, "cut after", 5);
    move_close(&move);
}

/* --- others who connect --- */

#define STRANGERS 6u
static int stranger[STRANGERS];
static uint32_t strangers;

static void send_attach(int fd, const struct ferry_run *run, uint32_t number,
                        uint8_t flip, uint32_t epoch)
{
    struct ferry_stream_attach attach = { .number = number, .epoch = epoch };
    uint8_t bytes[FERRY_RECORD_HEADER_BYTES + 64];
    struct ferry_record record;
    struct ferry_writer writer;

    memcpy(attach.session_id, run->session_id, sizeof(attach.session_id));
    memcpy(attach.secret, run->lanes.secret, sizeof(attach.secret));
    attach.secret[15] ^= flip;
    ferry_writer_init(&writer, bytes + FERRY_RECORD_HEADER_BYTES, 64);
    ferry_stream_put_attach(&writer, &attach);
    ferry_record_seal(&record, FERRY_REC_ATTACH, 0, FERRY_NO_DEVICE,
                      bytes + FERRY_RECORD_HEADER_BYTES, writer.pos);
    ferry_record_encode(&record, bytes);
    assert_true(send(fd, bytes, FERRY_RECORD_HEADER_BYTES + writer.pos, MSG_NOSIGNAL) >
                0);
}

static void strangers_come(struct move *move)
{
    static const char noise[300] = "GET / HTTP/1.1";
    const struct ferry_run *run = move->rig.side[1].context->migration->run;
    struct ferry_os_address address;

    /* Two of the three are attached; the third is never let through. */
    if (!run || !run->lanes.open || ferry_lanes_used(run) != 3 || strangers > 0) {
        return;
    }
    assert_int_equal(ferry_os_address_parse(move->to, &address, NULL), FERRY_OK);
    for (; strangers < STRANGERS; strangers++) {
        assert_int_equal(ferry_os_connect(&address, 1000, &stranger[strangers], NULL),
                         FERRY_OK);
        fcntl(stranger[strangers], F_SETFL, O_NONBLOCK);
    }
    send_attach(stranger[0], run, 3, 0x10, run->epoch);  /* not the secret */
    send_attach(stranger[1], run, 1, 0, run->epoch);     /* is there already */
    send_attach(stranger[2], run, 4, 0, run->epoch);     /* there are only four */
    send_attach(stranger[3], run, 3, 0, run->epoch + 1); /* another epoch */
    assert_true(send(stranger[4], noise, sizeof(noise), MSG_NOSIGNAL) > 0);
    /* The sixth says nothing. */
}

static void strangers_are_closed_and_change_nothing(void **state)
{
    struct move move;

    (void)state;
    strangers = 0;
    move_open(&move, 9);
    move.refuse_from = 3;
    move.dirty_rounds = 5;
    move.wait_for = 3;
    move.hook = strangers_come;
    assert_int_equal(move_start(&move, &four, NULL), FERRY_OK);
    assert_true(move_run(&move));
    assert_int_equal(strangers, STRANGERS);
    move_expect(&move, "strangers", 0);
    assert_int_equal(move.rig.side[1].report.connections, 3);
    for (uint32_t i = 0; i < STRANGERS; i++) {
        uint8_t byte;
        ssize_t count = read(stranger[i], &byte, 1);

        /* Closed without a word. */
        assert_true(count == 0 || (count < 0 && errno == ECONNRESET));
        ferry_os_close(&stranger[i]);
    }
    move_close(&move);
}

/* --- a source that breaks the rules --- */

static void forge(struct relay_conn *conn, uint16_t tag, uint32_t device,
                  const void *payload, size_t bytes)
{
    struct ferry_record record;

    ferry_record_seal(&record, tag, 0, device, payload, bytes);
    ferry_record_encode(&record, conn->forged);
    memcpy(conn->forged + FERRY_RECORD_HEADER_BYTES, payload, bytes);
    conn->forged_bytes = FERRY_RECORD_HEADER_BYTES + bytes;
    conn->forge_at = 4; /* ATTACH and barriers are through */
}

static void expect_refused(uint32_t seed, uint16_t tag, uint32_t device,
                           const void *payload, size_t bytes, const char *rule)
{
    struct move move;

    move_open(&move, seed);
    move.dirty_rounds = 4;
    move.wait_for = 4;
    assert_int_equal(move_start(&move, &four, NULL), FERRY_OK);
    forge(&move.conn[2], tag, device, payload, bytes);
    assert_true(move_run(&move));
    assert_int_equal(rig_outcome(&move.rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig_outcome(&move.rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    assert_true(rig_runs(&move.rig, 0));
    if (rule) {
        assert_string_equal(move.rig.side[1].report.error.rule, rule);
        assert_string_equal(move.rig.side[0].report.error.rule, rule);
    }
    move_close(&move);
}

static void what_does_not_belong_on_a_further_connection_is_refused(void **state)
{
    static const uint8_t nothing[64], early[8] = { 99, 0, 0, 0, 0x0f };
    static const uint8_t alone[8] = { 99, 0, 0, 0, 0x04 };

    (void)state;
    expect_refused(1, FERRY_REC_COMMIT, FERRY_NO_DEVICE, nothing, 24, "STR-CON-2");
    expect_refused(2, FERRY_REC_MEMORY_ZERO, FERRY_NO_DEVICE, nothing, 24, "STR-CON-2");
    expect_refused(3, FERRY_REC_ATTACH, FERRY_NO_DEVICE, nothing, 40, "STR-CON-2");
    expect_refused(4, FERRY_REC_BARRIER, FERRY_NO_DEVICE, early, 8, "STR-CON-2");
    expect_refused(5, FERRY_REC_BARRIER, FERRY_NO_DEVICE, alone, 8, "STR-CON-2");
    /* One device's data over two connections: only its hash can tell. */
    expect_refused(6, FERRY_REC_DEVICE_DATA, 0, nothing, 40, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_that_overtake_each_other_change_nothing),
        cmocka_unit_test(the_smaller_number_is_used),
        cmocka_unit_test(a_number_that_cannot_be_is_refused),
        cmocka_unit_test(a_connection_that_was_given_stays_the_only_one),
        cmocka_unit_test(a_connection_that_is_refused_is_done_without),
        cmocka_unit_test(any_connection_that_is_lost_is_the_link_that_is_lost),
        cmocka_unit_test(after_all_is_sent_a_further_connection_does_not_matter),
        cmocka_unit_test(strangers_are_closed_and_change_nothing),
        cmocka_unit_test(what_does_not_belong_on_a_further_connection_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
