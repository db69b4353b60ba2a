/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_iommu_rig.h"

/* What the devices' servers have mapped, whatever the VMM does. */

#define RAM ((void *)(uintptr_t)0x10000000)

static void test_an_attach_maps_what_is_there(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(4);
    const struct rig_map *map;

    (void)state;
    assert_int_equal(map_fd(ioas, PAGE, 3 * PAGE, fd, PAGE), 0);
    assert_int_equal(map_va(ioas, 8 * PAGE, PAGE, RAM), 0);
    close(fd);
    attach(0, make_hwpt(1, ioas, 0));
    assert_int_equal(rigs[0]->maps, 2);
    map = rig_find(rigs[0], PAGE, 3 * PAGE);
    assert_non_null(map);
    assert_int_not_equal(map->inode, 0);
    assert_int_equal(map->offset, PAGE);
    assert_int_equal(map->flags, FERRY_DMA_READ | FERRY_DMA_WRITE);
    map = rig_find(rigs[0], 8 * PAGE, PAGE);
    assert_non_null(map);
    assert_int_equal(map->inode, 0);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->maps, 0);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
}

static void test_a_map_goes_to_every_device(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    attach(0, make_hwpt(1, ioas, 0));
    attach(1, make_hwpt(2, ioas, 2));
    attach(2, make_ioas());
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_int_equal(rigs[0]->maps, 1);
    assert_int_equal(rigs[1]->maps, 1);
    assert_int_equal(rigs[2]->maps, 0);
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(rigs[0]->maps + rigs[1]->maps, 0);
}

static void test_memory_at_an_address_is_found_in_its_file(void **state)
{
    const uint32_t ioas = make_ioas();
    const struct rig_map *map;

    (void)state;
    attach(0, ioas);
    mappings_fd = make_file(16);
    mappings_off = 5 * PAGE;
    assert_int_equal(map_va(ioas, PAGE, 2 * PAGE, RAM), 0);
    map = rig_find(rigs[0], PAGE, 2 * PAGE);
    assert_non_null(map);
    assert_int_equal(map->inode, inode_of(mappings_fd));
    assert_int_equal(map->offset, 5 * PAGE);
    close(mappings_fd);
}

static void test_read_only_memory_stays_read_only(void **state)
{
    struct uapi_iommu_ioas_map want = { .size = sizeof(want),
                                        .flags = 5,
                                        .ioas_id = make_ioas(),
                                        .user_va = (uintptr_t)RAM,
                                        .length = PAGE };

    (void)state;
    attach(0, want.ioas_id);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(rig_find(rigs[0], 0, PAGE)->flags, FERRY_DMA_READ);
    want.iova = PAGE;
    want.flags = 3;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(rig_find(rigs[0], PAGE, PAGE)->flags, FERRY_DMA_WRITE);
}

static void test_much_memory_without_a_file_is_announced_once(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    assert_int_equal(map_va(ioas, 0, 16ull << 20, RAM), 0);
    assert_int_equal(said, 0);
    assert_int_equal(map_va(ioas, 1ull << 30, 64ull << 20, RAM), 0);
    assert_int_equal(said, 1);
    assert_non_null(strstr(said_last, "64 MiB"));
    assert_non_null(strstr(said_last, "memory-backend-memfd"));
    assert_int_equal(map_va(ioas, 2ull << 30, 64ull << 20, RAM), 0);
    assert_int_equal(said, 1);
}

static void test_a_map_that_one_server_refuses_is_nowhere(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(1);

    (void)state;
    for (uint32_t bad = 0; bad < RIG_DEVICES; bad++) {
        attach(bad, ioas);
    }
    for (uint32_t bad = 0; bad < RIG_DEVICES; bad++) {
        rigs[bad]->map_status = FERRY_E_LIMIT;
        assert_int_equal(map_fd(ioas, PAGE, PAGE, fd, 0), -ENOSPC);
        rigs[bad]->map_status = FERRY_OK;
        for (uint32_t i = 0; i < RIG_DEVICES; i++) {
            assert_int_equal(rigs[i]->maps, 0);
        }
        assert_int_equal(unmap(ioas, PAGE, PAGE), -ENOENT);
    }
    assert_int_equal(said, RIG_DEVICES);
    assert_int_equal(map_fd(ioas, PAGE, PAGE, fd, 0), 0);
    close(fd);
}

