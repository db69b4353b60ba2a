/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "test_device_toy.h"

#define CONFIG FERRY_REGION_CONFIG

static int setup(void **state)
{
    *state = toy_new(FERRY_MIG_STOP_COPY, 0);
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static uint8_t byte_at(struct toy *toy, uint32_t off)
{
    uint8_t value = 0;

    assert_int_equal(toy_read(toy, CONFIG, off, &value, 1), FERRY_OK);
    return value;
}

static uint32_t find_cap(struct toy *toy, uint8_t id)
{
    for (uint32_t at = byte_at(toy, 0x34), n = 0; at != 0 && n < 48;
         at = byte_at(toy, at + 1), n++) {
        if (byte_at(toy, at) == id) {
            return at;
        }
    }
    return 0;
}

static void header_shows_the_identity(void **state)
{
    struct toy *toy = *state;

    assert_int_equal(toy_config32(toy, 0x00), 0x11111af4);
    assert_int_equal(toy_config32(toy, 0x08), 0xff000001);
    assert_int_equal(toy_config32(toy, 0x2c), 0x33332222);
    assert_int_equal(toy_config32(toy, 0x04), 0x00100000); /* capability list, all off */
    assert_int_equal(byte_at(toy, 0x0e), 0);               /* header type 0 */
}

static void capability_list_is_walked_to_its_end(void **state)
{
    static const uint8_t wanted[] = { 0x01, 0x10, 0x11, 0x09, 0x09 };
    struct toy *toy = *state;
    uint32_t at = byte_at(toy, 0x34);

    for (size_t i = 0; i < sizeof(wanted); i++) {
        assert_true(at >= 0x40 && at % 4 == 0);
        assert_int_equal(byte_at(toy, at), wanted[i]);
        at = byte_at(toy, at + 1);
    }
    assert_int_equal(at, 0);
    assert_int_equal(find_cap(toy, 0x09), ferry_device_cap_off(toy->device, 0));
    assert_int_equal(byte_at(toy, find_cap(toy, 0x09) + 2), 16);
    assert_int_equal(byte_at(toy, find_cap(toy, 0x09) + 3), 1);
    assert_int_equal(toy_config32(toy, 0x100), 0); /* no extended capability */
}

static void bars_tell_their_size(void **state)
{
    struct toy *toy = *state;
    uint8_t ones[24];

    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(toy_write(toy, CONFIG, 0x10, ones, 24), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x10), 0xfffff000);
    assert_int_equal(toy_config32(toy, 0x14), 0);
    assert_int_equal(toy_config32(toy, 0x18), 0xffff000c); /* 64 bit, prefetchable */
    assert_int_equal(toy_config32(toy, 0x1c), 0xffffffff);
    assert_int_equal(toy_config32(toy, 0x20), 0xfffff000);
    assert_int_equal(toy_config32(toy, 0x24), 0);
    assert_int_equal(toy_write32(toy, CONFIG, 0x10, 0xfebf0fff), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x10), 0xfebf0000);
    assert_int_equal(toy_write32(toy, CONFIG, 0x30, 0xfffffffe), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x30), 0xfffff800);
}

static void read_only_bytes_stay(void **state)
{
    struct toy *toy = *state;
    uint8_t before[256], after[256], ones[256];

    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(toy_read(toy, CONFIG, 0, before, 256), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 0, ones, 4), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 6, ones, 6), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 0x28, ones, 8), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 0x34, ones, 8), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 0x40, ones, 4), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, 0x100, ones, 256), FERRY_OK);
    assert_int_equal(toy_read(toy, CONFIG, 0, after, 256), FERRY_OK);
    assert_memory_equal(before, after, 256);
    assert_int_equal(toy_config32(toy, 0xffc), 0);
}

