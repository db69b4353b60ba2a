/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "test_device_toy.h"

/* Doorbells through eventfds, and unmaps that wait for the device. */

#define FLAGS (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)
#define BELL_COUNT 3u

static const struct ferry_device_doorbell bells[BELL_COUNT] = {
    { .region = 0, .off = 4, .size = 4, .value = 7, .match = 1 },
    { .region = 0, .off = 4, .size = 4, .value = 9, .match = 1 },
    { .region = 4, .off = 0xff8, .size = 8, .value = UINT64_MAX },
};

static void add_bells(struct ferry_device_desc *desc)
{
    desc->doorbell = bells;
    desc->doorbell_count = BELL_COUNT;
    desc->unmap_timeout_ms = 30;
}

static int setup(void **state)
{
    *state = toy_new_with(FLAGS, 1, add_bells);
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static uint32_t ask(struct toy *toy, uint32_t region, struct ferry_io_fd *entry,
                    uint32_t cap)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_IO_FDS };

    request.u.io_fds =
        (struct ferry_region_io_fds){ .index = region, .cap = cap, .entry = entry };
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    return request.u.io_fds.count;
}

/* Duplicates of the doorbells of BAR0: what a client has. */
static void take_bells(struct toy *toy, int *ret_fds)
{
    struct ferry_io_fd entry[8];

    assert_int_equal(ask(toy, 0, entry, 8), 2);
    for (int i = 0; i < 2; i++) {
        ret_fds[i] = dup(entry[i].fd);
        assert_true(ret_fds[i] >= 0);
    }
}

static void ring(int fd)
{
    assert_int_equal(ferry_os_eventfd_signal(fd), FERRY_OK);
}

static int awake(struct toy *toy)
{
    struct pollfd poll_fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                              .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1;
}

static void doorbells_are_told_by_region(void **state)
{
    struct toy *toy = *state;
    struct ferry_io_fd entry[8];
    struct ferry_request request = { .kind = FERRY_RQ_REGION_IO_FDS };

    assert_int_equal(ask(toy, 0, entry, 8), 2);
    assert_int_equal(entry[0].off, 4);
    assert_int_equal(entry[0].size, 4);
    assert_int_equal(entry[0].type, FERRY_IO_FD_EVENT);
    assert_int_equal(entry[0].flags, FERRY_IO_FD_DATAMATCH);
    assert_int_equal(entry[0].datamatch, 7);
    assert_int_equal(entry[1].datamatch, 9);
    assert_int_not_equal(entry[0].fd, entry[1].fd);
    assert_int_equal(ask(toy, 4, entry, 8), 1);
    assert_int_equal(entry[0].flags, 0);
    assert_int_equal(ask(toy, 0, entry, 1), 1); /* no more than fit */
    assert_int_equal(ask(toy, 2, entry, 8), 0);
    request.u.io_fds = (struct ferry_region_io_fds){ .index = 1, .entry = entry };
    assert_int_equal(toy_ask(toy, &request), FERRY_E_NOT_FOUND);
    request.u.io_fds.index = 99;
    assert_int_equal(toy_ask(toy, &request), FERRY_E_NOT_FOUND);
}

static void a_ring_wakes_the_device_and_is_a_write(void **state)
{
    struct toy *toy = *state;
    int fds[2];

    take_bells(toy, fds);
    assert_false(awake(toy));
    ring(fds[1]);
    ring(fds[1]); /* two signals may become one call */
    assert_true(awake(toy));
    toy_work(toy);
    assert_int_equal(toy->bells, 1);
    assert_int_equal(toy->bell[0], 9);
    assert_false(awake(toy));
    ring(fds[0]);
    toy_work(toy);
    assert_int_equal(toy->bells, 2);
    assert_int_equal(toy->bell[1], 7);
    close(fds[0]);
    close(fds[1]);
}

static void rings_are_latched_in_a_quiet_state(void **state)
{
    struct toy *toy = *state;
    int fds[2];

    take_bells(toy, fds);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    for (int i = 0; i < 3; i++) {
        ring(fds[0]);
        ring(fds[1]);
        toy_work(toy);
    }
    assert_int_equal(toy->bells, 0);
    assert_false(awake(toy));
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy->bells, 2); /* each once */
    close(fds[0]);
    close(fds[1]);
}

