/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/stream/payload.h"

/* Every decoder behind one signature; the result is compared by the round trip. */
typedef int get_function(const void *payload, size_t bytes, struct ferry_error *reterr);

static uint8_t memory[FERRY_RECORD_CONTROL_MAX];
static struct ferry_writer writer;

static void begin(void)
{
    memset(memory, 0, sizeof(memory));
    ferry_writer_init(&writer, memory, sizeof(memory));
}

/* Payloads in memory of their very size, so that a sanitizer sees a read past the end. */
static int decode(get_function *get, const uint8_t *payload, size_t bytes,
                  struct ferry_error *reterr)
{
    uint8_t *exact = malloc(bytes ? bytes : 1);
    int rc;

    assert_non_null(exact);
    memcpy(exact, payload, bytes);
    rc = get(exact, bytes, reterr);
    free(exact);
    return rc;
}

/* Too short by any number of bytes, and too long by one, is refused by STR-PAY-1. */
static void check_length(get_function *get)
{
    struct ferry_error error;
    size_t bytes;

    assert_false(writer.overflow);
    assert_int_equal(decode(get, memory, writer.pos, &error), FERRY_OK);
    for (bytes = 0; bytes < writer.pos; bytes++) {
        assert_int_equal(decode(get, memory, bytes, &error), FERRY_E_SHORT);
        assert_string_equal(error.rule, "STR-PAY-1");
    }
    assert_int_equal(decode(get, memory, writer.pos + 1, &error), FERRY_E_LONG);
    assert_string_equal(error.rule, "STR-PAY-1");
    assert_int_equal(error.offset, writer.pos);
}

/* One 32-bit value at off replaced: the refusal and where it points. */
static void refuse_u32(get_function *get, size_t off, uint32_t value, int code,
                       const char *rule)
{
    struct ferry_error error;
    uint8_t old[4];

    memcpy(old, memory + off, 4);
    ferry_store_le32(memory + off, value);
    assert_int_equal(decode(get, memory, writer.pos, &error), code);
    assert_string_equal(error.rule, rule);
    assert_string_equal(error.layer, "stream");
    if (strcmp(rule, "STR-PAY-1") != 0) {
        assert_true(error.offset <= off + 4);
    }
    memcpy(memory + off, old, 4);
}

static struct ferry_stream_preamble preamble;

static int get_preamble(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_preamble(payload, bytes, &preamble, reterr);
}

static void a_preamble_is_read_back_or_refused(void **state)
{
    struct ferry_stream_preamble in = { 1, 1, "session id 1234", 9 };

    (void)state;
    begin();
    ferry_stream_put_preamble(&writer, &in);
    check_length(get_preamble);
    assert_memory_equal(&preamble, &in, sizeof(in));
    refuse_u32(get_preamble, 28, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_preamble, 4, 0, FERRY_E_PROTOCOL, "STR-VER-1");
    refuse_u32(get_preamble, 4, 2, FERRY_E_PROTOCOL, "STR-VER-1");
    refuse_u32(get_preamble, 0, 0, FERRY_E_PROTOCOL, "STR-VER-1");
}

static void a_newer_writer_is_read_when_it_still_knows_our_version(void **state)
{
    struct ferry_stream_preamble in = { 9, FERRY_STREAM_VERSION, "", 0 };
    struct ferry_error error;

    (void)state;
    assert_int_equal(ferry_stream_common_version(&in), FERRY_STREAM_VERSION);
    begin();
    ferry_stream_put_preamble(&writer, &in);
    assert_int_equal(get_preamble(memory, writer.pos, &error), FERRY_OK);
    in.version_min = FERRY_STREAM_VERSION + 1;
    assert_int_equal(ferry_stream_common_version(&in), 0);
    begin();
    ferry_stream_put_preamble(&writer, &in);
    assert_int_equal(get_preamble(memory, writer.pos, &error), FERRY_E_VERSION);
    assert_string_equal(error.rule, "STR-VER-1");
}

static struct ferry_stream_hello_device device;

static int get_device(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_hello_device(payload, bytes, &device, reterr);
}

