/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ferry/error.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/loop.h"
#include "os/memory.h"
#include "os/socket.h"

#define MS FERRY_NS_PER_MS

static int make_loop(void **state)
{
    struct ferry_loop *loop = NULL;

    if (ferry_loop_create(&loop) != FERRY_OK) {
        return -1;
    }
    *state = loop;
    return 0;
}

static int drop_loop(void **state)
{
    ferry_loop_destroy(*state);
    return 0;
}

/* A watch on an eventfd of its own. */
struct source {
    struct ferry_watch watch;
    struct ferry_loop *loop;
    struct source *victim; /* removed and freed by the callback */
    int calls;
};

static void on_event(struct ferry_watch *watch, uint32_t events)
{
    struct source *source = watch->user;

    assert_true((events & FERRY_LOOP_READ) != 0);
    (void)ferry_os_eventfd_drain(watch->fd, NULL);
    source->calls++;
}

static struct source *add_source(struct ferry_loop *loop)
{
    struct source *source = calloc(1, sizeof(*source));

    assert_non_null(source);
    assert_int_equal(ferry_os_eventfd_create(&source->watch.fd), FERRY_OK);
    source->loop = loop;
    source->watch.events = FERRY_LOOP_READ;
    source->watch.fn = on_event;
    source->watch.user = source;
    assert_int_equal(ferry_loop_add(loop, &source->watch), FERRY_OK);
    return source;
}

static void free_source(struct source *source)
{
    int fd = source->watch.fd;

    ferry_loop_remove(source->loop, &source->watch);
    ferry_os_close(&fd);
    memset(source, 0xdb, sizeof(*source));
    free(source);
}

static void a_ready_descriptor_is_called_and_a_quiet_one_is_not(void **state)
{
    struct ferry_loop *loop = *state;
    struct source *a = add_source(loop), *b = add_source(loop);

    assert_int_equal(ferry_loop_add(loop, &a->watch), FERRY_E_EXISTS);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_int_equal(ferry_os_eventfd_signal(a->watch.fd), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, -1), 1);
    assert_int_equal(a->calls, 1);
    assert_int_equal(b->calls, 0);
    free_source(a);
    free_source(b);
}

static void take_victim(struct ferry_watch *watch, uint32_t events)
{
    struct source *source = watch->user;

    on_event(watch, events);
    if (source->victim != NULL) {
        /* Of the two that are ready whichever comes first takes the other away. */
        source->victim->victim = NULL;
        free_source(source->victim);
        source->victim = NULL;
    }
}

static void a_watch_freed_by_another_of_the_same_batch_is_not_called(void **state)
{
    struct ferry_loop *loop = *state;

    for (int i = 0; i < 50; i++) {
        struct source *a = add_source(loop), *b = add_source(loop);

        a->victim = b;
        b->victim = a;
        a->watch.fn = b->watch.fn = take_victim;
        assert_int_equal(ferry_os_eventfd_signal(a->watch.fd), FERRY_OK);
        assert_int_equal(ferry_os_eventfd_signal(b->watch.fd), FERRY_OK);
        assert_int_equal(ferry_loop_dispatch(loop, 0), 1);
        assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
        /* epoll reports in the order of readiness: a was first. */
        assert_int_equal(a->calls, 1);
        free_source(a);
    }
}

static void free_itself(struct ferry_watch *watch, uint32_t events)
{
    struct source *source = watch->user;

    (void)events;
    free_source(source);
}

static void a_watch_may_free_itself(void **state)
{
    struct ferry_loop *loop = *state;
    struct source *a = add_source(loop);

    a->watch.fn = free_itself;
    assert_int_equal(ferry_os_eventfd_signal(a->watch.fd), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 1);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
}

static struct source *replacement;

static void replace_victim(struct ferry_watch *watch, uint32_t events)
{
    struct source *source = watch->user;

    on_event(watch, events);
    free_source(source->victim);
    replacement = add_source(source->loop);
}

static void a_new_watch_gets_no_event_of_the_one_whose_place_it_took(void **state)
{
    struct ferry_loop *loop = *state;
    struct source *a = add_source(loop), *b = add_source(loop);

    a->victim = b;
    a->watch.fn = replace_victim;
    assert_int_equal(ferry_os_eventfd_signal(a->watch.fd), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(b->watch.fd), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 1);
    assert_int_equal(replacement->calls, 0);
    free_source(a);
    free_source(replacement);
}

