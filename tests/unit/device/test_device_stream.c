/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "test_device_toy.h"

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define STREAM_MAX (2u * 1024 * 1024)

static uint8_t *stream;

static int setup(void **state)
{
    (void)state;
    stream = calloc(1, STREAM_MAX);
    return stream == NULL;
}

static int teardown(void **state)
{
    (void)state;
    free(stream);
    return 0;
}

static void fill(struct toy *toy, uint32_t bytes, uint32_t salt)
{
    toy->state_bytes = bytes;
    for (uint32_t i = 0; i < bytes; i++) {
        toy->state[i] = (uint8_t)(i * 31 + i / 256 + salt);
    }
}

/* The whole stream of a toy with such a state, with doorbells latched on the way. */
static uint64_t stream_of(uint32_t bytes, uint32_t bells, uint64_t piece,
                          uint64_t *ret_size)
{
    struct toy *toy = toy_new(ALL, 1);
    struct ferry_request size = { .kind = FERRY_RQ_DATA_SIZE };
    uint64_t total;

    fill(toy, bytes, 7);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    for (uint32_t i = 0; i < bells; i++) {
        assert_int_equal(toy_write32(toy, 0, 4, 100 + i), FERRY_OK);
    }
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(toy_ask(toy, &size), FERRY_OK);
    total = toy_save(toy, stream, STREAM_MAX, piece);
    if (ret_size != NULL) {
        *ret_size = size.u.data_size;
    }
    toy_free(toy);
    return total;
}

static int load_and_stop(struct toy *toy, const uint8_t *data, uint64_t bytes,
                         uint64_t piece)
{
    int status = toy_set(toy, FERRY_STATE_RESUMING);

    assert_int_equal(status, FERRY_OK);
    memset(toy->state, 0, sizeof(toy->state));
    status = toy_load(toy, data, bytes, piece);
    return status != FERRY_OK ? status : toy_set(toy, FERRY_STATE_STOP);
}

/* MIG-DATA-6 */
static void cutting_the_stream_changes_no_byte_of_it(void **state)
{
    static const uint32_t sizes[] = { 0, 1, 65535, 65536, 65537, TOY_STATE_MAX };
    static const uint64_t pieces[] = { 1, 7, 4099, 65536, 65544, 70001, 600000 };
    uint8_t *whole = malloc(STREAM_MAX);

    (void)state;
    for (size_t s = 0; s < 6; s++) {
        uint64_t announced;
        const uint64_t total = stream_of(sizes[s], 2, 1u << 20, &announced);

        assert_true(announced >= total && announced <= total + 8);
        memcpy(whole, stream, total);
        for (size_t p = 0; p < 7; p++) {
            if (pieces[p] == 1 && sizes[s] > 70000) {
                continue; /* takes long and shows nothing new */
            }
            memset(stream, 0, total);
            assert_int_equal(stream_of(sizes[s], 2, pieces[p], NULL), total);
            assert_memory_equal(stream, whole, total);
        }
    }
    free(whole);
}

/* MIG-SES-3, MIG-DATA-6 */
static void two_round_trips_with_every_cut(void **state)
{
    static const uint64_t pieces[] = { 1, 7777, 1u << 20 };
    static const uint32_t sizes[] = { 1, 9001, TOY_STATE_MAX };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct toy *from = toy_new(ALL, 1), *to = toy_new(ALL, 1);

        fill(from, sizes[i], 3);
        from->precopy_bytes = sizes[i] / 2;
        for (uint32_t trip = 0; trip < 2; trip++) {
            struct toy *swap = from;
            uint64_t total, more;

            assert_int_equal(toy_set(from, FERRY_STATE_PRE_COPY), FERRY_OK);
            total = toy_save(from, stream, STREAM_MAX, pieces[i]);
            assert_int_equal(toy_set(from, FERRY_STATE_PRE_COPY_P2P), FERRY_OK);
            assert_int_equal(toy_write32(from, 0, 4, 500 + trip), FERRY_OK);
            assert_int_equal(toy_set(from, FERRY_STATE_STOP_COPY), FERRY_OK);
            more = toy_save(from, stream + total, STREAM_MAX - total, pieces[i]);
            assert_true(more > 0);
            total += more;
            to->state_bytes = sizes[i];
            assert_int_equal(load_and_stop(to, stream, total, pieces[i]), FERRY_OK);
            assert_memory_equal(to->state, from->state, sizes[i]);
            assert_int_equal(toy_set(to, FERRY_STATE_RUNNING), FERRY_OK);
            assert_int_equal(to->bells, 1); /* the doorbell rang over there */
            assert_int_equal(to->bell[0], 500 + trip);
            assert_int_equal(from->bells, 0);
            to->bells = 0;
            to->precopy_bytes = from->precopy_bytes;
            from->arcs = 0;
            to->arcs = 0;
            toy_bring(from, FERRY_STATE_RUNNING);
            from = to;
            to = swap;
        }
        toy_free(from);
        toy_free(to);
    }
}

