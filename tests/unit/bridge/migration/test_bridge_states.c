/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Every change of state that a VMM can ask for, of every kind of device. */

#define STATE_BYTES 3000u

static struct vault vault;
static struct end end;
static struct bytes saved;

struct kind {
    uint32_t features;
    uint32_t no_peer_maps;
};
static const struct kind kinds[] = { { 1, 0 }, { 3, 0 }, { 5, 0 }, { 7, 0 },
                                     { 1, 1 }, { 3, 1 }, { 5, 1 }, { 7, 1 } };

static void begin(const struct kind *kind)
{
    vault_init(&vault, kind->features, STATE_BYTES, 100);
    end_path(&end, "states");
    vault_serve(&vault, end.path);
    end.device.token.no_peer_maps = kind->no_peer_maps;
    end_bind(&end, &vault.identity);
}

static void finish(void)
{
    end_unbind(&end);
    vault_stop(&vault);
}

static int stop(void **state)
{
    (void)state;
    if (end.device.link) {
        finish();
    }
    bytes_free(&saved);
    return 0;
}

static uint32_t shown_by(const struct kind *kind)
{
    return kind->features | (kind->no_peer_maps ? FERRY_MIG_P2P : 0);
}

/* What the server is to be in when the VMM sees state. */
static uint32_t behind(const struct kind *kind, uint32_t state)
{
    if (kind->features & FERRY_MIG_P2P) {
        return state;
    }
    return state == FERRY_STATE_RUNNING_P2P    ? FERRY_STATE_RUNNING
           : state == FERRY_STATE_PRE_COPY_P2P ? FERRY_STATE_PRE_COPY
                                               : state;
}

static void reset(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    assert_int_equal(bridge_link_call(end.device.link, &request), FERRY_OK);
    bridge_migration_reset(end.device.migration);
    assert_int_equal(end_get(&end), FERRY_STATE_RUNNING);
}

/* From a reset to state; one that was loaded has all of its data. */
static void bring(uint32_t state)
{
    atomic_store(&vault.refuse_with, 0);
    reset();
    assert_int_equal(end_set(&end, state), 0);
    if (state == FERRY_STATE_RESUMING) {
        assert_int_equal(end_write_all(&end, &saved, 1000), 0);
    }
}

static void keep_stream(void)
{
    bytes_free(&saved);
    end_save(&end, &saved, 4096);
}

static void check_pair(const struct kind *kind, uint32_t from, uint32_t to)
{
    uint32_t shown = shown_by(kind);
    int effect = ferry_state_data(from, to, shown), fd = -2, rc;

    bring(from);
    rc = bridge_migration_set_state(end.device.migration, to, &fd);
    if (effect < 0) {
        assert_int_equal(rc, -EINVAL);
        assert_int_equal(fd, -1);
        assert_int_equal(end_get(&end), from);
        return;
    }
    assert_int_equal(rc, 0);
    assert_int_equal(end_get(&end), to);
    assert_int_equal(fd >= 0,
                     effect == FERRY_DATA_BEGINS || effect == FERRY_DATA_ENDS_BEGINS);
    if (from != to || from != FERRY_STATE_RESUMING) {
        assert_int_equal(atomic_load(&vault.state), behind(kind, to));
    }
    vmm_close(&fd);
}

static void every_change_is_walked_and_gives_what_it_should(void **state)
{
    size_t i;
    uint32_t from, to;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint32_t shown = shown_by(&kinds[i]);

        begin(&kinds[i]);
        assert_int_equal(bridge_migration_flags(end.device.migration), shown);
        keep_stream();
        for (from = 1; from < FERRY_STATE_COUNT; from++) {
            for (to = 0; to <= FERRY_STATE_COUNT && ferry_state_exists(from, shown);
                 to++) {
                check_pair(&kinds[i], from, to);
            }
        }
        finish();
    }
}

/* Is cur, or what stands for it, on the way or its beginning? */
static int is_on_way(const struct kind *kind, uint32_t from, uint32_t to, uint32_t cur)
{
    uint32_t path[FERRY_STATE_COUNT];
    int count = ferry_state_path(from, to, shown_by(kind), path), i;
    int found = cur == behind(kind, from);

    for (i = 0; i < count; i++) {
        found |= cur == behind(kind, path[i]);
    }
    return found;
}

