/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/socket.h"
#include "test_link_raw.h"
#include "test_link_script.h"

/* Servers that trickle, stop, close, flood, or speak without the extension. */

static int answer_in_bytes(struct script *s, const uint8_t *ask, size_t size)
{
    uint32_t count = raw_u32(ask, 28);
    size_t bytes;
    size_t i;

    (void)size;
    memcpy(s->out + 16, ask + 16, 16);
    memset(s->out + 32, 0x42, count);
    bytes = raw_message(s->out, raw_u16(ask, 0), RAW_REGION_READ, RAW_REPLY, s->out + 16,
                        16 + count);
    for (i = 0; i < bytes; i++) {
        raw_send(s->fd, s->out + i, 1);
    }
    return 1;
}

static void test_replies_may_come_byte_by_byte(void **state)
{
    uint8_t data[700] = { 0 };
    uint8_t expected[700];

    (void)state;
    script_begin(answer_in_bytes);
    memset(expected, 0x42, sizeof(expected));
    assert_int_equal(script_read(data, sizeof(data)), FERRY_OK);
    assert_memory_equal(data, expected, sizeof(data));
    script_end();
}

static atomic_int cut;

static int answer_cut(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[24];

    (void)size;
    memcpy(payload, ask + 16, 16);
    memset(payload + 16, 1, 8);
    raw_message(s->out, raw_u16(ask, 0), RAW_REGION_READ, RAW_REPLY, payload, 24);
    raw_send(s->fd, s->out, (size_t)atomic_load(&cut));
    return 0;
}

static void test_a_server_may_close_at_any_byte_of_a_reply(void **state)
{
    uint8_t data[8];
    int i;

    (void)state;
    for (i = 0; i < 40; i++) {
        atomic_store(&cut, i);
        script_begin(answer_cut);
        assert_int_equal(script_read(data, 8), FERRY_E_CLOSED);
        script_end();
    }
}

static int answer_nothing(struct script *s, const uint8_t *ask, size_t size)
{
    (void)s;
    (void)ask;
    (void)size;
    return 1;
}

static void test_a_silent_server_costs_one_limit(void **state)
{
    uint32_t value;

    (void)state;
    script_begin(answer_nothing);
    assert_int_equal(script_read(&value, 4), FERRY_E_TIMEOUT);
    script_end();
}

static int answer_half_a_reply(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 4096] = { 0 };

    (void)size;
    memcpy(payload, ask + 16, 16);
    raw_message(s->out, raw_u16(ask, 0), RAW_REGION_READ, RAW_REPLY, payload,
                sizeof(payload));
    raw_send(s->fd, s->out, 1000);
    return 1;
}

static void test_a_reply_that_stops_in_its_data_costs_one_limit(void **state)
{
    uint8_t *data = malloc(4096);
    uint32_t value;

    (void)state;
    script_begin(answer_half_a_reply);
    assert_int_equal(script_read(data, 4096), FERRY_E_TIMEOUT);
    free(data); /* what is still to come must not be written here */
    assert_int_equal(script_read(&value, 4), FERRY_E_TIMEOUT);
    script_end();
}

/* DMA messages before the answer: to read what is there, what is not, and to write. */
static int answer_with_dma(struct script *s, const uint8_t *ask, size_t size)
{
    static const uint16_t command[] = { RAW_DMA_READ, RAW_DMA_READ, RAW_DMA_WRITE,
                                        RAW_DMA_READ, 77 };
    static const uint64_t iova[] = { 0x1000, 0x9000, 0x1000, UINT64_MAX - 2, 0 };
    uint8_t first[64];
    uint8_t payload[32] = { 0 };
    uint8_t back[64];
    uint16_t i;

    memcpy(first, ask, size);
    for (i = 0; i < 5; i++) {
        raw_put_u64(payload, iova[i]);
        raw_put_u64(payload + 8, 16);
        raw_send(s->fd, s->out,
                 raw_message(s->out, i, command[i], 0, payload,
                             command[i] == RAW_DMA_WRITE ? 32 : 16));
        if (raw_receive(s->fd, back, sizeof(back)) == 0 || raw_u16(back, 0) != i ||
            raw_u16(back, 2) != command[i]) {
            return 0;
        }
        s->status |= (raw_u32(back, 8) == RAW_REPLY_ERROR ? 1u : 0u) << i;
        if (i == 0 && (raw_u32(back, 4) != 48 || back[32] != 0x19 || back[47] != 0x19)) {
            return 0;
        }
    }
    return script_honest(s, first, size);
}

