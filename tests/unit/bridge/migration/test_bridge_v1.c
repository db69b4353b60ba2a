/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_v1_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One device by its region of uAPI v1, moved, refused and lost as by QEMU 7.2. */

#define MIB (1u << 20)
#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

static struct vault from, to;
static struct end source, target;
static struct bytes data;

static void begin(uint32_t flags, uint64_t state_bytes, uint64_t precopy_bytes)
{
    vault_init(&from, flags, state_bytes, precopy_bytes);
    vault_init(&to, flags, state_bytes, precopy_bytes);
    end_path(&source, "from");
    end_path(&target, "to");
    vault_serve(&from, source.path);
    vault_serve(&to, target.path);
    /* The other end is another VMM's, and no peer. */
    source.device.token.no_peer_maps = target.device.token.no_peer_maps = 1;
    v1_bind(&source, &from.identity);
    v1_bind(&target, &to.identity);
}

static int finish(void **state)
{
    (void)state;
    if (source.device.link) {
        v1_unbind(&source);
    }
    if (target.device.link) {
        v1_unbind(&target);
    }
    vault_stop(&from);
    vault_stop(&to);
    bytes_free(&data);
    return 0;
}

static void pre_copy(int mmapped)
{
    int rc;

    assert_int_equal(v1_save_setup(&source), 0);
    assert_int_equal(v1_state(&source), PRE_COPY_BITS);
    while ((rc = v1_save_iterate(&source, &data, mmapped)) == 0) {
    }
    assert_int_equal(rc, 1);
}

static void save(int mmapped)
{
    pre_copy(mmapped);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_state(&source), STOP_COPY_BITS);
    assert_int_equal(v1_save_complete(&source, &data, mmapped), 0);
    assert_int_equal(v1_state(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_STOP);
}

static void assert_loads(int mmapped)
{
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_load(&target, &data, mmapped), 0);
    assert_int_equal(atomic_load(&to.loaded), from.state_bytes);
    assert_int_equal(atomic_load(&to.is_sound), 1);
    /* The last transaction has had the device judge it. */
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_STOP);
    assert_int_equal(v1_state(&target), FERRY_V1_RESUMING);
    assert_int_equal(v1_start(&target), 0);
    assert_int_equal(v1_state(&target), FERRY_V1_RUNNING);
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&target.alarms), 0);
}

static void a_device_moves_by_a_mapped_section(void **state)
{
    (void)state;
    begin(ALL, 5 * MIB + 77, 2 * MIB + 5);
    save(1);
    assert_loads(1);
}

static void a_device_moves_by_a_trapped_section(void **state)
{
    (void)state;
    begin(ALL, MIB + 77, 4097);
    save(0);
    assert_loads(0);
}

static void a_device_without_pre_copy_moves(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 3 * MIB, 0);
    pre_copy(1);
    assert_int_equal(data.size, 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_complete(&source, &data, 1), 0);
    assert_loads(1);
}

static void a_piece_of_the_source_is_one_of_the_target(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 3 * MIB + 1, 0);
    save(1);
    assert_in_range(v1_transactions(&data), 4, 6);
    assert_loads(1);
}

static void what_is_pending_is_what_can_be_read(void **state)
{
    (void)state;
    begin(ALL, 300000, 100000);
    assert_int_equal(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 0);
    assert_int_equal(v1_save_setup(&source), 0);
    assert_in_range(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 100000, 110000);
    /* Repeated, it takes nothing. */
    assert_in_range(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 100000, 110000);
    while (v1_save_iterate(&source, &data, 1) == 0) {
    }
    assert_int_equal(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 0);
    assert_int_equal(v1_stop(&source), 0);
    assert_in_range(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 1, 210000);
    assert_int_equal(v1_save_complete(&source, &data, 1), 0);
    assert_loads(1);
}

static void the_target_learns_in_pre_copy_who_comes(void **state)
{
    (void)state;
    begin(ALL, 1000, 0);
    assert_int_equal(v1_save_setup(&source), 0);
    assert_in_range(v1_get(&source, FERRY_V1_PENDING_OFF, 8), 1, 4096);
    assert_int_equal(v1_save_iterate(&source, &data, 1), 0);
    to.identity.key[0].value = 999;
    target.device.identity.key[0].value = 999;
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_load(&target, &data, 1), -EINVAL);
    end_said(&target, "does not fit this one");
}

