/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_v1_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bridge/migration/v1/inside.h"

/* Several devices of one VMM by uAPI v1: the barriers that its states do not have. */

#define P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)
#define ALL (P2P | FERRY_MIG_PRE_COPY)
#define DEVICES 3

static struct vault vault[DEVICES];
static struct end end[DEVICES];
static struct bytes data[DEVICES];
static const char *const names[DEVICES] = { "one", "two", "three" };

/* As many devices as there are flags. */
static void begin(const uint32_t *flags, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        vault_init(&vault[i], flags[i], 5000, flags[i] & FERRY_MIG_PRE_COPY ? 100 : 0);
        end_path(&end[i], names[i]);
        vault_serve(&vault[i], end[i].path);
        v1_bind(&end[i], &vault[i].identity);
    }
}

static int finish(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < DEVICES; i++) {
        if (end[i].device.link) {
            v1_unbind(&end[i]);
        }
        vault_stop(&vault[i]);
        bytes_free(&data[i]);
        memset(&vault[i], 0, sizeof(vault[i]));
    }
    return 0;
}

static unsigned when(uint32_t i, uint32_t state)
{
    unsigned clock = atomic_load(&vault[i].when[state]);

    assert_int_not_equal(clock, 0);
    return clock;
}

/* Every device was in `first` before any was in `then`. */
static void assert_barrier(uint32_t count, uint32_t first, uint32_t then)
{
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t j = 0; j < count; j++) {
            assert_true(when(i, first) < when(j, then));
        }
    }
}

static void no_device_stops_before_all_are_quiet(void **state)
{
    static const uint32_t flags[] = { ALL, P2P, ALL };

    (void)state;
    begin(flags, 3);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(v1_stop(&end[i]), 0);
    }
    assert_barrier(3, FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP);
}

static void no_device_of_a_move_stops_before_all_are_quiet(void **state)
{
    static const uint32_t flags[] = { ALL, ALL };

    (void)state;
    begin(flags, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_save_setup(&end[i]), 0);
        assert_int_equal(v1_save_iterate(&end[i], &data[i], 1), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_stop(&end[i]), 0);
    }
    assert_barrier(2, FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_STOP_COPY);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_save_complete(&end[i], &data[i], 1), 0);
    }
    /* And back, at the target too. */
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_load_setup(&end[i]), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_load(&end[i], &data[i], 1), 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_start(&end[i]), 0);
    }
    assert_barrier(2, FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&vault[0].state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&vault[1].state), FERRY_STATE_RUNNING);
}

static void none_runs_before_all_are_quiet_after_a_failure(void **state)
{
    static const uint32_t flags[] = { ALL, ALL };

    (void)state;
    begin(flags, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_save_setup(&end[i]), 0);
    }
    assert_int_equal(v1_stop(&end[0]), 0);
    assert_int_equal(v1_stop(&end[1]), 0);
    assert_int_equal(v1_save_complete(&end[0], &data[0], 1), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_start(&end[i]), 0);
        assert_int_equal(v1_cancelled(&end[i]), 0);
    }
    assert_barrier(2, FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING);
}

static void a_device_without_p2p_takes_no_part(void **state)
{
    static const uint32_t flags[] = { FERRY_MIG_STOP_COPY, P2P };

    (void)state;
    begin(flags, 2);
    assert_int_equal(v1_stop(&end[1]), 0);
    assert_int_equal(atomic_load(&vault[0].state), FERRY_STATE_RUNNING);
    assert_int_equal(v1_stop(&end[0]), 0);
    assert_int_equal(v1_start(&end[0]), 0);
    assert_true(when(1, FERRY_STATE_RUNNING_P2P) < when(0, FERRY_STATE_RUNNING));
    assert_int_equal(v1_start(&end[1]), 0);
    assert_int_equal(atomic_load(&vault[1].state), FERRY_STATE_RUNNING);
}

