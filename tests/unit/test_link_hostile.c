/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"

/* What a server can do to a client. The server here is a script in a thread. */

#define GET_INFO 4
#define REGION_READ 9
#define DMA_READ 11
#define DMA_WRITE 12
#define DATA_READ 17

#define REPLY 1u
#define REPLY_ERROR 0x21u

struct script {
    int fd;
    const char *version;   /* JSON of VERSION's reply */
    uint16_t minor;
    /* Answers one message. Return: 0 to close the connection. */
    int (*answer)(struct script *script, const uint8_t *ask, size_t size);
    uint8_t out[8192];
    uint8_t ask[8192];
    atomic_int seen;       /* messages */
    uint32_t status;       /* of the client's answer to a DMA message */
    pthread_t thread;
};

static struct script script;
static struct ferry_client *client;

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void *play(void *user)
{
    struct script *s = user;
    size_t size = raw_receive(s->fd, s->ask, sizeof(s->ask));

    if (size > 0) {
        size = raw_version(s->out, raw_u16(s->ask, 0), s->version);
        put_u32(s->out + 8, REPLY);
        s->out[18] = (uint8_t)s->minor;
        raw_send(s->fd, s->out, size);
    }
    while ((size = raw_receive(s->fd, s->ask, sizeof(s->ask))) > 0) {
        atomic_fetch_add(&s->seen, 1);
        if (!s->answer(s, s->ask, size)) {
            break;
        }
    }
    close(s->fd);
    return NULL;
}

/* Only 16 bytes of the user's memory can be reached, and only to read. */
static int read_little(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    if (iova != 0x1000 || size > 16) {
        return FERRY_E_RANGE;
    }
    memset(ret_data, 0x19, size);
    return FERRY_OK;
}

static int connect_to(int (*answer)(struct script *, const uint8_t *, size_t),
                      const char *version, uint16_t minor)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 200,
                                            .memory = { read_little, NULL, NULL } };
    int a;

    memset(&script, 0, sizeof(script));
    client = NULL;
    assert_int_equal(ferry_os_socketpair(&a, &script.fd), FERRY_OK);
    script.answer = answer;
    script.version = version;
    script.minor = minor;
    assert_int_equal(pthread_create(&script.thread, NULL, play, &script), 0);
    return ferry_client_from_fd(a, &options, &client, NULL);
}

static void begin(int (*answer)(struct script *, const uint8_t *, size_t))
{
    assert_int_equal(connect_to(answer,
                                "{\"capabilities\":{\"max_msg_fds\":8,\"ferry\":"
                                "{\"version\":1,\"notices\":true}}}",
                                1),
                     FERRY_OK);
}

static void end(void)
{
    ferry_client_close(client);
    assert_int_equal(pthread_join(script.thread, NULL), 0);
}

/* Sends a reply to `ask`. */
static void reply(struct script *s, const uint8_t *ask, uint32_t flags,
                  const void *payload, size_t bytes)
{
    raw_send(s->fd, s->out,
             raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), flags, payload, bytes));
}

/* A right reply to REGION_READ and GET_INFO: what shows that the connection lives. */
static int honest(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 4096] = { 0 };
    uint32_t count = raw_u16(ask, 2) == REGION_READ ? raw_u32(ask, 28) : 0;

    memcpy(payload, ask + 16, size - 16 < 16 ? size - 16 : 16);
    memset(payload + 16, 0x42, count);
    reply(s, ask, REPLY, payload, 16 + count);
    return 1;
}

static int read_region(void *data, uint32_t count)
{
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    r.u.io.count = count;
    r.u.io.data = data;
    return ferry_client_call(client, &r);
}

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
    return honest(s, changed, size);
}

static void test_a_reply_with_a_wrong_id_ends_the_connection(void **state)
{
    struct ferry_error error;
    uint32_t value;

    (void)state;
    begin(answer_wrong_id);
    assert_int_equal(read_region(&value, 4), FERRY_E_PROTOCOL);
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_PROTOCOL);
    assert_int_equal(read_region(&value, 4), FERRY_E_PROTOCOL);
    end();
}

static int answer_wrong_command(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t changed[64];

    memcpy(changed, ask, size);
    changed[2] = GET_INFO;
    return honest(s, changed, size);
}

static void test_a_reply_with_a_wrong_command_ends_the_connection(void **state)
{
    uint32_t value;

    (void)state;
    begin(answer_wrong_command);
    assert_int_equal(read_region(&value, 4), FERRY_E_PROTOCOL);
    end();
}

