/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_iommu_rig.h"

/* DMA by messages: what a server reaches of the VMM's memory through the bridge. */

static uint8_t *make_memory(uint64_t pages)
{
    uint8_t *memory = mmap(NULL, (size_t)(pages * PAGE), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert_ptr_not_equal(memory, MAP_FAILED);
    return memory;
}

static int dma(uint32_t device, uint64_t iova, void *data, size_t size, int is_write)
{
    return bridge_iommu_dma(&rigs[device]->device, iova, data, size, is_write);
}

static void test_memory_is_read_and_written_where_it_is(void **state)
{
    const uint32_t ioas = make_ioas();
    uint8_t *memory = make_memory(2);
    uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };

    (void)state;
    assert_int_equal(map_va(ioas, 10 * PAGE, 2 * PAGE, memory), 0);
    assert_int_equal(dma(0, 10 * PAGE, data, 8, 1), FERRY_E_RANGE);
    attach(0, ioas);
    assert_int_equal(dma(0, 10 * PAGE + 5, data, 8, 1), FERRY_OK);
    assert_memory_equal(memory + 5, data, 8);
    memory[2 * PAGE - 1] = 77;
    assert_int_equal(dma(0, 12 * PAGE - 1, data, 1, 0), FERRY_OK);
    assert_int_equal(data[0], 77);
    assert_int_equal(dma(0, 12 * PAGE, data, 1, 0), FERRY_E_RANGE);
    assert_int_equal(dma(0, 10 * PAGE - 1, data, 1, 0), FERRY_E_RANGE);
    assert_int_equal(dma(1, 10 * PAGE, data, 1, 0), FERRY_E_RANGE);
    assert_int_equal(dma(0, UINT64_MAX, data, 8, 0), FERRY_E_RANGE);
    assert_int_equal(dma(0, 0, data, 0, 0), FERRY_OK);
    assert_int_equal(unmap(ioas, 10 * PAGE, 2 * PAGE), 2 * PAGE);
    assert_int_equal(dma(0, 10 * PAGE, data, 1, 0), FERRY_E_RANGE);
    (void)munmap(memory, 2 * PAGE);
}

static void test_a_message_crosses_the_borders_of_maps(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(4);
    uint8_t *first = make_memory(1);
    uint8_t *third = make_memory(1);
    uint8_t *file = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    uint8_t *data = calloc(1, 3 * PAGE);

    (void)state;
    assert_ptr_not_equal(file, MAP_FAILED);
    assert_non_null(data);
    attach(0, ioas);
    assert_int_equal(map_va(ioas, PAGE, PAGE, first), 0);
    assert_int_equal(map_fd(ioas, 2 * PAGE, PAGE, fd, 3 * PAGE), 0);
    assert_int_equal(map_va(ioas, 3 * PAGE, PAGE, third), 0);
    for (uint64_t i = 0; i < 3 * PAGE; i++) {
        data[i] = (uint8_t)(i * 7 + i / PAGE);
    }
    assert_int_equal(dma(0, PAGE + 100, data + 100, 3 * PAGE - 200, 1), FERRY_OK);
    assert_memory_equal(first + 100, data + 100, PAGE - 100);
    assert_memory_equal(file + 3 * PAGE, data + PAGE, PAGE);
    assert_memory_equal(third, data + 2 * PAGE, PAGE - 100);
    assert_int_equal(first[99], 0);
    assert_int_equal(third[PAGE - 100], 0);
    file[3 * PAGE + 9] = 200;
    assert_int_equal(dma(0, PAGE, data, 3 * PAGE, 0), FERRY_OK);
    assert_int_equal(data[PAGE + 9], 200);
    (void)munmap(first, PAGE);
    (void)munmap(third, PAGE);
    (void)munmap(file, 4 * PAGE);
    free(data);
    close(fd);
}

static void test_a_message_that_cannot_be_done_in_full_does_nothing(void **state)
{
    const uint32_t ioas = make_ioas();
    uint8_t *memory = make_memory(1);
    struct uapi_iommu_ioas_map rom = { .size = sizeof(rom),
                                       .flags = 5,
                                       .ioas_id = ioas,
                                       .user_va = (uintptr_t)make_memory(1),
                                       .length = PAGE,
                                       .iova = 2 * PAGE };
    uint8_t data[16];

    (void)state;
    attach(0, ioas);
    memset(data, 0xee, sizeof(data));
    assert_int_equal(map_va(ioas, PAGE, PAGE, memory), 0);
    assert_int_equal(dma(0, 2 * PAGE - 8, data, 16, 1), FERRY_E_RANGE);
    assert_int_equal(memory[PAGE - 8], 0);
    assert_int_equal(dma(0, 2 * PAGE - 8, data, 16, 0), FERRY_E_RANGE);
    assert_int_equal(data[0], 0xee);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &rom), 0);
    assert_int_equal(dma(0, 2 * PAGE - 8, data, 16, 1), FERRY_E_PERMISSION);
    assert_int_equal(memory[PAGE - 8], 0);
    assert_int_equal(dma(0, 2 * PAGE - 8, data, 16, 0), FERRY_OK);
    assert_int_equal(data[0], 0);
    (void)munmap(memory, PAGE);
    (void)munmap((void *)(uintptr_t)rom.user_va, PAGE);
}