static void a_device_that_is_not_quiet_fails_the_move_of_all(void **state)
{
    static const uint32_t flags[] = { ALL, ALL };

    (void)state;
    begin(flags, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_save_setup(&end[i]), 0);
    }
    atomic_store(&vault[1].refuse_from, FERRY_STATE_PRE_COPY);
    atomic_store(&vault[1].refuse_to, FERRY_STATE_PRE_COPY_P2P);
    atomic_store(&vault[1].refuse_with, FERRY_E_BUSY);
    assert_true(v1_stop(&end[0]) < 0);
    assert_true(v1_stop(&end[1]) < 0);
    assert_int_equal(atomic_load(&vault[0].when[FERRY_STATE_STOP_COPY]), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_start(&end[i]), 0);
        assert_int_equal(atomic_load(&vault[i].state), FERRY_STATE_RUNNING);
        assert_int_equal(atomic_load(&end[i].alarms), 0);
    }
}

static void a_device_that_was_not_loaded_stops_the_guest_and_no_other(void **state)
{
    static const uint32_t flags[] = { P2P, P2P };

    (void)state;
    begin(flags, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_stop(&end[i]), 0);
        assert_int_equal(v1_save_complete(&end[i], &data[i], 1), 0);
        assert_int_equal(v1_load_setup(&end[i]), 0);
    }
    assert_int_equal(v1_load(&end[0], &data[0], 1), 0);
    assert_int_equal(v1_start(&end[0]), 0);
    assert_int_equal(v1_start(&end[1]), 0);
    assert_int_equal(atomic_load(&vault[0].state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&end[0].alarms), 0);
    assert_int_equal(atomic_load(&vault[1].state), FERRY_STATE_RESUMING);
    assert_int_equal(atomic_load(&end[1].alarms), 1);
}

static void devices_that_reach_each_other_move_only_with_p2p(void **state)
{
    static const uint32_t flags[] = { FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY, ALL };

    (void)state;
    end[0].device.token.no_peer_maps = end[1].device.token.no_peer_maps = 0;
    begin(flags, 2);
    assert_true(v1_save_setup(&end[1]) < 0);
    end_said(&end[1], "P2P");
    assert_true(v1_save_setup(&end[0]) < 0);
    /* A snapshot: the stop of the guest is not refused, the save is. */
    assert_int_equal(v1_set(&end[0], ~(uint32_t)FERRY_V1_RUNNING, FERRY_V1_SAVING), 0);
    assert_true(v1_save_setup(&end[0]) < 0);
    assert_int_equal(v1_start(&end[0]), 0);
    v1_unbind(&end[1]);
    assert_int_equal(v1_save_setup(&end[0]), 0);
}

static void a_dead_server_does_not_hold_the_others(void **state)
{
    static const uint32_t flags[] = { P2P, P2P };
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    (void)state;
    begin(flags, 2);
    vault_stop(&vault[1]);
    while (bridge_link_call(end[1].device.link, &request) == FERRY_OK) {
    }
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_stop(&end[i]), 0);
    }
    assert_int_equal(atomic_load(&vault[0].state), FERRY_STATE_STOP);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(v1_start(&end[i]), 0);
    }
    assert_int_equal(atomic_load(&vault[0].state), FERRY_STATE_RUNNING);
}

static void the_child_of_a_fork_quiets_none_of_its_parents(void **state)
{
    static const uint32_t flags[] = { P2P, P2P };
    int how = -1;
    pid_t pid;

    (void)state;
    begin(flags, 2);
    pid = fork();
    if (pid == 0) {
        bridge_v1_fork_child();
        _exit(bridge_v1_quiet_others(end[0].device.v1) == 0 ? 0 : 1);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
    assert_int_equal(atomic_load(&vault[1].when[FERRY_STATE_RUNNING_P2P]), 0);
    assert_int_equal(v1_stop(&end[0]), 0);
    assert_int_not_equal(atomic_load(&vault[1].when[FERRY_STATE_RUNNING_P2P]), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_device_stops_before_all_are_quiet),
        TEST(no_device_of_a_move_stops_before_all_are_quiet),
        TEST(none_runs_before_all_are_quiet_after_a_failure),
        TEST(a_device_without_p2p_takes_no_part),
        TEST(a_device_that_is_not_quiet_fails_the_move_of_all),
        TEST(a_device_that_was_not_loaded_stops_the_guest_and_no_other),
        TEST(devices_that_reach_each_other_move_only_with_p2p),
        TEST(a_dead_server_does_not_hold_the_others),
        TEST(the_child_of_a_fork_quiets_none_of_its_parents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
