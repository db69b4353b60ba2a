/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <string.h>
#include <sys/mman.h>

#define STREAM_MAX (2 * TOY_STATE_MAX)

static uint8_t stream[STREAM_MAX], other[STREAM_MAX];

/* Gives a stream in transactions of `piece` bytes and runs the device. */
static void load_all(struct toy *toy, const uint8_t *data, uint64_t bytes, uint64_t piece)
{
    assert_int_equal(v1_set(toy, FERRY_V1_RESUMING), FERRY_OK);
    for (uint64_t at = 0; at < bytes; at += piece) {
        assert_int_equal(v1_give(toy, data + at, piece < bytes - at ? piece : bytes - at),
                         FERRY_OK);
    }
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
}

/* MIG-V1-8 */
static void a_repeated_read_of_pending_bytes_changes_nothing(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_PARTITIONED);
    uint64_t pending, off;

    (void)state;
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    pending = v1_get(toy, FERRY_V1_PENDING);
    off = v1_get(toy, FERRY_V1_OFFSET);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(v1_get(toy, FERRY_V1_PENDING), pending);
        assert_int_equal(v1_get(toy, FERRY_V1_OFFSET), off);
    }
    assert_in_range(v1_get(toy, FERRY_V1_SIZE), 1, pending);
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0); /* all was in it */
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    assert_int_equal(v1_get(toy, FERRY_V1_SIZE), 0);
    v1_free(toy);
}

static void without_pending_bytes_there_is_no_piece(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    uint8_t byte;

    (void)state;
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_OFFSET), 32);
    assert_int_equal(v1_get(toy, FERRY_V1_SIZE), 0);
    assert_int_equal(toy_read(toy, V1_REGION, 32, &byte, 1), FERRY_E_STATE);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    v1_free(toy);
}

/* The bytes are the device's: those that v2 gives. MIG-V1-10 */
static void a_save_gives_the_bytes_of_version_2_in_every_form(void **state)
{
    struct toy *v2 = toy_new(V1_FLAGS_ALL, 1);
    uint64_t bytes;

    (void)state;
    v1_fill(v2, TOY_STATE_MAX, 7);
    assert_int_equal(toy_set(v2, FERRY_STATE_STOP_COPY), FERRY_OK);
    bytes = toy_save(v2, stream, STREAM_MAX, 65536);
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        struct toy *toy = v1_new(V1_FLAGS_ALL, form);

        v1_fill(toy, TOY_STATE_MAX, 7);
        assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
        assert_int_equal(v1_save(toy, other, STREAM_MAX), bytes);
        assert_memory_equal(stream, other, bytes);
        v1_free(toy);
    }
    toy_free(v2);
}

static void a_state_goes_over_in_any_transactions_and_forms(void **state)
{
    static const uint64_t pieces[] = { 1, 4095, 4096, 65537, STREAM_MAX };

    (void)state;
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
            struct toy *a = v1_new(V1_FLAGS_PRE, V1_FORMS - 1 - form);
            struct toy *b = v1_new(V1_FLAGS_ALL, form);
            uint64_t bytes;

            v1_fill(a, pieces[i] == 1 ? 300 : TOY_STATE_MAX, (uint32_t)i);
            v1_fill(b, a->state_bytes, 99);
            assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
            bytes = v1_save(a, stream, STREAM_MAX);
            assert_int_equal(v1_set(a, 0), FERRY_OK);
            load_all(b, stream, bytes, pieces[i]);
            assert_int_equal(b->load_pos, a->state_bytes);
            assert_memory_equal(a->state, b->state, a->state_bytes);
            v1_free(a);
            v1_free(b);
        }
    }
}

/* MIG-V1-14 */
static void a_state_goes_from_version_1_to_2_and_back(void **state)
{
    struct toy *a = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    struct toy *b = toy_new(V1_FLAGS_PRE, 1);
    struct toy *c = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_MMAP);
    uint64_t bytes;

    (void)state;
    v1_fill(a, 70000, 1);
    v1_fill(b, 70000, 2);
    v1_fill(c, 70000, 3);
    assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
    bytes = v1_save(a, stream, STREAM_MAX);
    assert_int_equal(toy_set(b, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(b, stream, bytes, 1000), FERRY_OK);
    assert_int_equal(toy_set(b, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_set(b, FERRY_STATE_STOP_COPY), FERRY_OK);
    bytes = toy_save(b, stream, STREAM_MAX, 5000);
    load_all(c, stream, bytes, 33333);
    assert_memory_equal(a->state, c->state, 70000);
    v1_free(a);
    toy_free(b);
    v1_free(c);
}

/* The user leaves pre-copy with a piece in the section, taken or not. */
static void pre_copy_can_be_left_with_a_piece_in_the_section(void **state)
{
    (void)state;
    for (int taken = 0; taken < 2; taken++) {
        struct toy *a = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_PARTITIONED);
        struct toy *b = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
        uint64_t bytes = 0;

        v1_fill(a, 150000, 5);
        v1_fill(b, 150000, 6);
        a->precopy_bytes = 100000;
        assert_int_equal(v1_set(a, FERRY_V1_SAVING | FERRY_V1_RUNNING), FERRY_OK);
        assert_true(v1_get(a, FERRY_V1_PENDING) > 0);
        if (taken) {
            bytes = v1_take(a, stream, STREAM_MAX);
            assert_true(bytes >= 100000);
        }
        assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
        bytes += v1_save(a, stream + bytes, STREAM_MAX - bytes);
        load_all(b, stream, bytes, 65536);
        assert_memory_equal(a->state, b->state, 150000);
        v1_free(a);
        v1_free(b);
    }
}

