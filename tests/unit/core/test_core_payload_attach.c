/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/stream/order.h"
#include "payload_check.h"

/* The records of a migration over several connections. */

static struct ferry_stream_connections connections;
static struct ferry_stream_attach attach;
static struct ferry_stream_barrier barrier;

static int get_connections(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_connections(payload, bytes, &connections, reterr);
}

static int get_attach(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_attach(payload, bytes, &attach, reterr);
}

static int get_barrier(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_barrier(payload, bytes, &barrier, reterr);
}

static void a_number_of_connections_is_read_back_or_refused(void **state)
{
    const struct ferry_stream_connections own = { 16, "abcdefghijklmno" };

    (void)state;
    begin();
    ferry_stream_put_connections(&writer, &own);
    check_length(get_connections);
    assert_memory_equal(&connections, &own, sizeof(own));
    refuse_u32(get_connections, 0, 0, FERRY_E_PROTOCOL, "STR-CON-1");
    refuse_u32(get_connections, 0, 17, FERRY_E_LIMIT, "STR-CON-1");
    refuse_u32(get_connections, 4, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
}

static void who_attaches_is_read_back_or_refused(void **state)
{
    const struct ferry_stream_attach own = { "0123456789abcde", 7, 15,
                                             "abcdefghijklmno" };

    (void)state;
    begin();
    ferry_stream_put_attach(&writer, &own);
    check_length(get_attach);
    assert_memory_equal(&attach, &own, sizeof(own));
    refuse_u32(get_attach, 20, 0, FERRY_E_PROTOCOL, "STR-CON-1");
    refuse_u32(get_attach, 20, 16, FERRY_E_LIMIT, "STR-CON-1");
}

static void a_barrier_is_read_back_or_refused(void **state)
{
    const struct ferry_stream_barrier own = { 3, 0xffff };

    (void)state;
    begin();
    ferry_stream_put_barrier(&writer, &own);
    assert_int_equal(writer.pos, FERRY_STREAM_BARRIER_BYTES);
    check_length(get_barrier);
    assert_memory_equal(&barrier, &own, sizeof(own));
    refuse_u32(get_barrier, 0, 0, FERRY_E_PROTOCOL, "STR-CON-2");
    refuse_u32(get_barrier, 4, 0xfffe, FERRY_E_PROTOCOL, "STR-CON-2");
    refuse_u32(get_barrier, 4, 0x10001, FERRY_E_PROTOCOL, "STR-CON-2");
}

/* --- their order --- */

static struct ferry_stream_order order;

static int feed(uint16_t tag)
{
    struct ferry_record record = { .tag = tag, .device = FERRY_NO_DEVICE };

    return ferry_stream_order_record(&order, &record, 0, NULL);
}

static void start(uint32_t side, uint32_t one_way)
{
    ferry_stream_order_init(&order, side, 0, one_way);
    assert_int_equal(feed(FERRY_REC_PREAMBLE), FERRY_OK);
}

static void a_source_asks_once_and_before_hello(void **state)
{
    (void)state;
    start(FERRY_STREAM_SOURCE, 0);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_E_PROTOCOL);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_E_PROTOCOL);
    assert_int_equal(feed(FERRY_REC_HELLO), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_E_PROTOCOL); /* not accepted yet */
    ferry_stream_order_sent(&order, FERRY_REC_ACCEPT);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_ATTACH), FERRY_E_PROTOCOL);
}

static void who_did_not_ask_sends_no_barrier(void **state)
{
    (void)state;
    start(FERRY_STREAM_SOURCE, 0);
    assert_int_equal(feed(FERRY_REC_HELLO), FERRY_OK);
    ferry_stream_order_sent(&order, FERRY_REC_ACCEPT);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_E_PROTOCOL);
}

static void a_target_answers_only_who_asked(void **state)
{
    (void)state;
    start(FERRY_STREAM_TARGET, 0);
    ferry_stream_order_sent(&order, FERRY_REC_HELLO);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_E_PROTOCOL);
    ferry_stream_order_sent(&order, FERRY_REC_CONNECTIONS);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_ACCEPT), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_E_PROTOCOL);
}

static void a_file_holds_none_of_them(void **state)
{
    (void)state;
    start(FERRY_STREAM_SOURCE, 1);
    assert_int_equal(feed(FERRY_REC_CONNECTIONS), FERRY_E_PROTOCOL);
    assert_int_equal(feed(FERRY_REC_ATTACH), FERRY_E_PROTOCOL);
    assert_int_equal(feed(FERRY_REC_HELLO), FERRY_OK);
    assert_int_equal(feed(FERRY_REC_BARRIER), FERRY_E_PROTOCOL);
}

/* What an older reader sees: a tag it does not know, with the flag that lets it go on. */
static void what_an_older_reader_may_drop_is_optional(void **state)
{
    (void)state;
    assert_int_equal(ferry_record_flags(FERRY_REC_CONNECTIONS), FERRY_RECORD_OPTIONAL);
    assert_int_equal(ferry_record_flags(FERRY_REC_HELLO_V1), FERRY_RECORD_OPTIONAL);
    for (uint32_t tag = 0; tag <= FERRY_REC_TAG_END; tag++) {
        if (tag != FERRY_REC_CONNECTIONS && tag != FERRY_REC_HELLO_V1) {
            assert_int_equal(ferry_record_flags(tag), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_of_connections_is_read_back_or_refused),
        cmocka_unit_test(who_attaches_is_read_back_or_refused),
        cmocka_unit_test(a_barrier_is_read_back_or_refused),
        cmocka_unit_test(a_source_asks_once_and_before_hello),
        cmocka_unit_test(who_did_not_ask_sends_no_barrier),
        cmocka_unit_test(a_target_answers_only_who_asked),
        cmocka_unit_test(a_file_holds_none_of_them),
        cmocka_unit_test(what_an_older_reader_may_drop_is_optional),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
