/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

/* Servers that go, that hang, that come back; several devices at once. */

#define MIB (1u << 20)
#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)
#define DEVICES 3

static struct vault vault[DEVICES];
static struct end end[DEVICES];
static struct bytes data[DEVICES];
static uint32_t timeout_ms;

static void begin_one(int i, uint64_t state_bytes, uint64_t precopy_bytes)
{
    char name[8] = { 'd', (char)('0' + i), '\0' };

    vault_init(&vault[i], ALL, state_bytes, precopy_bytes);
    end_path(&end[i], name);
    vault_serve(&vault[i], end[i].path);
    end[i].device.token.timeout_ms = timeout_ms;
    end_bind(&end[i], &vault[i].identity);
}

static int finish(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < DEVICES; i++) {
        atomic_store(&vault[i].stuck, 0);
        if (end[i].device.link) {
            end_unbind(&end[i]);
        }
        vault_stop(&vault[i]);
        bytes_free(&data[i]);
    }
    timeout_ms = 0;
    return 0;
}

/* What is left in the sockets may come first. */
static void assert_reads_fail(int fd)
{
    uint8_t *buffer = malloc(MIB);
    ssize_t rc;

    assert_non_null(buffer);
    do {
        rc = vmm_read(fd, buffer, MIB);
    } while (rc > 0 || rc == -ENOMSG);
    assert_int_equal(rc, -EIO);
    free(buffer);
}

static void assert_dead(void)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    uint64_t bytes;
    uint32_t state;
    int tries;

    /* Nobody has to ask the server: the service thread finds it gone. */
    for (tries = 0; tries < 500 && !bridge_link_dead(end[0].device.link); tries++) {
        ferry_os_sleep_ns(10 * FERRY_NS_PER_MS);
    }
    assert_int_equal(end_set(&end[0], FERRY_STATE_STOP_COPY), -EIO);
    assert_int_equal(bridge_migration_data_size(end[0].device.migration, &bytes), -EIO);
    assert_int_equal(bridge_migration_get_state(end[0].device.migration, &state), -EIO);
    if (end[0].fd >= 0) {
        assert_true(vmm_ioctl(end[0].fd, UAPI_MIG_GET_PRECOPY_INFO, &info) < 0);
    }
    end_said(&end[0], "lost");
}

/* A reset finds the server again: as bridge_device_reset() does it. */
static void come_back(void)
{
    vault_serve(&vault[0], end[0].path);
    assert_int_equal(bridge_link_reopen(end[0].device.link, NULL), FERRY_OK);
    bridge_migration_reset(end[0].device.migration);
    assert_int_equal(end_get(&end[0]), FERRY_STATE_RUNNING);
    bytes_free(&data[0]);
    end_save(&end[0], &data[0], MIB);
    assert_int_equal(end_set(&end[0], FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&end[0], &data[0], 32768), 0);
    assert_int_equal(end_set(&end[0], FERRY_STATE_RUNNING), 0);
}

static void a_server_that_dies_in_any_state_fails_everything_until_a_reset(void **state)
{
    static const uint32_t in[] = { FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY,
                                   FERRY_STATE_STOP_COPY, FERRY_STATE_RESUMING };
    uint8_t header[64];
    size_t i;

    (void)state;
    begin_one(0, 5 * MIB, 3 * MIB);
    for (i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        assert_int_equal(end_set(&end[0], in[i]), 0);
        if (ferry_state_is_saving(in[i])) {
            assert_int_equal(vmm_read(end[0].fd, header, sizeof(header)), sizeof(header));
        }
        vault_stop(&vault[0]);
        if (ferry_state_is_saving(in[i])) {
            assert_reads_fail(end[0].fd);
        } else if (in[i] == FERRY_STATE_RESUMING) {
            assert_int_equal(end_write_all(&end[0], &data[0], 32768), -EIO);
        }
        assert_dead();
        /* A reset that finds none changes nothing. */
        bridge_migration_reset(end[0].device.migration);
        assert_dead();
        come_back();
        vmm_close(&end[0].fd);
    }
}

/* QEMU stops and starts its devices as the guest does; what is dead has stopped. */
static void a_lost_device_can_be_stopped_and_started_but_not_saved(void **state)
{
    uint32_t i;

    (void)state;
    begin_one(0, 5 * MIB, 0);
    vault_stop(&vault[0]);
    for (i = 0; i < 2; i++) {
        assert_int_equal(end_set(&end[0], FERRY_STATE_RUNNING_P2P), 0);
        assert_int_equal(end_set(&end[0], FERRY_STATE_STOP), 0);
        assert_int_equal(end_set(&end[0], FERRY_STATE_STOP_COPY), -EIO);
        assert_int_equal(end_set(&end[0], FERRY_STATE_RUNNING), 0);
        assert_int_equal(end_set(&end[0], FERRY_STATE_PRE_COPY), -EIO);
        assert_int_equal(end_set(&end[0], FERRY_STATE_RESUMING), -EIO);
    }
}

