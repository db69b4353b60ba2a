/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "link/hello/version.h"

/* VERSION's payload: every key, its default, its type; the identity; what both agree to.
 */

static uint8_t payload[FERRY_LINK_VERSION_MAX + 100];
static struct ferry_link_version version;
static struct ferry_identity identity;
static struct ferry_error error;

static int parse_with(uint16_t major, uint16_t minor, const char *json)
{
    size_t length = strlen(json) + 1;

    assert_true(length <= sizeof(payload) - 4);
    memcpy(payload, &major, 2);
    memcpy(payload + 2, &minor, 2);
    memcpy(payload + 4, json, length);
    memset(&version, 0xee, sizeof(version));
    memset(&error, 0, sizeof(error));
    return ferry_link_version_parse(payload, 4 + length, &version, &identity, &error);
}

static int parse(const char *json)
{
    return parse_with(0, 1, json);
}

/* Fails with this code and a text that names the key; nothing is written. */
static void assert_refused(const char *json, int code, const char *named)
{
    assert_int_equal(parse(json), code);
    assert_int_equal(error.code, code);
    assert_non_null(strstr(error.text, named));
    assert_int_equal(version.major, 0xeeee);
}

static void test_without_a_text_the_defaults_hold(void **state)
{
    static const uint8_t bare[4] = { 0, 0, 1, 0 };

    (void)state;
    assert_int_equal(ferry_link_version_parse(bare, 4, &version, NULL, &error), FERRY_OK);
    assert_int_equal(version.major, 0);
    assert_int_equal(version.minor, 1);
    assert_int_equal(version.keys, 0);
    assert_int_equal(version.max_msg_fds, 1);
    assert_int_equal(version.max_data_xfer_bytes, 1048576);
    assert_int_equal(version.max_dma_maps, 65535);
    assert_int_equal(version.pgsizes, 4096);
    assert_int_equal(version.extension, 0);
    assert_int_equal(parse("{}"), FERRY_OK);
    assert_int_equal(version.max_msg_fds, 1);
}

static void test_every_key_is_read(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"capabilities\":{\"max_msg_fds\":16,"
                           "\"max_data_xfer_size\":65536,\"max_dma_maps\":7,"
                           "\"pgsizes\":18446744073709547520,"
                           "\"twin_socket\":{\"supported\":true,\"fd_index\":0},"
                           "\"write_multiple\":true,\"unknown\":[1,2],"
                           "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":1},"
                           "\"ferry\":{\"version\":1,\"notices\":true,"
                           "\"precopy_info\":true,\"dirty_runs\":true}}}"),
                     FERRY_OK);
    assert_int_equal(version.keys, 0xff);
    assert_int_equal(version.max_msg_fds, 16);
    assert_int_equal(version.max_data_xfer_bytes, 65536);
    assert_int_equal(version.max_dma_maps, 7);
    assert_true(version.pgsizes == ~(uint64_t)4095);
    assert_int_equal(version.twin_socket, 1);
    assert_int_equal(version.write_multiple, 1);
    assert_int_equal(version.extension, 1);
    assert_int_equal(version.notices, 1);
    assert_int_equal(version.precopy_info, 1);
    assert_int_equal(version.dirty_runs, 1);
    assert_int_equal(version.has_identity, 0);
}

static void test_a_limit_beyond_32_bits_is_the_largest(void **state)
{
    (void)state;
    assert_int_equal(parse("{\"capabilities\":{\"max_data_xfer_size\":99999999999}}"),
                     FERRY_OK);
    assert_true(version.max_data_xfer_bytes == UINT32_MAX);
}

static void test_wrong_types_are_refused_by_name(void **state)
{
    static const char *const key[] = { "max_msg_fds", "max_data_xfer_size",
                                       "max_dma_maps", "pgsizes" };
    static const char *const value[] = {
        "\"8\"", "true", "null", "[8]", "{}", "1.5", "-1"
    };
    char json[200];
    size_t i;
    size_t j;

    (void)state;
    for (i = 0; i < sizeof(key) / sizeof(key[0]); i++) {
        for (j = 0; j < sizeof(value) / sizeof(value[0]); j++) {
            snprintf(json, sizeof(json), "{\"capabilities\":{\"%s\":%s}}", key[i],
                     value[j]);
            assert_refused(json, FERRY_E_PROTOCOL, key[i]);
        }
    }
    assert_refused("{\"capabilities\":{\"write_multiple\":1}}", FERRY_E_PROTOCOL,
                   "write_multiple");
    assert_refused("{\"capabilities\":{\"twin_socket\":true}}", FERRY_E_PROTOCOL,
                   "twin_socket");
    assert_refused("{\"capabilities\":{\"twin_socket\":{\"supported\":1}}}",
                   FERRY_E_PROTOCOL, "supported");
    assert_refused("{\"capabilities\":{\"ferry\":1}}", FERRY_E_PROTOCOL, "ferry");
    assert_refused("{\"capabilities\":{\"ferry\":{}}}", FERRY_E_PROTOCOL, "version");
    assert_refused("{\"capabilities\":{\"ferry\":{\"version\":1,\"notices\":1}}}",
                   FERRY_E_PROTOCOL, "notices");
    assert_refused("{\"capabilities\":[]}", FERRY_E_PROTOCOL, "capabilities");
    assert_refused("[]", FERRY_E_PROTOCOL, "object");
    assert_refused("7", FERRY_E_PROTOCOL, "object");
}