/* Otherwise QEMU would end the guest. */
static void test_a_device_in_use_that_refuses_a_map_is_done_without(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        attach(i, ioas);
        rigs[i]->device.settled = 1;
    }
    rigs[1]->map_status = FERRY_E_LIMIT;
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_true(atomic_load(&rigs[1]->dead));
    assert_int_equal(rigs[0]->maps, 1);
    assert_int_equal(rigs[2]->maps, 1);
    assert_int_equal(said, 1);
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(rigs[0]->maps + rigs[2]->maps, 0);
    /* What it refuses at a peer's region is a warning of QEMU's alone. */
    mappings_region = 1;
    mappings_fd = make_file(1);
    rigs[2]->map_status = FERRY_E_LIMIT;
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), -EFAULT);
    assert_false(atomic_load(&rigs[2]->dead));
    assert_int_equal(rigs[0]->maps, 0);
    close(mappings_fd);
    mappings_fd = -1;
    mappings_region = 0;
}

static void test_an_attach_that_is_refused_leaves_nothing(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t old = make_ioas();
    uint32_t pt = ioas;

    (void)state;
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 2 * PAGE, PAGE, RAM), 0);
    rigs[0]->map_status = FERRY_E_LIMIT;
    assert_int_equal(bridge_iommu_attach(&rigs[0]->device, &pt), -ENOSPC);
    assert_int_equal(pt, ioas);
    pt = 99;
    assert_int_equal(bridge_iommu_attach(&rigs[0]->device, &pt), -ENOENT);
    pt = 1; /* a device */
    assert_int_equal(bridge_iommu_attach(&rigs[0]->device, &pt), -ENOENT);
    /* What it had before comes back. */
    assert_int_equal(map_va(old, 7 * PAGE, PAGE, RAM), 0);
    rigs[0]->map_status = FERRY_OK;
    attach(0, old);
    assert_int_equal(rigs[0]->maps, 1);
    pt = ioas;
    rigs[0]->refused_iova = 2 * PAGE;
    assert_int_equal(bridge_iommu_attach(&rigs[0]->device, &pt), -ENOSPC);
    assert_int_equal(rigs[0]->maps, 1);
    assert_non_null(rig_find(rigs[0], 7 * PAGE, PAGE));
    assert_int_equal(map_va(old, 8 * PAGE, PAGE, RAM), 0);
    assert_int_equal(rigs[0]->maps, 2);
    rigs[0]->refused_iova = 0;
    rigs[0]->maps_before_end = rigs[0]->map_calls + 1;
    assert_int_equal(bridge_iommu_attach(&rigs[0]->device, &pt), -EIO);
    rigs[0]->maps_before_end = 0;
    rig_return(rigs[0]);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
}

static void test_another_page_table_replaces_the_first(void **state)
{
    const uint32_t one = make_ioas();
    const uint32_t two = make_ioas();
    const uint32_t calls = 2;

    (void)state;
    assert_int_equal(map_va(one, PAGE, PAGE, RAM), 0);
    assert_int_equal(map_va(two, 2 * PAGE, PAGE, RAM), 0);
    attach(0, one);
    attach(0, two);
    assert_int_equal(rigs[0]->maps, 1);
    assert_non_null(rig_find(rigs[0], 2 * PAGE, PAGE));
    /* In the same space nothing is mapped anew. */
    attach(0, make_hwpt(1, two, 2));
    assert_int_equal(rigs[0]->maps, 1);
    assert_int_equal(rigs[0]->map_calls, calls);
    assert_int_equal(map_va(one, 8 * PAGE, PAGE, RAM), 0);
    assert_int_equal(rigs[0]->maps, 1);
}

static void test_a_tracked_table_takes_only_devices_that_log(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t hwpt = make_hwpt(1, ioas, 2);
    uint32_t pt = hwpt;

    (void)state;
    rigs[1]->no_log = 1;
    assert_int_equal(bridge_iommu_attach(&rigs[1]->device, &pt), -EINVAL);
    attach(1, ioas);
    attach(0, hwpt);
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rigs[0]->log_on, 1);
    /* One that comes later is tracked as well, one that leaves is not. */
    attach(2, hwpt);
    assert_int_equal(rigs[2]->log_on, 1);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
    assert_int_equal(rigs[0]->log_on, 0);
    attach(0, ioas);
    assert_int_equal(rigs[0]->log_on, 0);
    attach(0, hwpt);
    assert_int_equal(rigs[0]->log_on, 1);
    attach(0, ioas);
    assert_int_equal(rigs[0]->log_on, 0);
    assert_int_equal(set_dirty(hwpt, 0), 0);
    assert_int_equal(rigs[2]->log_on, 0);
}

