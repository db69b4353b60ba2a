/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_faces_rig.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t flag_sets[] = { V1_FLAGS_STOP, V1_FLAGS_PRE, V1_FLAGS_P2P,
                                      V1_FLAGS_ALL };
static uint8_t stream[2 * TOY_STATE_MAX];

/* Loads what it saved before, so that 100 can be left. */
static void load_own(struct toy *toy, uint64_t bytes)
{
    assert_int_equal(v1_give(toy, stream, bytes), FERRY_OK);
}

static void bring(struct toy *toy, uint32_t bits, uint64_t stream_bytes)
{
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_int_equal(v1_set(toy, bits), FERRY_OK);
    if (bits == FERRY_V1_RESUMING) {
        load_own(toy, stream_bytes);
    }
}

static uint64_t save_once(struct toy *toy)
{
    uint64_t bytes;

    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    bytes = v1_save(toy, stream, sizeof(stream));
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK);
    return bytes;
}

/* Writes 0 to 15 and some with reserved bits, in every state, on every kind of device.
 * MIG-V1-1, MIG-V1-4 */
static void every_value_is_taken_or_refused_in_every_state(void **state)
{
    static const uint32_t high[] = { 1u << 3, 1u << 31 | 1, 0xfffffffa };

    (void)state;
    for (size_t i = 0; i < sizeof(flag_sets) / sizeof(flag_sets[0]); i++) {
        struct toy *toy = v1_new(flag_sets[i], FERRY_FACE_V1_TRAPPED);
        const uint64_t bytes = save_once(toy);

        for (uint32_t from = 0; from < 5; from++) {
            for (uint32_t to = 0; to < 19; to++) {
                const uint32_t value = to < 16 ? to : high[to - 16];

                bring(toy, from, bytes);
                assert_int_equal(v1_set(toy, value),
                                 value < 5 ? FERRY_OK : FERRY_E_ARGUMENT);
                assert_int_equal(v1_get(toy, FERRY_V1_STATE), value < 5 ? value : from);
            }
        }
        v1_free(toy);
    }
}

/* The v2 states that stand for 000 to 100 when nothing was read yet. MIG-V1-5, MIG-V1-13
 */
static void the_device_is_in_the_state_that_stands_for_the_bits(void **state)
{
    static const uint32_t plain[] = { FERRY_STATE_STOP, FERRY_STATE_RUNNING,
                                      FERRY_STATE_STOP_COPY, FERRY_STATE_PRE_COPY,
                                      FERRY_STATE_RESUMING };
    static const uint32_t quiet[] = { FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING,
                                      FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY,
                                      FERRY_STATE_RESUMING };

    (void)state;
    for (size_t i = 0; i < sizeof(flag_sets) / sizeof(flag_sets[0]); i++) {
        const uint32_t *expected = flag_sets[i] & FERRY_MIG_P2P ? quiet : plain;
        struct toy *toy = v1_new(flag_sets[i], FERRY_FACE_V1_TRAPPED);
        const uint64_t bytes = save_once(toy);

        for (uint32_t bits = 0; bits < 5; bits++) {
            const int no_pre_copy = bits == 3 && !(flag_sets[i] & FERRY_MIG_PRE_COPY);

            bring(toy, bits, bytes);
            assert_int_equal(ferry_device_state(toy->device),
                             no_pre_copy ? FERRY_STATE_RUNNING : expected[bits]);
        }
        v1_free(toy);
    }
}

/* MIG-V1-7 */
static void a_device_without_pre_copy_has_no_bytes_in_it(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_STOP, FERRY_FACE_V1_TRAPPED);

    (void)state;
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING | FERRY_V1_RUNNING), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_PENDING), 0);
    assert_int_equal(v1_get(toy, FERRY_V1_SIZE), 0);
    assert_int_equal(toy->arcs, 0);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, sizeof(stream)) > 0);
    v1_free(toy);
}

