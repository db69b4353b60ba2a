/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/preload/mappings.h"

#define MIB (1024u * 1024)
#define PAGE 4096u
#define BASE 0x100000000u

/* Nothing is really mapped: only addresses count. */
static void *at(uint64_t off)
{
    return (void *)(uintptr_t)(BASE + off);
}

static int make_file(void)
{
    int fd = memfd_create("ram", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 64 * MIB), 0);
    return fd;
}

static int same_file(int one, int two)
{
    struct stat a;
    struct stat b;

    assert_int_equal(fstat(one, &a), 0);
    assert_int_equal(fstat(two, &b), 0);
    return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* Return: the offset in the file that must be behind the range. */
static uint64_t found(uint64_t off, uint64_t size, int want_fd, int want_region)
{
    uint64_t file_off = UINT64_MAX;
    int is_region = -1;
    int fd = -1;

    assert_int_equal(bridge_mappings_find(at(off), size, &fd, &file_off, &is_region), 0);
    assert_true(same_file(fd, want_fd));
    assert_int_not_equal(fd, want_fd);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(is_region, want_region);
    close(fd);
    return file_off;
}

static void not_found(uint64_t off, uint64_t size)
{
    int untouched = -7;
    uint64_t file_off;
    int is_region;

    errno = E2BIG;
    assert_int_equal(
        bridge_mappings_find(at(off), size, &untouched, &file_off, &is_region), -ENOENT);
    assert_int_equal(untouched, -7);
    assert_int_equal(errno, E2BIG);
}

static int forget_all(void **state)
{
    (void)state;
    bridge_mappings_remove(NULL, SIZE_MAX / 2);
    return 0;
}

static void a_part_of_a_mapping_leads_to_its_file(void **state)
{
    int fd = make_file();

    (void)state;
    not_found(0, PAGE);
    bridge_mappings_add(at(0), 16 * MIB, fd, MIB, 0);
    assert_int_equal(found(0, 16 * MIB, fd, 0), MIB);
    assert_int_equal(found(PAGE, PAGE, fd, 0), MIB + PAGE);
    assert_int_equal(found(16 * MIB - 1, 1, fd, 0), 17 * MIB - 1);
    not_found(0, 16 * MIB + 1);
    not_found(0, 0);
    not_found(PAGE, UINT64_MAX);
    assert_int_equal(bridge_mappings_find((void *)(uintptr_t)(BASE - 1), 2, &(int){ 0 },
                                          &(uint64_t){ 0 }, &(int){ 0 }),
                     -ENOENT);
    close(fd);
}

static void a_region_of_a_device_is_told_apart(void **state)
{
    int ram = make_file();
    int bar = make_file();

    (void)state;
    bridge_mappings_add(at(0), MIB, ram, 0, 0);
    bridge_mappings_add(at(MIB), MIB, bar, 0, 1);
    assert_int_equal(found(MIB, MIB, bar, 1), 0);
    assert_int_equal(found(0, MIB, ram, 0), 0);
    not_found(0, 2 * MIB);
    close(ram);
    close(bar);
}

static void what_lies_over_a_mapping_takes_its_place(void **state)
{
    int ram = make_file();
    int bar = make_file();

    (void)state;
    bridge_mappings_add(at(0), 4 * MIB, ram, 0, 0);
    bridge_mappings_add(at(MIB), MIB, bar, 0, 1);
    assert_int_equal(found(0, MIB, ram, 0), 0);
    assert_int_equal(found(MIB, MIB, bar, 1), 0);
    assert_int_equal(found(2 * MIB, 2 * MIB, ram, 0), 2 * MIB);
    not_found(0, 2 * MIB);
    not_found(MIB, 2 * MIB);
    bridge_mappings_remove(at(MIB / 2), 2 * MIB);
    assert_int_equal(found(0, MIB / 2, ram, 0), 0);
    not_found(0, MIB / 2 + 1);
    not_found(MIB, PAGE);
    assert_int_equal(found(2 * MIB + MIB / 2, PAGE, ram, 0), 2 * MIB + MIB / 2);
    not_found(2 * MIB + MIB / 2 - 1, 2);
    close(ram);
    close(bar);
}

static void pieces_that_continue_each_other_are_one(void **state)
{
    int fd = make_file();
    int other = make_file();

    (void)state;
    bridge_mappings_add(at(2 * MIB), MIB, fd, 2 * MIB, 0);
    bridge_mappings_add(at(0), MIB, fd, 0, 0);
    not_found(0, 3 * MIB); /* a hole */
    bridge_mappings_add(at(MIB), MIB, fd, MIB, 0);
    assert_int_equal(found(0, 3 * MIB, fd, 0), 0);
    bridge_mappings_add(at(MIB), MIB, fd, 5 * MIB, 0); /* the wrong part of it */
    not_found(0, 3 * MIB);
    bridge_mappings_add(at(MIB), MIB, other, MIB, 0);
    not_found(0, 3 * MIB);
    bridge_mappings_add(at(MIB), MIB, fd, MIB, 1);
    not_found(0, 3 * MIB);
    close(fd);
    close(other);
}

static void a_number_that_has_become_another_file_is_not_believed(void **state)
{
    int fd = make_file();
    int other = make_file();

    (void)state;
    bridge_mappings_add(at(0), MIB, fd, 0, 0);
    assert_int_equal(dup2(other, fd), fd);
    not_found(0, MIB);
    close(fd);
    not_found(0, MIB);
    close(other);
}

static void what_is_no_file_is_not_remembered_and_hides_what_was(void **state)
{
    int fd = make_file();
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    (void)state;
    bridge_mappings_add(at(0), 2 * MIB, fd, 0, 0);
    bridge_mappings_add(at(0), MIB, null, 0, 0);
    not_found(0, MIB);
    assert_int_equal(found(MIB, MIB, fd, 0), MIB);
    bridge_mappings_add(at(MIB), MIB, -1, 0, 0);
    not_found(MIB, MIB);
    close(fd);
    close(null);
}

static void a_mapping_that_moves_is_found_where_it_went(void **state)
{
    int fd = make_file();
    int other = make_file();

    (void)state;
    bridge_mappings_add(at(0), 4 * MIB, fd, MIB, 0);
    bridge_mappings_add(at(16 * MIB), MIB, other, 0, 0);
    bridge_mappings_move(at(MIB), MIB, at(16 * MIB), 2 * MIB);
    assert_int_equal(found(16 * MIB, 2 * MIB, fd, 0), 2 * MIB);
    assert_int_equal(found(0, MIB, fd, 0), MIB);
    not_found(MIB, PAGE);
    assert_int_equal(found(2 * MIB, 2 * MIB, fd, 0), 3 * MIB);
    bridge_mappings_move(at(32 * MIB), MIB, at(0), MIB); /* nothing was there */
    not_found(0, MIB);
    close(fd);
    close(other);
}

static void a_mapping_covers_whole_pages(void **state)
{
    int fd = make_file();

    (void)state;
    bridge_mappings_add(at(0), PAGE + 1, fd, 0, 0);
    assert_int_equal(found(0, 2 * PAGE, fd, 0), 0);
    bridge_mappings_remove(at(PAGE), 1);
    not_found(PAGE, 1);
    assert_int_equal(found(0, PAGE, fd, 0), 0);
    close(fd);
}

static void beyond_the_limit_nothing_wrong_is_found(void **state)
{
    int fd = make_file();
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    uint32_t i;

    (void)state;
    assert_int_equal(dup2(null, STDERR_FILENO), STDERR_FILENO);
    close(null);
    for (i = 0; i < BRIDGE_MAPPINGS_MAX; i++) {
        bridge_mappings_add(at(4ull * PAGE * i), 3 * PAGE, fd, PAGE * i, 0);
    }
    bridge_mappings_add(at(4ull * PAGE * i), 3 * PAGE, fd, 0, 0);
    not_found(4ull * PAGE * i, PAGE);
    /* A hole in one leaves two pieces, of which only one has room. */
    bridge_mappings_remove(at(PAGE), PAGE);
    assert_int_equal(found(0, PAGE, fd, 0), 0);
    not_found(PAGE, PAGE);
    not_found(2 * PAGE, PAGE);
    assert_int_equal(found(4ull * PAGE * (i - 1), PAGE, fd, 0), PAGE * (i - 1));
    bridge_mappings_remove(at(0), 4 * PAGE);
    bridge_mappings_add(at(0), PAGE, fd, 7 * PAGE, 0);
    assert_int_equal(dup2(errors, STDERR_FILENO), STDERR_FILENO);
    assert_int_equal(found(0, PAGE, fd, 0), 7 * PAGE);
    close(errors);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_part_of_a_mapping_leads_to_its_file, forget_all),
        cmocka_unit_test_teardown(a_region_of_a_device_is_told_apart, forget_all),
        cmocka_unit_test_teardown(what_lies_over_a_mapping_takes_its_place, forget_all),
        cmocka_unit_test_teardown(pieces_that_continue_each_other_are_one, forget_all),
        cmocka_unit_test_teardown(a_number_that_has_become_another_file_is_not_believed,
                                  forget_all),
        cmocka_unit_test_teardown(what_is_no_file_is_not_remembered_and_hides_what_was,
                                  forget_all),
        cmocka_unit_test_teardown(a_mapping_that_moves_is_found_where_it_went,
                                  forget_all),
        cmocka_unit_test_teardown(a_mapping_covers_whole_pages, forget_all),
        cmocka_unit_test_teardown(beyond_the_limit_nothing_wrong_is_found, forget_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
