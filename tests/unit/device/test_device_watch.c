/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "test_device_toy.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ferry/host.h"
#include "os/eventfd.h"
#include "os/memory.h"

/* Descriptors that a device's author has watched. */

struct bell {
    struct ferry_device *device;
    int fd;
    uint32_t events; /* of the last call */
    _Atomic uint32_t calls;
    uint32_t keep;     /* 1: leaves the cause */
    uint32_t leave;    /* 1: does not want to hear of it again */
    uint32_t schedule; /* 1: there is work */
};

static void bell_open(struct bell *bell, struct ferry_device *device)
{
    memset(bell, 0, sizeof(*bell));
    bell->device = device;
    assert_int_equal(ferry_os_eventfd_create(&bell->fd), FERRY_OK);
}

static void rung(void *user, uint32_t events)
{
    struct bell *bell = user;

    bell->events = events;
    if (bell->keep == 0) {
        assert_int_equal(ferry_os_eventfd_drain(bell->fd, NULL), FERRY_OK);
    }
    if (bell->leave != 0) {
        ferry_device_unwatch(bell->device, bell->fd);
    }
    if (bell->schedule != 0) {
        ferry_device_schedule(bell->device);
    }
    atomic_fetch_add(&bell->calls, 1);
}

static int watch(struct bell *bell, uint32_t events)
{
    return ferry_device_watch(bell->device, bell->fd, events, rung, bell);
}

static int wakes(const struct toy *toy)
{
    struct pollfd poll_fd = { .fd = toy->endpoint->ops->wake_fd(toy->endpoint),
                              .events = POLLIN };

    return poll(&poll_fd, 1, 0);
}

static void a_descriptor_is_heard_in_every_state(void **state)
{
    struct toy *toy =
        toy_new(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY, 0);
    struct bell bell;
    uint32_t calls = 0;

    (void)state;
    bell_open(&bell, toy->device);
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    for (uint32_t at = 0; at < FERRY_STATE_COUNT; at++) {
        toy_bring(toy, at);
        assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
        assert_int_equal(wakes(toy), 1);
        toy_work(toy);
        assert_int_equal(bell.calls, ++calls);
        assert_int_equal(bell.events, FERRY_DEVICE_READABLE);
        toy_work(toy);
        assert_int_equal(bell.calls, calls);
        assert_int_equal(wakes(toy), 0);
    }
    toy_free(toy);
    ferry_os_close(&bell.fd);
}

static void it_is_heard_while_no_user_is_attached(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell;

    (void)state;
    bell_open(&bell, toy->device);
    bell.schedule = 1;
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    assert_int_equal(wakes(toy), 1);
    toy_work(toy);
    assert_int_equal(bell.calls, 1);
    assert_int_equal(wakes(toy), 0);
    assert_int_equal(toy->works, 0); /* but nobody's work is done */
    toy_free(toy);
    ferry_os_close(&bell.fd);
}

static void what_it_schedules_is_done_in_the_same_turn(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell;

    (void)state;
    bell_open(&bell, toy->device);
    bell.schedule = 1;
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    (void)toy->endpoint->ops->work(toy->endpoint);
    assert_int_equal(toy->works, 1);
    toy_free(toy);
    ferry_os_close(&bell.fd);
}

static void it_is_heard_until_the_cause_or_the_watch_is_gone(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell;

    (void)state;
    bell_open(&bell, toy->device);
    bell.keep = 1;
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    toy_work(toy);
    toy_work(toy);
    assert_int_equal(bell.calls, 2);
    bell.leave = 1;
    toy_work(toy);
    toy_work(toy);
    assert_int_equal(bell.calls, 3);
    assert_int_equal(wakes(toy), 0);
    ferry_device_unwatch(toy->device, bell.fd); /* not watched: ignored */
    ferry_device_unwatch(toy->device, -1);
    toy_free(toy);
    ferry_os_close(&bell.fd);
}

static void a_second_watch_of_a_descriptor_replaces_the_first(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell, other;

    (void)state;
    bell_open(&bell, toy->device);
    other = bell;
    other.keep = 1;
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    toy_work(toy);
    assert_int_equal(bell.calls, 0);
    assert_int_equal(watch(&other, FERRY_DEVICE_READABLE | FERRY_DEVICE_WRITABLE),
                     FERRY_OK);
    toy_work(toy);
    assert_int_equal(bell.calls, 0);
    assert_int_equal(other.calls, 1);
    assert_int_equal(other.events, FERRY_DEVICE_WRITABLE);
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    toy_work(toy);
    assert_int_equal(bell.calls, 0);
    toy_free(toy);
    ferry_os_close(&bell.fd);
}

static void a_hang_up_is_told_without_being_asked_for(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell = { .device = toy->device, .keep = 1 };
    int ends[2];

    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    bell.fd = ends[0];
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    ferry_os_close(&ends[1]);
    toy_work(toy);
    assert_int_equal(bell.calls, 1);
    assert_int_equal(bell.events, FERRY_DEVICE_HANGUP);
    toy_free(toy);
    ferry_os_close(&ends[0]);
}