/* The server refuses one arc of the way; QEMU resets, and the device goes on. */
static void refuse_arc(const struct kind *kind, uint32_t from, uint32_t to,
                       uint32_t arc_from, uint32_t arc_to)
{
    int fd = -2;
    uint32_t loaded = from == FERRY_STATE_RESUMING;

    bring(from);
    atomic_store(&end.alarms, 0);
    atomic_store(&vault.refuse_from, arc_from);
    atomic_store(&vault.refuse_to, arc_to);
    atomic_store(&vault.refuse_with, FERRY_E_BUSY);
    assert_int_equal(bridge_migration_set_state(end.device.migration, to, &fd), -EBUSY);
    assert_int_equal(fd, -1);
    assert_int_equal(behind(kind, end_get(&end)), atomic_load(&vault.state));
    assert_true(is_on_way(kind, from, to, behind(kind, end_get(&end))));
    /* A target's failure is not heard of in QEMU: the guest is told to stop. */
    assert_int_equal(atomic_load(&end.alarms), loaded);
    atomic_store(&vault.refuse_with, 0);
    atomic_store(&vault.resets, 0);
    assert_int_equal(bridge_migration_recover(end.device.migration), 1);
    assert_int_equal(end_get(&end), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&vault.state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&vault.resets), 0);
    /* Only what follows at once is a recovery. */
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
}

static void refuse_each(const struct kind *kind, uint32_t from, uint32_t to)
{
    uint32_t cur = behind(kind, from), path[FERRY_STATE_COUNT];
    int count, i;

    if (from == FERRY_STATE_RESUMING) {
        cur = FERRY_STATE_STOP; /* its last write took it there */
    }
    count = ferry_state_path(cur, behind(kind, to), kind->features, path);
    for (i = 0; i < count; cur = path[i++]) {
        refuse_arc(kind, from, to, cur, path[i]);
    }
}

static void a_refused_arc_leaves_a_state_on_the_way_and_a_way_back(void **state)
{
    size_t i;
    uint32_t from, to;

    (void)state;
    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint32_t shown = shown_by(&kinds[i]);

        begin(&kinds[i]);
        keep_stream();
        for (from = 1; from < FERRY_STATE_COUNT; from++) {
            for (to = 1; to < FERRY_STATE_COUNT; to++) {
                if (from != to && ferry_state_data(from, to, shown) >= 0) {
                    refuse_each(&kinds[i], from, to);
                }
            }
        }
        finish();
    }
}

static void a_recovery_that_fails_alarms_and_is_left_to_the_reset(void **state)
{
    int fd;

    (void)state;
    begin(&kinds[3]);
    assert_int_equal(end_set(&end, FERRY_STATE_PRE_COPY), 0);
    atomic_store(&vault.refuse_from, FERRY_STATE_PRE_COPY);
    atomic_store(&vault.refuse_to, FERRY_STATE_PRE_COPY_P2P);
    atomic_store(&vault.refuse_with, FERRY_E_DEVICE_ERROR);
    assert_true(bridge_migration_set_state(end.device.migration, FERRY_STATE_PRE_COPY_P2P,
                                           &fd) < 0);
    assert_int_equal(end_get(&end), FERRY_STATE_ERROR);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    assert_int_equal(atomic_load(&end.alarms), 1);
    end_said(&end, "the guest is told to stop");
    reset();
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
}

/* QEMU hears no alarm while its guest stands still, as it does in a recovery. */
static void a_guest_without_its_state_is_alarmed_until_it_is_stopped(void **state)
{
    uint32_t heard, i;

    a_recovery_that_fails_alarms_and_is_left_to_the_reset(state);
    heard = atomic_load(&end.alarms);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_true(atomic_load(&end.alarms) > heard);
    heard = atomic_load(&end.alarms);
    for (i = 0; i < 500 && atomic_load(&end.alarms) == heard; i++) {
        usleep(10000);
    }
    assert_true(atomic_load(&end.alarms) > heard); /* nobody has changed its state */
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    heard = atomic_load(&end.alarms);
    /* From now on it is somebody's own doing. */
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&end.alarms), heard);
}

