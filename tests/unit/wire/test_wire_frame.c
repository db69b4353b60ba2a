/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/writer.h"
#include "wire/frame.h"

/* Frames of the data descriptor: what each side may send, and when. */

static struct ferry_frame_stream stream;

static int decode(uint32_t role, uint64_t before, uint32_t kind, uint32_t length,
                  uint64_t value)
{
    struct ferry_error error = { .code = FERRY_OK };
    uint8_t bytes[FERRY_FRAME_BYTES];
    struct ferry_frame frame;
    int rc;

    ferry_frame_stream_init(&stream, role);
    stream.bytes = before;
    ferry_store_le32(bytes, kind);
    ferry_store_le32(bytes + 4, length);
    ferry_store_le64(bytes + 8, value);
    rc = ferry_frame_decode(&stream, bytes, &frame, &error);
    assert_int_equal(error.code, rc);
    if (rc == FERRY_OK) {
        assert_int_equal(frame.kind, kind);
        assert_int_equal(frame.length, length);
        assert_int_equal(frame.value, value);
    } else {
        assert_true(error.text[0] != '\0');
        assert_int_equal(stream.bytes, before);
    }
    return rc;
}

static void each_side_sends_its_own_kinds_only(void **state)
{
    static const struct {
        uint32_t role, kinds;
    } sends[] = {
        { FERRY_FRAME_SAVE_SERVER, 1u << FERRY_FRAME_DATA | 1u << FERRY_FRAME_DRY |
                                       1u << FERRY_FRAME_END | 1u << FERRY_FRAME_ERROR },
        { FERRY_FRAME_SAVE_CLIENT, 1u << FERRY_FRAME_WANT },
        { FERRY_FRAME_LOAD_CLIENT, 1u << FERRY_FRAME_DATA | 1u << FERRY_FRAME_SYNC },
        { FERRY_FRAME_LOAD_SERVER, 1u << FERRY_FRAME_TAKEN | 1u << FERRY_FRAME_ERROR },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sends) / sizeof(sends[0]); i++) {
        for (uint32_t kind = 0; kind < 12; kind++) {
            int wanted = sends[i].kinds & 1u << kind ? FERRY_OK : (int)FERRY_E_PROTOCOL;

            assert_int_equal(decode(sends[i].role, 0, kind, kind == FERRY_FRAME_DATA,
                                    kind == FERRY_FRAME_ERROR ? 5 : 0),
                             wanted);
        }
    }
}

static void data_has_one_byte_to_a_mebibyte_and_no_other_frame_has(void **state)
{
    (void)state;
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_DATA, 0, 0),
                     FERRY_E_PROTOCOL);
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_DATA, 1, 0),
                     FERRY_OK);
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_DATA, 1u << 20, 0),
                     FERRY_OK);
    assert_int_equal(stream.bytes, 1u << 20);
    assert_int_equal(
        decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_DATA, (1u << 20) + 1, 0),
        FERRY_E_LIMIT);
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_DATA, UINT32_MAX, 0),
                     FERRY_E_LIMIT);
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 0, FERRY_FRAME_SYNC, 1, 0),
                     FERRY_E_PROTOCOL);
}

static void a_frame_that_tells_another_place_is_refused(void **state)
{
    static const uint32_t kinds[] = { FERRY_FRAME_DATA, FERRY_FRAME_DRY,
                                      FERRY_FRAME_END };

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint32_t length = kinds[i] == FERRY_FRAME_DATA;

        assert_int_equal(decode(FERRY_FRAME_SAVE_SERVER, 70, kinds[i], length, 70),
                         FERRY_OK);
        assert_int_equal(decode(FERRY_FRAME_SAVE_SERVER, 70, kinds[i], length, 69),
                         FERRY_E_PROTOCOL);
    }
    assert_int_equal(decode(FERRY_FRAME_LOAD_CLIENT, 70, FERRY_FRAME_SYNC, 0, 71),
                     FERRY_E_PROTOCOL);
    assert_int_equal(decode(FERRY_FRAME_SAVE_CLIENT, 0, FERRY_FRAME_WANT, 0, 1),
                     FERRY_E_PROTOCOL);
}

static void an_error_names_an_errno(void **state)
{
    (void)state;
    assert_int_equal(decode(FERRY_FRAME_LOAD_SERVER, 0, FERRY_FRAME_ERROR, 0, 0),
                     FERRY_E_PROTOCOL);
    assert_int_equal(decode(FERRY_FRAME_LOAD_SERVER, 0, FERRY_FRAME_ERROR, 0, 65536),
                     FERRY_E_PROTOCOL);
    assert_int_equal(decode(FERRY_FRAME_LOAD_SERVER, 0, FERRY_FRAME_ERROR, 0, 65535),
                     FERRY_OK);
}

static void nothing_follows_the_end_or_an_error(void **state)
{
    uint8_t bytes[FERRY_FRAME_BYTES] = { FERRY_FRAME_DRY };
    struct ferry_frame frame;

    (void)state;
    assert_int_equal(decode(FERRY_FRAME_SAVE_SERVER, 0, FERRY_FRAME_END, 0, 0), FERRY_OK);
    assert_int_equal(ferry_frame_decode(&stream, bytes, &frame, NULL), FERRY_E_PROTOCOL);
    assert_int_equal(decode(FERRY_FRAME_SAVE_SERVER, 0, FERRY_FRAME_ERROR, 0, 5),
                     FERRY_OK);
    assert_int_equal(ferry_frame_decode(&stream, bytes, &frame, NULL), FERRY_E_PROTOCOL);
}

static void what_is_encoded_is_as_the_text_says(void **state)
{
    static const uint8_t wanted[2][FERRY_FRAME_BYTES] = {
        { 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 },
        { 4, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0 },
    };
    uint8_t bytes[FERRY_FRAME_BYTES];

    (void)state;
    ferry_frame_stream_init(&stream, FERRY_FRAME_SAVE_SERVER);
    ferry_frame_encode(&stream, FERRY_FRAME_DATA, 512, 0, bytes);
    assert_memory_equal(bytes, wanted[0], sizeof(bytes));
    ferry_frame_encode(&stream, FERRY_FRAME_END, 0, 0, bytes);
    assert_memory_equal(bytes, wanted[1], sizeof(bytes));
    assert_string_equal(ferry_frame_name(FERRY_FRAME_TAKEN), "TAKEN");
    assert_string_equal(ferry_frame_name(99), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_side_sends_its_own_kinds_only),
        cmocka_unit_test(data_has_one_byte_to_a_mebibyte_and_no_other_frame_has),
        cmocka_unit_test(a_frame_that_tells_another_place_is_refused),
        cmocka_unit_test(an_error_names_an_errno),
        cmocka_unit_test(nothing_follows_the_end_or_an_error),
        cmocka_unit_test(what_is_encoded_is_as_the_text_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