static void test_dma_messages_in_a_call_are_served_or_refused(void **state)
{
    uint32_t value = 0;

    (void)state;
    script_begin(answer_with_dma);
    assert_int_equal(script_read(&value, 4), FERRY_OK);
    assert_int_equal(value, 0x42424242);
    script_end();
    assert_int_equal(script.status, 0x1e);
}

static int flood(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16] = { 0 };
    uint8_t bytes[32];
    int i;

    (void)ask;
    (void)size;
    raw_put_u64(payload, 0x1000);
    raw_put_u64(payload + 8, 16);
    raw_message(bytes, 1, RAW_DMA_READ, 0, payload, 16);
    for (i = 0; i < 100000; i++) {
        struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };

        if (ferry_os_send(s->fd, &iov, 1, NULL, 0, FERRY_OS_WAIT) != 32) {
            return 0;
        }
    }
    return 0;
}

static void test_a_server_that_floods_and_never_reads_is_left(void **state)
{
    struct ferry_error error;
    uint32_t value;

    (void)state;
    script_begin(flood);
    assert_int_equal(ferry_os_send_limit(script.fd, 3000), FERRY_OK);
    assert_true(script_read(&value, 4) < 0);
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_LIMIT);
    script_end();
}

/* More state data than was asked for. */
static int answer_long_data(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[8 + 64] = { 0 };

    (void)size;
    raw_put_u32(payload, 72);
    raw_put_u32(payload + 4, 64);
    script_reply(s, ask, RAW_REPLY, payload, sizeof(payload));
    return 1;
}

static void test_more_state_data_than_asked_for_is_refused(void **state)
{
    uint8_t data[33] = { 0 };
    struct ferry_request r = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    script_begin(answer_long_data);
    r.u.data.data = data;
    r.u.data.size = 32;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_PROTOCOL);
    assert_int_equal(data[32], 0);
    script_end();
}

/* A server without the extension: short is the end, or dry in pre-copy. */
static int foreign(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[8 + 10] = { 0 };
    uint32_t bytes = atomic_load(&s->seen) <= 2 ? 10 : 0;

    if (raw_u16(ask, 2) != RAW_DATA_READ) {
        script_reply(s, ask, RAW_REPLY, ask + 16, size - 16);
        return 1;
    }
    raw_put_u32(payload, 8 + bytes);
    raw_put_u32(payload + 4, bytes);
    script_reply(s, ask, RAW_REPLY, payload, 8 + bytes);
    return 1;
}

/* Like libvfio-user: as many bytes as were asked for, of which 10, then 3, then 0 count.
 */
static int padding(struct script *s, const uint8_t *ask, size_t size)
{
    static const uint32_t length[] = { 10, 3, 0 };
    uint32_t asked = raw_u32(ask, 20);
    uint8_t payload[8 + 64] = { 0 };
    int seen = atomic_load(&s->seen);

    if (raw_u16(ask, 2) != RAW_DATA_READ || asked > 64) {
        script_reply(s, ask, RAW_REPLY, ask + 16, size - 16);
        return 1;
    }
    raw_put_u32(payload, 8 + asked);
    raw_put_u32(payload + 4, length[seen - 2]);
    memset(payload + 8, seen, length[seen - 2]);
    script_reply(s, ask, RAW_REPLY, payload, 8 + asked);
    return 1;
}

static int set_state(uint32_t state)
{
    struct ferry_request r = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return ferry_client_call(client, &r);
}