static void what_was_latched_moves_with_the_device(void **state)
{
    struct toy *toy = *state, *other = toy_new_with(FLAGS, 1, add_bells);
    static uint8_t data[4096];
    uint64_t size;
    int fds[2];

    take_bells(toy, fds);
    ring(fds[0]); /* taken as a write by the change itself */
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy->bells, 1);
    ring(fds[1]); /* latched by the next change */
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    size = toy_save(toy, data, sizeof(data), 64);
    other->state_bytes = 5;
    assert_int_equal(toy_set(other, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(other, data, size, 64), FERRY_OK);
    assert_int_equal(toy_set(other, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(other->bells, 1);
    assert_int_equal(other->bell[0], 9);
    toy_free(other);
    close(fds[0]);
    close(fds[1]);
}

/* Rule MIG-STOP-6. */
static void a_stopped_device_leaves_rings_where_they_are(void **state)
{
    struct toy *toy = *state;
    int fds[2];

    take_bells(toy, fds);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    ring(fds[0]);
    assert_false(awake(toy)); /* a loop would never sleep */
    toy_work(toy);
    assert_int_equal(toy->bells, 0);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy->bells, 1);
    close(fds[0]);
    close(fds[1]);
}

static void a_reset_and_a_load_forget_rings(void **state)
{
    struct toy *toy = *state;
    int fds[2];

    take_bells(toy, fds);
    toy_bring(toy, FERRY_STATE_ERROR);
    ring(fds[0]);
    toy_bring(toy, FERRY_STATE_RUNNING);
    toy_work(toy);
    assert_int_equal(toy->bells, 0);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP), FERRY_OK);
    ring(fds[0]);
    assert_int_equal(toy_set(toy, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_count(fds[0]), 0);
    close(fds[0]);
    close(fds[1]);
}

static int open_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

static void a_former_user_rings_in_vain(void **state)
{
    struct toy *toy = *state;
    const int before = open_fds();
    int fds[2], fresh[2];

    take_bells(toy, fds);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(open_fds(), before + 2); /* the device keeps none of its own */
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    take_bells(toy, fresh);
    ring(fds[0]);
    toy_work(toy);
    assert_int_equal(toy->bells, 0);
    ring(fresh[0]);
    toy_work(toy);
    assert_int_equal(toy->bells, 1);
    for (int i = 0; i < 2; i++) {
        close(fds[i]);
        close(fresh[i]);
    }
}

static void a_full_latch_keeps_the_ring(void **state)
{
    struct toy *toy = *state;
    int fds[2];

    take_bells(toy, fds);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    for (int i = 0; i < 1024; i++) {
        assert_int_equal(toy_write32(toy, 0, 8, 1), FERRY_OK);
    }
    assert_int_equal(toy_write32(toy, 0, 8, 1), FERRY_E_LIMIT);
    ring(fds[0]);
    toy_work(toy);
    assert_false(awake(toy));
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy->bells, 1);
    close(fds[0]);
    close(fds[1]);
}

static void nothing_is_rung_in_deep_sleep(void **state)
{
    struct toy *toy = *state;
    const uint8_t d3 = 3;
    uint8_t pm = 0;
    int fds[2];

    take_bells(toy, fds);
    assert_int_equal(toy_read(toy, 7, 0x34, &pm, 1), FERRY_OK);
    assert_int_equal(toy_write(toy, 7, pm + 4u, &d3, 1), FERRY_OK);
    ring(fds[0]);
    toy_work(toy);
    assert_int_equal(toy->bells, 0);
    close(fds[0]);
    close(fds[1]);
}

static void bad_doorbells_are_refused(void **state)
{
    static const struct ferry_device_doorbell bad[] = {
        { .region = 1, .off = 0, .size = 4 }, /* absent */
        { .region = 6, .off = 0, .size = 4 }, /* the ROM */
        { .region = 7, .off = 0, .size = 4 }, /* config space */
        { .region = 9, .off = 0, .size = 4 }, /* no such */
        { .region = 0, .off = 0, .size = 3 }, /* no width */
        { .region = 0, .off = 0, .size = 0 },
        { .region = 0, .off = 0, .size = 16 },
        { .region = 0, .off = 2, .size = 4 },      /* not aligned */
        { .region = 0, .off = 0x1000, .size = 4 }, /* outside */
        { .region = 0, .off = UINT64_MAX - 3, .size = 4 },
        { .region = 0, .off = 0, .size = 1, .value = 256 },
        { .region = 2, .off = TOY_AREA_OFF, .size = 4 }, /* in memory */
        { .region = 4, .off = 16, .size = 4 },           /* in the MSI-X table */
        { .region = 4, .off = TOY_PBA_OFF, .size = 4 },
    };
    struct ferry_device_desc desc;
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };
    struct toy toy;

    (void)state;
    toy_describe(&desc, &toy, FLAGS, 1);
    desc.doorbell_count = 1;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        desc.doorbell = &bad[i];
        assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
        assert_non_null(strstr(error.text, "doorbell"));
    }
    desc.doorbell = NULL;
    assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
    desc.doorbell_count = 65;
    assert_int_equal(ferry_device_create(&desc, &device, &error), FERRY_E_ARGUMENT);
}

