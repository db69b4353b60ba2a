/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes, links, lines and programs, as sysfs, proc and modprobe need them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/sysfs/sysfs.h"

struct place {
    char folder[64], file[96];
};

static void make(struct place *place, const char *text, size_t size)
{
    FILE *file;

    snprintf(place->folder, sizeof(place->folder), "/tmp/ferry-sysfs-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->file, sizeof(place->file), "%s/file", place->folder);
    file = fopen(place->file, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static void drop(struct place *place)
{
    unlink(place->file);
    assert_int_equal(rmdir(place->folder), 0);
}

static void an_attribute_is_read_up_to_its_line_or_the_buffers_end(void **state)
{
    static const char text[] = "0x10de\nmore";
    struct place place;
    uint64_t number = 0;
    char read[16], small[4];

    (void)state;
    make(&place, text, strlen(text));
    assert_int_equal(ferry_os_attr_read(place.file, read, sizeof(read)), FERRY_OK);
    assert_string_equal(read, "0x10de");
    assert_int_equal(ferry_os_attr_read(place.file, small, sizeof(small)), FERRY_OK);
    assert_string_equal(small, "0x1");
    assert_int_equal(ferry_os_attr_number(place.file, &number), FERRY_OK);
    assert_int_equal(number, 0x10de);
    assert_int_equal(ferry_os_attr_read(place.folder, read, sizeof(read)), FERRY_E_IO);
    assert_string_equal(read, "");
    drop(&place);
    assert_int_equal(ferry_os_attr_read(place.file, read, sizeof(read)),
                     FERRY_E_NOT_FOUND);
}

static void what_is_no_number_is_refused(void **state)
{
    static const char *const text[] = { "",   "x",  "-1",
                                        " 1", "+1", "99999999999999999999999" };

    (void)state;
    for (size_t i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        struct place place;
        uint64_t number = 77;

        make(&place, text[i], strlen(text[i]));
        assert_int_equal(ferry_os_attr_number(place.file, &number), FERRY_E_PROTOCOL);
        assert_int_equal(number, 77);
        drop(&place);
    }
}

static void an_attribute_is_written_and_never_made(void **state)
{
    struct place place;
    char text[16];
    int err = 0;

    (void)state;
    make(&place, "long text", 9);
    assert_int_equal(ferry_os_attr_write(place.file, "new", &err), FERRY_OK);
    assert_int_equal(err, 0);
    assert_int_equal(ferry_os_attr_read(place.file, text, sizeof(text)), FERRY_OK);
    assert_string_equal(text, "new");
    assert_int_equal(ferry_os_attr_writable(place.file), 0);
    assert_int_equal(ferry_os_try_open(place.file), 0);
    assert_int_equal(ferry_os_try_disk(place.file), 0);
    drop(&place);
    assert_int_equal(ferry_os_try_open(place.file), ENOENT);
    assert_int_equal(ferry_os_try_disk(place.file), ENOENT);
    assert_int_equal(ferry_os_attr_write(place.file, "new", &err), FERRY_E_NOT_FOUND);
    assert_int_equal(err, ENOENT);
    assert_int_equal(ferry_os_attr_writable(place.file), ENOENT);
    assert_int_equal(ferry_os_exists(place.file), 0);
    assert_int_equal(ferry_os_attr_write("/dev/full", "new", &err), FERRY_E_IO);
    assert_int_equal(err, ENOSPC);
}

static void a_link_ends_in_a_name(void **state)
{
    struct place place;
    char name[8], text[16];

    (void)state;
    make(&place, "", 0);
    assert_int_equal(ferry_os_link_name(place.file, name, sizeof(name)),
                     FERRY_E_ARGUMENT);
    assert_string_equal(name, "");
    unlink(place.file);
    assert_int_equal(symlink("../../a/e1000e", place.file), 0);
    assert_int_equal(ferry_os_link_name(place.file, name, sizeof(name)), FERRY_OK);
    assert_string_equal(name, "e1000e");
    assert_int_equal(ferry_os_link_name(place.file, name, 6), FERRY_E_LIMIT);
    assert_string_equal(name, "");
    assert_int_equal(ferry_os_link_target(place.file, text, sizeof(text)), FERRY_OK);
    assert_string_equal(text, "../../a/e1000e");
    assert_int_equal(ferry_os_link_target(place.file, text, 14), FERRY_E_LIMIT);
    unlink(place.file);
    assert_int_equal(symlink("name", place.file), 0);
    assert_int_equal(ferry_os_link_name(place.file, name, sizeof(name)), FERRY_OK);
    assert_string_equal(name, "name");
    drop(&place);
}

struct seen {
    char text[64];
    unsigned count, stop_at;
};

static int see(void *user, const char *line)
{
    struct seen *seen = user;

    const size_t length = strlen(seen->text);

    snprintf(seen->text + length, sizeof(seen->text) - length, "%.6s|", line);
    return ++seen->count == seen->stop_at ? 5 : 0;
}

static void lines_are_shown_but_those_that_are_too_long(void **state)
{
    static char text[3 * FERRY_OS_LINE_BYTES];
    struct seen seen = { .count = 0 };
    struct place place;

    (void)state;
    memset(text, 'x', sizeof(text));
    memcpy(text, "one\n\n", 5);
    /* One byte too long, then the longest. */
    text[5 + FERRY_OS_LINE_BYTES] = '\n';
    text[5 + FERRY_OS_LINE_BYTES + 1 + FERRY_OS_LINE_BYTES - 1] = '\n';
    memcpy(text + 5 + 2 * FERRY_OS_LINE_BYTES + 1, "last", 4);
    make(&place, text, 5 + 2 * FERRY_OS_LINE_BYTES + 1 + 4);
    assert_int_equal(ferry_os_lines(place.file, '\n', see, &seen), FERRY_OK);
    assert_int_equal(seen.count, 4);
    assert_string_equal(seen.text, "one||xxxxxx|last|");
    seen = (struct seen){ .stop_at = 1 };
    assert_int_equal(ferry_os_lines(place.file, '\n', see, &seen), 5);
    assert_string_equal(seen.text, "one|");
    drop(&place);
    assert_int_equal(ferry_os_lines(place.file, '\n', see, &seen), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_lines("/", '\n', see, &seen), FERRY_E_IO);
    make(&place, "a\nb\0c\0d", 7);
    seen = (struct seen){ .count = 0 };
    assert_int_equal(ferry_os_lines(place.file, 0, see, &seen), FERRY_OK);
    assert_string_equal(seen.text, "a\nb|c|d|");
    drop(&place);
}

static void folders_are_made_with_those_above(void **state)
{
    struct place place;
    char path[128], outer[128];

    (void)state;
    make(&place, "", 0);
    snprintf(path, sizeof(path), "%s/file/inner", place.folder);
    assert_true(ferry_os_make_folder(path) < 0);
    snprintf(path, sizeof(path), "%s/outer/inner", place.folder);
    assert_int_equal(ferry_os_make_folder(path), FERRY_OK);
    assert_int_equal(ferry_os_make_folder(path), FERRY_OK);
    assert_int_equal(ferry_os_is_folder(path), 1);
    assert_int_equal(ferry_os_make_folder(place.file), FERRY_E_EXISTS);
    snprintf(outer, sizeof(outer), "%s/outer", place.folder);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(outer), 0);
    drop(&place);
}

static void what_does_not_fit_is_no_path(void **state)
{
    char path[4] = "abc";

    (void)state;
    assert_int_equal(ferry_os_path(path, sizeof(path), "%s", "1234"), FERRY_E_LIMIT);
    assert_string_equal(path, "");
    assert_int_equal(ferry_os_path(path, sizeof(path), "%s", "123"), FERRY_OK);
    assert_string_equal(path, "123");
}

static int run(const char *script, unsigned limit_ms, char *ret_text, size_t size)
{
    const char *const argv[] = { "sh", "-c", script, NULL };

    return ferry_os_run(argv, limit_ms, ret_text, size);
}

static void a_program_ends_with_what_it_says(void **state)
{
    const char *const nothing[] = { "ferry-no-such-program", NULL };
    const char *const missing[] = { "/nowhere/program", NULL };
    char text[16];

    (void)state;
    assert_int_equal(run("true", 10000, text, sizeof(text)), 0);
    assert_string_equal(text, "");
    assert_int_equal(run("echo one; echo two", 10000, text, sizeof(text)), 0);
    assert_string_equal(text, "one");
    assert_int_equal(run("echo wrong >&2; exit 3", 10000, text, sizeof(text)), 3);
    assert_string_equal(text, "wrong");
    assert_int_equal(run("kill -9 $$", 10000, text, sizeof(text)), 128);
    /* Its input is empty, and what it says more than fits is not waited for. */
    assert_int_equal(
        run("cat; head -c 300000 /dev/zero | tr '\\0' x", 10000, text, sizeof(text)), 0);
    assert_string_equal(text, "xxxxxxxxxxxxxxx");
    assert_int_equal(ferry_os_run(nothing, 10000, text, sizeof(text)), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_run(missing, 10000, text, sizeof(text)), FERRY_E_NOT_FOUND);
}

static void a_program_that_does_not_end_is_killed(void **state)
{
    char text[16];

    (void)state;
    assert_int_equal(run("echo slow; exec sleep 60", 50, text, sizeof(text)),
                     FERRY_E_TIMEOUT);
    assert_string_equal(text, "slow");
    assert_int_equal(run("exec >/dev/null 2>&1; exec sleep 60", 50, text, sizeof(text)),
                     FERRY_E_TIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_attribute_is_read_up_to_its_line_or_the_buffers_end),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(an_attribute_is_written_and_never_made),
        cmocka_unit_test(a_link_ends_in_a_name),
        cmocka_unit_test(lines_are_shown_but_those_that_are_too_long),
        cmocka_unit_test(folders_are_made_with_those_above),
        cmocka_unit_test(what_does_not_fit_is_no_path),
        cmocka_unit_test(a_program_ends_with_what_it_says),
        cmocka_unit_test(a_program_that_does_not_end_is_killed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
