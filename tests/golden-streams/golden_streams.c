/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reads the files that every version of the stream has written: shows each, restores it
 * into fresh devices and looks at what they hold then. `golden_streams make FOLDER`
 * writes those of the present version; README.md says when.
 */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "ferry/show.h"
#include "models/models.h"
#include "models/nic/nic_private.h"

#define MEMORY_BYTES 65536u
#define MEMORY_IOVA 0x100000u
#define DEVICE_MEMORY_BYTES 65536u
#define DEVICE_MEMORY_REGION 2u
#define DEVICES_MAX 2u

/* A file and the context that it was made of. */
struct golden {
    uint32_t version;
    const char *name;
    uint32_t device_count;
    const char *model[DEVICES_MAX];
    uint32_t has_memory;
    uint32_t compress; /* when it is made */
};

static const struct golden all[] = {
    { 1, "acc", 1, { "acc" }, 0, 0 },
    { 1, "copy", 1, { "copy" }, 0, 0 },
    { 1, "context", 2, { "acc", "copy" }, 1, 0 },
    { 1, "context-zstd", 2, { "acc", "copy" }, 1, 3 },
    { 1, "nic", 1, { "nic" }, 0, 0 },
};
#define GOLDEN_COUNT (sizeof(all) / sizeof(all[0]))

/* A register that holds what a driver wrote: written before a save, read after it. */
struct setting {
    const char *model;
    uint32_t region;
    uint64_t off;
    uint32_t bytes;
    uint64_t value;
};

static const struct setting settings[] = {
    /* What the VMM controls: command, interrupt line, BARs, MSI-X. */
    { "acc", 7, 0x04, 2, 0x0006 },
    { "acc", 7, 0x3c, 1, 0x21 },
    { "acc", 7, 0x10, 4, 0xe0000000 },
    { "acc", 0, 0x00, 8, 0xfee01000 },
    { "acc", 0, 0x08, 4, 0x4021 },
    { "acc", 0, 0x0c, 4, 0 },
    { "copy", 7, 0x04, 2, 0x0006 },
    { "copy", 7, 0x3c, 1, 0x22 },
    { "copy", 4, 0x10, 8, 0xfee02000 },
    { "copy", 4, 0x18, 4, 0x4022 },
    { "copy", 4, 0x1c, 4, 1 },
    /* acc, a virtio device: acknowledged by a driver, queue 1 chosen and laid out. */
    { "acc", 4, 0x14, 1, 0x03 },
    { "acc", 4, 0x08, 4, 1 },
    { "acc", 4, 0x16, 2, 1 },
    { "acc", 4, 0x18, 2, 64 },
    { "acc", 4, 0x20, 4, 0x101000 },
    { "acc", 4, 0x28, 4, 0x102000 },
    { "acc", 4, 0x30, 4, 0x103000 },
    /* copy: channel 1 is laid out and enabled. */
    { "copy", 0, 0x1080, 8, 0x104000 },
    { "copy", 0, 0x1088, 8, 0x105000 },
    { "copy", 0, 0x1090, 4, 32 },
    { "copy", 0, 0x109c, 4, 2 },
    { "copy", 0, 0x1094, 4, 1 },
    /* nic, the same: queue 1 (the first that sends) chosen and laid out. */
    { "nic", 7, 0x04, 2, 0x0006 },
    { "nic", 7, 0x3c, 1, 0x23 },
    { "nic", 1, 0x10, 8, 0xfee03000 },
    { "nic", 1, 0x18, 4, 0x4023 },
    { "nic", 1, 0x1c, 4, 1 },
    { "nic", 4, 0x14, 1, 0x03 },
    { "nic", 4, 0x08, 4, 1 },
    { "nic", 4, 0x16, 2, 1 },
    { "nic", 4, 0x18, 2, 32 },
    { "nic", 4, 0x20, 4, 0x101000 },
    { "nic", 4, 0x28, 4, 0x102000 },
    { "nic", 4, 0x30, 4, 0x103000 },
};
#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

