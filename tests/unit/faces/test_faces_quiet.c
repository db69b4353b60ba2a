/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <string.h>
#include <sys/mman.h>

#define STREAM_MAX (2 * TOY_STATE_MAX)
#define SAVING FERRY_V1_SAVING
#define PRE_COPY (FERRY_V1_SAVING | FERRY_V1_RUNNING)

static uint8_t stream[STREAM_MAX];

/* The toy's memory as a peer reaches it. */
static uint8_t *map_memory(struct toy *toy)
{
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO, .u.region.index = 2 };
    uint8_t *memory;

    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    memory = mmap(NULL, TOY_BAR2_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
                  info.u.region.fd, (off_t)info.u.region.offset);
    assert_true(memory != MAP_FAILED);
    return memory;
}

static void unmap_memory(uint8_t *memory)
{
    assert_int_equal(munmap(memory, TOY_BAR2_BYTES), 0);
}

/* MIG-QUI-1, MIG-QUI-2 */
static void only_the_first_read_of_pending_bytes_freezes(void **state)
{
    (void)state;
    for (uint32_t from = FERRY_V1_RUNNING; from <= PRE_COPY; from += 2) {
        struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
        const uint32_t quiet =
            from == PRE_COPY ? FERRY_STATE_PRE_COPY_P2P : FERRY_STATE_RUNNING_P2P;

        assert_int_equal(v1_set(toy, from), FERRY_OK);
        assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
        assert_int_equal(ferry_device_state(toy->device), quiet);
        (void)v1_get(toy, FERRY_V1_STATE);
        (void)v1_get(toy, FERRY_V1_OFFSET);
        (void)v1_get(toy, FERRY_V1_SIZE);
        assert_int_equal(ferry_device_state(toy->device), quiet);
        assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
        assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_STOP_COPY);
        assert_int_equal(v1_get(toy, FERRY_V1_STATE), SAVING);
        v1_free(toy);
    }
}

static void a_stopped_device_is_frozen_by_the_read_too(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_P2P, FERRY_FACE_V1_TRAPPED);

    (void)state;
    assert_int_equal(v1_set(toy, 0), FERRY_OK);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING_P2P);
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_STOP);
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_STOP_COPY);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    v1_free(toy);
}

static void a_quiet_device_runs_again_without_a_freeze(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
    assert_int_equal(toy->arcs, 2);
    assert_int_equal(toy->arc_to[0], FERRY_STATE_RUNNING_P2P);
    assert_int_equal(toy->arc_to[1], FERRY_STATE_RUNNING);
    v1_free(toy);
}

/* MIG-BACK-4: of devices that go back, one runs first. */
static void a_frozen_device_that_is_to_stop_takes_dma_again(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    uint8_t *memory = map_memory(toy);

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    assert_int_equal(v1_set(toy, 0), FERRY_OK);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING_P2P);
    memory[TOY_AREA_OFF] ^= 1;
    /* It is no peer that was late for the next save. */
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
    unmap_memory(memory);
    v1_free(toy);
}

/* MIG-QUI-1 */
static void dma_of_a_peer_before_the_freeze_is_welcome(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    uint8_t *memory = map_memory(toy);

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    memory[TOY_AREA_OFF] = 1;
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    unmap_memory(memory);
    v1_free(toy);
}

/* At both ends of the area, at any time after the first read. MIG-QUI-2 */
static void dma_of_a_peer_after_the_freeze_is_told_by_an_errno(void **state)
{
    static const uint32_t places[] = { TOY_AREA_OFF, TOY_AREA_OFF + TOY_AREA_BYTES - 1 };

    (void)state;
    for (int late = 0; late < 4; late++) {
        struct toy *toy =
            v1_new(late & 2 ? V1_FLAGS_P2P : V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
        uint8_t *memory = map_memory(toy);
        uint64_t value = 0;

        assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
        assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
        memory[places[late & 1]] ^= 1;
        assert_true(v1_get(toy, FERRY_V1_SIZE) > 0);
        assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_CORRUPT);
        assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_CORRUPT);
        assert_int_equal(v1_get(toy, FERRY_V1_STATE), SAVING);
        /* The source goes on as if nothing had been, and can be saved again. */
        assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
        memory[places[late & 1]] ^= 2;
        assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
        assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
        unmap_memory(memory);
        v1_free(toy);
    }
}

/* Also when all has been read: as long as the user asks. */
static void dma_of_a_peer_after_the_end_is_told_when_it_is_asked_again(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    uint8_t *memory = map_memory(toy);
    uint64_t value;

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    memory[TOY_AREA_OFF + 5] = 9;
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_CORRUPT);
    unmap_memory(memory);
    v1_free(toy);
}

