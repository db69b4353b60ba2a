/* SPDX-License-Identifier: BSD-3-Clause */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "test_link_async.h"

struct served served;
struct ferry_client *client;
uint8_t *guest;
atomic_int dma_calls;

static int guest_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    atomic_fetch_add(&dma_calls, 1);
    if (iova > 2 * MIB || size > 2 * MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(ret_data, guest + iova, size);
    return FERRY_OK;
}

static int guest_write(void *user, uint64_t iova, const void *data, size_t size)
{
    (void)user;
    atomic_fetch_add(&dma_calls, 1);
    if (iova > 2 * MIB || size > 2 * MIB - iova) {
        return FERRY_E_RANGE;
    }
    memcpy(guest + iova, data, size);
    return FERRY_OK;
}

static void connect_with(uint32_t timeout_ms, uint32_t dma_timeout_ms)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = timeout_ms,
                                            .memory = { guest_read, guest_write, NULL } };
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .dma_timeout_ms = dma_timeout_ms };
    int fd = served_start(&served, &server);

    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
}

int async_start(void **state)
{
    (void)state;
    guest = calloc(1, 2 * MIB);
    assert_non_null(guest);
    connect_with(5000, 5000);
    return 0;
}

int async_start_impatient(void **state)
{
    (void)state;
    guest = calloc(1, 2 * MIB);
    assert_non_null(guest);
    connect_with(300, 5000);
    return 0;
}

int async_stop(void **state)
{
    (void)state;
    if (client) {
        ferry_client_close(client);
    }
    client = NULL;
    served_stop(&served);
    free(guest);
    return 0;
}

static atomic_int done_order;

void count_done(struct ferry_request *request)
{
    struct counted *counted = request->user;

    atomic_fetch_add(&counted->done, 1);
    counted->value = (uint32_t)atomic_fetch_add(&done_order, 1);
}

void prepare_io(struct counted *counted, uint32_t kind, uint32_t region, uint64_t off,
                void *data, uint32_t count)
{
    memset(counted, 0, sizeof(*counted));
    counted->request.kind = kind;
    counted->request.done = count_done;
    counted->request.user = counted;
    counted->request.u.io.index = region;
    counted->request.u.io.off = off;
    counted->request.u.io.data = data;
    counted->request.u.io.count = count;
}

/* Dispatches until *value is wanted. */
void dispatch_until(atomic_int *value, int wanted)
{
    struct pollfd one = { .fd = ferry_client_fd(client), .events = POLLIN };
    uint64_t deadline = ferry_os_now_ns() + 5 * (uint64_t)FERRY_NS_PER_S;

    while (atomic_load(value) != wanted) {
        assert_true(ferry_os_now_ns() < deadline);
        poll(&one, 1, 100);
        ferry_client_dispatch(client);
    }
}

void release_held(void)
{
    atomic_store(&served.fake.release, 1);
    assert_int_equal(ferry_os_eventfd_signal(served.fake.wake_fd), FERRY_OK);
}
