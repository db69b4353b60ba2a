/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_raw.h"
#include "test_link_script.h"

/* What a server can answer to a client that is wrong. */

static int region_info(struct ferry_region_info *ret_info, struct ferry_error *reterr)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_REGION_INFO, .reterr = reterr };
    int rc = ferry_client_call(client, &r);

    *ret_info = r.u.region;
    return rc;
}

static int answer_wrong_id(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t changed[64];

    memcpy(changed, ask, size);
    changed[0] ^= 1;
    return script_honest(s, changed, size);
}

static void test_a_reply_with_a_wrong_id_ends_the_connection(void **state)
{
    struct ferry_error error;
    uint32_t value;

    (void)state;
    script_begin(answer_wrong_id);
    assert_int_equal(script_read(&value, 4), FERRY_E_PROTOCOL);
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_PROTOCOL);
    assert_int_equal(script_read(&value, 4), FERRY_E_PROTOCOL);
    script_end();
}

static int answer_wrong_command(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t changed[64];

    memcpy(changed, ask, size);
    changed[2] = RAW_GET_INFO;
    return script_honest(s, changed, size);
}

static void test_a_reply_with_a_wrong_command_ends_the_connection(void **state)
{
    uint32_t value;

    (void)state;
    script_begin(answer_wrong_command);
    assert_int_equal(script_read(&value, 4), FERRY_E_PROTOCOL);
    script_end();
}

/* Reads of 4 bytes get something wrong, all others the truth. */
static int answer_too_much(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 400] = { 0 };

    if (raw_u32(ask, 28) != 4) {
        return script_honest(s, ask, size);
    }
    memcpy(payload, ask + 16, 16);
    memset(payload + 16, 0x66, 400);
    raw_put_u32(payload + 12, 400);
    script_reply(s, ask, RAW_REPLY, payload, sizeof(payload));
    return 1;
}

static void test_an_oversized_reply_fails_its_request_only(void **state)
{
    uint8_t data[16] = { 0 };
    uint8_t expected[16];

    (void)state;
    script_begin(answer_too_much);
    memset(data + 4, 0x11, 12);
    assert_int_equal(script_read(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(data[4], 0x11);
    assert_int_equal(data[15], 0x11);
    assert_int_equal(script_read(data, 16), FERRY_OK);
    memset(expected, 0x42, sizeof(expected));
    assert_memory_equal(data, expected, 16);
    script_end();
}

static int answer_too_little(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 2] = { 0 };

    if (raw_u32(ask, 28) != 4) {
        return script_honest(s, ask, size);
    }
    memcpy(payload, ask + 16, 16);
    script_reply(s, ask, RAW_REPLY, payload,
                 atomic_load(&s->seen) == 1 ? sizeof(payload) : 7);
    return 1;
}

static void test_a_short_reply_fails_its_request_only(void **state)
{
    uint8_t data[16];

    (void)state;
    script_begin(answer_too_little);
    assert_int_equal(script_read(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(script_read(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(script_read(data, 16), FERRY_OK);
    script_end();
}

static int answer_error_with_payload(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[300];

    if (raw_u32(ask, 28) != 4) {
        return script_honest(s, ask, size);
    }
    memset(payload, 1, sizeof(payload));
    raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), RAW_REPLY_ERROR, payload,
                sizeof(payload));
    raw_put_u32(s->out + 12, 1); /* EPERM */
    raw_send(s->fd, s->out, 16 + sizeof(payload));
    return 1;
}

static void test_an_error_with_a_payload_is_an_error(void **state)
{
    uint8_t data[16];

    (void)state;
    script_begin(answer_error_with_payload);
    assert_int_equal(script_read(data, 4), FERRY_E_STATE);
    assert_int_equal(script_read(data, 16), FERRY_OK);
    script_end();
}

static int answer_huge(struct script *s, const uint8_t *ask, size_t size)
{
    (void)size;
    raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), RAW_REPLY, NULL, 0);
    raw_put_u32(s->out + 4, 0x7fffffff);
    raw_send(s->fd, s->out, 16);
    return 1;
}

static void test_a_message_of_impossible_size_ends_the_connection(void **state)
{
    uint32_t value;

    (void)state;
    script_begin(answer_huge);
    assert_int_equal(script_read(&value, 4), FERRY_E_PROTOCOL);
    script_end();
}

/* Wild capabilities of a region: one after the other. */
static int answer_wild_caps(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[96] = { 0 };
    size_t bytes = sizeof(payload);

    (void)size;
    raw_put_u32(payload, 96);
    raw_put_u32(payload + 4, 4 | 8);
    raw_put_u32(payload + 12, 32);
    raw_put_u64(payload + 16, 1 << 20);
    payload[32] = 1;
    payload[34] = 1;
    raw_put_u32(payload + 40, 3);
    switch (atomic_load(&s->seen)) {
    case 1: /* behind the end */
        raw_put_u32(payload + 12, 4096);
        break;
    case 2: /* into the fixed part */
        raw_put_u32(payload + 12, 8);
        break;
    case 3: /* a chain in a circle */
        raw_put_u32(payload + 36, 32);
        break;
    case 4: /* far more areas than there is room for */
        raw_put_u32(payload + 40, 0x10000001);
        break;
    case 5: /* cut in the middle of a capability */
        bytes = 40;
        raw_put_u32(payload, 40);
        break;
    case 6: /* an offset near the end of 32 bits */
        raw_put_u32(payload + 12, 0xfffffff8);
        break;
    default: /* argsz larger than anything */
        raw_put_u32(payload, UINT32_MAX);
        break;
    }
    script_reply(s, ask, RAW_REPLY, payload, bytes);
    return 1;
}

static void test_wild_capabilities_fail_their_request(void **state)
{
    struct ferry_region_info info;
    struct ferry_error error;
    int i;

    (void)state;
    script_begin(answer_wild_caps);
    for (i = 0; i < 7; i++) {
        memset(&error, 0, sizeof(error));
        assert_true(region_info(&info, &error) < 0);
        assert_int_not_equal(error.code, FERRY_OK);
        assert_int_not_equal(error.text[0], 0);
    }
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_OK);
    script_end();
}

