/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "os/socket.h"

#define MESSAGES 1000

static size_t open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}

static int send_bytes(int fd, const void *data, size_t size, uint32_t flags)
{
    union {
        const void *in;
        void *out;
    } cast = { .in = data };
    const struct iovec iov = { .iov_base = cast.out, .iov_len = size };

    return ferry_os_send(fd, &iov, 1, NULL, 0, flags);
}

static int receive_bytes(int fd, void *data, size_t size, struct ferry_os_fds *fds,
                         uint32_t flags)
{
    const struct iovec iov = { .iov_base = data, .iov_len = size };

    return ferry_os_receive(fd, &iov, 1, fds, flags);
}

static void make_pair(int pair[2])
{
    assert_int_equal(ferry_os_socketpair(&pair[0], &pair[1]), FERRY_OK);
}

static void close_pair(int pair[2])
{
    ferry_os_close(&pair[0]);
    ferry_os_close(&pair[1]);
}

/* Smallest buffers that the kernel gives: a megabyte crosses in very many pieces. */
static void shrink(int fd)
{
    const int tiny = 1;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &tiny, sizeof(tiny)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &tiny, sizeof(tiny)), 0);
}

static void a_megabyte_crosses_tiny_buffers_in_pieces(void **state)
{
    const size_t size = 1u << 20;
    uint8_t *out = malloc(size), *in = malloc(size);
    size_t sent = 0, got = 0, sends = 0;
    int pair[2];

    (void)state;
    assert_non_null(out);
    assert_non_null(in);
    make_pair(pair);
    shrink(pair[0]);
    shrink(pair[1]);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(i * 7 + (i >> 11));
    }
    while (got < size) {
        int n = sent < size
                    ? send_bytes(pair[0], out + sent, size - sent, FERRY_OS_NOWAIT)
                    : FERRY_E_AGAIN;

        assert_true(n > 0 || n == FERRY_E_AGAIN);
        sends += n > 0;
        sent += n > 0 ? (size_t)n : 0;
        n = receive_bytes(pair[1], in + got, size - got, NULL, FERRY_OS_NOWAIT);
        assert_true(n > 0 || n == FERRY_E_AGAIN);
        got += n > 0 ? (size_t)n : 0;
        assert_true(got <= sent);
    }
    /* Else nothing was partial and nothing is shown. */
    assert_true(sends > 10);
    assert_memory_equal(in, out, size);
    close_pair(pair);
    free(out);
    free(in);
}

static void pieces_are_gathered_and_scattered_in_order(void **state)
{
    char a[] = "abc", b[] = "defgh", left[4] = "", right[8] = "";
    const struct iovec out[] = { { a, 3 }, { NULL, 0 }, { b, 5 } };
    const struct iovec in[] = { { left, 2 }, { right, 7 } };
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_send(pair[0], out, 3, NULL, 0, FERRY_OS_WAIT), 8);
    assert_int_equal(ferry_os_receive(pair[1], in, 2, NULL, FERRY_OS_WAIT), 8);
    assert_string_equal(left, "ab");
    assert_string_equal(right, "cdefgh");
    close_pair(pair);
}

static void descriptors_arrive_open_with_the_first_byte_and_close_on_exec(void **state)
{
    struct ferry_os_fds fds = { 0 };
    char data[8] = "message";
    const struct iovec iov = { data, sizeof(data) };
    uint64_t count = 0;
    int event = -1;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_eventfd_create(&event), FERRY_OK);
    assert_int_equal(ferry_os_send(pair[0], &iov, 1, &event, 1, FERRY_OS_WAIT), 8);
    assert_int_equal(receive_bytes(pair[1], data, 1, &fds, FERRY_OS_WAIT), 1);
    assert_int_equal(fds.count, 1);
    assert_true((fcntl(fds.fd[0], F_GETFD) & FD_CLOEXEC) != 0);
    assert_int_equal(ferry_os_eventfd_signal(fds.fd[0]), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_drain(event, &count), FERRY_OK);
    assert_int_equal(count, 1);
    /* The rest of the message brings none. */
    assert_int_equal(receive_bytes(pair[1], data, 8, &fds, FERRY_OS_WAIT), 7);
    assert_int_equal(fds.count, 1);
    ferry_os_fds_close(&fds);
    assert_int_equal(fds.count, 0);
    ferry_os_close(&event);
    close_pair(pair);
}

