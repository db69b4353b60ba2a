/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "test_link_async.h"

/* Requests under way together: order, slow ones, limits, DMA in between. */

static void test_a_slow_arc_does_not_hold_up_other_requests(void **state)
{
    struct counted slow = { .request = { .kind = FERRY_RQ_SET_STATE } };
    uint32_t value = 0xaabbccdd;
    uint32_t back = 0;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };

    (void)state;
    slow.request.done = count_done;
    slow.request.user = &slow;
    slow.request.u.state = FERRY_STATE_STOP;
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    r.u.io.count = 4;
    r.u.io.data = &value;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    r.kind = FERRY_RQ_REGION_READ;
    r.u.io.data = &back;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(back, 0xaabbccdd);
    assert_int_equal(atomic_load(&slow.done), 0);
    release_held();
    dispatch_until(&slow.done, 1);
    assert_int_equal(slow.request.status, FERRY_OK);
}

static void test_replies_come_in_any_order(void **state)
{
    uint8_t data[3][16];
    struct counted slow;
    struct counted fast[2];

    (void)state;
    memset(data, 0, sizeof(data));
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, data[0], 16);
    prepare_io(&fast[0], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 0, data[1], 16);
    prepare_io(&fast[1], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 16, data[2], 16);
    memset(served.fake.bar, 7, 32);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    assert_int_equal(ferry_client_submit(client, &fast[0].request), FERRY_PENDING);
    assert_int_equal(ferry_client_submit(client, &fast[1].request), FERRY_PENDING);
    dispatch_until(&fast[0].done, 1);
    dispatch_until(&fast[1].done, 1);
    assert_int_equal(atomic_load(&slow.done), 0);
    release_held();
    dispatch_until(&slow.done, 1);
    assert_int_equal(data[0][15], 0x5a);
    assert_int_equal(data[1][0], 7);
    assert_int_equal(data[2][15], 7);
}

