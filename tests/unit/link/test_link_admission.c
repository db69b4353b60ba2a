/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_link_fake.h"
#include "test_link_raw.h"

/* Who becomes the client: silence, a second one, VERSION in all its wrong forms. */

static void test_a_silent_client_keeps_nobody_waiting(void **state)
{
    int silent[12];
    size_t i;

    (void)state;
    for (i = 0; i < 12; i++) {
        silent[i] = raw_connect(listening.path);
    }
    raw_assert_serves(listening.path);
    for (i = 0; i < 12; i++) {
        assert_true(raw_is_closed(silent[i]));
        close(silent[i]);
    }
    await_int(&listening.fake.closed_count, 13);
}

static void test_a_second_client_is_told_and_closed(void **state)
{
    uint8_t bytes[512];
    int first = raw_client(listening.path);
    int second = raw_connect(listening.path);

    (void)state;
    raw_send(second, bytes, raw_version(bytes, 7, "{\"capabilities\":{}}"));
    assert_int_equal(raw_receive(second, bytes, sizeof(bytes)), 16);
    assert_int_equal(raw_u16(bytes, 0), 7);
    assert_int_equal(raw_u16(bytes, 2), RAW_VERSION);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY_ERROR);
    assert_int_equal(raw_u32(bytes, 12), 16); /* EBUSY */
    assert_true(raw_is_closed(second));
    close(second);
    raw_assert_alive(first);
    close(first);
}

static void test_a_second_client_learns_that_the_server_is_busy(void **state)
{
    int first = raw_client(listening.path);
    struct ferry_client *second = NULL;
    struct ferry_error error = { .code = 0 };

    (void)state;
    assert_int_equal(ferry_client_connect(listening.path, NULL, &second, &error),
                     FERRY_E_BUSY);
    assert_int_equal(error.code, FERRY_E_BUSY);
    assert_non_null(strstr(error.text, "another client"));
    close(first);
    await_int(&listening.fake.attached, 0);
    assert_int_equal(ferry_client_connect(listening.path, NULL, &second, NULL), FERRY_OK);
    ferry_client_close(second);
}

static void test_a_client_may_follow_at_once(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 50; i++) {
        raw_assert_serves(listening.path);
    }
    await_int(&listening.fake.detaches, 50);
}

static void test_bad_versions_are_refused(void **state)
{
    static const char *const text[] = {
        "{",
        "[]",
        "{\"capabilities\":7}",
        "{\"capabilities\":{\"max_msg_fds\":\"x\"}}",
        "{\"capabilities\":{\"max_data_xfer_size\":0}}",
        "{\"capabilities\":{\"pgsizes\":-1}}",
        "{\"capabilities\":{\"ferry\":{\"version\":true}}}",
    };
    uint8_t bytes[512];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        int fd = raw_connect(listening.path);

        raw_send(fd, bytes, raw_version(bytes, 8, text[i]));
        raw_assert_error(fd, 8, RAW_VERSION);
        assert_true(raw_is_closed(fd));
        close(fd);
    }
    assert_int_equal(atomic_load(&listening.fake.attaches), 0);
    raw_assert_serves(listening.path);
}

static void test_another_major_version_is_refused(void **state)
{
    uint8_t bytes[64];
    int fd = raw_connect(listening.path);
    size_t size = raw_version(bytes, 8, NULL);

    (void)state;
    bytes[16] = 1;
    raw_send(fd, bytes, size);
    raw_assert_error(fd, 8, RAW_VERSION);
    assert_true(raw_is_closed(fd));
    close(fd);
    await_int(&listening.fake.closed_code, FERRY_E_VERSION);
}

static void test_a_higher_minor_version_is_answered_with_ours(void **state)
{
    uint8_t bytes[512];
    int fd = raw_connect(listening.path);
    size_t size = raw_version(bytes, 8, NULL);

    (void)state;
    bytes[18] = 77;
    raw_send(fd, bytes, size);
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    assert_true(raw_u16(bytes, 18) < 77);
    close(fd);
}

static void test_nothing_is_served_before_version(void **state)
{
    uint8_t payload[16] = { 16 };
    uint8_t bytes[64];
    int fd = raw_connect(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_message(bytes, 1, RAW_GET_INFO, 0, payload, 16));
    raw_assert_error(fd, 1, RAW_GET_INFO);
    assert_true(raw_is_closed(fd));
    close(fd);
    assert_int_equal(atomic_load(&listening.fake.attaches), 0);
}

static void test_a_client_without_the_extension_is_told_nothing_of_it(void **state)
{
    uint8_t bytes[2048] = { 0 };
    int fd = raw_connect(listening.path);

    (void)state;
    raw_send(fd, bytes, raw_version(bytes, 1, "{\"capabilities\":{}}"));
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
    assert_null(strstr((const char *)bytes + 20, "ferry"));
    assert_null(strstr((const char *)bytes + 20, "max_msg_fds"));
    close(fd);
}

