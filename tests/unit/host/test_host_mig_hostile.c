/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "os/memory.h"
#include "os/socket.h"
#include "test_host_mig_rig.h"

/*
 * A source that is none: it speaks the stream word for word, up to the one thing that is
 * wrong. The target says what, discards, and its devices can be used again.
 */
#define LIMIT_TURNS 3000

struct hostile {
    struct rig rig;
    int fd;
    uint8_t got[8192];
    size_t got_bytes;
    uint8_t payload[4096];
    struct ferry_writer writer;
    struct ferry_stream_hash hash[RIG_DEVICES];
    uint64_t bytes[RIG_DEVICES];
};

static void say(struct hostile *hostile, uint16_t tag, uint32_t device,
                const void *payload, size_t bytes)
{
    struct ferry_record record;
    uint8_t header[FERRY_RECORD_HEADER_BYTES];
    struct iovec iov[2] = { { header, sizeof(header) }, { NULL, bytes } };
    size_t left = sizeof(header) + bytes;

    memcpy(&iov[1].iov_base, &payload, sizeof(payload));
    ferry_record_seal(&record, tag, 0, device, payload, bytes);
    ferry_record_encode(&record, header);
    assert_int_equal(
        ferry_os_send(hostile->fd, iov, bytes > 0 ? 2 : 1, NULL, 0, FERRY_OS_NOWAIT),
        left);
}

/* A payload is put into fresh(), then said. */
static struct ferry_writer *fresh(struct hostile *hostile)
{
    ferry_writer_init(&hostile->writer, hostile->payload, sizeof(hostile->payload));
    return &hostile->writer;
}

static void say_fresh(struct hostile *hostile, uint16_t tag, uint32_t device)
{
    assert_false(hostile->writer.overflow);
    say(hostile, tag, device, hostile->payload, hostile->writer.pos);
}

static void turn(struct hostile *hostile)
{
    ssize_t count;

    rig_turn(&hostile->rig);
    count = recv(hostile->fd, hostile->got + hostile->got_bytes,
                 sizeof(hostile->got) - hostile->got_bytes, MSG_DONTWAIT);
    hostile->got_bytes += count > 0 ? (size_t)count : 0;
}

/* Return: 1 when a record of that tag has come. */
static int heard(const struct hostile *hostile, uint16_t tag,
                 struct ferry_stream_reason *ret)
{
    size_t at = 0;

    while (at + FERRY_RECORD_HEADER_BYTES <= hostile->got_bytes) {
        struct ferry_record record;
        struct ferry_error error;

        assert_int_equal(ferry_record_decode(hostile->got + at, at, &record, &error),
                         FERRY_OK);
        at += FERRY_RECORD_HEADER_BYTES;
        if (at + record.payload_bytes > hostile->got_bytes) {
            return 0;
        }
        if (record.tag == tag) {
            if (ret) {
                assert_int_equal(ferry_stream_get_reason(hostile->got + at,
                                                         (size_t)record.payload_bytes,
                                                         ret, &error),
                                 FERRY_OK);
            }
            return 1;
        }
        at += (size_t)record.payload_bytes;
    }
    return 0;
}

static void open_hostile(struct hostile *hostile)
{
    struct ferry_error error;
    int end;

    memset(hostile, 0, sizeof(*hostile));
    rig_open(&hostile->rig, NULL);
    rig_fill(&hostile->rig, 1);
    assert_int_equal(ferry_os_socketpair(&hostile->fd, &end), FERRY_OK);
    assert_int_equal(
        ferry_context_receive_fd(hostile->rig.side[1].context, end, NULL, &error),
        FERRY_OK);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        ferry_stream_hash_init(&hostile->hash[i]);
    }
}

static void introduce(struct hostile *hostile)
{
    ferry_stream_put_preamble(fresh(hostile), &(struct ferry_stream_preamble){
                                                  .version = FERRY_STREAM_VERSION,
                                                  .version_min = FERRY_STREAM_VERSION_MIN,
                                                  .session_id = { 1, 2, 3 } });
    say_fresh(hostile, FERRY_REC_PREAMBLE, FERRY_NO_DEVICE);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        const struct ferry_host_device *host = hostile->rig.side[0].context->device[i];
        struct ferry_stream_hello_device hello = { .features = host->migration_flags,
                                                   .identity = host->identity };

        memcpy(hello.name, host->name, sizeof(hello.name));
        ferry_stream_put_hello_device(fresh(hostile), &hello);
        say_fresh(hostile, FERRY_REC_HELLO_DEVICE, i);
    }
    ferry_stream_put_hello_memory(
        fresh(hostile),
        &(struct ferry_stream_hello_memory){
            .index = 0, .writable = 1, .iova = RIG_IOVA, .size = RIG_MEMORY_BYTES });
    say_fresh(hostile, FERRY_REC_HELLO_MEMORY, FERRY_NO_DEVICE);
    ferry_stream_put_hello(fresh(hostile),
                           &(struct ferry_stream_hello){ .device_count = RIG_DEVICES,
                                                         .memory_count = 1,
                                                         .page_bytes = 4096 });
    say_fresh(hostile, FERRY_REC_HELLO, FERRY_NO_DEVICE);
    for (int i = 0; i < LIMIT_TURNS && !heard(hostile, FERRY_REC_ACCEPT, NULL); i++) {
        turn(hostile);
    }
    assert_true(heard(hostile, FERRY_REC_ACCEPT, NULL));
}

