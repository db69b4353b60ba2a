/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "ferry/compat.h"

static struct ferry_identity sample(void)
{
    struct ferry_identity identity = {
        .model = "acc",
        .state_version = 5,
        .state_version_min = 3,
        .pci_vendor = 0x1af4,
        .pci_device = 0x1054,
        .pci_subvendor = 1,
        .pci_subdevice = 2,
        .pci_class = 0x10800001,
        .key_count = 3,
        .key = { { "cipher", FERRY_KEY_EQUAL, 0, 7 },
                 { "sessions", FERRY_KEY_AT_LEAST, 0, 64 },
                 { "features", FERRY_KEY_SUPERSET, 0, 0x5 } },
    };

    return identity;
}

static void expect(const struct ferry_identity *source,
                   const struct ferry_identity *target, int code, const char *rule,
                   const char *word)
{
    struct ferry_error error;

    memset(&error, 0, sizeof(error));
    assert_int_equal(ferry_compat_check(source, target, &error), code);
    assert_int_equal(error.code, code);
    assert_string_equal(error.rule, rule);
    if (!strstr(error.text, word)) {
        fail_msg("\"%s\" does not name %s", error.text, word);
    }
    assert_int_equal(ferry_compat_check(source, target, NULL), code);
}

static void equal_devices_match(void **state)
{
    struct ferry_identity a = sample(), b = sample();

    (void)state;
    assert_int_equal(ferry_compat_check(&a, &b, NULL), FERRY_OK);
    memset(a.model, 0, sizeof(a.model));
    memset(b.model, 0, sizeof(b.model));
    assert_int_equal(ferry_compat_check(&a, &b, NULL), FERRY_OK);
}

static void a_larger_target_matches(void **state)
{
    struct ferry_identity a = sample(), b = sample();

    (void)state;
    b.key[1].value = 65;
    b.key[2].value = 0xf;
    b.state_version = 9;
    b.key_count = 4;
    strcpy(b.key[3].name, "more");
    b.key[3].relation = FERRY_KEY_EQUAL;
    assert_int_equal(ferry_compat_check(&a, &b, NULL), FERRY_OK);
}

static void another_model_is_refused(void **state)
{
    struct ferry_identity a = sample(), b = sample();

    (void)state;
    strcpy(b.model, "copy");
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-1", "copy");
}

static void every_pci_number_counts(void **state)
{
    struct ferry_identity a = sample(), b;

    (void)state;
    b = sample();
    b.pci_vendor = 0xabcd;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-2", "0xabcd");
    b = sample();
    b.pci_device = 0xabcd;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-2", "0xabcd");
    b = sample();
    b.pci_subvendor = 0xabcd;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-2", "0xabcd");
    b = sample();
    b.pci_subdevice = 0xabcd;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-2", "0xabcd");
    b = sample();
    b.pci_class = 0x10800002;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-2", "0x10800002");
}

static void the_target_must_read_the_sources_version(void **state)
{
    struct ferry_identity a = sample(), b = sample();
    uint32_t version;

    (void)state;
    for (version = 1; version < 9; version++) {
        int fits = version >= 3 && version <= 5;

        a.state_version = version;
        a.state_version_min = 1;
        if (fits) {
            assert_int_equal(ferry_compat_check(&a, &b, NULL), FERRY_OK);
        } else {
            expect(&a, &b, FERRY_E_VERSION, "MIG-COMPAT-3", "3 to 5");
        }
    }
}

static void every_relation_holds_or_names_both_values(void **state)
{
    struct ferry_identity a = sample(), b = sample();

    (void)state;
    b.key[0].value = 8;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "0x8 must equal source's 0x7");
    b = sample();
    b.key[1].value = 63;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "0x3f must be at least");
    b = sample();
    b.key[2].value = 0xa;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "0xa must have every bit");
    b.key[2].value = 0x4; /* one of two bits is not enough */
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "0x4 must have every bit");
    b = sample();
    b.key[2].relation = FERRY_KEY_AT_LEAST;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "features");
    b = sample();
    b.key_count = 2;
    expect(&a, &b, FERRY_E_INCOMPATIBLE, "MIG-COMPAT-4", "does not know");
}

static void a_malformed_identity_on_either_side_is_refused(void **state)
{
    struct ferry_identity good = sample(), bad;
    int which;

    (void)state;
    for (which = 0; which < 7; which++) {
        bad = sample();
        if (which == 0) {
            memset(bad.model, 'a', sizeof(bad.model));
        } else if (which == 1) {
            bad.key_count = FERRY_KEYS_MAX + 1;
        } else if (which == 2) {
            memset(bad.key[1].name, 'a', sizeof(bad.key[1].name));
        } else if (which == 3) {
            strcpy(bad.key[1].name, "A b");
        } else if (which == 4) {
            bad.key[1].relation = 0;
        } else if (which == 5) {
            bad.key[1].relation = 4;
        } else {
            bad.state_version_min = 6;
        }
        expect(&bad, &good, FERRY_E_ARGUMENT, "MIG-COMPAT-5", "source");
        expect(&good, &bad, FERRY_E_ARGUMENT, "MIG-COMPAT-5", "target");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_devices_match),
        cmocka_unit_test(a_larger_target_matches),
        cmocka_unit_test(another_model_is_refused),
        cmocka_unit_test(every_pci_number_counts),
        cmocka_unit_test(the_target_must_read_the_sources_version),
        cmocka_unit_test(every_relation_holds_or_names_both_values),
        cmocka_unit_test(a_malformed_identity_on_either_side_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