static void test_texts_that_are_no_json_are_refused(void **state)
{
    static const char *const text[] = {
        "", "{", "{}}", "{} x", "\xff\xfe", "{\"capabilities\":{\"max_msg_fds\":8,}}"
    };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        assert_refused(text[i], FERRY_E_PROTOCOL, "VERSION");
    }
}

static void test_a_deep_text_is_refused(void **state)
{
    char json[4096];

    (void)state;
    memset(json, '[', 4000);
    json[4000] = 0;
    assert_refused(json, FERRY_E_LIMIT, "deeper");
}

static void test_a_long_text_is_refused(void **state)
{
    (void)state;
    memset(payload, ' ', sizeof(payload));
    assert_int_equal(ferry_link_version_parse(payload, FERRY_LINK_VERSION_MAX + 1,
                                              &version, NULL, &error),
                     FERRY_E_LIMIT);
}

static void test_a_text_without_its_end_is_refused(void **state)
{
    static const uint8_t cut[] = { 0, 0, 1, 0, '{', '}' };

    (void)state;
    assert_int_equal(ferry_link_version_parse(cut, 6, &version, NULL, &error),
                     FERRY_E_PROTOCOL);
    assert_int_equal(ferry_link_version_parse(cut, 3, &version, NULL, &error),
                     FERRY_E_PROTOCOL);
    assert_int_equal(ferry_link_version_parse(NULL, 0, &version, NULL, &error),
                     FERRY_E_PROTOCOL);
}

static void test_another_major_version_is_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_with(1, 0, "{}"), FERRY_E_VERSION);
    assert_int_equal(parse_with(0, 60000, "{}"), FERRY_OK);
    assert_int_equal(version.minor, 60000);
}

static void fill_identity(struct ferry_identity *full)
{
    uint32_t i;

    memset(full, 0, sizeof(*full));
    memset(full->model, 'm', FERRY_MODEL_BYTES - 1);
    full->state_version = UINT32_MAX;
    full->state_version_min = 1;
    full->pci_vendor = UINT16_MAX;
    full->pci_device = 2;
    full->pci_subvendor = 3;
    full->pci_subdevice = 4;
    full->pci_class = 0xffffffff;
    full->migration_flags = 7;
    full->doorbell_latch = 1;
    full->implicit_quiesce = 1;
    full->any_chunks = 1;
    full->quiet_ns = UINT64_MAX;
    full->stop_ns = 1;
    full->load_ns = (uint64_t)1 << 63;
    full->run_ns = 0;
    full->key_count = FERRY_KEYS_MAX;
    for (i = 0; i < FERRY_KEYS_MAX; i++) {
        snprintf(full->key[i].name, FERRY_KEY_BYTES, "key-%027u", i);
        full->key[i].relation = i % 3 + 1;
        full->key[i].value = UINT64_MAX - i;
    }
}

static void test_an_identity_survives_writing_and_reading(void **state)
{
    struct ferry_identity full;
    struct ferry_link_version say;
    size_t size = 0;

    (void)state;
    fill_identity(&full);
    ferry_link_version_default(&say);
    say.keys = 0xff;
    say.extension = 1;
    say.notices = 1;
    say.dirty_runs = 1;
    assert_int_equal(
        ferry_link_version_format(&say, &full, payload, sizeof(payload), &size),
        FERRY_OK);
    memset(&identity, 0xee, sizeof(identity));
    assert_int_equal(ferry_link_version_parse(payload, size, &version, &identity, &error),
                     FERRY_OK);
    assert_int_equal(version.has_identity, 1);
    assert_int_equal(version.notices, 1);
    assert_int_equal(version.precopy_info, 0);
    assert_int_equal(version.dirty_runs, 1);
    assert_int_equal(version.twin_socket, 0);
    assert_int_equal(version.write_multiple, 0);
    assert_memory_equal(&identity, &full, sizeof(full));
    assert_int_equal(ferry_link_version_format(&say, &full, payload, size - 1, &size),
                     FERRY_E_CAPACITY);
}

#define DEVICE(body) "{\"capabilities\":{\"ferry\":{\"version\":1,\"device\":" body "}}}"

