/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "payload_check.h"

static struct ferry_stream_pages pages;

/* Only the prefix is looked at: the pages may be anywhere. */
static int get_pages(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_pages(payload, bytes < 16 ? bytes : bytes + 4096, &pages,
                                  reterr);
}

static void pages_need_their_prefix_only(void **state)
{
    struct ferry_stream_pages in = { 63, 0, 0x5000, 0 };
    struct ferry_error error;
    size_t bytes;

    (void)state;
    begin();
    ferry_stream_put_pages(&writer, &in);
    assert_int_equal(writer.pos, FERRY_STREAM_PREFIX_BYTES);
    assert_int_equal(decode(get_pages, memory, 16, &error), FERRY_OK);
    assert_true(pages.memory == 63 && pages.off == 0x5000 && pages.bytes == 4096);
    for (bytes = 0; bytes < 16; bytes++) {
        assert_int_equal(decode(get_pages, memory, bytes, &error), FERRY_E_SHORT);
    }
    assert_int_equal(ferry_stream_get_pages(memory, 16, &pages, &error), FERRY_E_ALIGN);
    assert_int_equal(ferry_stream_get_pages(memory, 16 + 4095, &pages, &error),
                     FERRY_E_ALIGN);
    assert_int_equal(
        ferry_stream_get_pages(memory, 16 + FERRY_RECORD_DATA_MAX, &pages, &error),
        FERRY_OK);
    assert_int_equal(
        ferry_stream_get_pages(memory, 16 + FERRY_RECORD_DATA_MAX + 4096, &pages, &error),
        FERRY_E_LIMIT);
    refuse_u32(get_pages, 0, 64, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_pages, 4, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_pages, 8, 0x5001, FERRY_E_ALIGN, "STR-PAY-5");
    in.off = 0xfffffffffffff000;
    begin();
    ferry_stream_put_pages(&writer, &in);
    assert_int_equal(get_pages(memory, 16, &error), FERRY_E_RANGE);
}

static struct ferry_stream_zero zero;

static int get_zero(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_zero(payload, bytes, &zero, reterr);
}

static void a_zero_range_is_read_back_or_refused(void **state)
{
    struct ferry_stream_zero in = { 1, 0, 0x1000, 0x7000 };

    (void)state;
    begin();
    ferry_stream_put_zero(&writer, &in);
    check_length(get_zero);
    assert_memory_equal(&zero, &in, sizeof(in));
    refuse_u32(get_zero, 0, 64, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_zero, 8, 1, FERRY_E_ALIGN, "STR-PAY-5");
    refuse_u32(get_zero, 16, 0x1001000, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_zero, 16, 0, FERRY_E_ALIGN, "STR-PAY-5");
    memset(memory + 16, 0, 8);
    memset(memory + 18, 0xff, 6);
    refuse_u32(get_zero, 16, 0xfffff000, FERRY_E_RANGE, "STR-PAY-5");
}

static struct ferry_stream_memory_end memory_end;

static int get_memory_end(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_memory_end(payload, bytes, &memory_end, reterr);
}

static struct ferry_stream_device_end device_end;

static int get_device_end(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_device_end(payload, bytes, &device_end, reterr);
}

static void end_records_are_read_back_or_refused(void **state)
{
    struct ferry_stream_memory_end m = { 1, 2 };
    struct ferry_stream_device_end d = { 3, 4, 5 };

    (void)state;
    begin();
    ferry_stream_put_memory_end(&writer, &m);
    check_length(get_memory_end);
    assert_memory_equal(&memory_end, &m, sizeof(m));
    begin();
    ferry_stream_put_device_end(&writer, &d);
    check_length(get_device_end);
    assert_memory_equal(&device_end, &d, sizeof(d));
}

static int get_packed(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_stream_packed packed;

    return ferry_stream_get_packed(payload, bytes, &packed, reterr);
}

static void what_a_packed_record_may_stand_for_is_bounded(void **state)
{
    struct ferry_stream_packed packed = { FERRY_STREAM_ZSTD, 4096, 0 };
    struct ferry_stream_packed came;
    struct ferry_error error;

    (void)state;
    begin();
    ferry_stream_put_packed(&writer, &packed);
    ferry_writer_zero(&writer, 100);
    assert_int_equal(ferry_stream_get_packed(memory, writer.pos, &came, &error),
                     FERRY_OK);
    assert_int_equal(came.bytes, 100);
    assert_int_equal(came.plain_bytes, 4096);
    refuse_u32(get_packed, 0, 2, FERRY_E_UNSUPPORTED, "STR-PACK-1");
    refuse_u32(get_packed, 4, FERRY_RECORD_PLAIN_MAX + 1, FERRY_E_LIMIT, "STR-PACK-1");
    refuse_u32(get_packed, 4, 99, FERRY_E_LONG, "STR-PACK-1");
    refuse_u32(get_packed, 4, 0, FERRY_E_PROTOCOL, "STR-PACK-1");
    refuse_u32(get_packed, 0, FERRY_STREAM_STORED, FERRY_E_LONG, "STR-PACK-1");
}