static void more_watches_than_one_batch_are_all_served(void **state)
{
    struct ferry_loop *loop = *state;
    struct source *source[150];
    int ran = 0;

    for (size_t i = 0; i < 150; i++) {
        source[i] = add_source(loop);
        assert_int_equal(ferry_os_eventfd_signal(source[i]->watch.fd), FERRY_OK);
    }
    for (int i = 0; i < 5; i++) {
        ran += ferry_loop_dispatch(loop, 0);
    }
    assert_int_equal(ran, 150);
    for (size_t i = 0; i < 150; i++) {
        assert_int_equal(source[i]->calls, 1);
        free_source(source[i]);
    }
}

static uint32_t seen;

static void note_events(struct ferry_watch *watch, uint32_t events)
{
    (void)watch;
    seen = events;
}

static void wanted_events_can_be_changed_and_a_hangup_comes_unasked(void **state)
{
    struct ferry_loop *loop = *state;
    struct ferry_watch watch = { .events = FERRY_LOOP_READ, .fn = note_events };
    int peer = -1;

    assert_int_equal(ferry_os_socketpair(&watch.fd, &peer), FERRY_OK);
    assert_int_equal(ferry_loop_change(loop, &watch, 0), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_loop_add(loop, &watch), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_int_equal(ferry_loop_change(loop, &watch, FERRY_LOOP_WRITE), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 1);
    assert_int_equal(seen, FERRY_LOOP_WRITE);
    assert_int_equal(ferry_loop_change(loop, &watch, 0), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    ferry_os_close(&peer);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 1);
    assert_int_equal(seen, FERRY_LOOP_HANGUP);
    ferry_loop_remove(loop, &watch);
    ferry_loop_remove(loop, &watch);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    ferry_os_close(&watch.fd);
}

static char order[16];

struct named_timer {
    struct ferry_loop_timer timer;
    struct ferry_loop *loop;
    struct named_timer *cancels;
    uint64_t again_ns; /* sets itself to this time */
    char name;
};

static void on_timer(struct ferry_loop_timer *timer, uint64_t now_ns)
{
    struct named_timer *named = timer->user;
    size_t used = strlen(order);

    assert_true(now_ns > 0);
    if (used + 1 < sizeof(order)) {
        order[used] = named->name;
    }
    if (named->cancels != NULL) {
        ferry_loop_timer_cancel(named->loop, &named->cancels->timer);
    }
    if (named->again_ns != 0) {
        ferry_loop_timer_set(named->loop, timer, named->again_ns);
    }
}

static void init_timer(struct named_timer *named, struct ferry_loop *loop, char name)
{
    memset(named, 0, sizeof(*named));
    named->timer.fn = on_timer;
    named->timer.user = named;
    named->loop = loop;
    named->name = name;
}

static void timers_fire_once_in_the_order_of_their_deadlines(void **state)
{
    struct ferry_loop *loop = *state;
    struct named_timer a, b, c;
    uint64_t now = ferry_os_now_ns();

    memset(order, 0, sizeof(order));
    init_timer(&a, loop, 'a');
    init_timer(&b, loop, 'b');
    init_timer(&c, loop, 'c');
    ferry_loop_timer_set(loop, &a.timer, now + 6 * MS);
    ferry_loop_timer_set(loop, &b.timer, now + 2 * MS);
    ferry_loop_timer_set(loop, &c.timer, now + 4 * MS);
    while (strlen(order) < 3) {
        assert_true(ferry_loop_dispatch(loop, 5000) >= 0);
    }
    assert_string_equal(order, "bca");
    assert_true(ferry_os_now_ns() >= now + 6 * MS);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_int_equal(a.timer.deadline_ns, 0);
}

static void a_cancelled_or_moved_timer_does_not_fire_at_its_old_time(void **state)
{
    struct ferry_loop *loop = *state;
    struct named_timer a, b;
    uint64_t now = ferry_os_now_ns();

    memset(order, 0, sizeof(order));
    init_timer(&a, loop, 'a');
    init_timer(&b, loop, 'b');
    ferry_loop_timer_set(loop, &a.timer, now + MS);
    ferry_loop_timer_cancel(loop, &a.timer);
    ferry_loop_timer_set(loop, &b.timer, now + MS);
    ferry_loop_timer_set(loop, &b.timer, now + 8 * MS);
    while (ferry_os_now_ns() < now + 4 * MS) {
        assert_int_equal(ferry_loop_dispatch(loop, 1), 0);
    }
    while (strlen(order) < 1) {
        assert_true(ferry_loop_dispatch(loop, 5000) >= 0);
    }
    assert_string_equal(order, "b");
    assert_true(ferry_os_now_ns() >= now + 8 * MS);
}

static void an_earlier_timer_moves_the_wake_up_forward(void **state)
{
    struct ferry_loop *loop = *state;
    struct named_timer a, b;
    uint64_t now = ferry_os_now_ns();

    memset(order, 0, sizeof(order));
    init_timer(&a, loop, 'a');
    init_timer(&b, loop, 'b');
    ferry_loop_timer_set(loop, &a.timer, now + 3600 * (uint64_t)FERRY_NS_PER_S);
    ferry_loop_timer_set(loop, &b.timer, now + MS);
    while (strlen(order) < 1) {
        assert_true(ferry_loop_dispatch(loop, 5000) >= 0);
    }
    assert_string_equal(order, "b");
    ferry_loop_timer_cancel(loop, &a.timer);
}

static void a_timer_may_cancel_another_that_is_due_and_set_itself(void **state)
{
    struct ferry_loop *loop = *state;
    struct named_timer a, b;

    memset(order, 0, sizeof(order));
    init_timer(&a, loop, 'a');
    init_timer(&b, loop, 'b');
    a.cancels = &b;
    a.again_ns = 1;
    ferry_loop_timer_set(loop, &a.timer, 1);
    ferry_loop_timer_set(loop, &b.timer, 2);
    /* Set to a time that has passed it runs in the next round, not for ever in this one.
     */
    assert_int_equal(ferry_loop_dispatch(loop, 5000), 2);
    assert_string_equal(order, "aa");
    assert_int_equal(ferry_loop_dispatch(loop, 5000), 1);
    ferry_loop_timer_cancel(loop, &a.timer);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_string_equal(order, "aaa");
}

struct worker {
    struct ferry_loop_idle idle;
    struct ferry_loop *loop;
    struct worker *removes;
    int left;
    int calls;
};

static int on_idle(struct ferry_loop_idle *idle)
{
    struct worker *worker = idle->user;

    worker->calls++;
    if (worker->removes != NULL) {
        ferry_loop_idle_remove(worker->loop, &worker->removes->idle);
        worker->removes = NULL;
    }
    return --worker->left > 0;
}

static void add_worker(struct worker *worker, struct ferry_loop *loop, int left)
{
    memset(worker, 0, sizeof(*worker));
    worker->idle.fn = on_idle;
    worker->idle.user = worker;
    worker->loop = loop;
    worker->left = left;
    ferry_loop_idle_add(loop, &worker->idle);
}

static void idle_work_runs_until_it_says_it_is_done(void **state)
{
    struct ferry_loop *loop = *state;
    struct worker worker;

    add_worker(&worker, loop, 3);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_int_equal(worker.calls, 0);
    ferry_loop_idle_start(loop, &worker.idle);
    for (int i = 1; i <= 3; i++) {
        /* The loop's own descriptor says that there is work. */
        assert_int_equal(ferry_os_poll(ferry_loop_fd(loop), FERRY_OS_POLL_READ, 0),
                         FERRY_OK);
        assert_int_equal(ferry_loop_dispatch(loop, -1), 1);
        assert_int_equal(worker.calls, i);
    }
    assert_int_equal(ferry_os_poll(ferry_loop_fd(loop), FERRY_OS_POLL_READ, 0),
                     FERRY_E_TIMEOUT);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    ferry_loop_idle_start(loop, &worker.idle);
    worker.left = 1;
    assert_int_equal(ferry_loop_dispatch(loop, -1), 1);
    ferry_loop_idle_remove(loop, &worker.idle);
}

static void endless_idle_work_does_not_starve_descriptors(void **state)
{
    struct ferry_loop *loop = *state;
    struct source *source = add_source(loop);
    struct worker worker;

    add_worker(&worker, loop, 1000);
    ferry_loop_idle_start(loop, &worker.idle);
    assert_int_equal(ferry_os_eventfd_signal(source->watch.fd), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 2);
    assert_int_equal(source->calls, 1);
    ferry_loop_idle_remove(loop, &worker.idle);
    /* With the work gone its wake-up ends as well. */
    (void)ferry_loop_dispatch(loop, 0);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 0);
    assert_int_equal(ferry_os_poll(ferry_loop_fd(loop), FERRY_OS_POLL_READ, 0),
                     FERRY_E_TIMEOUT);
    free_source(source);
}

