/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "fake_kernel.h"
#include "host/backend/kernel/iommu/dirty.h"
#include "os/memory.h"
#include "os/uapi/type1.h"

/* Memory of a kernel device by its group and a container of type 1. */

#define PAGE 4096ull
#define GIB (1ull << 30)
#define RAM ((void *)0x100000000ull) /* nobody looks there */

static const uint8_t token[16] = { 0xab, 2,  3,  4,  5,  6,  7,  8,
                                   9,    10, 11, 12, 13, 14, 15, 16 };

struct rig {
    struct fake_kernel fake;
    struct kernel_iommu *iommu;
    int device_fd;
    struct ferry_error error;
};

static struct rig rig;

static int try_open(const uint8_t *with)
{
    rig.error = (struct ferry_error){ 0 };
    rig.iommu = NULL;
    rig.device_fd = -1;
    return kernel_type1_open(&rig.fake.calls, &fake_place, with, &rig.iommu,
                             &rig.device_fd, &rig.error);
}

static void open_tracking(void)
{
    rig.fake.has_dirty = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.iommu->can_track, 1);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error), FERRY_OK);
}

static void shut(void)
{
    kernel_close(&rig.fake.calls, &rig.device_fd);
    rig.iommu->ops->close(rig.iommu);
    assert_int_equal(fake_kernel_left(&rig.fake), 0);
}

static int map(uint64_t iova, uint64_t size, void *address, int fd)
{
    const struct ferry_dma_map wanted = { .iova = iova,
                                          .size = size,
                                          .fd = fd,
                                          .flags = FERRY_DMA_READ | FERRY_DMA_WRITE,
                                          .address = address };

    return rig.iommu->ops->map(rig.iommu, &wanted, &rig.error);
}

static int report(uint64_t iova, uint64_t length, void *bitmap, uint64_t bytes)
{
    const struct ferry_log_report wanted = { .iova = iova,
                                             .length = length,
                                             .page_size = PAGE,
                                             .bitmap = bitmap,
                                             .bitmap_bytes = bytes };

    return rig.iommu->ops->report(rig.iommu, &wanted, &rig.error);
}

static void says(const char *text)
{
    if (strstr(rig.error.text, text) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", rig.error.text, text);
    }
}

static int setup(void **state)
{
    (void)state;
    fake_kernel_init(&rig.fake);
    return 0;
}