/* A freeze in 000 counts: what comes between it and the save is too late as well. */
static void dma_between_a_stop_that_was_frozen_and_the_save_is_told(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    uint8_t *memory = map_memory(toy);
    uint64_t value;

    (void)state;
    assert_int_equal(v1_set(toy, 0), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    memory[TOY_AREA_OFF + 5] = 9;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_true(v1_take(toy, stream, STREAM_MAX) > 0);
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_CORRUPT);
    unmap_memory(memory);
    v1_free(toy);
}

static void a_freeze_that_fails_is_told_and_can_be_tried_again(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    uint64_t value;

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    toy->odd_from = FERRY_STATE_STOP;
    toy->odd_to = FERRY_STATE_STOP_COPY;
    toy->odd_answer = FERRY_E_TIMEOUT;
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_TIMEOUT);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), SAVING);
    toy->odd_answer = 0;
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    toy->odd_from = FERRY_STATE_RUNNING_P2P;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_E_DEVICE_ERROR;
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_DEVICE_ERROR);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_ERROR);
    v1_free(toy);
}

static void make_large(struct ferry_device_desc *desc)
{
    desc->region[2].size_bytes = 8u << 20;
    desc->region[2].area_count = 2;
    desc->region[2].area[0].off = 0;
    desc->region[2].area[0].size = 4096;
    desc->region[2].area[1].off = 1u << 20;
    desc->region[2].area[1].size = 7u << 20;
}

/* It is hashed in slices: others are served between. */
static void a_large_memory_is_looked_at_in_slices(void **state)
{
    struct toy *toy = toy_new_with(V1_FLAGS_ALL, 1, make_large);
    uint8_t bytes[8] = { 0 };
    struct ferry_request read = { .kind = FERRY_RQ_REGION_READ };
    struct ferry_request info = { .kind = FERRY_RQ_GET_INFO };
    int slices = 0;

    (void)state;
    v1_show(toy, FERRY_FACE_V1_TRAPPED);
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    read.u.io = (struct ferry_region_io){
        .index = V1_REGION, .off = FERRY_V1_PENDING_OFF, .count = 8, .data = bytes
    };
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    assert_int_equal(toy_start(toy, &info), FERRY_OK);
    while (!toy_over(&read)) {
        assert_true(toy->endpoint->ops->work(toy->endpoint) > 0 || toy_over(&read));
        slices++;
    }
    assert_in_range(slices, 7, 9);
    assert_int_equal(read.status, FERRY_OK);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    v1_free(toy);
}

/* A reset in the middle of it. */
static void a_reset_ends_a_look_at_the_memory(void **state)
{
    struct toy *toy = toy_new_with(V1_FLAGS_ALL, 1, make_large);
    uint8_t bytes[8];
    struct ferry_request read = { .kind = FERRY_RQ_REGION_READ };
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    v1_show(toy, FERRY_FACE_V1_TRAPPED);
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    read.u.io = (struct ferry_region_io){
        .index = V1_REGION, .off = FERRY_V1_PENDING_OFF, .count = 8, .data = bytes
    };
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_true(toy_over(&read));
    assert_int_equal(read.status, FERRY_E_CANCELLED);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    v1_free(toy);
}

/* Without P2P nobody is told anything, and nothing is looked at. */
static void a_device_without_p2p_stops_at_once(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    uint8_t *memory = map_memory(toy);

    (void)state;
    assert_int_equal(v1_set(toy, SAVING), FERRY_OK);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_STOP_COPY);
    assert_true(v1_get(toy, FERRY_V1_PENDING) > 0);
    memory[TOY_AREA_OFF] ^= 1;
    assert_true(v1_save(toy, stream, STREAM_MAX) > 0);
    unmap_memory(memory);
    v1_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_first_read_of_pending_bytes_freezes),
        cmocka_unit_test(a_stopped_device_is_frozen_by_the_read_too),
        cmocka_unit_test(a_quiet_device_runs_again_without_a_freeze),
        cmocka_unit_test(a_frozen_device_that_is_to_stop_takes_dma_again),
        cmocka_unit_test(dma_of_a_peer_before_the_freeze_is_welcome),
        cmocka_unit_test(dma_of_a_peer_after_the_freeze_is_told_by_an_errno),
        cmocka_unit_test(dma_of_a_peer_after_the_end_is_told_when_it_is_asked_again),
        cmocka_unit_test(dma_between_a_stop_that_was_frozen_and_the_save_is_told),
        cmocka_unit_test(a_freeze_that_fails_is_told_and_can_be_tried_again),
        cmocka_unit_test(a_large_memory_is_looked_at_in_slices),
        cmocka_unit_test(a_reset_ends_a_look_at_the_memory),
        cmocka_unit_test(a_device_without_p2p_stops_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
