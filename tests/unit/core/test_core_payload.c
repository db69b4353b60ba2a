/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "payload_check.h"

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

static struct ferry_stream_hello_v1 v1;

static int get_v1(const void *payload, size_t bytes, struct ferry_error *reterr)
{
    return ferry_stream_get_hello_v1(payload, bytes, &v1, reterr);
}

static void what_a_device_of_v1_says_is_read_back_or_refused(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 4; bits++) {
        const struct ferry_stream_hello_v1 in = { bits & 1, bits >> 1 };

        begin();
        ferry_stream_put_hello_v1(&writer, &in);
        check_length(get_v1);
        assert_int_equal(get_v1(memory, writer.pos, NULL), FERRY_OK);
        assert_memory_equal(&v1, &in, sizeof(in));
    }
    refuse_u32(get_v1, 0, 2, FERRY_E_PROTOCOL, "STR-PAY-2");
    refuse_u32(get_v1, 4, 2, FERRY_E_PROTOCOL, "STR-PAY-2");
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
        cmocka_unit_test(what_a_device_of_v1_says_is_read_back_or_refused),
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
        cmocka_unit_test(nothing_is_written_when_a_payload_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
