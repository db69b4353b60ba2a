/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_stream.h"
#include "test_model_chan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SOURCE 0x100000u
#define TARGET 0x200000u
#define PAGE COPY_PAGE_BYTES

struct world {
    struct rig_ram ram;
    struct rig a, b;
    struct chan chan;
    uint64_t bytes; /* of device memory */
    uint8_t *mine;  /* a's memory as a peer or a CPU maps it */
};

static struct world world;

/* A second mapping of a's device memory: what is written there, the device does not see.
 */
static uint8_t *map_memory(struct rig *rig)
{
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO,
                                  .u.region.index = COPY_BAR_MEMORY };
    uint8_t *bytes;

    assert_int_equal(rig_request(rig, &info), FERRY_OK);
    assert_int_equal(info.u.region.size, world.bytes);
    bytes = mmap(NULL, world.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, info.u.region.fd,
                 (off_t)info.u.region.offset);
    assert_true(bytes != MAP_FAILED);
    return bytes;
}

static int open_world(const char *memory, uint64_t bytes)
{
    const char *const options[] = { memory, "channels=2", NULL };

    memset(&world, 0, sizeof(world));
    world.bytes = bytes;
    rig_ram_open(&world.ram);
    rig_open(&world.a, "copy", options, &world.ram);
    rig_open(&world.b, "copy", options, &world.ram);
    chan_start(&world.chan, &world.a, &world.ram, 0);
    rig_fill(world.ram.bytes + SOURCE, 0x100000, 1);
    world.mine = map_memory(&world.a);
    return 0;
}

static int set_up(void **state)
{
    *state = &world;
    return open_world("memory=2M", 2u << 20);
}

static int set_up_small(void **state)
{
    *state = &world;
    return open_world("memory=64K", 64u << 10);
}

static int set_up_large(void **state)
{
    *state = &world;
    return open_world("memory=8M", 8u << 20);
}

static int tear_down(void **state)
{
    (void)state;
    (void)munmap(world.mine, world.bytes);
    rig_close(&world.a);
    rig_close(&world.b);
    rig_ram_close(&world.ram);
    return 0;
}

static const uint8_t *memory_of(struct rig *rig)
{
    return ferry_device_region_memory(rig->device, COPY_BAR_MEMORY);
}

/* Reads until there are so many bytes and the device is sure of all its pages. */
static void save_until_sure(struct rig_blob *blob, size_t bytes)
{
    for (int tries = 0; tries < 2000; tries++) {
        assert_int_equal(rig_save(&world.a, 1 << 20, blob), FERRY_E_DRY);
        if (blob->count >= bytes && rig_data_size(&world.a) < PAGE) {
            return;
        }
        (void)usleep(600);
    }
    fail_msg("the device is never sure of its pages");
}

static void a_half_done_descriptor_goes_on_where_it_was(void **state)
{
    const uint64_t len = 0xf0000;
    struct rig_blob blob = { 0 };
    struct copy_completion done;
    uint64_t progress;

    (void)state;
    chan_put(&world.chan, COPY_OP_COPY, 7, CHAN_IOVA(SOURCE), CHAN_IOVA(TARGET), len);
    assert_int_equal(chan_ring(&world.chan, &world.a), FERRY_OK);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY_P2P), FERRY_OK);
    progress = chan_progress(&world.chan, &world.a);
    assert_true(progress > 0 && progress < len);
    /* A doorbell that comes now is latched, carried, and rings at the target. */
    chan_put(&world.chan, COPY_OP_FILL | COPY_F_DST_LOCAL, 8, 0x55, 0x1000, 8);
    assert_int_equal(chan_ring(&world.chan, &world.a), FERRY_OK);
    rig_work(&world.a);
    assert_int_equal(chan_progress(&world.chan, &world.a), progress);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    /* What was copied is not copied again: the target would show the new bytes. */
    memset(world.ram.bytes + SOURCE, 0xaa, progress);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(chan_progress(&world.chan, &world.b), progress);
    assert_int_equal(chan_take(&world.chan, &done), 0);
    assert_int_equal(rig_state(&world.b, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.b);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_int_equal(done.id, 7);
    assert_int_equal(done.status, COPY_DONE);
    assert_int_equal(done.bytes, len);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_int_equal(done.id, 8);
    assert_int_equal(chan_take(&world.chan, &done), 0);
    assert_int_equal(rig_irqs(&world.b, 0) > 0, 1);
    rig_fill(world.ram.bytes + SOURCE, len, 1);
    assert_memory_equal(world.ram.bytes + TARGET, world.ram.bytes + SOURCE, len);
    assert_int_equal(memory_of(&world.b)[0x1000], 0x55);
    rig_blob_free(&blob);
}