static void pre_copy_has_nothing_for_now_and_then_more(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);

    (void)state;
    v1_fill(toy, 9000, 5);
    toy->precopy_bytes = 3000;
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING | FERRY_V1_RUNNING), FERRY_OK);
    while (v1_take(toy, stream, STREAM_MAX) > 0) {
    }
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    toy->precopy_bytes = 4000;
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING) > 1000, 1);
    assert_true(v1_get(toy, FERRY_V1_SIZE) > 1000);
    v1_free(toy);
}

/* MIG-V1-6 */
static void another_session_begins_anew_wherever_the_last_one_was_left(void **state)
{
    static const uint32_t ways[][3] = { { 2, 3, 2 }, { 3, 1, 2 }, { 2, 1, 2 },
                                        { 2, 0, 2 }, { 3, 0, 2 }, { 3, 3, 2 } };

    (void)state;
    for (uint32_t flags = V1_FLAGS_STOP; flags <= V1_FLAGS_ALL; flags += 2) {
        for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
            struct toy *a = v1_new(flags, FERRY_FACE_V1_TRAPPED);
            struct toy *b = v1_new(flags, FERRY_FACE_V1_TRAPPED);
            uint64_t bytes = 0;

            v1_fill(a, 5000, 1);
            v1_fill(b, 5000, 2);
            a->precopy_bytes = 2000;
            for (int step = 0; step < 3; step++) {
                assert_int_equal(v1_set(a, ways[i][step]), FERRY_OK);
                if (step < 2 && (ways[i][step] & FERRY_V1_SAVING) != 0) {
                    (void)v1_take(a, other, STREAM_MAX);
                }
            }
            if (ways[i][1] == 3) { /* then pre-copy and stop are one session */
                assert_int_equal(v1_set(a, 1), FERRY_OK);
                assert_int_equal(v1_set(a, 2), FERRY_OK);
            }
            bytes = v1_save(a, stream, STREAM_MAX);
            load_all(b, stream, bytes, 999);
            assert_memory_equal(a->state, b->state, 5000);
            v1_free(a);
            v1_free(b);
        }
    }
}

/* MIG-V1-9 */
static void a_size_that_cannot_be_is_refused_and_changes_nothing(void **state)
{
    static const uint64_t sizes[] = { FERRY_V1_PIECE_MAX + 1, UINT32_MAX, 1ull << 63,
                                      UINT64_MAX };

    (void)state;
    for (uint32_t form = 0; form < V1_FORMS; form++) {
        struct toy *a = v1_new(V1_FLAGS_PRE, form);
        struct toy *b = v1_new(V1_FLAGS_PRE, form);
        uint64_t bytes, off;

        assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
        bytes = v1_save(a, stream, STREAM_MAX);
        assert_int_equal(v1_set(b, FERRY_V1_RESUMING), FERRY_OK);
        off = v1_get(b, FERRY_V1_OFFSET);
        assert_int_equal(toy_write(b, V1_REGION, off, stream, (uint32_t)bytes), FERRY_OK);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            assert_int_equal(v1_put(b, FERRY_V1_SIZE, sizes[i]), FERRY_E_RANGE);
        }
        assert_int_equal(v1_put(b, FERRY_V1_SIZE, 0), FERRY_OK);
        assert_int_equal(v1_get(b, FERRY_V1_OFFSET), off);
        assert_int_equal(toy_write(b, V1_REGION, off + FERRY_V1_PIECE_MAX, stream, 1),
                         FERRY_E_RANGE);
        assert_int_equal(toy_write(b, V1_REGION, off + FERRY_V1_PIECE_MAX - 1, stream, 2),
                         FERRY_E_RANGE);
        assert_int_equal(v1_put(b, FERRY_V1_SIZE, bytes), FERRY_OK);
        assert_int_equal(v1_set(b, FERRY_V1_RUNNING), FERRY_OK);
        v1_free(a);
        v1_free(b);
    }
}

static void damaged_short_and_long_data_is_refused_by_an_errno(void **state)
{
    (void)state;
    for (int how = 0; how < 4; how++) {
        struct toy *a = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
        struct toy *b = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
        uint64_t bytes;
        int given, left;

        assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
        bytes = v1_save(a, stream, STREAM_MAX);
        memset(stream + bytes, 0, 8);
        bytes = how == 1 ? bytes - 1 : how == 2 ? bytes + 8 : bytes;
        stream[0] ^= how == 3;
        assert_int_equal(v1_set(b, FERRY_V1_RESUMING), FERRY_OK);
        given = v1_give(b, stream, bytes);
        left = v1_set(b, 0);
        assert_int_equal(given == FERRY_OK && left == FERRY_OK, how == 0);
        assert_int_equal(v1_get(b, FERRY_V1_STATE), how == 0 ? 0 : 4);
        v1_free(a);
        v1_free(b);
    }
}

