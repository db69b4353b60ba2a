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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bridge/device/device.h"
#include "bridge/say.h"

#define THREADS 3u
#define LINES 400u
#define TEXT_BYTES (1024u * 1024)

static char folder[] = "/tmp/ferry-say-XXXXXX";
static char text[TEXT_BYTES];
static int errors = -1; /* what standard error was */

static void make_device(struct bridge_device *device, const char *name, const char *log)
{
    memset(device, 0, sizeof(*device));
    strcpy(device->token.name, name);
    if (log) {
        snprintf(device->token.log, sizeof(device->token.log), "%s/%s", folder, log);
    }
}

/* Return: what is in a file of the folder. */
static const char *content(const char *name)
{
    char path[300];
    FILE *file;
    size_t bytes;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    assert_non_null(file);
    bytes = fread(text, 1, sizeof(text) - 1, file);
    text[bytes] = '\0';
    fclose(file);
    return text;
}

/* Standard error goes into a file of the folder. */
static int catch_errors(void **state)
{
    char path[300];
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/errors", folder);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    errors = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    close(fd);
    return 0;
}

static int clean(void **state)
{
    char command[300];

    (void)state;
    assert_int_equal(dup2(errors, STDERR_FILENO), STDERR_FILENO);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    return system(command);
}

static void a_line_names_the_device_and_is_one_line(void **state)
{
    struct bridge_device device;

    (void)state;
    make_device(&device, "acc", NULL);
    errno = E2BIG;
    bridge_say(&device, "%s of %d", "two\nlines\x1b[2J", 2);
    bridge_say(NULL, "of nobody");
    assert_int_equal(errno, E2BIG);
    assert_string_equal(content("errors"), "ferry-bridge: acc: two lines [2J of 2\n"
                                           "ferry-bridge: of nobody\n");
}

static void a_device_with_a_log_speaks_there(void **state)
{
    struct bridge_device device;
    struct stat st;
    char path[300];

    (void)state;
    make_device(&device, "acc", "log");
    snprintf(path, sizeof(path), "%s/log", folder);
    bridge_say(&device, "first");
    bridge_say(&device, "second");
    assert_string_equal(content("log"), "ferry-bridge: acc: first\n"
                                        "ferry-bridge: acc: second\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_log_that_cannot_be_opened_is_said_once_on_standard_error(void **state)
{
    struct bridge_device device;
    const char *said;

    (void)state;
    make_device(&device, "acc", "no/such/folder");
    bridge_say(&device, "lost one");
    bridge_say(&device, "lost two");
    said = strstr(content("errors"), "cannot open the log");
    assert_non_null(said);
    assert_null(strstr(said + 1, "cannot open the log"));
    assert_non_null(strstr(said, "ferry-bridge: acc: lost one\n"));
    assert_non_null(strstr(said, "ferry-bridge: acc: lost two\n"));
}

static void a_long_text_is_cut(void **state)
{
    struct bridge_device device;
    char words[3000];

    (void)state;
    make_device(&device, "acc", "long");
    memset(words, 'x', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    bridge_say(&device, "%s", words);
    assert_int_equal(strlen(content("long")), 1024);
    assert_int_equal(text[1023], '\n');
}

static void tracing_is_off_until_the_token_asks_for_it(void **state)
{
    struct bridge_device device;
    unsigned long long second;
    unsigned micro;
    int thread;

    (void)state;
    make_device(&device, "acc", "trace");
    bridge_trace(&device, "unheard");
    bridge_trace(NULL, "unheard");
    device.token.trace = 1;
    errno = E2BIG;
    bridge_trace(&device, "ioctl %d", 5);
    assert_int_equal(errno, E2BIG);
    assert_int_equal(sscanf(content("trace"), "ferry-bridge: acc: %llu.%6u %d: ioctl 5\n",
                            &second, &micro, &thread),
                     3);
    assert_int_equal(thread, gettid());
    assert_null(strstr(text, "unheard"));
}

static void *speak(void *arg)
{
    uint32_t i;

    for (i = 0; i < LINES; i++) {
        bridge_trace(arg, "a line of some length that must not be torn %06u end", i);
    }
    return NULL;
}

static void lines_of_several_threads_stay_whole(void **state)
{
    struct bridge_device device;
    pthread_t thread[THREADS];
    const char *line;
    uint32_t count = 0;
    uint32_t i;

    (void)state;
    make_device(&device, "acc", "threads");
    device.token.trace = 1;
    for (i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, speak, &device), 0);
    }
    for (i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    for (line = content("threads"); *line; line = strchr(line, '\n') + 1) {
        const char *end = strchr(line, '\n');

        assert_non_null(end);
        assert_memory_equal(line, "ferry-bridge: acc: ", 19);
        assert_memory_equal(end - 4, " end", 4);
        count++;
    }
    assert_int_equal(count, THREADS * LINES);
}

/* Whatever second it is: far fewer than asked for, and the rest is counted. */
static void a_flood_is_kept_short(void **state)
{
    struct bridge_device device;
    const char *line;
    uint32_t count = 0;
    uint32_t i;

    (void)state;
    make_device(&device, "acc", "flood");
    for (i = 0; i < 2000; i++) {
        bridge_say(&device, "again");
    }
    for (line = content("flood"); *line; line = strchr(line, '\n') + 1) {
        count++;
    }
    assert_in_range(count, 1, 1000);
    usleep(1100 * 1000);
    bridge_say(&device, "after it");
    assert_non_null(strstr(content("flood"), " lines were left out\n"
                                             "ferry-bridge: acc: after it\n"));
}

static void each_status_has_its_errno(void **state)
{
    int status;

    (void)state;
    assert_int_equal(bridge_errno(FERRY_OK), 0);
    assert_int_equal(bridge_errno(FERRY_PENDING), 0);
    assert_int_equal(bridge_errno(FERRY_E_DRY), -ENOMSG);
    assert_int_equal(bridge_errno(FERRY_E_UNSUPPORTED), -ENOTTY);
    assert_int_equal(bridge_errno(FERRY_E_ARGUMENT), -EINVAL);
    assert_int_equal(bridge_errno(FERRY_E_CLOSED), -EIO);
    assert_int_equal(bridge_errno(FERRY_E_TIMEOUT), -EIO);
    for (status = -1; status > FERRY_E_END; status--) {
        assert_in_range(-bridge_errno(status), 1, 200);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_names_the_device_and_is_one_line),
        cmocka_unit_test(a_device_with_a_log_speaks_there),
        cmocka_unit_test(a_log_that_cannot_be_opened_is_said_once_on_standard_error),
        cmocka_unit_test(a_long_text_is_cut),
        cmocka_unit_test(tracing_is_off_until_the_token_asks_for_it),
        cmocka_unit_test(lines_of_several_threads_stay_whole),
        cmocka_unit_test(a_flood_is_kept_short),
        cmocka_unit_test(each_status_has_its_errno),
    };

    return cmocka_run_group_tests(tests, catch_errors, clean);
}
