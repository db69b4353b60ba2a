/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"

/* What bytes a client can send to a server: in pieces, too many, too few, nonsense. */

static void test_messages_may_come_byte_by_byte(void **state)
{
    uint8_t bytes[512];
    uint8_t back[512];
    uint8_t data[40];
    int fd = raw_connect(listening.path);
    size_t size = raw_version(bytes, 3, "{\"capabilities\":{}}");
    size_t i;

    (void)state;
    for (i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
    }
    assert_true(raw_receive(fd, back, sizeof(back)) >= 20);
    memset(data, 0x6b, sizeof(data));
    size = raw_region(bytes, 4, RAW_REGION_WRITE, 100, 0, sizeof(data), data);
    for (i = 0; i < size; i++) {
        raw_send(fd, bytes + i, 1);
    }
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32);
    size = raw_region(bytes, 5, RAW_REGION_READ, 100, 0, sizeof(data), NULL);
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
    int fd = raw_client(listening.path);
    size_t size = 0;
    uint16_t i;

    (void)state;
    for (i = 0; i < 64; i++) {
        size += raw_region(bytes + size, i, RAW_REGION_READ, 0, 0, 4, NULL);
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
    int fd = raw_client(listening.path);
    size_t size = raw_region(bytes, 1, RAW_REGION_READ, 0, 0, 1 << 20, NULL);

    (void)state;
    /* The write of 64 KiB is begun in the buffer that the read leaves full. */
    raw_message(bytes + size, 2, RAW_REGION_WRITE, 0, NULL, 0);
    raw_put_u32(bytes + size + 4, 32 + 65536);
    raw_put_u64(bytes + size + 16, 0);
    raw_put_u32(bytes + size + 24, 0);
    raw_put_u32(bytes + size + 28, 65536);
    memset(bytes + size + 32, 0x2f, 65536);
    await_int(&listening.fake.work_calls, 1);
    raw_send(fd, bytes, sizeof(bytes));
    /* work() is called when the server has sent what the socket takes. */
    await_int(&listening.fake.work_calls, 2);
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32 + (1 << 20));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 32);
    assert_int_equal(raw_u16(back, 0), 2);
    assert_int_equal(listening.fake.bar[65535], 0x2f);
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
    whole = version + raw_region(bytes + version, 2, RAW_REGION_WRITE, 0, 0, 24, data);
    for (i = 0; i <= whole; i++) {
        int fd = raw_connect(listening.path);

        raw_send(fd, bytes, i);
        close(fd);
    }
    raw_assert_serves(listening.path);
    await_int(&listening.fake.attached, 0);
    assert_int_equal(atomic_load(&listening.fake.attaches),
                     atomic_load(&listening.fake.detaches));
}

static void test_a_client_that_stops_in_a_message_is_dropped(void **state)
{
    uint8_t bytes[64];
    int fd = raw_client(listening.path);

    (void)state;
    raw_region(bytes, 1, RAW_REGION_WRITE, 0, 0, 4, "abcd");
    raw_send(fd, bytes, 20);
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&listening.fake.closed_code, FERRY_E_TIMEOUT);
    raw_assert_serves(listening.path);
}

static void test_a_client_that_reads_no_replies_is_dropped(void **state)
{
    uint8_t bytes[64];
    int fd = raw_client(listening.path);
    size_t size = raw_region(bytes, 1, RAW_REGION_READ, 0, 0, 1 << 20, NULL);
    int i;

    (void)state;
    for (i = 0; i < 4; i++) {
        raw_send(fd, bytes, size);
    }
    await_int(&listening.fake.closed_code, FERRY_E_TIMEOUT);
    close(fd);
    raw_assert_serves(listening.path);
}

static void test_an_unknown_command_is_answered_with_an_error(void **state)
{
    uint8_t payload[100] = { 0 };
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 9, 200, 0, payload, sizeof(payload)));
    raw_assert_error(fd, 9, 200);
    raw_send(fd, bytes, raw_message(bytes, 10, RAW_DMA_READ, 0, payload, 16));
    raw_assert_error(fd, 10, RAW_DMA_READ);
    raw_send(fd, bytes, raw_message(bytes, 11, 14, 0, payload, 0));
    raw_assert_error(fd, 11, 14);
    raw_assert_alive(fd);
    close(fd);
}

static void test_a_second_version_is_answered_with_an_error(void **state)
{
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_version(bytes, 12, NULL));
    raw_assert_error(fd, 12, RAW_VERSION);
    raw_assert_alive(fd);
    close(fd);
}

