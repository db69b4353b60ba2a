/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "os/memory.h"
#include "test_device_toy.h"

/* Extended config space, power states, ROM image, device-specific regions. */

#define CONFIG FERRY_REGION_CONFIG
#define SERIAL 0x1122334455667788ull
#define ROM_BYTES 3000u
#define EXTRA_BYTES 8192u
#define TRAPPED_BYTES 0xeefu

static const uint8_t body[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static uint8_t rom[ROM_BYTES];

static void add_all(struct ferry_device_desc *desc)
{
    memset(rom, 0x5a, sizeof(rom));
    rom[0] = 0x55;
    rom[1] = 0xaa;
    desc->serial = SERIAL;
    desc->ext_cap_count = 3;
    desc->ext_cap[0] = (struct ferry_device_ext_cap){
        .bytes = body, .vsec_id = 0x1234, .length = 16, .revision = 2
    };
    desc->ext_cap[1] =
        (struct ferry_device_ext_cap){ .vsec_id = 7, .length = 13, .writable = 1 };
    /* The toy expects trapped accesses with number 1 only: this one stays plain. */
    desc->ext_cap[2] = (struct ferry_device_ext_cap){ .vsec_id = 8, .length = 8 };
    desc->region[6] = (struct ferry_device_region){ 0 };
    desc->rom = rom;
    desc->rom_bytes = ROM_BYTES;
    desc->extra_count = 3;
    desc->extra[0] = (struct ferry_device_extra){ .region = { .size_bytes = 100 },
                                                  .type = 0x80000001u,
                                                  .subtype = 2 };
    desc->extra[1] = (struct ferry_device_extra){
        .region = { .size_bytes = EXTRA_BYTES,
                    .flags = FERRY_BAR_MEMORY,
                    .area_count = 1,
                    .area = { { 4096, 4096 } } },
        .type = 3,
    };
    desc->extra[2] =
        (struct ferry_device_extra){ .region = { .size_bytes = 16,
                                                 .flags = FERRY_EXTRA_READ_ONLY } };
}

static int setup(void **state)
{
    *state = toy_new_with(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P, 1, add_all);
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static struct ferry_region_info info_of(struct toy *toy, uint32_t index)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };

    request.u.region.index = index;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    return request.u.region;
}

static void extended_capabilities_form_a_list(void **state)
{
    struct toy *toy = *state;

    assert_int_equal(info_of(toy, CONFIG).size, 4096);
    assert_int_equal(toy_config32(toy, 0x100), 0x10c10003); /* DSN, then 0x10c */
    assert_int_equal(toy_config32(toy, 0x104), 0x55667788);
    assert_int_equal(toy_config32(toy, 0x108), 0x11223344);
    assert_int_equal(toy_config32(toy, 0x10c), 0x11c1000b);
    assert_int_equal(toy_config32(toy, 0x110), 0x01021234); /* length, revision, id */
    assert_int_equal(toy_config32(toy, 0x114), 0x04030201);
    assert_int_equal(toy_config32(toy, 0x11c), 0x12c1000b); /* 13 bytes, rounded up */
    assert_int_equal(toy_config32(toy, 0x120), 0x00d00007);
    assert_int_equal(toy_config32(toy, 0x12c), 0x0001000b); /* the last */
    assert_int_equal(ferry_device_cap_off(toy->device, FERRY_DEVICE_CAPS_MAX + 1), 0x11c);
    assert_int_equal(ferry_device_cap_off(toy->device, FERRY_DEVICE_CAPS_MAX + 3), 0);
    assert_int_equal(ferry_device_cap_off(toy->device, UINT32_MAX), 0);
}

static void only_a_writable_body_is_written(void **state)
{
    struct toy *toy = *state;
    uint8_t ones[64], now[64];

    memset(ones, 0xff, sizeof(ones));
    assert_int_equal(toy_write(toy, CONFIG, 0x100, ones, 64), FERRY_OK);
    assert_int_equal(toy_read(toy, CONFIG, 0x100, now, 64), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x100), 0x10c10003);
    assert_int_equal(toy_config32(toy, 0x104), 0x55667788);
    assert_memory_equal(now + 0x14, body, 8);
    assert_int_equal(toy_config32(toy, 0x120), 0x00d00007);
    for (uint32_t i = 0x24; i < 0x2c; i++) {
        assert_int_equal(now[i], i < 0x29 ? 0xff : 0); /* 5 bytes of body */
    }
}

