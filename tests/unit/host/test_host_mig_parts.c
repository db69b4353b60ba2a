/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/clock.h"
#include "os/memory.h"
#include "os/socket.h"
#include "test_host_mig_rig.h"

#define LIMIT_MS 4000u

/* --- the arbiter --- */

static void the_first_decision_stands(void **state)
{
    char folder[] = "/tmp/ferry-decision-XXXXXX", text[64], path[128];
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    uint32_t decision = 99;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(text, sizeof(text), "file:%s", folder);
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_OK);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_NONE, &decision, &error),
        FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_NONE);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_ABORT, &decision, &error),
        FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_ABORT);
    assert_int_equal(ferry_arbiter_decide(&arbiter, 0xabc, 0, FERRY_DECISION_COMMIT,
                                          &decision, &error),
                     FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_ABORT);
    /* Another epoch is another decision. */
    assert_int_equal(ferry_arbiter_decide(&arbiter, 0xabc, 1, FERRY_DECISION_COMMIT,
                                          &decision, &error),
                     FERRY_OK);
    assert_int_equal(decision, FERRY_DECISION_COMMIT);
    for (int epoch = 0; epoch < 2; epoch++) {
        snprintf(path, sizeof(path), "%s/0000000000000abc-%d", folder, epoch);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void an_arbiter_that_cannot_be_asked_says_so(void **state)
{
    char folder[] = "/tmp/ferry-decision-XXXXXX", text[64], path[128];
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    uint32_t decision = 99;
    FILE *file;

    (void)state;
    assert_int_equal(ferry_arbiter_parse("file:/no/such/folder", &arbiter, &error),
                     FERRY_OK);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_COMMIT, &decision, &error),
        FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_NONE, &decision, &error),
        FERRY_E_NOT_FOUND);
    assert_non_null(mkdtemp(folder));
    snprintf(text, sizeof(text), "file:%s", folder);
    snprintf(path, sizeof(path), "%s/0000000000000001-0", folder);
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_OK);
    file = fopen(path, "w");
    assert_non_null(file);
    fputs("perhaps\n", file);
    fclose(file);
    assert_int_equal(
        ferry_arbiter_decide(&arbiter, 1, 0, FERRY_DECISION_COMMIT, &decision, &error),
        FERRY_E_CORRUPT);
    assert_int_equal(decision, 99);
    unlink(path);
    rmdir(folder);
}

static void only_known_arbiters_are_taken(void **state)
{
    struct ferry_arbiter arbiter;
    struct ferry_error error;
    char text[FERRY_OS_PATH_MAX + 32];

    (void)state;
    assert_int_equal(ferry_arbiter_parse("none", &arbiter, &error), FERRY_OK);
    assert_int_equal(arbiter.kind, FERRY_ARBITER_NONE);
    assert_int_equal(ferry_arbiter_parse(NULL, &arbiter, &error), FERRY_OK);
    assert_int_equal(ferry_arbiter_parse("etcd:x", &arbiter, &error), FERRY_E_ARGUMENT);
    assert_int_equal(ferry_arbiter_parse("file:relative", &arbiter, &error),
                     FERRY_E_ARGUMENT);
    memset(text, 'x', sizeof(text) - 1);
    memcpy(text, "file:/", 6);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(ferry_arbiter_parse(text, &arbiter, &error), FERRY_E_LIMIT);
}

/* --- listening --- */

static const struct ferry_migrate_options impatient = { .struct_size = sizeof(impatient),
                                                        .peer_limit_ms = 80 };

static int connect_to(const char *text)
{
    struct ferry_os_address address;
    struct ferry_error error;
    int fd = -1;

    assert_int_equal(ferry_os_address_parse(text, &address, &error), FERRY_OK);
    assert_int_equal(ferry_os_connect(&address, 1000, &fd, &error), FERRY_OK);
    return fd;
}

static int contains(const uint8_t *bytes, size_t size, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i + length <= size; i++) {
        if (memcmp(bytes + i, text, length) == 0) {
            return 1;
        }
    }
    return 0;
}

/* Turns until the listener has said why it refuses. */
static void expect_words(struct rig *rig, int fd, const char *text)
{
    uint8_t bytes[1024];
    size_t got = 0;

    for (int i = 0; i < 1000 && !contains(bytes, got, text); i++) {
        ssize_t count;

        rig_turn(rig);
        count = recv(fd, bytes + got, sizeof(bytes) - got, MSG_DONTWAIT);
        got += count > 0 ? (size_t)count : 0;
    }
    assert_true(contains(bytes, got, text));
}

