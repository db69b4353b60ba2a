/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* ppoll */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "link/hello/version.h"
#include "test_link_fake.h"
#include "test_link_raw.h"

/*
 * System calls of each side, counted where the libraries call the C library (the linker's
 * --wrap). Looks that found nothing count apart.
 */

#define MESSAGES 2000
#define DEPTH 64u

static atomic_uint_least64_t calls[2]; /* of the client's side, of the server's */
static atomic_uint_least64_t empty[2];
static atomic_uint_least64_t others; /* of the client's dispatching thread */
static pthread_t client_thread;
static _Thread_local int is_dispatcher;
static struct served served;

static int side(void)
{
    return !pthread_equal(pthread_self(), client_thread);
}

static long counted(long result, int nothing)
{
    if (is_dispatcher) {
        atomic_fetch_add(&others, 1);
        return result;
    }
    atomic_fetch_add(nothing ? &empty[side()] : &calls[side()], 1);
    return result;
}

/* The linker's names of the C library's functions and of those that are called instead.
 */
ssize_t __real_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __real_write(int fd, const void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __real_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask);
int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask);
int __real_epoll_wait(int fd, struct epoll_event *event, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *event, int max, int timeout);
int __real_epoll_ctl(int fd, int operation, int of, struct epoll_event *event);
int __wrap_epoll_ctl(int fd, int operation, int of, struct epoll_event *event);
int __real_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before);

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    return counted(__real_send(fd, bytes, size, flags), 0);
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return counted(__real_sendmsg(fd, msg, flags), 0);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
    ssize_t got = __real_recvmsg(fd, msg, flags);

    return counted(got, got < 0);
}

ssize_t __wrap_read(int fd, void *bytes, size_t size)
{
    ssize_t got = __real_read(fd, bytes, size);

    return counted(got, got < 0); /* the device looks whether somebody woke it */
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    return counted(__real_write(fd, bytes, size), 0);
}

int __wrap_ppoll(struct pollfd *fds, nfds_t count, const struct timespec *limit,
                 const sigset_t *mask)
{
    return (int)counted(__real_ppoll(fds, count, limit, mask), 0);
}

/* A look at the loop that brought no descriptor's event, only the loop's own, is empty.
 */
int __wrap_epoll_wait(int fd, struct epoll_event *event, int max, int timeout)
{
    int count = __real_epoll_wait(fd, event, max, timeout);
    int found = 0;

    for (int i = 0; i < count; i++) {
        found |= event[i].data.u64 < UINT64_MAX - 1;
    }
    return (int)counted(count, !found);
}

int __wrap_epoll_ctl(int fd, int operation, int of, struct epoll_event *event)
{
    return (int)counted(__real_epoll_ctl(fd, operation, of, event), 0);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *before)
{
    return (int)counted(__real_timerfd_settime(fd, flags, when, before), 0);
}

static void start_counting(void)
{
    for (int i = 0; i < 2; i++) {
        atomic_store(&calls[i], 0);
        atomic_store(&empty[i], 0);
    }
}

static struct ferry_client *connect_spinning(uint32_t spin_us)
{
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .spin_us = spin_us };
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .spin_us = spin_us };
    struct ferry_client *client;
    int fd;

    client_thread = pthread_self();
    fd = served_start(&served, &server);
    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
    return client;
}

static void read_some(struct ferry_client *client, uint32_t count)
{
    uint32_t value = 0;

    for (uint32_t i = 0; i < count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

        request.u.io.count = sizeof(value);
        request.u.io.data = &value;
        assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    }
}

static void a_round_trip_is_two_calls_a_side_when_both_spin(void **state)
{
    struct ferry_client *client = connect_spinning(UINT32_MAX);

    (void)state;
    read_some(client, 1);
    start_counting();
    read_some(client, MESSAGES);
    assert_in_range(atomic_load(&calls[0]), 2 * MESSAGES, 2 * MESSAGES);
    /* It may be about to count the last; and now and then it is the look at the whole
     * loop, one of 257, that finds a message. */
    assert_in_range(atomic_load(&calls[1]), 2 * MESSAGES - 1,
                    2 * MESSAGES + MESSAGES / 20);
    ferry_client_close(client);
    served_stop(&served);
}

static void a_round_trip_is_two_calls_and_three_when_both_wait(void **state)
{
    struct ferry_client *client = connect_spinning(0);

    (void)state;
    read_some(client, 1);
    start_counting();
    read_some(client, MESSAGES);
    assert_in_range(atomic_load(&calls[0]), 2 * MESSAGES, 2 * MESSAGES);
    assert_in_range(atomic_load(&calls[1]), 3 * MESSAGES - 3, 3 * MESSAGES + 3);
    ferry_client_close(client);
    served_stop(&served);
}

/* A client whose second thread serves DMA messages, with and without a twin socket. */

static int no_memory(void *user, uint64_t iova, void *ret_data, size_t size)
{
    (void)user;
    (void)iova;
    memset(ret_data, 0x33, size);
    return FERRY_OK;
}

