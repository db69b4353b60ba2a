/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A device's data from one server to another, through both bridges, as QEMU does it. */

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
    end_bind(&source, &from.identity);
    end_bind(&target, &to.identity);
}

static int finish(void **state)
{
    (void)state;
    if (source.device.link) {
        end_unbind(&source);
    }
    if (target.device.link) {
        end_unbind(&target);
    }
    vault_stop(&from);
    vault_stop(&to);
    bytes_free(&data);
    return 0;
}

static void assert_arrived(void)
{
    assert_int_equal(atomic_load(&to.loaded), from.state_bytes);
    assert_int_equal(atomic_load(&to.is_sound), 1);
}

static void a_stopped_device_moves(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 3 * MIB + 77, 0);
    end_save(&source, &data, MIB);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&target, &data, 32768), 0);
    assert_arrived();
    /* The write of the last byte has taken it there; the VMM does not know. */
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_STOP);
    assert_int_equal(end_get(&target), FERRY_STATE_RESUMING);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RUNNING);
    assert_int_equal(atomic_load(&target.alarms), 0);
}

static void a_running_device_moves_as_qemu_moves_it(void **state)
{
    (void)state;
    begin(ALL, 5 * MIB, 2 * MIB + 5);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    assert_int_equal(end_read_all(&source, &data, MIB), -ENOMSG);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY_P2P), 0);
    assert_int_equal(end_set(&source, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(end_read_all(&source, &data, MIB), 0);
    assert_int_equal(end_set(&source, FERRY_STATE_STOP), 0);
    vmm_close(&source.fd);

    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&target, &data, 32768), 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING_P2P), 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
    vmm_close(&target.fd);
    assert_arrived();
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RUNNING);
}

static void load_again(size_t piece)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    assert_int_equal(bridge_link_call(target.device.link, &request), FERRY_OK);
    bridge_migration_reset(target.device.migration);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&target, &data, piece), 0);
    assert_arrived();
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_STOP);
}

static void reads_and_writes_may_be_of_any_size(void **state)
{
    static const size_t pieces[] = { 1, 3, 16, 17, 4095, 4096, 65537, 3 * MIB };
    size_t i;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, 70001, 0);
    for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        bytes_free(&data);
        end_save(&source, &data, pieces[i]);
        load_again(pieces[i]);
    }
}

static void initial_bytes_never_rise(void **state)
{
    const struct timespec nap = { .tv_nsec = BRIDGE_ESTIMATE_NS + 1 };
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    uint64_t before = UINT64_MAX;
    uint8_t buffer[4096];
    ssize_t got;

    (void)state;
    begin(ALL, 100000, 60000);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    do {
        assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
        assert_true(info.initial_bytes > 0 || before < UINT64_MAX);
        assert_true(info.initial_bytes <= before);
        before = info.initial_bytes;
        nanosleep(&nap, NULL); /* asked again, the server has fewer */
        got = vmm_read(source.fd, buffer, sizeof(buffer));
    } while (got > 0);
    assert_int_equal(got, -ENOMSG);
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes, 0);
}

static void pre_copy_gives_its_data_then_nothing_for_now(void **state)
{
    uint8_t *buffer = malloc(MIB);
    struct uapi_precopy_info info = { .argsz = sizeof(info), .flags = 0xff };

    (void)state;
    assert_non_null(buffer);
    begin(ALL, 100000, 5000);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    assert_true(vmm_readable(source.fd));
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
    /* With the device's own frames. */
    assert_in_range(info.initial_bytes, 5000, 5000 + 256);
    assert_int_equal(info.flags, 0);
    assert_int_equal(end_read_all(&source, &data, MIB), -ENOMSG);
    assert_false(vmm_readable(source.fd));
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
    assert_int_equal(info.initial_bytes + info.dirty_bytes, 0);
    assert_int_equal(end_set(&source, FERRY_STATE_STOP_COPY), 0);
    assert_true(vmm_readable(source.fd));
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), -EINVAL);
    assert_int_equal(end_read_all(&source, &data, MIB), 0);
    assert_int_equal(vmm_read(source.fd, buffer, MIB), 0);
    assert_true(vmm_readable(source.fd));
    load_again(MIB);
    free(buffer);
}

static void the_ioctl_of_a_data_descriptor_is_checked(void **state)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) - 1 };

    (void)state;
    begin(ALL, 1000, 10);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), -EINVAL);
    assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, NULL), -EFAULT);
    assert_int_equal(vmm_ioctl(source.fd, 0x3b75, &info), -ENOTTY);
    assert_int_equal(vmm_write(source.fd, &info, 1), -EBADF);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(vmm_read(target.fd, &info, 1), -EBADF);
    info.argsz = sizeof(info);
    /* As the kernel: a descriptor to write to has no ioctl. */
    assert_int_equal(vmm_ioctl(target.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), -ENOTTY);
}