static void a_write_does_not_run_past_a_capability(void **state)
{
    struct toy *toy = *state;
    const uint32_t plain = ferry_device_cap_off(toy->device, 0);
    const uint32_t trapped = ferry_device_cap_off(toy->device, 1);
    uint8_t ones[48], head[3], now[3], next[3];

    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(trapped, plain + 16);
    assert_int_equal(toy_read(toy, CONFIG, trapped, head, 3), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, plain + 2, ones, 30), FERRY_OK);
    assert_int_equal(toy_read(toy, CONFIG, plain, now, 3), FERRY_OK);
    assert_int_equal(now[0], 9);
    assert_int_equal(now[2], 16);
    assert_int_equal(byte_at(toy, plain + 15), 0xff);
    assert_int_equal(toy_read(toy, CONFIG, trapped, next, 3), FERRY_OK);
    assert_memory_equal(head, next, 3);
    /* The author saw exactly its body: 14 bytes without the 3 of the header. */
    assert_int_equal(toy->cap_off, 3);
    assert_int_equal(toy->cap_count, 11);
    assert_int_equal(byte_at(toy, trapped + 14), 0); /* between capabilities: nothing */
    assert_int_equal(byte_at(toy, trapped + 13), 0xcc);
    assert_int_equal(toy->cap_off, 13);
    assert_int_equal(toy->cap_count, 1);
}

static void accesses_outside_config_space_are_refused(void **state)
{
    struct toy *toy = *state;
    uint8_t data[8];

    assert_int_equal(toy_read(toy, CONFIG, 4092, data, 8), FERRY_E_RANGE);
    assert_int_equal(toy_read(toy, CONFIG, UINT64_MAX - 3, data, 8), FERRY_E_RANGE);
    assert_int_equal(toy_write(toy, CONFIG, 4096, data, 1), FERRY_E_RANGE);
    assert_int_equal(toy_read(toy, CONFIG, 0, data, 0), FERRY_E_RANGE);
    assert_int_equal(toy_read(toy, 8, 0, data, 1), FERRY_E_NOT_FOUND);
    assert_int_equal(toy_read(toy, 9, 0, data, 1), FERRY_E_ARGUMENT);
    assert_int_equal(toy_read(toy, 1, 0, data, 1), FERRY_E_NOT_FOUND);
}

static void bus_master_is_what_the_user_says(void **state)
{
    struct toy *toy = *state;

    assert_int_equal(ferry_device_bus_master(toy->device), 0);
    toy_bus_master(toy);
    assert_int_equal(toy_write32(toy, CONFIG, 4, 2), FERRY_OK);
    assert_int_equal(ferry_device_bus_master(toy->device), 0);
}

static void d3hot_switches_the_bars_off(void **state)
{
    struct toy *toy = *state;
    const uint32_t control = find_cap(toy, 0x01) + 4;

    toy_bus_master(toy);
    assert_int_equal(toy_write32(toy, CONFIG, control, 1),
                     FERRY_OK); /* D1: is not there */
    assert_int_equal(byte_at(toy, control) & 3, 0);
    assert_int_equal(toy_write32(toy, CONFIG, control, 3), FERRY_OK);
    assert_int_equal(byte_at(toy, control) & 3, 3);
    assert_int_equal(toy_read32(toy, 0, 0), 0xffffffff);
    assert_int_equal(toy_write32(toy, 0, 4, 77), FERRY_OK);
    assert_int_equal(toy->bells, 0);
    assert_int_equal(ferry_device_bus_master(toy->device), 0);
    assert_int_equal(toy_write32(toy, CONFIG, control, 0), FERRY_OK);
    assert_int_equal(ferry_device_bus_master(toy->device), 1);
    assert_int_equal(toy_read32(toy, 0, 0), 0xa0a0a0a0);
    assert_int_equal(toy_write32(toy, 0, 4, 77), FERRY_OK);
    assert_int_equal(toy->bells, 1);
}