static void
test_a_client_of_few_fds_is_told_no_number_that_it_calls_malformed(void **state)
{
    static const char *const said[] = { "{\"capabilities\":{\"max_msg_fds\":8}}",
                                        "{\"capabilities\":{\"max_msg_fds\":17}}" };
    static const char *const told[] = { "\"max_msg_fds\":16", "\"max_msg_fds\":64" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        uint8_t bytes[2048] = { 0 };
        int fd = raw_connect(listening.path);

        raw_send(fd, bytes, raw_version(bytes, 1, said[i]));
        assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
        assert_non_null(strstr((const char *)bytes + 20, told[i]));
        close(fd);
    }
}

static void test_a_path_in_use_is_not_taken_over(void **state)
{
    struct ferry_link_server *server;
    struct ferry_loop *loop;
    struct fake fake;
    char path[200];

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(ferry_link_server_listen(listening.path, &fake.endpoint, loop, NULL,
                                              &server, NULL),
                     FERRY_E_EXISTS);
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[sizeof(path) - 1] = 0;
    assert_int_equal(
        ferry_link_server_listen(path, &fake.endpoint, loop, NULL, &server, NULL),
        FERRY_E_LIMIT);
    ferry_loop_destroy(loop);
    fake_free(&fake);
    raw_assert_serves(listening.path);
}

/* Answers one handshake in this thread. */
static void shake_hands_here(struct ferry_loop *loop, int fd)
{
    uint8_t bytes[1024];

    raw_send(fd, bytes, raw_version(bytes, 1, NULL));
    ferry_loop_dispatch(loop, 0);
    ferry_loop_dispatch(loop, 0);
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) >= 20);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
}

static void test_a_successor_is_admitted_although_the_close_was_not_yet_seen(void **state)
{
    struct ferry_link_server *server;
    struct ferry_loop *loop;
    struct fake fake;
    char path[128];
    int first;
    int second;

    (void)state;
    snprintf(path, sizeof(path), "%s2", listening.path);
    fake_init(&fake);
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(
        ferry_link_server_listen(path, &fake.endpoint, loop, NULL, &server, NULL),
        FERRY_OK);
    first = raw_connect(path);
    ferry_loop_dispatch(loop, 0);
    shake_hands_here(loop, first);
    assert_int_equal(ferry_link_server_busy(server), 1);
    /* The listener's event comes first. */
    second = raw_connect(path);
    close(first);
    ferry_loop_dispatch(loop, 0);
    shake_hands_here(loop, second);
    assert_int_equal(atomic_load(&fake.attaches), 2);
    close(second);
    ferry_link_server_destroy(server);
    ferry_loop_destroy(loop);
    fake_free(&fake);
}

static struct ferry_link_server *doomed;

static void destroy_it(void *user, const struct ferry_error *error)
{
    *(int *)user = error->code;
    ferry_link_server_destroy(doomed);
    doomed = NULL;
}

static void test_the_server_may_be_destroyed_when_its_client_goes(void **state)
{
    int code = 0;
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .closed = destroy_it,
                                                 .user = &code };
    struct ferry_loop *loop;
    struct fake fake;
    int a;
    int b;

    (void)state;
    fake_init(&fake);
    assert_int_equal(ferry_loop_create(&loop), FERRY_OK);
    assert_int_equal(ferry_os_socketpair(&a, &b), FERRY_OK);
    assert_int_equal(
        ferry_link_server_from_fd(b, &fake.endpoint, loop, &options, &doomed, NULL),
        FERRY_OK);
    shake_hands_here(loop, a);
    close(a);
    ferry_loop_dispatch(loop, 0);
    ferry_loop_dispatch(loop, 0);
    assert_null(doomed);
    assert_int_equal(code, FERRY_E_CLOSED);
    assert_int_equal(atomic_load(&fake.detaches), 1);
    ferry_loop_destroy(loop);
    fake_free(&fake);
}

static int start_patient(void **state)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .handshake_timeout_ms = 60000 };

    (void)state;
    served_listen(&listening, &options);
    return 0;
}

static void test_of_too_many_silent_clients_the_oldest_goes(void **state)
{
    int silent[9];
    int i;

    (void)state;
    for (i = 0; i < 9; i++) {
        silent[i] = raw_connect(listening.path);
    }
    assert_true(raw_is_closed(silent[0]));
    /* The others can still become the client. */
    raw_handshake(silent[1]);
    raw_assert_alive(silent[1]);
    for (i = 0; i < 9; i++) {
        close(silent[i]);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, listening_start, listening_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_silent_client_keeps_nobody_waiting),
        TEST(test_a_second_client_is_told_and_closed),
        TEST(test_a_second_client_learns_that_the_server_is_busy),
        TEST(test_a_client_may_follow_at_once),
        TEST(test_bad_versions_are_refused),
        TEST(test_another_major_version_is_refused),
        TEST(test_a_higher_minor_version_is_answered_with_ours),
        TEST(test_nothing_is_served_before_version),
        TEST(test_a_client_without_the_extension_is_told_nothing_of_it),
        TEST(test_a_client_of_few_fds_is_told_no_number_that_it_calls_malformed),
        TEST(test_a_path_in_use_is_not_taken_over),
        TEST(test_a_successor_is_admitted_although_the_close_was_not_yet_seen),
        TEST(test_the_server_may_be_destroyed_when_its_client_goes),
        cmocka_unit_test_setup_teardown(test_of_too_many_silent_clients_the_oldest_goes,
                                        start_patient, listening_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
