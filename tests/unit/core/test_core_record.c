/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/stream/record.h"
#include "ferry/session.h"

static const uint8_t payload[24] = "payload of a record";

/* Encodes, decodes at offset 100; *ret holds what came out. */
static int pass(const struct ferry_record *record, struct ferry_record *ret,
                struct ferry_error *reterr)
{
    uint8_t bytes[FERRY_RECORD_HEADER_BYTES];

    ferry_record_encode(record, bytes);
    return ferry_record_decode(bytes, 100, ret, reterr);
}

static struct ferry_record sample(void)
{
    struct ferry_record record;

    ferry_record_seal(&record, FERRY_REC_DEVICE_DATA, FERRY_RECORD_CHUNK, 3, payload,
                      sizeof(payload));
    return record;
}

static void expect_refused(const struct ferry_record *record, int code, const char *rule)
{
    struct ferry_record out;
    struct ferry_error error;

    memset(&out, 0x77, sizeof(out));
    assert_int_equal(pass(record, &out, &error), code);
    assert_string_equal(error.rule, rule);
    assert_string_equal(error.layer, "stream");
    assert_int_equal(error.offset, 100);
    assert_non_null(strstr(error.text, "offset 100"));
    assert_int_equal(out.magic, 0x77777777);
}

static void a_header_is_laid_out_as_the_manual_says(void **state)
{
    struct ferry_record record = sample();
    uint8_t bytes[FERRY_RECORD_HEADER_BYTES];

    (void)state;
    record.checksum = 0x8877665544332211;
    ferry_record_encode(&record, bytes);
    assert_memory_equal(bytes,
                        "FRRY\x0a\0\x02\0\3\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0"
                        "\x11\x22\x33\x44\x55\x66\x77\x88",
                        32);
}

static void what_is_encoded_is_decoded(void **state)
{
    struct ferry_record record = sample(), out;

    (void)state;
    assert_int_equal(pass(&record, &out, NULL), FERRY_OK);
    assert_memory_equal(&out, &record, sizeof(out));
    assert_int_equal(
        ferry_record_check(&out, ferry_record_checksum(&out, payload, sizeof(payload)), 0,
                           NULL),
        FERRY_OK);
}

static void a_wrong_magic_is_refused(void **state)
{
    struct ferry_record record = sample();

    (void)state;
    record.magic ^= 0x100;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-1");
}

static void reserved_and_misplaced_flags_are_refused(void **state)
{
    struct ferry_record record = sample();

    (void)state;
    record.flags = 4;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-2");
    record.flags = 0x8000;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-2");
    record.flags = FERRY_RECORD_OPTIONAL;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-2");
    record.flags = FERRY_RECORD_CHUNK;
    record.tag = FERRY_REC_DEVICE_END;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-2");
}

static void an_unknown_record_is_skipped_only_when_it_is_optional(void **state)
{
    struct ferry_record record = sample(), out;

    (void)state;
    record.flags = 0;
    record.tag = FERRY_REC_TAG_END;
    expect_refused(&record, FERRY_E_MESSAGE, "STR-HDR-3");
    record.tag = 0;
    expect_refused(&record, FERRY_E_MESSAGE, "STR-HDR-3");
    record.tag = 0xffff;
    record.flags = FERRY_RECORD_OPTIONAL;
    assert_int_equal(pass(&record, &out, NULL), FERRY_RECORD_SKIP);
    assert_int_equal(out.payload_bytes, sizeof(payload));
    record.payload_bytes = FERRY_RECORD_CONTROL_MAX + 1;
    expect_refused(&record, FERRY_E_LIMIT, "STR-HDR-6");
}

static void another_channel_is_refused(void **state)
{
    struct ferry_record record = sample();

    (void)state;
    record.channel = 1;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-4");
}

static void a_device_is_named_exactly_where_it_belongs(void **state)
{
    struct ferry_record record = sample(), out;

    (void)state;
    record.device = FERRY_NO_DEVICE;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-5");
    record.device = FERRY_SESSION_DEVICES_MAX;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-5");
    record = sample();
    record.flags = 0;
    record.tag = FERRY_REC_MEMORY_END;
    record.payload_bytes = 16;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-5");
    /* The reason of an abort may be a device, or none. */
    record.tag = FERRY_REC_ABORT;
    record.payload_bytes = 288;
    assert_int_equal(pass(&record, &out, NULL), FERRY_OK);
    record.device = FERRY_NO_DEVICE;
    assert_int_equal(pass(&record, &out, NULL), FERRY_OK);
    record.device = FERRY_SESSION_DEVICES_MAX;
    expect_refused(&record, FERRY_E_PROTOCOL, "STR-HDR-5");
}

static void every_tag_keeps_its_size_limits(void **state)
{
    uint32_t tag;

    (void)state;
    for (tag = 1; tag < FERRY_REC_TAG_END; tag++) {
        struct ferry_record record = sample(), out;
        struct ferry_error error;
        uint32_t limit = ferry_record_limit(tag);

        assert_true(limit <= FERRY_RECORD_DATA_MAX + 16);
        record.tag = (uint16_t)tag;
        record.flags = 0;
        record.payload_bytes = limit;
        if (pass(&record, &out, &error) != FERRY_OK) {
            record.device = FERRY_NO_DEVICE;
            assert_int_equal(pass(&record, &out, &error), FERRY_OK);
        }
        record.payload_bytes = (uint64_t)limit + 1;
        expect_refused(&record, FERRY_E_LIMIT, "STR-HDR-6");
        record.payload_bytes = UINT64_MAX;
        expect_refused(&record, FERRY_E_LIMIT, "STR-HDR-6");
    }
    assert_int_equal(ferry_record_limit(0), FERRY_RECORD_CONTROL_MAX);
    assert_int_equal(ferry_record_limit(70000), FERRY_RECORD_CONTROL_MAX);
}