static void test_tracking_starts_for_all_or_for_none(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t hwpt = make_hwpt(1, ioas, 2);

    (void)state;
    attach(0, hwpt);
    attach(1, hwpt);
    rigs[0]->log_on = 1; /* somebody else's */
    assert_int_equal(set_dirty(hwpt, 1), -EBUSY);
    assert_int_equal(rigs[1]->log_on, 0);
    rigs[0]->log_on = 0;
    assert_int_equal(set_dirty(hwpt, 1), 0);
    assert_int_equal(rigs[0]->log_on + rigs[1]->log_on, 2);
}

static void test_a_dead_device_holds_nobody_up(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(4);

    (void)state;
    attach(0, ioas);
    attach(1, ioas);
    assert_int_equal(map_fd(ioas, PAGE, PAGE, fd, 0), 0);
    rig_die(rigs[1]);
    assert_int_equal(map_fd(ioas, 2 * PAGE, PAGE, fd, PAGE), 0);
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(rigs[0]->maps, 1);
    assert_int_equal(said, 0);
    /* It comes back: nothing is asked of it before its maps are repeated. */
    rig_return(rigs[1]);
    assert_int_equal(map_fd(ioas, 3 * PAGE, PAGE, fd, 2 * PAGE), 0);
    assert_int_equal(rigs[1]->maps, 0);
    assert_int_equal(unmap(ioas, 3 * PAGE, PAGE), PAGE);
    assert_int_equal(rigs[1]->unmap_calls, 0);
    assert_int_equal(bridge_iommu_repeat(&rigs[1]->device), 0);
    assert_int_equal(rigs[1]->maps, 1);
    assert_non_null(rig_find(rigs[1], 2 * PAGE, PAGE));
    assert_int_equal(map_fd(ioas, 3 * PAGE, PAGE, fd, 2 * PAGE), 0);
    assert_int_equal(rigs[1]->maps, 2);
    /* It dies of a map. */
    rigs[1]->maps_before_end = rigs[1]->map_calls;
    assert_int_equal(map_fd(ioas, 4 * PAGE, PAGE, fd, 3 * PAGE), 0);
    assert_int_equal(rigs[0]->maps, 3);
    assert_int_equal(bridge_iommu_repeat(&rigs[1]->device), -EIO);
    close(fd);
}

static void test_a_map_that_a_server_keeps_is_told(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    attach(0, ioas);
    attach(1, ioas);
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    rigs[0]->unmap_status = FERRY_E_LIMIT;
    assert_int_equal(unmap(ioas, PAGE, PAGE), -ENOSPC);
    assert_int_equal(said, 1);
    assert_int_equal(rigs[1]->maps, 0);
    assert_int_equal(unmap(ioas, PAGE, PAGE), -ENOENT);
    /* One that it does not know any more is none. */
    rigs[0]->unmap_status = FERRY_OK;
    rigs[0]->maps = 0;
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    rigs[0]->maps = 0;
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
}

static void test_a_server_that_cannot_unmap_all_is_asked_for_each(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    rigs[0]->no_unmap_all = 1;
    attach(0, ioas);
    attach(1, ioas);
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 4 * PAGE, PAGE, RAM), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(bridge_iommu_detach(&rigs[i]->device), 0);
        assert_int_equal(rigs[i]->unmap_alls, 1);
        assert_int_equal(rigs[i]->unmap_calls, i == 0 ? 3 : 1);
        assert_int_equal(rigs[i]->maps, 0);
    }
}

/* A region of a device, as the VMM maps it for the others. */
static int give_region(uint32_t device)
{
    struct ferry_region_info *region = &rigs[device]->device.region[2];

    region->fd = make_file(4);
    region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP;
    return region->fd;
}

static void test_a_region_is_mapped_for_peers(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = give_region(1);

    (void)state;
    attach(0, ioas);
    attach(1, ioas);
    assert_int_equal(map_fd(ioas, PAGE, PAGE, fd, 0), 0);
    assert_non_null(rig_find(rigs[0], PAGE, PAGE));
    assert_non_null(rig_find(rigs[1], PAGE, PAGE));
    mappings_fd = fd;
    mappings_region = 1;
    assert_int_equal(map_va(ioas, 2 * PAGE, PAGE, RAM), 0);
    assert_int_equal(rig_find(rigs[0], 2 * PAGE, PAGE)->inode, inode_of(fd));
    /* A server that cannot do it: QEMU only warns of EFAULT. */
    rigs[0]->map_status = FERRY_E_LIMIT;
    assert_int_equal(map_fd(ioas, 3 * PAGE, PAGE, fd, 0), -EFAULT);
    close(fd);
}