static void test_a_foreign_server_may_pad_its_state_data(void **state)
{
    uint8_t data[33] = { 0 };
    struct ferry_request r = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    assert_int_equal(script_connect(padding, "{\"capabilities\":{}}", 0), FERRY_OK);
    assert_int_equal(set_state(FERRY_STATE_PRE_COPY), FERRY_OK);
    r.u.data.data = data;
    r.u.data.size = 32;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(r.u.data.got, 10);
    assert_int_equal(data[9], 2);
    assert_int_equal(data[10], 0);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(r.u.data.got, 3);
    assert_int_equal(data[2], 3);
    assert_int_equal(data[3], 2);
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_DRY);
    script_end();
}

static void test_a_foreign_server_tells_dry_and_end_by_length(void **state)
{
    uint8_t data[32];
    struct ferry_request r = { .kind = FERRY_RQ_DATA_READ };
    struct ferry_request info = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct ferry_identity identity;
    struct ferry_request who = { .kind = FERRY_RQ_IDENTITY, .u.identity = &identity };

    (void)state;
    assert_int_equal(script_connect(foreign,
                                    "{\"capabilities\":{\"migration\":{\"pgsize\":"
                                    "4096}}}",
                                    0),
                     FERRY_OK);
    assert_int_equal(ferry_client_max_fds(client), 1);
    assert_int_equal(ferry_client_call(client, &info), FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_client_call(client, &who), FERRY_OK);
    assert_string_equal(identity.model, "");
    assert_int_equal(set_state(FERRY_STATE_PRE_COPY), FERRY_OK);
    r.u.data.data = data;
    r.u.data.size = 32;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(r.u.data.got, 10);
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_DRY);
    atomic_store(&script.seen, 0);
    assert_int_equal(set_state(FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(r.u.data.got, 10);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(r.u.data.got, 0);
    /* The end was known: nobody was asked. */
    assert_int_equal(atomic_load(&script.seen), 2);
    script_end();
}

static void test_bad_versions_of_a_server_are_refused(void **state)
{
    static const char *const text[] = {
        "{\"capabilities\":{\"max_data_xfer_size\":0}}",
        "{\"capabilities\":{\"max_msg_fds\":{}}}",
        "{\"capabilities\":{\"pgsizes\":0}}",
        "nonsense",
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        assert_int_equal(script_connect(script_honest, text[i], 0), FERRY_E_PROTOCOL);
        assert_int_equal(pthread_join(script.thread, NULL), 0);
    }
    assert_int_equal(script_connect(script_honest, "{}", 99), FERRY_E_VERSION);
    assert_int_equal(pthread_join(script.thread, NULL), 0);
}

static void test_a_server_without_a_version_costs_one_limit(void **state)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 50 };
    int a;
    int b;

    (void)state;
    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    assert_int_equal(ferry_client_from_fd(a, &options, &client, NULL), FERRY_E_TIMEOUT);
    close(b);
    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    close(b);
    assert_int_equal(ferry_client_from_fd(a, &options, &client, NULL), FERRY_E_CLOSED);
    assert_int_equal(ferry_client_connect("/nonexistent/socket", &options, &client, NULL),
                     FERRY_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_may_come_byte_by_byte),
        cmocka_unit_test(test_a_server_may_close_at_any_byte_of_a_reply),
        cmocka_unit_test(test_a_silent_server_costs_one_limit),
        cmocka_unit_test(test_a_reply_that_stops_in_its_data_costs_one_limit),
        cmocka_unit_test(test_dma_messages_in_a_call_are_served_or_refused),
        cmocka_unit_test(test_a_server_that_floods_and_never_reads_is_left),
        cmocka_unit_test(test_more_state_data_than_asked_for_is_refused),
        cmocka_unit_test(test_a_foreign_server_may_pad_its_state_data),
        cmocka_unit_test(test_a_foreign_server_tells_dry_and_end_by_length),
        cmocka_unit_test(test_bad_versions_of_a_server_are_refused),
        cmocka_unit_test(test_a_server_without_a_version_costs_one_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
