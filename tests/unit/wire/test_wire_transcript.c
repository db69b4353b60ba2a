/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"
#include "wire/header.h"
#include "wire/transcript.h"

/* A head, a request of 20 bytes, a header that was refused. */
#define FIRST_AT 16
#define FIRST_MESSAGE_AT 32
#define SECOND_AT 52
#define FILE_BYTES 84

static uint8_t file[FILE_BYTES + 1];

static void make_file(void)
{
    const struct ferry_transcript_record first = {
        .number = 1, .connection = 1, .bytes = 20, .fd_count = 2, .sender = 1
    };
    const struct ferry_transcript_record second = {
        .number = 2, .connection = 1, .bytes = 16, .sender = 2, .cut = 1
    };

    memset(file, 0, sizeof(file));
    ferry_transcript_head_encode(file);
    ferry_transcript_record_encode(&first, file + FIRST_AT);
    ferry_store_le32(file + FIRST_MESSAGE_AT + 4, 20);
    file[FIRST_MESSAGE_AT + 16] = 0x77;
    ferry_transcript_record_encode(&second, file + SECOND_AT);
    ferry_store_le32(file + SECOND_AT + 20, 1000);
}

/* Return: records read, or the code of the first error. */
static int read_all(size_t size, struct ferry_transcript_record *ret_last,
                    struct ferry_error *reterr)
{
    struct ferry_transcript_reader reader;
    int count = 0;
    int rc = ferry_transcript_begin(&reader, file, size, reterr);

    while (rc == FERRY_OK) {
        rc = ferry_transcript_next(&reader, ret_last, reterr);
        if (rc == 0) {
            return count;
        }
        count++;
        rc = rc > 0 ? FERRY_OK : rc;
    }
    return rc;
}

static void test_what_was_written_is_read(void **state)
{
    struct ferry_transcript_reader reader;
    struct ferry_transcript_record record;
    struct ferry_error error;

    (void)state;
    make_file();
    assert_int_equal(ferry_transcript_begin(&reader, file, FILE_BYTES, &error), FERRY_OK);
    assert_int_equal(ferry_transcript_next(&reader, &record, &error), 1);
    assert_int_equal(record.number, 1);
    assert_int_equal(record.fd_count, 2);
    assert_int_equal(record.sender, FERRY_WIRE_FROM_CLIENT);
    assert_ptr_equal(record.message, file + FIRST_MESSAGE_AT);
    assert_int_equal(ferry_transcript_next(&reader, &record, &error), 1);
    assert_int_equal(record.cut, 1);
    assert_int_equal(ferry_transcript_next(&reader, &record, &error), 0);
}

static void test_a_file_that_ends_inside_a_record_is_refused(void **state)
{
    struct ferry_transcript_record record;
    struct ferry_error error;

    (void)state;
    make_file();
    for (size_t size = 0; size < FILE_BYTES; size++) {
        int rc = read_all(size, &record, &error);

        if (size < 16) {
            assert_int_equal(rc, FERRY_E_FOREIGN);
        } else if (size == 16 || size == SECOND_AT) {
            assert_int_equal(rc, size == 16 ? 0 : 1);
        } else {
            assert_int_equal(rc, FERRY_E_SHORT);
            assert_int_equal(error.code, FERRY_E_SHORT);
        }
    }
}

static void test_each_wrong_field_is_refused(void **state)
{
    static const struct {
        size_t at;
        uint32_t width;
        uint32_t value;
        int code;
    } bad[] = {
        { 0, 1, 'G', FERRY_E_FOREIGN },
        { 8, 4, 2, FERRY_E_VERSION },
        { FIRST_AT, 4, 2, FERRY_E_PROTOCOL },
        { SECOND_AT, 4, 1, FERRY_E_PROTOCOL },
        { FIRST_AT + 4, 4, 15, FERRY_E_PROTOCOL },
        { FIRST_AT + 4, 4, 19, FERRY_E_PROTOCOL },
        { FIRST_AT + 4, 4, UINT32_MAX, FERRY_E_LIMIT },
        { FIRST_AT + 8, 4, 0, FERRY_E_PROTOCOL },
        { FIRST_AT + 12, 2, 65, FERRY_E_LIMIT },
        { FIRST_AT + 14, 1, 0, FERRY_E_PROTOCOL },
        { FIRST_AT + 14, 1, 3, FERRY_E_PROTOCOL },
        { FIRST_AT + 15, 1, 1, FERRY_E_PROTOCOL },
        { SECOND_AT + 15, 1, 2, FERRY_E_PROTOCOL },
        { SECOND_AT + 15, 1, 0, FERRY_E_PROTOCOL },
        { FIRST_MESSAGE_AT + 4, 4, 24, FERRY_E_PROTOCOL },
    };
    struct ferry_transcript_record record;
    struct ferry_error error;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        make_file();
        for (uint32_t b = 0; b < bad[i].width; b++) {
            file[bad[i].at + b] = (uint8_t)(bad[i].value >> (8 * b));
        }
        memset(&error, 0, sizeof(error));
        if (read_all(FILE_BYTES, &record, &error) != bad[i].code) {
            fail_msg("%u at %zu: %s", bad[i].value, bad[i].at, error.text);
        }
        assert_int_equal(error.code, bad[i].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_file_that_ends_inside_a_record_is_refused),
        cmocka_unit_test(test_each_wrong_field_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
