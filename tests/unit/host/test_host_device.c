/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "host/context/context.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_host_pair.h"

#define BASE 0x100000u
#define PEER_IOVA 0x8000000u

static void regions_are_read_and_written_inside_their_bounds(void **state)
{
    const uint32_t value = 0x12345678;
    uint32_t got = 0;
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(ferry_context_region_write(pair.context, 0, 0, 16, &value, 4, 0),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_write(pair.context, 0, 0, 20, &value, 4, 1),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 16, &got, 4),
                     FERRY_OK);
    assert_int_equal(got, value);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 20, &got, 4),
                     FERRY_OK);
    assert_int_equal(got, value);
    assert_int_equal(ferry_context_region_read(pair.context, 1, 0, 16, &got, 4),
                     FERRY_OK);
    assert_int_equal(got, 0);

    assert_int_equal(
        ferry_context_region_read(pair.context, 0, 0, FAKE_BAR0_BYTES - 2, &got, 4),
        FERRY_E_RANGE);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, UINT64_MAX, &got, 4),
                     FERRY_E_RANGE);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 0, &got, 0),
                     FERRY_E_RANGE);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 1, 0, &got, 4),
                     FERRY_E_RANGE);
    assert_int_equal(ferry_context_region_read(pair.context, 0, 9, 0, &got, 4),
                     FERRY_E_RANGE);
    assert_int_equal(ferry_context_region_read(pair.context, 2, 0, 0, &got, 4),
                     FERRY_E_NOT_FOUND);
    teardown(&pair);
}

static void only_the_mappable_part_of_a_region_can_be_mapped(void **state)
{
    struct ferry_error error = { 0 };
    struct ferry_os_map own;
    void *address = NULL;
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 2, 0, 0x2000, &address, &error),
        FERRY_E_RANGE);
    assert_non_null(strstr(error.text, "'a'"));
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 2, 0xf000, 0x2000, &address, NULL),
        FERRY_E_RANGE);
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 2, 0x1000, 0, &address, NULL),
        FERRY_E_RANGE);
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 0, 0, 0x1000, &address, NULL),
        FERRY_E_UNSUPPORTED);
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 2, 0x2000, 0x1000, &address, NULL),
        FERRY_OK);
    memcpy(address, "seen", 5);
    assert_int_equal(ferry_os_map_shared(pair.a.bar2_fd, 0x2000, 0x1000,
                                         FERRY_OS_MAP_READ, &own, NULL),
                     FERRY_OK);
    assert_string_equal((const char *)own.data, "seen");
    ferry_os_unmap(&own);
    teardown(&pair);
}

static void longer_file(struct fake_device *fake, struct ferry_request *request)
{
    (void)fake;
    if (request->kind == FERRY_RQ_GET_REGION_INFO && request->u.region.index == 2) {
        request->u.region.size = 0x100000;
        request->u.region.area[0].size = 0x80000;
    }
}

static void a_region_whose_file_is_too_short_is_not_mapped(void **state)
{
    struct ferry_context *context = NULL;
    struct fake_device fake;
    void *address;

    (void)state;
    fake_init(&fake);
    fake.lie = longer_file;
    assert_int_equal(ferry_context_create(NULL, &context, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &fake.endpoint, NULL), 0);
    assert_int_equal(
        ferry_context_region_map(context, 0, 2, 0x10000, 0x1000, &address, NULL),
        FERRY_E_RANGE);
    ferry_context_destroy(context);
    fake_free(&fake);
}

static void a_peer_map_goes_to_the_initiator_alone(void **state)
{
    const struct ferry_dma_map *map;
    uint32_t peer = 99;
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x2000, 0x3000, PEER_IOVA, NULL),
        FERRY_OK);
    map = fake_map(&pair.a, PEER_IOVA);
    assert_non_null(map);
    assert_int_equal(map->size, 0x3000);
    assert_int_equal(map->offset, 0x2000);
    assert_true(map->fd >= 0);
    assert_int_equal(pair.b.map_count, 0);
    assert_int_equal(ferry_host_reaches_peer(pair.context, 0, &peer), 1);
    assert_int_equal(peer, 1);
    assert_int_equal(ferry_host_reaches_peer(pair.context, 1, &peer), 0);
    teardown(&pair);
}

