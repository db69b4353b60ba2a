/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_rig.h"

#include <stdlib.h>
#include <string.h>

#include "models/copy/copy_private.h"

/* States whose hashes are right and whose records are not: records made by hand. */

#define PAGES 32u

struct world {
    struct copy copy;
    uint8_t stream[64 << 10];
    size_t count;
    XXH3_state_t *hash;
};

static struct world world;

static int set_up(void **state)
{
    memset(&world, 0, sizeof(world));
    world.copy.memory_bytes = PAGES * COPY_PAGE_BYTES;
    world.copy.page_count = PAGES;
    world.copy.channel_count = 2;
    world.copy.memory = calloc(PAGES, COPY_PAGE_BYTES);
    world.hash = XXH3_createState();
    for (uint32_t i = 0; i < 2; i++) {
        copy_channel_reset(&world.copy.channel[i]);
    }
    *state = &world;
    return world.copy.memory == NULL || world.hash == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    copy_load_end(&world.copy);
    copy_save_end(&world.copy);
    free(world.copy.memory);
    (void)XXH3_freeState(world.hash);
    return 0;
}

static void put(const void *bytes, size_t count)
{
    assert_true(world.count + count <= sizeof(world.stream));
    memcpy(world.stream + world.count, bytes, count);
    world.count += count;
}

static void put_record(uint32_t type, uint32_t count, uint64_t value)
{
    const struct copy_record record = { type, count, value };

    put(&record, sizeof(record));
}

static void begin(void)
{
    const uint64_t memory = PAGES * COPY_PAGE_BYTES;
    const uint32_t head[2] = { COPY_STREAM_VERSION, COPY_PAGE_BYTES };
    const uint32_t tail[2] = { 2, COPY_ENTRIES_MAX };
    uint64_t hash;

    world.count = 0;
    put_record(COPY_REC_MATCH, COPY_MATCH_BYTES, COPY_MATCH_MAGIC);
    put(head, 8);
    put(&memory, 8);
    put(tail, 8);
    hash = XXH3_64bits(world.stream, world.count);
    put(&hash, 8);
}

static void put_pages(uint32_t first, uint32_t count)
{
    static const uint8_t page[COPY_PAGE_BYTES] = { 1 };

    put_record(COPY_REC_DATA, count, first);
    for (uint32_t i = 0; i < count; i++) {
        put(page, sizeof(page));
    }
}

/* A channel's record; the caller changes it afterwards. */
static uint8_t *put_channels(void)
{
    uint8_t *at;
    const uint32_t vector = COPY_NO_VECTOR;
    uint8_t raw[COPY_CHANNEL_BYTES] = { 0 };

    put_record(COPY_REC_STATE, 2 * COPY_CHANNEL_BYTES, 2);
    at = world.stream + world.count;
    memcpy(raw + 24, &vector, 4);
    put(raw, sizeof(raw));
    put(raw, sizeof(raw));
    return at;
}

static void put_end(void)
{
    const uint64_t before = world.count;
    uint64_t hash;

    put_record(COPY_REC_END, COPY_END_BYTES, before);
    hash = XXH3_64bits(world.stream, world.count);
    put(&hash, 8);
}

/* Loads what was put. Return: status of the loading, or of the end. */
static int load(void)
{
    int status = copy_load_begin(&world.copy);

    assert_int_equal(status, FERRY_OK);
    status = copy_load_write(&world.copy, world.stream, world.count);
    return status == FERRY_OK ? copy_load_finish(&world.copy) : status;
}

static void a_stream_made_by_hand_is_taken(void **state)
{
    (void)state;
    begin();
    put_pages(3, 2);
    put_record(COPY_REC_ZERO, 1, 4);
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, 5, 0);
    put_pages(5, 1);
    put_record(COPY_REC_ZERO, PAGES - 6, 6);
    (void)put_channels();
    put_end();
    assert_int_equal(load(), FERRY_OK);
    assert_int_equal(world.copy.memory[3 * COPY_PAGE_BYTES], 1);
    assert_int_equal(world.copy.memory[4 * COPY_PAGE_BYTES], 0);
    assert_int_equal(world.copy.memory[5 * COPY_PAGE_BYTES], 1);
}

