/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_iommu_rig.h"

/* The requests of /dev/iommu, one by one: what they answer to good and bad input. */

#define RAM ((void *)(uintptr_t)0x10000000)

static void test_a_request_that_is_not_known_is_refused(void **state)
{
    uint64_t room[16] = { 64 };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_CHANGE_PROCESS, room), -ENOTTY);
    assert_int_equal(ask(0x3b64, room), -ENOTTY);
    assert_int_equal(ask(0, NULL), -ENOTTY);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOW_IOVAS, room), -EOPNOTSUPP);
}

static void test_a_structure_has_a_size(void **state)
{
    struct {
        struct uapi_iommu_ioas_alloc known;
        uint32_t more[8];
    } want = { .known = { .size = sizeof(want) } };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, NULL), -EFAULT);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), 0);
    assert_int_not_equal(want.known.out_ioas_id, 0);
    want.more[7] = 1;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), -E2BIG);
    want.known.size = sizeof(want) - 4;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), 0);
    want.known.size = 8;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), -EINVAL);
    want.known.size = 0x7fffffff;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), -E2BIG);
    want.known.size = 12;
    want.known.flags = 1;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), -EOPNOTSUPP);
}

static void test_ranges_are_asked_in_two_passes(void **state)
{
    struct uapi_iommu_iova_range range[2] = { { 1, 1 }, { 1, 1 } };
    struct uapi_iommu_ioas_iova_ranges want = { .size = sizeof(want),
                                                .ioas_id = make_ioas() };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_IOVA_RANGES, &want), -EMSGSIZE);
    assert_int_equal(want.num_iovas, 1);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_IOVA_RANGES, &want), -EFAULT);
    want.allowed_iovas = (uintptr_t)range;
    want.num_iovas = 2;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_IOVA_RANGES, &want), 0);
    assert_int_equal(want.num_iovas, 1);
    assert_int_equal(want.out_iova_alignment, PAGE);
    assert_int_equal(range[0].start, 0);
    assert_true(range[0].last == UINT64_MAX - PAGE);
    assert_int_equal(range[1].last, 1);
    want.reserved = 1;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_IOVA_RANGES, &want), -EOPNOTSUPP);
    want.reserved = 0;
    want.ioas_id = 1; /* a device */
    assert_int_equal(ask(UAPI_IOMMU_IOAS_IOVA_RANGES, &want), -ENOENT);
}

static void test_bad_maps_are_refused(void **state)
{
    const struct uapi_iommu_ioas_map good = { .size = sizeof(good),
                                              .flags = 7,
                                              .ioas_id = make_ioas(),
                                              .user_va = (uintptr_t)RAM,
                                              .length = 2 * PAGE,
                                              .iova = PAGE };
    struct uapi_iommu_ioas_map want;

    (void)state;
#define REFUSES(member, value, error)                                                    \
    want = good;                                                                         \
    want.member = (value);                                                               \
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), -(error))
    REFUSES(flags, 15, EOPNOTSUPP);
    REFUSES(flags, 1, EINVAL);
    REFUSES(reserved, 1, EOPNOTSUPP);
    REFUSES(ioas_id, 99, ENOENT);
    REFUSES(ioas_id, 1, ENOENT);
    REFUSES(length, 0, EINVAL);
    REFUSES(length, 100, EINVAL);
    REFUSES(length, UINT64_MAX, EOVERFLOW);
    REFUSES(length, UINT64_MAX - PAGE + 1, EOVERFLOW);
    REFUSES(length, UINT64_MAX - 3 * PAGE + 1, EOVERFLOW); /* the address */
    REFUSES(iova, 1, EINVAL);
    REFUSES(iova, UINT64_MAX, EOVERFLOW);
    REFUSES(iova, UINT64_MAX - 2 * PAGE + 1, EOVERFLOW);
    REFUSES(user_va, 0, EFAULT);
    REFUSES(user_va, 0x10000001, EINVAL);
    REFUSES(user_va, UINT64_MAX - PAGE + 1, EOVERFLOW);
#undef REFUSES
    want = good;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), -EEXIST);
    want.iova = 2 * PAGE;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), -EEXIST);
    want.iova = UINT64_MAX - 4 * PAGE + 1;
    want.length = 3 * PAGE;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
}

