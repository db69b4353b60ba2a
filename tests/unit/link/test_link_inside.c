/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_link_fake.h"
#include "test_link_raw.h"

/*
 * A client that answers a DMA message only when it has read a register, as QEMU does: its
 * processor holds the lock that the DMA needs.
 */

static struct served served;

static int start_listening(void **state)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options) };

    (void)state;
    served_listen(&served, &options);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    served_stop(&served);
    return 0;
}

/* Makes the device ask for 4 bytes of memory. Return: the DMA message's id. */
static uint16_t provoke_dma(int fd, uint16_t id)
{
    uint8_t bytes[64];

    raw_send(fd, bytes,
             raw_region(bytes, id, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 4, NULL));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 2), RAW_DMA_READ);
    return raw_u16(bytes, 0);
}

static void answer_dma(int fd, uint16_t id)
{
    uint8_t payload[20] = { 0 };
    uint8_t bytes[64];

    raw_put_u64(payload, 0x1000);
    raw_put_u64(payload + 8, 4);
    memset(payload + 16, 0x3c, 4);
    raw_send(fd, bytes,
             raw_message(bytes, id, RAW_DMA_READ, RAW_REPLY, payload, sizeof(payload)));
}

static void ask_register(int fd, uint16_t id)
{
    uint8_t bytes[64];

    raw_send(fd, bytes,
             raw_region(bytes, id, RAW_REGION_READ, 64, FAKE_REGION_MEMORY, 4, NULL));
}

/* The next message is the reply to command id. */
static void expect(int fd, uint16_t id, uint8_t first)
{
    uint8_t bytes[64];

    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 32);
    assert_int_equal(raw_u16(bytes, 0), id);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    if (raw_u16(bytes, 2) == RAW_REGION_READ) {
        assert_int_equal(bytes[32], first);
    }
}

static void test_a_register_is_read_while_a_dma_waits(void **state)
{
    int fd = raw_client(served.path);
    uint16_t dma;

    (void)state;
    atomic_store(&served.fake.reads_inside, 1);
    memset(served.fake.bar + 64, 0x5a, 4);
    dma = provoke_dma(fd, 1);
    for (uint16_t id = 2; id < 5; id++) {
        ask_register(fd, id);
        expect(fd, id, 0x5a);
    }
    answer_dma(fd, dma);
    expect(fd, 1, 0x3c);
    raw_assert_alive(fd);
    close(fd);
}

static void test_a_read_does_not_overtake_a_write(void **state)
{
    uint8_t bytes[64];
    int fd = raw_client(served.path);
    uint16_t dma;

    (void)state;
    atomic_store(&served.fake.reads_inside, 1);
    dma = provoke_dma(fd, 1);
    raw_send(fd, bytes,
             raw_region(bytes, 2, RAW_REGION_WRITE, 64, FAKE_REGION_MEMORY, 4,
                        "\x77\x77\x77\x77"));
    ask_register(fd, 3);
    answer_dma(fd, dma);
    expect(fd, 1, 0x3c);
    expect(fd, 2, 0);
    expect(fd, 3, 0x77);
    close(fd);
}

static void test_a_device_that_does_not_allow_it_is_read_later(void **state)
{
    int fd = raw_client(served.path);
    uint16_t dma = provoke_dma(fd, 1);

    (void)state;
    ask_register(fd, 2);
    answer_dma(fd, dma);
    expect(fd, 1, 0x3c);
    expect(fd, 2, 0);
    close(fd);
}

static void test_a_dma_inside_a_dma_is_refused(void **state)
{
    uint8_t bytes[64];
    int fd = raw_client(served.path);
    uint16_t dma;

    (void)state;
    atomic_store(&served.fake.reads_inside, 1);
    dma = provoke_dma(fd, 1);
    raw_send(fd, bytes,
             raw_region(bytes, 2, RAW_REGION_READ, 0x2000, FAKE_REGION_DMA, 4, NULL));
    raw_assert_error(fd, 2, RAW_REGION_READ);
    answer_dma(fd, dma);
    expect(fd, 1, 0x3c);
    raw_assert_alive(fd);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start_listening, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_register_is_read_while_a_dma_waits),
        TEST(test_a_read_does_not_overtake_a_write),
        TEST(test_a_device_that_does_not_allow_it_is_read_later),
        TEST(test_a_dma_inside_a_dma_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
