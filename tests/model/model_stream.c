/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/reader.h"
#include "ferry/access.h"
#include "stream_sample.h"

/* Of a source, of a target, and the source's as a file. */
#define SAMPLES 3u
#define SAMPLE_FILE 2u
static uint8_t sample[SAMPLES][SAMPLE_CAP];
static size_t sample_bytes[SAMPLES];

static int build(void **state)
{
    struct ferry_writer writer;

    (void)state;
    ferry_writer_init(&writer, sample[FERRY_STREAM_SOURCE], SAMPLE_CAP);
    sample_source(&writer);
    sample_bytes[FERRY_STREAM_SOURCE] = writer.pos;
    assert_false(writer.overflow);
    ferry_writer_init(&writer, sample[FERRY_STREAM_TARGET], SAMPLE_CAP);
    sample_target(&writer);
    sample_bytes[FERRY_STREAM_TARGET] = writer.pos;
    assert_false(writer.overflow);
    /* A file ends with FILE_END where a connection has COMMIT. */
    ferry_writer_init(&writer, sample[SAMPLE_FILE], SAMPLE_CAP);
    ferry_writer_bytes(&writer, sample[FERRY_STREAM_SOURCE],
                       sample_bytes[FERRY_STREAM_SOURCE] - FERRY_RECORD_HEADER_BYTES -
                           24);
    sample_file_end(&writer, 25);
    sample_bytes[SAMPLE_FILE] = writer.pos;
    assert_false(writer.overflow);
    return 0;
}

static int walk_side(uint32_t side, const uint8_t *data, size_t size,
                     struct walk *ret_walk, struct ferry_error *reterr)
{
    memset(ret_walk, 0, sizeof(*ret_walk));
    ret_walk->side = side == FERRY_STREAM_TARGET ? side : FERRY_STREAM_SOURCE;
    ret_walk->one_way = side == SAMPLE_FILE;
    ret_walk->sent = side == SAMPLE_FILE ? 0 : sample_sent(side);
    return walk_stream(ret_walk, data, size, reterr);
}

static int is_a_rule(const char *id)
{
    const struct ferry_rule *rule;
    size_t i;

    for (i = 0; (rule = ferry_rule_get(i)) != NULL; i++) {
        if (strcmp(rule->id, id) == 0) {
            return 1;
        }
    }
    return 0;
}

/* A refusal says what, where and by which rule; "test" are this test's own. */
static void check_refusal(int rc, const struct ferry_error *error)
{
    assert_true(rc < 0);
    assert_int_equal(error->code, rc);
    assert_true(error->text[0] != '\0');
    if (strcmp(error->layer, "test") != 0) {
        assert_string_equal(error->layer, "stream");
        assert_true(is_a_rule(error->rule));
    }
}

static void all_samples_are_read_whole(void **state)
{
    struct ferry_error error;
    struct walk walk;

    (void)state;
    if (walk_side(FERRY_STREAM_SOURCE, sample[0], sample_bytes[0], &walk, &error)) {
        fail_msg("%s %s", error.rule, error.text);
    }
    assert_int_equal(walk.records, 26);
    assert_int_equal(walk.skipped, 1);
    if (walk_side(FERRY_STREAM_TARGET, sample[1], sample_bytes[1], &walk, &error)) {
        fail_msg("%s %s", error.rule, error.text);
    }
    assert_int_equal(walk.records, 6);
    if (walk_side(SAMPLE_FILE, sample[2], sample_bytes[2], &walk, &error)) {
        fail_msg("%s %s", error.rule, error.text);
    }
    assert_int_equal(walk.records, 26);
}