static void test_peers_follow_a_region_to_its_new_server(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t other = make_ioas();
    const int fd = give_region(1);
    const int fresh = make_file(4);
    const int memory = make_file(1);
    uint8_t byte = 4;

    (void)state;
    attach(0, ioas);
    attach(1, ioas);
    attach(2, other);
    assert_int_equal(map_fd(ioas, PAGE, 2 * PAGE, fd, PAGE), 0);
    assert_int_equal(map_fd(ioas, 8 * PAGE, PAGE, memory, 0), 0);
    assert_int_equal(map_fd(other, PAGE, PAGE, fd, 0), 0);
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, PAGE, &byte, 1, 1), FERRY_OK);
    rig_die(rigs[1]);
    rig_return(rigs[1]);
    rigs[1]->device.region[2].fd = fresh;
    assert_int_equal(bridge_iommu_repeat(&rigs[1]->device), 0);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(rigs[i]->maps, 2);
        assert_int_equal(rig_find(rigs[i], PAGE, 2 * PAGE)->inode, inode_of(fresh));
        assert_int_equal(rig_find(rigs[i], PAGE, 2 * PAGE)->offset, PAGE);
        assert_int_equal(rig_find(rigs[i], 8 * PAGE, PAGE)->inode, inode_of(memory));
    }
    assert_int_equal(rig_find(rigs[2], PAGE, PAGE)->inode, inode_of(fresh));
    assert_int_equal(rigs[0]->unmap_calls, 1);
    /* Messages as well. */
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, PAGE, &byte, 1, 0), FERRY_OK);
    assert_int_equal(byte, 0);
    byte = 6;
    assert_int_equal(bridge_iommu_dma(&rigs[0]->device, PAGE, &byte, 1, 1), FERRY_OK);
    byte = 0;
    assert_int_equal(pread(fresh, &byte, 1, (off_t)PAGE), 1);
    assert_int_equal(byte, 6);
    close(fd);
    close(fresh);
    close(memory);
}

static void test_without_peer_maps_no_region_is_mapped(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = give_region(0);
    const int other = give_region(1);
    const int copy = dup(fd);

    (void)state;
    rigs[0]->device.token.no_peer_maps = 1;
    attach(1, ioas);
    /* Nobody reaches its regions, although it is not there itself. */
    assert_int_equal(map_fd(ioas, PAGE, PAGE, copy, 0), -EFAULT);
    mappings_fd = copy;
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), -EFAULT);
    mappings_fd = -1;
    assert_int_equal(rigs[1]->maps, 0);
    /* It reaches no other's: those that are there already are not for it. */
    assert_int_equal(map_fd(ioas, PAGE, PAGE, other, 0), 0);
    attach(0, ioas);
    assert_int_equal(rigs[0]->maps, 0);
    assert_int_equal(rigs[1]->maps, 1);
    assert_int_equal(map_fd(ioas, 2 * PAGE, PAGE, other, 0), -EFAULT);
    assert_int_equal(unmap(ioas, PAGE, PAGE), PAGE);
    assert_int_equal(rigs[0]->unmap_calls, 0);
    /* Memory is no region. */
    assert_int_equal(map_va(ioas, PAGE, PAGE, RAM), 0);
    assert_int_equal(rigs[0]->maps, 1);
    close(copy);
    close(fd);
    close(other);
}

static void test_a_file_costs_one_descriptor(void **state)
{
    const uint32_t ioas = make_ioas();
    const int fd = make_file(1000);
    const int before = dup(fd);

    (void)state;
    close(before);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(map_fd(ioas, i * 2 * PAGE, PAGE, fd, i * PAGE), 0);
    }
    /* The lowest free descriptor is the one behind the file's. */
    assert_int_equal(dup(fd), before + 1);
    close(before + 1);
    assert_int_equal(unmap(ioas, 0, UINT64_MAX), 1000 * PAGE);
    assert_int_equal(dup(fd), before);
    close(before);
    close(fd);
}

/* --- any sequence */

#define SLOTS 64u

struct model {
    uint64_t size[SLOTS]; /* of the map that starts at this page; 0: none does */
    uint64_t off[SLOTS];
};

static int model_free(const struct model *model, uint64_t first, uint64_t pages)
{
    for (uint64_t i = 0; i < SLOTS; i++) {
        if (model->size[i] != 0 && i < first + pages && first < i + model->size[i]) {
            return 0;
        }
    }
    return 1;
}

