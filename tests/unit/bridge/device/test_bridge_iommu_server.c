/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/uapi/iommufd.h"
#include "test_bridge_device_rig.h"

/* Guest memory with a real server in a process of its own. */

#define PAGE 4096ull
#define PAGES 64ull

static struct rig rig;
static int memory_fd;
static uint8_t *memory;

static int up(void **state)
{
    struct uapi_iommu_hwpt_alloc alloc = { .size = sizeof(alloc), .flags = 2 };
    struct uapi_attach attach = { .argsz = 12 };
    const uint16_t command = 6; /* memory and bus master */

    (void)state;
    rig_up(&rig, RIG_PLAIN);
    rig_attach(&rig);
    alloc.dev_id = rig.device->iommu_id;
    alloc.pt_id = rig.ioas;
    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_HWPT_ALLOC, &alloc), 0);
    attach.pt_id = rig.hwpt = alloc.out_hwpt_id;
    assert_int_equal(rig_ioctl(rig.object, UAPI_ATTACH, &attach), 0);
    assert_int_equal(attach.pt_id, rig.hwpt);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
    memory_fd = memfd_create("guest", MFD_CLOEXEC);
    assert_true(memory_fd >= 0);
    assert_int_equal(ftruncate(memory_fd, (off_t)(PAGES * PAGE)), 0);
    memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    return 0;
}

static int down(void **state)
{
    (void)state;
    (void)munmap(memory, PAGES * PAGE);
    (void)close(memory_fd);
    rig_down(&rig);
    return 0;
}

static void map_file(uint64_t iova, uint64_t length, uint64_t start)
{
    struct uapi_iommu_ioas_map_file want = { .size = sizeof(want),
                                             .flags = 7,
                                             .ioas_id = rig.ioas,
                                             .fd = memory_fd,
                                             .start = start,
                                             .length = length,
                                             .iova = iova };

    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_MAP_FILE, &want), 0);
}

static long map_address(uint64_t iova, uint64_t length, void *address, uint32_t flags)
{
    struct uapi_iommu_ioas_map want = { .size = sizeof(want),
                                        .flags = flags,
                                        .ioas_id = rig.ioas,
                                        .user_va = (uintptr_t)address,
                                        .length = length,
                                        .iova = iova };

    return rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_MAP, &want);
}

static void unmap(uint64_t iova, uint64_t length)
{
    struct uapi_iommu_ioas_unmap want = {
        .size = sizeof(want), .ioas_id = rig.ioas, .iova = iova, .length = length
    };

    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_UNMAP, &want), 0);
    assert_int_equal(want.length, length);
}

static void track(uint32_t on)
{
    struct uapi_iommu_hwpt_set_dirty want = { .size = sizeof(want),
                                              .flags = on,
                                              .hwpt_id = rig.hwpt };

    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING, &want), 0);
}

/* The written ones of the first 64 pages from iova on. */
static uint64_t report(uint64_t iova)
{
    uint64_t bitmap = 0;
    struct uapi_iommu_hwpt_get_dirty want = { .size = sizeof(want),
                                              .hwpt_id = rig.hwpt,
                                              .iova = iova,
                                              .length = 64 * PAGE,
                                              .page_size = PAGE,
                                              .data = (uintptr_t)&bitmap };

    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP, &want), 0);
    return bitmap;
}

/* Return: 1 when the device has done it. */
static int store(uint64_t iova, uint32_t value)
{
    assert_int_equal(rig_pwrite(&rig, 0, RIG_IOVA, &iova, 8), 8);
    return rig_pwrite(&rig, 0, RIG_STORE, &value, 4) == 4;
}

static uint32_t fetch(uint64_t iova)
{
    assert_int_equal(rig_pwrite(&rig, 0, RIG_IOVA, &iova, 8), 8);
    return rig_read32(&rig, RIG_FETCH);
}

static void a_device_writes_memory_and_its_pages_are_told(void **state)
{
    uint32_t value = 0;

    (void)state;
    map_file(0, PAGES * PAGE, 0);
    track(1);
    assert_int_equal(report(0), 0);
    (void)store(5 * PAGE + 8, 0x11112222);
    assert_int_equal(fetch(5 * PAGE + 8), 0x11112222);
    memcpy(&value, memory + 5 * PAGE + 8, 4);
    assert_int_equal(value, 0x11112222);
    assert_true(report(0) == 1ull << 5);
    assert_int_equal(report(0), 0);
    /* What it wrote before the unmap is told after it. */
    (void)store(63 * PAGE, 1);
    unmap(0, PAGES * PAGE);
    assert_true(report(0) == 1ull << 63);
    assert_int_equal(report(0), 0);
    track(0);
}

static void memory_without_a_file_is_written_by_messages(void **state)
{
    uint32_t *words =
        mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(words, MAP_FAILED);
    assert_int_equal(map_address(0x100000, PAGE, words, 7), 0);
    assert_int_equal(map_address(0x101000, PAGE, words + 1024, 5), 0);
    track(1);
    (void)store(0x100010, 0x33334444);
    assert_int_equal(fetch(0x100010), 0x33334444);
    assert_int_equal(words[4], 0x33334444);
    assert_true(report(0x100000) == 1);
    words[1024] = 77;
    (void)store(0x101000, 88);
    assert_int_equal(fetch(0x101000), 77);
    assert_int_equal(words[1024], 77);
    assert_int_equal(report(0x100000), 0);
    unmap(0x100000, PAGE);
    (void)store(0x100010, 5);
    assert_int_equal(fetch(0x101000), 77);
    assert_int_equal(words[4], 0x33334444);
    track(0);
    (void)munmap(words, 2 * PAGE);
}

static void a_new_server_has_the_maps_and_everything_counts_as_written(void **state)
{
    const uint16_t command = 6;

    (void)state;
    map_file(0, PAGES * PAGE, 0);
    track(1);
    (void)store(3 * PAGE, 9);
    assert_int_equal(fetch(3 * PAGE), 9);
    rig_kill_server(&rig);
    (void)unlink(rig.path);
    rig_await_dead(&rig, 1);
    /* The VMM goes on changing its memory meanwhile. */
    unmap(0, PAGES * PAGE);
    map_file(0, 32 * PAGE, 32 * PAGE);
    rig_start_server(&rig, RIG_PLAIN);
    assert_int_equal(bridge_device_reset(rig.device), 0);
    rig_await_dead(&rig, 0);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
    memory[35 * PAGE] = 42;
    assert_int_equal(fetch(3 * PAGE), 42);
    assert_true(report(0) == UINT64_MAX);
    assert_int_equal(report(0), 0);
    (void)store(3 * PAGE, 1);
    assert_true(report(0) == 1ull << 3);
    track(0);
}

static void many_maps_come_and_go(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < 500; i++) {
            map_file((1 + 2 * i) * PAGE, PAGE, i % PAGES * PAGE);
        }
        memory[17 * PAGE] = (uint8_t)(round + 1);
        assert_int_equal(fetch((1 + 2 * 17) * PAGE), round + 1);
        for (uint64_t i = 0; i < 500; i++) {
            unmap((1 + 2 * i) * PAGE, PAGE);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_writes_memory_and_its_pages_are_told),
        TEST(memory_without_a_file_is_written_by_messages),
        TEST(a_new_server_has_the_maps_and_everything_counts_as_written),
        TEST(many_maps_come_and_go),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