/* Makes the arc of the device fail as said, with this write before it. */
static int write_with_odd_arc(struct toy *toy, uint32_t value, uint32_t from, uint32_t to,
                              int answer)
{
    toy->odd_from = from;
    toy->odd_to = to;
    toy->odd_answer = answer;
    return v1_set(toy, value);
}

/* MIG-V1-2 */
static void a_failed_write_leaves_the_state_before(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);

    (void)state;
    /* The first arc: nothing has happened. */
    assert_int_equal(write_with_odd_arc(toy, 2, FERRY_STATE_RUNNING, FERRY_STATE_STOP,
                                        FERRY_E_TIMEOUT),
                     FERRY_E_TIMEOUT);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), 1);
    /* The second: the device has to go back. */
    assert_int_equal(write_with_odd_arc(toy, 2, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY,
                                        FERRY_E_DEVICE),
                     FERRY_E_DEVICE);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), 1);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING);
    assert_int_equal(write_with_odd_arc(toy, 2, 0, 0, 0), FERRY_OK);
    assert_true(v1_save(toy, stream, sizeof(stream)) > 0);
    v1_free(toy);
}

/* MIG-V1-2, MIG-V1-3 */
static void a_device_that_cannot_go_back_is_in_the_error_state(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_STOP, FERRY_FACE_V1_TRAPPED);
    const uint64_t bytes = save_once(toy);
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };
    uint64_t value;

    (void)state;
    /* What was loaded has been accepted; there is no way back into RESUMING. */
    bring(toy, FERRY_V1_RESUMING, bytes);
    assert_int_equal(
        write_with_odd_arc(toy, 1, FERRY_STATE_STOP, FERRY_STATE_RUNNING, FERRY_E_DEVICE),
        FERRY_E_DEVICE);
    toy->odd_answer = 0;
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_ERROR);
    for (uint32_t v1 = 0; v1 < 5; v1++) {
        assert_int_equal(v1_set(toy, v1), FERRY_E_DEVICE_ERROR);
    }
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_DEVICE_ERROR);
    assert_int_equal(v1_try(toy, FERRY_V1_SIZE, &value), FERRY_E_DEVICE_ERROR);
    assert_int_equal(v1_put(toy, FERRY_V1_SIZE, 1), FERRY_E_DEVICE_ERROR);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    v1_free(toy);
}

/* MIG-V1-3 */
static void a_device_in_error_reads_as_the_error_state_until_it_is_reset(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_ALL, FERRY_FACE_V1_TRAPPED);
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    assert_int_equal(write_with_odd_arc(toy, 3, FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY,
                                        FERRY_E_DEVICE_ERROR),
                     FERRY_E_DEVICE_ERROR);
    toy->odd_answer = 0;
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_ERROR);
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_E_DEVICE_ERROR);
    assert_int_equal(v1_set(toy, FERRY_V1_ERROR), FERRY_E_DEVICE_ERROR);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    v1_free(toy);
}

/* Between the toy and its face: the device has failed by itself. */
static int failed_by_itself;

static int lying_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    const int status = endpoint->below->ops->submit(endpoint->below, request);

    if (request->kind == FERRY_RQ_GET_STATE && failed_by_itself) {
        request->u.state = FERRY_STATE_ERROR;
    }
    return status;
}

static int lying_attach(struct ferry_endpoint *endpoint,
                        const struct ferry_client_port *port)
{
    return endpoint->below->ops->attach(endpoint->below, port);
}

static void lying_detach(struct ferry_endpoint *endpoint)
{
    endpoint->below->ops->detach(endpoint->below);
}

static int lying_work(struct ferry_endpoint *endpoint)
{
    return endpoint->below->ops->work(endpoint->below);
}