static void peer_maps_that_make_no_sense_are_refused(void **state)
{
    static const struct {
        uint32_t initiator, target, region;
        uint64_t off, size, iova;
        int status;
    } bad_table[] = {
        { 0, 0, 2, 0x1000, 0x1000, PEER_IOVA, FERRY_E_NOT_FOUND },
        { 0, 2, 2, 0x1000, 0x1000, PEER_IOVA, FERRY_E_NOT_FOUND },
        { 0, 1, 0, 0x1000, 0x1000, PEER_IOVA, FERRY_E_UNSUPPORTED },
        { 0, 1, 2, 0x0000, 0x1000, PEER_IOVA, FERRY_E_RANGE }, /* not mappable there */
        { 0, 1, 2, 0xf000, 0x2000, PEER_IOVA, FERRY_E_RANGE },
        { 0, 1, 2, 0x1000, 0, PEER_IOVA, FERRY_E_RANGE },
        { 0, 1, 9, 0x1000, 0x1000, PEER_IOVA, FERRY_E_RANGE },
        { 0, 1, 2, 0x1800, 0x1000, PEER_IOVA, FERRY_E_ALIGN },
        { 0, 1, 2, 0x1000, 0x1000, PEER_IOVA + 1, FERRY_E_ALIGN },
        { 0, 1, 2, 0x1000, 0x2000, UINT64_MAX - 0xfff, FERRY_E_RANGE },
        { 0, 1, 2, 0x1000, 0x1000, BASE, FERRY_E_OVERLAP },
        { 0, 1, 2, 0x1000, 0x2000, PEER_IOVA - 0x1000, FERRY_E_OVERLAP },
    };
    static _Alignas(4096) uint8_t page[4096];
    struct ferry_memory memory = {
        .iova = BASE, .size = sizeof(page), .address = page, .fd = -1, .writable = 1
    };
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(ferry_context_add_memory(pair.context, &memory, NULL), 0);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x1000, 0x1000, PEER_IOVA, NULL),
        FERRY_OK);
    for (size_t i = 0; i < sizeof(bad_table) / sizeof(bad_table[0]); i++) {
        assert_int_equal(ferry_context_map_peer(pair.context, bad_table[i].initiator,
                                                bad_table[i].target, bad_table[i].region,
                                                bad_table[i].off, bad_table[i].size,
                                                bad_table[i].iova, NULL),
                         bad_table[i].status);
    }
    /* The same address in another device's map is another address. */
    assert_int_equal(
        ferry_context_map_peer(pair.context, 1, 0, 2, 0x1000, 0x1000, PEER_IOVA, NULL),
        FERRY_OK);
    memory.iova = PEER_IOVA;
    assert_int_equal(ferry_context_add_memory(pair.context, &memory, NULL),
                     FERRY_E_OVERLAP);
    teardown(&pair);
}

static void peer_maps_can_be_switched_off(void **state)
{
    struct ferry_error error = { 0 };
    struct pair pair;

    (void)state;
    setup_with(&pair, 1);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x1000, 0x1000, PEER_IOVA, &error),
        FERRY_E_PERMISSION);
    assert_non_null(strstr(error.text, "no_peer_maps"));
    assert_int_equal(pair.a.map_count, 0);
    teardown(&pair);
}

static void a_reopened_context_has_everything_in_place(void **state)
{
    static _Alignas(4096) uint8_t page[4096];
    const struct ferry_memory memory = {
        .iova = BASE, .size = sizeof(page), .address = page, .fd = -1, .writable = 1
    };
    struct ferry_device_view view;
    struct pair pair;
    void *address;
    int fds[2];

    (void)state;
    make_eventfds(fds, 2);
    setup(&pair);
    assert_int_equal(ferry_context_add_memory(pair.context, &memory, NULL), 0);
    assert_int_equal(ferry_context_set_irqs(pair.context, 1, fds, 2, NULL), FERRY_OK);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x1000, 0x1000, PEER_IOVA, NULL),
        FERRY_OK);
    assert_int_equal(
        ferry_context_region_map(pair.context, 0, 2, 0x1000, 0x1000, &address, NULL),
        FERRY_OK);
    assert_int_equal(ferry_context_reopen(pair.context, NULL), FERRY_OK);
    assert_int_equal(pair.a.attaches, 2);
    assert_int_equal(pair.b.attaches, 2);
    assert_non_null(fake_map(&pair.a, BASE));
    assert_non_null(fake_map(&pair.b, BASE));
    assert_non_null(fake_map(&pair.a, PEER_IOVA));
    assert_true(pair.b.irq_fd[1] >= 0);
    assert_int_equal(ferry_context_device(pair.context, 0, &view, NULL), FERRY_OK);
    assert_int_equal(view.state, FERRY_STATE_RUNNING);
    assert_int_equal(pair.events.lost, 0);

    /* One alone: the other's map of its region is made anew. */
    assert_int_equal(ferry_host_device_reopen(pair.context, 1, NULL), FERRY_OK);
    assert_int_equal(pair.a.attaches, 2);
    assert_int_equal(pair.a.map_count, 2);
    assert_non_null(fake_map(&pair.a, PEER_IOVA));
    teardown(&pair);
    close_all(fds, 2);
}