static void test_a_malformed_identity_is_refused_by_name(void **state)
{
    (void)state;
    assert_refused(DEVICE("3"), FERRY_E_PROTOCOL, "device");
    assert_refused(DEVICE("{\"model\":3}"), FERRY_E_PROTOCOL, "model");
    assert_refused(DEVICE("{\"model\":\"a234567890123456789012345678901x\"}"),
                   FERRY_E_PROTOCOL, "model");
    assert_refused(DEVICE("{\"model\":\"a\\u0000b\"}"), FERRY_E_PROTOCOL, "model");
    assert_refused(DEVICE("{\"state_version\":4294967296}"), FERRY_E_PROTOCOL,
                   "state_version");
    assert_refused(DEVICE("{\"pci\":{\"vendor\":65536}}"), FERRY_E_PROTOCOL, "vendor");
    assert_refused(DEVICE("{\"pci\":[]}"), FERRY_E_PROTOCOL, "pci");
    assert_refused(DEVICE("{\"doorbell_latch\":1}"), FERRY_E_PROTOCOL, "doorbell_latch");
    assert_refused(DEVICE("{\"implicit_quiesce\":1}"), FERRY_E_PROTOCOL,
                   "implicit_quiesce");
    assert_refused(DEVICE("{\"any_chunks\":\"yes\"}"), FERRY_E_PROTOCOL, "any_chunks");
    assert_refused(DEVICE("{\"keys\":{}}"), FERRY_E_PROTOCOL, "keys");
    assert_refused(DEVICE("{\"keys\":[1]}"), FERRY_E_PROTOCOL, "keys");
    assert_refused(DEVICE("{\"keys\":[{\"name\":\"a\",\"value\":1}]}"), FERRY_E_PROTOCOL,
                   "relation");
    assert_refused(DEVICE("{\"keys\":[{\"name\":\"a\",\"relation\":\"like\","
                          "\"value\":1}]}"),
                   FERRY_E_PROTOCOL, "\"a\"");
    assert_refused(DEVICE("{\"keys\":[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}"),
                   FERRY_E_LIMIT, "17");
}

static void test_only_the_keys_asked_for_are_written(void **state)
{
    struct ferry_link_version say;
    size_t size = 0;

    (void)state;
    ferry_link_version_default(&say);
    say.keys = FERRY_LINK_KEY_FDS;
    say.max_msg_fds = 9;
    assert_int_equal(
        ferry_link_version_format(&say, NULL, payload, sizeof(payload), &size), FERRY_OK);
    assert_string_equal((const char *)payload + 4,
                        "{\"capabilities\":{\"max_msg_fds\":9}}");
    assert_int_equal(size, 4 + strlen((const char *)payload + 4) + 1);
}

static void test_both_sides_agree_to_the_smaller_of_everything(void **state)
{
    struct ferry_link_version mine;
    struct ferry_link_version theirs;
    struct ferry_link_version agreed;

    (void)state;
    ferry_link_version_default(&mine);
    ferry_link_version_default(&theirs);
    mine.minor = 2;
    theirs.minor = 1;
    mine.max_msg_fds = 64;
    theirs.max_msg_fds = 8;
    mine.max_data_xfer_bytes = 4096;
    mine.max_dma_maps = 10;
    mine.pgsizes = 0xf000;
    theirs.pgsizes = 0x3000;
    mine.extension = 2;
    theirs.extension = 1;
    mine.notices = theirs.notices = 1;
    mine.precopy_info = 1;
    mine.dirty_runs = theirs.dirty_runs = 1;
    assert_int_equal(ferry_link_version_agree(&mine, &theirs, &agreed, &error), FERRY_OK);
    assert_int_equal(agreed.minor, 1);
    assert_int_equal(agreed.max_msg_fds, 8);
    assert_int_equal(agreed.max_data_xfer_bytes, 4096);
    assert_int_equal(agreed.max_dma_maps, 10);
    assert_int_equal(agreed.pgsizes, 0x3000);
    assert_int_equal(agreed.extension, 1);
    assert_int_equal(agreed.notices, 1);
    assert_int_equal(agreed.precopy_info, 0);
    assert_int_equal(agreed.dirty_runs, 1);
    theirs.extension = 0;
    assert_int_equal(ferry_link_version_agree(&mine, &theirs, &agreed, &error), FERRY_OK);
    assert_int_equal(agreed.notices, 0);
    assert_int_equal(agreed.dirty_runs, 0);
    theirs.pgsizes = 0x10000;
    assert_int_equal(ferry_link_version_agree(&mine, &theirs, &agreed, &error),
                     FERRY_E_PROTOCOL);
    theirs.major = 1;
    assert_int_equal(ferry_link_version_agree(&mine, &theirs, &agreed, &error),
                     FERRY_E_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_text_the_defaults_hold),
        cmocka_unit_test(test_every_key_is_read),
        cmocka_unit_test(test_a_limit_beyond_32_bits_is_the_largest),
        cmocka_unit_test(test_wrong_types_are_refused_by_name),
        cmocka_unit_test(test_texts_that_are_no_json_are_refused),
        cmocka_unit_test(test_a_deep_text_is_refused),
        cmocka_unit_test(test_a_long_text_is_refused),
        cmocka_unit_test(test_a_text_without_its_end_is_refused),
        cmocka_unit_test(test_another_major_version_is_refused),
        cmocka_unit_test(test_an_identity_survives_writing_and_reading),
        cmocka_unit_test(test_a_malformed_identity_is_refused_by_name),
        cmocka_unit_test(test_only_the_keys_asked_for_are_written),
        cmocka_unit_test(test_both_sides_agree_to_the_smaller_of_everything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
