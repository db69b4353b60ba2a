/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_foreign_rig.h"
#include "test_bridge_v1_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/socket.h"

/* Devices of servers without any extension: moved, refused, lost. */

static void its_data_goes_by_messages_and_comes_back(void **state)
{
    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 5 * MIB + 123, 0);
    end_save(&bridge_end, &data, MIB);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    foreign_load();
    /* 161 writes of 32 KiB became some of 1 MiB. */
    assert_int_equal(server.writes, 6);
    assert_int_equal(server.largest, MIB);
}

static void a_vmm_of_v1_moves_it_too(void **state)
{
    uint64_t pending;
    int rc;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY, 3 * MIB + 5, 2 * MIB);
    assert_int_equal(bridge_v1_create(&bridge_end.device), 0);
    assert_int_equal(v1_save_setup(&bridge_end), 0);
    while ((rc = v1_save_iterate(&bridge_end, &data, 1)) == 0) {
    }
    assert_int_equal(rc, 1);
    assert_true(data.size > 2 * MIB);
    assert_int_equal(v1_stop(&bridge_end), 0);
    assert_int_equal(v1_save_complete(&bridge_end, &data, 1), 0);
    assert_int_equal(v1_load_setup(&bridge_end), 0);
    assert_int_equal(v1_load(&bridge_end, &data, 1), 0);
    assert_int_equal(server.loaded, server.state_bytes);
    assert_int_equal(server.spoilt, 0);
    assert_int_equal(v1_start(&bridge_end), 0);
    assert_int_equal(server.state, FERRY_STATE_RUNNING);
    /* It refuses every change from here on: that fails a save, and nothing else. */
    server.refuse_set = 1;
    assert_true(v1_save_setup(&bridge_end) < 0);
    assert_int_equal(v1_stop(&bridge_end), 0);
    assert_int_equal(v1_start(&bridge_end), 0);
    assert_int_equal(v1_try_get(&bridge_end, FERRY_V1_PENDING_OFF, 8, &pending), 0);
    assert_int_equal(pending, 0);
    bridge_v1_destroy(&bridge_end.device);
}

static void every_length_comes_whole(void **state)
{
    static const uint64_t sizes[] = { 0, 1, 4095, MIB - 16, MIB, 2 * MIB - 32, 3 * MIB };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        foreign_begin(FERRY_MIG_STOP_COPY, sizes[i], 0);
        end_save(&bridge_end, &data, i % 2 ? MIB : 50000);
        assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
        foreign_load();
        if (i + 1 < sizeof(sizes) / sizeof(sizes[0])) {
            (void)foreign_end(NULL);
        }
    }
}

static void small_messages_of_a_server_are_kept(void **state)
{
    (void)state;
    server.json = "{\"capabilities\":{\"max_data_xfer_size\":65536}}";
    foreign_begin(FERRY_MIG_STOP_COPY, MIB + 7, 0);
    end_save(&bridge_end, &data, MIB);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    foreign_load();
    assert_int_equal(server.largest, 65536);
}

