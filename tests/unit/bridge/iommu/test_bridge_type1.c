/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/iommu/type1/space.h"
#include "os/uapi/type1.h"
#include "test_bridge_iommu_rig.h"

/* The memory of a container: its calls, and what devices in it write. */

#define RAM 0x10000000ull
#define PAGES 64ull

static struct type1_space space;

/* All devices are in it. */
static int up(void **state)
{
    assert_int_equal(rig_start(state), 0);
    assert_int_equal(type1_space_make(&space), 0);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        uint32_t id;
        uint32_t pt = space.hwpt;

        bridge_iommu_unbind(&rigs[i]->device);
        assert_int_equal(bridge_iommu_bind(&space.iommu->object, &rigs[i]->device, &id),
                         0);
        assert_int_equal(bridge_iommu_attach(&rigs[i]->device, &pt), 0);
        assert_int_equal(pt, space.hwpt);
    }
    mappings_fd = make_file(PAGES);
    return 0;
}

static int down(void **state)
{
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        bridge_iommu_unbind(&rigs[i]->device);
    }
    bridge_object_put(&space.iommu->object);
    (void)close(mappings_fd);
    mappings_fd = -1;
    return rig_stop(state);
}

static long map(uint64_t iova, uint64_t size, uint32_t flags)
{
    struct uapi_type1_map want = {
        .argsz = sizeof(want), .flags = flags, .address = RAM, .iova = iova, .size = size
    };

    return type1_map(&space, &want);
}

/* ret_size: may be NULL. */
static long unmap_with(uint64_t iova, uint64_t size, uint32_t flags, uint64_t *ret_size)
{
    struct uapi_type1_unmap want = {
        .argsz = sizeof(want), .flags = flags, .iova = iova, .size = size
    };
    const long rc = type1_unmap(&space, &want);

    if (ret_size != NULL) {
        *ret_size = want.size;
    }
    return rc;
}

static long dirty(uint32_t flags)
{
    struct uapi_type1_dirty want = { .argsz = sizeof(want), .flags = flags };

    return type1_dirty(&space, &want);
}

struct get {
    struct uapi_type1_dirty head;
    struct uapi_type1_dirty_range range;
};

static struct get get_of(uint64_t iova, uint64_t pages, uint64_t *bitmap)
{
    return (struct get){
        .head = { .argsz = sizeof(struct get), .flags = UAPI_TYPE1_DIRTY_GET },
        .range = { .iova = iova,
                   .size = pages * PAGE,
                   .bitmap = { .page_size = PAGE,
                               .bytes = (pages + 63) / 64 * 8,
                               .data = (uintptr_t)bitmap } },
    };
}

/* The written ones of the first 64 pages from iova on. */
static uint64_t written(uint64_t iova)
{
    uint64_t bitmap = 0;
    struct get want = get_of(iova, 64, &bitmap);

    assert_int_equal(type1_dirty(&space, &want), 0);
    return bitmap;
}

static void test_info_tells_pages_ranges_and_what_can_be_logged(void **state)
{
    struct {
        struct uapi_type1_info info;
        struct uapi_cap_type1_ranges ranges;
        struct uapi_cap_type1_maps_left left;
        struct uapi_cap_type1_migration migration;
    } all = { .info = { .argsz = sizeof(all.info) } };

    (void)state;
    assert_int_equal(type1_get_info(&space, 1, &all), 0);
    assert_int_equal(all.info.argsz, sizeof(all));
    assert_int_equal(all.info.flags, UAPI_TYPE1_PAGE_SIZES | UAPI_TYPE1_CAPS);
    assert_int_equal(all.info.cap_offset, 0);
    assert_int_equal(all.ranges.head.id, 0); /* nothing behind what there was room for */
    assert_int_equal(type1_get_info(&space, 1, &all), 0);
    assert_int_equal(all.info.cap_offset, sizeof(all.info));
    assert_true((all.info.page_sizes & PAGE) != 0);
    assert_int_equal(all.ranges.head.next, 56);
    assert_int_equal(all.ranges.head.id, 1);
    assert_true(all.ranges.last == UINT64_MAX - PAGE);
    assert_int_equal(all.left.head.next, 72);
    assert_int_equal(all.left.head.id, 3);
    assert_int_equal(all.left.count, IOMMU_MAPS_MAX);
    assert_int_equal(all.migration.head.id, 2);
    assert_int_equal(all.migration.head.next, 0);
    assert_int_equal(all.migration.page_sizes, PAGE);
    assert_int_equal(all.migration.bitmap_bytes_max, TYPE1_BITMAP_BYTES_MAX);
    assert_int_equal(map(0, PAGE, 3), 0);
    memset(&all.migration, 0, sizeof(all.migration));
    assert_int_equal(type1_get_info(&space, 0, &all), 0);
    assert_int_equal(all.info.argsz, sizeof(all) - sizeof(all.migration));
    assert_int_equal(all.left.head.next, 0);
    assert_int_equal(all.left.count, IOMMU_MAPS_MAX - 1);
    assert_int_equal(all.migration.head.id, 0);
    all.info.argsz = 16;
    assert_int_equal(type1_get_info(&space, 1, &all), 0);
    assert_int_equal(all.info.flags, UAPI_TYPE1_PAGE_SIZES);
    all.info.argsz = 15;
    assert_int_equal(type1_get_info(&space, 1, &all), -EINVAL);
}

