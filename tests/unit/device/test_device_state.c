/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/memory.h"
#include "test_device_toy.h"

#define P2P FERRY_MIG_P2P
#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define STREAM_MAX 4096u

static const uint32_t feature_sets[] = { 1, 3, 5, 7 };

/* Bytes of a valid stream of this toy. */
static uint64_t make_stream(struct toy *toy, uint8_t *data)
{
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    return toy_save(toy, data, STREAM_MAX, 512);
}

/* MIG-ARC-1 */
static void every_legal_pair_walks_its_path(void **state)
{
    uint32_t pairs = 0;

    (void)state;
    for (size_t f = 0; f < 4; f++) {
        struct toy *toy = toy_new(feature_sets[f], 0);
        uint8_t stream[STREAM_MAX];
        const uint64_t bytes = make_stream(toy, stream);

        for (uint32_t from = 1; from < FERRY_STATE_COUNT; from++) {
            for (uint32_t to = 1; to < FERRY_STATE_COUNT; to++) {
                uint32_t path[FERRY_STATE_COUNT], at = from;
                const int count = ferry_state_path(from, to, feature_sets[f], path);

                if (count <= 0) {
                    continue;
                }
                pairs++;
                toy_bring(toy, from);
                if (from == FERRY_STATE_RESUMING) {
                    assert_int_equal(toy_load(toy, stream, bytes, bytes), FERRY_OK);
                }
                assert_int_equal(toy_set(toy, to), FERRY_OK);
                assert_int_equal(toy_get(toy), to);
                assert_int_equal(toy->arcs, count);
                for (int i = 0; i < count; i++) {
                    assert_int_equal(toy->arc_from[i], at);
                    assert_int_equal(toy->arc_to[i], path[i]);
                    at = path[i];
                }
            }
        }
        toy_free(toy);
    }
    assert_int_equal(pairs, 12 + 20 + 19 + 40);
}

/* MIG-ARC-2, MIG-ARC-3 */
static void every_forbidden_pair_fails_and_changes_nothing(void **state)
{
    (void)state;
    for (size_t f = 0; f < 4; f++) {
        struct toy *toy = toy_new(feature_sets[f], 0);

        for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
            if (!ferry_state_exists(from, feature_sets[f])) {
                continue;
            }
            toy_bring(toy, from);
            for (uint32_t to = 0; to < FERRY_STATE_COUNT + 3; to++) {
                uint32_t path[FERRY_STATE_COUNT];

                if (from != FERRY_STATE_ERROR &&
                    ferry_state_path(from, to, feature_sets[f], path) >= 0) {
                    continue;
                }
                assert_int_equal(toy_set(toy, to), from == FERRY_STATE_ERROR
                                                       ? FERRY_E_DEVICE_ERROR
                                                       : FERRY_E_ARC);
                assert_int_equal(toy_get(toy), from);
                assert_int_equal(toy->arcs, 0);
            }
        }
        toy_free(toy);
    }
}

/* MIG-ARC-4 */
static void a_set_of_the_present_state_does_nothing(void **state)
{
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    for (uint32_t at = 1; at < FERRY_STATE_COUNT; at++) {
        toy_bring(toy, at);
        assert_int_equal(toy_set(toy, at), FERRY_OK);
        assert_int_equal(toy->arcs, 0);
    }
    toy_free(toy);
}

/* MIG-ARC-5, MIG-ARC-9, MIG-ERR-4 */
static void a_failing_arc_stays_where_it_began(void **state)
{
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    for (uint32_t from = 1; from < FERRY_STATE_COUNT; from++) {
        for (uint32_t to = 1; to < FERRY_STATE_COUNT; to++) {
            uint32_t next;

            if (from == to || from == FERRY_STATE_RESUMING ||
                ferry_state_next(from, to, ALL, &next) != FERRY_OK || next != to) {
                continue;
            }
            toy_bring(toy, from);
            toy->odd_from = from;
            toy->odd_to = to;
            toy->odd_answer = FERRY_E_DEVICE;
            assert_int_equal(toy_set(toy, to), FERRY_E_DEVICE);
            assert_int_equal(toy_get(toy), from);
            toy->odd_answer = 0;
            assert_int_equal(toy_set(toy, to), FERRY_OK); /* and may be tried again */
            toy_bring(toy, from);
            toy->odd_answer = FERRY_E_DEVICE_ERROR;
            assert_int_equal(toy_set(toy, to), FERRY_E_DEVICE_ERROR);
            assert_int_equal(toy_get(toy), FERRY_STATE_ERROR);
        }
    }
    toy_free(toy);
}

/* MIG-ARC-5 */
static void a_path_that_fails_in_the_middle_stays_there(void **state)
{
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    toy->odd_from = FERRY_STATE_RUNNING_P2P;
    toy->odd_to = FERRY_STATE_STOP;
    toy->odd_answer = FERRY_E_IO;
    assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_E_IO);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING_P2P);
    toy_free(toy);
}

