/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "os/memory.h"

#define WRITERS 4
#define ROUNDS 20
#define CONTENT_BYTES 5000

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof(folder), "/tmp/ferry-os-XXXXXX");
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void path_of(const char *name, char ret_path[128])
{
    (void)snprintf(ret_path, 128, "%s/%s", folder, name);
}

static size_t entries(void)
{
    DIR *dir = opendir(folder);
    size_t count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count - 2;
}

static void the_first_content_stands(void **state)
{
    struct ferry_error error = { 0 };
    struct stat st;
    char path[128];
    char data[16];
    size_t size = 0;

    (void)state;
    path_of("decision", path);
    assert_int_equal(ferry_os_file_read(path, data, sizeof(data), &size, &error),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_file_create_once(path, "commit", 6, NULL), FERRY_OK);
    assert_int_equal(ferry_os_file_create_once(path, "abort", 5, &error), FERRY_E_EXISTS);
    assert_int_equal(error.code, FERRY_E_EXISTS);
    assert_int_equal(ferry_os_file_read(path, data, sizeof(data), &size, NULL), FERRY_OK);
    assert_int_equal(size, 6);
    assert_memory_equal(data, "commit", 6);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* No temporary file stays, neither of the winner nor of the loser. */
    assert_int_equal(entries(), 1);
    assert_int_equal(unlink(path), 0);
}

static void an_empty_file_is_a_file(void **state)
{
    char path[128];
    size_t size = 9;

    (void)state;
    path_of("empty", path);
    assert_int_equal(ferry_os_file_create_once(path, NULL, 0, NULL), FERRY_OK);
    assert_int_equal(ferry_os_file_read(path, NULL, 0, &size, NULL), FERRY_OK);
    assert_int_equal(size, 0);
    assert_int_equal(unlink(path), 0);
}

/* A writer with its own content. Exit status 0: it won, 1: another was first. */
static void run_writer(const char *path, int gate, uint8_t letter)
{
    uint8_t content[CONTENT_BYTES];
    char byte;
    int status;

    memset(content, letter, sizeof(content));
    (void)!read(gate, &byte, 1);
    status = ferry_os_file_create_once(path, content, sizeof(content), NULL);
    _exit(status == FERRY_OK ? 0 : status == FERRY_E_EXISTS ? 1 : 2);
}

/* Reads until the file is there. Exit status 1: it saw a part of one. */
static void run_reader(const char *path, int gate)
{
    uint8_t content[CONTENT_BYTES];
    size_t size = 0;
    char byte;
    int status;

    (void)!read(gate, &byte, 1);
    do {
        status = ferry_os_file_read(path, content, sizeof(content), &size, NULL);
    } while (status == FERRY_E_NOT_FOUND);
    if (status != FERRY_OK || size != sizeof(content)) {
        _exit(1);
    }
    for (size_t i = 1; i < size; i++) {
        if (content[i] != content[0]) {
            _exit(1);
        }
    }
    _exit(0);
}

static void race_once(const char *path)
{
    uint8_t content[CONTENT_BYTES];
    pid_t child[WRITERS + 1];
    size_t size = 0;
    int winner = -1;
    int gate[2];

    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    for (int i = 0; i <= WRITERS; i++) {
        child[i] = fork();
        assert_true(child[i] >= 0);
        if (child[i] == 0) {
            (void)close(gate[1]);
            if (i == WRITERS) {
                run_reader(path, gate[0]);
            }
            run_writer(path, gate[0], (uint8_t)('a' + i));
        }
    }
    /* The closed pipe lets all go at once. */
    ferry_os_close(&gate[1]);
    for (int i = 0; i <= WRITERS; i++) {
        int status = 0;

        assert_int_equal(waitpid(child[i], &status, 0), child[i]);
        assert_true(WIFEXITED(status));
        if (i == WRITERS) {
            assert_int_equal(WEXITSTATUS(status), 0);
        } else if (WEXITSTATUS(status) == 0) {
            assert_int_equal(winner, -1);
            winner = i;
        } else {
            assert_int_equal(WEXITSTATUS(status), 1);
        }
    }
    assert_true(winner >= 0);
    assert_int_equal(ferry_os_file_read(path, content, sizeof(content), &size, NULL),
                     FERRY_OK);
    assert_int_equal(size, sizeof(content));
    assert_int_equal(content[0], 'a' + winner);
    ferry_os_close(&gate[0]);
}

static void of_racing_processes_exactly_one_wins_and_no_reader_sees_a_part(void **state)
{
    char path[128];

    (void)state;
    path_of("race", path);
    for (int i = 0; i < ROUNDS; i++) {
        race_once(path);
        assert_int_equal(entries(), 1);
        assert_int_equal(unlink(path), 0);
    }
}

static void a_file_longer_than_the_buffer_is_over_the_limit(void **state)
{
    char path[128];
    char data[6];
    size_t size = 77;

    (void)state;
    path_of("long", path);
    assert_int_equal(ferry_os_file_create_once(path, "1234567", 7, NULL), FERRY_OK);
    assert_int_equal(ferry_os_file_read(path, data, sizeof(data), &size, NULL),
                     FERRY_E_LIMIT);
    assert_int_equal(size, 77);
    assert_int_equal(unlink(path), 0);
}

static void a_missing_folder_and_a_long_path_are_told_apart(void **state)
{
    struct ferry_error error = { 0 };
    char path[FERRY_OS_PATH_MAX + 2];

    (void)state;
    path_of("none/x", path);
    assert_int_equal(ferry_os_file_create_once(path, "x", 1, &error), FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "none/x"));
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(ferry_os_file_create_once(path, "x", 1, &error), FERRY_E_LIMIT);
    assert_int_equal(ferry_os_file_read(folder, path, 10, &(size_t){ 0 }, NULL),
                     FERRY_E_IO);
}

static void a_symbolic_link_in_the_files_place_is_not_followed(void **state)
{
    char path[128], target[128];

    (void)state;
    path_of("link", path);
    path_of("target", target);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(ferry_os_file_create_once(path, "x", 1, NULL), FERRY_E_EXISTS);
    assert_int_equal(access(target, F_OK), -1);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_content_stands),
        cmocka_unit_test(an_empty_file_is_a_file),
        cmocka_unit_test(of_racing_processes_exactly_one_wins_and_no_reader_sees_a_part),
        cmocka_unit_test(a_file_longer_than_the_buffer_is_over_the_limit),
        cmocka_unit_test(a_missing_folder_and_a_long_path_are_told_apart),
        cmocka_unit_test(a_symbolic_link_in_the_files_place_is_not_followed),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