static int answer_many_fds(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[32] = { 32 };
    int fds[5];
    int i;

    (void)size;
    for (i = 0; i < 5; i++) {
        if (ferry_os_eventfd_create(&fds[i]) != FERRY_OK) {
            return 0;
        }
    }
    raw_send_fds(s->fd, s->out,
                 raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), RAW_REPLY,
                             raw_u16(ask, 2) == RAW_GET_INFO ? ask + 16 : payload,
                             raw_u16(ask, 2) == RAW_GET_INFO ? 16 : 32),
                 fds, 5);
    for (i = 0; i < 5; i++) {
        close(fds[i]);
    }
    return 1;
}

static void test_surplus_descriptors_do_not_stay_open(void **state)
{
    struct ferry_region_info info;
    struct ferry_request r = { .kind = FERRY_RQ_GET_INFO };
    int before;
    int after;
    int i;

    (void)state;
    assert_int_equal(ferry_os_dup(0, &before), FERRY_OK);
    script_begin(answer_many_fds);
    for (i = 0; i < 30; i++) {
        assert_int_equal(region_info(&info, NULL), FERRY_E_FDS);
        ferry_client_call(client, &r);
    }
    script_end();
    /* Descriptors are the lowest free: what was left open would be counted. */
    assert_int_equal(ferry_os_dup(0, &after), FERRY_OK);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_reply_with_a_wrong_id_ends_the_connection),
        cmocka_unit_test(test_a_reply_with_a_wrong_command_ends_the_connection),
        cmocka_unit_test(test_an_oversized_reply_fails_its_request_only),
        cmocka_unit_test(test_a_short_reply_fails_its_request_only),
        cmocka_unit_test(test_an_error_with_a_payload_is_an_error),
        cmocka_unit_test(test_a_message_of_impossible_size_ends_the_connection),
        cmocka_unit_test(test_wild_capabilities_fail_their_request),
        cmocka_unit_test(test_surplus_descriptors_do_not_stay_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