/* The ways to put records that may not come. */
static void unknown_record(void)
{
    put_record(8, 0, 0);
}

static void second_match(void)
{
    put(world.stream, COPY_RECORD_BYTES + COPY_MATCH_BYTES);
}

static void page_behind_the_memory(void)
{
    put_record(COPY_REC_ZERO, 1, PAGES);
}

static void run_over_the_end(void)
{
    put_record(COPY_REC_DATA, 2, PAGES - 1);
}

static void page_number_that_wraps(void)
{
    put_record(COPY_REC_ZERO, 2, UINT64_MAX);
}

static void no_pages(void)
{
    put_record(COPY_REC_ZERO, 0, 0);
}

static void too_many_data_pages(void)
{
    put_record(COPY_REC_DATA, COPY_RUN_DATA + 1, 0);
}

static void equal_before_the_last_pass(void)
{
    put_record(COPY_REC_EQUAL, 1, 0);
}

static void state_before_the_last_pass(void)
{
    (void)put_channels();
}

static void end_at_once(void)
{
    put_end();
}

static void last_pass_twice(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_FINAL, 0, 0);
}

static void last_pass_with_a_gap(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, 2, 0);
    put_record(COPY_REC_EQUAL, 2, 3);
}

static void last_pass_that_goes_back(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, 2, 0);
    put_record(COPY_REC_EQUAL, 2, 1);
}

static void last_pass_that_ends_early(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, PAGES - 1, 0);
    (void)put_channels();
}

static void state_of_other_length(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, PAGES, 0);
    put_record(COPY_REC_STATE, 3 * COPY_CHANNEL_BYTES, 2);
}

static void state_of_other_channels(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, PAGES, 0);
    put_record(COPY_REC_STATE, 3 * COPY_CHANNEL_BYTES, 3);
}

static void pages_after_the_state(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, PAGES, 0);
    (void)put_channels();
    put_record(COPY_REC_ZERO, 1, PAGES);
}

static void state_twice(void)
{
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_EQUAL, PAGES, 0);
    (void)put_channels();
    (void)put_channels();
}

static void records_out_of_place_are_refused(void **state)
{
    static void (*const wrong[])(void) = {
        unknown_record,
        second_match,
        page_behind_the_memory,
        run_over_the_end,
        page_number_that_wraps,
        no_pages,
        too_many_data_pages,
        equal_before_the_last_pass,
        state_before_the_last_pass,
        end_at_once,
        last_pass_twice,
        last_pass_with_a_gap,
        last_pass_that_goes_back,
        last_pass_that_ends_early,
        state_of_other_length,
        state_of_other_channels,
        pages_after_the_state,
        state_twice,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        int status;

        begin();
        wrong[i]();
        status = load();
        if (status != FERRY_E_CORRUPT) {
            fail_msg("case %zu ends with %d", i, status);
        }
        /* What comes after a refusal changes nothing. */
        assert_int_equal(copy_load_write(&world.copy, world.stream, 16), FERRY_E_CORRUPT);
        assert_int_equal(copy_load_finish(&world.copy), FERRY_E_CORRUPT);
    }
}

static void put_u32(uint8_t *channel, uint32_t off, uint32_t value)
{
    memcpy(channel + off, &value, 4);
}

/* A channel with a copy that is half done: good as it is. */
static uint8_t *half_done(void)
{
    const uint64_t numbers[2] = { 0x1000, 0x2000 };
    const struct copy_descriptor descriptor = {
        COPY_OP_COPY | COPY_F_DST_LOCAL, 9, 0x10000, 0, 0x20000,
    };
    const uint64_t progress = 0x10000;
    uint8_t *at;

    begin();
    put_record(COPY_REC_FINAL, 0, 0);
    put_record(COPY_REC_ZERO, PAGES, 0);
    at = put_channels();
    memcpy(at, numbers, 16);
    put_u32(at, 16, 16); /* entries */
    put_u32(at, 20, 1);  /* control */
    put_u32(at, 32, 5);  /* head */
    put_u32(at, 36, 6);  /* tail */
    put_u32(at, 40, 4);  /* done */
    put_u32(at, 44, 1);  /* busy */
    memcpy(at + 48, &descriptor, sizeof(descriptor));
    memcpy(at + 80, &progress, 8);
    return at;
}

