/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"

/* What clients of all kinds can do to a server: bytes in pieces, silence, nonsense. */

#define VERSION 1
#define DMA_MAP 2
#define GET_INFO 4
#define GET_REGION_INFO 5
#define SET_IRQS 8
#define REGION_READ 9
#define REGION_WRITE 10
#define DMA_READ 11
#define FEATURE 16
#define DATA_READ 17

#define NO_REPLY 0x10u
#define REPLY 1u
#define REPLY_ERROR 0x21u

static struct served served;

static int start_listening(void **state)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .handshake_timeout_ms = 150,
                                                 .message_timeout_ms = 150,
                                                 .dma_timeout_ms = 100 };

    (void)state;
    served_listen(&served, &options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    served_stop(&served);
    assert_int_not_equal(access(served.path, F_OK), 0);
    return 0;
}

/* A client that has shaken hands. */
static int client(void)
{
    int fd = raw_connect(served.path);

    raw_handshake(fd);
    return fd;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

static size_t region_message(uint8_t *bytes, uint16_t id, uint16_t command, uint64_t off,
                             uint32_t region, uint32_t count, const void *data)
{
    uint8_t payload[16 + 4096] = { 0 };
    size_t size = 16;

    put_u64(payload, off);
    put_u32(payload + 8, region);
    put_u32(payload + 12, count);
    if (data) {
        memcpy(payload + 16, data, count);
        size += count;
    }
    return raw_message(bytes, id, command, 0, payload, size);
}

/* The connection still answers: a GET_INFO comes back right. */
static void assert_alive(int fd)
{
    uint8_t payload[16] = { 16 };
    uint8_t bytes[64];
    size_t size = raw_message(bytes, 0x7777, GET_INFO, 0, payload, sizeof(payload));

    raw_send(fd, bytes, size);
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 0), 0x7777);
    assert_int_equal(raw_u32(bytes, 8), REPLY);
    assert_int_equal(raw_u32(bytes, 24), 9);
}

/* The server serves a new client from the beginning. */
static void assert_serves_the_next(void)
{
    int fd = client();

    assert_alive(fd);
    close(fd);
}

static void assert_error_reply(int fd, uint16_t id, uint16_t command)
{
    uint8_t bytes[64];

    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 16);
    assert_int_equal(raw_u16(bytes, 0), id);
    assert_int_equal(raw_u16(bytes, 2), command);
    assert_int_equal(raw_u32(bytes, 8), REPLY_ERROR);
    assert_int_not_equal(raw_u32(bytes, 12), 0);
}

static void test_messages_may_come_byte_by_byte(void **state)
{
    uint8_t bytes[512];
    uint8_t back[512];
    uint8_t data[40];
    int fd = raw_connect(served.path);
    size_t size = raw_version(bytes, 3, "{\"capabilities\":{}}");
    size_t i;

    (void)state;
    for (i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
    }
    assert_true(raw_receive(fd, back, sizeof(back)) >= 20);
    memset(data, 0x6b, sizeof(data));
    size = region_message(bytes, 4, REGION_WRITE, 100, 0, sizeof(data), data);
    for (i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
    }
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32);
    size = region_message(bytes, 5, REGION_READ, 100, 0, sizeof(data), NULL);
    for (i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
    }
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32 + sizeof(data));
    assert_memory_equal(back + 32, data, sizeof(data));
    close(fd);
}

static void test_many_messages_may_come_at_once(void **state)
{
    uint8_t bytes[64 * 36];
    uint8_t back[64];
    int fd = client();
    size_t size = 0;
    uint16_t i;

    (void)state;
    for (i = 0; i < 64; i++) {
        size += region_message(bytes + size, i, REGION_READ, 0, 0, 4, NULL);
    }
    raw_send(fd, bytes, size);
    for (i = 0; i < 64; i++) {
        assert_int_equal(raw_receive(fd, back, sizeof(back)), 36);
        assert_int_equal(raw_u16(back, 0), i);
    }
    close(fd);
}