static struct ferry_stream_hello_device sample_device(void)
{
    struct ferry_stream_hello_device in = {
        .name = "copy0",
        .features = 7,
        .can_log = 1,
        .reaches_peer = 1,
        .peer = 31,
        .identity = { .model = "copy",
                      .state_version = 3,
                      .state_version_min = 2,
                      .pci_vendor = 1,
                      .pci_device = 2,
                      .pci_subvendor = 3,
                      .pci_subdevice = 4,
                      .pci_class = 5,
                      .migration_flags = 7,
                      .key_count = 2,
                      .doorbell_latch = 1,
                      .quiet_ns = 6,
                      .stop_ns = 7,
                      .load_ns = 8,
                      .run_ns = 9,
                      .key = { { "a", FERRY_KEY_EQUAL, 0, 10 },
                               { "b.c-d_2", FERRY_KEY_SUPERSET, 0, UINT64_MAX } } },
    };

    return in;
}

static void a_device_is_read_back_or_refused(void **state)
{
    struct ferry_stream_hello_device in = sample_device();

    (void)state;
    begin();
    ferry_stream_put_hello_device(&writer, &in);
    assert_int_equal(writer.pos, 144 + 2 * 48);
    check_length(get_device);
    assert_memory_equal(&device, &in, sizeof(in));
    refuse_u32(get_device, 32, 8, FERRY_E_PROTOCOL, "STR-PAY-6");  /* features */
    refuse_u32(get_device, 36, 2, FERRY_E_PROTOCOL, "STR-PAY-2");  /* can_log */
    refuse_u32(get_device, 40, 2, FERRY_E_PROTOCOL, "STR-PAY-2");  /* reaches_peer */
    refuse_u32(get_device, 44, 32, FERRY_E_PROTOCOL, "STR-PAY-3"); /* peer */
    refuse_u32(get_device, 40, 0, FERRY_E_PROTOCOL, "STR-PAY-3");  /* a peer, unreached */
    refuse_u32(get_device, 100, 9, FERRY_E_PROTOCOL, "STR-PAY-6"); /* migration flags */
    refuse_u32(get_device, 104, 17, FERRY_E_LIMIT, "STR-PAY-3");   /* key count */
    refuse_u32(get_device, 104, 1, FERRY_E_LONG, "STR-PAY-1");
    refuse_u32(get_device, 104, 3, FERRY_E_SHORT, "STR-PAY-1");
    refuse_u32(get_device, 108, 2, FERRY_E_PROTOCOL, "STR-PAY-2"); /* doorbell latch */
    refuse_u32(get_device, 116, 1u << 31, FERRY_E_LIMIT, "STR-PAY-3");  /* quiet_ns */
    refuse_u32(get_device, 144 + 32, 0, FERRY_E_PROTOCOL, "STR-PAY-6"); /* relation */
    refuse_u32(get_device, 144 + 32, 4, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_device, 144 + 36, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_device, 144, 0, FERRY_E_PROTOCOL, "STR-PAY-4"); /* nameless key */
    refuse_u32(get_device, 0, 0, FERRY_E_PROTOCOL, "STR-PAY-4");
}

static void names_of_a_peer_are_printable_and_end(void **state)
{
    static const size_t fields[] = { 0, 48, 144 };
    struct ferry_stream_hello_device in = sample_device();
    struct ferry_error error;
    size_t f;
    int c;

    (void)state;
    for (f = 0; f < 3; f++) {
        for (c = 1; c < 256; c++) {
            begin();
            ferry_stream_put_hello_device(&writer, &in);
            memory[fields[f]] = (uint8_t)c;
            if (c >= 0x20 && c <= 0x7e) {
                assert_int_equal(get_device(memory, writer.pos, &error), FERRY_OK);
            } else {
                assert_int_equal(get_device(memory, writer.pos, &error),
                                 FERRY_E_PROTOCOL);
                assert_string_equal(error.rule, "STR-PAY-4");
                assert_int_equal(error.offset, fields[f]);
            }
        }
        begin();
        ferry_stream_put_hello_device(&writer, &in);
        memset(memory + fields[f], 'a', 32);
        assert_int_equal(get_device(memory, writer.pos, &error), FERRY_E_PROTOCOL);
        assert_non_null(strstr(error.text, "not terminated"));
        memset(memory + fields[f] + 1, 0, 31);
        memory[fields[f] + 20] = 'x';
        assert_int_equal(get_device(memory, writer.pos, &error), FERRY_E_PROTOCOL);
        assert_int_equal(error.offset, fields[f] + 20);
    }
}

static void what_lies_behind_a_name_in_memory_is_not_sent(void **state)
{
    struct ferry_stream_hello_device in = sample_device();

    (void)state;
    memcpy(in.name, "ab\0secret", 10);
    begin();
    ferry_stream_put_hello_device(&writer, &in);
    assert_memory_equal(memory, "ab\0\0\0\0\0\0\0\0", 10);
}

