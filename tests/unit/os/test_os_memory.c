/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/errno.h"
#include "os/guard.h"
#include "os/memory.h"
#include "os/random.h"

#define RW (FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE)
#define CHAINED 42

/* The guard's handler: the test runner puts its own in its place before every test. */
static struct sigaction guard_action;

/* A file that its owner can shorten, as a peer's can be. */
static int plain_file(size_t size)
{
    int fd = memfd_create("plain", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_false(ferry_os_file_keeps_length(fd));
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void a_memfd_has_its_size_and_cannot_be_resized(void **state)
{
    uint64_t size = 0;
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("test", 12288, &fd), FERRY_OK);
    assert_int_equal(ferry_os_file_size(fd, &size), FERRY_OK);
    assert_int_equal(size, 12288);
    assert_int_equal(ftruncate(fd, 4096), -1);
    assert_int_equal(ftruncate(fd, 16384), -1);
    assert_true(ferry_os_file_keeps_length(fd));
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    ferry_os_close(&fd);
    assert_int_equal(fd, -1);
    assert_int_equal(ferry_os_memfd_create("test", 0, &fd), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_memfd_create("test", UINT64_MAX, &fd), FERRY_E_ARGUMENT);
}

static void two_mappings_of_a_file_share_their_bytes(void **state)
{
    struct ferry_os_map a = { 0 }, b = { 0 };
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("test", 16384, &fd), FERRY_OK);
    assert_int_equal(ferry_os_map_shared(fd, 0, 16384, RW, &a, NULL), FERRY_OK);
    assert_int_equal(ferry_os_map_shared(fd, 8192, 8192, FERRY_OS_MAP_READ, &b, NULL),
                     FERRY_OK);
    ferry_os_close(&fd);
    ((uint8_t *)a.data)[8192 + 5] = 0x77;
    assert_int_equal(((uint8_t *)b.data)[5], 0x77);
    ferry_os_unmap(&a);
    ferry_os_unmap(&b);
    assert_null(a.base);
    ferry_os_unmap(&a);
}

static void an_offset_inside_a_page_is_mapped_where_it_is(void **state)
{
    struct ferry_os_map whole = { 0 }, part = { 0 };
    int fd = plain_file(12288);

    (void)state;
    assert_int_equal(ferry_os_map_shared(fd, 0, 12288, RW, &whole, NULL), FERRY_OK);
    assert_int_equal(ferry_os_map_shared(fd, 4096 + 100, 5000, RW, &part, NULL),
                     FERRY_OK);
    assert_int_equal(part.size, 5000);
    memset((uint8_t *)whole.data + 4196, 0x5a, 5000);
    assert_int_equal(((uint8_t *)part.data)[0], 0x5a);
    assert_int_equal(((uint8_t *)part.data)[4999], 0x5a);
    ((uint8_t *)part.data)[0] = 1;
    assert_int_equal(((uint8_t *)whole.data)[4196], 1);
    assert_int_equal(((uint8_t *)whole.data)[4195], 0);
    ferry_os_unmap(&part);
    ferry_os_unmap(&whole);
    ferry_os_close(&fd);
}

static void a_file_shorter_than_claimed_is_not_mapped(void **state)
{
    static const struct {
        uint64_t off, size;
    } bad[] = { { 0, 4097 },       { 4096, 1 },       { 1, 4096 },
                { UINT64_MAX, 1 }, { 1, UINT64_MAX }, { UINT64_MAX, UINT64_MAX },
                { 0, 1ull << 63 }, { 4097, 1 },       { 1ull << 63, 4096 } };
    struct ferry_os_map map = { 0 };
    struct ferry_error error;
    int fd = plain_file(4096);

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&error, 0, sizeof(error));
        assert_int_equal(
            ferry_os_map_shared(fd, bad[i].off, bad[i].size, RW, &map, &error),
            FERRY_E_RANGE);
        assert_non_null(strstr(error.text, "past the end"));
        assert_null(map.base);
    }
    assert_int_equal(ferry_os_map_shared(fd, 4095, 1, RW, &map, NULL), FERRY_OK);
    ferry_os_unmap(&map);
    ferry_os_close(&fd);
}

static void what_is_no_file_or_forbids_the_access_is_not_mapped(void **state)
{
    struct ferry_os_map map = { 0 };
    uint64_t size;
    int pipes[2];
    int fd;

    (void)state;
    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    assert_int_equal(ferry_os_map_shared(pipes[0], 0, 1, RW, &map, NULL),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_os_file_size(pipes[0], &size), FERRY_E_UNSUPPORTED);
    ferry_os_close(&pipes[0]);
    ferry_os_close(&pipes[1]);
    assert_int_equal(ferry_os_file_size(999999, &size), FERRY_E_IO);
    fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ferry_os_map_shared(fd, 0, 1, RW, &map, NULL), FERRY_E_PERMISSION);
    assert_int_equal(ferry_os_map_shared(fd, 0, 1, FERRY_OS_MAP_READ, &map, NULL),
                     FERRY_OK);
    ferry_os_unmap(&map);
    assert_int_equal(ferry_os_map_shared(fd, 0, 0, RW, &map, NULL), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_map_shared(fd, 0, 1, 0, &map, NULL), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_map_shared(fd, 0, 1, 4, &map, NULL), FERRY_E_ARGUMENT);
    ferry_os_close(&fd);
}

