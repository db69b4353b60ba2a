/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_host_pair.h"

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct events *events = user;

    (void)context;
    if (event->kind == FERRY_HOST_DEVICE_LOST) {
        events->lost++;
        events->device = event->device;
    }
}

void setup_with(struct pair *pair, uint32_t no_peer_maps)
{
    static const struct ferry_context_ops ops = { .struct_size = sizeof(ops),
                                                  .event = on_event };
    const struct ferry_context_options options = { .struct_size = sizeof(options),
                                                   .ops = &ops,
                                                   .user = &pair->events,
                                                   .device_timeout_ms = PAIR_TIMEOUT_MS,
                                                   .no_peer_maps = no_peer_maps };

    memset(&pair->events, 0, sizeof(pair->events));
    fake_init(&pair->a);
    fake_init(&pair->b);
    assert_int_equal(ferry_context_create(&options, &pair->context, NULL), FERRY_OK);
    assert_int_equal(
        ferry_context_add_endpoint(pair->context, "a", &pair->a.endpoint, NULL), 0);
    assert_int_equal(
        ferry_context_add_endpoint(pair->context, "b", &pair->b.endpoint, NULL), 1);
}

void setup(struct pair *pair)
{
    setup_with(pair, 0);
}

void teardown(struct pair *pair)
{
    ferry_context_destroy(pair->context);
    assert_int_equal(pair->a.attaches, pair->a.detaches);
    assert_int_equal(pair->b.attaches, pair->b.detaches);
    fake_free(&pair->a);
    fake_free(&pair->b);
}

void make_eventfds(int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fds[i]), FERRY_OK);
    }
}

void close_all(int *fds, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ferry_os_close(&fds[i]);
    }
}