static void idle_work_may_remove_its_neighbour(void **state)
{
    struct ferry_loop *loop = *state;
    struct worker a, b, c;

    add_worker(&a, loop, 1);
    add_worker(&b, loop, 1);
    add_worker(&c, loop, 1);
    /* They run last added first. */
    c.removes = &b;
    ferry_loop_idle_start(loop, &a.idle);
    ferry_loop_idle_start(loop, &b.idle);
    ferry_loop_idle_start(loop, &c.idle);
    assert_int_equal(ferry_loop_dispatch(loop, 0), 2);
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 0);
    ferry_loop_idle_remove(loop, &a.idle);
    ferry_loop_idle_remove(loop, &c.idle);
}

static void a_loop_inside_another_shows_its_work_there(void **state)
{
    struct ferry_loop *outer = *state;
    struct ferry_loop *inner = NULL;
    struct ferry_watch watch = { .events = FERRY_LOOP_READ, .fn = note_events };
    struct source *source;

    assert_int_equal(ferry_loop_create(&inner), FERRY_OK);
    source = add_source(inner);
    watch.fd = ferry_loop_fd(inner);
    assert_int_equal(ferry_loop_add(outer, &watch), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(outer, 0), 0);
    assert_int_equal(ferry_os_eventfd_signal(source->watch.fd), FERRY_OK);
    assert_int_equal(ferry_loop_dispatch(outer, 0), 1);
    assert_int_equal(ferry_loop_dispatch(inner, 0), 1);
    assert_int_equal(ferry_loop_dispatch(outer, 0), 0);
    ferry_loop_remove(outer, &watch);
    free_source(source);
    ferry_loop_destroy(inner);
}

