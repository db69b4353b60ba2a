/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/writer.h"
#include "ferry/show.h"
#include "host/file/check.h"
#include "test_host_mig_rig.h"

/*
 * Files that were cut, damaged or made by somebody: refused before a device is touched,
 * and explained by show without a crash.
 */

#define FILE_CAP (1u << 20)

static uint8_t file[2][FILE_CAP]; /* plain, packed */
static size_t file_bytes[2];
static int scratch = -1;

static size_t read_scratch(uint8_t *ret_data)
{
    ssize_t got = pread(scratch, ret_data, FILE_CAP, 0);

    assert_in_range(got, 500, FILE_CAP - 1);
    return (size_t)got;
}

static void write_scratch(const uint8_t *data, size_t bytes)
{
    assert_int_equal(ftruncate(scratch, 0), 0);
    assert_int_equal(pwrite(scratch, data, bytes, 0), bytes);
    assert_int_equal(lseek(scratch, 0, SEEK_SET), 0);
}

/* A small context's file, once plain and once packed. */
static int make_files(void **state)
{
    char path[] = "/tmp/ferry-bytes-XXXXXX";
    struct rig rig;

    (void)state;
    scratch = mkstemp(path);
    assert_true(scratch >= 0);
    assert_int_equal(unlink(path), 0);
    rig_open(&rig, NULL);
    rig_fill(&rig, 3);
    /* Few pages and short states that pack well: many small records, few bytes. */
    memset(rig.side[0].memory, 0, RIG_MEMORY_BYTES);
    memset(rig.side[0].memory + 8192, 0x33, 4096);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        memset(rig.side[0].device[i].bytes, 0x44, rig.side[0].device[i].size);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct ferry_save_options options = { .struct_size = sizeof(options),
                                              .compress = i };

        assert_int_equal(ftruncate(scratch, 0), 0);
        assert_int_equal(lseek(scratch, 0, SEEK_SET), 0);
        assert_int_equal(
            ferry_context_save_fd(rig.side[0].context, dup(scratch), &options, NULL),
            FERRY_OK);
        assert_int_equal(ferry_context_wait(rig.side[0].context, NULL), FERRY_OK);
        file_bytes[i] = read_scratch(file[i]);
    }
    rig_close(&rig);
    return 0;
}

static int close_scratch(void **state)
{
    (void)state;
    return close(scratch);
}

/* Everything that a restore does before it needs devices. */
static int check(const uint8_t *data, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_file_check *checker = malloc(sizeof(*checker));
    struct ferry_file_reader *reader = NULL;
    struct ferry_file_record record;
    int rc;

    assert_non_null(checker);
    write_scratch(data, bytes);
    assert_int_equal(ferry_file_reader_create(scratch, &reader), FERRY_OK);
    ferry_file_check_init(checker, FERRY_STREAM_SOURCE);
    while ((rc = ferry_file_reader_next(reader, &record, reterr)) == 1) {
        rc = ferry_file_check_record(checker, &record, reterr);
        if (rc < 0) {
            break;
        }
    }
    if (rc == 0) {
        rc = ferry_file_check_end(checker, ferry_file_reader_offset(reader), reterr);
    }
    ferry_file_reader_destroy(reader);
    free(checker);
    return rc;
}

static void ignore(void *user, const struct ferry_show_record *record)
{
    uint64_t *records = user;

    assert_true(record->field_count == 0 || record->field != NULL);
    ++*records;
}

static int show(const uint8_t *data, size_t bytes, struct ferry_show_summary *ret_summary)
{
    const struct ferry_show_ops ops = { .struct_size = sizeof(ops), .record = ignore };
    struct ferry_error error = { .code = FERRY_OK };
    uint64_t records = 0;
    int rc;

    write_scratch(data, bytes);
    rc = ferry_stream_show(scratch, &ops, &records, ret_summary, &error);
    assert_int_equal(rc, error.code);
    assert_int_equal(records, ret_summary->records);
    return rc;
}