static void what_cannot_be_watched_is_refused(void **state)
{
    struct toy *toy = toy_new(0, 0);
    struct bell bell[FERRY_DEVICE_WATCHES_MAX + 1];
    int file = -1;

    (void)state;
    for (uint32_t i = 0; i <= FERRY_DEVICE_WATCHES_MAX; i++) {
        bell_open(&bell[i], toy->device);
    }
    assert_int_equal(ferry_device_watch(toy->device, -1, 1, rung, bell),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_device_watch(toy->device, bell->fd, 1, NULL, bell),
                     FERRY_E_ARGUMENT);
    assert_int_equal(watch(&bell[0], 0), FERRY_E_ARGUMENT);
    assert_int_equal(watch(&bell[0], FERRY_DEVICE_HANGUP), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_memfd_create("file", 4096, &file), FERRY_OK);
    assert_true(ferry_device_watch(toy->device, file, 1, rung, bell) < 0);
    for (uint32_t i = 0; i < FERRY_DEVICE_WATCHES_MAX; i++) {
        assert_int_equal(watch(&bell[i], FERRY_DEVICE_READABLE), FERRY_OK);
    }
    assert_int_equal(watch(&bell[FERRY_DEVICE_WATCHES_MAX], FERRY_DEVICE_READABLE),
                     FERRY_E_LIMIT);
    assert_int_equal(watch(&bell[3], FERRY_DEVICE_READABLE), FERRY_OK);
    ferry_device_unwatch(toy->device, bell[5].fd);
    assert_int_equal(watch(&bell[FERRY_DEVICE_WATCHES_MAX], FERRY_DEVICE_READABLE),
                     FERRY_OK);
    toy_free(toy);
    for (uint32_t i = 0; i <= FERRY_DEVICE_WATCHES_MAX; i++) {
        ferry_os_close(&bell[i].fd);
    }
    ferry_os_close(&file);
}

/* A device that nobody is attached to yet. */
static struct toy *lone_toy(void)
{
    struct toy *toy = toy_new(0, 0);

    toy->endpoint->ops->detach(toy->endpoint);
    return toy;
}

static void a_host_in_the_same_process_lets_the_device_hear(void **state)
{
    struct toy *toy = lone_toy();
    struct ferry_context *context = NULL;
    struct pollfd poll_fd = { .events = POLLIN };
    struct bell bell;

    (void)state;
    bell_open(&bell, toy->device);
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    assert_int_equal(ferry_context_create(NULL, &context, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_endpoint(context, "a", toy->endpoint, NULL), 0);
    while (ferry_context_dispatch(context, 0) > 0) {
    }
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    poll_fd.fd = ferry_context_fd(context);
    assert_int_equal(poll(&poll_fd, 1, 5000), 1);
    for (int i = 0; i < 10 && bell.calls == 0; i++) {
        assert_true(ferry_context_dispatch(context, 0) >= 0);
    }
    assert_int_equal(bell.calls, 1);
    ferry_context_destroy(context);
    ferry_device_destroy(toy->device);
    free(toy);
    ferry_os_close(&bell.fd);
}

static void *serve(void *server)
{
    (void)ferry_server_run(server);
    return NULL;
}

static void await(const struct bell *bell, uint32_t calls)
{
    for (int i = 0; i < 5000 && atomic_load(&bell->calls) < calls; i++) {
        (void)poll(NULL, 0, 1);
    }
    assert_int_equal(bell->calls, calls);
}

static void a_served_device_hears_with_and_without_a_client(void **state)
{
    struct toy *toy = lone_toy();
    char path[] = "/tmp/ferry-watch-XXXXXX";
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = path };
    struct ferry_context *context = NULL;
    struct ferry_server *server = NULL;
    struct bell bell;
    pthread_t thread;

    (void)state;
    (void)close(mkstemp(path));
    (void)unlink(path);
    bell_open(&bell, toy->device);
    assert_int_equal(watch(&bell, FERRY_DEVICE_READABLE), FERRY_OK);
    assert_int_equal(ferry_server_create(toy->device, &options, &server, NULL), FERRY_OK);
    assert_int_equal(pthread_create(&thread, NULL, serve, server), 0);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    await(&bell, 1);
    assert_int_equal(ferry_context_create(NULL, &context, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_device(context, "a", path, NULL), 0);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    await(&bell, 2);
    ferry_context_destroy(context);
    assert_int_equal(ferry_os_eventfd_signal(bell.fd), FERRY_OK);
    await(&bell, 3);
    ferry_server_stop(server);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ferry_server_destroy(server);
    ferry_device_destroy(toy->device);
    free(toy);
    ferry_os_close(&bell.fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_descriptor_is_heard_in_every_state),
        cmocka_unit_test(it_is_heard_while_no_user_is_attached),
        cmocka_unit_test(what_it_schedules_is_done_in_the_same_turn),
        cmocka_unit_test(it_is_heard_until_the_cause_or_the_watch_is_gone),
        cmocka_unit_test(a_second_watch_of_a_descriptor_replaces_the_first),
        cmocka_unit_test(a_hang_up_is_told_without_being_asked_for),
        cmocka_unit_test(what_cannot_be_watched_is_refused),
        cmocka_unit_test(a_host_in_the_same_process_lets_the_device_hear),
        cmocka_unit_test(a_served_device_hears_with_and_without_a_client),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