struct world {
    struct ferry_context *context;
    const struct ferry_model *model[DEVICES_MAX];
    struct ferry_device *device[DEVICES_MAX];
    void *state[DEVICES_MAX];
    uint32_t device_count;
    uint8_t *memory;
    int memory_fd;
};

static uint8_t pattern(uint32_t seed, size_t i)
{
    /* Every other page is zero. */
    return i / 4096 % 2 ? (uint8_t)(i * 31 / 7 + i / 256 * 5 + seed) : 0;
}

static void open_world(struct world *world, const struct golden *golden)
{
    static const char memory[] = "memory=64K";
    const char *const option[] = { memory };
    struct ferry_context_options options = { .struct_size = sizeof(options) };

    memset(world, 0, sizeof(*world));
    world->memory_fd = -1;
    assert_int_equal(ferry_context_create(&options, &world->context, NULL), FERRY_OK);
    for (uint32_t i = 0; i < golden->device_count; i++) {
        struct ferry_model_options own = { .struct_size = sizeof(own), .option = option };

        own.count = strcmp(golden->model[i], "copy") == 0;
        world->model[i] = ferry_model_find(golden->model[i]);
        assert_non_null(world->model[i]);
        assert_int_equal(
            world->model[i]->create(&own, &world->device[i], &world->state[i], NULL),
            FERRY_OK);
        assert_int_equal(
            ferry_context_add_endpoint(world->context, golden->model[i],
                                       ferry_device_endpoint(world->device[i]), NULL),
            i);
        world->device_count++;
    }
    if (golden->has_memory) {
        struct ferry_memory region = { .iova = MEMORY_IOVA,
                                       .size = MEMORY_BYTES,
                                       .writable = 1 };
        void *address = NULL;

        assert_int_equal(
            ferry_memory_create(MEMORY_BYTES, &world->memory_fd, &address, NULL),
            FERRY_OK);
        world->memory = address;
        region.address = address;
        region.fd = world->memory_fd;
        assert_int_equal(ferry_context_add_memory(world->context, &region, NULL), 0);
    }
}

static void close_world(struct world *world)
{
    ferry_context_destroy(world->context);
    for (uint32_t i = 0; i < world->device_count; i++) {
        world->model[i]->destroy(world->device[i], world->state[i]);
    }
    if (world->memory_fd >= 0) {
        assert_int_equal(close(world->memory_fd), 0);
    }
}

static int is(const struct world *world, uint32_t device, const char *model)
{
    return strcmp(world->model[device]->name, model) == 0;
}

/* --- making --- */

/* What traffic and a driver's commands leave in a nic: a flow, a frame that waits. */
static void fill_nic(struct nic *nic)
{
    uint8_t bytes[60] = { 0x52, 0x54, 0, 0xfe, 0x44, 1, 2, 0, 0, 0, 0, 9, 0x88, 0xb5 };
    struct iovec part = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    const struct nic_frame frame = { .part = &part,
                                     .part_count = 1,
                                     .bytes = sizeof(bytes) };

    nic_flows_count(nic->flows, bytes, sizeof(bytes), sizeof(bytes), 0);
    assert_int_equal(nic_backlog_put(nic->backlog, 0, &frame), FERRY_OK);
    nic->filter.all_multicast = 1;
    nic->filter.multicast_count = 1;
    nic->filter.multicast[0][0] = 0x33;
    nic->filter.vlan[1] = 4;
    nic->receive[0].frames = 5;
    nic->transmit[0].bytes = 1u << 20;
}

static void fill_device(struct world *world, uint32_t device)
{
    uint8_t data[DEVICE_MEMORY_BYTES];

    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *set = &settings[i];
        uint8_t bytes[8];

        for (size_t n = 0; n < sizeof(bytes); n++) {
            bytes[n] = (uint8_t)(set->value >> 8 * n);
        }
        if (is(world, device, set->model)) {
            assert_int_equal(ferry_context_region_write(world->context, device,
                                                        set->region, set->off, bytes,
                                                        set->bytes, 0),
                             FERRY_OK);
        }
    }
    if (is(world, device, "nic")) {
        fill_nic(world->state[device]);
    }
    if (is(world, device, "copy")) {
        for (size_t i = 0; i < sizeof(data); i++) {
            data[i] = pattern(1, i);
        }
        assert_int_equal(ferry_context_region_write(world->context, device,
                                                    DEVICE_MEMORY_REGION, 0, data,
                                                    sizeof(data), 0),
                         FERRY_OK);
    }
}