static void send_data(struct hostile *hostile, uint32_t device, size_t bytes)
{
    uint8_t data[1000];

    memset(data, 0x77, sizeof(data));
    say(hostile, FERRY_REC_DEVICE_DATA, device, data, bytes);
    ferry_stream_hash_update(&hostile->hash[device], data, bytes);
    hostile->bytes[device] += bytes;
}

static void send_end(struct hostile *hostile, uint32_t device, int64_t bytes_off,
                     uint64_t flip)
{
    struct ferry_stream_digest digest = ferry_stream_hash_digest(&hostile->hash[device]);
    struct ferry_stream_device_end end = {
        .bytes = (uint64_t)((int64_t)hostile->bytes[device] + bytes_off),
        .hash_low = digest.low ^ flip,
        .hash_high = digest.high,
    };

    ferry_stream_put_device_end(fresh(hostile), &end);
    say_fresh(hostile, FERRY_REC_DEVICE_END, device);
}

/* The target ends with that code, says so, and can be used again. */
static void expect_end(struct hostile *hostile, uint16_t tag, int32_t code)
{
    struct ferry_stream_reason reason = { .code = 0 };
    struct rig_side *target = &hostile->rig.side[1];

    for (int i = 0; i < LIMIT_TURNS && !(target->finished && heard(hostile, tag, NULL));
         i++) {
        turn(hostile);
    }
    assert_int_equal(target->finished, 1);
    if (target->report.error.code != code) {
        fail_msg("%s", target->report.error.text);
    }
    assert_true(heard(hostile, tag, &reason));
    assert_int_equal(reason.code, code);
    assert_int_not_equal(target->report.outcome, FERRY_OUTCOME_MOVED);
    assert_false(target->running);
    ferry_os_close(&hostile->fd);
    assert_int_equal(rig_start(&hostile->rig, NULL), FERRY_OK);
    assert_true(rig_run(&hostile->rig, 4000));
    assert_int_equal(rig_outcome(&hostile->rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&hostile->rig));
    rig_close(&hostile->rig);
}

static void data_that_is_not_what_its_end_says_is_not_loaded(void **state)
{
    static const struct {
        int64_t bytes_off;
        uint64_t flip;
        int32_t code;
    } cases[] = { { 1, 0, FERRY_E_SHORT },
                  { -1, 0, FERRY_E_LONG },
                  { 0, 1, FERRY_E_CORRUPT } };

    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct hostile own, *hostile = &own;

        open_hostile(hostile);
        introduce(hostile);
        send_data(hostile, 1, 3); /* too little for the device to judge by itself */
        send_end(hostile, 1, cases[i].bytes_off, cases[i].flip);
        expect_end(hostile, FERRY_REC_ABORT, cases[i].code);
    }
}

static void memory_outside_of_its_region_is_not_written(void **state)
{
    static uint8_t pages[FERRY_STREAM_PREFIX_BYTES + 8192];
    struct hostile own, *hostile = &own;
    struct ferry_writer writer;

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    ferry_writer_init(&writer, pages, sizeof(pages));
    ferry_stream_put_pages(&writer, &(struct ferry_stream_pages){
                                        .off = RIG_MEMORY_BYTES - 4096, .bytes = 8192 });
    say(hostile, FERRY_REC_MEMORY_PAGES, FERRY_NO_DEVICE, pages, sizeof(pages));
    expect_end(hostile, FERRY_REC_ABORT, FERRY_E_RANGE);
}

static void zero_outside_of_its_region_is_not_written(void **state)
{
    struct hostile own, *hostile = &own;

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    ferry_stream_put_zero(fresh(hostile), &(struct ferry_stream_zero){
                                              .off = 4096, .bytes = RIG_MEMORY_BYTES });
    say_fresh(hostile, FERRY_REC_MEMORY_ZERO, FERRY_NO_DEVICE);
    expect_end(hostile, FERRY_REC_ABORT, FERRY_E_RANGE);
}