static void trap_second(struct ferry_device_desc *desc)
{
    desc->ext_cap_count = 2;
    desc->ext_cap[0] = (struct ferry_device_ext_cap){ .length = 12 };
    desc->ext_cap[1] = (struct ferry_device_ext_cap){ .length = TRAPPED_BYTES,
                                                      .writable = 1,
                                                      .trapped = 1 };
    desc->cap_count = 0;
}

static int ext_read(void *state, struct ferry_device *device, uint32_t cap, uint32_t off,
                    void *ret_data, size_t count)
{
    struct toy *toy = state;

    (void)device;
    assert_int_equal(cap, FERRY_DEVICE_CAPS_MAX + 1);
    toy->cap_off = off;
    toy->cap_count = count;
    memset(ret_data, 0xee, count);
    return FERRY_OK;
}

static void trap_second_with_ops(struct ferry_device_desc *desc)
{
    static struct ferry_device_ops ops;

    trap_second(desc);
    ops = *desc->ops;
    ops.cap_read = ext_read;
    desc->ops = &ops;
}

static void a_trapped_extended_body_goes_to_the_author(void **state)
{
    struct toy *toy = toy_new_with(FERRY_MIG_STOP_COPY, 0, trap_second_with_ops);
    uint8_t data[16];

    (void)state;
    assert_int_equal(toy_read(toy, CONFIG, 0x10c + 4, data, 8), FERRY_OK);
    assert_int_equal(toy->cap_off, 8);
    assert_int_equal(toy->cap_count, 4);
    assert_int_equal(data[3], TRAPPED_BYTES >> 4);
    assert_int_equal(data[4], 0xee);
    toy_free(toy);
}

static void make_conventional(struct ferry_device_desc *desc)
{
    desc->flags = FERRY_DEVICE_CONVENTIONAL;
}

static void a_conventional_device_has_256_bytes_and_no_express(void **state)
{
    struct toy *toy = toy_new_with(FERRY_MIG_STOP_COPY, 0, make_conventional);
    struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO };
    uint8_t all[256];

    (void)state;
    assert_int_equal(info_of(toy, CONFIG).size, 256);
    assert_int_equal(toy_read(toy, CONFIG, 0, all, 256), FERRY_OK);
    for (uint32_t at = all[0x34]; at != 0; at = all[at + 1]) {
        assert_int_not_equal(all[at], 0x10);
    }
    assert_int_equal(toy_read(toy, CONFIG, 256, all, 1), FERRY_E_RANGE);
    assert_int_equal(toy_read(toy, CONFIG, 255, all, 2), FERRY_E_RANGE);
    memset(all, 0xff, sizeof(all));
    assert_int_equal(toy_write(toy, CONFIG, 0, all, 256), FERRY_OK); /* no reset */
    assert_int_equal(toy->resets, 0);
    request.u.irq.index = 3;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.irq.count, 0);
    toy_free(toy);
}

static void the_rom_is_its_image_and_then_zeros(void **state)
{
    struct toy *toy = *state;
    uint8_t data[8];

    assert_int_equal(info_of(toy, 6).size, 4096);
    assert_int_equal(info_of(toy, 6).flags, FERRY_REGION_READ);
    assert_int_equal(toy_write32(toy, CONFIG, 0x30, 0xfffff800), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x30), 0xfffff000);
    assert_int_equal(toy_write32(toy, CONFIG, 0x30, 0xfeb00001), FERRY_OK);
    assert_int_equal(toy_config32(toy, 0x30), 0xfeb00001);
    assert_int_equal(toy_read32(toy, 6, 0), 0x5a5aaa55);
    assert_int_equal(toy_read(toy, 6, ROM_BYTES - 4, data, 8), FERRY_OK);
    assert_memory_equal(data, "\x5a\x5a\x5a\x5a\0\0\0\0", 8);
    assert_int_equal(toy_write32(toy, 6, 0, 0), FERRY_OK); /* dropped */
    assert_int_equal(toy_read32(toy, 6, 0), 0x5a5aaa55);
    assert_int_equal(toy_read(toy, 6, 4094, data, 4), FERRY_E_RANGE);
    assert_int_equal(toy->writes, 0);
    toy_bring(toy, FERRY_STATE_STOP);
    assert_int_equal(toy_read(toy, 6, 0, data, 4), FERRY_E_STATE);
}