static void a_reset_by_the_user_ends_the_alarm(void **state)
{
    uint32_t heard;

    a_recovery_that_fails_alarms_and_is_left_to_the_reset(state);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    reset();
    heard = atomic_load(&end.alarms);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&end.alarms), heard);
}

/* The recovery's reset has found no server; the guest's own has, and knows of it. */
static void a_guest_that_resets_a_lost_device_itself_is_not_alarmed_again(void **state)
{
    unsigned alarms;
    int fd;

    (void)state;
    begin(&kinds[3]);
    assert_int_equal(end_set(&end, FERRY_STATE_PRE_COPY), 0);
    atomic_store(&vault.refuse_from, FERRY_STATE_PRE_COPY);
    atomic_store(&vault.refuse_to, FERRY_STATE_PRE_COPY_P2P);
    atomic_store(&vault.refuse_with, FERRY_E_DEVICE_ERROR);
    assert_true(bridge_migration_set_state(end.device.migration, FERRY_STATE_PRE_COPY_P2P,
                                           &fd) < 0);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    assert_int_equal(end.device.migration->alarming, 1);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    reset();
    alarms = atomic_load(&end.alarms);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&end.alarms), alarms);
}

/* QEMU does not ask for RUNNING after a reset: it takes the device for running. */
static void what_a_device_has_refused_in_stop_is_made_up_for_by_a_reset_too(void **state)
{
    (void)state;
    begin(&kinds[0]);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP), 0);
    atomic_store(&end.moves, 0);
    reset();
    assert_int_equal(atomic_load(&end.moves), 1);
}

static void a_reset_of_the_guests_own_is_no_recovery(void **state)
{
    int fd;

    (void)state;
    begin(&kinds[0]);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    atomic_store(&vault.refuse_from, FERRY_STATE_RUNNING);
    atomic_store(&vault.refuse_to, FERRY_STATE_STOP);
    atomic_store(&vault.refuse_with, FERRY_E_BUSY);
    /* The VMM goes back to where it was, and resets some time later. */
    assert_int_equal(
        bridge_migration_set_state(end.device.migration, FERRY_STATE_STOP, &fd), -EBUSY);
    assert_int_equal(end_set(&end, FERRY_STATE_RUNNING), 0);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    /* A state that the VMM must not ask for is its own fault. */
    assert_int_equal(
        bridge_migration_set_state(end.device.migration, FERRY_STATE_PRE_COPY, &fd),
        -EINVAL);
    assert_int_equal(bridge_migration_recover(end.device.migration), 0);
    assert_int_equal(atomic_load(&end.alarms), 0);
}

static void no_descriptor_left_changes_no_state(void **state)
{
    struct rlimit before, less;
    int fd = dup(0);

    (void)state;
    begin(&kinds[0]);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    less = before;
    less.rlim_cur = (rlim_t)fd; /* the lowest that was free */
    close(fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    assert_int_equal(
        bridge_migration_set_state(end.device.migration, FERRY_STATE_STOP_COPY, &fd),
        -EMFILE);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(atomic_load(&vault.state), FERRY_STATE_RUNNING);
    assert_int_equal(end_set(&end, FERRY_STATE_STOP_COPY), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_recovery_that_fails_alarms_and_is_left_to_the_reset,
                                  stop),
        cmocka_unit_test_teardown(
            a_guest_without_its_state_is_alarmed_until_it_is_stopped, stop),
        cmocka_unit_test_teardown(a_reset_by_the_user_ends_the_alarm, stop),
        cmocka_unit_test_teardown(
            a_guest_that_resets_a_lost_device_itself_is_not_alarmed_again, stop),
        cmocka_unit_test_teardown(
            what_a_device_has_refused_in_stop_is_made_up_for_by_a_reset_too, stop),
        cmocka_unit_test_teardown(a_reset_of_the_guests_own_is_no_recovery, stop),
        cmocka_unit_test_teardown(no_descriptor_left_changes_no_state, stop),
        /* These make the bridge say more than it may in a second. */
        cmocka_unit_test_teardown(every_change_is_walked_and_gives_what_it_should, stop),
        cmocka_unit_test_teardown(a_refused_arc_leaves_a_state_on_the_way_and_a_way_back,
                                  stop),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