static void anonymous_memory_is_zeroed_whole_pages(void **state)
{
    struct ferry_os_map map = { 0 };

    (void)state;
    assert_int_equal(ferry_os_map_anonymous(5000, &map), FERRY_OK);
    assert_int_equal(map.size, 5000);
    assert_int_equal(map.base_size % ferry_os_page_size(), 0);
    assert_int_equal(((uint8_t *)map.data)[4999], 0);
    ((uint8_t *)map.data)[4999] = 1;
    ferry_os_unmap(&map);
    assert_int_equal(ferry_os_map_anonymous(0, &map), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_os_map_anonymous(UINT64_MAX, &map), FERRY_E_MEMORY);
}

static void a_duplicate_is_another_descriptor_of_the_same_file(void **state)
{
    uint64_t size = 0;
    int fd = plain_file(4096);
    int copy = -1;

    (void)state;
    assert_int_equal(ferry_os_dup(fd, &copy), FERRY_OK);
    assert_int_not_equal(copy, fd);
    assert_true((fcntl(copy, F_GETFD) & FD_CLOEXEC) != 0);
    ferry_os_close(&fd);
    assert_int_equal(ferry_os_file_size(copy, &size), FERRY_OK);
    assert_int_equal(size, 4096);
    ferry_os_close(&copy);
    ferry_os_close(&copy);
    assert_int_equal(ferry_os_dup(-1, &copy), FERRY_E_FDS);
}

static void the_guard_turns_a_vanished_page_into_a_status(void **state)
{
    uint8_t buffer[8192];
    struct ferry_os_map map = { 0 };
    int fd = plain_file(8192);

    (void)state;
    assert_int_equal(ferry_os_guard_install(), FERRY_OK);
    assert_int_equal(ferry_os_guard_install(), FERRY_OK);
    assert_int_equal(sigaction(SIGBUS, NULL, &guard_action), 0);
    assert_int_equal(ferry_os_map_shared(fd, 0, 8192, RW, &map, NULL), FERRY_OK);
    memset(map.data, 0x33, 8192);
    assert_int_equal(ferry_os_guarded_copy(buffer, map.data, 8192), FERRY_OK);
    assert_int_equal(buffer[8191], 0x33);
    assert_int_equal(ftruncate(fd, 4096), 0);
    /* Again and again: the signal must not stay blocked after the first. */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ferry_os_guarded_copy(buffer, map.data, 8192), FERRY_E_IO);
        assert_int_equal(ferry_os_guarded_copy(map.data, buffer, 8192), FERRY_E_IO);
        assert_int_equal(ferry_os_guarded_copy(buffer, map.data, 4096), FERRY_OK);
    }
    assert_int_equal(ftruncate(fd, 8192), 0);
    assert_int_equal(ferry_os_guarded_copy(map.data, buffer, 8192), FERRY_OK);
    ferry_os_unmap(&map);
    ferry_os_close(&fd);
}

struct worker {
    pthread_t thread;
    const void *gone;
    const void *there;
    atomic_int *failed;
};

static void *copy_often(void *arg)
{
    struct worker *worker = arg;
    uint8_t buffer[64];

    for (int i = 0; i < 300; i++) {
        if (ferry_os_guarded_copy(buffer, worker->gone, sizeof(buffer)) != FERRY_E_IO ||
            ferry_os_guarded_copy(buffer, worker->there, sizeof(buffer)) != FERRY_OK) {
            atomic_fetch_add(worker->failed, 1);
        }
    }
    return NULL;
}

static void each_thread_has_a_guard_of_its_own(void **state)
{
    static const uint8_t there[64] = { 1 };
    struct ferry_os_map map = { 0 };
    struct worker worker[3];
    atomic_int failed = 0;
    int fd = plain_file(4096);

    (void)state;
    assert_int_equal(sigaction(SIGBUS, &guard_action, NULL), 0);
    assert_int_equal(ferry_os_map_shared(fd, 0, 4096, RW, &map, NULL), FERRY_OK);
    assert_int_equal(ftruncate(fd, 0), 0);
    for (size_t i = 0; i < 3; i++) {
        worker[i] =
            (struct worker){ .gone = map.data, .there = there, .failed = &failed };
        assert_int_equal(pthread_create(&worker[i].thread, NULL, copy_often, &worker[i]),
                         0);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(worker[i].thread, NULL), 0);
    }
    assert_int_equal(failed, 0);
    ferry_os_unmap(&map);
    ferry_os_close(&fd);
}

static void on_other_sigbus(int number)
{
    _exit(number == SIGBUS ? CHAINED : 1);
}

