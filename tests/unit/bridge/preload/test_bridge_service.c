/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge/device/link.h"
#include "bridge/preload/service.h"

#define ROUNDS 300u

/* Stands in for a connection. */
struct bridge_link {
    int fd;             /* readable when there is work */
    int done;           /* a count for each dispatch */
    int gate;           /* -1, or what a dispatch waits for */
    int is_stubborn;    /* its descriptor stays readable */
    int removes_itself; /* out of its dispatch */
    atomic_int dead;
    atomic_int dispatches;
    atomic_int is_inside;
    atomic_int is_over; /* nobody may touch it any more */
    char thread_name[16];
    sigset_t blocked;
};

int bridge_link_fd(struct bridge_link *link)
{
    assert_false(atomic_load(&link->is_over));
    return link->fd;
}

int bridge_link_dead(const struct bridge_link *link)
{
    return atomic_load(&link->dead);
}

static void add_one(int fd)
{
    const uint64_t one = 1;

    assert_int_equal(write(fd, &one, sizeof(one)), sizeof(one));
}

/* Waits for something that will happen; return: 0 when it did not for a long time. */
static int wait_for(int fd)
{
    struct pollfd polled = { .fd = fd, .events = POLLIN };
    uint64_t times;

    return poll(&polled, 1, 10000) == 1 && read(fd, &times, sizeof(times)) > 0;
}

void bridge_link_dispatch(struct bridge_link *link)
{
    uint64_t times;

    assert_false(atomic_load(&link->is_over));
    atomic_store(&link->is_inside, 1);
    if (!link->is_stubborn) {
        assert_true(read(link->fd, &times, sizeof(times)) > 0);
    }
    pthread_getname_np(pthread_self(), link->thread_name, sizeof(link->thread_name));
    pthread_sigmask(SIG_SETMASK, NULL, &link->blocked);
    atomic_fetch_add(&link->dispatches, 1);
    if (link->removes_itself) {
        bridge_service_remove(link);
    }
    add_one(link->done);
    if (link->gate >= 0) {
        assert_true(wait_for(link->gate));
    }
    atomic_store(&link->is_inside, 0);
}

static void make_link(struct bridge_link *link)
{
    memset(link, 0, sizeof(*link));
    link->fd = eventfd(0, EFD_CLOEXEC);
    link->done = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
    link->gate = -1;
    assert_true(link->fd >= 0 && link->done >= 0);
}

static void end_link(struct bridge_link *link)
{
    atomic_store(&link->is_over, 1);
    close(link->fd);
    close(link->done);
}

static void a_link_with_work_is_dispatched_with_all_signals_blocked(void **state)
{
    struct bridge_link link;

    (void)state;
    make_link(&link);
    errno = E2BIG;
    assert_int_equal(bridge_service_add(&link), 0);
    assert_int_equal(errno, E2BIG);
    add_one(link.fd);
    assert_true(wait_for(link.done));
    add_one(link.fd);
    assert_true(wait_for(link.done));
    bridge_service_remove(&link);
    assert_int_equal(atomic_load(&link.dispatches), 2);
    assert_string_equal(link.thread_name, "ferry-bridge");
    assert_int_equal(sigismember(&link.blocked, SIGTERM), 1);
    assert_int_equal(sigismember(&link.blocked, SIGUSR1), 1);
    end_link(&link);
}

static void *remove_link(void *arg)
{
    struct bridge_link *link = arg;

    bridge_service_remove(link);
    return atomic_load(&link->is_inside) ? NULL : arg;
}

static void a_link_is_not_let_go_of_while_it_is_dispatched(void **state)
{
    struct bridge_link link;
    pthread_t thread;
    void *result;

    (void)state;
    make_link(&link);
    link.gate = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(bridge_service_add(&link), 0);
    add_one(link.fd);
    assert_true(wait_for(link.done));
    assert_int_equal(pthread_create(&thread, NULL, remove_link, &link), 0);
    usleep(20000); /* for a remove that does not wait to show itself */
    assert_int_equal(pthread_tryjoin_np(thread, &result), EBUSY);
    add_one(link.gate);
    pthread_join(thread, &result);
    assert_non_null(result);
    close(link.gate);
    end_link(&link);
}