static struct ferry_stream_hello_memory region;

static int get_memory(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_hello_memory(payload, bytes, &region, reterr);
}

static void a_memory_region_is_read_back_or_refused(void **state)
{
    struct ferry_stream_hello_memory in = { 63, 1, 0xfffffffffffff000, 0 };
    struct ferry_error error;

    (void)state;
    begin();
    ferry_stream_put_hello_memory(&writer, &in);
    assert_int_equal(get_memory(memory, writer.pos, &error), FERRY_E_ALIGN);
    in.size = 4096; /* its end would be 2^64 */
    begin();
    ferry_stream_put_hello_memory(&writer, &in);
    assert_int_equal(get_memory(memory, writer.pos, &error), FERRY_E_RANGE);
    assert_string_equal(error.rule, "STR-PAY-5");
    in.iova = 0x10000;
    begin();
    ferry_stream_put_hello_memory(&writer, &in);
    check_length(get_memory);
    assert_memory_equal(&region, &in, sizeof(in));
    refuse_u32(get_memory, 0, 64, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_memory, 4, 2, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_memory, 8, 0x10001, FERRY_E_ALIGN, "STR-PAY-5");
    refuse_u32(get_memory, 16, 4095, FERRY_E_ALIGN, "STR-PAY-5");
}

static struct ferry_stream_hello hello;

static int get_hello(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_hello(payload, bytes, &hello, reterr);
}

static void a_hello_is_read_back_or_refused(void **state)
{
    struct ferry_stream_hello in = { 32, 64, 16384, 1, 1, 2, 3, 8640000000000000ull };

    (void)state;
    begin();
    ferry_stream_put_hello(&writer, &in);
    check_length(get_hello);
    assert_memory_equal(&hello, &in, sizeof(in));
    refuse_u32(get_hello, 0, 0, FERRY_E_PROTOCOL, "STR-PAY-3");
    refuse_u32(get_hello, 0, 33, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_hello, 4, 65, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_hello, 8, 2048, FERRY_E_ALIGN, "STR-PAY-5");
    refuse_u32(get_hello, 8, 12288, FERRY_E_ALIGN, "STR-PAY-5");
    refuse_u32(get_hello, 12, 2, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_hello, 44, 0xffffffff, FERRY_E_LIMIT, "STR-PAY-3");
}

static struct ferry_stream_accept accepted;

static int get_accept(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_accept(payload, bytes, &accepted, reterr);
}

static void an_accept_is_read_back_or_refused(void **state)
{
    struct ferry_stream_accept in = { 5, 2, 0, { { 1, 2 }, { 3, 4 } } };

    (void)state;
    begin();
    ferry_stream_put_accept(&writer, &in);
    check_length(get_accept);
    assert_memory_equal(&accepted, &in, sizeof(in));
    refuse_u32(get_accept, 8, 33, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_accept, 12, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_accept, 20, 1u << 30, FERRY_E_LIMIT, "STR-PAY-3");
}

static struct ferry_stream_running running;

static int get_running(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_running(payload, bytes, &running, reterr);
}

static void running_times_are_read_back_or_refused(void **state)
{
    struct ferry_stream_running in = { 7, 8, 1, 0, { { 1, 2 } } };

    (void)state;
    begin();
    ferry_stream_put_running(&writer, &in);
    check_length(get_running);
    assert_memory_equal(&running, &in, sizeof(in));
    refuse_u32(get_running, 4, 1u << 30, FERRY_E_LIMIT, "STR-PAY-3");
    refuse_u32(get_running, 16, 33, FERRY_E_LIMIT, "STR-PAY-3");
}

static struct ferry_stream_reason reason;

static int get_reason(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_reason(payload, bytes, &reason, reterr);
}

static void every_reason_is_read_back_or_refused(void **state)
{
    struct ferry_stream_reason in = { .rule = "MIG-COMPAT-1", .text = "another model" };

    (void)state;
    for (in.code = -1; in.code > FERRY_E_END; in.code--) {
        begin();
        ferry_stream_put_reason(&writer, &in);
        assert_int_equal(get_reason(memory, writer.pos, NULL), FERRY_OK);
        assert_memory_equal(&reason, &in, sizeof(in));
    }
    in.code = FERRY_E_REFUSED;
    begin();
    ferry_stream_put_reason(&writer, &in);
    check_length(get_reason);
    refuse_u32(get_reason, 0, 0, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_reason, 0, 1, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_reason, 0, (uint32_t)FERRY_E_END, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_reason, 0, 0x80000000, FERRY_E_PROTOCOL, "STR-PAY-6");
    refuse_u32(get_reason, 4, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_reason, 8, 0x0a414141, FERRY_E_PROTOCOL, "STR-PAY-4");
    refuse_u32(get_reason, 40, 0x1b414141, FERRY_E_PROTOCOL, "STR-PAY-4");
}

