/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/device/link.h"
#include "os/uapi/iommufd.h"
#include "bridge/preload/mappings.h"
#include "os/clock.h"
#include "os/socket.h"
#include "test_bridge_device_rig.h"

/* A server that dies, hangs, comes back or is another one; several threads. */

#define IOVA 0x100000u
#define THREADS 4u
#define LIMIT_MS 700u /* of a wait for a server that hangs */

static struct rig rig;

static int up(void **state)
{
    (void)state;
    rig_up(&rig, RIG_PLAIN);
    return 0;
}

static int down(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

static long reset(void)
{
    return rig_ioctl(rig.object, UAPI_RESET, NULL);
}

static void come_back(void)
{
    rig_start_server(&rig, RIG_PLAIN);
    assert_int_equal(reset(), 0);
}

static void a_death_is_noticed_although_nobody_asks(void **state)
{
    (void)state;
    rig_kill_server(&rig);
    rig_await_dead(&rig, 1);
    assert_int_equal(bridge_link_dead(rig.device->link), 1);
}

static void everything_fails_from_a_death_on(void **state)
{
    struct uapi_info info = { .argsz = sizeof(info) };
    uint32_t value = 0;

    (void)state;
    rig_kill_server(&rig);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
    assert_int_equal(rig_pwrite(&rig, 0, 0, &value, 4), -EIO);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &value, 2), -EIO);
    /* What was asked at BIND is still known. */
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), 0);
    /* QEMU would end the guest when a reset failed. */
    assert_int_equal(reset(), 0);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
}

/* QEMU takes an errno for what config space says. */
static void a_dead_devices_config_space_reads_as_the_vmm_knows_it(void **state)
{
    uint8_t config[64];
    uint32_t id = 0;

    (void)state;
    rig_kill_server(&rig);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, &id, 4), 4);
    assert_int_equal(id, 0x10f01af4);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0x3d, config, 1), 1);
    assert_int_equal(config[0], 1); /* INTA */
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 4094, config, 4), 2);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 4096, config, 1), -EINVAL);
}

static void a_reset_finds_the_server_that_came_back(void **state)
{
    const uint32_t before = bridge_link_generation(rig.device->link);
    const pid_t first = rig.server;

    (void)state;
    rig_write32(&rig, 0, 99);
    for (uint32_t i = 0; i < 3; i++) {
        rig_kill_server(&rig);
        come_back();
        assert_int_equal(bridge_link_dead(rig.device->link), 0);
        assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
        assert_int_equal(rig_read32(&rig, 0), 0);
        assert_int_equal(bridge_link_generation(rig.device->link), before + i + 1);
    }
    assert_int_not_equal(rig.server, first);
}

static void another_device_is_not_taken_for_this_one(void **state)
{
    uint32_t value;

    (void)state;
    rig_kill_server(&rig);
    rig_start_server(&rig, RIG_OTHER);
    assert_int_equal(reset(), 0);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
    rig_kill_server(&rig);
    rig_start_server(&rig, RIG_CONVENTIONAL); /* the same ids, other regions */
    assert_int_equal(reset(), 0);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
    rig_kill_server(&rig);
    come_back();
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
}

/* A migration compares what the server is now. */
static void a_newer_server_that_came_back_is_known_as_such(void **state)
{
    (void)state;
    assert_int_equal(rig.device->identity.state_version, 1);
    rig_kill_server(&rig);
    rig_start_server(&rig, RIG_NEWER);
    assert_int_equal(reset(), 0);
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
    assert_int_equal(rig.device->identity.state_version, 2);
}

static void a_silent_server_is_given_up(void **state)
{
    uint64_t start;
    uint32_t value;

    (void)state;
    rig.device->token.timeout_ms = LIMIT_MS;
    rig_kill_server(&rig);
    come_back();
    rig_write32(&rig, RIG_SLEEP_MS, 60000);
    start = ferry_os_now_ns();
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
    assert_true(ferry_os_now_ns() - start >= LIMIT_MS / 2 * FERRY_NS_PER_MS);
    assert_int_equal(bridge_link_dead(rig.device->link), 1);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
    assert_int_equal(reset(), 0); /* it still sleeps */
    rig_kill_server(&rig);
    come_back();
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
}

static void a_stopped_server_stops_writers_only_for_the_limit(void **state)
{
    uint32_t value = 0;
    uint32_t count = 0;

    (void)state;
    rig.device->token.timeout_ms = LIMIT_MS;
    rig_kill_server(&rig);
    come_back();
    assert_int_equal(kill(rig.server, SIGSTOP), 0);
    /* Posted until the socket is full; then the writer waits, and gives up. */
    while (rig_pwrite(&rig, 0, 0, &value, 4) == 4) {
        assert_true(count++ < 1000000);
    }
    assert_true(count > 0);
    assert_int_equal(bridge_link_dead(rig.device->link), 1);
    assert_int_equal(kill(rig.server, SIGCONT), 0);
    /* It notices that its client has gone, and takes the next one. */
    assert_int_equal(reset(), 0);
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
}

