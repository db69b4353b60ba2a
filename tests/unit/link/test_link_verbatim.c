/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"
#include "test_link_script.h"

/* FERRY_RQ_RAW: messages that the client sends as they are. */

#define GET_STATE 0x10002u
#define GET_AND_SET 0x30002u
#define EINVAL_NUMBER 22u

static struct served served;

static void serve(void)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 5000 };
    int fd = served_start(&served, NULL);

    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
}

static void end_serving(void)
{
    ferry_client_close(client);
    served_stop(&served);
}

/* A DEVICE_FEATURE message. reply: cap bytes. */
static int send_feature(uint32_t flags, struct ferry_request *r, uint8_t *reply,
                        uint32_t cap)
{
    static uint8_t payload[8];

    raw_put_u32(payload, 16);
    raw_put_u32(payload + 4, flags);
    *r = (struct ferry_request){ .kind = FERRY_RQ_RAW };
    r->u.raw.command = RAW_FEATURE;
    r->u.raw.bytes = sizeof(payload);
    r->u.raw.payload = payload;
    r->u.raw.reply = reply;
    r->u.raw.cap = cap;
    return ferry_client_call(client, r);
}

static void test_a_reply_comes_as_it_is_and_no_further_than_there_is_room(void **state)
{
    struct ferry_request r;
    uint8_t reply[17];

    (void)state;
    serve();
    served.fake.state = FERRY_STATE_RUNNING;
    for (uint32_t cap = 0; cap < sizeof(reply); cap++) {
        memset(reply, 0xee, sizeof(reply));
        assert_int_equal(send_feature(GET_STATE, &r, reply, cap), FERRY_OK);
        assert_int_equal(r.u.raw.got, cap);
        assert_int_equal(r.u.raw.error, 0);
        assert_int_equal(reply[cap], 0xee);
    }
    assert_int_equal(raw_u32(reply, 4), GET_STATE);
    assert_int_equal(raw_u32(reply, 8), FERRY_STATE_RUNNING);
    end_serving();
}

static void test_what_no_request_could_say_is_sent_and_its_errno_told(void **state)
{
    struct ferry_request r;

    (void)state;
    serve();
    assert_int_equal(send_feature(GET_AND_SET, &r, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(r.u.raw.error, EINVAL_NUMBER);
    /* A command that nobody knows: its Error reply ends it as well. */
    r = (struct ferry_request){ .kind = FERRY_RQ_RAW };
    r.u.raw.command = 99;
    assert_true(ferry_client_call(client, &r) < 0);
    assert_int_not_equal(r.u.raw.error, 0);
    /* The connection goes on. */
    assert_int_equal(send_feature(GET_STATE, &r, NULL, 0), FERRY_OK);
    end_serving();
}

static void test_what_is_too_long_for_a_message_is_not_sent(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_RAW };

    (void)state;
    serve();
    r.u.raw.command = RAW_FEATURE;
    r.u.raw.bytes = FERRY_RAW_BYTES_MAX + 1;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_LIMIT);
    r.u.raw.bytes = 0;
    r.u.raw.command = 0x10000;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_LIMIT);
    end_serving();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reply_comes_as_it_is_and_no_further_than_there_is_room),
        cmocka_unit_test(test_what_no_request_could_say_is_sent_and_its_errno_told),
        cmocka_unit_test(test_what_is_too_long_for_a_message_is_not_sent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
