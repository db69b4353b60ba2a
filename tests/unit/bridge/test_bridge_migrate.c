/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_mig_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_stopped_device_moves, finish),
        cmocka_unit_test_teardown(a_running_device_moves_as_qemu_moves_it, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