static struct ferry_stream_file_end file_end;

static int get_file_end(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_file_end(payload, bytes, &file_end, reterr);
}

static void a_file_that_is_not_what_its_end_says_is_found(void **state)
{
    struct ferry_stream_file_end end = { .records = 3, .bytes = 5 };
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;
    struct ferry_error error;

    (void)state;
    ferry_stream_hash_init(&hash);
    ferry_stream_hash_update(&hash, "state", 5);
    digest = ferry_stream_hash_digest(&hash);
    end.hash_low = digest.low;
    end.hash_high = digest.high;
    begin();
    ferry_stream_put_file_end(&writer, &end);
    check_length(get_file_end);
    assert_memory_equal(&file_end, &end, sizeof(end));
    assert_int_equal(ferry_stream_check_file_end(&end, 3, 5, &hash, &error), FERRY_OK);
    assert_int_equal(ferry_stream_check_file_end(&end, 2, 5, &hash, &error),
                     FERRY_E_SHORT);
    assert_int_equal(ferry_stream_check_file_end(&end, 4, 5, &hash, &error),
                     FERRY_E_LONG);
    assert_int_equal(ferry_stream_check_file_end(&end, 3, 4, &hash, &error),
                     FERRY_E_SHORT);
    end.hash_high ^= 1;
    assert_int_equal(ferry_stream_check_file_end(&end, 3, 5, &hash, &error),
                     FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-END-3");
    end.hash_high ^= 1;
    end.hash_low ^= 1;
    assert_int_equal(ferry_stream_check_file_end(&end, 3, 5, &hash, &error),
                     FERRY_E_CORRUPT);
}

static void short_long_and_changed_device_data_is_found(void **state)
{
    struct ferry_stream_hash hash;
    struct ferry_stream_digest digest;
    struct ferry_stream_device_end end;
    struct ferry_error error;

    (void)state;
    ferry_stream_hash_init(&hash);
    ferry_stream_hash_update(&hash, "state", 5);
    digest = ferry_stream_hash_digest(&hash);
    end.bytes = 5;
    end.hash_low = digest.low;
    end.hash_high = digest.high;
    assert_int_equal(ferry_stream_check_device_end(&end, 2, 5, &hash, &error), FERRY_OK);
    assert_int_equal(ferry_stream_check_device_end(&end, 2, 4, &hash, &error),
                     FERRY_E_SHORT);
    assert_int_equal(ferry_stream_check_device_end(&end, 2, 6, &hash, &error),
                     FERRY_E_LONG);
    end.hash_high ^= 1;
    assert_int_equal(ferry_stream_check_device_end(&end, 2, 5, &hash, &error),
                     FERRY_E_CORRUPT);
    assert_string_equal(error.rule, "STR-END-1");
    assert_non_null(strstr(error.text, "device 2"));
    end.hash_high ^= 1;
    end.hash_low ^= 1;
    assert_int_equal(ferry_stream_check_device_end(&end, 2, 5, &hash, &error),
                     FERRY_E_CORRUPT);
}

static struct ferry_stream_config config;

static int get_config(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_config(payload, bytes, &config, reterr);
}

static void the_largest_and_the_empty_configuration_are_read_back(void **state)
{
    static uint8_t space[4096] = "config space", table[2048 * 16] = "table";
    struct ferry_stream_config in = { space, 4096, 2048, table, 2048, 0 };
    struct ferry_error error;

    (void)state;
    begin();
    ferry_stream_put_config(&writer, &in);
    assert_false(writer.overflow);
    assert_true(writer.pos <= FERRY_RECORD_CONTROL_MAX);
    assert_int_equal(get_config(memory, writer.pos, &error), FERRY_OK);
    assert_true(config.config_bytes == 4096 && config.msix_entries == 2048);
    assert_int_equal(config.vectors, 2048);
    assert_memory_equal(config.config, space, sizeof(space));
    assert_memory_equal(config.msix, table, sizeof(table));
    begin();
    in.config_bytes = in.msix_entries = in.vectors = 0;
    ferry_stream_put_config(&writer, &in);
    assert_int_equal(writer.pos, 0);
    assert_int_equal(decode(get_config, memory, 0, &error), FERRY_OK);
    assert_int_equal(config.config_bytes, 0);
}

static void parts_of_a_configuration_are_judged_one_by_one(void **state)
{
    static uint8_t bytes[32];
    struct ferry_stream_config in = { bytes, 8, 1, bytes, 3, 0 };
    struct ferry_error error;
    size_t cut;

    (void)state;
    begin();
    ferry_stream_put_config(&writer, &in); /* parts at 0, 16 and 40; 52 bytes */
    assert_int_equal(writer.pos, 52);
    assert_int_equal(decode(get_config, memory, 52, &error), FERRY_OK);
    for (cut = 1; cut < 52; cut++) {
        int whole = cut == 16 || cut == 40;

        assert_int_equal(decode(get_config, memory, cut, &error),
                         whole ? FERRY_OK : FERRY_E_SHORT);
    }
    refuse_u32(get_config, 0, 4, FERRY_E_PROTOCOL, "STR-PAY-6");       /* unknown part */
    refuse_u32(get_config, 0, 0x10001, FERRY_E_PROTOCOL, "STR-PAY-2"); /* reserved */
    refuse_u32(get_config, 16, 1, FERRY_E_PROTOCOL, "STR-PAY-6");      /* twice */
    refuse_u32(get_config, 0, 3, FERRY_E_PROTOCOL, "STR-PAY-6");       /* of 8 bytes */
    refuse_u32(get_config, 48, 2049, FERRY_E_LIMIT, "STR-PAY-3");      /* vectors */
    refuse_u32(get_config, 4, 0xffffffff, FERRY_E_SHORT, "STR-PAY-1");
    refuse_u32(get_config, 4, 0, FERRY_E_PROTOCOL, "STR-PAY-2");   /* empty part */
    refuse_u32(get_config, 20, 15, FERRY_E_PROTOCOL, "STR-PAY-3"); /* part of an entry */
    begin();
    ferry_writer_u32(&writer, 1);
    ferry_writer_u32(&writer, 4097);
    ferry_writer_zero(&writer, 4097);
    assert_int_equal(decode(get_config, memory, writer.pos, &error), FERRY_E_LIMIT);
    begin();
    ferry_writer_u32(&writer, 2);
    ferry_writer_u32(&writer, 2049 * 16);
    ferry_writer_zero(&writer, 2049 * 16);
    assert_int_equal(decode(get_config, memory, writer.pos, &error), FERRY_E_LIMIT);
}

static struct ferry_stream_irqs irqs;

static int get_irqs(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_irqs(payload, bytes, &irqs, reterr);
}

static void vectors_are_ascending_and_exist(void **state)
{
    struct ferry_stream_irqs in = { 3, { 0, 7, 2047 } };

    (void)state;
    begin();
    ferry_stream_put_irqs(&writer, &in);
    check_length(get_irqs);
    assert_memory_equal(&irqs, &in, sizeof(in));
    refuse_u32(get_irqs, 0, 2049, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_irqs, 4, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_irqs, 8, 0x00070007, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_irqs, 8, 0x00010002, FERRY_E_PROTOCOL, "STR-PAY-6");
    memory[12] = 0;
    memory[13] = 8; /* 2048 */
    refuse_u32(get_irqs, 8, 0x00070000, FERRY_E_LIMIT, "STR-PAY-3");
}

static struct ferry_stream_vmm vmm;

static void pieces_of_a_vmms_state_lie_inside_its_total(void **state)
{
    struct ferry_stream_vmm in = { 100, 60, 0 };
    struct ferry_error error;
    size_t cut;

    (void)state;
    begin();
    ferry_stream_put_vmm(&writer, &in);
    assert_int_equal(ferry_stream_get_vmm(memory, 16 + 40, &vmm, &error), FERRY_OK);
    assert_true(vmm.total == 100 && vmm.off == 60 && vmm.bytes == 40);
    assert_int_equal(ferry_stream_get_vmm(memory, 16 + 41, &vmm, &error), FERRY_E_RANGE);
    assert_int_equal(ferry_stream_get_vmm(memory, 16, &vmm, &error), FERRY_E_PROTOCOL);
    for (cut = 0; cut < 16; cut++) {
        assert_int_equal(ferry_stream_get_vmm(memory, cut, &vmm, &error), FERRY_E_SHORT);
    }
    memset(memory + 8, 0xff, 8);
    assert_int_equal(ferry_stream_get_vmm(memory, 17, &vmm, &error), FERRY_E_RANGE);
    memset(memory, 0xff, 8);
    assert_int_equal(ferry_stream_get_vmm(memory, 17, &vmm, &error), FERRY_E_LIMIT);
    memset(memory, 0, 16);
    assert_int_equal(ferry_stream_get_vmm(memory, 16, &vmm, &error), FERRY_OK);
}

static void what_has_no_payload_gets_none(void **state)
{
    struct ferry_error error;

    (void)state;
    assert_int_equal(ferry_stream_get_empty(FERRY_REC_ALL_SENT, 0, &error), FERRY_OK);
    assert_int_equal(ferry_stream_get_empty(FERRY_REC_ALL_SENT, 1, &error), FERRY_E_LONG);
    assert_non_null(strstr(error.text, "ALL_SENT"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_need_their_prefix_only),
        cmocka_unit_test(a_zero_range_is_read_back_or_refused),
        cmocka_unit_test(end_records_are_read_back_or_refused),
        cmocka_unit_test(what_a_packed_record_may_stand_for_is_bounded),
        cmocka_unit_test(a_file_that_is_not_what_its_end_says_is_found),
        cmocka_unit_test(short_long_and_changed_device_data_is_found),
        cmocka_unit_test(the_largest_and_the_empty_configuration_are_read_back),
        cmocka_unit_test(parts_of_a_configuration_are_judged_one_by_one),
        cmocka_unit_test(vectors_are_ascending_and_exist),
        cmocka_unit_test(pieces_of_a_vmms_state_lie_inside_its_total),
        cmocka_unit_test(what_has_no_payload_gets_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
