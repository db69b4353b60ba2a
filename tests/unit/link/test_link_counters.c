/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_link_fake.h"
#include "test_link_raw.h"
#include "test_link_script.h"

/* What a device counts: DEVICE_FEATURE 0xFE05, "counters". */

#define VERSION(ferry)                                                                   \
    "{\"capabilities\":{\"migration\":{\"pgsize\":4096},\"ferry\":" ferry "}}"

static struct served served;

static int ask(struct ferry_counter *counter, uint32_t cap, uint32_t *ret_count)
{
    struct ferry_request r = { .kind = FERRY_RQ_COUNTERS };
    int rc;

    r.u.counters = (struct ferry_counters){ .counter = counter, .cap = cap };
    rc = ferry_client_call(client, &r);
    *ret_count = r.u.counters.count;
    return rc;
}

static void serve(uint32_t max_data)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 5000,
                                            .max_data_xfer_bytes = max_data };
    int fd = served_start(&served, NULL);

    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
}

static void end_serving(void)
{
    ferry_client_close(client);
    served_stop(&served);
}

static void counters_come_through_with_name_queue_and_value(void **state)
{
    struct ferry_counter counter[FERRY_COUNTERS_MAX];
    uint32_t count = 0;

    (void)state;
    serve(0);
    assert_int_equal(ask(counter, FERRY_COUNTERS_MAX, &count), FERRY_OK);
    assert_int_equal(count, FAKE_COUNTERS);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(counter[i].name, "frames_0");
        assert_int_equal(counter[i].queue, i == 0 ? FERRY_COUNTER_DEVICE : i);
        assert_int_equal(counter[i].value, UINT64_MAX - i);
    }
    end_serving();
}

static void no_more_come_than_there_is_room_for(void **state)
{
    struct ferry_counter counter[3];
    uint32_t count = 0;

    (void)state;
    serve(0);
    memset(counter, 0x11, sizeof(counter));
    assert_int_equal(ask(counter, 2, &count), FERRY_OK);
    assert_int_equal(count, 2);
    assert_int_equal(counter[2].value, 0x1111111111111111);
    assert_int_equal(ask(counter, 0, &count), FERRY_E_CAPACITY);
    assert_int_equal(ask(NULL, 1, &count), FERRY_E_CAPACITY);
    end_serving();
}

static void a_server_without_the_extension_is_not_asked(void **state)
{
    struct ferry_counter counter[1];
    uint32_t count = 0;

    (void)state;
    assert_int_equal(script_connect(script_honest, VERSION("{\"version\":1}"), 0),
                     FERRY_OK);
    atomic_store(&script.seen, 0);
    assert_int_equal(ask(counter, 1, &count), FERRY_E_UNSUPPORTED);
    assert_int_equal(atomic_load(&script.seen), 0);
    script_end();
}

static struct reply {
    uint32_t count, flags;
    size_t bytes; /* of payload */
    char name[FERRY_COUNTER_NAME_BYTES];
} reply;

static int answer(struct script *s, const uint8_t *ask_bytes, size_t size)
{
    uint8_t payload[32 + 2 * 40] = { 0 };

    (void)size;
    raw_put_u32(payload, (uint32_t)reply.bytes);
    raw_put_u32(payload + 4, reply.flags);
    raw_put_u32(payload + 8, reply.count);
    for (uint32_t i = 0; i < 2; i++) {
        memcpy(payload + 32 + i * 40, reply.name, sizeof(reply.name));
    }
    script_reply(s, ask_bytes, RAW_REPLY, payload, reply.bytes);
    return 1;
}

static int ask_script(const struct reply *said)
{
    struct ferry_counter counter[2];
    uint32_t count = 0;
    int rc;

    reply = *said;
    assert_int_equal(
        script_connect(answer, VERSION("{\"version\":1,\"counters\":true}"), 0),
        FERRY_OK);
    rc = ask(counter, 2, &count);
    script_end();
    return rc;
}

static void replies_that_are_malformed_are_refused(void **state)
{
    const uint32_t flags = 0xfe05u | 1u << 16;
    const struct reply good = { 2, flags, 112, "frames" };
    struct reply bad;

    (void)state;
    assert_int_equal(ask_script(&good), FERRY_OK);
    bad = good;
    bad.name[0] = '\0';
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
    memset(bad.name, 'a', sizeof(bad.name));
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
    memcpy(bad.name, "a\x1b[2J", 6);
    bad.name[6] = '\0';
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
    bad = good;
    bad.count = 3;
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
    bad.count = 0xffffffff;
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
    bad = good;
    bad.bytes = 111;
    assert_true(ask_script(&bad) < 0);
    bad.bytes = 12;
    assert_true(ask_script(&bad) < 0);
    bad = good;
    bad.flags = 0xfe02u | 1u << 16;
    assert_int_equal(ask_script(&bad), FERRY_E_PROTOCOL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counters_come_through_with_name_queue_and_value),
        cmocka_unit_test(no_more_come_than_there_is_room_for),
        cmocka_unit_test(a_server_without_the_extension_is_not_asked),
        cmocka_unit_test(replies_that_are_malformed_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
