/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/writer.h"
#include "bridge/device/inside.h"

/* Config spaces that a VMM cannot go by. */

static struct bridge_config config;
static struct ferry_region_info region[BRIDGE_REGIONS_MAX];
static struct bridge_msix msix;

static void begin(void)
{
    memset(&config, 0, sizeof(config));
    memset(region, 0, sizeof(region));
    region[0].size = 0x1000;
    region[4].size = 0x4000;
    config.byte[0x06] = 0x10;
    config.byte[0x34] = 0x40;
    config.byte[0x40] = 0x09;
    config.byte[0x41] = 0xa0;
    config.byte[0x42] = 4;
    /* 4 vectors in BAR 4, the pending bits behind them */
    config.byte[0xa0] = 0x11;
    ferry_store_le16(config.byte + 0xa2, 3);
    ferry_store_le32(config.byte + 0xa4, 4);
    ferry_store_le32(config.byte + 0xa8, 0x1000 | 4);
    ferry_store_le32(config.byte + 0x100, 0x10810001u);
    ferry_store_le32(config.byte + 0x108, 0x00010003u);
}

static const char *check(uint32_t bytes)
{
    return bridge_config_check(&config, bytes, region, &msix);
}

static void refuse_byte(uint32_t off, uint8_t value)
{
    begin();
    config.byte[off] = value;
    assert_non_null(check(4096));
}

static void a_usual_one_is_taken(void **state)
{
    (void)state;
    begin();
    assert_null(check(4096));
    assert_int_equal(msix.region, 4);
    assert_int_equal(msix.off, 0);
    assert_int_equal(msix.bytes, 64);
    assert_null(check(256));
    config.byte[0x06] = 0; /* says that it has no list */
    assert_null(check(256));
    assert_int_equal(msix.region, UINT32_MAX);
}

static void lists_without_an_end_are_refused(void **state)
{
    (void)state;
    refuse_byte(0xa1, 0x40);
    refuse_byte(0xa1, 0xa0);
    refuse_byte(0x10b, 0x10); /* of the extended list, back to 0x100 */
}

static void capabilities_out_of_their_place_are_refused(void **state)
{
    (void)state;
    refuse_byte(0x34, 0x3c);
    refuse_byte(0x34, 0xff);
    refuse_byte(0xa1, 0x20);
    begin(); /* MSI-X reaches past the end */
    config.byte[0x41] = 0xf8;
    memcpy(config.byte + 0xf8, config.byte + 0xa0, 8);
    assert_non_null(check(4096));
    refuse_byte(0x103, 0x08); /* extended ones: in the first 256 bytes */
    begin();                  /* past the end, and with no room for QEMU's 8 bytes */
    ferry_store_le32(config.byte + 0x108, 0xffc10003u);
    assert_non_null(check(4096));
    begin();
    ferry_store_le32(config.byte + 0x100, 0x10410001u);
    assert_non_null(check(4096));
    assert_null(check(256)); /* nobody looks there then */
    begin();                 /* seven BARs of changing sizes do not fit */
    ferry_store_le32(config.byte + 0x108, 0xfd010003u);
    ferry_store_le32(config.byte + 0xfd0, 0x00010003u);
    assert_null(check(4096));
    ferry_store_le32(config.byte + 0xfd0, 0x00010015u);
    assert_non_null(check(4096));
}

static void an_msi_capability_has_room_for_what_it_says(void **state)
{
    (void)state;
    begin();
    config.byte[0xa0] = 0x05;
    config.byte[0x41] = 0xf0;
    config.byte[0xf0] = 0x05;
    assert_null(check(4096)); /* 10 bytes */
    config.byte[0xf2] = 0x80;
    assert_null(check(4096)); /* 14 */
    config.byte[0xf3] = 0x01;
    assert_non_null(check(4096)); /* 24 */
    config.byte[0xf3] = 0;
    config.byte[0xf2] = 5 << 1;
    assert_null(check(4096)); /* 32 vectors */
    config.byte[0xf2] = 6 << 1;
    assert_non_null(check(4096));
}

static void an_msix_table_lies_in_a_bar(void **state)
{
    (void)state;
    refuse_byte(0xa4, 6); /* QEMU has six BARs */
    refuse_byte(0xa4, 7);
    refuse_byte(0xa4, 1); /* one without bytes */
    refuse_byte(0xa8, 7);
    refuse_byte(0xa9, 0x40); /* behind its BAR's end */
    refuse_byte(0xa3, 0x07); /* more vectors than fit */
    refuse_byte(0x40, 0x11); /* two of them */
}

static void bars_have_sizes_that_hardware_has(void **state)
{
    uint32_t i;

    (void)state;
    for (i = 0; i < 6; i++) {
        begin();
        region[i].size = 0x8001;
        assert_non_null(check(4096));
        region[i].size = 0x18000;
        assert_non_null(check(4096));
    }
    begin();
    region[6].size = 0x1800; /* a ROM: QEMU asks config space for its size */
    region[9].size = 0x1800;
    assert_null(check(4096));
}

static void a_pin_is_one_of_four(void **state)
{
    (void)state;
    refuse_byte(0x3d, 5);
    refuse_byte(0x3d, 251);
    begin();
    config.byte[0x3d] = 4;
    assert_null(check(4096));
}

static void a_bridge_is_no_device(void **state)
{
    (void)state;
    refuse_byte(0x0e, 1);
    begin();
    config.byte[0x0e] = 0x80; /* one of several functions */
    assert_null(check(4096));
}

static void what_is_fixed_is_compared_and_nothing_else(void **state)
{
    struct bridge_config fresh;

    (void)state;
    begin();
    config.byte[0x10] = 0x0c;
    assert_null(check(4096));
    fresh = config;
    fresh.byte[0x04] = 6;    /* command */
    fresh.byte[0x13] = 0xfe; /* a BAR's address */
    fresh.byte[0xa3] = 0x80; /* MSI-X enabled */
    assert_false(bridge_config_differs(&config, &fresh));
    fresh.byte[0x10] = 0x01; /* it becomes I/O */
    assert_true(bridge_config_differs(&config, &fresh));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usual_one_is_taken),
        cmocka_unit_test(lists_without_an_end_are_refused),
        cmocka_unit_test(capabilities_out_of_their_place_are_refused),
        cmocka_unit_test(an_msi_capability_has_room_for_what_it_says),
        cmocka_unit_test(an_msix_table_lies_in_a_bar),
        cmocka_unit_test(bars_have_sizes_that_hardware_has),
        cmocka_unit_test(a_pin_is_one_of_four),
        cmocka_unit_test(a_bridge_is_no_device),
        cmocka_unit_test(what_is_fixed_is_compared_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