static void a_device_that_cannot_be_reopened_stays_away_alone(void **state)
{
    struct ferry_error error = { 0 };
    struct pair pair;
    uint32_t value;

    (void)state;
    setup(&pair);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x1000, 0x1000, PEER_IOVA, NULL),
        FERRY_OK);
    pair.b.fail_kind = FERRY_RQ_GET_INFO;
    pair.b.fail_status = FERRY_E_DEVICE;
    assert_int_equal(ferry_context_reopen(pair.context, &error), FERRY_E_DEVICE);
    assert_non_null(strstr(error.text, "'b'"));
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 0, &value, 4),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_read(pair.context, 1, 0, 0, &value, 4),
                     FERRY_E_CLOSED);
    assert_null(fake_map(&pair.a, PEER_IOVA));
    pair.b.fail_kind = 0;
    assert_int_equal(ferry_context_reopen(pair.context, NULL), FERRY_OK);
    assert_int_equal(ferry_context_region_read(pair.context, 1, 0, 0, &value, 4),
                     FERRY_OK);
    assert_non_null(fake_map(&pair.a, PEER_IOVA));
    teardown(&pair);
}

static void a_closed_device_is_out_of_its_peers_maps_and_says_nothing(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(
        ferry_context_map_peer(pair.context, 0, 1, 2, 0x1000, 0x1000, PEER_IOVA, NULL),
        FERRY_OK);
    ferry_host_device_close(pair.context, 1);
    assert_int_equal(pair.a.map_count, 0);
    assert_int_equal(pair.b.detaches, 1);
    assert_int_equal(ferry_context_call(pair.context, 1, &request), FERRY_E_CLOSED);
    assert_int_equal(ferry_context_submit(pair.context, 1, &request), FERRY_E_CLOSED);
    ferry_host_device_close(pair.context, 1);
    assert_int_equal(pair.b.detaches, 1);
    assert_int_equal(ferry_context_dispatch(pair.context, 0), FERRY_OK);
    assert_int_equal(pair.events.lost, 0);
    teardown(&pair);
}

/* --- requests that take their time -----------------------------------------------------
 */

static void note_done(struct ferry_request *request)
{
    uint32_t *count = request->user;

    (*count)++;
}