static void test_malformed_payloads_are_answered_with_errors(void **state)
{
    uint8_t payload[64] = { 0 };
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    /* Too short, with too little data, with too much, with wrap-around. */
    raw_send(fd, bytes, raw_message(bytes, 1, RAW_REGION_READ, 0, payload, 8));
    raw_assert_error(fd, 1, RAW_REGION_READ);
    raw_put_u32(payload + 12, 8);
    raw_send(fd, bytes, raw_message(bytes, 2, RAW_REGION_WRITE, 0, payload, 16 + 4));
    raw_assert_error(fd, 2, RAW_REGION_WRITE);
    raw_send(fd, bytes, raw_message(bytes, 3, RAW_REGION_WRITE, 0, payload, 16 + 12));
    raw_assert_error(fd, 3, RAW_REGION_WRITE);
    raw_send(fd, bytes,
             raw_region(bytes, 4, RAW_REGION_READ, UINT64_MAX - 3, 0, 8, NULL));
    raw_assert_error(fd, 4, RAW_REGION_READ);
    raw_send(fd, bytes, raw_region(bytes, 5, RAW_REGION_READ, 0, 0, (1 << 20) + 1, NULL));
    raw_assert_error(fd, 5, RAW_REGION_READ);
    raw_assert_alive(fd);
    close(fd);
}

static void test_an_unsound_header_ends_the_connection(void **state)
{
    static const uint32_t size[] = { 0, 15, 0x7fffffff, UINT32_MAX };
    uint8_t bytes[64];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        int fd = raw_client(listening.path);

        raw_message(bytes, 1, RAW_GET_INFO, 0, NULL, 0);
        raw_put_u32(bytes + 4, size[i]);
        raw_send(fd, bytes, 16);
        assert_true(raw_is_closed(fd));
        close(fd);
    }
    raw_assert_serves(listening.path);
}

static void test_a_reply_that_nobody_asked_for_ends_the_connection(void **state)
{
    uint8_t payload[16] = { 0 };
    uint8_t bytes[64];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 1, RAW_DMA_READ, RAW_REPLY, payload, 16));
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&listening.fake.closed_code, FERRY_E_PROTOCOL);
    raw_assert_serves(listening.path);
}

static void test_posted_nonsense_gets_no_reply(void **state)
{
    uint8_t bytes[64];
    int fd = raw_client(listening.path);
    size_t size = raw_region(bytes, 1, RAW_REGION_WRITE, 0, 9, 4, "abcd");

    (void)state;
    raw_put_u32(bytes + 8, RAW_NO_REPLY);
    raw_send(fd, bytes, size);
    raw_put_u32(bytes + 28, 3); /* the data does not fit its count */
    raw_send(fd, bytes, size);
    raw_assert_alive(fd);
    close(fd);
}

static void test_wrong_descriptor_counts_are_refused_and_nothing_leaks(void **state)
{
    uint8_t payload[32] = { 32 };
    uint8_t irqs[20] = { 20 };
    uint8_t bytes[64];
    uint8_t first;
    int fd = raw_client(listening.path);
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
    raw_put_u32(payload + 4, 3);
    raw_put_u64(payload + 24, 4096);
    raw_put_u32(irqs + 4, FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER);
    raw_put_u32(irqs + 8, 2);
    raw_put_u32(irqs + 16, 2);
    for (i = 0; i < 100; i++) {
        /* A map with two, interrupts with three instead of two, a RAW_GET_INFO with one.
         */
        raw_send_fds(fd, bytes, raw_message(bytes, 1, RAW_DMA_MAP, 0, payload, 32), fds,
                     2);
        raw_assert_error(fd, 1, RAW_DMA_MAP);
        raw_send_fds(fd, bytes, raw_message(bytes, 2, RAW_SET_IRQS, 0, irqs, 20), fds, 3);
        raw_assert_error(fd, 2, RAW_SET_IRQS);
        raw_send_fds(fd, bytes, raw_message(bytes, 3, 99, 0, NULL, 0), fds, 1);
        raw_assert_error(fd, 3, 99);
    }
    assert_int_equal(ferry_os_dup(fds[0], &after), FERRY_OK);
    /* Descriptors are the lowest free: 300 messages with some have left none open. */
    assert_int_equal(after, before + 1);
    raw_assert_alive(fd);
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
    int fd = raw_client(listening.path);
    int event;
    int i;

    (void)state;
    assert_int_equal(ferry_os_eventfd_create(&event), FERRY_OK);
    raw_put_u32(irqs + 4, FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER);
    raw_put_u32(irqs + 8, 2);
    raw_put_u32(irqs + 16, 1);
    for (i = 0; i < 5; i++) {
        reads += raw_region(bytes + reads, (uint16_t)i, RAW_REGION_READ, 0, 0, 4, NULL);
    }
    raw_send(fd, bytes, reads);
    raw_send_fds(fd, bytes, raw_message(bytes, 50, RAW_SET_IRQS, 0, irqs, 20), &event, 1);
    raw_send(fd, bytes, raw_region(bytes, 6, RAW_REGION_READ, 0, 0, 4, NULL));
    for (i = 0; i < 7; i++) {
        assert_true(raw_receive(fd, back, sizeof(back)) > 0);
        assert_int_equal(raw_u32(back, 8), RAW_REPLY);
    }
    assert_int_equal(ferry_os_eventfd_drain(event, &count), FERRY_OK);
    assert_int_equal(count, 1);
    /* The same in two pieces: the descriptor with the first byte. */
    raw_message(bytes, 51, RAW_SET_IRQS, 0, irqs, 20);
    raw_send_fds(fd, bytes, 1, &event, 1);
    raw_send(fd, bytes + 1, 35);
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 16);
    assert_int_equal(raw_u32(back, 8), RAW_REPLY);
    assert_int_equal(ferry_os_eventfd_drain(event, &count), FERRY_OK);
    assert_int_equal(count, 1);
    close(event);
    close(fd);
}