static void estimates_are_asked_once_for_many_answers(void **state)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    uint8_t buffer[4096];
    uint64_t bytes;
    unsigned asked;
    int i;

    (void)state;
    begin(ALL, 100000, 50);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    (void)end_read_all(&source, &data, MIB);
    atomic_store(&from.asks, 0);
    for (i = 0; i < 20000; i++) {
        assert_int_equal(bridge_migration_data_size(source.device.migration, &bytes), 0);
        assert_int_equal(vmm_ioctl(source.fd, UAPI_MIG_GET_PRECOPY_INFO, &info), 0);
        assert_int_equal(vmm_read(source.fd, buffer, sizeof(buffer)), -ENOMSG);
    }
    asked = atomic_load(&from.asks);
    assert_in_range(asked, 1, 10000);
    /* A new state is a new question. */
    assert_int_equal(end_set(&source, FERRY_STATE_STOP_COPY), 0);
    assert_int_equal(bridge_migration_data_size(source.device.migration, &bytes), 0);
    assert_int_equal(atomic_load(&from.asks), asked + 1);
}

static void a_stopped_device_may_give_some_times_what_it_told(void **state)
{
    uint64_t bytes;

    (void)state;
    begin(FERRY_MIG_STOP_COPY, MIB, 0);
    assert_int_equal(bridge_migration_data_size(source.device.migration, &bytes), 0);
    assert_int_equal(end_set(&source, FERRY_STATE_STOP_COPY), 0);
    assert_in_range(source.device.migration->data->save->limit,
                    4 * MIB + BRIDGE_STOPPED_MORE_BYTES,
                    5 * MIB + BRIDGE_STOPPED_MORE_BYTES);
}

static void the_size_covers_what_comes(void **state)
{
    static const uint64_t sizes[] = { 1, 4095, MIB, 5 * MIB + 1 };
    uint64_t bytes;
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        begin(FERRY_MIG_STOP_COPY, sizes[i], 0);
        assert_int_equal(bridge_migration_data_size(source.device.migration, &bytes), 0);
        end_save(&source, &data, MIB);
        assert_true(bytes >= 4096 && bytes >= data.size);
        assert_true(bytes < data.size + 8192);
        (void)finish(NULL);
    }
}

static void a_cancelled_migration_leaves_a_running_device_and_may_come_again(void **state)
{
    uint8_t byte;
    int old;

    (void)state;
    begin(ALL, 3 * MIB, 2 * MIB);
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    assert_int_equal(vmm_read(source.fd, &byte, 1), 1);
    /* QEMU 11: the state first, then the descriptor. */
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING), 0);
    assert_int_equal(vmm_read(source.fd, &byte, 1), -ENODEV);
    old = source.fd;
    source.fd = -1;
    /* The old descriptor is still open. */
    assert_int_equal(end_set(&source, FERRY_STATE_PRE_COPY), 0);
    assert_int_equal(vmm_read(old, &byte, 1), -ENODEV);
    vmm_close(&old);
    assert_int_equal(end_read_all(&source, &data, 4096), -ENOMSG);
    /* QEMU 10: the descriptor first. */
    vmm_close(&source.fd);
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
    bytes_free(&data);
    end_save(&source, &data, MIB);
    load_again(MIB);
}

static void a_device_comes_back_where_it_was(void **state)
{
    (void)state;
    begin(ALL, 100000, 0);
    end_save(&source, &data, MIB);
    load_again(32768);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
    /* And back, while the descriptor of the first way is still open. */
    bytes_free(&data);
    atomic_store(&from.loaded, 0);
    end_save(&target, &data, MIB);
    assert_int_equal(end_set(&source, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&source, &data, 32768), 0);
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&from.loaded), from.state_bytes);
    assert_int_equal(atomic_load(&from.state), FERRY_STATE_RUNNING);
}

/* Writes the stream with some of its bytes. Return: what the last write says. */
static int load_part(size_t bytes)
{
    size_t all = data.size;
    int rc;

    data.size = bytes;
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    rc = end_write_all(&target, &data, 32768);
    data.size = all;
    return rc;
}

static void resuming_is_not_left_without_the_end(void **state)
{
    (void)state;
    begin(ALL, 100000, 0);
    end_save(&source, &data, MIB);
    assert_int_equal(load_part(data.size - 1), 0);
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RESUMING);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING_P2P), -EINVAL);
    assert_int_equal(atomic_load(&target.alarms), 1);
    end_said(&target, "RESUMING");
    end_said(&target, "the guest is told to stop");
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RESUMING);
    /* QEMU resets now: nothing to be kept. */
    assert_int_equal(bridge_migration_recover(target.device.migration), 0);
    load_again(32768);
}