static void a_thousand_messages_with_descriptors_leak_none(void **state)
{
    struct ferry_os_fds fds = { 0 };
    const struct iovec iov = { &(char){ 1 }, 1 };
    int event[FERRY_OS_FDS_MAX];
    size_t before;
    char byte;
    int pair[2];

    (void)state;
    make_pair(pair);
    for (size_t i = 0; i < FERRY_OS_FDS_MAX; i++) {
        assert_int_equal(ferry_os_eventfd_create(&event[i]), FERRY_OK);
    }
    before = open_fds();
    for (uint32_t i = 0; i < MESSAGES; i++) {
        uint32_t count = i % (FERRY_OS_FDS_MAX + 1);

        assert_int_equal(ferry_os_send(pair[0], &iov, 1, event, count, FERRY_OS_WAIT), 1);
        assert_int_equal(receive_bytes(pair[1], &byte, 1, &fds, FERRY_OS_WAIT), 1);
        assert_int_equal(fds.count, count);
        ferry_os_fds_close(&fds);
    }
    assert_int_equal(open_fds(), before);
    for (size_t i = 0; i < FERRY_OS_FDS_MAX; i++) {
        ferry_os_close(&event[i]);
    }
    close_pair(pair);
}

/* A peer that is not us and sends as many as the kernel lets it. */
static void send_many(int fd, int passed, size_t count)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(250 * sizeof(int))];
    struct iovec iov = { &(char){ 1 }, 1 };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
    struct cmsghdr *cmsg;

    assert_true(count <= 250);
    memset(control, 0, sizeof(control));
    msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsg = CMSG_FIRSTHDR(&msg);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
    for (size_t i = 0; i < count; i++) {
        memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &passed, sizeof(int));
    }
    assert_int_equal(sendmsg(fd, &msg, 0), 1);
}

static void more_descriptors_than_fit_are_an_error_and_all_closed(void **state)
{
    struct ferry_os_fds fds = { 0 };
    size_t before;
    char byte;
    int pair[2];

    (void)state;
    make_pair(pair);
    before = open_fds();
    for (int i = 0; i < 20; i++) {
        send_many(pair[0], pair[0], i % 2 == 0 ? 65 : 250);
        assert_int_equal(receive_bytes(pair[1], &byte, 1, &fds, FERRY_OS_WAIT),
                         FERRY_E_FDS);
        assert_int_equal(fds.count, 0);
        assert_int_equal(open_fds(), before);
    }
    /* Not the limit of one message but what is left of the room: the older ones stay. */
    send_many(pair[0], pair[0], 60);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, &fds, FERRY_OS_WAIT), 1);
    send_many(pair[0], pair[0], 5);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, &fds, FERRY_OS_WAIT), FERRY_E_FDS);
    assert_int_equal(fds.count, 60);
    assert_int_equal(open_fds(), before + 60);
    ferry_os_fds_close(&fds);
    assert_int_equal(open_fds(), before);
    close_pair(pair);
}

static void descriptors_that_nobody_expects_are_an_error_and_closed(void **state)
{
    size_t before;
    char byte;
    int pair[2];

    (void)state;
    make_pair(pair);
    before = open_fds();
    send_many(pair[0], pair[0], 3);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_WAIT), FERRY_E_FDS);
    assert_int_equal(open_fds(), before);
    close_pair(pair);
}

static void wrong_descriptors_are_not_sent(void **state)
{
    const struct iovec iov = { &(char){ 1 }, 1 };
    const int closed = 999999;
    int many[FERRY_OS_FDS_MAX + 1] = { 0 };
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_send(pair[0], &iov, 1, &closed, 1, 0), FERRY_E_FDS);
    assert_int_equal(ferry_os_send(pair[0], &iov, 1, many, FERRY_OS_FDS_MAX + 1, 0),
                     FERRY_E_FDS);
    assert_int_equal(receive_bytes(pair[1], many, 1, NULL, FERRY_OS_NOWAIT),
                     FERRY_E_AGAIN);
    close_pair(pair);
}