/* Reads of 4 bytes get something wrong, all others the truth. */
static int answer_too_much(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 400] = { 0 };

    if (raw_u32(ask, 28) != 4) {
        return honest(s, ask, size);
    }
    memcpy(payload, ask + 16, 16);
    memset(payload + 16, 0x66, 400);
    put_u32(payload + 12, 400);
    reply(s, ask, REPLY, payload, sizeof(payload));
    return 1;
}

static void test_an_oversized_reply_fails_its_request_only(void **state)
{
    uint8_t data[16] = { 0 };
    uint8_t expected[16];

    (void)state;
    begin(answer_too_much);
    memset(data + 4, 0x11, 12);
    assert_int_equal(read_region(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(data[4], 0x11);
    assert_int_equal(data[15], 0x11);
    assert_int_equal(read_region(data, 16), FERRY_OK);
    memset(expected, 0x42, sizeof(expected));
    assert_memory_equal(data, expected, 16);
    end();
}

static int answer_too_little(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 2] = { 0 };

    if (raw_u32(ask, 28) != 4) {
        return honest(s, ask, size);
    }
    memcpy(payload, ask + 16, 16);
    reply(s, ask, REPLY, payload, atomic_load(&s->seen) == 1 ? sizeof(payload) : 7);
    return 1;
}

static void test_a_short_reply_fails_its_request_only(void **state)
{
    uint8_t data[16];

    (void)state;
    begin(answer_too_little);
    assert_int_equal(read_region(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(read_region(data, 4), FERRY_E_PROTOCOL);
    assert_int_equal(read_region(data, 16), FERRY_OK);
    end();
}

static int answer_error_with_payload(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[300];

    if (raw_u32(ask, 28) != 4) {
        return honest(s, ask, size);
    }
    memset(payload, 1, sizeof(payload));
    raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), REPLY_ERROR, payload,
                sizeof(payload));
    put_u32(s->out + 12, 1); /* EPERM */
    raw_send(s->fd, s->out, 16 + sizeof(payload));
    return 1;
}

static void test_an_error_with_a_payload_is_an_error(void **state)
{
    uint8_t data[16];

    (void)state;
    begin(answer_error_with_payload);
    assert_int_equal(read_region(data, 4), FERRY_E_STATE);
    assert_int_equal(read_region(data, 16), FERRY_OK);
    end();
}

static int answer_huge(struct script *s, const uint8_t *ask, size_t size)
{
    (void)size;
    raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), REPLY, NULL, 0);
    put_u32(s->out + 4, 0x7fffffff);
    raw_send(s->fd, s->out, 16);
    return 1;
}

static void test_a_message_of_impossible_size_ends_the_connection(void **state)
{
    uint32_t value;

    (void)state;
    begin(answer_huge);
    assert_int_equal(read_region(&value, 4), FERRY_E_PROTOCOL);
    end();
}

/* Wild capabilities of a region: one after the other. */
static int answer_wild_caps(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[96] = { 0 };
    size_t bytes = sizeof(payload);

    (void)size;
    put_u32(payload, 96);
    put_u32(payload + 4, 4 | 8);
    put_u32(payload + 12, 32);
    put_u64(payload + 16, 1 << 20);
    payload[32] = 1;
    payload[34] = 1;
    put_u32(payload + 40, 3);
    switch (atomic_load(&s->seen)) {
    case 1: /* behind the end */
        put_u32(payload + 12, 4096);
        break;
    case 2: /* into the fixed part */
        put_u32(payload + 12, 8);
        break;
    case 3: /* a chain in a circle */
        put_u32(payload + 36, 32);
        break;
    case 4: /* far more areas than there is room for */
        put_u32(payload + 40, 0x10000001);
        break;
    case 5: /* cut in the middle of a capability */
        bytes = 40;
        put_u32(payload, 40);
        break;
    case 6: /* an offset near the end of 32 bits */
        put_u32(payload + 12, 0xfffffff8);
        break;
    default: /* argsz larger than anything */
        put_u32(payload, UINT32_MAX);
        break;
    }
    reply(s, ask, REPLY, payload, bytes);
    return 1;
}