/* --- unmaps ----------------------------------------------------------------------- */

/* Works, asleep in between, until the request is over. */
static void wait_over(struct toy *toy, const struct ferry_request *request)
{
    while (!toy_over(request)) {
        struct pollfd poll_fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                                  .events = POLLIN };

        assert_int_equal(poll(&poll_fd, 1, 5000), 1); /* it wakes by itself */
        toy_work(toy);
    }
}

static void map_and_hold(struct toy *toy, int fd, struct ferry_dma_segment *ret_segment)
{
    toy_bus_master(toy);
    assert_int_equal(toy_map(toy, 0x10000, 4096, 0, fd, FERRY_DMA_READ | FERRY_DMA_WRITE),
                     FERRY_OK);
    assert_int_equal(toy_map(toy, 0x20000, 4096, 4096, fd, FERRY_DMA_READ), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 0x10000, 64, 1, ret_segment), FERRY_OK);
}

static void an_unmap_waits_no_longer_than_its_limit(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8192);
    struct ferry_dma_segment segment;
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };
    uint32_t value = 5;

    map_and_hold(toy, fd, &segment);
    request.u.unmap = (struct ferry_dma_unmap){ .flags = FERRY_UNMAP_ALL };
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    toy_work(toy);
    assert_false(toy_over(&request));
    assert_int_equal(toy_read(toy, 0, 0, &value, 4), FERRY_OK); /* others are served */
    wait_over(toy, &request);
    assert_int_equal(request.status, FERRY_E_TIMEOUT);
    /* Both ranges are mapped as before, and go once the segment is back. */
    assert_int_equal(ferry_dma_read(toy->device, 0x20000, &value, 4), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 0x10000, &value, 4), FERRY_OK);
    ferry_dma_put(toy->device, &segment, 64);
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(ferry_dma_read(toy->device, 0x20000, &value, 4), FERRY_E_RANGE);
    close(fd);
}

static void an_author_that_never_agrees_is_not_waited_for(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8192);
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    toy_bus_master(toy);
    assert_int_equal(toy_map(toy, 0x10000, 4096, 0, fd, FERRY_DMA_READ), FERRY_OK);
    toy->unmaps_pending = UINT32_MAX;
    request.u.unmap = (struct ferry_dma_unmap){ .iova = 0x10000, .size = 4096 };
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    wait_over(toy, &request);
    assert_int_equal(request.status, FERRY_E_TIMEOUT);
    toy->unmaps_pending = 2; /* asked again from the beginning */
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    wait_over(toy, &request);
    assert_int_equal(request.status, FERRY_OK);
    close(fd);
}

static void memory_in_hand_outlives_its_user(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8192);
    struct ferry_dma_segment segment;
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    map_and_hold(toy, fd, &segment);
    request.u.unmap = (struct ferry_dma_unmap){ .flags = FERRY_UNMAP_ALL };
    assert_int_equal(toy_start(toy, &request), FERRY_PENDING);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_true(toy_over(&request));
    assert_int_equal(request.status, FERRY_E_CLOSED);
    ferry_os_sleep_ns(40 * FERRY_NS_PER_MS); /* the limit passes */
    assert_int_equal(toy->endpoint->ops->work(toy->endpoint), 0);
    assert_false(awake(toy));
    memset(segment.address, 0x77, 64); /* still ours */
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy_bus_master(toy);
    assert_int_equal(ferry_dma_read(toy->device, 0x10000, &(uint32_t){ 0 }, 4),
                     FERRY_E_RANGE);
    ferry_dma_put(toy->device, &segment, 64);
    close(fd);
}

static void a_wake_between_two_users_is_taken(void **state)
{
    struct toy *toy = *state;

    toy->endpoint->ops->detach(toy->endpoint);
    ferry_device_schedule(toy->device);
    assert_true(awake(toy));
    assert_int_equal(toy->endpoint->ops->work(toy->endpoint), 0);
    assert_false(awake(toy));
    assert_int_equal(toy->works, 0);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(doorbells_are_told_by_region, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ring_wakes_the_device_and_is_a_write, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(rings_are_latched_in_a_quiet_state, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_latched_moves_with_the_device, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_stopped_device_leaves_rings_where_they_are,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_reset_and_a_load_forget_rings, setup, teardown),
        cmocka_unit_test_setup_teardown(a_former_user_rings_in_vain, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_latch_keeps_the_ring, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_rung_in_deep_sleep, setup, teardown),
        cmocka_unit_test(bad_doorbells_are_refused),
        cmocka_unit_test_setup_teardown(an_unmap_waits_no_longer_than_its_limit, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_author_that_never_agrees_is_not_waited_for,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(memory_in_hand_outlives_its_user, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_wake_between_two_users_is_taken, setup,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