static void a_device_that_fails_by_itself_is_seen_in_device_state(void **state)
{
    static const struct ferry_endpoint_ops ops = {
        .struct_size = offsetof(struct ferry_endpoint_ops, wake_fd),
        .attach = lying_attach,
        .detach = lying_detach,
        .submit = lying_submit,
        .work = lying_work,
    };
    struct toy *toy = toy_new(V1_FLAGS_PRE, 1);
    struct ferry_endpoint lying = { .ops = &ops, .below = toy->endpoint };
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    toy->endpoint = &lying;
    v1_show(toy, FERRY_FACE_V1_TRAPPED);
    assert_int_equal(toy->endpoint->ops->wake_fd(toy->endpoint), -1);
    assert_int_equal(toy->endpoint->ops->reads_inside(toy->endpoint), 0);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    failed_by_itself = 1;
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_ERROR);
    failed_by_itself = 0; /* whatever it says now: a reset is due */
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_ERROR);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_E_DEVICE_ERROR);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    v1_free(toy);
}

/* 010 to 001 fails half way: the device goes back, but that is another session. */
static void data_of_a_session_that_was_lost_cannot_be_read_on(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_STOP, FERRY_FACE_V1_TRAPPED);
    uint64_t value;

    (void)state;
    v1_fill(toy, 3000, 1);
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    assert_true(v1_take(toy, stream, sizeof(stream)) > 0);
    assert_int_equal(write_with_odd_arc(toy, 1, FERRY_STATE_STOP, FERRY_STATE_RUNNING,
                                        FERRY_E_TIMEOUT),
                     FERRY_E_TIMEOUT);
    toy->odd_answer = 0;
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_SAVING);
    assert_int_equal(v1_try(toy, FERRY_V1_PENDING, &value), FERRY_E_DEVICE);
    assert_int_equal(v1_get(toy, FERRY_V1_SIZE), 0);
    assert_int_equal(v1_set(toy, FERRY_V1_RUNNING), FERRY_OK); /* it can be tried again */
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    assert_true(v1_save(toy, stream, sizeof(stream)) > 3000);
    v1_free(toy);
}

static void a_state_that_was_not_loaded_to_its_end_stays_resuming(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);

    (void)state;
    assert_int_equal(v1_set(toy, FERRY_V1_RESUMING), FERRY_OK);
    assert_true(v1_set(toy, FERRY_V1_RUNNING) < 0);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RESUMING);
    v1_free(toy);
}

static void an_arc_that_takes_time_keeps_later_accesses_waiting(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    uint8_t bits[4] = { 2, 0, 0, 0 }, seen[4] = { 9 };
    struct ferry_request write = { .kind = FERRY_RQ_REGION_WRITE };
    struct ferry_request read = { .kind = FERRY_RQ_REGION_READ };
    struct ferry_request info = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    write.u.io = (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = bits };
    read.u.io = (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = seen };
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_PENDING;
    assert_int_equal(toy_start(toy, &write), FERRY_PENDING);
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(&write) || toy_over(&read));
    assert_int_equal(toy_ask(toy, &info), FERRY_OK); /* others do not wait */
    ferry_device_arc_done(toy->device, FERRY_OK);
    toy_work(toy);
    assert_true(toy_over(&write) && toy_over(&read));
    assert_int_equal(write.status, FERRY_OK);
    assert_int_equal(read.status, FERRY_OK);
    assert_int_equal(seen[0], 2);
    v1_free(toy);
}

static void a_reset_takes_a_change_of_state_back_that_is_under_way(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    uint8_t bits[4] = { 2, 0, 0, 0 };
    struct ferry_request write = { .kind = FERRY_RQ_REGION_WRITE };
    struct ferry_request reset = { .kind = FERRY_RQ_RESET };

    (void)state;
    write.u.io = (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = bits };
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_PENDING;
    assert_int_equal(toy_start(toy, &write), FERRY_PENDING);
    assert_int_equal(toy_ask(toy, &reset), FERRY_OK);
    assert_true(toy_over(&write));
    assert_int_equal(write.status, FERRY_E_CANCELLED);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    toy->odd_answer = 0;
    assert_int_equal(v1_set(toy, FERRY_V1_SAVING), FERRY_OK);
    v1_free(toy);
}