static void test_memory_that_may_not_be_read_is_not(void **state)
{
    uint8_t *memory = make_memory(1);
    struct uapi_iommu_ioas_map want = { .size = sizeof(want),
                                        .flags = 3,
                                        .ioas_id = make_ioas(),
                                        .user_va = (uintptr_t)memory,
                                        .length = PAGE };
    uint8_t byte = 3;

    (void)state;
    attach(0, want.ioas_id);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(dma(0, 0, &byte, 1, 0), FERRY_E_PERMISSION);
    assert_int_equal(dma(0, 0, &byte, 1, 1), FERRY_OK);
    assert_int_equal(memory[0], 3);
    (void)munmap(memory, PAGE);
}

static void test_a_file_that_may_only_be_read_is_not_written(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(1);
    char path[64];
    uint8_t byte = 9;
    int reader;

    (void)state;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    reader = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(reader >= 0);
    attach(0, ioas);
    assert_int_equal(map_fd(ioas, 0, PAGE, reader, 0), 0);
    assert_int_equal(dma(0, 0, &byte, 1, 1), FERRY_E_PERMISSION);
    assert_int_equal(dma(0, 0, &byte, 1, 0), FERRY_OK);
    assert_int_equal(byte, 0);
    /* The same file by a descriptor that may write. */
    byte = 9;
    assert_int_equal(map_fd(ioas, PAGE, PAGE, fd, 0), 0);
    assert_int_equal(dma(0, PAGE, &byte, 1, 1), FERRY_OK);
    byte = 0;
    assert_int_equal(dma(0, 0, &byte, 1, 0), FERRY_OK);
    assert_int_equal(byte, 9);
    close(fd);
    close(reader);
}

static void test_a_peer_is_not_reached_by_messages_either(void **state)
{
    const uint32_t ioas = make_ioas();
    struct ferry_region_info *region = &rigs[1]->device.region[0];
    uint8_t byte = 5;

    (void)state;
    region->fd = make_file(1);
    region->flags = FERRY_REGION_MMAP;
    attach(1, ioas);
    assert_int_equal(map_fd(ioas, 0, PAGE, region->fd, 0), 0);
    rigs[0]->device.token.no_peer_maps = 1;
    attach(0, ioas);
    assert_int_equal(dma(1, 0, &byte, 1, 1), FERRY_OK);
    assert_int_equal(dma(0, 0, &byte, 1, 1), FERRY_E_RANGE);
    close(region->fd);
}

/* A server ends its DMA with a message before it lets go of the map. */
static int inside_status;

static void dma_inside(struct rig *rig, uint64_t iova, uint64_t size)
{
    uint8_t data[4] = { 9, 9, 9, 9 };

    inside_status = bridge_iommu_dma(&rig->device, iova + size - 4, data, 4, 1);
}

static void test_a_server_may_want_dma_before_it_lets_go(void **state)
{
    const uint32_t ioas = make_ioas();
    uint8_t *memory = make_memory(1);

    (void)state;
    attach(0, ioas);
    assert_int_equal(map_va(ioas, 0, PAGE, memory), 0);
    rigs[0]->on_unmap = dma_inside;
    inside_status = -1;
    assert_int_equal(unmap(ioas, 0, PAGE), PAGE);
    assert_int_equal(inside_status, FERRY_OK);
    assert_int_equal(memory[PAGE - 1], 9);
    (void)munmap(memory, PAGE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_memory_is_read_and_written_where_it_is),
        TEST(test_a_message_crosses_the_borders_of_maps),
        TEST(test_a_message_that_cannot_be_done_in_full_does_nothing),
        TEST(test_memory_that_may_not_be_read_is_not),
        TEST(test_a_file_that_may_only_be_read_is_not_written),
        TEST(test_a_peer_is_not_reached_by_messages_either),
        TEST(test_a_server_may_want_dma_before_it_lets_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