static void a_source_that_is_taken_back_goes_on(void **state)
{
    const uint64_t len = 0xf0000;
    struct rig_blob blob = { 0 };
    struct copy_completion done;

    (void)state;
    chan_put(&world.chan, COPY_OP_COPY | COPY_F_DST_LOCAL, 7, CHAN_IOVA(SOURCE), 0, len);
    assert_int_equal(chan_ring(&world.chan, &world.a), FERRY_OK);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_E_DRY);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(world.a.endpoint->ops->work(world.a.endpoint), 1);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 100, &blob), FERRY_OK);
    assert_int_equal(chan_take(&world.chan, &done), 0);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    rig_work(&world.a);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_int_equal(done.bytes, len);
    assert_memory_equal(memory_of(&world.a), world.ram.bytes + SOURCE, len);
    rig_blob_free(&blob);
}

/* MIG-CMP-1, MIG-PRE-2 */
static void pages_written_only_through_the_mapping_arrive(void **state)
{
    struct rig_blob blob = { 0 };
    size_t first;

    (void)state;
    rig_fill(world.mine, world.bytes / 2, 3);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    save_until_sure(&blob, 0);
    first = blob.count;
    assert_true(first >= world.bytes / 2);
    /* Found by the comparison in pre-copy: a change, a page that is zero now, a new one.
     */
    world.mine[3 * PAGE + 17] ^= 1;
    memset(world.mine + 5 * PAGE, 0, PAGE);
    rig_fill(world.mine + world.bytes - 3 * PAGE, PAGE, 4);
    save_until_sure(&blob, first + 2 * PAGE + 3 * COPY_RECORD_BYTES);
    assert_true(blob.count < first + 8 * PAGE); /* and no more than that */
    /* Too late for that: found after the stop. */
    world.mine[3 * PAGE + 18] ^= 1;
    world.mine[9 * PAGE] ^= 0x80;
    memset(world.mine + 11 * PAGE, 0, 3 * PAGE);
    rig_fill(world.mine + world.bytes - PAGE, PAGE, 5);
    first = blob.count;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY_P2P), FERRY_OK);
    world.mine[100 * PAGE] ^= 0x80; /* by a peer that is quieted after this device */
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 1 << 20, &blob), FERRY_OK);
    assert_true(blob.count < first + 8 * PAGE);
    assert_int_equal(rig_resume(&world.b, 1 << 20, &blob), FERRY_OK);
    assert_memory_equal(memory_of(&world.b), world.mine, world.bytes);
    rig_blob_free(&blob);
}

/* MIG-PRE-7 */
static void pages_written_by_the_engine_in_pre_copy_arrive(void **state)
{
    struct rig_blob blob = { 0 };
    struct copy_completion done;
    size_t first;

    (void)state;
    rig_fill(world.mine, world.bytes, 3);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    save_until_sure(&blob, 0);
    first = blob.count;
    chan_put(&world.chan, COPY_OP_COPY | COPY_F_DST_LOCAL, 1, CHAN_IOVA(SOURCE),
             10 * PAGE + 5, 20 * PAGE);
    assert_int_equal(chan_ring(&world.chan, &world.a), FERRY_OK);
    rig_work(&world.a);
    assert_int_equal(chan_take(&world.chan, &done), 1);
    assert_true(rig_data_size(&world.a) > 21 * PAGE); /* known at once */
    save_until_sure(&blob, 0);
    assert_true(blob.count > first + 21 * PAGE && blob.count < first + 22 * PAGE);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 1 << 20, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 777, &blob), FERRY_OK);
    assert_memory_equal(memory_of(&world.b), world.mine, world.bytes);
    rig_blob_free(&blob);
}

