/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/memory.h"
#include "os/socket.h"

#define STARTERS 6
#define ROUNDS 60

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

static struct ferry_os_address unix_address(const char *name)
{
    struct ferry_os_address address = { .family = FERRY_OS_UNIX };

    (void)snprintf(address.path, sizeof(address.path), "%s/%s", folder, name);
    return address;
}

static struct ferry_os_address parse(const char *text)
{
    struct ferry_os_address address;

    assert_int_equal(ferry_os_address_parse(text, &address, NULL), FERRY_OK);
    return address;
}

static void a_byte_crosses(int from, int to)
{
    char out = 'x', in = 0;
    const struct iovec sent = { &out, 1 }, got = { &in, 1 };

    assert_int_equal(ferry_os_send(from, &sent, 1, NULL, 0, FERRY_OS_WAIT), 1);
    assert_int_equal(ferry_os_receive(to, &got, 1, NULL, FERRY_OS_WAIT), 1);
    assert_int_equal(in, 'x');
}

static void addresses_are_read(void **state)
{
    struct ferry_os_address address;

    (void)state;
    address = parse("unix:/run/x.sock");
    assert_int_equal(address.family, FERRY_OS_UNIX);
    assert_string_equal(address.path, "/run/x.sock");
    address = parse("tcp:127.0.0.1:4000");
    assert_int_equal(address.family, FERRY_OS_TCP);
    assert_string_equal(address.host, "127.0.0.1");
    assert_int_equal(address.port, 4000);
    address = parse("tcp:[::1]:65535");
    assert_string_equal(address.host, "::1");
    assert_int_equal(address.port, 65535);
    address = parse("tcp:localhost:0");
    assert_string_equal(address.host, "localhost");
}

static void malformed_addresses_are_refused_with_a_reason(void **state)
{
    static const char *const bad[] = {
        "",
        "x",
        "/run/x.sock",
        "unix:",
        "tcp:",
        "tcp:a",
        "tcp::1",
        "tcp:a:",
        "tcp:a:65536",
        "tcp:a:-1",
        "tcp:a:1 ",
        "tcp:a:+1",
        "tcp:a:0x10",
        "tcp:[::1",
        "tcp:[::1]",
        "tcp:[::1]4",
        "tcp:[]:1",
        "tcp:a:b:1",
        "tcp:a:99999999999999999999",
    };
    struct ferry_os_address address = { .family = 77 };
    struct ferry_error error;
    char text[400];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        memset(&error, 0, sizeof(error));
        if (ferry_os_address_parse(bad[i], &address, &error) != FERRY_E_ARGUMENT ||
            error.text[0] == '\0') {
            fail_msg("\"%s\" was taken", bad[i]);
        }
    }
    assert_int_equal(address.family, 77);
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "unix:", 5);
    assert_int_equal(ferry_os_address_parse(text, &address, NULL), FERRY_E_LIMIT);
    text[5 + 107] = '\0';
    assert_int_equal(ferry_os_address_parse(text, &address, NULL), FERRY_OK);
    text[5 + 107] = 'a';
    memcpy(text, "tcp:a", 5);
    memcpy(text + 390, ":1", 3);
    assert_int_equal(ferry_os_address_parse(text, &address, NULL), FERRY_E_LIMIT);
}

static void a_unix_listener_accepts_and_its_file_is_private(void **state)
{
    const struct ferry_os_address address = unix_address("a");
    int listener = -1, client = -1, server = -1;
    struct stat st;

    (void)state;
    assert_int_equal(ferry_os_listen(&address, 4, &listener, NULL), FERRY_OK);
    assert_int_equal(stat(address.path, &st), 0);
    assert_int_equal(st.st_mode & 077, 0);
    assert_int_equal(ferry_os_accept(listener, &server), FERRY_E_AGAIN);
    assert_int_equal(ferry_os_connect(&address, 1000, &client, NULL), FERRY_OK);
    assert_int_equal(ferry_os_accept(listener, &server), FERRY_OK);
    a_byte_crosses(client, server);
    a_byte_crosses(server, client);
    /* Blocking mode, close-on-exec: what the calls promise. */
    assert_int_equal(fcntl(server, F_GETFL) & O_NONBLOCK, 0);
    assert_int_equal(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    assert_true((fcntl(server, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true((fcntl(client, F_GETFD) & FD_CLOEXEC) != 0);
    ferry_os_close(&client);
    ferry_os_close(&server);
    ferry_os_close(&listener);
    assert_int_equal(unlink(address.path), 0);
}

static void a_dead_socket_file_is_replaced_and_a_live_one_is_not(void **state)
{
    const struct ferry_os_address address = unix_address("stale");
    struct ferry_error error;
    int first = -1, second = -1, client = -1;

    (void)state;
    assert_int_equal(ferry_os_listen(&address, 1, &first, NULL), FERRY_OK);
    assert_int_equal(ferry_os_listen(&address, 1, &second, &error), FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, "somebody listens there"));
    assert_int_equal(error.os_errno, EADDRINUSE);
    assert_int_equal(ferry_os_connect(&address, 1000, &client, NULL), FERRY_OK);
    ferry_os_close(&client);
    ferry_os_close(&first);
    assert_int_equal(ferry_os_connect(&address, 1000, &client, NULL), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_listen(&address, 1, &second, NULL), FERRY_OK);
    assert_int_equal(ferry_os_connect(&address, 1000, &client, NULL), FERRY_OK);
    ferry_os_close(&client);
    ferry_os_close(&second);
    assert_int_equal(unlink(address.path), 0);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    const struct ferry_os_address address = unix_address("file");
    struct ferry_error error;
    struct stat before, after;
    int listener = -1;
    int fd = open(address.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &before), 0);
    ferry_os_close(&fd);
    assert_int_equal(ferry_os_listen(&address, 1, &listener, &error), FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, "no socket"));
    assert_non_null(strstr(error.text, "remove it"));
    assert_int_equal(ferry_os_connect(&address, 1000, &listener, &error),
                     FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "no socket"));
    assert_int_equal(stat(address.path, &after), 0);
    assert_true(before.st_ino == after.st_ino && S_ISREG(after.st_mode));
    assert_int_equal(unlink(address.path), 0);
}