struct dispatching {
    struct ferry_client *client;
    atomic_int stop;
    atomic_int result; /* of the last dispatch */
    pthread_t thread;
};

static void *dispatch(void *user)
{
    struct dispatching *self = user;
    struct pollfd ready = { .fd = ferry_client_fd(self->client), .events = POLLIN };

    is_dispatcher = 1;
    while (!atomic_load(&self->stop)) {
        if (poll(&ready, 1, 50) > 0) {
            atomic_store(&self->result, ferry_client_dispatch(self->client));
        }
    }
    return NULL;
}

static void start_dispatching(struct dispatching *self, uint32_t twin)
{
    struct ferry_link_server_options server = { .struct_size = sizeof(server),
                                                .twin = twin };
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 3000,
                                            .memory = { .dma_read = no_memory },
                                            .dispatcher = 1 };

    memset(self, 0, sizeof(*self));
    client_thread = pthread_self();
    assert_int_equal(ferry_client_from_fd(served_start(&served, &server), &options,
                                          &self->client, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_client_agreed(self->client)->twin_socket,
                     twin != FERRY_LINK_TWIN_NEVER);
    assert_int_equal(pthread_create(&self->thread, NULL, dispatch, self), 0);
}

static void stop_dispatching(struct dispatching *self)
{
    atomic_store(&self->stop, 1);
    pthread_join(self->thread, NULL);
    ferry_client_close(self->client);
}

static void with_a_dispatcher_and_a_twin_a_round_trip_is_two_calls(void **state)
{
    struct dispatching self;

    (void)state;
    start_dispatching(&self, FERRY_LINK_TWIN_FOREIGN);
    read_some(self.client, 10);
    start_counting();
    atomic_store(&others, 0);
    read_some(self.client, MESSAGES);
    assert_int_equal(atomic_load(&calls[0]), 2 * MESSAGES);
    assert_in_range(atomic_load(&others), 0,
                    10); /* it had something to do at the start */
    stop_dispatching(&self);
    served_stop(&served);
}

static void without_a_twin_the_dispatcher_hardly_looks_while_others_read(void **state)
{
    struct dispatching self;

    (void)state;
    start_dispatching(&self, FERRY_LINK_TWIN_NEVER);
    read_some(self.client, 10);
    start_counting();
    atomic_store(&others, 0);
    read_some(self.client, MESSAGES);
    assert_int_equal(atomic_load(&calls[0]), 2 * MESSAGES);
    /* Some looks a millisecond, and nobody knows how long this took. */
    assert_in_range(atomic_load(&others), 0, 3 * MESSAGES);
    stop_dispatching(&self);
    served_stop(&served);
}

/* A read for which the device reaches memory: no reply before the dispatcher served it.
 */
static void read_by_dma(struct ferry_client *client)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    uint8_t data[16];

    request.u.io.index = FAKE_REGION_DMA;
    request.u.io.count = sizeof(data);
    request.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &request), FERRY_OK);
    assert_int_equal(data[15], 0x33);
}

static void count_one(struct ferry_request *request)
{
    atomic_fetch_add((atomic_int *)request->user, 1);
}

static void the_dispatcher_serves_dma_and_completions_between_reads(void **state)
{
    static const uint32_t twins[] = { FERRY_LINK_TWIN_FOREIGN, FERRY_LINK_TWIN_NEVER };

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct dispatching self;
        atomic_int done = 0;

        start_dispatching(&self, twins[i]);
        for (uint32_t j = 0; j < 100; j++) {
            struct ferry_request request = { .kind = FERRY_RQ_REGION_READ,
                                             .done = count_one,
                                             .user = &done };
            uint32_t value;

            request.u.io.count = sizeof(value);
            request.u.io.data = &value;
            read_some(self.client, j % 3);
            read_by_dma(self.client);
            assert_int_equal(ferry_client_submit(self.client, &request), FERRY_PENDING);
            read_some(self.client, j % 2);
            await_int(&done, (int)j + 1);
            assert_int_equal(request.status, FERRY_OK);
        }
        stop_dispatching(&self);
        served_stop(&served);
    }
}

static void the_dispatcher_hears_of_the_servers_end(void **state)
{
    static const uint32_t twins[] = { FERRY_LINK_TWIN_FOREIGN, FERRY_LINK_TWIN_NEVER };

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct dispatching self;

        start_dispatching(&self, twins[i]);
        read_some(self.client, 10);
        served_stop(&served);
        await_int(&self.result, FERRY_E_CLOSED);
        stop_dispatching(&self);
    }
}