static uint64_t initial_bytes(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };

    assert_int_equal(rig_request(&world.a, &request), FERRY_OK);
    return request.u.precopy.initial_bytes;
}

/* MIG-PRE-6 */
static void a_stop_in_the_middle_of_the_first_pass_is_complete(void **state)
{
    struct rig_blob blob = { 0 };
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    rig_fill(world.mine, world.bytes, 3);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    blob.cap = 300001;
    blob.bytes = malloc(blob.cap);
    assert_non_null(blob.bytes);
    read.u.data.data = blob.bytes;
    read.u.data.size = blob.cap;
    assert_int_equal(rig_request(&world.a, &read), FERRY_OK);
    blob.count = read.u.data.got;
    assert_true(blob.count > 0 && initial_bytes() > 0);
    assert_true(rig_data_size(&world.a) + blob.count >= world.bytes);
    world.mine[0] ^= 1;
    world.mine[world.bytes - 1] ^= 1;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 12345, &blob), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 54321, &blob), FERRY_OK);
    assert_memory_equal(memory_of(&world.b), world.mine, world.bytes);
    rig_blob_free(&blob);
}

/* MIG-SIZE-2 */
static void the_size_that_is_announced_is_not_exceeded(void **state)
{
    struct rig_blob blob = { 0 };
    uint64_t size;

    (void)state;
    /* Every second page: the most records that there can be. */
    for (uint64_t page = 0; page < world.bytes / PAGE; page += 2) {
        rig_fill(world.mine + page * PAGE, PAGE, (uint32_t)page);
    }
    size = rig_data_size(&world.a);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_true(rig_data_size(&world.a) <= size);
    assert_int_equal(rig_save(&world.a, 1 << 20, &blob), FERRY_OK);
    assert_true(blob.count <= size && blob.count >= world.bytes / 2);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    blob.count = 0;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_true(initial_bytes() >= world.bytes);
    save_until_sure(&blob, 0);
    assert_int_equal(initial_bytes(), 0);
    /* Everything is known to be equal, and so what comes after the stop is small. */
    size = rig_data_size(&world.a);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    blob.count = 0;
    assert_int_equal(rig_save(&world.a, 1 << 20, &blob), FERRY_OK);
    assert_true(blob.count <= size && size < PAGE);
    rig_blob_free(&blob);
}

static void pages_that_were_sent_and_not_compared_are_counted(void **state)
{
    struct rig_blob blob = { 0 };

    (void)state;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    blob.bytes = malloc(4096);
    assert_non_null(blob.bytes);
    while (initial_bytes() != 0) {
        struct ferry_request read = { .kind = FERRY_RQ_DATA_READ,
                                      .u.data = { .data = blob.bytes, .size = 4096 } };

        assert_int_equal(rig_request(&world.a, &read), FERRY_OK);
    }
    /* All of it was sent a moment ago; anybody may have written to it since. */
    assert_true(rig_data_size(&world.a) > 256 * PAGE);
    save_until_sure(&blob, 0);
    rig_blob_free(&blob);
}

static void any_segmentation_gives_the_same_stream(void **state)
{
    static const size_t piece[] = { 1, 997, 1 << 20 };

    (void)state;
    rig_fill(world.mine + 2 * PAGE, 5 * PAGE, 3);
    for (uint32_t precopy = 0; precopy < 2; precopy++) {
        struct rig_blob first = { 0 };

        for (size_t i = 0; i < 3; i++) {
            struct rig_blob blob = { 0 };

            if (precopy != 0) {
                assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
                assert_int_equal(rig_save(&world.a, piece[i], &blob), FERRY_E_DRY);
                world.mine[4 * PAGE] ^= 0xff;
            }
            assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
            assert_int_equal(rig_save(&world.a, piece[i], &blob), FERRY_OK);
            world.mine[4 * PAGE] ^= precopy != 0 ? 0xff : 0;
            if (i == 0) {
                first = blob;
            } else {
                assert_int_equal(blob.count, first.count);
                assert_memory_equal(blob.bytes, first.bytes, first.count);
                rig_blob_free(&blob);
            }
            assert_int_equal(rig_resume(&world.b, piece[2 - i], &first), FERRY_OK);
            assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
        }
        world.mine[4 * PAGE] ^= precopy != 0 ? 0xff : 0;
        assert_memory_equal(memory_of(&world.b), world.mine, world.bytes);
        rig_blob_free(&first);
    }
}