static void what_it_has_before_the_stop_comes_first(void **state)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    uint64_t bytes;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY, 3 * MIB, 2 * MIB);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_PRE_COPY), 0);
    /* It tells nothing: something initial is assumed until it has nothing for now. */
    assert_int_equal(vmm_ioctl(bridge_end.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_true(info.initial_bytes > 0);
    assert_int_equal(end_read_all(&bridge_end, &data, MIB), -ENOMSG);
    assert_int_equal(vmm_ioctl(bridge_end.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes + info.dirty_bytes, 0);
    assert_int_equal(bridge_migration_data_size(bridge_end.device.migration, &bytes), 0);
    assert_true(bytes >= MIB && bytes < 2 * MIB);
    end_said(&bridge_end, "does not tell how long");
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(end_read_all(&bridge_end, &data, MIB), 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    foreign_load();
    /* Now it is known how much that was. */
    assert_int_equal(bridge_migration_data_size(bridge_end.device.migration, &bytes), 0);
    assert_true(bytes >= 3 * MIB);
}

static void a_state_that_is_left_early_drops_what_was_read_ahead(void **state)
{
    uint8_t byte;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(vmm_read(bridge_end.fd, &byte, 1), 1);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(vmm_read(bridge_end.fd, &byte, 1), -ENODEV);
    end_save(&bridge_end, &data, MIB);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    foreign_load();
}

static void what_was_read_ahead_outlives_a_refused_change(void **state)
{
    uint8_t first[256];
    ssize_t got;
    int fd;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    got = vmm_read(bridge_end.fd, first, sizeof(first));
    assert_true(got > 0);
    bytes_add(&data, first, (size_t)got);
    server.refuse_set = 1;
    assert_true(bridge_migration_set_state(bridge_end.device.migration, FERRY_STATE_STOP,
                                           &fd) < 0);
    server.refuse_set = 0;
    assert_int_equal(end_read_all(&bridge_end, &data, MIB), 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    foreign_load();
}

static void a_refused_state_fails_the_last_write(void **state)
{
    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 100000, 0);
    end_save(&bridge_end, &data, MIB);
    server.state_bytes++;
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&bridge_end, &data, 32768), -EINVAL);
    assert_int_equal(server.state, FERRY_STATE_RESUMING);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), -EINVAL);
    assert_int_equal(atomic_load(&bridge_end.alarms), 1);
}

/* QEMU never asks for the state that it believes in. */
static void a_state_that_outlives_a_client_or_a_reset_is_left_for_running(void **state)
{
    (void)state;
    server.first_state = FERRY_STATE_STOP;
    foreign_begin(FERRY_MIG_STOP_COPY, 1000, 0);
    assert_int_equal(server.state, FERRY_STATE_RUNNING);
    end_said(&bridge_end, "begins in STOP");
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    bridge_migration_reset(bridge_end.device.migration);
    assert_int_equal(server.state, FERRY_STATE_RUNNING);
    assert_int_equal(end_get(&bridge_end), FERRY_STATE_RUNNING);
    end_said(&bridge_end, "after a reset in STOP_COPY");
    /* Half a state must not run. */
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RESUMING), 0);
    bridge_migration_reset(bridge_end.device.migration);
    assert_int_equal(server.state, FERRY_STATE_RESUMING);
}

static void a_server_that_dies_on_the_way_back_is_not_replaced(void **state)
{
    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 1000, 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP), 0);
    server.refuse_set = 1;
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), -EBUSY);
    server.die_at = 100 + FERRY_STATE_RUNNING;
    assert_int_equal(bridge_migration_recover(bridge_end.device.migration), 1);
    end_said(&bridge_end, "stays lost");
    assert_int_equal(atomic_load(&bridge_end.alarms), 0);
}

/* A server's end of a data descriptor: to every WANT it answers that there is nothing. */
static void *be_dry(void *user)
{
    const int *fd = user;
    struct ferry_frame_stream out, in;
    struct ferry_frame frame;
    uint8_t head[FERRY_FRAME_BYTES];

    ferry_frame_stream_init(&out, FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&in, FERRY_FRAME_SAVE_CLIENT);
    while (recv(*fd, head, sizeof(head), MSG_WAITALL) == (ssize_t)sizeof(head) &&
           ferry_frame_decode(&in, head, &frame, NULL) == FERRY_OK) {
        ferry_frame_encode(&out, FERRY_FRAME_DRY, 0, 0, head);
        if (send(*fd, head, sizeof(head), MSG_NOSIGNAL) < 0) {
            break;
        }
    }
    return NULL;
}

/* QEMU reads to the end while its guest stands still. */
static void data_without_an_end_fails_the_read(void **state)
{
    struct bridge_save *save;
    uint8_t *buffer = malloc(MIB);
    ssize_t rc;

    (void)state;
    assert_non_null(buffer);
    foreign_begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    save = bridge_end.device.migration->data->save;
    assert_int_equal(save->limit, BRIDGE_STOPPED_UNKNOWN_BYTES);
    save->limit = 3 * MIB;
    do {
        rc = vmm_read(bridge_end.fd, buffer, MIB);
    } while (rc > 0);
    assert_true(rc < 0);
    end_said(&bridge_end, "does not end");
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
    free(buffer);
}