/* An index that counts across a carry, as a driver's does. */
static void *count_on(void *user)
{
    uint16_t *const *index = user;

    while (__atomic_load_n(index[1], __ATOMIC_RELAXED) == 0) {
        __atomic_store_n(index[0], 0x4c90, __ATOMIC_RELAXED);
        __atomic_store_n(index[0], 0x4d10, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void a_number_is_copied_in_one_piece(void **state)
{
    uint16_t shared = 0x4c90, stop = 0;
    uint16_t *index[2] = { &shared, &stop };
    uint8_t odd[3];
    pthread_t thread;

    (void)state;
    assert_int_equal(ferry_os_guard_install(), FERRY_OK);
    assert_int_equal(pthread_create(&thread, NULL, count_on, index), 0);
    for (uint32_t i = 0; i < 20000000; i++) {
        uint16_t seen = 0;

        (void)ferry_os_guarded_copy(odd + 1, &shared, 2);
        memcpy(&seen, odd + 1, 2);
        if (seen != 0x4c90 && seen != 0x4d10) {
            fail_msg("half of each: %04x", seen);
        }
    }
    __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
}

/* In a child, since the process ends: an unguarded access to a page that is gone. */
static int run_unguarded(int with_old_handler)
{
    int status = 0;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct sigaction old = { .sa_handler =
                                     with_old_handler ? on_other_sigbus : SIG_DFL };
        struct ferry_os_map map = { 0 };
        uint8_t buffer[1];
        int fd = plain_file(4096);

        (void)sigaction(SIGBUS, &old, NULL);
        if (ferry_os_guard_install() != FERRY_OK ||
            ferry_os_map_shared(fd, 0, 4096, RW, &map, NULL) != FERRY_OK ||
            ftruncate(fd, 0) != 0 ||
            ferry_os_guarded_copy(buffer, map.data, 1) != FERRY_E_IO) {
            _exit(2);
        }
        *(volatile uint8_t *)map.data = 1;
        _exit(3);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_fault_that_is_not_ours_goes_where_it_went_before(void **state)
{
    int status;

    (void)state;
    status = run_unguarded(1);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), CHAINED);
    status = run_unguarded(0);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGBUS);
}

static void without_the_guard_nothing_is_copied(void **state)
{
    uint8_t to = 1;
    const uint8_t from = 2;

    (void)state;
    assert_int_equal(ferry_os_guarded_copy(&to, &from, 1), FERRY_E_STATE);
    assert_int_equal(to, 1);
}

static void random_bytes_differ_and_fill_the_buffer(void **state)
{
    uint8_t a[4096] = { 0 }, b[4096] = { 0 };
    size_t zeros = 0;

    (void)state;
    assert_int_equal(ferry_os_random(a, sizeof(a)), FERRY_OK);
    assert_int_equal(ferry_os_random(b, sizeof(b)), FERRY_OK);
    assert_memory_not_equal(a, b, sizeof(a));
    for (size_t i = 0; i < sizeof(a); i++) {
        zeros += a[i] == 0;
    }
    /* 16 expected; 200 has a chance below 10^-100. */
    assert_true(zeros < 200);
}

static void errno_values_become_statuses(void **state)
{
    struct ferry_error error = { 0 };

    (void)state;
    assert_int_equal(ferry_os_status(0), FERRY_OK);
    assert_int_equal(ferry_os_status(ENOENT), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_status(EDOM), FERRY_E_IO);
    assert_int_equal(ferry_os_error(&error, EACCES, "open x"), FERRY_E_PERMISSION);
    assert_int_equal(error.os_errno, EACCES);
    assert_string_equal(error.layer, "os");
    assert_non_null(strstr(error.text, "open x"));
    assert_int_equal(ferry_os_error(NULL, EACCES, "open x"), FERRY_E_PERMISSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* The first two before the guard is there in this process. */
        cmocka_unit_test(without_the_guard_nothing_is_copied),
        cmocka_unit_test(a_fault_that_is_not_ours_goes_where_it_went_before),
        cmocka_unit_test(the_guard_turns_a_vanished_page_into_a_status),
        cmocka_unit_test(each_thread_has_a_guard_of_its_own),
        cmocka_unit_test(a_memfd_has_its_size_and_cannot_be_resized),
        cmocka_unit_test(two_mappings_of_a_file_share_their_bytes),
        cmocka_unit_test(an_offset_inside_a_page_is_mapped_where_it_is),
        cmocka_unit_test(a_file_shorter_than_claimed_is_not_mapped),
        cmocka_unit_test(what_is_no_file_or_forbids_the_access_is_not_mapped),
        cmocka_unit_test(anonymous_memory_is_zeroed_whole_pages),
        cmocka_unit_test(a_duplicate_is_another_descriptor_of_the_same_file),
        cmocka_unit_test(random_bytes_differ_and_fill_the_buffer),
        cmocka_unit_test(errno_values_become_statuses),
        cmocka_unit_test(a_number_is_copied_in_one_piece),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