static void test_a_message_may_fill_the_buffer_while_a_reply_waits(void **state)
{
    static uint8_t back[(1 << 20) + 64];
    static uint8_t bytes[32 + 32 + 65536];
    int fd = client();
    size_t size = region_message(bytes, 1, REGION_READ, 0, 0, 1 << 20, NULL);

    (void)state;
    /* The write of 64 KiB is begun in the buffer that the read leaves full. */
    raw_message(bytes + size, 2, REGION_WRITE, 0, NULL, 0);
    put_u32(bytes + size + 4, 32 + 65536);
    put_u64(bytes + size + 16, 0);
    put_u32(bytes + size + 24, 0);
    put_u32(bytes + size + 28, 65536);
    memset(bytes + size + 32, 0x2f, 65536);
    await_int(&served.fake.work_calls, 1);
    raw_send(fd, bytes, sizeof(bytes));
    /* work() is called when the server has sent what the socket takes. */
    await_int(&served.fake.work_calls, 2);
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32 + (1 << 20));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32);
    assert_int_equal(raw_u16(back, 0), 2);
    assert_int_equal(served.fake.bar[65535], 0x2f);
    close(fd);
}

static void test_a_client_may_close_at_any_byte(void **state)
{
    uint8_t data[24] = { 0 };
    uint8_t bytes[2048];
    size_t version = raw_version(bytes, 1, "{\"capabilities\":{}}");
    size_t whole;
    size_t i;

    (void)state;
    whole = version + region_message(bytes + version, 2, REGION_WRITE, 0, 0, 24, data);
    for (i = 0; i <= whole; i++) {
        int fd = raw_connect(served.path);

        raw_send(fd, bytes, i);
        close(fd);
    }
    assert_serves_the_next();
    await_int(&served.fake.attached, 0);
    assert_int_equal(atomic_load(&served.fake.attaches),
                     atomic_load(&served.fake.detaches));
}

static void test_a_silent_client_keeps_nobody_waiting(void **state)
{
    int silent[12];
    size_t i;

    (void)state;
    for (i = 0; i < 12; i++) {
        silent[i] = raw_connect(served.path);
    }
    assert_serves_the_next();
    for (i = 0; i < 12; i++) {
        assert_true(raw_is_closed(silent[i]));
        close(silent[i]);
    }
    await_int(&served.fake.closed_count, 13);
}

static void test_a_client_that_stops_in_a_message_is_dropped(void **state)
{
    uint8_t bytes[64];
    int fd = client();

    (void)state;
    region_message(bytes, 1, REGION_WRITE, 0, 0, 4, "abcd");
    raw_send(fd, bytes, 20);
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&served.fake.closed_code, FERRY_E_TIMEOUT);
    assert_serves_the_next();
}

static void test_a_client_that_reads_no_replies_is_dropped(void **state)
{
    uint8_t bytes[64];
    int fd = client();
    size_t size = region_message(bytes, 1, REGION_READ, 0, 0, 1 << 20, NULL);
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        raw_send(fd, bytes, size);
    }
    await_int(&served.fake.closed_code, FERRY_E_TIMEOUT);
    close(fd);
    assert_serves_the_next();
}

static void test_a_second_client_is_told_and_closed(void **state)
{
    uint8_t bytes[512];
    int first = client();
    int second = raw_connect(served.path);

    (void)state;
    assert_int_equal(raw_receive(second, bytes, sizeof(bytes)), 16);
    assert_int_equal(raw_u16(bytes, 2), VERSION);
    assert_int_equal(raw_u32(bytes, 8), REPLY_ERROR);
    assert_int_equal(raw_u32(bytes, 12), 16); /* EBUSY */
    assert_true(raw_is_closed(second));
    close(second);
    assert_alive(first);
    close(first);
}

static void test_a_second_client_learns_that_the_server_is_busy(void **state)
{
    int first = client();
    struct ferry_client *second = NULL;
    struct ferry_error error = { .code = 0 };

    (void)state;
    assert_int_equal(ferry_client_connect(served.path, NULL, &second, &error),
                     FERRY_E_BUSY);
    assert_int_equal(error.code, FERRY_E_BUSY);
    close(first);
    await_int(&served.fake.attached, 0);
    assert_int_equal(ferry_client_connect(served.path, NULL, &second, NULL), FERRY_OK);
    ferry_client_close(second);
}