/* MIG-PRE-9 */
static void precopy_counts_what_is_still_to_be_read(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request info = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    fill(toy, 1000, 1);
    toy->precopy_bytes = 100;
    assert_int_equal(toy_set(toy, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(info.u.precopy.initial_bytes, 48 + 8 + 100);
    read.u.data = (struct ferry_data_io){ .data = stream, .size = 48 + 8 + 30 };
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    assert_int_equal(read.u.data.got, 48 + 8 + 30);
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(info.u.precopy.initial_bytes, 70);
    read.u.data.size = 1000;
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    assert_int_equal(read.u.data.got, 70);
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(info.u.precopy.initial_bytes, 0);
    assert_int_equal(info.u.precopy.dirty_bytes, 0);
    assert_int_equal(toy_ask(toy, &read), FERRY_E_DRY);
    read.u.data.size = 0;
    assert_int_equal(toy_ask(toy, &read), FERRY_E_ARGUMENT);
    toy_free(toy);
}

/* MIG-CAN-2 */
static void initial_bytes_do_not_rise_when_later_bytes_wait(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request info = { .kind = FERRY_RQ_PRECOPY_INFO };
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    fill(toy, 1000, 1);
    toy->precopy_bytes = 100;
    assert_int_equal(toy_set(toy, FERRY_STATE_PRE_COPY), FERRY_OK);
    read.u.data = (struct ferry_data_io){ .data = stream, .size = 1000 };
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(info.u.precopy.initial_bytes, 0);
    toy->precopy_bytes += 50;
    read.u.data.size = 10; /* of the frame's 8 + 50 */
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    assert_int_equal(read.u.data.got, 10);
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(info.u.precopy.initial_bytes, 0);
    assert_int_equal(info.u.precopy.dirty_bytes, 48);
    toy_free(toy);
}

static void a_new_session_begins_at_the_beginning(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    uint8_t other[256];
    uint64_t total;

    (void)state;
    fill(toy, 100, 1);
    toy->precopy_bytes = 10;
    assert_int_equal(toy_set(toy, FERRY_STATE_PRE_COPY), FERRY_OK);
    assert_true(toy_save(toy, other, sizeof(other), 64) > 0);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    total = toy_save(toy, stream, STREAM_MAX, 4096);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    memset(stream + total, 0, total);
    assert_int_equal(toy_save(toy, stream + total, STREAM_MAX - total, 4096), total);
    assert_memory_equal(stream, stream + total, total);
    toy_free(toy);
}

/* MIG-DATA-7 */
static void every_cut_off_stream_is_short(void **state)
{
    const uint64_t total = stream_of(20, 1, 4096, NULL);
    struct toy *toy = toy_new(ALL, 1);

    (void)state;
    toy->state_bytes = 20;
    for (uint64_t bytes = 0; bytes < total; bytes++) {
        toy_bring(toy, FERRY_STATE_RUNNING);
        assert_int_equal(load_and_stop(toy, stream, bytes, 4096), FERRY_E_SHORT);
        assert_int_equal(toy_get(toy), FERRY_STATE_RESUMING);
    }
    /* The rest may still come. */
    assert_int_equal(toy_load(toy, stream + total - 1, 1, 1), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    toy_free(toy);
}

/* MIG-DATA-9 */
static void a_long_stream_is_refused(void **state)
{
    const uint64_t total = stream_of(20, 0, 4096, NULL);
    struct toy *toy = toy_new(ALL, 1);

    (void)state;
    toy->state_bytes = 20;
    assert_int_equal(load_and_stop(toy, stream, total + 1, 4096), FERRY_E_LONG);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_E_LONG); /* spoilt for good */
    assert_int_equal(toy_load(toy, stream, total, 4096), FERRY_E_LONG);
    assert_int_equal(toy_get(toy), FERRY_STATE_RESUMING);
    toy_bring(toy, FERRY_STATE_RUNNING);
    assert_int_equal(load_and_stop(toy, stream, total, 4096), FERRY_OK);
    /* The author's own check counts as well. */
    toy->state_bytes = 21;
    assert_int_equal(load_and_stop(toy, stream, total, 4096), FERRY_E_SHORT);
    toy_free(toy);
}

/* Offsets of what stream_of(20, 1) consists of. */
enum {
    AT_LATCH = 48,
    AT_ENTRY = AT_LATCH + 8 + 8,
    AT_DATA = AT_ENTRY + 24,
    AT_END = AT_DATA + 8 + 20
};

/* MIG-DATA-8, MIG-DATA-10, MIG-DATA-11 */
static void damaged_and_foreign_streams_are_refused(void **state)
{
    static const struct {
        uint64_t at;
        uint8_t value;
        int status;
    } cases[] = {
        { 0, 'X', FERRY_E_FOREIGN },            /* magic */
        { 4, 2, FERRY_E_VERSION },              /* version of the frame */
        { 8, 1, FERRY_E_VERSION },              /* state version: too old */
        { 8, 4, FERRY_E_VERSION },              /* too new */
        { 12, 1, FERRY_E_PROTOCOL },            /* reserved */
        { 16, 'b', FERRY_E_FOREIGN },           /* "boy" */
        { AT_LATCH, 9, FERRY_E_PROTOCOL },      /* no such frame */
        { AT_LATCH, 3, FERRY_E_PROTOCOL },      /* END without LATCH */
        { AT_LATCH + 4, 33, FERRY_E_PROTOCOL }, /* no whole entries */
        { AT_LATCH + 7, 1, FERRY_E_PROTOCOL },  /* more entries than the limit */
        { AT_LATCH + 8, 2, FERRY_E_PROTOCOL },  /* count and length differ */
        { AT_LATCH + 12, 1, FERRY_E_PROTOCOL }, /* reserved */
        { AT_ENTRY + 1, 0x10, FERRY_E_RANGE },  /* past the BAR */
        { AT_ENTRY + 7, 0x80, FERRY_E_RANGE },  /* overflows */
        { AT_ENTRY + 12, 1, FERRY_E_PROTOCOL }, /* data past its bytes */
        { AT_ENTRY + 16, 1, FERRY_E_RANGE },    /* a BAR that is absent */
        { AT_ENTRY + 16, 4, FERRY_E_RANGE },    /* the MSI-X table */
        { AT_ENTRY + 16, 6, FERRY_E_RANGE },    /* the ROM */
        { AT_ENTRY + 17, 0, FERRY_E_PROTOCOL },
        { AT_ENTRY + 17, 9, FERRY_E_PROTOCOL },
        { AT_ENTRY + 20, 1, FERRY_E_PROTOCOL },
        { AT_DATA, 2, FERRY_E_PROTOCOL },     /* a second LATCH */
        { AT_DATA + 4, 0, FERRY_E_PROTOCOL }, /* an empty data frame */
        { AT_DATA + 6, 2, FERRY_E_PROTOCOL }, /* an oversized one */
        { AT_END + 4, 9, FERRY_E_PROTOCOL },
        { AT_END + 8, 19, FERRY_E_CORRUPT }, /* another total */
    };
    const uint64_t total = stream_of(20, 1, 4096, NULL);

    (void)state;
    assert_int_equal(total, AT_END + 16);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (uint64_t piece = 1; piece <= 4096; piece *= 4096) {
            struct toy *toy = toy_new(ALL, 1);
            const uint8_t keep = stream[cases[i].at];

            toy->state_bytes = 20;
            stream[cases[i].at] = cases[i].value;
            if (load_and_stop(toy, stream, total, piece) != cases[i].status ||
                toy_set(toy, FERRY_STATE_STOP) != cases[i].status) {
                fail_msg("case %zu, pieces of %d", i, (int)piece);
            }
            assert_int_equal(toy_get(toy), FERRY_STATE_RESUMING);
            stream[cases[i].at] = keep;
            toy_free(toy);
        }
    }
}

static void a_stream_without_its_latch_section_is_refused(void **state)
{
    struct toy *toy = toy_new(ALL, 1);

    (void)state;
    assert_true(stream_of(0, 0, 4096, NULL) > AT_LATCH + 16);
    toy->state_bytes = 0;
    ferry_store_le32(stream + AT_LATCH, 3);
    ferry_store_le32(stream + AT_LATCH + 4, 8);
    ferry_store_le64(stream + AT_LATCH + 8, 0);
    assert_int_equal(load_and_stop(toy, stream, AT_LATCH + 16, 4096), FERRY_E_PROTOCOL);
    toy_free(toy);
}

static void doorbells_need_a_device_that_latches(void **state)
{
    const uint64_t total = stream_of(20, 1, 4096, NULL);
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    toy->state_bytes = 20;
    assert_int_equal(load_and_stop(toy, stream, total, 4096), FERRY_E_INCOMPATIBLE);
    toy_bring(toy, FERRY_STATE_RUNNING);
    assert_int_equal(load_and_stop(toy, stream, stream_of(20, 0, 4096, NULL), 4096),
                     FERRY_OK);
    toy_free(toy);
}

/* MIG-RST-6 */
static void a_spoilt_load_leaves_no_doorbells(void **state)
{
    const uint64_t total = stream_of(20, 1, 4096, NULL);
    struct toy *toy = toy_new(ALL, 1);

    (void)state;
    toy->state_bytes = 20;
    assert_int_equal(load_and_stop(toy, stream, total - 1, 4096), FERRY_E_SHORT);
    toy_bring(toy, FERRY_STATE_RUNNING);
    assert_int_equal(toy->bells, 0);
    toy_free(toy);
}

static void reading_goes_on_while_an_arc_within_the_session_is_pending(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request set = { .kind = FERRY_RQ_SET_STATE };
    struct ferry_request read = { .kind = FERRY_RQ_DATA_READ };

    (void)state;
    fill(toy, 100, 1);
    toy->precopy_bytes = 50;
    assert_int_equal(toy_set(toy, FERRY_STATE_PRE_COPY), FERRY_OK);
    toy->odd_from = FERRY_STATE_PRE_COPY;
    toy->odd_to = FERRY_STATE_PRE_COPY_P2P;
    toy->odd_answer = FERRY_PENDING;
    set.u.state = FERRY_STATE_PRE_COPY_P2P;
    read.u.data = (struct ferry_data_io){ .data = stream, .size = 64 };
    assert_int_equal(toy_start(toy, &set), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &read), FERRY_OK);
    ferry_device_arc_done(toy->device, FERRY_OK);
    toy_work(toy);
    assert_true(toy_over(&set));
    toy->odd_from = FERRY_STATE_PRE_COPY_P2P;
    toy->odd_to = FERRY_STATE_RUNNING_P2P;
    set.u.state = FERRY_STATE_RUNNING_P2P;
    assert_int_equal(toy_start(toy, &set), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &read), FERRY_E_BUSY);
    toy_free(toy);
}