static void test_bad_files_are_refused(void **state)
{
    const int fd = make_file(4);
    const struct uapi_iommu_ioas_map_file good = { .size = sizeof(good),
                                                   .flags = 7,
                                                   .ioas_id = make_ioas(),
                                                   .fd = fd,
                                                   .start = PAGE,
                                                   .length = 3 * PAGE };
    struct uapi_iommu_ioas_map_file want;
    int pipes[2];

    (void)state;
    assert_int_equal(pipe(pipes), 0);
#define REFUSES(member, value, error)                                                    \
    want = good;                                                                         \
    want.member = (value);                                                               \
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP_FILE, &want), -(error))
    REFUSES(flags, 8, EOPNOTSUPP);
    REFUSES(flags, 1, EINVAL);
    REFUSES(ioas_id, 0, ENOENT);
    REFUSES(fd, -1, EBADF);
    REFUSES(fd, pipes[0], EINVAL);
    REFUSES(start, 2 * PAGE, EINVAL); /* past its end */
    REFUSES(start, 17, EINVAL);
    REFUSES(start, UINT64_MAX - PAGE + 1, EOVERFLOW);
    REFUSES(length, 0, EINVAL);
    REFUSES(length, 4 * PAGE, EINVAL);
    REFUSES(iova, 5, EINVAL);
#undef REFUSES
    want = good;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP_FILE, &want), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP_FILE, &want), -EEXIST);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
}

static void test_an_address_is_chosen_when_none_is_given(void **state)
{
    const uint32_t ioas = make_ioas();
    struct uapi_iommu_ioas_map want = { .size = sizeof(want),
                                        .flags = 6,
                                        .ioas_id = ioas,
                                        .user_va = (uintptr_t)RAM,
                                        .length = 2 * PAGE,
                                        .iova = 77 };

    (void)state;
    assert_int_equal(map_va(ioas, 2 * PAGE, PAGE, RAM), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(want.iova, 3 * PAGE);
    want.length = PAGE;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    assert_int_equal(want.iova, PAGE);
    want.length = UINT64_MAX - 100 * PAGE + 1;
    want.user_va = PAGE;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), 0);
    want.iova = 0;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_MAP, &want), -ENOSPC);
}

static void test_only_whole_maps_are_unmapped(void **state)
{
    const uint32_t ioas = make_ioas();

    (void)state;
    assert_int_equal(map_va(ioas, 4 * PAGE, 4 * PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 8 * PAGE, 2 * PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, 20 * PAGE, 2 * PAGE, RAM), 0);
    assert_int_equal(unmap(ioas, 5 * PAGE, 3 * PAGE), -ENOENT);
    assert_int_equal(unmap(ioas, 4 * PAGE, 3 * PAGE), -ENOENT);
    assert_int_equal(unmap(ioas, 4 * PAGE, 5 * PAGE), -ENOENT);
    assert_int_equal(unmap(ioas, 0, 4 * PAGE), -ENOENT);
    assert_int_equal(unmap(ioas, 10 * PAGE, 5 * PAGE), -ENOENT);
    assert_int_equal(unmap(ioas, 0, 0), -EINVAL);
    assert_int_equal(unmap(ioas, PAGE, UINT64_MAX), -EOVERFLOW);
    assert_int_equal(unmap(99, 4 * PAGE, 4 * PAGE), -ENOENT);
    /* A superset is fine, holes and several maps included. */
    assert_int_equal(unmap(ioas, 3 * PAGE, 10 * PAGE), 6 * PAGE);
    assert_int_equal(unmap(ioas, 3 * PAGE, 10 * PAGE), -ENOENT);
    assert_int_equal(map_va(ioas, 4 * PAGE, 4 * PAGE, RAM), 0);
    assert_int_equal(unmap(ioas, 0, UINT64_MAX), 6 * PAGE);
    assert_int_equal(unmap(ioas, 0, UINT64_MAX), 0);
}

static void test_everything_goes_in_two_halves(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint64_t half = 1ull << 63;

    (void)state;
    assert_int_equal(map_va(ioas, 0, PAGE, RAM), 0);
    assert_int_equal(map_va(ioas, UINT64_MAX - 2 * PAGE + 1, PAGE, RAM), 0);
    assert_int_equal(unmap(ioas, 0, half), PAGE);
    assert_int_equal(unmap(ioas, half, half), PAGE);
    assert_int_equal(unmap(ioas, half, half), -ENOENT);
}