static void extra_regions_are_told_and_reached(void **state)
{
    struct toy *toy = *state;
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    struct ferry_region_info info;
    struct ferry_os_map map = { 0 };

    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(request.u.info.region_count, 12);
    info = info_of(toy, 9);
    assert_int_equal(info.size, 100);
    assert_int_equal(info.type, 0x80000001u);
    assert_int_equal(info.subtype, 2);
    assert_int_equal(info.flags, FERRY_REGION_READ | FERRY_REGION_WRITE);
    assert_int_equal(toy_read32(toy, 9, 96), 0xa9a9a9a9);
    assert_int_equal(toy_write32(toy, 9, 0, 1), FERRY_OK);
    assert_int_equal(toy->writes, 1);
    assert_int_equal(toy_write32(toy, 9, 97, 1), FERRY_E_RANGE);
    info = info_of(toy, 10);
    assert_int_equal(info.flags, 7);
    assert_int_equal(info.area[0].off, 4096);
    assert_int_equal(toy_write32(toy, 10, 4100, 0xcafe), FERRY_OK);
    assert_int_equal(
        ferry_os_map_shared(info.fd, 0, EXTRA_BYTES, FERRY_OS_MAP_READ, &map, NULL),
        FERRY_OK);
    assert_int_equal(((const uint32_t *)map.data)[4100 / 4], 0xcafe);
    ferry_os_unmap(&map);
    assert_ptr_not_equal(ferry_device_region_memory(toy->device, 10), NULL);
    assert_ptr_equal(ferry_device_region_memory(toy->device, 9), NULL);
    assert_ptr_equal(ferry_device_region_memory(toy->device, 12), NULL);
    assert_int_equal(info_of(toy, 11).flags, FERRY_REGION_READ);
    assert_int_equal(toy_write32(toy, 11, 0, 1), FERRY_OK); /* dropped */
    assert_int_equal(toy->writes, 1);
    request.kind = FERRY_RQ_GET_REGION_INFO;
    request.u.region.index = 12;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_NOT_FOUND);
    toy_bring(toy, FERRY_STATE_STOP);
    assert_int_equal(toy_write32(toy, 9, 0, 1), FERRY_E_STATE);
}

static uint32_t power_off(struct toy *toy)
{
    uint8_t at = 0;

    assert_int_equal(toy_read(toy, CONFIG, 0x34, &at, 1), FERRY_OK);
    assert_int_equal(toy_config32(toy, at) & 0xff, 1); /* PM is the first */
    return at + 4u;
}

/* Rule MIG-PM-1. */
static void a_power_state_waits_until_the_device_runs(void **state)
{
    struct toy *toy = *state;
    const uint32_t at = power_off(toy);
    const uint8_t d3 = 3, d0 = 0;

    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, at, &d3, 1), FERRY_OK);
    assert_int_equal(toy_config32(toy, at) & 3, 3); /* it reads as written */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy_read32(toy, 0, 0x10), 0xa0a0a0a0); /* not asleep yet */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy_read32(toy, 0, 0x10), 0xffffffff);
    assert_int_equal(toy_write32(toy, 0, 4, 1), FERRY_OK); /* not decoded */
    assert_int_equal(toy->bells, 0);
    assert_int_equal(toy_read32(toy, 9, 0), 0xa9a9a9a9); /* no BAR decodes it */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy_write(toy, CONFIG, at, &d0, 1), FERRY_OK);
    assert_int_equal(toy_read32(toy, 0, 0x10), 0xffffffff); /* still asleep */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy_read32(toy, 0, 0x10), 0xa0a0a0a0);
}

static void refuse(void (*change)(struct ferry_device_desc *desc), const char *word)
{
    struct ferry_device_desc desc;
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };
    struct toy toy;

    toy_describe(&desc, &toy, FERRY_MIG_STOP_COPY, 0);
    change(&desc);
    assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
    assert_non_null(strstr(error.text, word));
    assert_null(device);
}