static void flr_resets_and_keeps_config_space(void **state)
{
    struct toy *toy = *state;
    const uint32_t control = find_cap(toy, 0x10) + 8;

    toy_bus_master(toy);
    assert_int_equal(toy_config32(toy, control - 4) & (1u << 28), 1u << 28);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_write32(toy, CONFIG, control, 0x8000), FERRY_OK);
    assert_int_equal(toy->resets, 1);
    assert_int_equal(toy->reset_reason, FERRY_RESET_REQUEST);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    assert_int_equal(toy_config32(toy, control) & 0x8000, 0);
    assert_true(ferry_device_bus_master(toy->device));
}

static void memory_and_trapped_parts_of_a_bar_meet(void **state)
{
    struct toy *toy = *state;
    uint8_t *memory = ferry_device_region_memory(toy->device, 2);
    uint8_t data[16],
        bytes[16] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

    assert_non_null(memory);
    assert_null(ferry_device_region_memory(toy->device, 0));
    assert_int_equal(toy_write(toy, 2, TOY_AREA_OFF - 8, bytes, 16), FERRY_OK);
    assert_memory_equal(memory + TOY_AREA_OFF, bytes + 8, 8);
    assert_int_equal(memory[TOY_AREA_OFF - 1],
                     0); /* the trapped part went to the author */
    assert_int_equal(toy_read(toy, 2, TOY_AREA_OFF - 8, data, 16), FERRY_OK);
    assert_int_equal(data[7], 0xa2);
    assert_memory_equal(data + 8, bytes + 8, 8);
    assert_int_equal(toy_read(toy, 2, TOY_AREA_OFF + TOY_AREA_BYTES - 1, data, 2),
                     FERRY_OK);
    assert_int_equal(data[0], 0);
    assert_int_equal(data[1], 0xa2);
    assert_int_equal(toy_read(toy, 2, TOY_BAR2_BYTES - 1, data, 2), FERRY_E_RANGE);
    assert_int_equal(toy_read(toy, 0, 0xffc, data, 4), FERRY_E_DEVICE);
}

static void info_describes_regions_and_interrupts(void **state)
{
    struct toy *toy = *state;
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };

    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.info.region_count, 9);
    assert_int_equal(request.u.info.irq_count, 5);
    assert_int_equal(request.u.info.flags,
                     FERRY_DEVICE_FLAG_RESET | FERRY_DEVICE_FLAG_PCI);

    request.kind = FERRY_RQ_GET_REGION_INFO;
    request.u.region.index = 2;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.region.size, TOY_BAR2_BYTES);
    assert_int_equal(request.u.region.flags, 7);
    assert_true(request.u.region.fd >= 0);
    assert_int_equal(request.u.region.area_count, 1);
    assert_int_equal(request.u.region.area[0].off, TOY_AREA_OFF);
    assert_int_equal(request.u.region.area[0].size, TOY_AREA_BYTES);
    request.u.region.index = 1;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.region.size, 0);
    assert_int_equal(request.u.region.fd, -1);
    request.u.region.index = 9;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_NOT_FOUND);

    request.kind = FERRY_RQ_GET_IRQ_INFO;
    for (uint32_t i = 0; i < 5; i++) {
        request.u.irq.index = i;
        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_int_equal(request.u.irq.count, i == 2 ? TOY_VECTORS : i > 2);
        if (i > 2) { /* ERR and REQ */
            assert_int_equal(request.u.irq.flags, FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE);
        }
    }
    request.u.irq.index = 5;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_NOT_FOUND);
}