static void a_server_that_hangs_is_waited_for_no_longer_than_its_limit(void **state)
{
    (void)state;
    timeout_ms = 300;
    begin_one(0, 5 * MIB, 0);
    assert_int_equal(end_set(&end[0], FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&end[0], FERRY_STATE_STOP_COPY), 0);
    atomic_store(&vault[0].stuck, 1);
    assert_reads_fail(end[0].fd);
    end_said(&end[0], "cannot be read");
    atomic_store(&vault[0].stuck, 0);
}

static void *lose(void *user)
{
    (void)user;
    ferry_os_sleep_ns(20 * FERRY_NS_PER_MS);
    bridge_migration_lost(end[0].device.migration);
    return NULL;
}

static void whoever_waits_for_data_hears_of_a_lost_server(void **state)
{
    pthread_t thread;

    (void)state;
    timeout_ms = 600000; /* would hang here if nobody woke it */
    begin_one(0, 5 * MIB, 0);
    assert_int_equal(end_set(&end[0], FERRY_STATE_STOP), 0);
    atomic_store(&vault[0].stuck, 1);
    assert_int_equal(end_set(&end[0], FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(pthread_create(&thread, NULL, lose, NULL), 0);
    assert_reads_fail(end[0].fd);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void whoever_polls_for_data_hears_of_a_lost_server(void **state)
{
    struct pollfd poll_fd = { .events = POLLIN };

    (void)state;
    begin_one(0, 5 * MIB, 1000);
    assert_int_equal(end_set(&end[0], FERRY_STATE_PRE_COPY), 0);
    assert_int_equal(end_read_all(&end[0], &data[0], MIB), -ENOMSG);
    assert_false(vmm_readable(end[0].fd));
    vault_stop(&vault[0]);
    poll_fd.fd = end[0].fd;
    assert_int_equal(poll(&poll_fd, 1, 5000), 1);
    assert_reads_fail(end[0].fd);
    assert_true(vmm_readable(end[0].fd));
}

/* One device's thread, as QEMU's for each with multifd. */
static void *move_one(void *user)
{
    struct end *mine = user;
    struct bytes *bytes = &data[mine - end];
    int round;

    for (round = 0; round < 4; round++) {
        bytes_free(bytes);
        end_save(mine, bytes, MIB);
        assert_int_equal(end_set(mine, FERRY_STATE_RESUMING), 0);
        assert_int_equal(end_write_all(mine, bytes, MIB), 0);
        assert_int_equal(end_set(mine, FERRY_STATE_RUNNING), 0);
    }
    return NULL;
}

static void several_devices_move_at_once_while_the_main_thread_asks(void **state)
{
    pthread_t thread[DEVICES];
    uint64_t bytes;
    uint32_t is;
    int i, ask;

    (void)state;
    for (i = 0; i < DEVICES; i++) {
        begin_one(i, 2 * MIB + (uint64_t)i, 0);
    }
    for (i = 0; i < DEVICES; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, move_one, &end[i]), 0);
    }
    for (ask = 0; ask < 2000; ask++) {
        i = ask % DEVICES;
        assert_int_equal(bridge_migration_data_size(end[i].device.migration, &bytes), 0);
        assert_int_equal(bridge_migration_get_state(end[i].device.migration, &is), 0);
    }
    for (i = 0; i < DEVICES; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_int_equal(atomic_load(&vault[i].is_sound), 1);
        assert_int_equal(atomic_load(&vault[i].state), FERRY_STATE_RUNNING);
        assert_int_equal(atomic_load(&end[i].alarms), 0);
    }
}

static void a_stuck_device_holds_up_no_other(void **state)
{
    pthread_t thread;

    (void)state;
    begin_one(0, MIB, 0);
    begin_one(1, MIB, 0);
    atomic_store(&vault[0].stuck, 1);
    assert_int_equal(pthread_create(&thread, NULL, move_one, &end[0]), 0);
    (void)move_one(&end[1]);
    assert_int_equal(atomic_load(&vault[1].is_sound), 1);
    atomic_store(&vault[0].stuck, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_server_that_dies_in_any_state_fails_everything_until_a_reset),
        TEST(a_lost_device_can_be_stopped_and_started_but_not_saved),
        TEST(a_server_that_hangs_is_waited_for_no_longer_than_its_limit),
        TEST(whoever_waits_for_data_hears_of_a_lost_server),
        TEST(whoever_polls_for_data_hears_of_a_lost_server),
        TEST(several_devices_move_at_once_while_the_main_thread_asks),
        TEST(a_stuck_device_holds_up_no_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