static void test_maps_reach_every_device(void **state)
{
    uint64_t size = 0;

    (void)state;
    assert_int_equal(map(0, 16 * PAGE, 3), 0);
    assert_int_equal(map(16 * PAGE, PAGE, UAPI_TYPE1_MAP_READ), 0);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        assert_int_equal(rig_find(rigs[i], 0, 16 * PAGE)->flags,
                         FERRY_DMA_READ | FERRY_DMA_WRITE);
        assert_int_equal(rig_find(rigs[i], 16 * PAGE, PAGE)->flags, FERRY_DMA_READ);
    }
    assert_int_equal(unmap_with(0, 32 * PAGE, 0, &size), 0);
    assert_int_equal(size, 17 * PAGE);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        assert_int_equal(rigs[i]->maps, 0);
    }
    /* Nothing there is no error. */
    assert_int_equal(unmap_with(0, 32 * PAGE, 0, &size), 0);
    assert_int_equal(size, 0);
}

static void test_maps_go_whole_or_not_at_all(void **state)
{
    uint64_t size = 0;

    (void)state;
    assert_int_equal(map(4 * PAGE, 4 * PAGE, 3), 0);
    assert_int_equal(map(8 * PAGE, 4 * PAGE, 3), 0);
    assert_int_equal(unmap_with(0, 6 * PAGE, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(6 * PAGE, 6 * PAGE, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(5 * PAGE, PAGE, 0, NULL), -EINVAL);
    assert_int_equal(rigs[0]->maps, 2);
    /* The last bytes of the address space, as QEMU takes away all of it. */
    assert_int_equal(unmap_with(8 * PAGE, UINT64_MAX - 8 * PAGE + 1, 0, &size), 0);
    assert_int_equal(size, 4 * PAGE);
    assert_int_equal(unmap_with(0, 0, UAPI_TYPE1_UNMAP_ALL, &size), 0);
    assert_int_equal(size, 4 * PAGE);
    assert_int_equal(rigs[0]->maps, 0);
}

static void test_bad_maps_and_unmaps_are_refused(void **state)
{
    struct uapi_type1_map one = {
        .argsz = sizeof(one) - 1, .flags = 3, .address = RAM, .size = PAGE
    };
    struct uapi_type1_unmap other = { .argsz = sizeof(other) - 1, .size = PAGE };

    (void)state;
    assert_int_equal(type1_map(&space, &one), -EINVAL);
    assert_int_equal(type1_unmap(&space, &other), -EINVAL);
    assert_int_equal(map(0, PAGE, 0), -EINVAL);
    assert_int_equal(map(0, PAGE, 4 | 3), -EINVAL);
    assert_int_equal(map(0, 0, 3), -EINVAL);
    assert_int_equal(map(0, 100, 3), -EINVAL);
    assert_int_equal(map(100, PAGE, 3), -EINVAL);
    assert_int_equal(map(UINT64_MAX - PAGE + 1, 2 * PAGE, 3), -EINVAL);
    one.argsz = sizeof(one);
    one.address = RAM + 1;
    assert_int_equal(type1_map(&space, &one), -EINVAL);
    assert_int_equal(map(0, PAGE, 3), 0);
    assert_int_equal(map(0, PAGE, 3), -EEXIST);
    assert_int_equal(unmap_with(0, 0, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(0, 100, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(100, PAGE, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(2 * PAGE, UINT64_MAX - PAGE + 1, 0, NULL), -EINVAL);
    assert_int_equal(unmap_with(0, PAGE, 8, NULL), -EINVAL);
    assert_int_equal(unmap_with(0, PAGE, UAPI_TYPE1_UNMAP_ALL, NULL), -EINVAL);
    assert_int_equal(unmap_with(PAGE, 0, UAPI_TYPE1_UNMAP_ALL, NULL), -EINVAL);
    assert_int_equal(
        unmap_with(0, 0, UAPI_TYPE1_UNMAP_ALL | UAPI_TYPE1_UNMAP_DIRTY, NULL), -EINVAL);
    assert_int_equal(rigs[0]->maps, 1);
}

static void test_what_all_devices_write_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(map(0, PAGES * PAGE, 3), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0); /* as in the kernel */
    rig_write(rigs[0], 3 * PAGE);
    rig_write(rigs[2], 7 * PAGE);
    assert_int_equal(written(0), 1u << 3 | 1u << 7);
    assert_int_equal(written(0), 0);
    rig_write(rigs[1], 9 * PAGE);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_STOP), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_STOP), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(written(0), 0);
}

static void test_bad_questions_for_written_pages_are_refused(void **state)
{
    uint64_t bitmap[2] = { 0 };
    struct get want = get_of(0, 64, bitmap);
    const struct get good = want;

    (void)state;
    assert_int_equal(map(0, PAGES * PAGE, 3), 0);
    assert_int_equal(type1_dirty(&space, &want), -EINVAL); /* it does not track */
    assert_int_equal(dirty(0), -EINVAL);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START | UAPI_TYPE1_DIRTY_STOP), -EINVAL);
    assert_int_equal(dirty(8), -EINVAL);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_GET), -EINVAL); /* no range behind it */
    want.head.argsz = 7;
    assert_int_equal(type1_dirty(&space, &want), -EINVAL);