static void test_wild_capabilities_fail_their_request(void **state)
{
    struct ferry_region_info info;
    struct ferry_error error;
    int i;

    (void)state;
    begin(answer_wild_caps);
    for (i = 0; i < 7; i++) {
        memset(&error, 0, sizeof(error));
        assert_true(region_info(&info, &error) < 0);
        assert_int_not_equal(error.code, FERRY_OK);
        assert_int_not_equal(error.text[0], 0);
    }
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_OK);
    end();
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
                 raw_message(s->out, raw_u16(ask, 0), raw_u16(ask, 2), REPLY,
                             raw_u16(ask, 2) == GET_INFO ? ask + 16 : payload,
                             raw_u16(ask, 2) == GET_INFO ? 16 : 32),
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
    begin(answer_many_fds);
    for (i = 0; i < 30; i++) {
        assert_int_equal(region_info(&info, NULL), FERRY_E_FDS);
        ferry_client_call(client, &r);
    }
    end();
    /* Descriptors are the lowest free: what was left open would be counted. */
    assert_int_equal(ferry_os_dup(0, &after), FERRY_OK);
    assert_int_equal(after, before + 1);
    close(before);
    close(after);
}

static int answer_in_bytes(struct script *s, const uint8_t *ask, size_t size)
{
    uint32_t count = raw_u32(ask, 28);
    size_t bytes;
    size_t i;

    (void)size;
    memcpy(s->out + 16, ask + 16, 16);
    memset(s->out + 32, 0x42, count);
    bytes = raw_message(s->out, raw_u16(ask, 0), REGION_READ, REPLY, s->out + 16,
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
    begin(answer_in_bytes);
    memset(expected, 0x42, sizeof(expected));
    assert_int_equal(read_region(data, sizeof(data)), FERRY_OK);
    assert_memory_equal(data, expected, sizeof(data));
    end();
}

static atomic_int cut;

static int answer_cut(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[24];

    (void)size;
    memcpy(payload, ask + 16, 16);
    memset(payload + 16, 1, 8);
    raw_message(s->out, raw_u16(ask, 0), REGION_READ, REPLY, payload, 24);
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
        begin(answer_cut);
        assert_int_equal(read_region(data, 8), FERRY_E_CLOSED);
        end();
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
    begin(answer_nothing);
    assert_int_equal(read_region(&value, 4), FERRY_E_TIMEOUT);
    end();
}

static int answer_half_a_reply(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16 + 4096] = { 0 };

    (void)size;
    memcpy(payload, ask + 16, 16);
    raw_message(s->out, raw_u16(ask, 0), REGION_READ, REPLY, payload, sizeof(payload));
    raw_send(s->fd, s->out, 1000);
    return 1;
}

static void test_a_reply_that_stops_in_its_data_costs_one_limit(void **state)
{
    uint8_t *data = malloc(4096);
    uint32_t value;

    (void)state;
    begin(answer_half_a_reply);
    assert_int_equal(read_region(data, 4096), FERRY_E_TIMEOUT);
    free(data); /* what is still to come must not be written here */
    assert_int_equal(read_region(&value, 4), FERRY_E_TIMEOUT);
    end();
}

/* DMA messages before the answer: to read what is there, what is not, and to write. */
static int answer_with_dma(struct script *s, const uint8_t *ask, size_t size)
{
    static const uint16_t command[] = { DMA_READ, DMA_READ, DMA_WRITE, DMA_READ, 77 };
    static const uint64_t iova[] = { 0x1000, 0x9000, 0x1000, UINT64_MAX - 2, 0 };
    uint8_t first[64];
    uint8_t payload[32] = { 0 };
    uint8_t back[64];
    uint16_t i;

    memcpy(first, ask, size);
    for (i = 0; i < 5; i++) {
        put_u64(payload, iova[i]);
        put_u64(payload + 8, 16);
        raw_send(s->fd, s->out,
                 raw_message(s->out, i, command[i], 0, payload,
                             command[i] == DMA_WRITE ? 32 : 16));
        if (raw_receive(s->fd, back, sizeof(back)) == 0 || raw_u16(back, 0) != i ||
            raw_u16(back, 2) != command[i]) {
            return 0;
        }
        s->status |= (raw_u32(back, 8) == REPLY_ERROR ? 1u : 0u) << i;
        if (i == 0 && (raw_u32(back, 4) != 48 || back[32] != 0x19 || back[47] != 0x19)) {
            return 0;
        }
    }
    return honest(s, first, size);
}