static void whole_files_are_right(void **state)
{
    struct ferry_show_summary summary;
    struct ferry_error error;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        if (check(file[i], file_bytes[i], &error) != FERRY_OK) {
            fail_msg("%s %s", error.rule, error.text);
        }
        assert_int_equal(show(file[i], file_bytes[i], &summary), FERRY_OK);
        assert_int_equal(summary.is_file, 1);
        assert_int_equal(summary.version, 1);
        assert_int_equal(summary.device_count, RIG_DEVICES);
        assert_string_equal(summary.device_name[1], "dev1");
        assert_int_equal(summary.bad + summary.skipped_bytes, 0);
        assert_int_equal(summary.blocks > 0, i);
    }
    assert_true(file_bytes[1] < file_bytes[0] / 4);
}

/* Every byte where records are dense, some in between where one page is like another. */
static size_t next_byte(size_t at, size_t bytes, uint32_t packed)
{
    return packed || at < 900 || at + 500 > bytes ? at + 1 : at + 1499;
}

static void a_file_cut_at_any_byte_is_refused(void **state)
{
    struct ferry_show_summary summary;
    struct ferry_error error;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < file_bytes[i]; at = next_byte(at, file_bytes[i], i)) {
            error.code = FERRY_OK;
            if (check(file[i], at, &error) >= 0) {
                fail_msg("cut at %zu of %zu: taken", at, file_bytes[i]);
            }
            assert_string_equal(error.rule, "STR-END-2");
            assert_true(show(file[i], at, &summary) < 0);
        }
    }
}

static void a_file_with_any_byte_changed_is_refused(void **state)
{
    struct ferry_show_summary summary;
    struct ferry_error error;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        for (size_t at = 0; at < file_bytes[i]; at = next_byte(at, file_bytes[i], i)) {
            uint8_t mask = (uint8_t)(1u << at % 8);

            file[i][at] ^= mask;
            error.code = FERRY_OK;
            if (check(file[i], file_bytes[i], &error) >= 0) {
                fail_msg("byte %zu of %zu changed: taken", at, file_bytes[i]);
            }
            assert_true(error.rule[0] != '\0' && error.text[0] != '\0');
            assert_true(show(file[i], file_bytes[i], &summary) < 0);
            file[i][at] ^= mask;
        }
    }
}

static void show_goes_on_behind_a_damaged_record(void **state)
{
    struct ferry_show_summary whole, damaged;

    (void)state;
    assert_int_equal(show(file[0], file_bytes[0], &whole), FERRY_OK);
    /* In a payload: one record is wrong, and FILE_END sees that the file is. */
    file[0][70 + FERRY_RECORD_HEADER_BYTES] ^= 1;
    assert_int_equal(show(file[0], file_bytes[0], &damaged), FERRY_E_CORRUPT);
    file[0][70 + FERRY_RECORD_HEADER_BYTES] ^= 1;
    assert_int_equal(damaged.records, whole.records);
    assert_int_equal(damaged.bad, 2);
    /* In a magic: the record is gone, the next one is found. */
    file[0][64] ^= 1;
    assert_int_equal(show(file[0], file_bytes[0], &damaged), FERRY_E_PROTOCOL);
    file[0][64] ^= 1;
    assert_int_equal(damaged.records, whole.records - 1);
    assert_true(damaged.skipped_bytes > FERRY_RECORD_HEADER_BYTES);
    assert_int_equal(damaged.is_file, 1);
}

static void bytes_behind_the_end_are_refused(void **state)
{
    static uint8_t longer[FILE_CAP];
    struct ferry_error error;
    size_t bytes = file_bytes[0];

    (void)state;
    memcpy(longer, file[0], bytes);
    assert_true(check(longer, bytes + 1, &error) < 0);
    memcpy(longer + bytes, file[0], bytes);
    assert_int_equal(check(longer, 2 * bytes, &error), FERRY_E_PROTOCOL);
    assert_string_equal(error.rule, "STR-ORD-1");
    assert_int_equal(error.offset, bytes);
}