static void memory_is_reached_again_after_a_return(void **state)
{
    static uint32_t __attribute__((aligned(4096))) guest[1024];
    struct uapi_iommu_ioas_map map = { .size = sizeof(map),
                                       .flags = 7,
                                       .user_va = (uintptr_t)guest,
                                       .length = sizeof(guest),
                                       .iova = IOVA };
    const uint16_t command = 6; /* memory and bus master */
    uint64_t iova = IOVA + 8;

    (void)state;
    rig_attach(&rig);
    map.ioas_id = rig.ioas;
    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_MAP, &map), 0);
    guest[2] = 0x600df00d;
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
        assert_int_equal(rig_pwrite(&rig, 0, RIG_IOVA, &iova, 8), 8);
        /* By message, while this thread waits for the register. */
        assert_int_equal(rig_read32(&rig, RIG_FETCH), 0x600df00d);
        rig_kill_server(&rig);
        come_back();
    }
}

static void mappings_and_descriptors_show_the_new_servers_memory(void **state)
{
    const uint64_t base = UINT64_C(2) << BRIDGE_REGION_SHIFT;
    struct {
        struct uapi_feature head;
        struct uapi_dma_buf buf;
        struct uapi_area area;
    } call = { .head = { .argsz = sizeof(call),
                         .flags = UAPI_FEATURE_GET | UAPI_DMA_BUF },
               .buf = { .region = 2, .open_flags = O_RDWR, .areas = 1 },
               .area = { RIG_AREA_OFF, RIG_AREA_BYTES } };
    uint32_t value = 0xaaaa;
    uint32_t *memory;
    uint64_t off;
    int peer;
    int fd;

    (void)state;
    assert_int_equal(
        rig.object->ops->map(rig.object, base + RIG_AREA_OFF, RIG_AREA_BYTES, &fd, &off),
        0);
    memory =
        mmap(NULL, RIG_AREA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)off);
    assert_ptr_not_equal(memory, MAP_FAILED);
    bridge_mappings_add(memory, RIG_AREA_BYTES, fd, off, 1); /* as the preload does */
    peer = (int)rig_ioctl(rig.object, UAPI_FEATURE, &call);
    assert_true(peer >= 0);
    memory[0] = 0x1111;
    rig_kill_server(&rig);
    memory[1] = 0x2222; /* the file is still there */
    come_back();
    assert_int_equal(memory[0], 0);
    assert_int_equal(rig_pwrite(&rig, 2, RIG_AREA_OFF, &value, 4), 4);
    assert_int_equal(rig_pread(&rig, 2, RIG_AREA_OFF, &value, 4), 4);
    assert_int_equal(memory[0], 0xaaaa);
    value = 0;
    assert_int_equal(pread(peer, &value, 4, RIG_AREA_OFF), 4);
    assert_int_equal(value, 0xaaaa);
    bridge_mappings_remove(memory, RIG_AREA_BYTES);
    (void)munmap(memory, RIG_AREA_BYTES);
    (void)close(peer);
}

/* Threads that go on whatever happens. */

static atomic_int stop;

static void *read_on(void *user)
{
    uint32_t *good = user;
    uint32_t value;
    ssize_t rc;

    while (!atomic_load(&stop)) {
        rc = rig_pread(&rig, 0, RIG_PID, &value, 4);
        *good += rc == 4;
        if (rc != 4 && rc != -EIO) {
            *good = UINT32_MAX;
            break;
        }
        (void)rig_pwrite(&rig, 0, 8, &value, 4);
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, rc == 4 ? 0 : 1);
    }
    return NULL;
}

static void threads_go_on_over_deaths_and_returns(void **state)
{
    uint32_t good[THREADS] = { 0 };
    pthread_t thread[THREADS];

    (void)state;
    atomic_store(&stop, 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, read_on, &good[i]), 0);
    }
    for (uint32_t i = 0; i < 6; i++) {
        rig_await_dead(&rig, 0);
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, 10);
        rig_kill_server(&rig);
        if (i % 2 == 0) {
            (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, 5);
        }
        come_back();
    }
    assert_int_equal(rig_read32(&rig, RIG_PID), (uint32_t)rig.server);
    (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, 10);
    atomic_store(&stop, 1);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_true(good[i] > 0);
        assert_int_not_equal(good[i], UINT32_MAX);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_death_is_noticed_although_nobody_asks, up,
                                        down),
        cmocka_unit_test_setup_teardown(everything_fails_from_a_death_on, up, down),
        cmocka_unit_test_setup_teardown(
            a_dead_devices_config_space_reads_as_the_vmm_knows_it, up, down),
        cmocka_unit_test_setup_teardown(a_reset_finds_the_server_that_came_back, up,
                                        down),
        cmocka_unit_test_setup_teardown(another_device_is_not_taken_for_this_one, up,
                                        down),
        cmocka_unit_test_setup_teardown(a_newer_server_that_came_back_is_known_as_such,
                                        up, down),
        cmocka_unit_test_setup_teardown(a_silent_server_is_given_up, up, down),
        cmocka_unit_test_setup_teardown(a_stopped_server_stops_writers_only_for_the_limit,
                                        up, down),
        cmocka_unit_test_setup_teardown(memory_is_reached_again_after_a_return, up, down),
        cmocka_unit_test_setup_teardown(
            mappings_and_descriptors_show_the_new_servers_memory, up, down),
        cmocka_unit_test_setup_teardown(threads_go_on_over_deaths_and_returns, up, down),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