static void test_a_server_that_spins_still_hears_everybody(void **state)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .spin_us = UINT32_MAX };
    static struct served spinning;
    uint8_t bytes[64];
    int first, second;

    (void)state;
    served_listen(&spinning, &options);
    first = raw_client(spinning.path);
    for (uint16_t i = 0; i < 100; i++) {
        raw_send(first, bytes, raw_region(bytes, i, RAW_REGION_READ, 0, 0, 4, NULL));
        assert_int_equal(raw_receive(first, bytes, sizeof(bytes)), 36);
        assert_int_equal(raw_u16(bytes, 0), i);
    }
    /* The listener is looked at too, and so is the client's end. */
    second = raw_connect(spinning.path);
    raw_send(second, bytes, raw_version(bytes, 7, "{}"));
    assert_int_equal(raw_receive(second, bytes, sizeof(bytes)), 16);
    close(second);
    close(first);
    await_int(&spinning.fake.closed_count, 1);
    raw_assert_serves(spinning.path);
    served_stop(&spinning);
}

static void test_a_device_may_take_its_time_to_say_who_it_is(void **state)
{
    const char *text = "{\"capabilities\":{\"ferry\":{\"version\":1}}}";
    uint8_t bytes[512], back[4096];
    int fd = raw_connect(listening.path);

    (void)state;
    atomic_store(&listening.fake.identity_slow, 1);
    raw_send(fd, bytes, raw_version(bytes, 3, text));
    assert_true(raw_receive(fd, back, sizeof(back) - 1) >= 20);
    raw_send(fd, bytes, raw_region(bytes, 4, RAW_REGION_READ, 0, 0, 4, NULL));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 36);
    /* It still has the request: it ends when the client is gone. */
    assert_int_equal(atomic_load(&listening.fake.data_held), 1);
    close(fd);
    await_int(&listening.fake.detaches, 1);
    atomic_store(&listening.fake.identity_slow, 0);
    raw_assert_serves(listening.path);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listening_start, listening_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_messages_may_come_byte_by_byte),
        cmocka_unit_test(test_a_server_that_spins_still_hears_everybody),
        TEST(test_many_messages_may_come_at_once),
        TEST(test_a_device_may_take_its_time_to_say_who_it_is),
        TEST(test_a_message_may_fill_the_buffer_while_a_reply_waits),
        TEST(test_a_client_may_close_at_any_byte),
        TEST(test_a_client_that_stops_in_a_message_is_dropped),
        TEST(test_a_client_that_reads_no_replies_is_dropped),
        TEST(test_an_unknown_command_is_answered_with_an_error),
        TEST(test_a_second_version_is_answered_with_an_error),
        TEST(test_malformed_payloads_are_answered_with_errors),
        TEST(test_an_unsound_header_ends_the_connection),
        TEST(test_a_reply_that_nobody_asked_for_ends_the_connection),
        TEST(test_posted_nonsense_gets_no_reply),
        TEST(test_wrong_descriptor_counts_are_refused_and_nothing_leaks),
        TEST(test_descriptors_go_to_the_message_they_came_with),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