static void test_a_client_may_follow_at_once(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 50; i++) {
        assert_serves_the_next();
    }
    await_int(&served.fake.detaches, 50);
}

static void test_an_unknown_command_is_answered_with_an_error(void **state)
{
    uint8_t payload[100] = { 0 };
    uint8_t bytes[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 9, 200, 0, payload, sizeof(payload)));
    assert_error_reply(fd, 9, 200);
    raw_send(fd, bytes, raw_message(bytes, 10, DMA_READ, 0, payload, 16));
    assert_error_reply(fd, 10, DMA_READ);
    raw_send(fd, bytes, raw_message(bytes, 11, 14, 0, payload, 0));
    assert_error_reply(fd, 11, 14);
    assert_alive(fd);
    close(fd);
}

static void test_a_second_version_is_answered_with_an_error(void **state)
{
    uint8_t bytes[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, raw_version(bytes, 12, NULL));
    assert_error_reply(fd, 12, VERSION);
    assert_alive(fd);
    close(fd);
}

static void test_malformed_payloads_are_answered_with_errors(void **state)
{
    uint8_t payload[64] = { 0 };
    uint8_t bytes[256];
    int fd = client();

    (void)state;
    /* Too short, with too little data, with too much, with wrap-around. */
    raw_send(fd, bytes, raw_message(bytes, 1, REGION_READ, 0, payload, 8));
    assert_error_reply(fd, 1, REGION_READ);
    put_u32(payload + 12, 8);
    raw_send(fd, bytes, raw_message(bytes, 2, REGION_WRITE, 0, payload, 16 + 4));
    assert_error_reply(fd, 2, REGION_WRITE);
    raw_send(fd, bytes, raw_message(bytes, 3, REGION_WRITE, 0, payload, 16 + 12));
    assert_error_reply(fd, 3, REGION_WRITE);
    raw_send(fd, bytes, region_message(bytes, 4, REGION_READ, UINT64_MAX - 3, 0, 8, NULL));
    assert_error_reply(fd, 4, REGION_READ);
    raw_send(fd, bytes, region_message(bytes, 5, REGION_READ, 0, 0, (1 << 20) + 1, NULL));
    assert_error_reply(fd, 5, REGION_READ);
    assert_alive(fd);
    close(fd);
}

static void test_an_unsound_header_ends_the_connection(void **state)
{
    static const uint32_t size[] = { 0, 15, 0x7fffffff, UINT32_MAX };
    uint8_t bytes[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        int fd = client();

        raw_message(bytes, 1, GET_INFO, 0, NULL, 0);
        put_u32(bytes + 4, size[i]);
        raw_send(fd, bytes, 16);
        assert_true(raw_is_closed(fd));
        close(fd);
    }
    assert_serves_the_next();
}

static void test_a_reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    uint8_t payload[16] = { 0 };
    uint8_t bytes[64];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 1, DMA_READ, REPLY, payload, 16));
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&served.fake.closed_code, FERRY_E_PROTOCOL);
    assert_serves_the_next();
}

static void test_posted_nonsense_gets_no_reply(void **state)
{
    uint8_t bytes[64];
    int fd = client();
    size_t size = region_message(bytes, 1, REGION_WRITE, 0, 9, 4, "abcd");

    (void)state;
    put_u32(bytes + 8, NO_REPLY);
    raw_send(fd, bytes, size);
    put_u32(bytes + 28, 3); /* the data does not fit its count */
    raw_send(fd, bytes, size);
    assert_alive(fd);
    close(fd);
}