/* Else the device would be in another state than its reset leaves it in. */
static void what_waits_when_a_reset_is_asked_for_is_not_done_behind_it(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    uint8_t bits[4] = { 2, 0, 0, 0 }, seen[4] = { 9 };
    struct ferry_request write[2], reset = { .kind = FERRY_RQ_RESET };
    struct ferry_request read = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_PENDING;
    for (int i = 0; i < 2; i++) {
        write[i] = (struct ferry_request){ .kind = FERRY_RQ_REGION_WRITE };
        write[i].u.io =
            (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = bits };
        assert_int_equal(toy_start(toy, &write[i]), FERRY_PENDING);
    }
    toy->odd_answer = 0;
    assert_int_equal(toy_start(toy, &reset), FERRY_OK);
    read.u.io = (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = seen };
    assert_int_equal(toy_start(toy, &read), FERRY_PENDING);
    toy_work(toy);
    assert_true(toy_over(&write[0]) && toy_over(&write[1]) && toy_over(&read));
    assert_int_equal(write[0].status, FERRY_E_CANCELLED);
    assert_int_equal(write[1].status, FERRY_E_CANCELLED);
    assert_int_equal(read.status, FERRY_OK);
    assert_int_equal(seen[0], FERRY_V1_RUNNING);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING);
    v1_free(toy);
}

static void a_user_who_leaves_ends_what_waits(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    struct ferry_request write[3];
    uint8_t bits[4] = { 2, 0, 0, 0 };

    (void)state;
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_PENDING;
    for (int i = 0; i < 3; i++) {
        write[i] = (struct ferry_request){ .kind = FERRY_RQ_REGION_WRITE };
        write[i].u.io =
            (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = bits };
        assert_int_equal(toy_start(toy, &write[i]), FERRY_PENDING);
    }
    toy->endpoint->ops->detach(toy->endpoint);
    for (int i = 0; i < 3; i++) {
        assert_true(toy_over(&write[i]));
        assert_int_equal(write[i].status, FERRY_E_CLOSED);
    }
    toy->odd_answer = 0;
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    assert_int_equal(v1_get(toy, FERRY_V1_STATE), FERRY_V1_RUNNING);
    v1_free(toy);
}

static void more_than_so_many_accesses_do_not_wait(void **state)
{
    struct toy *toy = v1_new(V1_FLAGS_PRE, FERRY_FACE_V1_TRAPPED);
    struct ferry_request *write = calloc(66, sizeof(*write));
    uint8_t bits[4] = { 2, 0, 0, 0 };

    (void)state;
    assert_non_null(write);
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_PENDING;
    for (int i = 0; i < 66; i++) {
        write[i].kind = FERRY_RQ_REGION_WRITE;
        write[i].u.io =
            (struct ferry_region_io){ .index = V1_REGION, .count = 4, .data = bits };
        assert_int_equal(toy_start(toy, &write[i]),
                         i < 65 ? FERRY_PENDING : FERRY_E_LIMIT);
    }
    v1_free(toy);
    free(write);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_value_is_taken_or_refused_in_every_state),
        cmocka_unit_test(the_device_is_in_the_state_that_stands_for_the_bits),
        cmocka_unit_test(a_device_without_pre_copy_has_no_bytes_in_it),
        cmocka_unit_test(a_failed_write_leaves_the_state_before),
        cmocka_unit_test(a_device_that_cannot_go_back_is_in_the_error_state),
        cmocka_unit_test(a_device_in_error_reads_as_the_error_state_until_it_is_reset),
        cmocka_unit_test(a_device_that_fails_by_itself_is_seen_in_device_state),
        cmocka_unit_test(data_of_a_session_that_was_lost_cannot_be_read_on),
        cmocka_unit_test(a_state_that_was_not_loaded_to_its_end_stays_resuming),
        cmocka_unit_test(an_arc_that_takes_time_keeps_later_accesses_waiting),
        cmocka_unit_test(a_reset_takes_a_change_of_state_back_that_is_under_way),
        cmocka_unit_test(what_waits_when_a_reset_is_asked_for_is_not_done_behind_it),
        cmocka_unit_test(a_user_who_leaves_ends_what_waits),
        cmocka_unit_test(more_than_so_many_accesses_do_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