static void a_link_can_be_taken_out_by_its_own_dispatch(void **state)
{
    struct bridge_link link;
    struct bridge_link other;

    (void)state;
    make_link(&link);
    make_link(&other);
    link.removes_itself = 1;
    assert_int_equal(bridge_service_add(&link), 0);
    assert_int_equal(bridge_service_add(&other), 0);
    add_one(link.fd);
    assert_true(wait_for(link.done));
    add_one(link.fd);
    add_one(other.fd);
    assert_true(wait_for(other.done));
    add_one(other.fd);
    assert_true(wait_for(other.done));
    assert_int_equal(atomic_load(&link.dispatches), 1);
    bridge_service_remove(&other);
    end_link(&link);
    end_link(&other);
}

/* A dead link's descriptor stays readable: the thread must not turn round for ever. */
static void a_dead_link_is_told_and_then_left_alone(void **state)
{
    struct bridge_link link;
    struct bridge_link other;

    (void)state;
    make_link(&link);
    make_link(&other);
    link.is_stubborn = 1;
    atomic_store(&link.dead, 1);
    add_one(link.fd);
    assert_int_equal(bridge_service_add(&link), 0);
    assert_int_equal(bridge_service_add(&other), 0);
    assert_true(wait_for(link.done));
    add_one(other.fd);
    assert_true(wait_for(other.done));
    add_one(other.fd);
    assert_true(wait_for(other.done));
    assert_int_equal(atomic_load(&link.dispatches), 1);
    /* It came back. */
    atomic_store(&link.dead, 0);
    link.is_stubborn = 0;
    assert_int_equal(bridge_service_add(&link), 0);
    assert_true(wait_for(link.done));
    bridge_service_remove(&link);
    bridge_service_remove(&other);
    end_link(&link);
    end_link(&other);
}

static void links_that_come_and_go_are_never_touched_afterwards(void **state)
{
    uint32_t i;

    (void)state;
    for (i = 0; i < ROUNDS; i++) {
        struct bridge_link link;

        make_link(&link);
        assert_int_equal(bridge_service_add(&link), 0);
        add_one(link.fd);
        if (i % 2 == 0) {
            assert_true(wait_for(link.done));
        }
        bridge_service_remove(&link);
        assert_int_equal(atomic_load(&link.is_inside), 0);
        end_link(&link);
    }
}

static void more_links_than_the_limit_are_refused(void **state)
{
    static struct bridge_link link[BRIDGE_LINKS_MAX + 1];
    uint32_t i;

    (void)state;
    for (i = 0; i < BRIDGE_LINKS_MAX; i++) {
        link[i].fd = -1;
        assert_int_equal(bridge_service_add(&link[i]), 0);
    }
    link[i].fd = -1;
    assert_int_equal(bridge_service_add(&link[i]), -ENOSPC);
    assert_int_equal(bridge_service_add(&link[0]), 0); /* it is there already */
    for (i = 0; i <= BRIDGE_LINKS_MAX; i++) {
        bridge_service_remove(&link[i]);
    }
}

static void a_forked_child_has_a_thread_of_its_own(void **state)
{
    struct bridge_link link;
    int status = -1;
    pid_t child;

    (void)state;
#ifdef __SANITIZE_THREAD__
    skip(); /* it knows no threads after a fork */
#endif
    make_link(&link);
    assert_int_equal(bridge_service_add(&link), 0);
    bridge_service_fork_prepare();
    child = fork();
    if (child == 0) {
        struct bridge_link mine;

        bridge_service_fork_child();
        make_link(&mine);
        alarm(30);
        link.fd = mine.fd; /* the parent's link has work, and is none of its business */
        link.is_stubborn = 1;
        add_one(mine.fd);
        bridge_service_add(&mine);
        _exit(wait_for(mine.done) && atomic_load(&link.dispatches) == 0 ? 0 : 1);
    }
    bridge_service_fork_parent();
    add_one(link.fd);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(wait_for(link.done)); /* the parent's thread lives on */
    bridge_service_remove(&link);
    end_link(&link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_with_work_is_dispatched_with_all_signals_blocked),
        cmocka_unit_test(a_link_is_not_let_go_of_while_it_is_dispatched),
        cmocka_unit_test(a_link_can_be_taken_out_by_its_own_dispatch),
        cmocka_unit_test(a_dead_link_is_told_and_then_left_alone),
        cmocka_unit_test(links_that_come_and_go_are_never_touched_afterwards),
        cmocka_unit_test(more_links_than_the_limit_are_refused),
        cmocka_unit_test(a_forked_child_has_a_thread_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