static void data_before_the_answer_is_refused(void **state)
{
    struct hostile own, *hostile = &own;

    (void)state;
    open_hostile(hostile);
    ferry_stream_put_preamble(
        fresh(hostile),
        &(struct ferry_stream_preamble){ .version = FERRY_STREAM_VERSION,
                                         .version_min = FERRY_STREAM_VERSION_MIN });
    say_fresh(hostile, FERRY_REC_PREAMBLE, FERRY_NO_DEVICE);
    send_data(hostile, 0, 10);
    expect_end(hostile, FERRY_REC_REFUSE, FERRY_E_PROTOCOL);
}

static void all_sent_without_everything_is_refused(void **state)
{
    struct hostile own, *hostile = &own;

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        send_data(hostile, i, 100);
        send_end(hostile, i, 0, 0);
    }
    ferry_stream_put_memory_end(fresh(hostile),
                                &(struct ferry_stream_memory_end){ .pages = 0 });
    say_fresh(hostile, FERRY_REC_MEMORY_END, FERRY_NO_DEVICE);
    say(hostile, FERRY_REC_ALL_SENT, FERRY_NO_DEVICE, NULL, 0);
    /* Whichever is found first: no config, or a device that does not take such a state.
     */
    for (int i = 0; i < LIMIT_TURNS && !hostile->rig.side[1].finished; i++) {
        turn(hostile);
    }
    assert_int_equal(hostile->rig.side[1].finished, 1);
    assert_int_not_equal(hostile->rig.side[1].report.error.code, FERRY_OK);
    assert_false(hostile->rig.side[1].running);
    ferry_os_close(&hostile->fd);
    rig_close(&hostile->rig);
}

static void a_commit_that_was_not_asked_for_does_not_run(void **state)
{
    struct hostile own, *hostile = &own;

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    ferry_stream_put_token(fresh(hostile),
                           &(struct ferry_stream_token){ .session_id = { 1, 2, 3 } });
    say_fresh(hostile, FERRY_REC_COMMIT, FERRY_NO_DEVICE);
    expect_end(hostile, FERRY_REC_ABORT, FERRY_E_PROTOCOL);
}

static void a_config_that_does_not_fit_is_refused(void **state)
{
    static const uint8_t rubbish[64] = { 0xff, 0xff, 0xff, 0xff };
    struct hostile own, *hostile = &own;
    struct rig_side *target = &own.rig.side[1];

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    say(hostile, FERRY_REC_DEVICE_CONFIG, 0, rubbish, sizeof(rubbish));
    for (int i = 0; i < LIMIT_TURNS && !target->finished; i++) {
        turn(hostile);
    }
    assert_int_equal(target->report.outcome, FERRY_OUTCOME_ROLLED_BACK);
    assert_true(heard(hostile, FERRY_REC_ABORT, NULL));
    ferry_os_close(&hostile->fd);
    rig_close(&hostile->rig);
}

static void a_vmm_state_of_any_size_up_to_the_limit_is_taken_in(void **state)
{
    struct hostile own, *hostile = &own;
    uint8_t *payload = calloc(1, FERRY_STREAM_PREFIX_BYTES + 100000);
    struct ferry_writer writer;

    (void)state;
    open_hostile(hostile);
    introduce(hostile);
    ferry_writer_init(&writer, payload, FERRY_STREAM_PREFIX_BYTES);
    ferry_stream_put_vmm(&writer,
                         &(struct ferry_stream_vmm){ .total = 300000, .bytes = 100000 });
    say(hostile, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE, payload,
        FERRY_STREAM_PREFIX_BYTES + 100000);
    for (int i = 0; i < 20; i++) {
        turn(hostile);
    }
    assert_int_equal(hostile->rig.side[1].finished, 0);
    /* The same piece again is none. */
    say(hostile, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE, payload,
        FERRY_STREAM_PREFIX_BYTES + 100000);
    expect_end(hostile, FERRY_REC_ABORT, FERRY_E_PROTOCOL);
    free(payload);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_that_is_not_what_its_end_says_is_not_loaded),
        cmocka_unit_test(memory_outside_of_its_region_is_not_written),
        cmocka_unit_test(zero_outside_of_its_region_is_not_written),
        cmocka_unit_test(data_before_the_answer_is_refused),
        cmocka_unit_test(all_sent_without_everything_is_refused),
        cmocka_unit_test(a_commit_that_was_not_asked_for_does_not_run),
        cmocka_unit_test(a_config_that_does_not_fit_is_refused),
        cmocka_unit_test(a_vmm_state_of_any_size_up_to_the_limit_is_taken_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