static void make(const struct golden *golden, const char *folder)
{
    struct ferry_save_options options = { .struct_size = sizeof(options),
                                          .compress = golden->compress };
    struct world world;
    char path[4096];
    int fd;

    open_world(&world, golden);
    for (uint32_t i = 0; i < world.device_count; i++) {
        fill_device(&world, i);
    }
    for (size_t i = 0; golden->has_memory && i < MEMORY_BYTES; i++) {
        world.memory[i] = pattern(2, i);
    }
    (void)snprintf(path, sizeof(path), "%s/%s.ferry", folder, golden->name);
    /* What is there stays as it is, for ever. */
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) {
        perror(path);
        exit(1);
    }
    assert_int_equal(ferry_context_save_fd(world.context, fd, &options, NULL), FERRY_OK);
    assert_int_equal(ferry_context_wait(world.context, NULL), FERRY_OK);
    close_world(&world);
}

static void make_all(void **state)
{
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        if (all[i].version == FERRY_STREAM_VERSION) {
            make(&all[i], *state);
        }
    }
}

/* --- reading --- */

static int open_golden(const struct golden *golden)
{
    char path[4096];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/v%u/%s.ferry", FERRY_GOLDEN, golden->version,
                   golden->name);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fail_msg("%s is not there", path);
    }
    return fd;
}

static void look_at_nic(const struct nic *nic)
{
    struct nic_flows_state flows;
    struct nic_frame frame;
    uint64_t age = 0, page = 0;

    nic_flows_state_get(nic->flows, &flows);
    assert_int_equal(flows.frames, 1);
    assert_int_equal(nic_flows_used(nic->flows), 1);
    nic_flows_track(nic->flows);
    assert_int_equal(nic_flows_take(nic->flows, 2, &page), 1);
    nic_flows_track_end(nic->flows);
    assert_true(nic_flows_page_valid(nic->flows, page, &age) && age == 1);
    assert_int_equal(nic_backlog_peek(nic->backlog, 0, &frame), 1);
    assert_int_equal(frame.bytes, 60);
    assert_memory_equal(frame.part->iov_base, "\x52\x54\0\xfe\x44\1\2", 7);
    assert_int_equal(nic->filter.all_multicast, 1);
    assert_int_equal(nic->filter.multicast_count, 1);
    assert_int_equal(nic->filter.multicast[0][0], 0x33);
    assert_int_equal(nic->filter.vlan[1], 4);
    assert_int_equal(nic->receive[0].frames, 5);
    assert_int_equal(nic->transmit[0].bytes, 1u << 20);
}

static void look_at_device(struct world *world, uint32_t device, const char *name)
{
    uint8_t data[DEVICE_MEMORY_BYTES];

    for (size_t i = 0; i < SETTING_COUNT; i++) {
        const struct setting *set = &settings[i];
        uint8_t bytes[8] = { 0 };
        uint64_t value = 0;

        if (!is(world, device, set->model)) {
            continue;
        }
        assert_int_equal(ferry_context_region_read(world->context, device, set->region,
                                                   set->off, bytes, set->bytes),
                         FERRY_OK);
        for (size_t n = 0; n < sizeof(bytes); n++) {
            value |= (uint64_t)bytes[n] << 8 * n;
        }
        if (value != set->value) {
            fail_msg("%s: %s region %u offset 0x%llx holds 0x%llx, not 0x%llx", name,
                     set->model, set->region, (unsigned long long)set->off,
                     (unsigned long long)value, (unsigned long long)set->value);
        }
    }
    if (is(world, device, "nic")) {
        look_at_nic(world->state[device]);
    }
    if (is(world, device, "copy")) {
        assert_int_equal(ferry_context_region_read(world->context, device,
                                                   DEVICE_MEMORY_REGION, 0, data,
                                                   sizeof(data)),
                         FERRY_OK);
        for (size_t i = 0; i < sizeof(data); i++) {
            assert_int_equal(data[i], pattern(1, i));
        }
    }
}

