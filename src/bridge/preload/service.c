/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/service.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "bridge/device/link.h"

#define STACK_BYTES (256u * 1024)

struct watched {
    struct bridge_link *link;
    int is_over; /* it was dead and has been told so: nothing is left to do */
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t let_go; /* `current` has changed */
    int running;
    int wake; /* eventfd: the set of links has changed */
    pthread_t thread;
    struct bridge_link *current; /* being dispatched, without the lock */
    uint32_t count;
    struct watched link[BRIDGE_LINKS_MAX];
} service = { .lock = PTHREAD_MUTEX_INITIALIZER,
              .let_go = PTHREAD_COND_INITIALIZER,
              .wake = -1 };

static void wake(void)
{
    const uint64_t one = 1;
    ssize_t done = write(service.wake, &one, sizeof(one));

    (void)done; /* a full one is awake */
}

/* With the lock. Return: NULL when the link is not there (any more). */
static struct watched *look_up(const struct bridge_link *link)
{
    uint32_t i = 0;

    while (i < service.count && service.link[i].link != link) {
        i++;
    }
    return i < service.count ? &service.link[i] : NULL;
}

/* A link that has been taken out while it slept is not touched. */
static int hold(struct bridge_link *link)
{
    int held;

    pthread_mutex_lock(&service.lock);
    held = look_up(link) != NULL;
    service.current = held ? link : NULL;
    pthread_mutex_unlock(&service.lock);
    return held;
}

static void let_go(struct bridge_link *link, int was_dead)
{
    struct watched *watched;

    pthread_mutex_lock(&service.lock);
    watched = service.current ? look_up(link) : NULL;
    if (watched && was_dead) {
        watched->is_over = 1;
    }
    service.current = NULL;
    pthread_cond_broadcast(&service.let_go);
    pthread_mutex_unlock(&service.lock);
}

/* One look at each link that has work. polled, link: as they were while it slept. */
static void serve(const struct pollfd *polled, struct bridge_link *const *link,
                  uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        int was_dead;

        if (polled[i].fd < 0 || polled[i].revents == 0 || !hold(link[i])) {
            continue;
        }
        /* Of a death before it the dispatch hears for sure, of a later one maybe not. */
        was_dead = bridge_link_dead(link[i]);
        bridge_link_dispatch(link[i]);
        let_go(link[i], was_dead);
    }
}

/* What to wait for. Return: the number of links; the descriptor to be woken by follows.
 */
static uint32_t prepare(struct pollfd *polled, struct bridge_link **link)
{
    uint32_t count;
    uint32_t i;

    pthread_mutex_lock(&service.lock);
    count = service.count;
    for (i = 0; i < count; i++) {
        link[i] = service.link[i].link;
        polled[i].events = POLLIN;
        polled[i].revents = 0;
        polled[i].fd = service.link[i].is_over ? -1 : bridge_link_fd(link[i]);
    }
    polled[count] = (struct pollfd){ .fd = service.wake, .events = POLLIN };
    pthread_mutex_unlock(&service.lock);
    return count;
}

static void *run(void *unused)
{
    static struct pollfd polled[BRIDGE_LINKS_MAX + 1]; /* not on a small stack */
    static struct bridge_link *link[BRIDGE_LINKS_MAX];
    uint64_t times;
    uint32_t count;

    (void)unused;
    pthread_setname_np(pthread_self(), "ferry-bridge");
    for (;;) {
        count = prepare(polled, link);
        if (poll(polled, count + 1, -1) <= 0) {
            continue;
        }
        if (polled[count].revents != 0 && read(service.wake, &times, sizeof(times)) < 0) {
            continue;
        }
        serve(polled, link, count);
    }
    return NULL;
}

/* With the lock. All signals are blocked in the thread: they are the VMM's. */
static int start(void)
{
    pthread_attr_t attr;
    sigset_t all;
    sigset_t before;
    int err;

    if (service.wake < 0) {
        service.wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    if (service.wake < 0) {
        return -errno;
    }
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    err = pthread_create(&service.thread, &attr, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    service.running = err == 0;
    return -err;
}

int bridge_service_add(struct bridge_link *link)
{
    struct watched *watched;
    int err = errno;
    int rc = 0;

    pthread_mutex_lock(&service.lock);
    watched = look_up(link);
    if (watched == NULL && service.count == BRIDGE_LINKS_MAX) {
        rc = -ENOSPC;
    } else if (!service.running) {
        rc = start();
    }
    if (rc == 0) {
        if (watched == NULL) {
            watched = &service.link[service.count++];
        }
        *watched = (struct watched){ .link = link };
        wake();
    }
    pthread_mutex_unlock(&service.lock);
    errno = err;
    return rc;
}

void bridge_service_remove(struct bridge_link *link)
{
    struct watched *watched;
    int err = errno;

    pthread_mutex_lock(&service.lock);
    watched = look_up(link);
    if (watched) {
        *watched = service.link[--service.count];
        wake();
    }
    if (service.current == link && pthread_equal(pthread_self(), service.thread)) {
        service.current = NULL; /* it may be gone when the thread looks again */
    }
    while (service.current == link) {
        pthread_cond_wait(&service.let_go, &service.lock);
    }
    pthread_mutex_unlock(&service.lock);
    errno = err;
}

void bridge_service_fork_prepare(void)
{
    pthread_mutex_lock(&service.lock);
}

void bridge_service_fork_parent(void)
{
    pthread_mutex_unlock(&service.lock);
}

void bridge_service_fork_child(void)
{
    const pthread_cond_t fresh = PTHREAD_COND_INITIALIZER;

    /* The eventfd wakes the parent's thread; the child must make one of its own. */
    if (service.wake >= 0) {
        close(service.wake);
    }
    service.wake = -1;
    service.running = 0;
    service.current = NULL;
    service.count = 0;
    service.let_go = fresh;
    pthread_mutex_unlock(&service.lock);
}