static void move_to(struct rig *rig, const char *address)
{
    struct ferry_error error = { .code = FERRY_OK };

    rig_fill(rig, 1);
    if (ferry_context_send(rig->side[0].context, address, NULL, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_true(rig_run(rig, LIMIT_MS));
    assert_int_equal(rig_outcome(rig, 0), FERRY_OUTCOME_MOVED);
    assert_int_equal(rig_outcome(rig, 1), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(rig) && rig_state_equal(rig));
}

static void a_listener_goes_on_after_garbage_and_silence(void **state)
{
    struct rig rig;
    struct ferry_error error;
    char address[128];
    int fd;

    (void)state;
    rig_open(&rig, NULL);
    assert_string_equal(ferry_context_address(rig.side[1].context), "");
    assert_int_equal(
        ferry_context_listen(rig.side[1].context, "tcp:127.0.0.1:0", &impatient, &error),
        FERRY_OK);
    snprintf(address, sizeof(address), "%s", ferry_context_address(rig.side[1].context));
    assert_memory_equal(address, "tcp:127.0.0.1:", 14);
    fd = connect_to(address);
    assert_int_equal(write(fd, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", 35), 35);
    expect_words(&rig, fd, "no record begins here");
    ferry_os_close(&fd);
    fd = connect_to(address);
    expect_words(&rig, fd, "did not introduce itself");
    ferry_os_close(&fd);
    fd = connect_to(address);
    ferry_os_close(&fd);
    /* None of them was a migration. */
    assert_int_equal(rig.side[1].finished, 0);
    assert_int_equal(rig.side[1].events[FERRY_HOST_INCOMING], 0);
    move_to(&rig, address);
    assert_string_equal(ferry_context_address(rig.side[1].context), "");
    assert_int_equal(rig.side[1].events[FERRY_HOST_INCOMING], 1);
    rig_close(&rig);
}

static void a_listener_goes_on_after_a_migration_that_failed(void **state)
{
    struct rig rig;
    struct ferry_error error;
    const char *path = "unix:/tmp/ferry-test-mig.sock";

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(ferry_context_listen(rig.side[1].context, path, NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_listen(rig.side[1].context, path, NULL, &error),
                     FERRY_E_BUSY);
    assert_int_equal(ferry_context_send(rig.side[1].context, path, NULL, &error),
                     FERRY_E_BUSY);
    rig.side[0].device[0].fail_to = FERRY_STATE_STOP_COPY;
    rig.side[0].device[0].fail_status = FERRY_E_DEVICE;
    rig.side[0].device[0].fails = 1;
    assert_int_equal(ferry_context_send(rig.side[0].context, path, NULL, &error),
                     FERRY_OK);
    assert_int_equal(ferry_context_send(rig.side[0].context, path, NULL, &error),
                     FERRY_E_BUSY);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_ROLLED_BACK);
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_ROLLED_BACK);
    assert_string_equal(ferry_context_address(rig.side[1].context), path);
    move_to(&rig, path);
    assert_int_not_equal(access(path + 5, F_OK), 0);
    rig_close(&rig);
}

static void a_device_that_dies_beside_a_silent_peer_is_told_of_once(void **state)
{
    struct rig rig;
    struct rig_side *side = &rig.side[1];
    int fd;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(
        ferry_context_listen(side->context, "tcp:127.0.0.1:0", &impatient, NULL),
        FERRY_OK);
    fd = connect_to(ferry_context_address(side->context));
    for (int i = 0; i < 100 && !side->context->migration->run; i++) {
        rig_turn(&rig);
    }
    assert_non_null(side->context->migration->run);
    ferry_host_device_died(side->context->device[0], FERRY_E_CLOSED);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 0);
    ferry_os_close(&fd);
    for (int i = 0; i < 100 && side->context->migration->run; i++) {
        rig_turn(&rig);
    }
    assert_int_equal(side->finished, 0);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 1);
    /* A source that is refused for it is no second death. */
    ferry_context_unlisten(side->context);
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 1), FERRY_OUTCOME_REFUSED);
    assert_int_equal(side->events[FERRY_HOST_DEVICE_LOST], 1);
    rig_close(&rig);
}

static void nobody_listens_for_the_whole_world(void **state)
{
    struct rig rig;
    struct ferry_error error;

    (void)state;
    rig_open(&rig, NULL);
    assert_int_equal(
        ferry_context_listen(rig.side[1].context, "tcp:0.0.0.0:0", NULL, &error),
        FERRY_E_PERMISSION);
    assert_int_equal(
        ferry_context_send(rig.side[0].context, "unix:/no/such/socket", NULL, &error),
        FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_context_send(rig.side[0].context, "smoke:signal", NULL, &error),
        FERRY_E_ARGUMENT);
    /* And can be sent after all of that. */
    assert_int_equal(rig_start(&rig, NULL), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    rig_close(&rig);
}

/* --- the bandwidth limit --- */

static void the_bandwidth_is_limited_before_the_stop(void **state)
{
    struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                             .bandwidth_bytes_per_s = 2u << 20 };
    struct rig rig;

    (void)state;
    rig_open(&rig, NULL);
    rig_fill(&rig, 1);
    assert_int_equal(rig_start(&rig, &options), FERRY_OK);
    assert_true(rig_run(&rig, LIMIT_MS));
    assert_int_equal(rig_outcome(&rig, 0), FERRY_OUTCOME_MOVED);
    assert_true(rig_memory_equal(&rig));
    /* 192 KiB of memory at 2 MiB/s, less one burst of 64 KiB: a lower bound. */
    assert_true(rig.side[0].report.total_ns > 50u * FERRY_NS_PER_MS);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_decision_stands),
        cmocka_unit_test(an_arbiter_that_cannot_be_asked_says_so),
        cmocka_unit_test(only_known_arbiters_are_taken),
        cmocka_unit_test(a_listener_goes_on_after_garbage_and_silence),
        cmocka_unit_test(a_listener_goes_on_after_a_migration_that_failed),
        cmocka_unit_test(a_device_that_dies_beside_a_silent_peer_is_told_of_once),
        cmocka_unit_test(nobody_listens_for_the_whole_world),
        cmocka_unit_test(the_bandwidth_is_limited_before_the_stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