static void test_wrong_descriptor_counts_are_refused_and_nothing_leaks(void **state)
{
    uint8_t payload[32] = { 32 };
    uint8_t irqs[20] = { 20 };
    uint8_t bytes[64];
    uint8_t first;
    int fd = client();
    int pair[2];
    int before;
    int after;
    int fds[3];
    int i;

    (void)state;
    assert_int_equal(ferry_os_socketpair(&pair[0], &pair[1]), FERRY_OK);
    for (i = 0; i < 3; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fds[i]), FERRY_OK);
    }
    assert_int_equal(ferry_os_dup(fds[0], &before), FERRY_OK);
    put_u32(payload + 4, 3);
    put_u64(payload + 24, 4096);
    put_u32(irqs + 4, FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER);
    put_u32(irqs + 8, 2);
    put_u32(irqs + 16, 2);
    for (i = 0; i < 100; i++) {
        /* A map with two, interrupts with three instead of two, a GET_INFO with one. */
        raw_send_fds(fd, bytes, raw_message(bytes, 1, DMA_MAP, 0, payload, 32), fds, 2);
        assert_error_reply(fd, 1, DMA_MAP);
        raw_send_fds(fd, bytes, raw_message(bytes, 2, SET_IRQS, 0, irqs, 20), fds, 3);
        assert_error_reply(fd, 2, SET_IRQS);
        raw_send_fds(fd, bytes, raw_message(bytes, 3, 99, 0, NULL, 0), fds, 1);
        assert_error_reply(fd, 3, 99);
    }
    assert_int_equal(ferry_os_dup(fds[0], &after), FERRY_OK);
    /* Descriptors are the lowest free: 300 messages with some have left none open. */
    assert_int_equal(after, before + 1);
    assert_alive(fd);
    first = 1;
    raw_send(pair[0], &first, 1);
    close(after);
    close(before);
    for (i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(pair[0]);
    close(pair[1]);
    close(fd);
}

static void test_descriptors_go_to_the_message_they_came_with(void **state)
{
    uint8_t irqs[20] = { 20 };
    uint8_t bytes[512];
    uint8_t back[64];
    size_t reads = 0;
    uint64_t count;
    int fd = client();
    int event;
    int i;

    (void)state;
    assert_int_equal(ferry_os_eventfd_create(&event), FERRY_OK);
    put_u32(irqs + 4, FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER);
    put_u32(irqs + 8, 2);
    put_u32(irqs + 16, 1);
    for (i = 0; i < 5; i++) {
        reads += region_message(bytes + reads, (uint16_t)i, REGION_READ, 0, 0, 4, NULL);
    }
    raw_send(fd, bytes, reads);
    raw_send_fds(fd, bytes, raw_message(bytes, 50, SET_IRQS, 0, irqs, 20), &event, 1);
    raw_send(fd, bytes, region_message(bytes, 6, REGION_READ, 0, 0, 4, NULL));
    for (i = 0; i < 7; i++) {
        assert_true(raw_receive(fd, back, sizeof(back)) > 0);
        assert_int_equal(raw_u32(back, 8), REPLY);
    }
    assert_int_equal(ferry_os_eventfd_drain(event, &count), FERRY_OK);
    assert_int_equal(count, 1);
    /* The same in two pieces: the descriptor with the first byte. */
    raw_message(bytes, 51, SET_IRQS, 0, irqs, 20);
    raw_send_fds(fd, bytes, 1, &event, 1);
    raw_send(fd, bytes + 1, 35);
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 16);
    assert_int_equal(raw_u32(back, 8), REPLY);
    assert_int_equal(ferry_os_eventfd_drain(event, &count), FERRY_OK);
    assert_int_equal(count, 1);
    close(event);
    close(fd);
}

static void test_bad_versions_are_refused(void **state)
{
    static const char *const text[] = {
        "{", "[]", "{\"capabilities\":7}", "{\"capabilities\":{\"max_msg_fds\":\"x\"}}",
        "{\"capabilities\":{\"max_data_xfer_size\":0}}",
        "{\"capabilities\":{\"pgsizes\":-1}}",
        "{\"capabilities\":{\"ferry\":{\"version\":true}}}",
    };
    uint8_t bytes[512];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        int fd = raw_connect(served.path);

        raw_send(fd, bytes, raw_version(bytes, 8, text[i]));
        assert_error_reply(fd, 8, VERSION);
        assert_true(raw_is_closed(fd));
        close(fd);
    }
    assert_int_equal(atomic_load(&served.fake.attaches), 0);
    assert_serves_the_next();
}