static void test_the_data_of_a_slow_write_stays_until_it_ends(void **state)
{
    enum { COUNT = 8, BYTES = 3000 };
    struct counted slow[COUNT];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
    uint8_t *data = malloc(COUNT * BYTES);
    uint8_t other[BYTES];
    int i;

    (void)state;
    memset(other, 0xee, sizeof(other));
    for (i = 0; i < COUNT; i++) {
        memset(data + i * BYTES, i + 1, BYTES);
        prepare_io(&slow[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_SLOW, (uint64_t)i * BYTES,
                   data + i * BYTES, BYTES);
        assert_int_equal(ferry_client_submit(client, &slow[i].request), FERRY_PENDING);
        /* Comes into the memory that the server received the slow one in. */
        r.u.io.off = MIB;
        r.u.io.count = BYTES;
        r.u.io.data = other;
        assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    }
    release_held();
    for (i = 0; i < COUNT; i++) {
        dispatch_until(&slow[i].done, 1);
        assert_int_equal(slow[i].request.status, FERRY_OK);
        assert_memory_equal(served.fake.bar + i * BYTES, data + i * BYTES, BYTES);
    }
    free(data);
}

static void test_large_reads_and_writes_cross_each_other(void **state)
{
    enum { PAIRS = 6 };
    struct counted read[PAIRS];
    struct counted write[PAIRS];
    uint8_t *in = calloc(PAIRS, MIB);
    uint8_t *out = malloc(MIB);
    int i;

    (void)state;
    memset(out, 0x33, MIB);
    memset(served.fake.bar + MIB, 0x44, MIB);
    for (i = 0; i < PAIRS; i++) {
        prepare_io(&read[i], FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, MIB,
                   in + (size_t)i * MIB, MIB);
        prepare_io(&write[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_MEMORY, 0, out, MIB);
        assert_int_equal(ferry_client_submit(client, &read[i].request), FERRY_PENDING);
        assert_int_equal(ferry_client_submit(client, &write[i].request), FERRY_PENDING);
    }
    for (i = 0; i < PAIRS; i++) {
        dispatch_until(&read[i].done, 1);
        dispatch_until(&write[i].done, 1);
        assert_int_equal(read[i].request.status, FERRY_OK);
        assert_int_equal(write[i].request.status, FERRY_OK);
        assert_memory_equal(in + (size_t)i * MIB, served.fake.bar + MIB, MIB);
    }
    assert_memory_equal(served.fake.bar, out, MIB);
    free(in);
    free(out);
}

static void test_a_call_in_between_leaves_the_others_to_dispatch(void **state)
{
    uint32_t data[3] = { 0 };
    struct pollfd one = { .fd = ferry_client_fd(client), .events = POLLIN };
    struct counted a;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    prepare_io(&a, FERRY_RQ_REGION_READ, FAKE_REGION_MEMORY, 0, &data[0], 4);
    assert_int_equal(ferry_client_submit(client, &a.request), FERRY_PENDING);
    r.u.io.count = 4;
    r.u.io.data = &data[1];
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    /* Its reply has been taken in by the call, but only dispatch may run it: nothing more
     * will come from the server, and yet the descriptor tells. */
    assert_int_equal(atomic_load(&a.done), 0);
    /* Well within the request's own limit, whose timer would wake us too. */
    assert_int_equal(poll(&one, 1, 2000), 1);
    assert_int_equal(ferry_client_dispatch(client), 1);
    assert_int_equal(atomic_load(&a.done), 1);
    assert_int_equal(poll(&one, 1, 0), 0);
}

static void
test_a_request_without_answer_ends_in_time_and_its_late_reply_is_dropped(void **state)
{
    uint32_t value = 0;
    struct ferry_error error = { .code = 0 };
    struct ferry_request slow = { .kind = FERRY_RQ_REGION_READ, .reterr = &error };
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };
    uint8_t *gone = malloc(4096);

    (void)state;
    slow.u.io.index = FAKE_REGION_SLOW;
    slow.u.io.count = 4096;
    slow.u.io.data = gone;
    assert_int_equal(ferry_client_call(client, &slow), FERRY_E_TIMEOUT);
    assert_int_equal(error.code, FERRY_E_TIMEOUT);
    free(gone); /* the late reply must not be written here */
    release_held();
    r.u.io.count = 4;
    r.u.io.data = &value;
    memset(served.fake.bar, 9, 4);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(value, 0x09090909);
}

static void test_a_submitted_request_ends_in_time(void **state)
{
    uint32_t value;
    struct counted slow;

    (void)state;
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    dispatch_until(&slow.done, 1);
    assert_int_equal(slow.request.status, FERRY_E_TIMEOUT);
    release_held();
}

static void test_the_number_of_requests_under_way_is_limited_on_both_sides(void **state)
{
    enum { MOST = 300 };
    struct counted *slow = calloc(MOST, sizeof(*slow));
    uint32_t value;
    int refused = 0;
    int started = 0;
    int i;

    (void)state;
    for (i = 0; i < MOST; i++) {
        prepare_io(&slow[i], FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
        if (ferry_client_submit(client, &slow[i].request) != FERRY_PENDING) {
            break;
        }
        started++;
    }
    assert_int_equal(started, 256);
    assert_int_equal(slow[started].request.status, FERRY_E_LIMIT);
    atomic_int *last = &slow[started - 1].done;
    dispatch_until(last, 1);
    for (i = 0; i < started; i++) {
        refused +=
            atomic_load(&slow[i].done) == 1 && slow[i].request.status == FERRY_E_LIMIT;
    }
    assert_int_equal(refused, 256 - 64);
    release_held();
    for (i = 0; i < started; i++) {
        dispatch_until(&slow[i].done, 1);
    }
    free(slow);
}

static void test_a_region_access_reaches_user_memory_by_message(void **state)
{
    uint8_t data[5000];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    memset(guest + 12345, 0x77, sizeof(data));
    r.u.io.index = FAKE_REGION_DMA;
    r.u.io.off = 12345;
    r.u.io.count = sizeof(data);
    r.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(data[0], 0x77);
    assert_int_equal(data[4999], 0x77);
    memset(data, 0x11, sizeof(data));
    r.kind = FERRY_RQ_REGION_WRITE;
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    assert_int_equal(guest[12345], 0x11);
    assert_int_equal(guest[12345 + 4999], 0x11);
    assert_int_equal(guest[12345 + 5000], 0);
}

static void test_user_memory_that_is_not_there_is_a_range_error(void **state)
{
    uint8_t data[16];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    r.u.io.index = FAKE_REGION_DMA;
    r.u.io.off = 2 * MIB - 8;
    r.u.io.count = sizeof(data);
    r.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &r), FERRY_E_RANGE);
    assert_int_equal(atomic_load(&served.fake.dma_status), FERRY_E_RANGE);
}

