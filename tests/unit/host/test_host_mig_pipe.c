/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ferry/device.h"
#include "ferry/host.h"
#include "os/memory.h"
#include "os/socket.h"

/* Large state between two served devices: over their data descriptors, by messages, and
 * with devices that fail in the middle. */

#define STATE_BYTES ((5u << 20) + 17u)

struct served {
    char path[64];
    uint8_t *bytes;
    size_t at, shown; /* shown: how much pre-copy gives */
    size_t fail_at;   /* 0: never */
    struct ferry_device *device;
    struct ferry_server *server;
    pthread_t thread;
};

struct move {
    struct served served[2]; /* source, target */
    struct ferry_context *context[2];
    struct ferry_migrate_options options;
    pthread_t thread;
    int fd;
    int status;
    atomic_int over;
};

/* --- the device --- */

static int arc(void *user, struct ferry_device *device, uint32_t from, uint32_t to)
{
    struct served *served = user;

    (void)device;
    if (to == FERRY_STATE_RESUMING || from == FERRY_STATE_RUNNING) {
        served->at = 0;
    }
    return FERRY_OK;
}

static int save(void *user, struct ferry_device *device, void *ret_data, size_t cap)
{
    struct served *served = user;
    size_t end =
        ferry_device_state(device) == FERRY_STATE_STOP_COPY ? STATE_BYTES : served->shown;
    size_t count = end > served->at ? end - served->at : 0;

    if (served->fail_at > 0 && served->at >= served->fail_at) {
        return FERRY_E_CORRUPT;
    }
    count = count < cap ? count : cap;
    memcpy(ret_data, served->bytes + served->at, count);
    served->at += count;
    return count == 0 && end != STATE_BYTES ? FERRY_E_DRY : (int)count;
}

static int load(void *user, struct ferry_device *device, const void *data, size_t count)
{
    struct served *served = user;

    (void)device;
    if (served->fail_at > 0 && served->at >= served->fail_at) {
        return FERRY_E_INCOMPATIBLE;
    }
    if (count > STATE_BYTES - served->at) {
        return FERRY_E_LONG;
    }
    memcpy(served->bytes + served->at, data, count);
    served->at += count;
    return FERRY_OK;
}

static int precopy_info(void *user, struct ferry_device *device,
                        struct ferry_device_precopy *ret_info)
{
    const struct served *served = user;

    (void)device;
    ret_info->initial_bytes = served->shown > served->at ? served->shown - served->at : 0;
    ret_info->dirty_bytes = 0;
    return FERRY_OK;
}

static int data_size(void *user, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)user, (void)device;
    *ret_bytes = STATE_BYTES;
    return FERRY_OK;
}

static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                             .arc = arc,
                                             .save = save,
                                             .load = load,
                                             .precopy_info = precopy_info,
                                             .data_size = data_size };

static void *serve(void *user)
{
    ferry_server_run(((struct served *)user)->server);
    return NULL;
}

static void start_device(struct served *served, int number)
{
    struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &ops,
        .state = served,
        .identity = { .model = "pipe",
                      .state_version = 1,
                      .state_version_min = 1,
                      .migration_flags =
                          FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY }
    };
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = served->path };

    served->bytes = malloc(STATE_BYTES);
    assert_non_null(served->bytes);
    for (size_t i = 0; i < STATE_BYTES; i++) {
        served->bytes[i] = number ? 0 : (uint8_t)(i * 7 + i / 4096);
    }
    snprintf(served->path, sizeof(served->path), "/tmp/ferry-pipe-%d-%d", (int)getpid(),
             number);
    assert_int_equal(ferry_device_create(&desc, &served->device, NULL), FERRY_OK);
    assert_int_equal(ferry_server_create(served->device, &options, &served->server, NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&served->thread, NULL, serve, served), 0);
}

static void stop_device(struct served *served)
{
    ferry_server_stop(served->server);
    assert_int_equal(pthread_join(served->thread, NULL), 0);
    ferry_server_destroy(served->server);
    ferry_device_destroy(served->device);
    free(served->bytes);
}

/* --- the move --- */