static void a_full_eventfd_does_not_block_and_stays_signalled(void **state)
{
    const uint64_t nearly = UINT64_MAX - 1;
    uint64_t count = 0;
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(write(fd, &nearly, sizeof(nearly)), sizeof(nearly));
    assert_int_equal(ferry_os_eventfd_signal(fd), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    assert_true(count == nearly);
    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ferry_os_eventfd_signal(fd), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(fd), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    assert_int_equal(count, 2);
    ferry_os_close(&fd);
}

static void a_peers_blocking_eventfd_is_made_safe_and_others_are_refused(void **state)
{
    const uint64_t nearly = UINT64_MAX - 1;
    int fd = eventfd(0, EFD_CLOEXEC);
    int pipes[2];
    int a = -1, b = -1;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ferry_os_eventfd_adopt(fd), FERRY_OK);
    assert_int_equal(write(fd, &nearly, sizeof(nearly)), sizeof(nearly));
    assert_int_equal(ferry_os_eventfd_signal(fd), FERRY_OK);
    ferry_os_close(&fd);
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(ferry_os_eventfd_adopt(pipes[1]), FERRY_E_FDS);
    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_adopt(a), FERRY_E_FDS);
    assert_int_equal(ferry_os_eventfd_adopt(999999), FERRY_E_FDS);
    assert_int_equal(ferry_os_eventfd_signal(999999), FERRY_E_IO);
    ferry_os_close(&a);
    ferry_os_close(&b);
    ferry_os_close(&pipes[0]);
    ferry_os_close(&pipes[1]);
}

#define LOOP_TEST(name) cmocka_unit_test_setup_teardown(name, make_loop, drop_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP_TEST(a_ready_descriptor_is_called_and_a_quiet_one_is_not),
        LOOP_TEST(a_watch_freed_by_another_of_the_same_batch_is_not_called),
        LOOP_TEST(a_watch_may_free_itself),
        LOOP_TEST(a_new_watch_gets_no_event_of_the_one_whose_place_it_took),
        LOOP_TEST(more_watches_than_one_batch_are_all_served),
        LOOP_TEST(wanted_events_can_be_changed_and_a_hangup_comes_unasked),
        LOOP_TEST(timers_fire_once_in_the_order_of_their_deadlines),
        LOOP_TEST(a_cancelled_or_moved_timer_does_not_fire_at_its_old_time),
        LOOP_TEST(an_earlier_timer_moves_the_wake_up_forward),
        LOOP_TEST(a_timer_may_cancel_another_that_is_due_and_set_itself),
        LOOP_TEST(idle_work_runs_until_it_says_it_is_done),
        LOOP_TEST(endless_idle_work_does_not_starve_descriptors),
        LOOP_TEST(idle_work_may_remove_its_neighbour),
        LOOP_TEST(a_loop_inside_another_shows_its_work_there),
        cmocka_unit_test(a_full_eventfd_does_not_block_and_stays_signalled),
        cmocka_unit_test(a_peers_blocking_eventfd_is_made_safe_and_others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