static void a_late_reply_ends_the_connection_when_asked_for(void **state)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 50,
                                            .late_is_dead = 1 };
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    struct ferry_client *client;
    struct ferry_error error;
    uint32_t value;

    (void)state;
    assert_int_equal(
        ferry_client_from_fd(served_start(&served, NULL), &options, &client, NULL),
        FERRY_OK);
    request.u.io.index = FAKE_REGION_SLOW;
    request.u.io.count = sizeof(value);
    request.u.io.data = &value;
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_TIMEOUT);
    ferry_client_error(client, &error);
    assert_int_equal(error.code, FERRY_E_TIMEOUT);
    assert_non_null(strstr(error.text, "REGION_READ: no reply within 50 ms"));
    request.u.io.index = FAKE_REGION_MEMORY;
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_CLOSED);
    ferry_client_close(client);
    served_stop(&served);
}

static void an_aborted_connection_is_dead_for_all(void **state)
{
    struct ferry_client *client = connect_spinning(0);
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct ferry_error error;

    (void)state;
    ferry_client_abort(client, "no more");
    assert_int_equal(ferry_client_call(client, &request), FERRY_E_CLOSED);
    ferry_client_error(client, &error);
    assert_string_equal(error.text, "no more");
    ferry_client_close(client);
    served_stop(&served);
}

/* Reads of which `ask` holds DEPTH. Return: the bytes. */
static size_t many_reads(uint8_t *ask)
{
    size_t size = 0;

    for (uint16_t i = 0; i < DEPTH; i++) {
        size += raw_region(ask + size, i, RAW_REGION_READ, 4u * i, 0, 4, NULL);
    }
    return size;
}

static void replies_to_reads_that_come_together_leave_together(void **state)
{
    static uint8_t ask[DEPTH * 32];
    uint8_t bytes[64];
    int fd;

    (void)state;
    client_thread = pthread_self();
    fd = served_start(&served, NULL);
    raw_handshake(fd);
    for (uint32_t i = 0; i < DEPTH; i++) {
        served.fake.bar[4 * i] = (uint8_t)(i + 1);
    }
    start_counting();
    raw_send(fd, ask, many_reads(ask));
    for (uint16_t i = 0; i < DEPTH; i++) {
        assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 36);
        assert_int_equal(raw_u16(bytes, 0), i);
        assert_int_equal(bytes[32], i + 1);
    }
    /* A slow device may be sent for alone, but not each of them. */
    assert_in_range(atomic_load(&calls[1]), 1, DEPTH / 2);
    close(fd);
    served_stop(&served);
}

static void a_reply_does_not_wait_for_a_dma_behind_it(void **state)
{
    /* The server's limit is longer than this test's. */
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .dma_timeout_ms = 60000 };
    struct ferry_os_fds fds = { .count = 0 };
    uint8_t bytes[1024];
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) };
    size_t size = raw_version(
        bytes, 1, "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}");
    int fd;

    (void)state;
    client_thread = pthread_self();
    fd = served_start(&served, &options);
    raw_send(fd, bytes, size);
    assert_true(ferry_os_receive(fd, &iov, 1, &fds, FERRY_OS_WAIT) > 20);
    assert_int_equal(fds.count, 1);
    size = raw_region(bytes, 1, RAW_REGION_READ, 0, FAKE_REGION_MEMORY, 4, NULL);
    size +=
        raw_region(bytes + size, 2, RAW_REGION_READ, 0x1000, FAKE_REGION_DMA, 8, NULL);
    raw_send(fd, bytes, size);
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 36);
    assert_int_equal(raw_u16(bytes, 0), 1);
    assert_int_equal(raw_receive(fds.fd[0], bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 2), RAW_DMA_READ);
    ferry_os_fds_close(&fds);
    close(fd);
    served_stop(&served);
}

static void a_reply_leaves_before_the_connection_that_a_bad_message_ends(void **state)
{
    uint8_t bytes[128];
    size_t size;
    int fd;

    (void)state;
    client_thread = pthread_self();
    fd = served_start(&served, NULL);
    raw_handshake(fd);
    size = raw_region(bytes, 1, RAW_REGION_READ, 0, FAKE_REGION_MEMORY, 4, NULL);
    size += raw_message(bytes + size, 2, RAW_REGION_READ, RAW_REPLY, NULL, 0);
    raw_send(fd, bytes, size);
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 36);
    assert_true(raw_is_closed(fd));
    close(fd);
    served_stop(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_round_trip_is_two_calls_a_side_when_both_spin),
        cmocka_unit_test(a_round_trip_is_two_calls_and_three_when_both_wait),
        cmocka_unit_test(with_a_dispatcher_and_a_twin_a_round_trip_is_two_calls),
        cmocka_unit_test(without_a_twin_the_dispatcher_hardly_looks_while_others_read),
        cmocka_unit_test(the_dispatcher_serves_dma_and_completions_between_reads),
        cmocka_unit_test(the_dispatcher_hears_of_the_servers_end),
        cmocka_unit_test(a_late_reply_ends_the_connection_when_asked_for),
        cmocka_unit_test(an_aborted_connection_is_dead_for_all),
        cmocka_unit_test(replies_to_reads_that_come_together_leave_together),
        cmocka_unit_test(a_reply_does_not_wait_for_a_dma_behind_it),
        cmocka_unit_test(a_reply_leaves_before_the_connection_that_a_bad_message_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
