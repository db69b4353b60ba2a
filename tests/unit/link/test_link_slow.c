/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_link_fake.h"
#include "test_link_raw.h"

/* What takes time in a server: DMA messages to the client, reads in parts, slow arcs. */

static void test_a_foreign_client_gets_full_reads_until_the_end(void **state)
{
    uint8_t payload[8] = { 0 };
    uint8_t bytes[256];
    uint8_t back[256];
    int fd = raw_client(listening.path);

    (void)state;
    listening.fake.data_left = 150;
    listening.fake.data_piece = 7; /* the device gives little at a time */
    raw_send(fd, bytes, raw_set_state(bytes, 1, FERRY_STATE_PRE_COPY));
    assert_true(raw_receive(fd, back, sizeof(back)) > 0);
    raw_put_u32(payload, 8 + 100);
    raw_put_u32(payload + 4, 100);
    raw_send(fd, bytes, raw_message(bytes, 2, RAW_DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24 + 100);
    assert_int_equal(raw_u32(back, 20), 100);
    raw_send(fd, bytes, raw_message(bytes, 3, RAW_DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24 + 50);
    raw_send(fd, bytes, raw_message(bytes, 4, RAW_DATA_READ, 0, payload, 8));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 24);
    assert_int_equal(raw_u32(back, 8), RAW_REPLY);
    close(fd);
}

static void
test_a_dma_without_answer_ends_in_time_and_its_late_reply_is_dropped(void **state)
{
    uint8_t payload[20] = { 0 };
    uint8_t bytes[256];
    uint8_t ask[256];
    uint8_t back[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes,
             raw_region(bytes, 1, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 4, NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    assert_int_equal(raw_u16(ask, 2), RAW_DMA_READ);
    assert_int_equal(raw_u32(ask, 16), 0x1000);
    assert_int_equal(raw_u32(ask, 24), 4);
    raw_assert_error(fd, 1, RAW_REGION_READ);
    assert_int_equal(atomic_load(&listening.fake.dma_status), FERRY_E_TIMEOUT);
    raw_put_u32(payload, 0x1000);
    raw_put_u32(payload + 8, 4);
    raw_send(fd, bytes,
             raw_message(bytes, raw_u16(ask, 0), RAW_DMA_READ, RAW_REPLY, payload, 20));
    raw_assert_alive(fd);
    raw_send(fd, bytes,
             raw_region(bytes, 1, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 4, NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    memset(payload + 16, 0x3c, 4);
    raw_send(fd, bytes,
             raw_message(bytes, raw_u16(ask, 0), RAW_DMA_READ, RAW_REPLY, payload, 20));
    assert_int_equal(raw_receive(fd, back, sizeof(back)), 36);
    assert_int_equal(raw_u32(back, 32), 0x3c3c3c3c);
    close(fd);
}

static void test_a_dma_reply_with_too_much_data_ends_the_connection(void **state)
{
    uint8_t payload[64] = { 0 };
    uint8_t bytes[256];
    uint8_t ask[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes,
             raw_region(bytes, 1, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 4, NULL));
    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    raw_put_u32(payload, 0x1000);
    raw_put_u32(payload + 8, 48);
    raw_send(fd, bytes,
             raw_message(bytes, raw_u16(ask, 0), RAW_DMA_READ, RAW_REPLY, payload, 64));
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&listening.fake.dma_status, FERRY_E_CLOSED);
    raw_assert_serves(listening.path);
}

static void test_a_client_may_close_while_a_dma_waits(void **state)
{
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes,
             raw_region(bytes, 1, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 4, NULL));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    close(fd);
    await_int(&listening.fake.dma_status, FERRY_E_CLOSED);
    raw_assert_serves(listening.path);
}

static void test_what_is_pending_ends_with_its_client(void **state)
{
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_set_state(bytes, 1, FERRY_STATE_STOP));
    raw_assert_alive(fd);
    close(fd);
    await_int(&listening.fake.detaches, 1);
    raw_assert_serves(listening.path);
}

static void test_commands_that_came_before_a_dma_reply_are_answered_soon(void **state)
{
    struct ferry_link_server *server;
    struct ferry_loop *loop;
    struct fake fake;
    uint8_t payload[20] = { 16 };
    uint8_t bytes[1024];
    uint8_t data[4] = { 0 };
    int a;
    int b;

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    assert_int_equal(
        ferry_link_server_from_fd(b, &fake.endpoint, loop, NULL, &server, NULL),
        FERRY_OK);
    raw_send(a, bytes, raw_version(bytes, 1, NULL));
    ferry_loop_dispatch(loop, 0);
    assert_true(raw_receive(a, bytes, sizeof(bytes)) >= 20);
    /* A command, then the reply to the first DMA message, before that is sent. */
    raw_send(a, bytes, raw_message(bytes, 7, RAW_GET_INFO, 0, payload, 16));
    raw_put_u32(payload, 0x1000);
    raw_put_u32(payload + 8, 4);
    memset(payload + 16, 0x77, 4);
    raw_send(a, bytes, raw_message(bytes, 1, RAW_DMA_READ, RAW_REPLY, payload, 20));
    assert_int_equal(fake.port->dma_read(fake.port->user, 0x1000, data, 4), FERRY_OK);
    assert_int_equal(raw_u32(data, 0), 0x77777777);
    /* The device called on its own account: no event of the socket is left. */
    ferry_loop_dispatch(loop, 0);
    assert_int_equal(raw_receive(a, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 2), RAW_DMA_READ);
    assert_int_equal(raw_receive(a, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 0), 7);
    close(a);
    ferry_link_server_destroy(server);
    ferry_loop_destroy(loop);
    fake_free(&fake);
}

static void test_the_reply_to_log_start_echoes_its_ranges(void **state)
{
    uint8_t payload[24 + 32] = { 24 + 32 };
    uint8_t bytes[256];
    int fd = raw_client(listening.path);

    (void)state;
    raw_put_u32(payload + 4, 6u | 1u << 17);
    raw_put_u64(payload + 8, 4096);
    raw_put_u32(payload + 16, 2);
    raw_put_u64(payload + 24, 0x10000);
    raw_put_u64(payload + 32, 0x2000);
    raw_put_u64(payload + 40, 0x40000);
    raw_put_u64(payload + 48, 0x3000);
    raw_send(fd, bytes, raw_message(bytes, 1, RAW_FEATURE, 0, payload, sizeof(payload)));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 16 + sizeof(payload));
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    assert_memory_equal(bytes + 16 + 24, payload + 24, 32);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listening_start, listening_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_foreign_client_gets_full_reads_until_the_end),
        TEST(test_a_dma_without_answer_ends_in_time_and_its_late_reply_is_dropped),
        TEST(test_a_dma_reply_with_too_much_data_ends_the_connection),
        TEST(test_a_client_may_close_while_a_dma_waits),
        TEST(test_what_is_pending_ends_with_its_client),
        TEST(test_commands_that_came_before_a_dma_reply_are_answered_soon),
        TEST(test_the_reply_to_log_start_echoes_its_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