static void a_guest_stops_and_starts(void **state)
{
    (void)state;
    begin(ALL, 1000, 0);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_state(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_STOP);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
}

static void a_guest_that_stands_still_moves(void **state)
{
    (void)state;
    begin(ALL, MIB + 5, 100);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_setup(&source), 0);
    assert_int_equal(v1_state(&source), STOP_COPY_BITS);
    while (v1_save_iterate(&source, &data, 1) == 0) {
    }
    assert_int_equal(v1_save_complete(&source, &data, 1), 0);
    assert_loads(1);
}

static void a_cancelled_move_leaves_a_device_that_moves_again(void **state)
{
    (void)state;
    begin(ALL, 2 * MIB, MIB);
    pre_copy(1);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    bytes_free(&data);
    pre_copy(1);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_iterate(&source, &data, 1), 0);
    /* Behind the stop of the guest: its start comes first. */
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    bytes_free(&data);
    save(1);
    assert_loads(1);
}

static void a_start_in_the_middle_gives_the_move_up(void **state)
{
    (void)state;
    begin(ALL, 2 * MIB, 100);
    pre_copy(1);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_iterate(&source, &data, 1), 0);
    assert_int_equal(v1_start(&source), 0);
    /* QEMU goes on with what it believes in. */
    assert_int_equal(v1_save_iterate(&source, &data, 1), 1);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_complete(&source, &data, 1), -EIO);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    bytes_free(&data);
    save(1);
    assert_loads(1);
}

static void a_reset_in_the_middle_gives_the_move_up(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    (void)state;
    begin(ALL, 2 * MIB, 100);
    pre_copy(1);
    assert_int_equal(bridge_link_call(source.device.link, &request), FERRY_OK);
    bridge_migration_reset(source.device.migration);
    bridge_v1_reset(source.device.v1);
    assert_int_equal(v1_state(&source), FERRY_V1_RUNNING);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_save_complete(&source, &data, 1), -EIO);
    assert_int_equal(v1_start(&source), 0);
    bytes_free(&data);
    save(1);
    assert_loads(1);
}

static void refuse(struct vault *vault, uint32_t arc_from, uint32_t arc_to)
{
    atomic_store(&vault->refuse_from, arc_from);
    atomic_store(&vault->refuse_to, arc_to);
    atomic_store(&vault->refuse_with, FERRY_E_BUSY);
}

static void a_refused_pre_copy_fails_the_move(void **state)
{
    (void)state;
    begin(ALL, 1000, 10);
    refuse(&from, FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY);
    assert_true(v1_save_setup(&source) < 0);
    assert_int_equal(v1_state(&source), FERRY_V1_RUNNING);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(atomic_load(&source.alarms), 0);
}

static void a_refused_stop_fails_the_move_and_the_device_runs_on(void **state)
{
    (void)state;
    begin(ALL, 1000, 10);
    pre_copy(1);
    refuse(&from, FERRY_STATE_PRE_COPY_P2P, FERRY_STATE_STOP_COPY);
    assert_true(v1_stop(&source) < 0);
    assert_int_equal(v1_state(&source), PRE_COPY_BITS);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&from.resets), 0);
    assert_int_equal(atomic_load(&source.alarms), 0);
}

/* QEMU would follow a null pointer. */
static void pages_that_qemu_lost_fail_the_move(void **state)
{
    (void)state;
    begin(ALL, MIB, 0);
    pre_copy(1);
    v1_misled = 1;
    assert_true(v1_stop(&source) < 0);
    v1_misled = 0;
    end_said(&source, "vIOMMU");
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&source.alarms), 0);
    bytes_free(&data);
    save(1);
    assert_loads(1);
}

static void a_stop_outside_of_a_move_is_not_refused(void **state)
{
    (void)state;
    begin(ALL, 1000, 10);
    refuse(&from, FERRY_STATE_RUNNING_P2P, FERRY_STATE_STOP);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_state(&source), 0);
    end_said(&source, "does not stop with its guest");
    /* But nothing is saved of a device that goes on. */
    assert_true(v1_save_setup(&source) < 0);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
}