static void resuming_is_not_left_without_any_data(void **state)
{
    (void)state;
    begin(ALL, 100000, 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    vmm_close(&target.fd);
    assert_int_equal(end_set(&target, FERRY_STATE_STOP), -EINVAL);
    assert_int_equal(atomic_load(&target.alarms), 1);
}

static void a_damaged_stream_fails_in_its_last_write(void **state)
{
    (void)state;
    begin(ALL, 3 * MIB, 0);
    end_save(&source, &data, MIB);
    data.data[2 * MIB] ^= 1;
    assert_int_equal(load_part(data.size - 1), 0);
    assert_int_equal(vmm_write(target.fd, data.data + data.size - 1, 1), -EINVAL);
    assert_int_equal(vmm_write(target.fd, data.data, 1), -EINVAL);
    end_said(&target, "the hash of the data");
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RESUMING);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), -EINVAL);
    assert_int_equal(atomic_load(&target.alarms), 1);
}

static void a_state_that_the_device_refuses_fails_in_its_last_write(void **state)
{
    (void)state;
    begin(ALL, 3 * MIB, 0);
    end_save(&source, &data, MIB);
    atomic_store(&to.refuse_from, FERRY_STATE_RESUMING);
    atomic_store(&to.refuse_to, FERRY_STATE_STOP);
    atomic_store(&to.refuse_with, FERRY_E_CORRUPT);
    assert_int_equal(load_part(data.size - 1), 0);
    assert_int_equal(vmm_write(target.fd, data.data + data.size - 1, 1), -EINVAL);
    end_said(&target, "refused");
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), -EINVAL);
    assert_int_equal(atomic_load(&target.alarms), 1);
}

static void bytes_that_the_device_refuses_fail_a_write(void **state)
{
    (void)state;
    begin(ALL, 8 * MIB, 0);
    end_save(&source, &data, MIB);
    atomic_store(&to.refuse_load, FERRY_E_INCOMPATIBLE);
    assert_int_equal(load_part(data.size), -EINVAL);
    end_said(&target, "refused");
}

static void bytes_behind_the_end_fail_a_write(void **state)
{
    (void)state;
    begin(ALL, 1000, 0);
    end_save(&source, &data, MIB);
    assert_int_equal(load_part(data.size), 0);
    assert_int_equal(vmm_write(target.fd, "x", 1), -EINVAL);
    assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), -EINVAL);
    assert_int_equal(atomic_load(&target.alarms), 1);
}

static void bytes_behind_the_end_in_one_write_leave_the_device_in_resuming(void **state)
{
    (void)state;
    begin(ALL, 1000, 0);
    end_save(&source, &data, MIB);
    bytes_add(&data, "x", 1);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(vmm_write(target.fd, data.data, data.size), -EINVAL);
    assert_int_equal(atomic_load(&to.state), FERRY_STATE_RESUMING);
}

static void another_device_is_refused_at_the_first_write(void **state)
{
    (void)state;
    begin(ALL, 100000, 0);
    end_save(&source, &data, 256);
    target.device.identity.key[0].value++;
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(vmm_write(target.fd, data.data, 256), -EINVAL);
    end_said(&target, "does not fit");
    end_said(&target, "bytes");
    assert_int_equal(atomic_load(&to.loads), 0);
}

static void data_of_no_bridge_is_refused(void **state)
{
    uint8_t bytes[4096] = { 1, 2, 3 };

    (void)state;
    begin(ALL, 1000, 0);
    assert_int_equal(end_set(&target, FERRY_STATE_RESUMING), 0);
    assert_int_equal(vmm_write(target.fd, bytes, sizeof(bytes)), -EINVAL);
    end_said(&target, "not written by a bridge");
}

static void a_snapshot_is_loaded_into_a_running_guest(void **state)
{
    (void)state;
    begin(ALL, 100000, 0);
    end_save(&source, &data, MIB);
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING), 0);
    /* loadvm: STOP, a reset, RESUMING, the descriptor closed before it runs. */
    assert_int_equal(end_set(&source, FERRY_STATE_STOP), 0);
    bridge_migration_reset(source.device.migration);
    atomic_store(&from.loaded, 0);
    assert_int_equal(end_set(&source, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&source, &data, 32768), 0);
    vmm_close(&source.fd);
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING_P2P), 0);
    assert_int_equal(end_set(&source, FERRY_STATE_RUNNING), 0);
    assert_int_equal(atomic_load(&from.loaded), from.state_bytes);
}