/* MIG-RST-1 */
static void reset_leaves_every_state(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    (void)state;
    for (uint32_t from = 0; from < FERRY_STATE_COUNT; from++) {
        uint32_t resets;

        toy_bring(toy, from);
        resets = toy->resets;
        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
        assert_int_equal(toy->resets, resets + 1);
        assert_int_equal(toy->reset_reason, FERRY_RESET_REQUEST);
    }
    toy_free(toy);
}

static void resuming_begins_with_a_reset(void **state)
{
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy->resets, 1);
    assert_int_equal(toy->reset_reason, FERRY_RESET_RESUMING);
    toy_free(toy);
}

/* Starts an arc that waits for ferry_device_arc_done(). */
static struct toy *begin_slow_arc(struct ferry_request *set, uint32_t from, uint32_t to)
{
    struct toy *toy = toy_new(ALL, 0);

    toy_bring(toy, from);
    toy->odd_from = from;
    toy->odd_to = to;
    toy->odd_answer = FERRY_PENDING;
    *set = (struct ferry_request){ .kind = FERRY_RQ_SET_STATE };
    set->u.state = to;
    assert_int_equal(toy_start(toy, set), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(set));
    assert_int_equal(toy_get(toy), from);
    return toy;
}

/* MIG-ARC-8 */
static void a_slow_arc_ends_when_the_author_says_so(void **state)
{
    struct ferry_request set;
    struct toy *toy = begin_slow_arc(&set, FERRY_STATE_RUNNING, FERRY_STATE_RUNNING_P2P);

    (void)state;
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_E_BUSY);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_E_BUSY);
    assert_int_equal(toy_read32(toy, 0, 0), 0xa0a0a0a0); /* others are served meanwhile */
    ferry_device_arc_done(toy->device, FERRY_OK);
    assert_false(toy_over(&set));
    toy_work(toy);
    assert_true(toy_over(&set));
    assert_int_equal(set.status, FERRY_OK);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING_P2P);
    ferry_device_arc_done(toy->device, FERRY_E_DEVICE); /* nobody asked */
    toy_work(toy);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING_P2P);
    toy_free(toy);
}

static void a_slow_arc_goes_on_along_its_path(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request set = { .kind = FERRY_RQ_SET_STATE };

    (void)state;
    toy->odd_from = FERRY_STATE_RUNNING;
    toy->odd_to = FERRY_STATE_RUNNING_P2P;
    toy->odd_answer = FERRY_PENDING;
    set.u.state = FERRY_STATE_STOP_COPY;
    assert_int_equal(toy_start(toy, &set), FERRY_PENDING);
    ferry_device_arc_done(toy->device, FERRY_OK);
    toy_work(toy);
    assert_true(toy_over(&set));
    assert_int_equal(toy_get(toy), FERRY_STATE_STOP_COPY);
    assert_int_equal(toy->arcs, 3);
    toy_free(toy);
}

static void a_slow_arc_may_fail(void **state)
{
    static const struct {
        int answer;
        uint32_t end;
    } cases[] = { { FERRY_E_IO, FERRY_STATE_STOP },
                  { FERRY_E_DEVICE_ERROR, FERRY_STATE_ERROR } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct ferry_request set;
        struct toy *toy = begin_slow_arc(&set, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY);

        ferry_device_arc_done(toy->device, cases[i].answer);
        toy_work(toy);
        assert_true(toy_over(&set));
        assert_int_equal(set.status, cases[i].answer);
        assert_int_equal(toy_get(toy), cases[i].end);
        toy_free(toy);
    }
}

/* MIG-RST-3 */
static void reset_cancels_a_slow_arc(void **state)
{
    struct ferry_request set, reset = { .kind = FERRY_RQ_RESET };
    struct toy *toy = begin_slow_arc(&set, FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP);

    (void)state;
    assert_int_equal(toy_start(toy, &reset), FERRY_OK);
    assert_false(toy_over(&set)); /* done() never runs inside submit() */
    toy_work(toy);
    assert_true(toy_over(&set));
    assert_int_equal(set.status, FERRY_E_CANCELLED);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    ferry_device_arc_done(toy->device, FERRY_OK); /* too late */
    toy_work(toy);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    toy_free(toy);
}

/* MIG-STOP-1 */
static void work_runs_only_where_the_device_may_act(void **state)
{
    struct ferry_request set;
    struct toy *toy = toy_new(ALL, 0);

    (void)state;
    toy_bring(toy, FERRY_STATE_STOP);
    toy->works = 0;
    ferry_device_schedule(toy->device);
    toy_work(toy);
    assert_int_equal(toy->works, 0);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy->works, 1); /* what was asked for comes later */
    toy->work_wanted = 3;
    ferry_device_schedule(toy->device);
    toy_work(toy);
    assert_int_equal(toy->works, 4);
    toy_free(toy);

    toy = begin_slow_arc(&set, FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP);
    toy->works = 0;
    ferry_device_schedule(toy->device);
    toy_work(toy);
    assert_int_equal(toy->works, 1); /* an arc is pending */
    toy_free(toy);
}