/* The bridge's end of a data descriptor that is played by this test. */
static struct bridge_pipe *play_pipe(int loading, int ends[2])
{
    struct bridge_pipe *pipe = &bridge_end.device.migration->pipe;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ferry_frame_stream_init(&pipe->in,
                            loading ? FERRY_FRAME_LOAD_SERVER : FERRY_FRAME_SAVE_SERVER);
    ferry_frame_stream_init(&pipe->out,
                            loading ? FERRY_FRAME_LOAD_CLIENT : FERRY_FRAME_SAVE_CLIENT);
    pipe->timeout_ms = 300;
    assert_int_equal(ferry_os_receive_limit(ends[0], 300), FERRY_OK);
    assert_int_equal(ferry_os_send_limit(ends[0], 300), FERRY_OK);
    pipe->fd = ends[0];
    return pipe;
}

static void a_stopped_device_that_says_nothing_for_now_fails_the_read(void **state)
{
    struct bridge_pipe *pipe;
    pthread_t thread;
    uint8_t buffer[4096];
    ssize_t rc = 0;
    int ends[2], i;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, MIB, 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), 0);
    pipe = play_pipe(0, ends);
    assert_int_equal(pthread_create(&thread, NULL, be_dry, &ends[1]), 0);
    for (i = 0; i < 2 && rc >= 0; i++) {
        rc = vmm_read(bridge_end.fd, buffer, sizeof(buffer));
    }
    assert_int_equal(rc, -EIO);
    bridge_pipe_close(pipe);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(ends[1]);
}

/* A server that gives or takes a byte each 20 ms: a read or a write of all would last for
 * hours. */
static int drip_fd;
static int drip_gives;
static atomic_int drip_over;

static void *drip(void *user)
{
    struct ferry_frame_stream out;
    uint8_t head[FERRY_FRAME_BYTES], byte = 0;
    ssize_t rc = 1;

    (void)user;
    ferry_frame_stream_init(&out, FERRY_FRAME_SAVE_SERVER);
    ferry_frame_encode(&out, FERRY_FRAME_DATA, FERRY_FRAME_DATA_MAX, 0, head);
    if (drip_gives) {
        rc = send(drip_fd, head, sizeof(head), MSG_NOSIGNAL);
    }
    while (rc > 0 && !atomic_load(&drip_over)) {
        ferry_os_sleep_ns(20 * FERRY_NS_PER_MS);
        rc = drip_gives ? send(drip_fd, &byte, 1, MSG_NOSIGNAL)
                        : recv(drip_fd, &byte, 1, 0);
    }
    return NULL;
}

static void begin_drip(int gives, struct bridge_pipe **ret_pipe, pthread_t *ret_thread)
{
    int ends[2];

    foreign_begin(FERRY_MIG_STOP_COPY, MIB, 0);
    assert_int_equal(
        end_set(&bridge_end, gives ? FERRY_STATE_STOP_COPY : FERRY_STATE_RESUMING), 0);
    *ret_pipe = play_pipe(!gives, ends);
    drip_gives = gives;
    drip_fd = ends[1];
    atomic_store(&drip_over, 0);
    assert_int_equal(pthread_create(ret_thread, NULL, drip, NULL), 0);
}

static void end_drip(struct bridge_pipe *pipe, pthread_t thread)
{
    bridge_pipe_close(pipe);
    atomic_store(&drip_over, 1);
    assert_int_equal(pthread_join(thread, NULL), 0);
    close(drip_fd);
}

static void a_server_that_drips_is_waited_for_no_longer_than_its_limit(void **state)
{
    struct bridge_pipe *pipe;
    uint8_t *buffer = calloc(4, MIB);
    pthread_t thread;
    struct bytes stream;

    (void)state;
    assert_non_null(buffer);
    begin_drip(1, &pipe, &thread);
    assert_in_range(vmm_read(bridge_end.fd, buffer, MIB), 1, MIB); /* the header */
    assert_in_range(vmm_read(bridge_end.fd, buffer, MIB), 17, MIB - 1);
    end_drip(pipe, thread);
    (void)foreign_end(NULL);
    foreign_begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
    end_save(&bridge_end, &data, MIB);
    stream = data;
    memset(&data, 0, sizeof(data));
    (void)foreign_end(NULL);
    data = stream;
    begin_drip(0, &pipe, &thread);
    assert_int_equal(end_write_all(&bridge_end, &data, MIB), -EIO);
    end_said(&bridge_end, "within its limit");
    end_drip(pipe, thread);
    free(buffer);
}