static int64_t model_unmap(struct model *model, uint64_t first, uint64_t pages)
{
    int64_t bytes = 0;

    for (uint64_t i = 0; i < SLOTS; i++) {
        if (model->size[i] != 0 && i < first + pages && first < i + model->size[i] &&
            (i < first || i + model->size[i] > first + pages)) {
            return -ENOENT;
        }
    }
    for (uint64_t i = first; i < first + pages && i < SLOTS; i++) {
        bytes += (int64_t)(model->size[i] * PAGE);
        model->size[i] = 0;
    }
    return bytes == 0 ? -ENOENT : bytes;
}

static void compare(const struct model *model, uint32_t device, int is_attached)
{
    const struct rig *rig = rigs[device];
    uint32_t count = 0;

    if (!is_attached || atomic_load(&rigs[device]->dead)) {
        return;
    }
    for (uint64_t i = 0; i < SLOTS; i++) {
        if (model->size[i] != 0) {
            const struct rig_map *map = rig_find(rig, i * PAGE, model->size[i] * PAGE);

            assert_non_null(map);
            assert_int_equal(map->offset, model->off[i]);
            count++;
        }
    }
    assert_int_equal(rig->maps, count);
}

static void step(struct model *model, uint32_t ioas, int fd, int *attached)
{
    const uint64_t first = (uint64_t)rand() % SLOTS;
    const uint64_t pages = 1 + (uint64_t)rand() % 6;
    const uint32_t device = (uint32_t)rand() % RIG_DEVICES;
    int kind = rand() % 16;

    if (kind < 8 && first + pages <= SLOTS) {
        const uint64_t off = (uint64_t)rand() % 32 * PAGE;
        const long rc = map_fd(ioas, first * PAGE, pages * PAGE, fd, off);

        assert_int_equal(rc, model_free(model, first, pages) ? 0 : -EEXIST);
        if (rc == 0) {
            model->size[first] = pages;
            model->off[first] = off;
        }
    } else if (kind < 13) {
        const int64_t wanted = model_unmap(model, first, pages);

        assert_int_equal(unmap(ioas, first * PAGE, pages * PAGE), wanted);
    } else if (atomic_load(&rigs[device]->dead)) {
        rig_return(rigs[device]);
        assert_int_equal(bridge_iommu_repeat(&rigs[device]->device), 0);
    } else if (kind == 13 && attached[device]) {
        rig_die(rigs[device]);
    } else if (attached[device]) {
        assert_int_equal(bridge_iommu_detach(&rigs[device]->device), 0);
        assert_int_equal(rigs[device]->maps, 0);
        attached[device] = 0;
    } else {
        attach(device, ioas);
        attached[device] = 1;
    }
}

static void test_any_sequence_leaves_what_a_simple_model_has(void **state)
{
    struct model model = { { 0 }, { 0 } };
    int attached[RIG_DEVICES] = { 0 };
    const uint32_t ioas = make_ioas();
    const int fd = make_file(64);

    (void)state;
    srand(4);
    for (uint32_t i = 0; i < 20000; i++) {
        step(&model, ioas, fd, attached);
        compare(&model, i % RIG_DEVICES, attached[i % RIG_DEVICES]);
    }
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_attach_maps_what_is_there),
        TEST(test_a_map_goes_to_every_device),
        TEST(test_memory_at_an_address_is_found_in_its_file),
        TEST(test_read_only_memory_stays_read_only),
        TEST(test_much_memory_without_a_file_is_announced_once),
        TEST(test_a_map_that_one_server_refuses_is_nowhere),
        TEST(test_a_device_in_use_that_refuses_a_map_is_done_without),
        TEST(test_an_attach_that_is_refused_leaves_nothing),
        TEST(test_another_page_table_replaces_the_first),
        TEST(test_a_tracked_table_takes_only_devices_that_log),
        TEST(test_tracking_starts_for_all_or_for_none),
        TEST(test_a_dead_device_holds_nobody_up),
        TEST(test_a_map_that_a_server_keeps_is_told),
        TEST(test_a_server_that_cannot_unmap_all_is_asked_for_each),
        TEST(test_a_region_is_mapped_for_peers),
        TEST(test_peers_follow_a_region_to_its_new_server),
        TEST(test_without_peer_maps_no_region_is_mapped),
        TEST(test_a_file_costs_one_descriptor),
        TEST(test_any_sequence_leaves_what_a_simple_model_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