static void test_messages_that_come_while_a_dma_waits_are_handled_afterwards(void **state)
{
    enum { COUNT = 40 };
    struct counted dma[COUNT];
    struct counted plain[COUNT];
    uint8_t *in = calloc(COUNT, 65536);
    uint8_t value[COUNT][8];
    int i;

    (void)state;
    memset(guest, 0x21, MIB);
    for (i = 0; i < COUNT; i++) {
        prepare_io(&dma[i], FERRY_RQ_REGION_READ, FAKE_REGION_DMA, 4096,
                   in + (size_t)i * 65536, 65536);
        prepare_io(&plain[i], FERRY_RQ_REGION_WRITE, FAKE_REGION_MEMORY, (uint64_t)i * 8,
                   value[i], 8);
        memset(value[i], i + 1, 8);
        assert_int_equal(ferry_client_submit(client, &dma[i].request), FERRY_PENDING);
        assert_int_equal(ferry_client_submit(client, &plain[i].request), FERRY_PENDING);
    }
    for (i = 0; i < COUNT; i++) {
        dispatch_until(&dma[i].done, 1);
        dispatch_until(&plain[i].done, 1);
        assert_int_equal(dma[i].request.status, FERRY_OK);
        assert_int_equal(in[(size_t)i * 65536 + 65535], 0x21);
        assert_int_equal(served.fake.bar[i * 8 + 7], i + 1);
    }
    free(in);
}

static void test_every_request_ends_once_when_the_server_goes(void **state)
{
    enum { COUNT = 20 };
    struct counted slow[COUNT];
    struct ferry_error error;
    uint32_t value;
    int rc = 0;
    int i;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        prepare_io(&slow[i], FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
        assert_int_equal(ferry_client_submit(client, &slow[i].request), FERRY_PENDING);
    }
    atomic_store(&served.stop, 1);
    assert_int_equal(ferry_os_eventfd_signal(served.stop_fd), FERRY_OK);
    pthread_join(served.thread, NULL);
    ferry_link_server_destroy(served.server);
    for (i = 0; i < COUNT && rc >= 0; i++) {
        rc = ferry_client_dispatch(client);
    }
    assert_int_equal(rc, FERRY_E_CLOSED);
    for (i = 0; i < COUNT; i++) {
        assert_int_equal(atomic_load(&slow[i].done), 1);
        assert_int_equal(slow[i].request.status, FERRY_E_CLOSED);
    }
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_CLOSED);
    assert_int_equal(ferry_client_call(client, &slow[0].request), FERRY_E_CLOSED);
    assert_int_equal(ferry_client_submit(client, &slow[0].request), FERRY_E_CLOSED);
    ferry_client_close(client);
    client = NULL;
    ferry_loop_remove(served.loop, &served.stop_watch);
    ferry_loop_destroy(served.loop);
    assert_int_equal(close(served.stop_fd), 0);
    fake_free(&served.fake);
    free(guest);
}

static void test_closing_ends_what_is_under_way(void **state)
{
    uint32_t value;
    struct counted slow;

    (void)state;
    prepare_io(&slow, FERRY_RQ_REGION_READ, FAKE_REGION_SLOW, 0, &value, 4);
    assert_int_equal(ferry_client_submit(client, &slow.request), FERRY_PENDING);
    ferry_client_close(client);
    client = NULL;
    assert_int_equal(atomic_load(&slow.done), 1);
    assert_int_equal(slow.request.status, FERRY_E_CLOSED);
    /* The endpoint ends its side of it as well: served_stop() finds it detached. */
    await_int(&served.fake.detaches, 1);
}

static void test_work_goes_on_while_it_returns_1(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    atomic_store(&served.fake.work_more, 25);
    assert_int_equal(ferry_client_call(client, &r), FERRY_OK);
    await_int(&served.fake.work_more, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_slow_arc_does_not_hold_up_other_requests),
        TEST(test_replies_come_in_any_order),
        TEST(test_the_data_of_a_slow_write_stays_until_it_ends),
        TEST(test_large_reads_and_writes_cross_each_other),
        TEST(test_a_call_in_between_leaves_the_others_to_dispatch),
        IMPATIENT(
            test_a_request_without_answer_ends_in_time_and_its_late_reply_is_dropped),
        IMPATIENT(test_a_submitted_request_ends_in_time),
        TEST(test_the_number_of_requests_under_way_is_limited_on_both_sides),
        TEST(test_a_region_access_reaches_user_memory_by_message),
        TEST(test_user_memory_that_is_not_there_is_a_range_error),
        TEST(test_messages_that_come_while_a_dma_waits_are_handled_afterwards),
        cmocka_unit_test_setup(test_every_request_ends_once_when_the_server_goes,
                               async_start),
        TEST(test_closing_ends_what_is_under_way),
        TEST(test_work_goes_on_while_it_returns_1),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