static void assert_dead(void)
{
    uint64_t bytes;

    /* A state in which it is not: to stay where it is needs no server. */
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RESUMING), -EIO);
    assert_int_equal(bridge_migration_data_size(bridge_end.device.migration, &bytes),
                     -EIO);
    /* QEMU's recovery: nobody is looked for, since another server has another state. */
    assert_int_equal(bridge_migration_recover(bridge_end.device.migration), 1);
    end_said(&bridge_end, "stays lost");
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_STOP_COPY), -EIO);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
}

static void it_dies_or_hushes(uint32_t at)
{
    uint8_t *buffer = malloc(MIB);
    ssize_t rc = 0;

    assert_non_null(buffer);
    foreign_begin(FERRY_MIG_STOP_COPY, 5 * MIB, 0);
    if (end_set(&bridge_end, FERRY_STATE_STOP_COPY) == 0) {
        assert_int_equal(at, READ);
        do {
            rc = vmm_read(bridge_end.fd, buffer, MIB);
        } while (rc > 0);
        assert_int_equal(rc, -EIO);
    } else {
        assert_int_not_equal(at, READ);
    }
    assert_dead();
    free(buffer);
}

static void its_death_fails_everything_at_the_source(void **state)
{
    static const uint32_t at[] = { READ, 100 + FERRY_STATE_STOP,
                                   100 + FERRY_STATE_STOP_COPY };
    size_t i;

    (void)state;
    for (i = 0; i < 5; i++) {
        server.die_at = i < 3 ? at[i] : 0;
        server.hush_at = i < 3 ? 0 : at[i - 3];
        it_dies_or_hushes(at[i % 3]);
        if (i < 4) {
            (void)foreign_end(NULL);
        }
    }
}

static void its_death_fails_everything_at_the_target(void **state)
{
    size_t i;

    (void)state;
    foreign_begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
    end_save(&bridge_end, &data, MIB);
    for (i = 0; i < 3; i++) {
        struct bytes kept = data;

        memset(&data, 0, sizeof(data));
        (void)foreign_end(NULL);
        data = kept;
        server.die_at = i == 0 ? WRITE : i == 1 ? 100 + FERRY_STATE_STOP : 0;
        server.hush_at = i == 2 ? WRITE : 0;
        foreign_begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
        server.state = FERRY_STATE_STOP;
        bridge_end.device.migration->server = FERRY_STATE_STOP;
        assert_int_equal(end_set(&bridge_end, FERRY_STATE_RESUMING), 0);
        assert_int_equal(end_write_all(&bridge_end, &data, 32768), -EIO);
        assert_true(end_set(&bridge_end, FERRY_STATE_RUNNING) < 0);
        assert_int_equal(atomic_load(&bridge_end.alarms), 1);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, foreign_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_data_goes_by_messages_and_comes_back),
        TEST(a_vmm_of_v1_moves_it_too),
        TEST(every_length_comes_whole),
        TEST(small_messages_of_a_server_are_kept),
        TEST(what_it_has_before_the_stop_comes_first),
        TEST(a_state_that_is_left_early_drops_what_was_read_ahead),
        TEST(what_was_read_ahead_outlives_a_refused_change),
        TEST(a_refused_state_fails_the_last_write),
        TEST(a_state_that_outlives_a_client_or_a_reset_is_left_for_running),
        TEST(a_server_that_dies_on_the_way_back_is_not_replaced),
        TEST(data_without_an_end_fails_the_read),
        TEST(a_stopped_device_that_says_nothing_for_now_fails_the_read),
        TEST(a_server_that_drips_is_waited_for_no_longer_than_its_limit),
        TEST(its_death_fails_everything_at_the_source),
        TEST(its_death_fails_everything_at_the_target),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