/* A process that tries to listen when the gate opens. Exit status 0: it won, 1: it did
 * not. */
static void run_starter(const struct ferry_os_address *address, const int gate[2],
                        const int done[2])
{
    int listener = -1;
    char byte;
    int status;

    (void)close(gate[1]);
    (void)close(done[1]);
    (void)!read(gate[0], &byte, 1);
    /* The others' looks at it fill its queue, since it accepts nobody. */
    status = ferry_os_listen(address, 2 * STARTERS, &listener, NULL);
    /* A winner stays until all have tried: else the next one may rightly win. A second
     * winner would keep the test waiting: the alarm ends both. */
    if (status == FERRY_OK) {
        (void)alarm(2);
        (void)!read(done[0], &byte, 1);
        _exit(0);
    }
    _exit(status == FERRY_E_EXISTS ? 1 : 2);
}

static int exit_status_of_any_child(void)
{
    int status = 0;

    assert_true(wait(&status) > 0);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void race_for_a_dead_socket_file(const struct ferry_os_address *address)
{
    int listener = -1, client = -1;
    int gate[2], done[2];

    assert_int_equal(ferry_os_listen(address, 1, &listener, NULL), FERRY_OK);
    ferry_os_close(&listener);
    assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
    assert_int_equal(pipe2(done, O_CLOEXEC), 0);
    for (size_t i = 0; i < STARTERS; i++) {
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            run_starter(address, gate, done);
        }
    }
    ferry_os_close(&gate[1]);
    /* Were there two winners, this many would not end before the second gate opens. */
    for (size_t i = 0; i < STARTERS - 1; i++) {
        assert_int_equal(exit_status_of_any_child(), 1);
    }
    assert_int_equal(ferry_os_connect(address, 1000, &client, NULL), FERRY_OK);
    ferry_os_close(&done[1]);
    assert_int_equal(exit_status_of_any_child(), 0);
    ferry_os_close(&client);
    ferry_os_close(&gate[0]);
    ferry_os_close(&done[0]);
    assert_int_equal(unlink(address->path), 0);
}

static void of_many_starters_over_a_dead_socket_file_one_wins(void **state)
{
    const struct ferry_os_address address = unix_address("race");

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        race_for_a_dead_socket_file(&address);
    }
}

static void a_full_backlog_ends_a_connect_at_its_limit(void **state)
{
    const struct ferry_os_address address = unix_address("full");
    int listener = -1, second = -1, client[8];
    int made = 0;
    int status = FERRY_OK;

    (void)state;
    assert_int_equal(ferry_os_listen(&address, 0, &listener, NULL), FERRY_OK);
    while (made < 8 && status == FERRY_OK) {
        status = ferry_os_connect(&address, 30, &client[made], NULL);
        made += status == FERRY_OK;
    }
    assert_int_equal(status, FERRY_E_TIMEOUT);
    /* Busy is not dead: the file must not be taken away from under it. */
    assert_int_equal(ferry_os_listen(&address, 1, &second, NULL), FERRY_E_EXISTS);
    while (made > 0) {
        ferry_os_close(&client[--made]);
    }
    ferry_os_close(&listener);
    assert_int_equal(unlink(address.path), 0);
}