static void test_a_map_is_copied(void **state)
{
    const uint32_t from = make_ioas();
    const uint32_t to = make_ioas();
    const int fd = make_file(8);
    struct uapi_iommu_ioas_copy want = { .size = sizeof(want),
                                         .flags = 5, /* read-only */
                                         .dst_ioas_id = to,
                                         .src_ioas_id = from,
                                         .length = 2 * PAGE,
                                         .dst_iova = 0x100000,
                                         .src_iova = 3 * PAGE };
    const struct rig_map *map;

    (void)state;
    attach(0, to);
    assert_int_equal(map_fd(from, PAGE, 4 * PAGE, fd, 2 * PAGE), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), 0);
    map = rig_find(rigs[0], 0x100000, 2 * PAGE);
    assert_non_null(map);
    assert_int_equal(map->offset, 4 * PAGE);
    assert_int_equal(map->inode, inode_of(fd));
    assert_int_equal(map->flags, FERRY_DMA_READ);
    /* The copy lives on without what it was made of. */
    assert_int_equal(unmap(from, PAGE, 4 * PAGE), 4 * PAGE);
    want.src_iova = 0x100000;
    want.src_ioas_id = to;
    want.dst_iova = 0x200000;
    want.flags = 7;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), -EPERM);
    want.flags = 5;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), -EEXIST);
    want.length = 3 * PAGE;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), -ENOENT);
    want.src_ioas_id = 1;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), -ENOENT);
    want.length = UINT64_MAX;
    assert_int_equal(ask(UAPI_IOMMU_IOAS_COPY, &want), -EOVERFLOW);
    close(fd);
}

static void test_hardware_says_whether_it_tracks(void **state)
{
    uint8_t room[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct uapi_iommu_hw_info want = {
        .size = sizeof(want), .dev_id = 1, .data_len = 4, .data_uptr = (uintptr_t)room
    };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), 0);
    assert_int_equal(want.out_capabilities, UAPI_IOMMU_HW_CAP_DIRTY_TRACKING);
    assert_int_equal(want.data_type, 0);
    assert_int_equal(want.data_len, 0);
    assert_int_equal(room[3], 0);
    assert_int_equal(room[4], 5);
    /* Its server is asked once. */
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), 0);
    assert_int_equal(rigs[0]->probe_calls, 2);
    rigs[0]->device.token.dirty = FERRY_BRIDGE_DIRTY_DEVICE;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), 0);
    assert_int_equal(want.out_capabilities, 0);
    rigs[1]->no_log = 1;
    want.dev_id = 2;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), 0);
    assert_int_equal(want.out_capabilities, 0);
    want.dev_id = 9;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), -ENOENT);
    want.dev_id = 1;
    want.flags = 2;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), -EOPNOTSUPP);
    want.flags = UAPI_IOMMU_HW_INFO_INPUT_TYPE;
    want.data_type = 1;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), -EOPNOTSUPP);
    want.data_type = 0;
    want.reserved[2] = 1;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), -EOPNOTSUPP);
    want.reserved[2] = 0;
    want.size = 32; /* without the capabilities */
    want.out_capabilities = 99;
    assert_int_equal(ask(UAPI_IOMMU_GET_HW_INFO, &want), 0);
    assert_int_equal(want.out_capabilities, 99);
}

static void test_a_page_table_needs_a_device_and_a_space(void **state)
{
    const struct uapi_iommu_hwpt_alloc good = {
        .size = 40, .flags = 2, .dev_id = 1, .pt_id = make_ioas()
    };
    struct uapi_iommu_hwpt_alloc want = good;

    (void)state;
#define REFUSES(member, value, error)                                                    \
    want = good;                                                                         \
    want.size = sizeof(want);                                                            \
    want.member = (value);                                                               \
    assert_int_equal(ask(UAPI_IOMMU_HWPT_ALLOC, &want), -(error))
    REFUSES(flags, 1, EOPNOTSUPP);
    REFUSES(flags, 4, EOPNOTSUPP);
    REFUSES(reserved, 1, EOPNOTSUPP);
    REFUSES(data_type, 1, EOPNOTSUPP);
    REFUSES(data_len, 1, EINVAL);
    REFUSES(fault_id, 1, EOPNOTSUPP);
    REFUSES(dev_id, 9, ENOENT);
    REFUSES(dev_id, 4, ENOENT); /* the address space */
    REFUSES(pt_id, 1, ENOENT);
#undef REFUSES
    want = good;
    assert_int_equal(ask(UAPI_IOMMU_HWPT_ALLOC, &want), 0);
    assert_int_equal(want.out_hwpt_id, 5);
    rigs[0]->device.token.dirty = FERRY_BRIDGE_DIRTY_DEVICE;
    assert_int_equal(ask(UAPI_IOMMU_HWPT_ALLOC, &want), -EOPNOTSUPP);
    want.flags = 0;
    assert_int_equal(ask(UAPI_IOMMU_HWPT_ALLOC, &want), 0);
}