static void a_record_that_came_in_from_elsewhere_is_found(void **state)
{
    static const uint8_t nothing[1];
    static uint8_t longer[FILE_CAP];
    const size_t end = FERRY_RECORD_HEADER_BYTES + 32;
    struct ferry_show_summary summary;
    struct ferry_record record;
    struct ferry_error error;
    size_t at = file_bytes[0] - end;

    (void)state;
    /* An unknown optional record: no rule of the order or of a payload misses it. */
    memcpy(longer, file[0], at);
    ferry_record_seal(&record, 900, FERRY_RECORD_OPTIONAL, FERRY_NO_DEVICE, nothing, 0);
    ferry_record_encode(&record, longer + at);
    memcpy(longer + at + FERRY_RECORD_HEADER_BYTES, file[0] + at, end);
    assert_int_equal(check(longer, file_bytes[0] + FERRY_RECORD_HEADER_BYTES, &error),
                     FERRY_E_LONG);
    assert_string_equal(error.rule, "STR-END-3");
    assert_true(show(longer, file_bytes[0] + FERRY_RECORD_HEADER_BYTES, &summary) < 0);
    assert_int_equal(summary.tag[0].records, 1);
}

/* --- blocks that somebody made --- */

static size_t put_packed(uint8_t *ret_data, uint32_t method, uint32_t plain_bytes,
                         const void *body, size_t bytes)
{
    uint8_t payload[512];
    struct ferry_record record;
    struct ferry_writer writer;

    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_writer_u32(&writer, method);
    ferry_writer_u32(&writer, plain_bytes);
    ferry_writer_bytes(&writer, body, bytes);
    assert_false(writer.overflow);
    ferry_record_seal(&record, FERRY_REC_PACKED, 0, FERRY_NO_DEVICE, payload, writer.pos);
    ferry_record_encode(&record, ret_data);
    memcpy(ret_data + FERRY_RECORD_HEADER_BYTES, payload, writer.pos);
    return FERRY_RECORD_HEADER_BYTES + writer.pos;
}