static void a_payload_without_room_for_its_fixed_part_is_refused(void **state)
{
    struct ferry_record record = sample();

    (void)state;
    record.payload_bytes = 0;
    expect_refused(&record, FERRY_E_SHORT, "STR-HDR-7");
    record.flags = 0;
    record.tag = FERRY_REC_DEVICE_END;
    record.payload_bytes = 23;
    expect_refused(&record, FERRY_E_SHORT, "STR-HDR-7");
}

static void a_wrong_checksum_names_the_record(void **state)
{
    struct ferry_record record = sample();
    struct ferry_error error;

    (void)state;
    assert_int_equal(ferry_record_check(&record, record.checksum ^ 1, 77, &error),
                     FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-SUM-1");
    assert_non_null(strstr(error.text, "DEVICE_DATA"));
    assert_int_equal(error.offset, 77);
}

static void the_checksum_depends_on_payload_tag_device_and_flags(void **state)
{
    struct ferry_record record = sample(), other;
    uint64_t sum = ferry_record_checksum(&record, payload, sizeof(payload));

    (void)state;
    assert_true(sum == record.checksum);
    assert_true(sum != ferry_record_checksum(&record, payload, sizeof(payload) - 1));
    other = record;
    other.tag++;
    assert_true(sum != ferry_record_checksum(&other, payload, sizeof(payload)));
    other = record;
    other.device++;
    assert_true(sum != ferry_record_checksum(&other, payload, sizeof(payload)));
    other = record;
    other.flags = 0;
    assert_true(sum != ferry_record_checksum(&other, payload, sizeof(payload)));
    assert_true(ferry_record_checksum(&record, "", 0) !=
                ferry_record_checksum(&other, "", 0));
}

static void
sums_and_hashes_do_not_depend_on_the_pieces_nor_on_where_they_live(void **state)
{
    static uint8_t data[3000];
    /* Offsets that break every alignment but that of the struct itself. */
    static uint64_t memory[2][90];
    struct ferry_record record = sample();
    struct ferry_stream_digest first = { 0, 0 };
    size_t i, cut, place;

    (void)state;
    for (i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * i + i / 7);
    }
    for (cut = 0; cut <= sizeof(data); cut += 37) {
        for (place = 0; place < 8; place++) {
            struct ferry_stream_hash *sum = (void *)&memory[0][place];
            struct ferry_stream_hash *hash = (void *)&memory[1][7 - place];
            struct ferry_stream_digest digest;

            memset(memory, 0xa5, sizeof(memory));
            ferry_record_sum_init(sum, &record);
            ferry_record_sum_update(sum, data, cut);
            ferry_record_sum_update(sum, data + cut, sizeof(data) - cut);
            assert_true(ferry_record_sum_digest(sum) ==
                        ferry_record_checksum(&record, data, sizeof(data)));
            ferry_stream_hash_init(hash);
            ferry_stream_hash_update(hash, data, cut);
            ferry_stream_hash_update(hash, NULL, 0);
            ferry_stream_hash_update(hash, data + cut, sizeof(data) - cut);
            digest = ferry_stream_hash_digest(hash);
            if (cut == 0 && place == 0) {
                first = digest;
            }
            assert_true(digest.low == first.low && digest.high == first.high);
        }
    }
    assert_true(first.low != 0 && first.high != 0 && first.low != first.high);
}

static void the_hash_of_nothing_is_the_published_one(void **state)
{
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;

    (void)state;
    ferry_stream_hash_init(&hash);
    digest = ferry_stream_hash_digest(&hash);
    /* XXH3-128 of no bytes, as `xxh128sum` prints it. */
    assert_true(digest.high == 0x99aa06d3014798d8 && digest.low == 0x6001c324468d497f);
}

static void every_tag_has_a_name_of_its_own(void **state)
{
    uint32_t a, b;

    (void)state;
    for (a = 1; a < FERRY_REC_TAG_END; a++) {
        assert_string_not_equal(ferry_record_name(a), "?");
        for (b = 1; b < a; b++) {
            assert_string_not_equal(ferry_record_name(a), ferry_record_name(b));
        }
    }
    assert_string_equal(ferry_record_name(0), "?");
    assert_string_equal(ferry_record_name(FERRY_REC_TAG_END), "?");
    assert_string_equal(ferry_record_name(FERRY_REC_DEVICE_END), "DEVICE_END");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_laid_out_as_the_manual_says),
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(a_wrong_magic_is_refused),
        cmocka_unit_test(reserved_and_misplaced_flags_are_refused),
        cmocka_unit_test(an_unknown_record_is_skipped_only_when_it_is_optional),
        cmocka_unit_test(another_channel_is_refused),
        cmocka_unit_test(a_device_is_named_exactly_where_it_belongs),
        cmocka_unit_test(every_tag_keeps_its_size_limits),
        cmocka_unit_test(a_payload_without_room_for_its_fixed_part_is_refused),
        cmocka_unit_test(a_wrong_checksum_names_the_record),
        cmocka_unit_test(the_checksum_depends_on_payload_tag_device_and_flags),
        cmocka_unit_test(
            sums_and_hashes_do_not_depend_on_the_pieces_nor_on_where_they_live),
        cmocka_unit_test(the_hash_of_nothing_is_the_published_one),
        cmocka_unit_test(every_tag_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