static void mapped_data_is_what_trapped_reads_and_writes_see(void **state)
{
    (void)state;
    for (uint32_t form = FERRY_FACE_V1_MMAP; form < V1_FORMS; form++) {
        struct toy *a = v1_new(V1_FLAGS_PRE, form), *b = v1_new(V1_FLAGS_PRE, form);
        struct ferry_region_info info = v1_info(a);
        uint8_t *from = mmap(NULL, FERRY_V1_PIECE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED,
                             info.fd, 4096);
        uint8_t *to;
        uint64_t bytes;

        info = v1_info(b);
        to = mmap(NULL, FERRY_V1_PIECE_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, info.fd,
                  4096);
        assert_true(from != MAP_FAILED && to != MAP_FAILED);
        v1_fill(a, 100000, 1);
        v1_fill(b, 100000, 2);
        assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
        assert_true(v1_get(a, FERRY_V1_PENDING) > 0);
        assert_int_equal(v1_get(a, FERRY_V1_OFFSET), 4096);
        bytes = v1_get(a, FERRY_V1_SIZE);
        assert_int_equal(v1_set(b, FERRY_V1_RESUMING), FERRY_OK);
        assert_int_equal(v1_get(b, FERRY_V1_OFFSET), 4096);
        memcpy(to, from, bytes); /* neither device has seen it */
        assert_int_equal(v1_put(b, FERRY_V1_SIZE, bytes), FERRY_OK);
        assert_int_equal(v1_get(a, FERRY_V1_PENDING), 0);
        assert_int_equal(v1_set(b, FERRY_V1_RUNNING), FERRY_OK);
        assert_memory_equal(a->state, b->state, 100000);
        assert_int_equal(munmap(from, FERRY_V1_PIECE_MAX), 0);
        assert_int_equal(munmap(to, FERRY_V1_PIECE_MAX), 0);
        v1_free(a);
        v1_free(b);
    }
}

/* Partitioned: mapped, across the border, trapped. */
static void pieces_of_a_partitioned_section_lie_in_each_part_in_turn(void **state)
{
    struct toy *a = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_PARTITIONED);
    struct toy *b = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_PARTITIONED);
    uint64_t bytes, at = 0;

    (void)state;
    v1_fill(a, 100, 1);
    v1_fill(b, 100, 2);
    assert_int_equal(v1_set(a, FERRY_V1_SAVING), FERRY_OK);
    bytes = v1_save(a, stream, STREAM_MAX);
    assert_int_equal(v1_set(b, FERRY_V1_RESUMING), FERRY_OK);
    for (uint32_t i = 0; i < 7; i++) {
        const uint64_t piece = i < 6 ? 10 : bytes - at;

        assert_int_equal(v1_get(b, FERRY_V1_OFFSET),
                         4096 + i % 3 * (FERRY_V1_PIECE_MAX / 2));
        assert_int_equal(v1_give(b, stream + at, piece), FERRY_OK);
        at += piece;
    }
    assert_int_equal(v1_set(b, FERRY_V1_RUNNING), FERRY_OK);
    assert_memory_equal(a->state, b->state, 100);
    v1_free(a);
    v1_free(b);
}

static void pieces_of_a_save_lie_in_each_part_in_turn(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_PARTITIONED);

    (void)state;
    v1_fill(toy, 10000, 1);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING | FERRY_V1_RUNNING), FERRY_OK);
    for (uint32_t i = 0; i < 5; i++) {
        toy->precopy_bytes += 1000;
        assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
        assert_int_equal(v1_get(toy, FERRY_V1_OFFSET),
                         4096 + i % 3 * (FERRY_V1_PIECE_MAX / 2));
        assert_true(v1_get(toy, FERRY_V1_SIZE) > 0);
    }
    v1_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_repeated_read_of_pending_bytes_changes_nothing),
        cmocka_unit_test(without_pending_bytes_there_is_no_piece),
        cmocka_unit_test(a_save_gives_the_bytes_of_version_2_in_every_form),
        cmocka_unit_test(a_state_goes_over_in_any_transactions_and_forms),
        cmocka_unit_test(a_state_goes_from_version_1_to_2_and_back),
        cmocka_unit_test(pre_copy_can_be_left_with_a_piece_in_the_section),
        cmocka_unit_test(pre_copy_has_nothing_for_now_and_then_more),
        cmocka_unit_test(another_session_begins_anew_wherever_the_last_one_was_left),
        cmocka_unit_test(a_size_that_cannot_be_is_refused_and_changes_nothing),
        cmocka_unit_test(damaged_short_and_long_data_is_refused_by_an_errno),
        cmocka_unit_test(mapped_data_is_what_trapped_reads_and_writes_see),
        cmocka_unit_test(pieces_of_a_partitioned_section_lie_in_each_part_in_turn),
        cmocka_unit_test(pieces_of_a_save_lie_in_each_part_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