static void probes_tell_features_apart(void **state)
{
    static const struct {
        uint32_t index, operation;
        int status;
    } cases[] = {
        { 1, FERRY_FEATURE_GET, FERRY_OK },
        { 1, FERRY_FEATURE_SET, FERRY_E_ARGUMENT },
        { 2, FERRY_FEATURE_GET | FERRY_FEATURE_SET, FERRY_OK },
        { 3, FERRY_FEATURE_SET, FERRY_E_UNSUPPORTED },
        { 6, FERRY_FEATURE_SET, FERRY_OK },
        { 6, FERRY_FEATURE_GET, FERRY_E_ARGUMENT },
        { 8, FERRY_FEATURE_GET, FERRY_OK },
        { 9, FERRY_FEATURE_GET, FERRY_OK },
        { 0xfe01, FERRY_FEATURE_GET, FERRY_E_UNSUPPORTED }, /* this toy has no PRE_COPY */
    };
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        request.u.probe.index = cases[i].index;
        request.u.probe.operation = cases[i].operation;
        assert_int_equal(toy_ask(*state, &request), cases[i].status);
    }
    request.kind = FERRY_RQ_COUNT;
    assert_int_equal(toy_ask(*state, &request), FERRY_E_MESSAGE);
    request.kind = 0;
    assert_int_equal(toy_ask(*state, &request), FERRY_E_MESSAGE);
}

/* Each change makes the toy's description wrong. */
static void wrong_no_save(struct ferry_device_desc *desc)
{
    static struct ferry_device_ops bare;

    bare = *desc->ops;
    bare.save = NULL;
    desc->ops = &bare;
}

static void wrong_flags(struct ferry_device_desc *desc)
{
    desc->identity.migration_flags = FERRY_MIG_P2P;
}

static void wrong_model(struct ferry_device_desc *desc)
{
    memset(desc->identity.model, 'x', sizeof(desc->identity.model));
}

static void wrong_bar_size(struct ferry_device_desc *desc)
{
    desc->region[0].size_bytes = 4097;
}

static void wrong_bar_pair(struct ferry_device_desc *desc)
{
    desc->region[3].size_bytes = 4096;
}

static void wrong_area(struct ferry_device_desc *desc)
{
    desc->region[2].area[0].size = TOY_BAR2_BYTES;
}

static void wrong_msix_bar(struct ferry_device_desc *desc)
{
    desc->msix_bar = 5;
}

static void wrong_pba(struct ferry_device_desc *desc)
{
    desc->msix_pba_off = 0x418; /* the table's last entry */
}

static void wrong_msix_mapped(struct ferry_device_desc *desc)
{
    desc->msix_bar = 2;
    desc->msix_table_off = TOY_AREA_OFF;
}

static void wrong_caps(struct ferry_device_desc *desc)
{
    desc->cap[0].length = 200;
}

static void wrong_struct_size(struct ferry_device_desc *desc)
{
    desc->struct_size = 0;
}

static void wrong_descriptions_are_refused(void **state)
{
    static void (*const changes[])(struct ferry_device_desc * desc) = {
        wrong_no_save,     wrong_flags, wrong_model,       wrong_bar_size,
        wrong_bar_pair,    wrong_area,  wrong_msix_bar,    wrong_pba,
        wrong_msix_mapped, wrong_caps,  wrong_struct_size,
    };

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct ferry_device *device = NULL;
        struct ferry_error error = { 0 };
        struct ferry_device_desc desc;

        toy_describe(&desc, *state, FERRY_MIG_STOP_COPY, 0);
        changes[i](&desc);
        assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
        assert_int_equal(error.code, FERRY_E_ARGUMENT);
        assert_true(strlen(error.text) > 0);
        assert_null(device);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(header_shows_the_identity),
        TEST(capability_list_is_walked_to_its_end),
        TEST(bars_tell_their_size),
        TEST(read_only_bytes_stay),
        TEST(a_write_does_not_run_past_a_capability),
        TEST(accesses_outside_config_space_are_refused),
        TEST(bus_master_is_what_the_user_says),
        TEST(d3hot_switches_the_bars_off),
        TEST(flr_resets_and_keeps_config_space),
        TEST(memory_and_trapped_parts_of_a_bar_meet),
        TEST(info_describes_regions_and_interrupts),
        TEST(probes_tell_features_apart),
        TEST(wrong_descriptions_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