static void pin_5(struct ferry_device_desc *d)
{
    d->intx_pin = 5;
}
static void msi_3(struct ferry_device_desc *d)
{
    d->msi_vectors = 3;
}
static void msi_64(struct ferry_device_desc *d)
{
    d->msi_vectors = 64;
}
static void odd_flag(struct ferry_device_desc *d)
{
    d->flags = 1u << 31;
}
static void rom_no_length(struct ferry_device_desc *d)
{
    d->rom = rom;
}
static void rom_too_long(struct ferry_device_desc *d)
{
    d->rom = rom;
    d->rom_bytes = 2049;
}
static void rom_huge(struct ferry_device_desc *d)
{
    d->rom = rom;
    d->rom_bytes = UINT64_MAX;
    d->region[6].size_bytes = 0;
}
static void serial_conventional(struct ferry_device_desc *d)
{
    make_conventional(d);
    d->serial = 1;
}
static void ext_short(struct ferry_device_desc *d)
{
    d->ext_cap_count = 1;
    d->ext_cap[0].length = 7;
}
static void ext_too_many(struct ferry_device_desc *d)
{
    d->ext_cap_count = 9;
}
static void ext_too_big(struct ferry_device_desc *d)
{
    d->ext_cap_count = 1;
    d->ext_cap[0].length = 4095;
}
static void extra_too_many(struct ferry_device_desc *d)
{
    d->extra_count = 9;
}
static void extra_empty(struct ferry_device_desc *d)
{
    d->extra_count = 1;
}
static void extra_pages(struct ferry_device_desc *d)
{
    d->extra_count = 1;
    d->extra[0].region.size_bytes = 100;
    d->extra[0].region.flags = FERRY_BAR_MEMORY;
}
static void extra_flag(struct ferry_device_desc *d)
{
    d->extra_count = 1;
    d->extra[0].region.size_bytes = 4096;
    d->extra[0].region.flags = FERRY_BAR_64BIT;
}

static void bad_descriptions_are_refused(void **state)
{
    (void)state;
    refuse(pin_5, "intx_pin");
    refuse(msi_3, "msi_vectors");
    refuse(msi_64, "msi_vectors");
    refuse(odd_flag, "flags");
    refuse(rom_no_length, "rom");
    refuse(rom_too_long, "rom");
    refuse(rom_huge, "rom");
    refuse(serial_conventional, "conventional");
    refuse(ext_short, "ext_cap");
    refuse(ext_too_many, "ext_cap_count");
    refuse(ext_too_big, "ext_cap[0]");
    refuse(extra_too_many, "extra_count");
    refuse(extra_empty, "extra");
    refuse(extra_pages, "region");
    refuse(extra_flag, "extra");
}

static void a_caller_of_an_older_header_gets_none_of_it(void **state)
{
    struct ferry_device_desc desc;
    struct ferry_device *device = NULL;
    struct ferry_endpoint *endpoint;
    const struct ferry_client_port port = { .struct_size = sizeof(port) };
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    struct toy toy;

    (void)state;
    toy_describe(&desc, &toy, FERRY_MIG_STOP_COPY, 0);
    desc.struct_size = offsetof(struct ferry_device_desc, intx_pin);
    desc.intx_pin = 77;
    desc.extra_count = 77;
    assert_int_equal(ferry_device_create(&desc, &device, NULL), FERRY_OK);
    endpoint = ferry_device_endpoint(device);
    assert_int_equal(endpoint->ops->attach(endpoint, &port), FERRY_OK);
    assert_int_equal(endpoint->ops->submit(endpoint, &request), FERRY_OK);
    assert_int_equal(request.u.info.region_count, 9);
    ferry_device_destroy(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(extended_capabilities_form_a_list, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(only_a_writable_body_is_written, setup, teardown),
        cmocka_unit_test(a_trapped_extended_body_goes_to_the_author),
        cmocka_unit_test(a_conventional_device_has_256_bytes_and_no_express),
        cmocka_unit_test_setup_teardown(the_rom_is_its_image_and_then_zeros, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(extra_regions_are_told_and_reached, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_power_state_waits_until_the_device_runs, setup,
                                        teardown),
        cmocka_unit_test(bad_descriptions_are_refused),
        cmocka_unit_test(a_caller_of_an_older_header_gets_none_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