static void blocks_that_are_not_what_they_say_are_refused(void **state)
{
    /* A frame of 16 MiB of zeros would be a block of 1 MiB and a lie. */
    static const uint8_t noise[] = { 0x28, 0xb5, 0x2f, 0xfd, 0xff, 0xff, 0xff, 0xff };
    static uint8_t data[4096];
    struct ferry_error error;
    size_t preamble = FERRY_RECORD_HEADER_BYTES + 32, bytes;

    (void)state;
    memcpy(data, file[0], preamble);
    bytes = preamble + put_packed(data + preamble, 1, 1u << 20, noise, sizeof(noise));
    assert_int_equal(check(data, bytes, &error), FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-PACK-2");
    bytes = preamble + put_packed(data + preamble, 1, (1u << 20) + 1, noise, 8);
    assert_int_equal(check(data, bytes, &error), FERRY_E_LIMIT);
    assert_string_equal(error.rule, "STR-PACK-1");
    /* A PREAMBLE in a block, and a block in a block. */
    bytes =
        preamble + put_packed(data + preamble, 0, (uint32_t)preamble, file[0], preamble);
    assert_int_equal(check(data, bytes, &error), FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-PACK-3");
    {
        uint8_t inner[256];
        size_t length = put_packed(inner, 0, 4, "abcd", 4);

        bytes =
            preamble + put_packed(data + preamble, 0, (uint32_t)length, inner, length);
        assert_int_equal(check(data, bytes, &error), FERRY_E_CORRUPT);
        assert_string_equal(error.rule, "STR-PACK-3");
    }
    /* A record that begins in a block and goes on outside of one. */
    bytes = preamble + put_packed(data + preamble, 0, 20, file[0] + preamble, 20);
    memcpy(data + bytes, file[0] + preamble, 400);
    assert_int_equal(check(data, bytes + 400, &error), FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-PACK-2");
}

static void blocks_may_be_cut_anywhere_and_mixed_with_plain_records(void **state)
{
    static uint8_t data[FILE_CAP];
    size_t preamble = FERRY_RECORD_HEADER_BYTES + 32;
    size_t end = file_bytes[0] - preamble, at = preamble, to = preamble;
    uint64_t records = 1;
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;
    struct ferry_stream_file_end file_end;
    struct ferry_record record;
    struct ferry_writer payload;
    struct ferry_error error;

    (void)state;
    memcpy(data, file[0], preamble);
    for (size_t n = 0; at < end; n++) {
        size_t bytes = 1 + n * 37 % 300;

        bytes = bytes < end - at ? bytes : end - at;
        to += put_packed(data + to, 0, (uint32_t)bytes, file[0] + at, bytes);
        at += bytes;
        records++;
        assert_true(to < FILE_CAP - 1000);
    }
    ferry_stream_hash_init(&hash);
    ferry_stream_hash_update(&hash, data, to);
    digest = ferry_stream_hash_digest(&hash);
    file_end = (struct ferry_stream_file_end){ records, to, digest.low, digest.high };
    ferry_writer_init(&payload, data + to + FERRY_RECORD_HEADER_BYTES, 32);
    ferry_stream_put_file_end(&payload, &file_end);
    ferry_record_seal(&record, FERRY_REC_FILE_END, 0, FERRY_NO_DEVICE, payload.data, 32);
    ferry_record_encode(&record, data + to);
    if (check(data, to + FERRY_RECORD_HEADER_BYTES + 32, &error) != FERRY_OK) {
        fail_msg("%s %s", error.rule, error.text);
    }
}

/* --- the devices --- */

static void a_refused_file_touches_no_device(void **state)
{
    static const size_t cuts[] = { 0, 40, 64, 500, 5000 };
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;
    struct ferry_context *context;

    (void)state;
    rig_open(&rig, NULL);
    context = rig.side[1].context;
    for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
        write_scratch(file[0], cuts[i]);
        assert_int_equal(ferry_context_restore_fd(context, dup(scratch), NULL, &error),
                         FERRY_E_SHORT);
        assert_string_equal(error.rule, "STR-END-2");
        assert_non_null(strstr(error.text, "record "));
        assert_int_equal(ferry_device_state(rig.side[1].device[0].device),
                         FERRY_STATE_RUNNING);
        assert_int_equal(rig.side[1].device[0].resets, 0);
    }
    write_scratch(file[1], file_bytes[1]);
    assert_int_equal(ferry_context_restore_fd(context, dup(scratch), NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_wait(context, NULL), FERRY_OK);
    assert_true(rig_runs(&rig, 1));
    rig_close(&rig);
}

static void a_file_of_other_devices_is_refused(void **state)
{
    struct rig_choice choice = { .models = { "a", "b" } };
    struct rig_choice fewer = { .device_count = 1 };
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;

    (void)state;
    write_scratch(file[0], file_bytes[0]);
    rig_open(&rig, &choice);
    assert_int_equal(
        ferry_context_restore_fd(rig.side[1].context, dup(scratch), NULL, &error),
        FERRY_E_INCOMPATIBLE);
    assert_int_equal(rig.side[1].device[0].resets, 0);
    rig_close(&rig);
    rig_open(&rig, &fewer);
    assert_int_equal(
        ferry_context_restore_fd(rig.side[1].context, dup(scratch), NULL, &error),
        FERRY_E_INCOMPATIBLE);
    rig_close(&rig);
}

static void a_file_that_changes_while_it_is_read_leaves_usable_devices(void **state)
{
    struct ferry_error error = { .code = FERRY_OK };
    struct rig rig;
    struct ferry_context *context;

    (void)state;
    rig_open(&rig, NULL);
    context = rig.side[1].context;
    write_scratch(file[0], file_bytes[0]);
    assert_int_equal(ferry_context_restore_fd(context, dup(scratch), NULL, &error),
                     FERRY_OK);
    /* It was checked; now the rest of it goes. */
    assert_int_equal(ftruncate(scratch, 90000), 0);
    assert_int_equal(ferry_context_wait(context, &error), FERRY_E_SHORT);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    write_scratch(file[0], file_bytes[0]);
    assert_int_equal(ferry_context_restore_fd(context, dup(scratch), NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_wait(context, NULL), FERRY_OK);
    assert_true(rig_runs(&rig, 1));
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_files_are_right),
        cmocka_unit_test(a_file_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_file_with_any_byte_changed_is_refused),
        cmocka_unit_test(show_goes_on_behind_a_damaged_record),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(a_record_that_came_in_from_elsewhere_is_found),
        cmocka_unit_test(blocks_that_are_not_what_they_say_are_refused),
        cmocka_unit_test(blocks_may_be_cut_anywhere_and_mixed_with_plain_records),
        cmocka_unit_test(a_refused_file_touches_no_device),
        cmocka_unit_test(a_file_of_other_devices_is_refused),
        cmocka_unit_test(a_file_that_changes_while_it_is_read_leaves_usable_devices),
    };

    return cmocka_run_group_tests(tests, make_files, close_scratch);
}