static void nothing_to_send_or_too_many_pieces_are_the_callers_fault(void **state)
{
    const struct iovec none[2] = { { NULL, 0 } };
    struct iovec many[FERRY_OS_PIECES_MAX + 1];
    char byte = 0;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_send(pair[0], none, 2, NULL, 0, 0), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_receive(pair[0], none, 0, NULL, 0), FERRY_E_ARGUMENT);
    for (size_t i = 0; i <= FERRY_OS_PIECES_MAX; i++) {
        many[i] = (struct iovec){ .iov_base = &byte, .iov_len = 1 };
    }
    assert_int_equal(ferry_os_send(pair[0], many, FERRY_OS_PIECES_MAX, NULL, 0, 0),
                     FERRY_OS_PIECES_MAX);
    assert_int_equal(ferry_os_send(pair[0], many, FERRY_OS_PIECES_MAX + 1, NULL, 0, 0),
                     FERRY_E_ARGUMENT);
    close_pair(pair);
}

static void a_silent_peer_ends_a_waiting_receive_at_its_limit(void **state)
{
    char byte;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_receive_limit(pair[1], 20), FERRY_OK);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_WAIT),
                     FERRY_E_TIMEOUT);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_NOWAIT),
                     FERRY_E_AGAIN);
    close_pair(pair);
}

static void a_peer_that_does_not_read_ends_a_waiting_send_at_its_limit(void **state)
{
    char data[4096] = { 0 };
    int pair[2];
    int n;

    (void)state;
    make_pair(pair);
    shrink(pair[0]);
    assert_int_equal(ferry_os_send_limit(pair[0], 20), FERRY_OK);
    do {
        n = send_bytes(pair[0], data, sizeof(data), FERRY_OS_WAIT);
    } while (n > 0);
    assert_int_equal(n, FERRY_E_TIMEOUT);
    assert_int_equal(send_bytes(pair[0], data, 1, FERRY_OS_NOWAIT), FERRY_E_AGAIN);
    close_pair(pair);
}

static void a_closed_peer_is_reported_without_a_signal(void **state)
{
    char byte = 0;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(send_bytes(pair[0], &byte, 1, FERRY_OS_WAIT), 1);
    ferry_os_close(&pair[0]);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_WAIT), 1);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_WAIT),
                     FERRY_E_CLOSED);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_NOWAIT),
                     FERRY_E_CLOSED);
    assert_int_equal(send_bytes(pair[1], &byte, 1, FERRY_OS_WAIT), FERRY_E_CLOSED);
    close_pair(pair);
}

static void poll_says_ready_or_times_out(void **state)
{
    char byte = 0;
    int pair[2];

    (void)state;
    make_pair(pair);
    assert_int_equal(ferry_os_poll(pair[1], FERRY_OS_POLL_READ, 0), FERRY_E_TIMEOUT);
    assert_int_equal(ferry_os_poll(pair[1], FERRY_OS_POLL_READ, 5), FERRY_E_TIMEOUT);
    assert_int_equal(ferry_os_poll(pair[1], FERRY_OS_POLL_WRITE, 0), FERRY_OK);
    assert_int_equal(send_bytes(pair[0], &byte, 1, FERRY_OS_WAIT), 1);
    assert_int_equal(ferry_os_poll(pair[1], FERRY_OS_POLL_READ, 0), FERRY_OK);
    ferry_os_shutdown(pair[0]);
    assert_int_equal(receive_bytes(pair[1], &byte, 1, NULL, FERRY_OS_WAIT), 1);
    assert_int_equal(ferry_os_poll(pair[1], FERRY_OS_POLL_READ, 0), FERRY_OK);
    assert_int_equal(ferry_os_poll(999999, FERRY_OS_POLL_READ, 0), FERRY_E_IO);
    close_pair(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_megabyte_crosses_tiny_buffers_in_pieces),
        cmocka_unit_test(pieces_are_gathered_and_scattered_in_order),
        cmocka_unit_test(descriptors_arrive_open_with_the_first_byte_and_close_on_exec),
        cmocka_unit_test(a_thousand_messages_with_descriptors_leak_none),
        cmocka_unit_test(more_descriptors_than_fit_are_an_error_and_all_closed),
        cmocka_unit_test(descriptors_that_nobody_expects_are_an_error_and_closed),
        cmocka_unit_test(wrong_descriptors_are_not_sent),
        cmocka_unit_test(nothing_to_send_or_too_many_pieces_are_the_callers_fault),
        cmocka_unit_test(a_silent_peer_ends_a_waiting_receive_at_its_limit),
        cmocka_unit_test(a_peer_that_does_not_read_ends_a_waiting_send_at_its_limit),
        cmocka_unit_test(a_closed_peer_is_reported_without_a_signal),
        cmocka_unit_test(poll_says_ready_or_times_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