static void test_another_major_version_is_refused(void **state)
{
    uint8_t bytes[64];
    int fd = raw_connect(served.path);
    size_t size = raw_version(bytes, 8, NULL);

    (void)state;
    bytes[16] = 1;
    raw_send(fd, bytes, size);
    assert_error_reply(fd, 8, VERSION);
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&served.fake.closed_code, FERRY_E_VERSION);
}

static void test_a_higher_minor_version_is_answered_with_ours(void **state)
{
    uint8_t bytes[512];
    int fd = raw_connect(served.path);
    size_t size = raw_version(bytes, 8, NULL);

    (void)state;
    bytes[18] = 77;
    raw_send(fd, bytes, size);
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
    assert_int_equal(raw_u32(bytes, 8), REPLY);
    assert_true(raw_u16(bytes, 18) < 77);
    close(fd);
}

static void test_nothing_is_served_before_version(void **state)
{
    uint8_t payload[16] = { 16 };
    uint8_t bytes[64];
    int fd = raw_connect(served.path);

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 1, GET_INFO, 0, payload, 16));
    assert_error_reply(fd, 1, GET_INFO);
    assert_true(raw_is_closed(fd));
    close(fd);
    assert_int_equal(atomic_load(&served.fake.attaches), 0);
}

static void test_a_client_without_the_extension_is_told_nothing_of_it(void **state)
{
    uint8_t bytes[2048] = { 0 };
    int fd = raw_connect(served.path);

    (void)state;
    raw_send(fd, bytes, raw_version(bytes, 1, "{\"capabilities\":{}}"));
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
    assert_null(strstr((const char *)bytes + 20, "ferry"));
    assert_null(strstr((const char *)bytes + 20, "max_msg_fds"));
    close(fd);
}

static size_t feature_set_state(uint8_t *bytes, uint16_t id, uint32_t state)
{
    uint8_t payload[16] = { 16 };

    put_u32(payload + 4, 2u | 1u << 17);
    put_u32(payload + 8, state);
    return raw_message(bytes, id, FEATURE, 0, payload, 16);
}