static void a_refused_stop_for_a_snapshot_fails_the_save(void **state)
{
    uint64_t pending;

    (void)state;
    begin(ALL, 1000, 10);
    refuse(&from, FERRY_STATE_STOP, FERRY_STATE_STOP_COPY);
    assert_int_equal(v1_set(&source, ~(uint32_t)FERRY_V1_RUNNING, FERRY_V1_SAVING), 0);
    assert_int_equal(v1_save_setup(&source), -EIO);
    assert_int_equal(v1_try_get(&source, FERRY_V1_PENDING_OFF, 8, &pending), -EIO);
    assert_int_equal(v1_start(&source), 0);
    atomic_store(&from.refuse_with, 0);
    save(1);
    assert_loads(1);
}

static void a_device_that_does_not_run_again_stops_its_guest(void **state)
{
    (void)state;
    begin(ALL, 1000, 10);
    assert_int_equal(v1_stop(&source), 0);
    refuse(&from, FERRY_STATE_RUNNING_P2P, FERRY_STATE_RUNNING);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&source.alarms), 1);
}

static void a_snapshot_is_one_of_a_stopped_device(void **state)
{
    (void)state;
    begin(ALL, MIB, 10);
    assert_int_equal(v1_set(&source, ~(uint32_t)FERRY_V1_RUNNING, FERRY_V1_SAVING), 0);
    assert_int_equal(v1_save_setup(&source), 0);
    while (v1_save_iterate(&source, &data, 1) == 0) {
    }
    assert_int_equal(v1_save_complete(&source, &data, 1), 0);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    assert_loads(1);
}

static void refused_data_fail_the_last_write(void **state)
{
    (void)state;
    begin(ALL, 1000, 10);
    save(1);
    to.state_bytes = 1001; /* the device wants more than the frames say */
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_load(&target, &data, 1), -EINVAL);
    end_said(&target, "refused");
}

static void a_load_without_its_end_stops_the_guest(void **state)
{
    (void)state;
    begin(ALL, 3 * MIB, 10);
    save(1);
    assert_int_equal(v1_load_setup(&target), 0);
    data.size = sizeof(uint64_t) + *(uint64_t *)(void *)data.data;
    assert_int_equal(v1_load(&target, &data, 1), 0);
    /* A refusal would be QEMU's end: a null pointer. */
    assert_int_equal(v1_start(&target), 0);
    assert_int_equal(atomic_load(&target.alarms), 1);
    assert_int_not_equal(atomic_load(&to.state), FERRY_STATE_RUNNING);
}

static void a_load_that_never_came_stops_the_guest(void **state)
{
    (void)state;
    begin(ALL, 3 * MIB, 10);
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_start(&target), 0);
    assert_int_equal(atomic_load(&target.alarms), 1);
    assert_int_not_equal(atomic_load(&to.state), FERRY_STATE_RUNNING);
}

static void data_that_were_changed_are_refused(void **state)
{
    (void)state;
    begin(ALL, 100000, 10);
    save(1);
    data.data[data.size / 2] ^= 1;
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_load(&target, &data, 1), -EINVAL);
}

static void wait_for_loss(struct end *end)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    while (bridge_link_call(end->device.link, &request) == FERRY_OK) {
    }
}

static void a_server_that_dies_fails_the_move_and_not_qemu(void **state)
{
    uint64_t pending;

    (void)state;
    begin(ALL, 3 * MIB, 10);
    pre_copy(1);
    vault_stop(&from);
    wait_for_loss(&source);
    assert_true(v1_try_get(&source, FERRY_V1_PENDING_OFF, 8, &pending) < 0);
    assert_true(v1_stop(&source) < 0);
    assert_int_equal(v1_state(&source), PRE_COPY_BITS);
    assert_int_equal(v1_start(&source), 0);
    assert_int_equal(v1_cancelled(&source), 0);
    assert_int_equal(v1_stop(&source), 0);
    assert_int_equal(v1_start(&source), 0);
    assert_true(v1_save_setup(&source) < 0);
    /* The dead device is told of by its accesses, not by stopping the guest. */
    assert_int_equal(atomic_load(&source.alarms), 0);
}

static void a_target_whose_server_dies_refuses_its_data(void **state)
{
    (void)state;
    begin(ALL, 3 * MIB, 10);
    save(1);
    assert_int_equal(v1_load_setup(&target), 0);
    vault_stop(&to);
    wait_for_loss(&target);
    assert_true(v1_load(&target, &data, 1) < 0);
    assert_int_equal(v1_state(&target), FERRY_V1_RESUMING);
}