/* MIG-PRE-8 */
static void incompatible_targets_refuse_before_the_source_stops(void **state)
{
    static const char *const bad[][3] = { { "memory=128K", "channels=2", NULL },
                                          { "memory=64K", "channels=3", NULL } };
    struct rig_blob first = { 0 };

    (void)state;
    assert_int_equal(rig_state(&world.a, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &first), FERRY_E_DRY);
    for (size_t i = 0; i < 2; i++) {
        struct rig other;

        rig_open(&other, "copy", bad[i], &world.ram);
        assert_int_equal(rig_state(&other, FERRY_STATE_RESUMING), FERRY_OK);
        assert_int_equal(rig_load(&other, 11, &first), FERRY_E_INCOMPATIBLE);
        rig_close(&other);
    }
    assert_int_equal(rig_state(&world.a, FERRY_STATE_RUNNING), FERRY_OK);
    rig_blob_free(&first);
}

/* MIG-DATA-10 */
static void damaged_streams_are_refused_whole(void **state)
{
    struct rig_blob blob = { 0 };
    struct rig_blob bad = { 0 };

    (void)state;
    rig_fill(world.mine + 7 * PAGE, 2 * PAGE, 3);
    assert_int_equal(rig_state(&world.a, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(rig_save(&world.a, 4096, &blob), FERRY_OK);
    bad.bytes = malloc(blob.count + 1);
    assert_non_null(bad.bytes);
    for (size_t at = 0; at < blob.count; at++) {
        const int inside_pages = at > 200 && at + 400 < blob.count;

        if (inside_pages && at % 211 != 0) {
            continue;
        }
        for (int way = 0; way < 2; way++) {
            memcpy(bad.bytes, blob.bytes, blob.count);
            bad.count = way == 0 ? at : blob.count;
            bad.bytes[at] ^= (uint8_t)(1u << at % 8);
            if (rig_resume(&world.b, 4096, &bad) >= FERRY_OK) {
                fail_msg("%s at %zu is taken", way == 0 ? "a cut" : "a flip", at);
            }
            assert_int_equal(ferry_device_state(world.b.device), FERRY_STATE_RESUMING);
            assert_int_equal(rig_reset(&world.b), FERRY_OK);
        }
    }
    memcpy(bad.bytes, blob.bytes, blob.count);
    bad.bytes[blob.count] = 0;
    bad.count = blob.count + 1;
    assert_true(rig_resume(&world.b, 4096, &bad) < FERRY_OK);
    assert_int_equal(rig_reset(&world.b), FERRY_OK);
    assert_int_equal(rig_resume(&world.b, 4096, &blob), FERRY_OK);
    assert_memory_equal(memory_of(&world.b), world.mine, world.bytes);
    rig_blob_free(&blob);
    rig_blob_free(&bad);
}

int main(void)
{
#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define LARGE_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_large, tear_down)
#define SMALL_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_small, tear_down)
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_half_done_descriptor_goes_on_where_it_was),
        RIG_TEST(a_source_that_is_taken_back_goes_on),
        RIG_TEST(pages_written_only_through_the_mapping_arrive),
        RIG_TEST(pages_written_by_the_engine_in_pre_copy_arrive),
        RIG_TEST(a_stop_in_the_middle_of_the_first_pass_is_complete),
        RIG_TEST(the_size_that_is_announced_is_not_exceeded),
        LARGE_TEST(pages_that_were_sent_and_not_compared_are_counted),
        SMALL_TEST(any_segmentation_gives_the_same_stream),
        SMALL_TEST(incompatible_targets_refuse_before_the_source_stops),
        SMALL_TEST(damaged_streams_are_refused_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