static void a_descriptor_may_outlive_the_device(void **state)
{
    uint8_t byte;
    int fd;

    (void)state;
    begin(ALL, 1000, 0);
    assert_int_equal(end_set(&source, FERRY_STATE_STOP_COPY), 0);
    fd = source.fd;
    source.fd = -1;
    end_unbind(&source);
    assert_int_equal(vmm_read(fd, &byte, 1), -ENODEV);
    vmm_close(&fd);
}

static void a_device_that_cannot_migrate_has_no_migration(void **state)
{
    (void)state;
    vault_init(&from, 0, 1000, 0);
    end_path(&source, "from");
    vault_serve(&from, source.path);
    end_bind(&source, &from.identity);
    assert_null(source.device.migration);
    bridge_link_close(source.device.link);
    source.device.link = NULL;
}

static void precopy_v2_is_understood_where_there_is_pre_copy(void **state)
{
    (void)state;
    begin(FERRY_MIG_STOP_COPY, 1000, 0);
    assert_int_equal(bridge_migration_precopy_v2(source.device.migration), -ENOTTY);
    (void)finish(NULL);
    begin(ALL, 1000, 0);
    assert_int_equal(bridge_migration_precopy_v2(source.device.migration), 0);
}

static void interrupts_that_the_vmm_has_not_taken_come_with_the_data(void **state)
{
    static const uint32_t counts[] = { 1, 7, 2048 };
    static const size_t pieces[] = { 100, 4096, MIB };
    size_t i;

    (void)state;
    begin(ALL, 5000, 0);
    for (i = 0; i < 9; i++) {
        source.waiting[0] = counts[i / 3] % 3;
        source.waiting[1] = counts[i / 3];
        bytes_free(&data);
        end_save(&source, &data, pieces[i % 3]);
        load_again(pieces[i % 3]);
        /* Not before the device runs: the VMM sets its interrupts up before that. */
        memset(target.raised, 0, sizeof(target.raised));
        assert_int_equal(end_set(&target, FERRY_STATE_RUNNING_P2P), 0);
        assert_int_equal(end_set(&target, FERRY_STATE_RUNNING), 0);
        assert_int_equal(target.raised[0], source.waiting[0]);
        assert_int_equal(target.raised[1], source.waiting[1]);
    }
    /* A source that goes on has them still. */
    assert_int_equal(source.raised[1], 0);
}

static void the_end_has_its_place_behind_any_length(void **state)
{
    uint64_t size;

    (void)state;
    for (size = BRIDGE_STAGE_BYTES - 100; size < BRIDGE_STAGE_BYTES + 20; size += 7) {
        begin(FERRY_MIG_STOP_COPY, size, 0);
        source.waiting[1] = 2;
        end_save(&source, &data, 1000);
        load_again(32768);
        (void)finish(NULL);
    }
    for (size = 8192 - 100; size < 8192 + 20; size += 7) {
        begin(FERRY_MIG_STOP_COPY, size, 0);
        source.waiting[1] = 2;
        end_save(&source, &data, 8192);
        load_again(32768);
        (void)finish(NULL);
    }
}

#define TEST(name) cmocka_unit_test_teardown(name, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stopped_device_moves),
        TEST(a_running_device_moves_as_qemu_moves_it),
        TEST(reads_and_writes_may_be_of_any_size),
        TEST(initial_bytes_never_rise),
        TEST(pre_copy_gives_its_data_then_nothing_for_now),
        TEST(the_ioctl_of_a_data_descriptor_is_checked),
        TEST(estimates_are_asked_once_for_many_answers),
        TEST(a_stopped_device_may_give_some_times_what_it_told),
        TEST(the_size_covers_what_comes),
        TEST(a_cancelled_migration_leaves_a_running_device_and_may_come_again),
        TEST(a_device_comes_back_where_it_was),
        TEST(resuming_is_not_left_without_the_end),
        TEST(resuming_is_not_left_without_any_data),
        TEST(a_damaged_stream_fails_in_its_last_write),
        TEST(a_state_that_the_device_refuses_fails_in_its_last_write),
        TEST(bytes_that_the_device_refuses_fail_a_write),
        TEST(bytes_behind_the_end_fail_a_write),
        TEST(bytes_behind_the_end_in_one_write_leave_the_device_in_resuming),
        TEST(another_device_is_refused_at_the_first_write),
        TEST(data_of_no_bridge_is_refused),
        TEST(a_snapshot_is_loaded_into_a_running_guest),
        TEST(a_descriptor_may_outlive_the_device),
        TEST(a_device_that_cannot_migrate_has_no_migration),
        TEST(interrupts_that_the_vmm_has_not_taken_come_with_the_data),
        TEST(the_end_has_its_place_behind_any_length),
        TEST(precopy_v2_is_understood_where_there_is_pre_copy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