static void channels_that_cannot_be_are_refused(void **state)
{
    static const struct {
        uint32_t off, value;
    } bad[] = {
        { 0, 0x1008 },              /* ring not aligned */
        { 8, 0x2010 },              /* completion ring not aligned */
        { 16, 3 },                  /* entries */
        { 16, 8192 },    { 20, 2 }, /* control */
        { 20, 0 },                  /* disabled with a descriptor in hand */
        { 24, 2 },                  /* vector */
        { 28, 1 },                  /* error without a reason to hold a descriptor */
        { 28, 4 },                  /* error number */
        { 32, 6 },                  /* head and done do not fit */
        { 44, 0 },       { 44, 2 }, { 48, 0 }, /* descriptor: operation */
        { 64, 0x40000 },                       /* destination outside the device memory */
        { 72, 0x10000 },                       /* length: nothing left to do */
        { 80, 0x10001 },                       /* progress */
        { 84, 1 },
    };
    uint8_t *channel;

    (void)state;
    (void)half_done();
    put_end();
    assert_int_equal(load(), FERRY_OK);
    assert_int_equal(world.copy.channel[0].progress, 0x10000);
    assert_int_equal(world.copy.channel[0].current.id, 9);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        copy_channel_reset(&world.copy.channel[0]);
        channel = half_done();
        put_u32(channel, bad[i].off, bad[i].value);
        put_end();
        if (load() != FERRY_E_CORRUPT) {
            fail_msg("case %zu is taken", i);
        }
        assert_int_equal(world.copy.channel[0].busy, 0); /* nothing is in force */
    }
    /* A completion that could not be written is carried with its channel's error. */
    channel = half_done();
    put_u32(channel, 28, COPY_ERROR_DONE_RING);
    put_u32(channel, 80, 0x20000);
    put_end();
    assert_int_equal(load(), FERRY_OK);
    assert_int_equal(world.copy.channel[0].error, COPY_ERROR_DONE_RING);
}

static void the_end_must_agree_with_what_came(void **state)
{
    (void)state;
    (void)half_done();
    put_end();
    world.stream[world.count - 1] ^= 1;
    assert_int_equal(load(), FERRY_E_CORRUPT);
    (void)half_done();
    put_record(COPY_REC_END, COPY_END_BYTES, world.count + 1);
    assert_int_equal(load(), FERRY_E_CORRUPT);
    (void)half_done();
    put_end();
    world.count--;
    assert_int_equal(load(), FERRY_E_SHORT);
    (void)half_done();
    put_end();
    put("x", 1);
    assert_int_equal(load(), FERRY_E_LONG);
    world.count = 0;
    assert_int_equal(load(), FERRY_E_SHORT);
}

static void match_data_says_what_is_wrong(void **state)
{
    static const struct {
        uint32_t off, value;
        int status;
    } bad[] = {
        { 0, 2, FERRY_E_FOREIGN },          { 4, 33, FERRY_E_FOREIGN },
        { 8, 1, FERRY_E_FOREIGN },          { 16, 2, FERRY_E_VERSION },
        { 20, 8192, FERRY_E_INCOMPATIBLE }, { 24, 1, FERRY_E_INCOMPATIBLE },
        { 32, 3, FERRY_E_INCOMPATIBLE },    { 36, 8192, FERRY_E_INCOMPATIBLE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t hash;

        begin();
        memcpy(world.stream + bad[i].off, &bad[i].value, 4);
        if (bad[i].off >= 16) {
            assert_int_equal(load(), FERRY_E_CORRUPT);
        }
        hash = XXH3_64bits(world.stream, 40);
        memcpy(world.stream + 40, &hash, 8);
        assert_int_equal(load(), bad[i].status);
    }
}

int main(void)
{
#define LOAD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        LOAD_TEST(a_stream_made_by_hand_is_taken),
        LOAD_TEST(records_out_of_place_are_refused),
        LOAD_TEST(channels_that_cannot_be_are_refused),
        LOAD_TEST(the_end_must_agree_with_what_came),
        LOAD_TEST(match_data_says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