/* MIG-OPEN-1, MIG-OPEN-2 */
static void detach_leaves_nothing(void **state)
{
    struct toy *toy = toy_new(ALL, 1);
    struct ferry_request map = { .kind = FERRY_RQ_DMA_MAP };
    struct ferry_request log = { .kind = FERRY_RQ_LOG_START };
    struct ferry_request set = { .kind = FERRY_RQ_SET_STATE };
    struct ferry_dma_segment segment;
    const int fd = toy_memfd(4096);

    (void)state;
    toy_bus_master(toy);
    map.u.map = (struct ferry_dma_map){ .size = 4096, .fd = fd, .flags = 3 };
    assert_int_equal(toy_ask(toy, &map), FERRY_OK);
    log.u.log_start.page_size = 4096;
    assert_int_equal(toy_ask(toy, &log), FERRY_OK);
    assert_int_equal(toy_write32(toy, 4, 12, 0), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    memset(ferry_device_region_memory(toy->device, 2), 0x77, TOY_BAR2_BYTES);
    assert_int_equal(ferry_dma_get(toy->device, 0, 4096, 1, &segment), FERRY_OK);
    set.u.state = FERRY_STATE_STOP;
    assert_int_equal(toy_start(toy, &set), FERRY_PENDING);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_E_BUSY);

    toy->endpoint->ops->detach(toy->endpoint);
    assert_true(toy_over(&set));
    assert_int_equal(set.status, FERRY_E_CLOSED);
    assert_int_equal(toy->reset_reason, FERRY_RESET_CLIENT_GONE);
    assert_int_equal(toy->endpoint->ops->submit(toy->endpoint, &map), FERRY_E_CLOSED);
    ((uint8_t *)segment.address)[0] = 1; /* the author still holds it */
    ferry_dma_put(toy->device, &segment, 4096);

    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING);
    assert_false(ferry_device_bus_master(toy->device));
    assert_int_equal(toy_read32(toy, 4, 12), 1);
    assert_int_equal(toy_read32(toy, 4, TOY_PBA_OFF), 0);
    assert_int_equal(toy_read32(toy, 2, TOY_AREA_OFF), 0);
    assert_int_equal(toy_ask(toy, &map), FERRY_OK);
    assert_int_equal(toy_ask(toy, &log), FERRY_OK);
    toy_free(toy);
    close(fd);
}

static void a_former_user_keeps_no_way_in(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    struct ferry_request info = { .kind = FERRY_RQ_GET_REGION_INFO };
    struct ferry_os_map view = { 0 };

    (void)state;
    info.u.region.index = 2;
    assert_int_equal(toy_ask(toy, &info), FERRY_OK);
    assert_int_equal(
        ferry_os_map_shared(info.u.region.fd, 0, TOY_BAR2_BYTES, 3, &view, NULL),
        FERRY_OK);
    ((uint8_t *)view.data)[TOY_AREA_OFF] = 5;
    assert_int_equal(toy_read32(toy, 2, TOY_AREA_OFF), 5);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    ((uint8_t *)view.data)[TOY_AREA_OFF] = 6;
    assert_int_equal(toy_read32(toy, 2, TOY_AREA_OFF), 0);
    ferry_os_unmap(&view);
    toy_free(toy);
}

static void a_device_without_migration_says_so(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    (void)state;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_UNSUPPORTED);
    request.kind = FERRY_RQ_MIG_FLAGS;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_UNSUPPORTED);
    request.kind = FERRY_RQ_DATA_SIZE;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_UNSUPPORTED);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_device_state(toy->device), FERRY_STATE_RUNNING);
    toy_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_legal_pair_walks_its_path),
        cmocka_unit_test(every_forbidden_pair_fails_and_changes_nothing),
        cmocka_unit_test(a_set_of_the_present_state_does_nothing),
        cmocka_unit_test(a_failing_arc_stays_where_it_began),
        cmocka_unit_test(a_path_that_fails_in_the_middle_stays_there),
        cmocka_unit_test(reset_leaves_every_state),
        cmocka_unit_test(resuming_begins_with_a_reset),
        cmocka_unit_test(a_slow_arc_ends_when_the_author_says_so),
        cmocka_unit_test(a_slow_arc_goes_on_along_its_path),
        cmocka_unit_test(a_slow_arc_may_fail),
        cmocka_unit_test(reset_cancels_a_slow_arc),
        cmocka_unit_test(work_runs_only_where_the_device_may_act),
        cmocka_unit_test(detach_leaves_nothing),
        cmocka_unit_test(a_former_user_keeps_no_way_in),
        cmocka_unit_test(a_device_without_migration_says_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