static void accesses_have_their_place_width_and_time(void **state)
{
    uint64_t value;
    size_t i;
    static const struct {
        uint64_t off;
        size_t count;
    } bad[] = { { 0, 8 },  { 0, 1 },    { 8, 4 },         { 4, 8 },
                { 2, 4 },  { 24, 4 },   { 32, 8 },        { 4088, 8 },
                { 28, 8 }, { 4096, 8 }, { UINT64_MAX, 4 } };

    (void)state;
    begin(ALL, 1000, 10);
    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(v1_try_get(&source, bad[i].off, bad[i].count, &value), -EINVAL);
        assert_int_equal(v1_put(&source, bad[i].off, bad[i].count, 0), -EINVAL);
    }
    assert_int_equal(v1_put(&source, FERRY_V1_RESERVED_OFF, 4, 7), 0);
    assert_int_equal(v1_get(&source, FERRY_V1_RESERVED_OFF, 4), 0);
    assert_int_equal(v1_put(&source, FERRY_V1_PENDING_OFF, 8, 1), -EINVAL);
    assert_int_equal(v1_put(&source, FERRY_V1_OFFSET_OFF, 8, 1), -EINVAL);
    assert_int_equal(v1_put(&source, FERRY_V1_SIZE_OFF, 8, 1), -EINVAL);
    for (i = 5; i < 40; i++) {
        assert_int_equal(v1_put(&source, FERRY_V1_STATE_OFF, 4, i), -EINVAL);
    }
    assert_int_equal(v1_load_setup(&target), 0);
    assert_int_equal(v1_put(&target, FERRY_V1_SIZE_OFF, 8, 0), -EINVAL);
    assert_int_equal(v1_put(&target, FERRY_V1_SIZE_OFF, 8, FERRY_V1_PIECE_MAX + 1),
                     -EINVAL);
    assert_int_equal(v1_put(&target, 4096 + FERRY_V1_PIECE_MAX - 8, 8, 1), 0);
    assert_int_equal(v1_put(&target, 4096 + FERRY_V1_PIECE_MAX - 4, 8, 1), -EINVAL);
    assert_int_equal(v1_state(&source), FERRY_V1_RUNNING);
}

static void nothing_of_the_data_is_left_in_the_section(void **state)
{
    const struct ferry_region_info *region;
    uint8_t *section;
    size_t i;

    (void)state;
    begin(ALL, 2 * MIB, 10);
    save(0);
    assert_loads(0);
    for (int side = 0; side < 2; side++) {
        region = bridge_v1_region(side ? target.device.v1 : source.device.v1);
        section = malloc(region->size);
        assert_non_null(section);
        assert_int_equal(pread(region->fd, section, region->size, 0), region->size);
        for (i = 0; i < region->size; i++) {
            assert_int_equal(section[i], 0);
        }
        free(section);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_moves_by_a_mapped_section),
        TEST(a_device_moves_by_a_trapped_section),
        TEST(a_device_without_pre_copy_moves),
        TEST(a_piece_of_the_source_is_one_of_the_target),
        TEST(what_is_pending_is_what_can_be_read),
        TEST(the_target_learns_in_pre_copy_who_comes),
        TEST(a_guest_stops_and_starts),
        TEST(a_guest_that_stands_still_moves),
        TEST(a_cancelled_move_leaves_a_device_that_moves_again),
        TEST(a_start_in_the_middle_gives_the_move_up),
        TEST(a_reset_in_the_middle_gives_the_move_up),
        TEST(a_refused_pre_copy_fails_the_move),
        TEST(a_refused_stop_fails_the_move_and_the_device_runs_on),
        TEST(pages_that_qemu_lost_fail_the_move),
        TEST(a_stop_outside_of_a_move_is_not_refused),
        TEST(a_refused_stop_for_a_snapshot_fails_the_save),
        TEST(a_device_that_does_not_run_again_stops_its_guest),
        TEST(a_snapshot_is_one_of_a_stopped_device),
        TEST(refused_data_fail_the_last_write),
        TEST(a_load_without_its_end_stops_the_guest),
        TEST(a_load_that_never_came_stops_the_guest),
        TEST(data_that_were_changed_are_refused),
        TEST(a_server_that_dies_fails_the_move_and_not_qemu),
        TEST(a_target_whose_server_dies_refuses_its_data),
        TEST(accesses_have_their_place_width_and_time),
        TEST(nothing_of_the_data_is_left_in_the_section),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