static void test_a_foreign_client_gets_full_reads_until_the_end(void **state)
{
    uint8_t payload[8] = { 0 };
    uint8_t bytes[256];
    uint8_t back[256];
    int fd = client();

    (void)state;
    served.fake.data_left = 150;
    served.fake.data_piece = 7; /* the device gives little at a time */
    raw_send(fd, bytes, feature_set_state(bytes, 1, FERRY_STATE_PRE_COPY));
    assert_true(raw_receive(fd, back, sizeof(back)) > 0);
    put_u32(payload, 8 + 100);
    put_u32(payload + 4, 100);
    raw_send(fd, bytes, raw_message(bytes, 2, DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24 + 100);
    assert_int_equal(raw_u32(back, 20), 100);
    raw_send(fd, bytes, raw_message(bytes, 3, DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24 + 50);
    raw_send(fd, bytes, raw_message(bytes, 4, DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24);
    assert_int_equal(raw_u32(back, 8), REPLY);
    close(fd);
}

static void test_a_dma_without_answer_ends_in_time_and_its_late_reply_is_dropped(
    void **state)
{
    uint8_t payload[20] = { 0 };
    uint8_t bytes[256];
    uint8_t ask[256];
    uint8_t back[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, region_message(bytes, 1, REGION_READ, 0x1000, FAKE_REGION_DMA, 4,
                                       NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    assert_int_equal(raw_u16(ask, 2), DMA_READ);
    assert_int_equal(raw_u32(ask, 16), 0x1000);
    assert_int_equal(raw_u32(ask, 24), 4);
    assert_error_reply(fd, 1, REGION_READ);
    assert_int_equal(atomic_load(&served.fake.dma_status), FERRY_E_TIMEOUT);
    put_u32(payload, 0x1000);
    put_u32(payload + 8, 4);
    raw_send(fd, bytes, raw_message(bytes, raw_u16(ask, 0), DMA_READ, REPLY, payload, 20));
    assert_alive(fd);
    raw_send(fd, bytes, region_message(bytes, 1, REGION_READ, 0x1000, FAKE_REGION_DMA, 4,
                                       NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    memset(payload + 16, 0x3c, 4);
    raw_send(fd, bytes, raw_message(bytes, raw_u16(ask, 0), DMA_READ, REPLY, payload, 20));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 36);
    assert_int_equal(raw_u32(back, 32), 0x3c3c3c3c);
    close(fd);
}

static void test_a_dma_reply_with_too_much_data_ends_the_connection(void **state)
{
    uint8_t payload[64] = { 0 };
    uint8_t bytes[256];
    uint8_t ask[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, region_message(bytes, 1, REGION_READ, 0x1000, FAKE_REGION_DMA, 4,
                                       NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    put_u32(payload, 0x1000);
    put_u32(payload + 8, 48);
    raw_send(fd, bytes, raw_message(bytes, raw_u16(ask, 0), DMA_READ, REPLY, payload, 64));
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&served.fake.dma_status, FERRY_E_CLOSED);
    assert_serves_the_next();
}

static void test_a_client_may_close_while_a_dma_waits(void **state)
{
    uint8_t bytes[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, region_message(bytes, 1, REGION_READ, 0x1000, FAKE_REGION_DMA, 4,
                                       NULL));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    close(fd);
    await_int(&served.fake.dma_status, FERRY_E_CLOSED);
    assert_serves_the_next();
}

static void test_what_is_pending_ends_with_its_client(void **state)
{
    uint8_t bytes[256];
    int fd = client();

    (void)state;
    raw_send(fd, bytes, feature_set_state(bytes, 1, FERRY_STATE_STOP));
    assert_alive(fd);
    close(fd);
    await_int(&served.fake.detaches, 1);
    assert_serves_the_next();
}

static void test_a_path_in_use_is_not_taken_over(void **state)
{
    struct ferry_link_server *server;
    struct ferry_loop *loop;
    struct fake fake;
    char path[200];

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(ferry_link_server_listen(served.path, &fake.endpoint, loop, NULL,
                                              &server, NULL),
                     FERRY_E_EXISTS);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = 0;
    assert_int_equal(ferry_link_server_listen(path, &fake.endpoint, loop, NULL, &server,
                                              NULL),
                     FERRY_E_LIMIT);
    ferry_loop_destroy(loop);
    fake_free(&fake);
    assert_serves_the_next();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_listening, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_may_come_byte_by_byte),
        TEST(test_many_messages_may_come_at_once),
        TEST(test_a_message_may_fill_the_buffer_while_a_reply_waits),
        TEST(test_a_client_may_close_at_any_byte),
        TEST(test_a_silent_client_keeps_nobody_waiting),
        TEST(test_a_client_that_stops_in_a_message_is_dropped),
        TEST(test_a_client_that_reads_no_replies_is_dropped),
        TEST(test_a_second_client_is_told_and_closed),
        TEST(test_a_second_client_learns_that_the_server_is_busy),
        TEST(test_a_client_may_follow_at_once),
        TEST(test_an_unknown_command_is_answered_with_an_error),
        TEST(test_a_second_version_is_answered_with_an_error),
        TEST(test_malformed_payloads_are_answered_with_errors),
        TEST(test_an_unsound_header_ends_the_connection),
        TEST(test_a_reply_that_nobody_asked_for_ends_the_connection),
        TEST(test_posted_nonsense_gets_no_reply),
        TEST(test_wrong_descriptor_counts_are_refused_and_nothing_leaks),
        TEST(test_descriptors_go_to_the_message_they_came_with),
        TEST(test_bad_versions_are_refused),
        TEST(test_another_major_version_is_refused),
        TEST(test_a_higher_minor_version_is_answered_with_ours),
        TEST(test_nothing_is_served_before_version),
        TEST(test_a_client_without_the_extension_is_told_nothing_of_it),
        TEST(test_a_foreign_client_gets_full_reads_until_the_end),
        TEST(test_a_dma_without_answer_ends_in_time_and_its_late_reply_is_dropped),
        TEST(test_a_dma_reply_with_too_much_data_ends_the_connection),
        TEST(test_a_client_may_close_while_a_dma_waits),
        TEST(test_what_is_pending_ends_with_its_client),
        TEST(test_a_path_in_use_is_not_taken_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