#define REFUSES(member, value, error)                                                    \
    want = good;                                                                         \
    want.range.member = (value);                                                         \
    assert_int_equal(type1_dirty(&space, &want), -(error))
    REFUSES(size, 0, EINVAL);
    REFUSES(size, 100, EINVAL);
    REFUSES(iova, 100, EINVAL);
    REFUSES(iova, UINT64_MAX - 63 * PAGE + 1, EINVAL);
    REFUSES(bitmap.page_size, 0, EINVAL);
    REFUSES(bitmap.page_size, 2 * PAGE, EINVAL);
    REFUSES(bitmap.bytes, 7, EINVAL);
    REFUSES(bitmap.bytes, TYPE1_BITMAP_BYTES_MAX + 8, EINVAL);
    REFUSES(bitmap.data, 0, EFAULT);
    REFUSES(size, 65 * PAGE, EINVAL); /* more than the bitmap has */
#undef REFUSES
    want = good;
    assert_int_equal(type1_dirty(&space, &want), 0);
}

static void test_an_unmap_tells_what_was_written(void **state)
{
    uint64_t bitmap = 0;
    struct {
        struct uapi_type1_unmap head;
        struct uapi_type1_bitmap bitmap;
    } want = { .head = { .argsz = sizeof(want),
                         .flags = UAPI_TYPE1_UNMAP_DIRTY,
                         .iova = 0,
                         .size = 16 * PAGE },
               .bitmap = { .page_size = PAGE, .bytes = 8, .data = (uintptr_t)&bitmap } };

    (void)state;
    assert_int_equal(map(0, 16 * PAGE, 3), 0);
    assert_int_equal(type1_unmap(&space, &want), -EINVAL); /* it does not track */
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    rig_write(rigs[1], 5 * PAGE);
    want.head.argsz = sizeof(want.head);
    assert_int_equal(type1_unmap(&space, &want), -EINVAL);
    want.head.argsz = sizeof(want);
    want.bitmap.bytes = 4;
    assert_int_equal(type1_unmap(&space, &want), -EINVAL);
    assert_int_equal(rigs[1]->maps, 1);
    want.bitmap.bytes = 8;
    assert_int_equal(bridge_iommu_misled(&rigs[0]->device), 0);
    assert_int_equal(type1_unmap(&space, &want), 0);
    assert_int_equal(want.head.size, 16 * PAGE);
    assert_int_equal(bitmap, 1u << 5);
    assert_int_equal(rigs[1]->maps, 0);
    /* QEMU takes it for another page: until it has begun anew. */
    assert_int_equal(bridge_iommu_misled(&rigs[0]->device), 1);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_STOP), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(bridge_iommu_misled(&rigs[0]->device), 0);
    assert_int_equal(map(0, 16 * PAGE, 3), 0);
    bitmap = 0;
    assert_int_equal(type1_unmap(&space, &want), 0);
    assert_int_equal(bitmap, 0);
    assert_int_equal(bridge_iommu_misled(&rigs[0]->device), 0);
    /* The map goes, and a VMM looks at no bitmap of a call that failed. */
    assert_int_equal(map(0, 16 * PAGE, 3), 0);
    rigs[1]->unmap_status = FERRY_E_LIMIT;
    assert_true(type1_unmap(&space, &want) < 0);
    assert_int_equal(bridge_iommu_misled(&rigs[0]->device), 1);
}