/* MIG-EXT-1, MIG-EXT-3: before, during and after the load. */
static void a_load_leaves_what_the_user_set_up(void **state)
{
    const uint64_t total = stream_of(5000, 1, 1u << 20, NULL);

    (void)state;
    for (uint32_t when = 0; when < 3; when++) {
        struct toy *toy = toy_new(ALL, 1);
        const uint32_t bar = 0xfe000000, entry[4] = { 0xfee00000, 1, 0x4021, 0 };
        uint32_t now[4];

        toy->state_bytes = 5000;
        if (when > 0) {
            assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
        }
        if (when > 1) {
            assert_int_equal(toy_load(toy, stream, total, 999), FERRY_OK);
        }
        assert_int_equal(toy_write(toy, 7, 0x10, &bar, sizeof(bar)), FERRY_OK);
        toy_bus_master(toy);
        assert_int_equal(toy_write(toy, 4, TOY_TABLE_OFF + 48, entry, sizeof(entry)),
                         FERRY_OK);
        if (when == 0) {
            assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
        }
        if (when < 2) {
            assert_int_equal(toy_load(toy, stream, total, 999), FERRY_OK);
        }
        assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
        assert_int_equal(toy_config32(toy, 0x10) & ~0xfu, bar);
        assert_true(toy_config32(toy, 4) & 4u);
        assert_int_equal(toy_read(toy, 4, TOY_TABLE_OFF + 48, now, sizeof(now)),
                         FERRY_OK);
        assert_memory_equal(now, entry, sizeof(now));
        toy_free(toy);
    }
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(cutting_the_stream_changes_no_byte_of_it),
        TEST(two_round_trips_with_every_cut),
        TEST(precopy_counts_what_is_still_to_be_read),
        TEST(initial_bytes_do_not_rise_when_later_bytes_wait),
        TEST(a_new_session_begins_at_the_beginning),
        TEST(every_cut_off_stream_is_short),
        TEST(a_long_stream_is_refused),
        TEST(damaged_and_foreign_streams_are_refused),
        TEST(a_stream_without_its_latch_section_is_refused),
        TEST(doorbells_need_a_device_that_latches),
        TEST(a_spoilt_load_leaves_no_doorbells),
        TEST(reading_goes_on_while_an_arc_within_the_session_is_pending),
        TEST(a_load_leaves_what_the_user_set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