static void a_group_goes_into_a_container_and_nothing_is_left_of_it(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_string_equal(rig.fake.device_name, "0000:01:00.0");
    assert_int_equal(rig.iommu->can_track, 0);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("no migration capability");
    assert_int_equal(map(0, 16 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(map(1ull << 40, PAGE, RAM, -1), FERRY_E_RANGE);
    shut();
    assert_int_equal(fake_kernel_made(&rig.fake, UAPI_TYPE1_UNMAP), 1);
    assert_int_equal(fake_kernel_made(&rig.fake, UAPI_GROUP_UNSET_CONTAINER), 1);
}

static void an_open_that_fails_anywhere_leaves_nothing(void **state)
{
    static const int errors[] = { EINVAL, EPERM, ENOMEM, EBUSY, ENODEV, EACCES, EIO };
    uint32_t failed = 0;

    (void)state;
    for (uint32_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        for (uint32_t nth = 1; nth <= 14; nth++) {
            fake_kernel_init(&rig.fake);
            rig.fake.has_dirty = 1;
            rig.fake.fail_nth = nth;
            rig.fake.fail_err = errors[e];
            if (try_open(NULL) == FERRY_OK) {
                shut();
                continue;
            }
            failed++;
            assert_true(rig.error.code < 0);
            assert_string_not_equal(rig.error.text, "");
            assert_int_equal(fake_kernel_left(&rig.fake), 0);
        }
    }
    /* Status, version, extension, SET_CONTAINER, SET_IOMMU, GET_INFO, device; its second
     * GET_INFO and the six of the tracking may fail. */
    assert_int_equal(failed, 7 * 7);
}

struct refusal {
    const char *path;
    unsigned long request;
    int err, status;
    const char *text;
};

static void a_refusal_says_what_would_help(void **state)
{
    static const struct refusal refusals[] = {
        { "/dev/vfio/7", 0, EBUSY, FERRY_E_BUSY, "another process" },
        { "/dev/vfio/7", 0, EACCES, FERRY_E_PERMISSION, "chown" },
        { "/dev/vfio/7", 0, ENOENT, FERRY_E_NOT_FOUND, "ferry bind" },
        { "/dev/vfio/vfio", 0, ENOENT, FERRY_E_UNSUPPORTED, "modprobe vfio" },
        { NULL, UAPI_GROUP_SET_CONTAINER, EBUSY, FERRY_E_BUSY, "in use" },
        { NULL, UAPI_SET_IOMMU, EPERM, FERRY_E_PERMISSION, "interrupt remapping" },
        { NULL, UAPI_GROUP_GET_DEVICE_FD, EACCES, FERRY_E_PERMISSION, "token=UUID" },
        { NULL, UAPI_GROUP_GET_DEVICE_FD, ENODEV, FERRY_E_NOT_FOUND, "ferry bind" },
    };

    (void)state;
    for (uint32_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        fake_kernel_init(&rig.fake);
        rig.fake.fail_path = refusals[i].path;
        rig.fake.fail_request = refusals[i].request;
        rig.fake.fail_err = refusals[i].err;
        rig.fake.fail_count = 1;
        assert_int_equal(try_open(NULL), refusals[i].status);
        assert_int_equal(rig.error.os_errno, refusals[i].err);
        says(refusals[i].text);
        assert_int_equal(fake_kernel_left(&rig.fake), 0);
    }
}

static void a_group_with_strangers_in_it_is_named(void **state)
{
    (void)state;
    rig.fake.not_viable = 1;
    assert_int_equal(try_open(NULL), FERRY_E_BUSY);
    says("IOMMU group 7");
    assert_int_equal(fake_kernel_left(&rig.fake), 0);
}

static void a_device_without_an_iommu_is_refused(void **state)
{
    struct ferry_machine_place place = fake_place;

    (void)state;
    place.group = FERRY_MACHINE_NO_GROUP;
    assert_int_equal(kernel_type1_open(&rig.fake.calls, &place, NULL, &rig.iommu,
                                       &rig.device_fd, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("no IOMMU");
    place.group = 7;
    place.is_noiommu = 1;
    assert_int_equal(kernel_type1_open(&rig.fake.calls, &place, NULL, &rig.iommu,
                                       &rig.device_fd, &rig.error),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(fake_kernel_left(&rig.fake), 0);
}

static void a_token_goes_with_the_name(void **state)
{
    (void)state;
    assert_int_equal(try_open(token), FERRY_OK);
    assert_string_equal(rig.fake.device_name,
                        "0000:01:00.0 vf_token=ab020304-0506-0708-090a-0b0c0d0e0f10");
    shut();
}

static void a_big_map_is_all_there_or_not_at_all(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(GIB * 4, 5 * GIB, RAM, -1), FERRY_OK);
    assert_int_equal(rig.fake.map_count, 3);
    assert_int_equal(rig.fake.map[2].size, GIB);
    assert_int_equal(rig.fake.map[2].address, (uintptr_t)RAM + 4 * GIB);
    rig.fake.fail_request = UAPI_TYPE1_MAP;
    rig.fake.fail_err = ENOMEM;
    rig.fake.fail_after = 2;
    rig.fake.fail_count = 1;
    assert_int_equal(map(GIB * 16, 5 * GIB, RAM, -1), FERRY_E_LIMIT);
    says("limit");
    assert_int_equal(rig.fake.map_count, 3);
    rig.fake.fail_err = ENOSPC;
    rig.fake.fail_count = 1;
    assert_int_equal(map(GIB * 16, GIB, RAM, -1), FERRY_E_LIMIT);
    says("dma_entry_limit");
    shut();
}

/* Type 1 tells of whole mappings, and forgets: the half that was not asked for waits. */
static void bits_that_nobody_asked_for_are_kept(void **state)
{
    uint64_t bitmap = 0;

    (void)state;
    open_tracking();
    assert_int_equal(rig.iommu->is_exact, 1);
    assert_int_equal(map(0x100000, 64 * PAGE, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x100000 + 3 * PAGE);
    fake_kernel_write(&rig.fake, 0x100000 + 40 * PAGE);
    assert_int_equal(report(0x100000, 32 * PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 1 << 3);
    bitmap = 0;
    assert_int_equal(report(0x100000, 32 * PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 0);
    fake_kernel_write(&rig.fake, 0x100000 + 41 * PAGE);
    assert_int_equal(report(0x100000 + 32 * PAGE, 32 * PAGE, &bitmap, sizeof(bitmap)),
                     FERRY_OK);
    assert_int_equal(bitmap, 3 << 8);
    shut();
}

/* From and to each place in a byte, with bits before and behind that do not count. */
static void bits_move_from_any_place_to_any_other(void **state)
{
    uint64_t seed = 88172645463325252ull;

    (void)state;
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t source[24], moved[24] = { 0 };
        const uint64_t from = i % 17;
        const uint64_t to = i / 17 % 17;
        const uint64_t count = i % 128;

        for (uint32_t k = 0; k < sizeof(source); k++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            source[k] = (uint8_t)(i % 3 == 0 ? 0xff : seed);
        }
        kernel_dirty_move(moved, to, source, from, count);
        for (uint64_t bit = 0; bit < sizeof(moved) * 8; bit++) {
            const int expected = bit >= to && bit < to + count &&
                                 ferry_bitmap_test(source, bit - to + from);

            assert_int_equal(ferry_bitmap_test(moved, bit), expected);
        }
        kernel_dirty_clear(source, from, count);
        for (uint64_t bit = from; bit < from + count; bit++) {
            assert_false(ferry_bitmap_test(source, bit));
        }
    }
}

static void a_report_over_pieces_and_holes_tells_all(void **state)
{
    static uint64_t bitmap[6 * GIB / PAGE / 64];
    const uint64_t pages = 6 * GIB / PAGE;

    (void)state;
    open_tracking();
    assert_int_equal(map(GIB * 4, 3 * GIB, RAM, -1), FERRY_OK);
    assert_int_equal(map(GIB * 8, GIB, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, GIB * 4);
    fake_kernel_write(&rig.fake, GIB * 6);
    fake_kernel_write(&rig.fake, GIB * 8);
    fake_kernel_write(&rig.fake, GIB * 9 - 1);
    assert_int_equal(report(GIB * 4, 6 * GIB, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(ferry_bitmap_count(bitmap, pages), 4);
    assert_true(ferry_bitmap_test(bitmap, 0));
    assert_true(ferry_bitmap_test(bitmap, 2 * GIB / PAGE));
    assert_true(ferry_bitmap_test(bitmap, 4 * GIB / PAGE));
    assert_true(ferry_bitmap_test(bitmap, 5 * GIB / PAGE - 1));
    shut();
}

static void a_container_that_tells_every_page_is_not_exact(void **state)
{
    uint64_t bitmap = 0;

    (void)state;
    rig.fake.all_dirty = 1;
    open_tracking();
    assert_int_equal(rig.iommu->is_exact, 0);
    assert_int_equal(map(0x100000, 8 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(report(0x100000, 8 * PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 0xff);
    shut();
}

static void tracking_that_starts_but_does_not_tell_is_none(void **state)
{
    (void)state;
    rig.fake.has_dirty = 1;
    rig.fake.fail_request = UAPI_TYPE1_DIRTY;
    rig.fake.fail_after = 1;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.iommu->can_track, 0);
    assert_int_equal(rig.fake.tracking, 0);
    assert_int_equal(rig.fake.map_count, 0);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("EINVAL");
    shut();
}

static void an_unmap_tells_what_was_written_and_what_was_kept(void **state)
{
    uint64_t bitmap = 0;
    const struct ferry_dma_unmap wanted = { .iova = 0x100000,
                                            .size = 16 * PAGE,
                                            .flags = FERRY_UNMAP_BITMAP,
                                            .page_size = PAGE,
                                            .bitmap = &bitmap,
                                            .bitmap_bytes = sizeof(bitmap) };

    (void)state;
    open_tracking();
    assert_int_equal(map(0x100000, 16 * PAGE, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x100000 + 9 * PAGE);
    assert_int_equal(report(0x100000, PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 0);
    fake_kernel_write(&rig.fake, 0x100000 + 2 * PAGE);
    assert_int_equal(rig.iommu->ops->unmap(rig.iommu, &wanted, &rig.error), FERRY_OK);
    assert_int_equal(bitmap, 1 << 9 | 1 << 2);
    assert_int_equal(rig.fake.map_count, 0);

    /* What cannot be told counts as written. */
    bitmap = 0;
    assert_int_equal(map(0x100000, 16 * PAGE, RAM, -1), FERRY_OK);
    rig.fake.fail_request = UAPI_TYPE1_UNMAP;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(rig.iommu->ops->unmap(rig.iommu, &wanted, &rig.error), FERRY_OK);
    assert_int_equal(bitmap, 0xffff);
    assert_int_equal(rig.fake.map_count, 0);
    shut();
}

static void a_new_start_forgets_what_was_kept(void **state)
{
    uint64_t bitmap = 0;

    (void)state;
    open_tracking();
    assert_int_equal(map(0x100000, 16 * PAGE, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x100000 + 9 * PAGE);
    assert_int_equal(report(0x100000, PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 0, &rig.error), FERRY_OK);
    assert_int_equal(report(0x100000, PAGE, &bitmap, sizeof(bitmap)), FERRY_E_STATE);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error), FERRY_OK);
    assert_int_equal(report(0x100000, 16 * PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 0);
    shut();
}

static void capabilities_that_make_no_sense_are_left_alone(void **state)
{
    (void)state;
    for (uint32_t kind = FAKE_CAPS_LOOP; kind < FAKE_CAPS_KINDS; kind++) {
        fake_kernel_init(&rig.fake);
        rig.fake.has_dirty = 1;
        rig.fake.bad_caps = kind;
        assert_int_equal(try_open(NULL), FERRY_OK);
        /* The ranges that were told well are known; else the kernel decides. */
        assert_int_equal(map(1ull << 40, PAGE, RAM, -1),
                         kind == FAKE_CAPS_LOOP || kind == FAKE_CAPS_BEHIND_THE_END
                             ? FERRY_E_RANGE
                             : FERRY_OK);
        shut();
    }
}

static void page_sizes_that_make_no_sense_are_refused(void **state)
{
    (void)state;
    rig.fake.page_sizes = 1ull << 40;
    assert_int_equal(try_open(NULL), FERRY_E_DEVICE);
    says("1099511627776");
    assert_int_equal(fake_kernel_left(&rig.fake), 0);
    /* Its smallest page counts, and not less than memory's. */
    rig.fake.page_sizes = 1ull << 30 | 1ull << 21 | 512;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x100800, PAGE, RAM, -1), FERRY_E_ALIGN);
    assert_int_equal(map(0x101000, PAGE, RAM, -1), FERRY_OK);
    shut();
}

static void memory_without_an_address_gets_a_window(void **state)
{
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("test", 16 * PAGE, &fd), FERRY_OK);
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x10000, 16 * PAGE, NULL, fd), FERRY_OK);
    *(volatile uint8_t *)(uintptr_t)rig.fake.map[0].address = 1;
    ferry_os_close(&fd);
    shut();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(a_group_goes_into_a_container_and_nothing_is_left_of_it),
        TEST(an_open_that_fails_anywhere_leaves_nothing),
        TEST(a_refusal_says_what_would_help),
        TEST(a_group_with_strangers_in_it_is_named),
        TEST(a_device_without_an_iommu_is_refused),
        TEST(a_token_goes_with_the_name),
        TEST(a_big_map_is_all_there_or_not_at_all),
        TEST(bits_that_nobody_asked_for_are_kept),
        TEST(bits_move_from_any_place_to_any_other),
        TEST(a_report_over_pieces_and_holes_tells_all),
        TEST(a_container_that_tells_every_page_is_not_exact),
        TEST(tracking_that_starts_but_does_not_tell_is_none),
        TEST(an_unmap_tells_what_was_written_and_what_was_kept),
        TEST(a_new_start_forgets_what_was_kept),
        TEST(capabilities_that_make_no_sense_are_left_alone),
        TEST(page_sizes_that_make_no_sense_are_refused),
        TEST(memory_without_an_address_gets_a_window),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