static void a_reason_out_of_an_error_is_always_sound(void **state)
{
    struct ferry_error error;

    (void)state;
    memset(&error, 0xff, sizeof(error));
    error.code = 5;
    error.rule[3] = error.text[3] = '\0';
    ferry_stream_reason_from_error(&error, &reason);
    assert_int_equal(reason.code, FERRY_E_CANCELLED);
    assert_string_equal(reason.text, "???");
    begin();
    ferry_stream_put_reason(&writer, &reason);
    assert_int_equal(get_reason(memory, writer.pos, NULL), FERRY_OK);
    memset(error.text, 'a', sizeof(error.text));
    error.code = FERRY_E_HUNG;
    ferry_stream_reason_from_error(&error, &reason);
    assert_int_equal(reason.code, FERRY_E_HUNG);
    assert_int_equal(strlen(reason.text), sizeof(reason.text) - 1);
}

static struct ferry_stream_token token;

static int get_token(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_token(payload, bytes, &token, reterr);
}

static void tokens_are_of_one_session_and_epoch(void **state)
{
    struct ferry_stream_token in = { "session id 1234", 3 };
    struct ferry_error error;

    (void)state;
    begin();
    ferry_stream_put_token(&writer, &in);
    check_length(get_token);
    assert_memory_equal(&token, &in, sizeof(in));
    refuse_u32(get_token, 20, 1, FERRY_E_PROTOCOL, "STR-PAY-2");
    assert_int_equal(
        ferry_stream_check_token(&token, FERRY_REC_COMMIT, in.session_id, 3, &error),
        FERRY_OK);
    assert_int_equal(
        ferry_stream_check_token(&token, FERRY_REC_COMMIT, in.session_id, 4, &error),
        FERRY_E_FOREIGN);
    assert_string_equal(error.rule, "STR-ID-1");
    in.session_id[15] ^= 1;
    assert_int_equal(
        ferry_stream_check_token(&token, FERRY_REC_COMMIT, in.session_id, 3, &error),
        FERRY_E_FOREIGN);
    assert_non_null(strstr(error.text, "COMMIT"));
}

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

static void nothing_is_written_when_a_payload_is_refused(void **state)
{
    struct ferry_stream_hello untouched;

    (void)state;
    memset(&hello, 0x33, sizeof(hello));
    memset(&untouched, 0x33, sizeof(untouched));
    begin();
    assert_int_equal(ferry_stream_get_hello(memory, 48, &hello, NULL), FERRY_E_PROTOCOL);
    assert_memory_equal(&hello, &untouched, sizeof(hello));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_preamble_is_read_back_or_refused),
        cmocka_unit_test(a_newer_writer_is_read_when_it_still_knows_our_version),
        cmocka_unit_test(a_device_is_read_back_or_refused),
        cmocka_unit_test(names_of_a_peer_are_printable_and_end),
        cmocka_unit_test(what_lies_behind_a_name_in_memory_is_not_sent),
        cmocka_unit_test(a_memory_region_is_read_back_or_refused),
        cmocka_unit_test(a_hello_is_read_back_or_refused),
        cmocka_unit_test(an_accept_is_read_back_or_refused),
        cmocka_unit_test(running_times_are_read_back_or_refused),
        cmocka_unit_test(every_reason_is_read_back_or_refused),
        cmocka_unit_test(a_reason_out_of_an_error_is_always_sound),
        cmocka_unit_test(tokens_are_of_one_session_and_epoch),
        cmocka_unit_test(pages_need_their_prefix_only),
        cmocka_unit_test(a_zero_range_is_read_back_or_refused),
        cmocka_unit_test(end_records_are_read_back_or_refused),
        cmocka_unit_test(short_long_and_changed_device_data_is_found),
        cmocka_unit_test(the_largest_and_the_empty_configuration_are_read_back),
        cmocka_unit_test(parts_of_a_configuration_are_judged_one_by_one),
        cmocka_unit_test(vectors_are_ascending_and_exist),
        cmocka_unit_test(pieces_of_a_vmms_state_lie_inside_its_total),
        cmocka_unit_test(what_has_no_payload_gets_none),
        cmocka_unit_test(nothing_is_written_when_a_payload_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