static void the_end_of_a_file_is_none_of_a_connection(void **state)
{
    struct ferry_error error;
    struct walk walk;

    (void)state;
    assert_int_equal(walk_side(FERRY_STREAM_SOURCE, sample[SAMPLE_FILE],
                               sample_bytes[SAMPLE_FILE], &walk, &error),
                     FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-1");
}

static void a_file_of_which_a_whole_record_is_gone_is_refused(void **state)
{
    const size_t end = FERRY_RECORD_HEADER_BYTES + 32;
    static uint8_t shorter[SAMPLE_CAP];
    struct ferry_error error;
    struct walk walk;
    size_t bytes = sample_bytes[SAMPLE_FILE], first = 0, optional = 0;

    (void)state;
    /* The unknown optional record: no rule of the order misses it. */
    while (optional == 0) {
        const uint8_t *header = sample[SAMPLE_FILE] + first;

        if (ferry_load_le16(header + 4) == 900) {
            optional = FERRY_RECORD_HEADER_BYTES + (size_t)ferry_load_le64(header + 16);
        } else {
            first += FERRY_RECORD_HEADER_BYTES + (size_t)ferry_load_le64(header + 16);
        }
    }
    memcpy(shorter, sample[SAMPLE_FILE], first);
    memcpy(shorter + first, sample[SAMPLE_FILE] + first + optional,
           bytes - first - optional);
    assert_int_equal(walk_side(SAMPLE_FILE, shorter, bytes - optional, &walk, &error),
                     FERRY_E_SHORT);
    assert_string_equal(error.rule, "STR-END-3");
    assert_int_equal(error.offset, bytes - optional - end);
}

static void a_stream_cut_at_any_byte_is_refused(void **state)
{
    struct ferry_error error;
    struct walk walk;
    uint32_t side;
    size_t size;

    (void)state;
    for (side = 0; side < SAMPLES; side++) {
        for (size = 0; size < sample_bytes[side]; size++) {
            check_refusal(walk_side(side, sample[side], size, &walk, &error), &error);
        }
    }
}

static void a_stream_with_any_bit_flipped_is_refused(void **state)
{
    struct ferry_error error;
    struct walk walk;
    uint32_t side;
    size_t bit;

    (void)state;
    for (side = 0; side < SAMPLES; side++) {
        for (bit = 0; bit < sample_bytes[side] * 8; bit++) {
            uint8_t mask = (uint8_t)(1u << bit % 8);
            int rc;

            sample[side][bit / 8] ^= mask;
            rc = walk_side(side, sample[side], sample_bytes[side], &walk, &error);
            sample[side][bit / 8] ^= mask;
            if (rc >= 0) {
                fail_msg("stream %u: flipped bit %zu of byte %zu was not noticed", side,
                         bit % 8, bit / 8);
            }
            check_refusal(rc, &error);
        }
    }
}

/* With right checksums: the decoders alone must stand any content. */
static void any_byte_changed_behind_a_right_checksum_never_crashes(void **state)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    struct ferry_error error;
    uint32_t side;
    size_t i, v;

    (void)state;
    for (side = 0; side < 2; side++) {
        for (i = 0; i < sample_bytes[side]; i++) {
            uint8_t old = sample[side][i];

            for (v = 0; v < sizeof(values); v++) {
                struct walk walk = { .side = side,
                                     .sent = sample_sent(side),
                                     .lenient = 1 };
                int rc;

                sample[side][i] = values[v];
                rc = walk_stream(&walk, sample[side], sample_bytes[side], &error);
                assert_true(walk.end <= sample_bytes[side]);
                if (rc != FERRY_OK) {
                    check_refusal(rc, &error);
                }
            }
            sample[side][i] = old;
        }
    }
}

static void bytes_after_the_end_are_refused(void **state)
{
    static uint8_t longer[SAMPLE_CAP + 64];
    struct ferry_error error;
    struct ferry_writer writer;
    struct walk walk;

    (void)state;
    memcpy(longer, sample[0], sample_bytes[0]);
    ferry_writer_init(&writer, longer + sample_bytes[0], 64);
    sample_record(&writer, FERRY_REC_ALL_SENT, 0, FERRY_NO_DEVICE, "", 0);
    assert_int_equal(walk_side(FERRY_STREAM_SOURCE, longer, sample_bytes[0] + writer.pos,
                               &walk, &error),
                     FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-1");
    assert_int_equal(error.offset, sample_bytes[0]);
}

static size_t read_file(const char *name, uint8_t *ret_data, size_t cap)
{
    char path[512];
    FILE *file;
    size_t size;

    (void)snprintf(path, sizeof(path), "%s/%s", FERRY_GOLDEN, name);
    file = fopen(path, "rb");
    assert_non_null(file);
    size = fread(ret_data, 1, cap, file);
    assert_int_equal(fclose(file), 0);
    return size;
}

/* Streams of this version that were written once and never again: see the corpus. */
static void streams_written_by_version_1_are_read_and_written_the_same(void **state)
{
    static const char *const names[2] = { "source-v1", "target-v1" };
    static uint8_t golden[SAMPLE_CAP];
    struct ferry_error error;
    struct walk walk;
    uint32_t side;

    (void)state;
    for (side = 0; side < 2; side++) {
        size_t size = read_file(names[side], golden, sizeof(golden));

        assert_int_equal(size, sample_bytes[side] + 1);
        assert_int_equal(golden[0], side);
        assert_memory_equal(golden + 1, sample[side], size - 1);
        assert_int_equal(walk_side(side, golden + 1, size - 1, &walk, &error), FERRY_OK);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_samples_are_read_whole),
        cmocka_unit_test(the_end_of_a_file_is_none_of_a_connection),
        cmocka_unit_test(a_file_of_which_a_whole_record_is_gone_is_refused),
        cmocka_unit_test(a_stream_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_stream_with_any_bit_flipped_is_refused),
        cmocka_unit_test(any_byte_changed_behind_a_right_checksum_never_crashes),
        cmocka_unit_test(bytes_after_the_end_are_refused),
        cmocka_unit_test(streams_written_by_version_1_are_read_and_written_the_same),
    };

    return cmocka_run_group_tests(tests, build, NULL);
}
