/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"
#include "test_wire_samples.h"

static void decode_reply(const char *name, struct ferry_wire_message *ret_got)
{
    static uint8_t bytes[WIRE_SAMPLE_BYTES];
    const struct wire_sample *sample = wire_sample_find(name);
    size_t size = wire_sample_bytes(&sample->answer, bytes);

    assert_int_equal(wire_sample_decode(bytes, size, FERRY_WIRE_FROM_SERVER,
                                        sample->answer.fd_count, &sample->ask, ret_got,
                                        NULL),
                     FERRY_OK);
}

static void the_size_of_a_reply_tells_the_layout_of_its_entries(void **state)
{
    struct ferry_wire_message got;
    struct ferry_wire_io_fd entry;

    (void)state;
    decode_reply("io-fds", &got);
    assert_int_equal(got.u.io_fds.layout, FERRY_WIRE_IO_FD_SPEC);
    ferry_wire_io_fd_decode(got.data, FERRY_WIRE_IO_FD_SPEC, &entry);
    assert_int_equal(entry.off, 0x1000);
    assert_int_equal(entry.size, 4);
    assert_int_equal(entry.datamatch, 7);
    decode_reply("io-fds-wide", &got);
    assert_int_equal(got.u.io_fds.layout, FERRY_WIRE_IO_FD_WIDE);
    ferry_wire_io_fd_decode(got.data, FERRY_WIRE_IO_FD_WIDE, &entry);
    assert_int_equal(entry.flags, 1);
    assert_int_equal(entry.datamatch, 9);
}

static void an_entry_survives_either_layout(void **state)
{
    const struct ferry_wire_io_fd in = { .off = 0x123456789,
                                         .size = 8,
                                         .fd_index = 3,
                                         .flags = 1,
                                         .datamatch = UINT64_MAX - 1 };
    uint8_t bytes[48];
    struct ferry_wire_io_fd out;

    (void)state;
    for (uint32_t layout = 0; layout < 2; layout++) {
        memset(bytes, 0xee, sizeof(bytes));
        ferry_wire_io_fd_encode(&in, layout, bytes);
        ferry_wire_io_fd_decode(bytes, layout, &out);
        assert_memory_equal(&in, &out, sizeof(in));
    }
}

/* A DMA_READ reply: QEMU's has its data 12 bytes into the payload, and 4 behind it. */
static size_t dma_reply(uint8_t *bytes, uint32_t layout, const uint8_t *data, size_t n,
                        size_t pad)
{
    size_t at = layout == FERRY_WIRE_DMA_QEMU ? 12 : 16;

    memset(bytes, 0, 256);
    ferry_store_le16(bytes + 2, FERRY_WIRE_DMA_READ);
    ferry_store_le32(bytes + 4, (uint32_t)(16 + at + n + pad));
    ferry_store_le32(bytes + 8, 1);
    ferry_store_le64(bytes + 16, 0x9000);
    ferry_store_le32(bytes + 24, (uint32_t)n);
    memcpy(bytes + 16 + at, data, n);
    return 16 + at + n + pad;
}

static void a_dma_reply_of_qemu_is_read_where_qemu_puts_its_data(void **state)
{
    static const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct ferry_wire_message ask = wire_sample_find("dma-read")->ask;
    struct ferry_wire_message got;
    uint8_t bytes[256];
    size_t size;

    (void)state;
    ask.u.dma.count = sizeof(data);
    for (size_t pad = 0; pad <= 4; pad += 4) {
        size = dma_reply(bytes, FERRY_WIRE_DMA_QEMU, data, sizeof(data), pad);
        ask.u.dma.layout = FERRY_WIRE_DMA_QEMU;
        assert_int_equal(
            wire_sample_decode(bytes, size, FERRY_WIRE_FROM_CLIENT, 0, &ask, &got, NULL),
            FERRY_OK);
        assert_memory_equal(got.data, data, sizeof(data));
        ask.u.dma.layout = FERRY_WIRE_DMA_SPEC;
        assert_int_not_equal(
            wire_sample_decode(bytes, size, FERRY_WIRE_FROM_CLIENT, 0, &ask, &got, NULL),
            FERRY_OK);
    }
    size = dma_reply(bytes, FERRY_WIRE_DMA_QEMU, data, sizeof(data), 5);
    ask.u.dma.layout = FERRY_WIRE_DMA_QEMU;
    assert_int_equal(
        wire_sample_decode(bytes, size, FERRY_WIRE_FROM_CLIENT, 0, &ask, &got, NULL),
        FERRY_E_PROTOCOL);
}

static void a_dma_reply_proves_its_layout_when_its_data_can(void **state)
{
    static const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    static const uint8_t zero[8] = { 0 };
    uint8_t bytes[256];
    size_t size;

    (void)state;
    size = dma_reply(bytes, FERRY_WIRE_DMA_QEMU, data, 8, 4);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, size - 16, 8),
                     FERRY_WIRE_DMA_QEMU);
    size = dma_reply(bytes, FERRY_WIRE_DMA_QEMU, zero, 8, 0);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, size - 16, 8),
                     FERRY_WIRE_DMA_QEMU);
    size = dma_reply(bytes, FERRY_WIRE_DMA_SPEC, data, 8, 0);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, size - 16, 8),
                     FERRY_WIRE_DMA_SPEC);
    size = dma_reply(bytes, FERRY_WIRE_DMA_SPEC, zero, 8, 0);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, size - 16, 8), -1);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, 11, 8), -1);
    assert_int_equal(ferry_wire_dma_layout_of(bytes + 16, size - 16, 9), -1);
}

static void a_dma_write_for_qemu_has_its_data_at_12_and_is_never_too_small(void **state)
{
    static const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct ferry_wire_message ask = wire_sample_find("dma-write")->ask;
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    (void)state;
    ask.u.dma.layout = FERRY_WIRE_DMA_QEMU;
    ask.u.dma.count = ask.data_bytes = 8;
    ask.data = data;
    assert_int_equal(ferry_wire_encode(&ask, head, sizeof(head)), 28);
    assert_int_equal(ferry_load_le32(head + 4), 36);
    ask.u.dma.count = 3;
    ask.data_bytes = 0;
    assert_int_equal(ferry_wire_encode(&ask, head, sizeof(head)), 32);
    assert_int_equal(ferry_load_le32(head + 4), 32);
    assert_memory_equal(head + 28, "\1\2\3\0", 4);
}

static void a_devices_own_region_tells_its_type(void **state)
{
    struct ferry_wire_message got;

    (void)state;
    decode_reply("region-typed", &got);
    assert_int_equal(got.u.region.type, 0x80001af4);
    assert_int_equal(got.u.region.subtype, 3);
    assert_int_equal(got.u.region.area_count, 1);
    decode_reply("region-sparse", &got);
    assert_int_equal(got.u.region.type, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_size_of_a_reply_tells_the_layout_of_its_entries),
        cmocka_unit_test(an_entry_survives_either_layout),
        cmocka_unit_test(a_dma_reply_of_qemu_is_read_where_qemu_puts_its_data),
        cmocka_unit_test(a_dma_reply_proves_its_layout_when_its_data_can),
        cmocka_unit_test(a_dma_write_for_qemu_has_its_data_at_12_and_is_never_too_small),
        cmocka_unit_test(a_devices_own_region_tells_its_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