static void test_dma_messages_in_a_call_are_served_or_refused(void **state)
{
    uint32_t value = 0;

    (void)state;
    begin(answer_with_dma);
    assert_int_equal(read_region(&value, 4), FERRY_OK);
    assert_int_equal(value, 0x42424242);
    end();
    assert_int_equal(script.status, 0x1e);
}

static int flood(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[16] = { 0 };
    uint8_t bytes[32];
    int i;

    (void)ask;
    (void)size;
    put_u64(payload, 0x1000);
    put_u64(payload + 8, 16);
    raw_message(bytes, 1, DMA_READ, 0, payload, 16);
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
    begin(flood);
    assert_int_equal(ferry_os_send_limit(script.fd, 3000), FERRY_OK);
    assert_true(read_region(&value, 4) < 0);
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_LIMIT);
    end();
}

/* More state data than was asked for. */
static int answer_long_data(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[8 + 64] = { 0 };

    (void)size;
    put_u32(payload, 72);
    put_u32(payload + 4, 64);
    reply(s, ask, REPLY, payload, sizeof(payload));
    return 1;
}

static void test_more_state_data_than_asked_for_is_refused(void **state)
{
    uint8_t data[33] = { 0 };
    struct ferry_request r = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    begin(answer_long_data);
    r.u.data.data = data;
    r.u.data.size = 32;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_PROTOCOL);
    assert_int_equal(data[32], 0);
    end();
}

/* A server without the extension: short is the end, or dry in pre-copy. */
static int foreign(struct script *s, const uint8_t *ask, size_t size)
{
    uint8_t payload[8 + 10] = { 0 };
    uint32_t bytes = atomic_load(&s->seen) <= 2 ? 10 : 0;

    if (raw_u16(ask, 2) != DATA_READ) {
        reply(s, ask, REPLY, ask + 16, size - 16);
        return 1;
    }
    put_u32(payload, 8 + bytes);
    put_u32(payload + 4, bytes);
    reply(s, ask, REPLY, payload, 8 + bytes);
    return 1;
}

static int set_state(uint32_t state)
{
    struct ferry_request r = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return ferry_client_call(client, &r);
}

static void test_a_foreign_server_tells_dry_and_end_by_length(void **state)
{
    uint8_t data[32];
    struct ferry_request r = { .kind = FERRY_RQ_DATA_READ };
    struct ferry_request info = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct ferry_identity identity;
    struct ferry_request who = { .kind = FERRY_RQ_IDENTITY, .u.identity = &identity };

    (void)state;
    assert_int_equal(connect_to(foreign, "{\"capabilities\":{\"migration\":{\"pgsize\":"
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
    end();
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
        assert_int_equal(connect_to(honest, text[i], 0), FERRY_E_PROTOCOL);
        assert_int_equal(pthread_join(script.thread, NULL), 0);
    }
    assert_int_equal(connect_to(honest, "{}", 99), FERRY_E_VERSION);
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
        cmocka_unit_test(test_a_reply_with_a_wrong_id_ends_the_connection),
        cmocka_unit_test(test_a_reply_with_a_wrong_command_ends_the_connection),
        cmocka_unit_test(test_an_oversized_reply_fails_its_request_only),
        cmocka_unit_test(test_a_short_reply_fails_its_request_only),
        cmocka_unit_test(test_an_error_with_a_payload_is_an_error),
        cmocka_unit_test(test_a_message_of_impossible_size_ends_the_connection),
        cmocka_unit_test(test_wild_capabilities_fail_their_request),
        cmocka_unit_test(test_surplus_descriptors_do_not_stay_open),
        cmocka_unit_test(test_replies_may_come_byte_by_byte),
        cmocka_unit_test(test_a_server_may_close_at_any_byte_of_a_reply),
        cmocka_unit_test(test_a_silent_server_costs_one_limit),
        cmocka_unit_test(test_a_reply_that_stops_in_its_data_costs_one_limit),
        cmocka_unit_test(test_dma_messages_in_a_call_are_served_or_refused),
        cmocka_unit_test(test_a_server_that_floods_and_never_reads_is_left),
        cmocka_unit_test(test_more_state_data_than_asked_for_is_refused),
        cmocka_unit_test(test_a_foreign_server_tells_dry_and_end_by_length),
        cmocka_unit_test(test_bad_versions_of_a_server_are_refused),
        cmocka_unit_test(test_a_server_without_a_version_costs_one_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