static void every_file_is_restored_into_fresh_devices(void **state)
{
    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        const struct golden *golden = &all[i];
        struct ferry_error error = { .code = FERRY_OK };
        struct world world;
        int rc;

        open_world(&world, golden);
        rc = ferry_context_restore_fd(world.context, open_golden(golden), NULL, &error);
        if (golden->version < FERRY_STREAM_VERSION_MIN) {
            assert_int_equal(rc, FERRY_E_VERSION);
            assert_string_equal(error.rule, "STR-VER-1");
            close_world(&world);
            continue;
        }
        if (rc == FERRY_OK) {
            rc = ferry_context_wait(world.context, &error);
        }
        if (rc != FERRY_OK) {
            fail_msg("v%u %s: %s", golden->version, golden->name, error.text);
        }
        for (uint32_t n = 0; n < world.device_count; n++) {
            assert_int_equal(ferry_device_state(world.device[n]), FERRY_STATE_RUNNING);
            look_at_device(&world, n, golden->name);
        }
        for (size_t n = 0; golden->has_memory && n < MEMORY_BYTES; n++) {
            assert_int_equal(world.memory[n], pattern(2, n));
        }
        close_world(&world);
    }
}

static void count_record(void *user, const struct ferry_show_record *record)
{
    uint32_t *counts = user;

    counts[record->tag < FERRY_REC_TAG_END ? record->tag : 0]++;
    assert_null(record->error);
}

static void every_file_is_shown(void **state)
{
    const struct ferry_show_ops ops = { .struct_size = sizeof(ops),
                                        .record = count_record };

    (void)state;
    for (size_t i = 0; i < GOLDEN_COUNT; i++) {
        uint32_t counts[FERRY_REC_TAG_END] = { 0 };
        struct ferry_show_summary summary;
        struct ferry_error error = { .code = FERRY_OK };
        int fd = open_golden(&all[i]);

        if (all[i].version >= FERRY_STREAM_VERSION_MIN &&
            ferry_stream_show(fd, &ops, counts, &summary, &error) != FERRY_OK) {
            fail_msg("v%u %s: %s", all[i].version, all[i].name, error.text);
        }
        if (all[i].version >= FERRY_STREAM_VERSION_MIN) {
            assert_int_equal(summary.version, all[i].version);
            assert_int_equal(summary.is_file, 1);
            assert_int_equal(summary.blocks > 0, all[i].compress > 0);
            assert_int_equal(counts[FERRY_REC_HELLO_DEVICE], all[i].device_count);
            assert_int_equal(counts[FERRY_REC_HELLO_MEMORY], all[i].has_memory);
            assert_int_equal(counts[FERRY_REC_DEVICE_CONFIG], all[i].device_count);
            assert_true(counts[FERRY_REC_DEVICE_DATA] >= all[i].device_count);
        }
        assert_int_equal(close(fd), 0);
    }
}

static void no_file_is_left_out(void **state)
{
    uint32_t found = 0;

    (void)state;
    for (uint32_t version = 1; version <= FERRY_STREAM_VERSION; version++) {
        char path[4096];
        DIR *dir;

        (void)snprintf(path, sizeof(path), "%s/v%u", FERRY_GOLDEN, version);
        dir = opendir(path);
        assert_non_null(dir);
        for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            found += strstr(entry->d_name, ".ferry") != NULL;
        }
        assert_int_equal(closedir(dir), 0);
    }
    assert_int_equal(found, GOLDEN_COUNT);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest making[] = {
        cmocka_unit_test_prestate(make_all, argc == 3 ? argv[2] : NULL),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_is_shown),
        cmocka_unit_test(every_file_is_restored_into_fresh_devices),
        cmocka_unit_test(no_file_is_left_out),
    };

    if (argc == 3 && strcmp(argv[1], "make") == 0) {
        return cmocka_run_group_tests(making, NULL, NULL);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