static long destroy(uint32_t id)
{
    struct uapi_iommu_destroy want = { .size = sizeof(want), .id = id };

    return ask(UAPI_IOMMU_DESTROY, &want);
}

static void test_what_is_in_use_cannot_be_destroyed(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t hwpt = make_hwpt(1, ioas, 0);
    uint32_t pt = ioas;

    (void)state;
    assert_int_equal(destroy(0), -ENOENT);
    assert_int_equal(destroy(1024), -ENOENT);
    assert_int_equal(destroy(UINT32_MAX), -ENOENT);
    assert_int_equal(destroy(1), -EBUSY);
    assert_int_equal(destroy(ioas), -EBUSY);
    attach(0, hwpt);
    assert_int_equal(destroy(hwpt), -EBUSY);
    /* An attach to the address space makes a table, which goes with the last device. */
    assert_int_equal(bridge_iommu_attach(&rigs[1]->device, &pt), 0);
    assert_int_not_equal(pt, ioas);
    assert_int_not_equal(pt, hwpt);
    assert_int_equal(destroy(pt), -EBUSY);
    attach(2, ioas);
    assert_int_equal(bridge_iommu_detach(&rigs[2]->device), 0);
    assert_int_equal(destroy(pt), -EBUSY);
    assert_int_equal(bridge_iommu_detach(&rigs[1]->device), 0);
    assert_int_equal(destroy(pt), -ENOENT);
    assert_int_equal(bridge_iommu_detach(&rigs[0]->device), 0);
    assert_int_equal(destroy(hwpt), 0);
    assert_int_equal(map_va(ioas, 0, PAGE, RAM), 0);
    assert_int_equal(destroy(ioas), 0);
    assert_int_equal(destroy(ioas), -ENOENT);
    assert_int_equal(map_va(ioas, 0, PAGE, RAM), -ENOENT);
}

static void test_ids_run_out(void **state)
{
    struct uapi_iommu_ioas_alloc want = { .size = sizeof(want) };
    long rc = 0;
    uint32_t made = 0;

    (void)state;
    while (rc == 0 && made < 2000) {
        rc = ask(UAPI_IOMMU_IOAS_ALLOC, &want);
        made += rc == 0;
    }
    assert_int_equal(rc, -ENOSPC);
    assert_int_equal(made, 1024 - RIG_DEVICES);
    assert_int_equal(destroy(500), 0);
    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), 0);
    assert_int_equal(want.out_ioas_id, 500);
}

static void test_a_space_for_the_older_interface_can_be_named(void **state)
{
    struct uapi_iommu_vfio_ioas want = { .size = sizeof(want) };
    const uint32_t ioas = make_ioas();

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), -ENODEV);
    want.op = UAPI_IOMMU_VFIO_IOAS_SET;
    want.ioas_id = 1;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), -ENOENT);
    want.ioas_id = ioas;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), 0);
    want.op = UAPI_IOMMU_VFIO_IOAS_GET;
    want.ioas_id = 0;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), 0);
    assert_int_equal(want.ioas_id, ioas);
    assert_int_equal(destroy(ioas), 0);
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), -ENODEV);
    want.op = UAPI_IOMMU_VFIO_IOAS_CLEAR;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), 0);
    want.op = 3;
    assert_int_equal(ask(UAPI_IOMMU_VFIO_IOAS, &want), -EOPNOTSUPP);
}

static void test_options_are_answered(void **state)
{
    struct uapi_iommu_option want = { .size = sizeof(want),
                                      .op = UAPI_IOMMU_OPTION_GET,
                                      .val64 = 9 };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), 0);
    assert_int_equal(want.val64, 0);
    want.object_id = 1;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), -EOPNOTSUPP);
    want.option_id = UAPI_IOMMU_OPTION_HUGE_PAGES;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), -ENOENT);
    want.object_id = make_ioas();
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), 0);
    assert_int_equal(want.val64, 1);
    want.op = UAPI_IOMMU_OPTION_SET;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), 0);
    want.val64 = 2;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), -EINVAL);
    want.op = 2;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), -EOPNOTSUPP);
    want.option_id = 2;
    assert_int_equal(ask(UAPI_IOMMU_OPTION, &want), -EOPNOTSUPP);
}