static void prepare(struct move *move)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };

    memset(move, 0, sizeof(*move));
    move->options.struct_size = sizeof(move->options);
    for (int i = 0; i < 2; i++) {
        start_device(&move->served[i], i);
        assert_int_equal(ferry_context_create(&options, &move->context[i], NULL),
                         FERRY_OK);
        assert_int_equal(
            ferry_context_add_device(move->context[i], "a", move->served[i].path, NULL),
            0);
    }
}

static void *receive(void *user)
{
    struct move *move = user;

    move->status =
        ferry_context_receive_fd(move->context[1], move->fd, &move->options, NULL);
    if (move->status == FERRY_OK) {
        move->status = ferry_context_wait(move->context[1], NULL);
    }
    atomic_store(&move->over, 1);
    return NULL;
}

/* Return: what the source says. */
static int run(struct move *move, struct ferry_error *reterr)
{
    int fd, rc;

    assert_int_equal(ferry_os_socketpair(&fd, &move->fd), FERRY_OK);
    atomic_store(&move->over, 0);
    assert_int_equal(pthread_create(&move->thread, NULL, receive, move), 0);
    rc = ferry_context_send_fd(move->context[0], fd, &move->options, reterr);
    if (rc == FERRY_OK) {
        rc = ferry_context_wait(move->context[0], reterr);
    }
    /* The last words of a migration that failed may still be under way. */
    while (!atomic_load(&move->over)) {
        assert_int_equal(ferry_context_dispatch(move->context[0], 10), FERRY_OK);
    }
    assert_int_equal(pthread_join(move->thread, NULL), 0);
    return rc;
}

static void finish(struct move *move)
{
    for (int i = 0; i < 2; i++) {
        ferry_context_destroy(move->context[i]);
        stop_device(&move->served[i]);
    }
}

static void assert_arrived(struct move *move)
{
    assert_int_equal(move->status, FERRY_OK);
    assert_memory_equal(move->served[1].bytes, move->served[0].bytes, STATE_BYTES);
}

static void a_large_state_arrives_over_the_descriptors(void **state)
{
    struct move move;

    (void)state;
    prepare(&move);
    assert_int_equal(run(&move, NULL), FERRY_OK);
    assert_arrived(&move);
    finish(&move);
}

static void a_state_that_is_given_in_part_before_the_stop_arrives(void **state)
{
    struct move move;

    (void)state;
    prepare(&move);
    move.served[0].shown = STATE_BYTES / 2;
    assert_int_equal(run(&move, NULL), FERRY_OK);
    assert_arrived(&move);
    finish(&move);
}

static void without_descriptors_messages_do(void **state)
{
    struct move move;

    (void)state;
    prepare(&move);
    move.options.no_data_fd = 1;
    move.served[0].shown = STATE_BYTES / 2;
    assert_int_equal(run(&move, NULL), FERRY_OK);
    assert_arrived(&move);
    finish(&move);
}

static void a_device_that_cannot_read_on_goes_back(void **state)
{
    struct ferry_error error;
    struct move move;

    (void)state;
    prepare(&move);
    move.served[0].fail_at = STATE_BYTES / 2;
    assert_int_equal(run(&move, &error), FERRY_E_CORRUPT);
    assert_non_null(strstr(error.text, "device a"));
    assert_int_not_equal(move.status, FERRY_OK);
    assert_int_equal(ferry_device_state(move.served[0].device), FERRY_STATE_RUNNING);
    finish(&move);
}

static void a_device_that_refuses_what_it_gets_sends_the_source_back(void **state)
{
    struct ferry_error error;
    struct move move;

    (void)state;
    prepare(&move);
    move.served[1].fail_at = STATE_BYTES / 2;
    assert_int_equal(run(&move, &error), FERRY_E_INCOMPATIBLE);
    assert_int_equal(move.status, FERRY_E_INCOMPATIBLE);
    assert_int_equal(ferry_device_state(move.served[0].device), FERRY_STATE_RUNNING);
    /* And both can go on. */
    move.served[1].fail_at = 0;
    assert_int_equal(run(&move, NULL), FERRY_OK);
    assert_arrived(&move);
    finish(&move);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_state_arrives_over_the_descriptors),
        cmocka_unit_test(a_state_that_is_given_in_part_before_the_stop_arrives),
        cmocka_unit_test(without_descriptors_messages_do),
        cmocka_unit_test(a_device_that_cannot_read_on_goes_back),
        cmocka_unit_test(a_device_that_refuses_what_it_gets_sends_the_source_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
