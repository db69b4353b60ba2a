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

#include "base/bitmap.h"
#include "test_bridge_iommu_rig.h"

/*
 * Everybody at once, as in QEMU: processors map and unmap, the migration's thread asks
 * for written pages, the main thread plugs devices, servers write memory and send
 * messages.
 */

#define BLOCKS 8u
#define BLOCK_PAGES 16u
#define PAGES (BLOCKS * BLOCK_PAGES)
#define ROUNDS 1500u

struct scene {
    uint32_t ioas, hwpt;
    int fd;
    uint8_t *file;
    atomic_int stop;
    atomic_uint failures; /* of what must not fail; threads cannot assert */
    atomic_uchar pending[PAGES];
};

static struct scene scene;

static void check(int good)
{
    if (!good) {
        atomic_fetch_add(&scene.failures, 1);
    }
}

static void *mapper(void *arg)
{
    /* Each has blocks of its own. */
    const uint64_t own = (uint64_t)(uintptr_t)arg;
    unsigned int seed = (unsigned int)own;
    int is_mapped[BLOCKS] = { 0 };

    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint64_t block = (uint64_t)rand_r(&seed) % (BLOCKS / 2) * 2 + own;
        const uint64_t at = block * BLOCK_PAGES * PAGE;

        if (is_mapped[block]) {
            check(unmap(scene.ioas, at, BLOCK_PAGES * PAGE) ==
                  (long)(BLOCK_PAGES * PAGE));
        } else {
            check(map_fd(scene.ioas, at, BLOCK_PAGES * PAGE, scene.fd, at) == 0);
        }
        is_mapped[block] = !is_mapped[block];
    }
    return NULL;
}

static void *device(void *arg)
{
    const uint32_t index = (uint32_t)(uintptr_t)arg;
    struct rig *rig = rigs[index];
    unsigned int seed = index + 77;

    while (!atomic_load(&scene.stop)) {
        const uint64_t page = (uint64_t)rand_r(&seed) % PAGES;
        uint64_t value = page;
        int status;

        /* In one step: a report in between would tell of the page too early. */
        (void)pthread_mutex_lock(&rig->lock);
        if (rig_try_write(rig, page * PAGE)) {
            atomic_store(&scene.pending[page], 1);
        }
        (void)pthread_mutex_unlock(&rig->lock);
        status = bridge_iommu_dma(&rig->device, page * PAGE + 8 * index, &value, 8, 1);
        check(status == FERRY_OK || status == FERRY_E_RANGE);
        if (status == FERRY_OK) {
            memcpy(&value, scene.file + page * PAGE + 8 * index, 8);
            check(value == page);
        }
    }
    return NULL;
}

static void take_report(uint32_t flags)
{
    uint64_t bitmap[PAGES / 64] = { 0 };

    check(get_dirty(scene.hwpt, 0, PAGES * PAGE, PAGE, flags, bitmap) == 0);
    for (uint64_t i = 0; i < PAGES && flags == 0; i++) {
        if (ferry_bitmap_test(bitmap, i)) {
            atomic_store(&scene.pending[i], 0);
        }
    }
}

static void *reporter(void *arg)
{
    uint32_t i = 0;

    (void)arg;
    while (!atomic_load(&scene.stop)) {
        take_report(i++ % 4 == 0);
    }
    return NULL;
}

static void *plugger(void *arg)
{
    struct bridge_device *third = &rigs[2]->device;

    (void)arg;
    while (!atomic_load(&scene.stop)) {
        uint32_t pt = scene.hwpt;

        check(bridge_iommu_attach(third, &pt) == 0);
        check(bridge_iommu_detach(third) == 0);
    }
    return NULL;
}

static void test_nothing_is_lost_when_all_come_at_once(void **state)
{
    pthread_t thread[6];

    (void)state;
    memset(&scene, 0, sizeof(scene));
    scene.ioas = make_ioas();
    scene.hwpt = make_hwpt(1, scene.ioas, 2);
    scene.fd = make_file(PAGES);
    scene.file =
        mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, scene.fd, 0);
    assert_ptr_not_equal(scene.file, MAP_FAILED);
    rigs[1]->agreed.dirty_runs = 0; /* harvested before, not told with the unmap */
    attach(0, scene.hwpt);
    attach(1, scene.hwpt);
    assert_int_equal(set_dirty(scene.hwpt, 1), 0);
    for (uintptr_t i = 0; i < 2; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, mapper, (void *)i), 0);
    }
    assert_int_equal(pthread_create(&thread[2], NULL, device, (void *)(uintptr_t)0), 0);
    assert_int_equal(pthread_create(&thread[3], NULL, device, (void *)(uintptr_t)1), 0);
    assert_int_equal(pthread_create(&thread[4], NULL, reporter, NULL), 0);
    assert_int_equal(pthread_create(&thread[5], NULL, plugger, NULL), 0);
    for (uint32_t i = 0; i < 6; i++) {
        if (i == 2) {
            atomic_store(&scene.stop, 1);
        }
        assert_int_equal(pthread_join(thread[i], NULL), 0);
    }
    (void)unmap(scene.ioas, 0, UINT64_MAX);
    take_report(0);
    assert_int_equal(atomic_load(&scene.failures), 0);
    for (uint64_t i = 0; i < PAGES; i++) {
        assert_int_equal(atomic_load(&scene.pending[i]), 0);
    }
    assert_int_equal(rigs[0]->maps + rigs[1]->maps + rigs[2]->maps, 0);
    (void)munmap(scene.file, PAGES * PAGE);
    close(scene.fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_lost_when_all_come_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