static void a_socket_in_no_folder_is_not_found(void **state)
{
    const struct ferry_os_address address = unix_address("none/x");
    struct ferry_error error = { 0 };
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_connect(&address, 100, &fd, &error), FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "none/x"));
    assert_int_equal(error.os_errno, 2);
    assert_int_equal(ferry_os_listen(&address, 1, &fd, &error), FERRY_E_NOT_FOUND);
    assert_int_equal(fd, -1);
}

static void tcp_connects_over_loopback_without_delay(void **state)
{
    struct ferry_os_address address = parse("tcp:127.0.0.1:0");
    int listener = -1, client = -1, server = -1;
    int one = 0;
    socklen_t size = sizeof(one);

    (void)state;
    assert_int_equal(ferry_os_listen(&address, 1, &listener, NULL), FERRY_OK);
    assert_int_equal(ferry_os_listen_port(listener, &address.port), FERRY_OK);
    assert_true(address.port != 0);
    assert_int_equal(ferry_os_connect(&address, 2000, &client, NULL), FERRY_OK);
    assert_int_equal(ferry_os_poll(listener, FERRY_OS_POLL_READ, 2000), FERRY_OK);
    assert_int_equal(ferry_os_accept(listener, &server), FERRY_OK);
    a_byte_crosses(client, server);
    a_byte_crosses(server, client);
    assert_int_equal(getsockopt(client, 6, 1, &one, &size), 0);
    assert_true(one != 0);
    one = 0;
    assert_int_equal(getsockopt(server, 6, 1, &one, &size), 0);
    assert_true(one != 0);
    assert_int_equal(fcntl(client, F_GETFL) & O_NONBLOCK, 0);
    ferry_os_close(&client);
    ferry_os_close(&server);
    ferry_os_close(&listener);
    assert_int_equal(ferry_os_connect(&address, 2000, &client, NULL), FERRY_E_NOT_FOUND);
}

static void messages_name_host_and_port(void **state)
{
    struct ferry_os_address address = parse("tcp:127.0.0.1:0");
    struct ferry_error error;
    char text[FERRY_OS_ADDRESS_BYTES], port[32];
    int listener = -1, fd = -1;

    (void)state;
    assert_int_equal(ferry_os_listen(&address, 1, &listener, NULL), FERRY_OK);
    assert_int_equal(ferry_os_listen_port(listener, &address.port), FERRY_OK);
    (void)snprintf(port, sizeof(port), "127.0.0.1:%u: ", (unsigned)address.port);
    assert_int_equal(ferry_os_listen(&address, 1, &fd, &error), FERRY_E_EXISTS);
    assert_non_null(strstr(error.text, port));
    ferry_os_close(&listener);
    assert_int_equal(ferry_os_connect(&address, 2000, &fd, &error), FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, port));
    address = parse("tcp:[::1]:65535");
    ferry_os_address_text(&address, text);
    assert_string_equal(text, "[::1]:65535");
    address = parse("unix:/run/x.sock");
    ferry_os_address_text(&address, text);
    assert_string_equal(text, "/run/x.sock");
}

static void tcp_listens_on_loopback_only(void **state)
{
    static const char *const open_to_others[] = { "tcp:0.0.0.0:0", "tcp:[::]:0",
                                                  "tcp:192.0.2.1:0",
                                                  "tcp:[2001:db8::1]:0",
                                                  "tcp:[::ffff:192.0.2.1]:0" };
    struct ferry_error error;
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < sizeof(open_to_others) / sizeof(open_to_others[0]); i++) {
        const struct ferry_os_address address = parse(open_to_others[i]);

        memset(&error, 0, sizeof(error));
        assert_int_equal(ferry_os_listen(&address, 1, &fd, &error), FERRY_E_PERMISSION);
        assert_non_null(strstr(error.text, "loopback"));
        assert_int_equal(fd, -1);
    }
    {
        const struct ferry_os_address address = parse("tcp:127.1.2.3:0");

        assert_int_equal(ferry_os_listen(&address, 1, &fd, NULL), FERRY_OK);
        ferry_os_close(&fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read),
        cmocka_unit_test(malformed_addresses_are_refused_with_a_reason),
        cmocka_unit_test(a_unix_listener_accepts_and_its_file_is_private),
        cmocka_unit_test(a_dead_socket_file_is_replaced_and_a_live_one_is_not),
        cmocka_unit_test(a_file_that_is_no_socket_is_left_alone),
        cmocka_unit_test(of_many_starters_over_a_dead_socket_file_one_wins),
        cmocka_unit_test(a_full_backlog_ends_a_connect_at_its_limit),
        cmocka_unit_test(a_socket_in_no_folder_is_not_found),
        cmocka_unit_test(tcp_connects_over_loopback_without_delay),
        cmocka_unit_test(messages_name_host_and_port),
        cmocka_unit_test(tcp_listens_on_loopback_only),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