static void a_pending_request_ends_in_dispatch_and_not_before(void **state)
{
    uint32_t count = 0;
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE,
                                     .done = note_done,
                                     .user = &count };
    struct pair pair;

    (void)state;
    setup(&pair);
    assert_int_equal(ferry_context_submit(pair.context, 0, &request), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(request.u.state, FERRY_STATE_RUNNING);
    pair.a.silent_kind = FERRY_RQ_GET_STATE;
    request.u.state = 0;
    assert_int_equal(ferry_context_submit(pair.context, 0, &request), FERRY_PENDING);
    assert_int_equal(ferry_context_dispatch(pair.context, 0), FERRY_OK);
    assert_int_equal(count, 0);
    fake_release(&pair.a, FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ferry_context_dispatch(pair.context, 0), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(request.status, FERRY_OK);
    assert_int_equal(request.u.state, FERRY_STATE_RUNNING);
    teardown(&pair);
}

static void dispatch_until(struct ferry_context *context, const uint32_t *count)
{
    for (int i = 0; i < 1000 && *count == 0; i++) {
        assert_int_equal(ferry_context_dispatch(context, 5), FERRY_OK);
    }
}

static void an_arc_that_does_not_end_is_given_back_and_the_device_stays(void **state)
{
    uint32_t count = 0;
    struct ferry_error error = { 0 };
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = FERRY_STATE_STOP,
                                     .done = note_done,
                                     .user = &count,
                                     .reterr = &error };
    uint32_t value = 0;
    struct pair pair;

    (void)state;
    setup(&pair);
    pair.a.silent_kind = FERRY_RQ_SET_STATE;
    assert_int_equal(ferry_context_submit(pair.context, 0, &request), FERRY_PENDING);
    dispatch_until(pair.context, &count);
    assert_int_equal(count, 1);
    assert_int_equal(request.status, FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "SET_STATE"));
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 0, &value, 4),
                     FERRY_OK);
    /* The late answer goes nowhere. */
    fake_release(&pair.a, FERRY_OK);
    assert_int_equal(ferry_context_dispatch(pair.context, 0), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ferry_context_call(pair.context, 0, &request), FERRY_E_TIMEOUT);
    assert_int_equal(pair.events.lost, 0);
    teardown(&pair);
}

static void a_device_that_keeps_borrowed_memory_is_lost_once(void **state)
{
    uint32_t count = 0;
    uint8_t data[16];
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ,
                                     .done = note_done,
                                     .user = &count };
    struct ferry_error error = { 0 };
    struct pair pair;

    (void)state;
    setup(&pair);
    request.u.io.count = sizeof(data);
    request.u.io.data = data;
    pair.b.silent_kind = FERRY_RQ_REGION_READ;
    assert_int_equal(ferry_context_submit(pair.context, 1, &request), FERRY_PENDING);
    dispatch_until(pair.context, &count);
    assert_int_equal(count, 1);
    assert_int_equal(request.status, FERRY_E_CLOSED);
    assert_int_equal(pair.b.detaches, 1);
    assert_int_equal(ferry_context_dispatch(pair.context, 0), FERRY_OK);
    assert_int_equal(pair.events.lost, 1);
    assert_int_equal(pair.events.device, 1);
    assert_int_equal(ferry_context_region_read(pair.context, 1, 0, 0, data, 4),
                     FERRY_E_CLOSED);
    request.reterr = &error;
    assert_int_equal(ferry_context_call(pair.context, 1, &request), FERRY_E_CLOSED);
    assert_non_null(strstr(error.text, "'b' is gone"));
    assert_non_null(strstr(error.text, "REGION_READ"));
    assert_int_equal(ferry_context_region_read(pair.context, 0, 0, 0, data, 4), FERRY_OK);
    teardown(&pair);
}

static void a_closed_context_ends_what_was_under_way(void **state)
{
    uint32_t count = 0;
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = FERRY_STATE_STOP,
                                     .done = note_done,
                                     .user = &count };
    struct pair pair;

    (void)state;
    setup(&pair);
    pair.a.silent_kind = FERRY_RQ_SET_STATE;
    assert_int_equal(ferry_context_submit(pair.context, 0, &request), FERRY_PENDING);
    teardown(&pair);
    assert_int_equal(count, 1);
    assert_int_equal(request.status, FERRY_E_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_read_and_written_inside_their_bounds),
        cmocka_unit_test(only_the_mappable_part_of_a_region_can_be_mapped),
        cmocka_unit_test(a_region_whose_file_is_too_short_is_not_mapped),
        cmocka_unit_test(a_peer_map_goes_to_the_initiator_alone),
        cmocka_unit_test(peer_maps_that_make_no_sense_are_refused),
        cmocka_unit_test(peer_maps_can_be_switched_off),
        cmocka_unit_test(a_reopened_context_has_everything_in_place),
        cmocka_unit_test(a_device_that_cannot_be_reopened_stays_away_alone),
        cmocka_unit_test(a_closed_device_is_out_of_its_peers_maps_and_says_nothing),
        cmocka_unit_test(a_pending_request_ends_in_dispatch_and_not_before),
        cmocka_unit_test(an_arc_that_does_not_end_is_given_back_and_the_device_stays),
        cmocka_unit_test(a_device_that_keeps_borrowed_memory_is_lost_once),
        cmocka_unit_test(a_closed_context_ends_what_was_under_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
