/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"

static const uint8_t bytes[15] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 };

static void values_are_read_little_endian_at_any_alignment(void **state)
{
    struct ferry_reader reader;

    (void)state;
    ferry_reader_init(&reader, bytes, sizeof(bytes));
    assert_int_equal(ferry_reader_u8(&reader), 1);
    assert_int_equal(ferry_reader_u16(&reader), 0x0302);
    assert_int_equal(ferry_reader_u32(&reader), 0x07060504);
    assert_int_equal(ferry_reader_u64(&reader), 0x0f0e0d0c0b0a0908);
    assert_int_equal(ferry_reader_remaining(&reader), 0);
    assert_false(reader.failed);
}

static void a_read_past_the_end_gives_0_and_fails_for_good(void **state)
{
    struct ferry_reader reader;

    (void)state;
    ferry_reader_init(&reader, bytes, 7);
    assert_int_equal(ferry_reader_u32(&reader), 0x04030201);
    assert_int_equal(ferry_reader_u32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(reader.pos, 4);
    /* Three bytes are left, but nothing is read after a failure. */
    assert_int_equal(ferry_reader_u8(&reader), 0);
    assert_int_equal(ferry_reader_remaining(&reader), 0);
    assert_int_equal(reader.pos, 4);
}

static void every_size_fails_exactly_when_it_does_not_fit(void **state)
{
    struct ferry_reader reader;
    size_t size;

    (void)state;
    for (size = 0; size < 10; size++) {
        ferry_reader_init(&reader, bytes, size);
        (void)ferry_reader_u8(&reader);
        assert_int_equal(reader.failed, size < 1);
        ferry_reader_init(&reader, bytes, size);
        (void)ferry_reader_u16(&reader);
        assert_int_equal(reader.failed, size < 2);
        ferry_reader_init(&reader, bytes, size);
        (void)ferry_reader_u32(&reader);
        assert_int_equal(reader.failed, size < 4);
        ferry_reader_init(&reader, bytes, size);
        (void)ferry_reader_u64(&reader);
        assert_int_equal(reader.failed, size < 8);
    }
}

static void take_gives_the_place_and_refuses_a_length_that_would_wrap(void **state)
{
    struct ferry_reader reader;

    (void)state;
    ferry_reader_init(&reader, bytes, sizeof(bytes));
    ferry_reader_skip(&reader, 3);
    assert_ptr_equal(ferry_reader_take(&reader, 2), bytes + 3);
    assert_non_null(ferry_reader_take(&reader, 0));
    assert_null(ferry_reader_take(&reader, SIZE_MAX));
    assert_true(reader.failed);
    assert_null(ferry_reader_take(&reader, 0));
}

static void bytes_that_are_not_there_become_0(void **state)
{
    struct ferry_reader reader;
    uint8_t out[4] = { 9, 9, 9, 9 };

    (void)state;
    ferry_reader_init(&reader, bytes, 3);
    ferry_reader_bytes(&reader, out, 4);
    assert_true(reader.failed);
    assert_memory_equal(out, "\0\0\0\0", 4);
    ferry_reader_init(&reader, bytes, 4);
    ferry_reader_bytes(&reader, out, 4);
    assert_memory_equal(out, bytes, 4);
}

static void an_empty_reader_may_have_no_memory(void **state)
{
    struct ferry_reader reader;

    (void)state;
    ferry_reader_init(&reader, NULL, 0);
    ferry_reader_bytes(&reader, NULL, 0);
    assert_false(reader.failed);
    assert_int_equal(ferry_reader_u8(&reader), 0);
    assert_true(reader.failed);
}

static void what_is_written_is_read_back(void **state)
{
    struct ferry_writer writer;
    struct ferry_reader reader;
    uint8_t memory[32], three[3];

    (void)state;
    ferry_writer_init(&writer, memory, sizeof(memory));
    ferry_writer_u8(&writer, 0x81);
    ferry_writer_u16(&writer, 0x8283);
    ferry_writer_u32(&writer, 0x84858687);
    ferry_writer_u64(&writer, 0x88898a8b8c8d8e8f);
    ferry_writer_bytes(&writer, "abc", 3);
    ferry_writer_zero(&writer, 2);
    assert_int_equal(writer.pos, 20);
    assert_false(writer.overflow);
    ferry_reader_init(&reader, memory, writer.pos);
    assert_int_equal(ferry_reader_u8(&reader), 0x81);
    assert_int_equal(ferry_reader_u16(&reader), 0x8283);
    assert_int_equal(ferry_reader_u32(&reader), 0x84858687);
    assert_int_equal(ferry_reader_u64(&reader), 0x88898a8b8c8d8e8f);
    ferry_reader_bytes(&reader, three, 3);
    assert_memory_equal(three, "abc", 3);
    assert_int_equal(ferry_reader_u16(&reader), 0);
    assert_false(reader.failed);
}

static void what_does_not_fit_is_dropped_whole_and_overflows_for_good(void **state)
{
    struct ferry_writer writer;
    uint8_t memory[6];

    (void)state;
    memset(memory, 0xaa, sizeof(memory));
    ferry_writer_init(&writer, memory, 5);
    ferry_writer_u16(&writer, 1);
    ferry_writer_u32(&writer, 2);
    assert_true(writer.overflow);
    assert_int_equal(writer.pos, 2);
    ferry_writer_u8(&writer, 3);
    assert_int_equal(writer.pos, 2);
    assert_memory_equal(memory, "\1\0\xaa\xaa\xaa\xaa", 6);
    assert_null(ferry_writer_room(&writer, SIZE_MAX));
}

static void an_empty_writer_may_have_no_memory(void **state)
{
    struct ferry_writer writer;

    (void)state;
    ferry_writer_init(&writer, NULL, 0);
    ferry_writer_bytes(&writer, NULL, 0);
    ferry_writer_zero(&writer, 0);
    (void)ferry_writer_room(&writer, 0);
    assert_false(writer.overflow);
    ferry_writer_u8(&writer, 1);
    assert_true(writer.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_little_endian_at_any_alignment),
        cmocka_unit_test(a_read_past_the_end_gives_0_and_fails_for_good),
        cmocka_unit_test(every_size_fails_exactly_when_it_does_not_fit),
        cmocka_unit_test(take_gives_the_place_and_refuses_a_length_that_would_wrap),
        cmocka_unit_test(bytes_that_are_not_there_become_0),
        cmocka_unit_test(an_empty_reader_may_have_no_memory),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(what_does_not_fit_is_dropped_whole_and_overflows_for_good),
        cmocka_unit_test(an_empty_writer_may_have_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