static void test_written_pages_are_told_up_to_the_last_address(void **state)
{
    const uint64_t iova = UINT64_MAX - 2 * PAGE + 1;
    uint64_t bitmap = 0;
    struct get get = get_of(iova, 2, &bitmap);
    struct {
        struct uapi_type1_unmap head;
        struct uapi_type1_bitmap bitmap;
    } want = { .head = { .argsz = sizeof(want),
                         .flags = UAPI_TYPE1_UNMAP_DIRTY,
                         .iova = iova,
                         .size = 2 * PAGE },
               .bitmap = { .page_size = PAGE, .bytes = 8, .data = (uintptr_t)&bitmap } };

    (void)state;
    bridge_iommu_unbind(&rigs[1]->device);
    bridge_iommu_unbind(&rigs[2]->device);
    rigs[0]->no_log = 1; /* all counts as written */
    assert_int_equal(map(iova, PAGE, 3), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(type1_dirty(&space, &get), 0);
    assert_int_equal(bitmap, 1);
    bitmap = 0;
    assert_int_equal(type1_unmap(&space, &want), 0);
    assert_int_equal(want.head.size, PAGE);
    assert_int_equal(bitmap, 1);
    get = get_of(iova + PAGE, 1, &bitmap);
    assert_int_equal(type1_dirty(&space, &get), 0);
}

static void test_what_went_without_a_question_is_told_by_the_next(void **state)
{
    (void)state;
    assert_int_equal(map(0, 16 * PAGE, 3), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    rig_write(rigs[0], 2 * PAGE);
    assert_int_equal(unmap_with(0, 16 * PAGE, 0, NULL), 0);
    assert_int_equal(map(0, 8 * PAGE, 3), 0);
    rig_write(rigs[1], 4 * PAGE);
    bridge_iommu_unbind(&rigs[1]->device); /* a device that was unplugged */
    assert_int_equal(written(0), 1u << 2 | 1u << 4);
    assert_int_equal(written(0), 0);
}

static void test_all_counts_as_written_by_a_device_without_a_log(void **state)
{
    (void)state;
    assert_int_equal(map(0, PAGES * PAGE, 3), 0);
    rigs[0]->no_log = 1;
    said = 0;
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(said, 1);
    assert_non_null(strstr(said_last, "counts as written"));
    assert_true(written(0) == UINT64_MAX);
    assert_true(written(0) == UINT64_MAX);
    bridge_iommu_unbind(&rigs[0]->device);
    assert_int_equal(written(0), 0);
}

static void test_a_log_that_fails_loses_nothing(void **state)
{
    (void)state;
    assert_int_equal(map(0, PAGES * PAGE, 3), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    rig_write(rigs[1], 4 * PAGE);
    rig_die(rigs[1]);
    assert_true(written(0) == UINT64_MAX);
    rig_return(rigs[1]);
    assert_true(written(0) == UINT64_MAX);
}

static void test_a_device_that_comes_while_it_tracks_is_tracked(void **state)
{
    uint32_t pt = space.hwpt;
    uint32_t id;

    (void)state;
    bridge_iommu_unbind(&rigs[2]->device);
    assert_int_equal(map(0, PAGES * PAGE, 3), 0);
    assert_int_equal(dirty(UAPI_TYPE1_DIRTY_START), 0);
    assert_int_equal(bridge_iommu_bind(&space.iommu->object, &rigs[2]->device, &id), 0);
    assert_int_equal(bridge_iommu_attach(&rigs[2]->device, &pt), 0);
    assert_int_equal(rigs[2]->maps, 1);
    rig_write(rigs[2], PAGE);
    assert_int_equal(written(0), 1u << 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_info_tells_pages_ranges_and_what_can_be_logged),
        TEST(test_maps_reach_every_device),
        TEST(test_maps_go_whole_or_not_at_all),
        TEST(test_bad_maps_and_unmaps_are_refused),
        TEST(test_what_all_devices_write_is_told_once),
        TEST(test_bad_questions_for_written_pages_are_refused),
        TEST(test_an_unmap_tells_what_was_written),
        TEST(test_written_pages_are_told_up_to_the_last_address),
        TEST(test_what_went_without_a_question_is_told_by_the_next),
        TEST(test_all_counts_as_written_by_a_device_without_a_log),
        TEST(test_a_log_that_fails_loses_nothing),
        TEST(test_a_device_that_comes_while_it_tracks_is_tracked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