static void test_tracking_needs_a_table_made_for_it(void **state)
{
    const uint32_t ioas = make_ioas();
    const uint32_t plain = make_hwpt(1, ioas, 0);
    const uint32_t dirty = make_hwpt(1, ioas, 2);
    struct uapi_iommu_hwpt_set_dirty set = { .size = 16, .flags = 2, .hwpt_id = dirty };
    uint64_t bitmap[4] = { 0 };

    (void)state;
    assert_int_equal(ask(UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING, &set), -EOPNOTSUPP);
    set =
        (struct uapi_iommu_hwpt_set_dirty){ .size = 16, .hwpt_id = dirty, .reserved = 1 };
    assert_int_equal(ask(UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING, &set), -EOPNOTSUPP);
    assert_int_equal(set_dirty(plain, 1), -EOPNOTSUPP);
    assert_int_equal(set_dirty(ioas, 1), -ENOENT);
    assert_int_equal(get_dirty(dirty, 0, PAGE, PAGE, 0, bitmap), -EINVAL);
    assert_int_equal(set_dirty(dirty, 1), 0);
    assert_int_equal(set_dirty(dirty, 1), 0);
    assert_int_equal(get_dirty(dirty, 0, PAGE, PAGE, 0, bitmap), 0);
    assert_int_equal(get_dirty(plain, 0, PAGE, PAGE, 0, bitmap), -EOPNOTSUPP);
    assert_int_equal(get_dirty(ioas, 0, PAGE, PAGE, 0, bitmap), -ENOENT);
    assert_int_equal(get_dirty(dirty, 0, PAGE, PAGE, 2, bitmap), -EOPNOTSUPP);
    assert_int_equal(get_dirty(dirty, 0, 0, PAGE, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, PAGE, UINT64_MAX, PAGE, 0, bitmap), -EOVERFLOW);
    assert_int_equal(get_dirty(dirty, 1, PAGE, PAGE, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, PAGE, 2 * PAGE, 2 * PAGE, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, 0, PAGE + 1, PAGE, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, 0, PAGE, 2048, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, 0, PAGE * 3, PAGE * 3, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, 0, PAGE, 0, 0, bitmap), -EINVAL);
    assert_int_equal(get_dirty(dirty, 0, PAGE, PAGE, 0, NULL), -EFAULT);
    assert_int_equal(set_dirty(dirty, 0), 0);
    assert_int_equal(set_dirty(dirty, 0), 0);
    assert_int_equal(get_dirty(dirty, 0, PAGE, PAGE, 0, bitmap), -EINVAL);
}

static void test_a_device_is_bound_to_an_iommufd_and_once(void **state)
{
    struct bridge_device device;
    uint32_t id = 0;

    (void)state;
    memset(&device, 0, sizeof(device));
    assert_int_equal(bridge_iommu_bind(NULL, &device, &id), -EINVAL);
    assert_int_equal(bridge_iommu_bind(&rigs[0]->device.object, &device, &id), -EINVAL);
    assert_int_equal(bridge_iommu_bind(iommu, &rigs[0]->device, &id), -EINVAL);
    assert_int_equal(bridge_iommu_bind(iommu, &device, &id), 0);
    assert_int_equal(id, RIG_DEVICES + 1);
    bridge_iommu_unbind(&device);
    assert_null(device.attachment);
    bridge_iommu_unbind(&device);
    assert_int_equal(bridge_iommu_attach(&device, &id), -EINVAL);
    assert_int_equal(bridge_iommu_detach(&device), -EINVAL);
    assert_int_equal(bridge_iommu_repeat(&device), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, rig_start, rig_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_request_that_is_not_known_is_refused),
        TEST(test_a_structure_has_a_size),
        TEST(test_ranges_are_asked_in_two_passes),
        TEST(test_bad_maps_are_refused),
        TEST(test_bad_files_are_refused),
        TEST(test_an_address_is_chosen_when_none_is_given),
        TEST(test_only_whole_maps_are_unmapped),
        TEST(test_everything_goes_in_two_halves),
        TEST(test_a_map_is_copied),
        TEST(test_hardware_says_whether_it_tracks),
        TEST(test_a_page_table_needs_a_device_and_a_space),
        TEST(test_what_is_in_use_cannot_be_destroyed),
        TEST(test_ids_run_out),
        TEST(test_a_space_for_the_older_interface_can_be_named),
        TEST(test_options_are_answered),
        TEST(test_tracking_needs_a_table_made_for_it),
        TEST(test_a_device_is_bound_to_an_iommufd_and_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
