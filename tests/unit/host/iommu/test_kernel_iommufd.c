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
#include "os/memory.h"
#include "os/uapi/iommufd.h"
#include "os/uapi/vfio.h"

/* Memory of a kernel device by an iommufd, and the sentences when it cannot be. */

#define PAGE 4096ull
#define GIB (1ull << 30)
#define RAM ((void *)0x100000000ull) /* nobody looks there */

static const uint8_t token[16] = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
};

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
    return kernel_iommufd_open(&rig.fake.calls, &fake_place, with, &rig.iommu,
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

static int unmap(uint64_t iova, uint64_t size)
{
    const struct ferry_dma_unmap wanted = { .iova = iova, .size = size };

    return rig.iommu->ops->unmap(rig.iommu, &wanted, &rig.error);
}

static int report(uint64_t iova, uint64_t length, uint64_t page, void *bitmap,
                  uint64_t bytes)
{
    const struct ferry_log_report wanted = { .iova = iova,
                                             .length = length,
                                             .page_size = page,
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

static void a_device_is_bound_and_attached_and_nothing_is_left_of_it(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.fake.bound, 1);
    assert_int_equal(rig.fake.attached, 21);
    assert_int_equal(map(0, 16 * PAGE, RAM, -1), FERRY_OK);
    shut();
    assert_true(fake_kernel_made(&rig.fake, UAPI_IOMMU_IOAS_UNMAP) > 0);
}

/* Every call of the open fails once, with each of these: it succeeds without tracking, or
 * ends with a sentence; nothing is left either way. */
static void an_open_that_fails_anywhere_leaves_nothing(void **state)
{
    static const int errors[] = { EINVAL, EPERM, ENOMEM, EBUSY, ENODEV, EACCES, EIO };
    uint32_t failed = 0;

    (void)state;
    for (uint32_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
        for (uint32_t nth = 1; nth <= 12; nth++) {
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
    /* Bind, IOAS, ranges; the others belong to the tracking, which may be missing. */
    assert_int_equal(failed, 3 * 7);
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
        { "/dev/vfio/devices/vfio3", 0, EACCES, FERRY_E_PERMISSION, "chown" },
        { "/dev/vfio/devices/vfio3", 0, ENOENT, FERRY_E_NOT_FOUND, "ferry bind" },
        { "/dev/vfio/devices/vfio3", 0, EBUSY, FERRY_E_BUSY, "another process" },
        { "/dev/vfio/devices/vfio3", 0, EMFILE, FERRY_E_LIMIT, "ulimit -n" },
        { "/dev/iommu", 0, ENOENT, FERRY_E_UNSUPPORTED, "modprobe iommufd" },
        { "/dev/iommu", 0, EACCES, FERRY_E_PERMISSION, "/dev/iommu" },
        { NULL, UAPI_BIND, EBUSY, FERRY_E_BUSY, "in use by another process" },
        { NULL, UAPI_BIND, EPERM, FERRY_E_PERMISSION, "interrupt remapping" },
        { NULL, UAPI_BIND, EPERM, FERRY_E_PERMISSION, "device of its IOMMU group" },
        { NULL, UAPI_BIND, EINVAL, FERRY_E_BUSY, "in use by another process" },
        { NULL, UAPI_BIND, EACCES, FERRY_E_PERMISSION, "token=UUID" },
        { NULL, UAPI_BIND, ENODEV, FERRY_E_NOT_FOUND, "gone" },
        { NULL, UAPI_BIND, ENOTTY, FERRY_E_UNSUPPORTED, "vfio-group:" },
        { NULL, UAPI_ATTACH, EINVAL, FERRY_E_BUSY, "IOMMU group" },
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

static void a_device_without_a_character_device_is_sent_to_its_group(void **state)
{
    struct ferry_machine_place place = fake_place;

    (void)state;
    place.cdev[0] = '\0';
    assert_int_equal(kernel_iommufd_open(&rig.fake.calls, &place, NULL, &rig.iommu,
                                         &rig.device_fd, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("vfio-group:");
}

static void a_vf_needs_its_token(void **state)
{
    (void)state;
    rig.fake.has_token = 1;
    memcpy(rig.fake.token, token, sizeof(token));
    assert_int_equal(try_open(NULL), FERRY_E_PERMISSION);
    says("token=UUID");
    assert_int_equal(try_open(token), FERRY_OK);
    shut();
    rig.fake.token[3] ^= 1;
    assert_int_equal(try_open(token), FERRY_E_PERMISSION);
    says("not the VF token");
    rig.fake.fail_request = UAPI_BIND;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(try_open(token), FERRY_E_ARGUMENT);
    says("no VF token");
    assert_int_equal(fake_kernel_left(&rig.fake), 0);
}

static void an_iommu_without_tracking_is_found_out_and_says_so(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.iommu->can_track, 0);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("EOPNOTSUPP");
    shut();
    /* What the kernel says of an mdev. */
    rig.fake.fail_request = UAPI_IOMMU_HWPT_ALLOC;
    rig.fake.fail_err = ENOENT;
    rig.fake.fail_count = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("mediated device");
    shut();
}

static void tracking_that_starts_but_does_not_tell_is_none(void **state)
{
    (void)state;
    rig.fake.has_dirty = 1;
    rig.fake.fail_request = UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP;
    rig.fake.fail_err = EOPNOTSUPP;
    rig.fake.fail_count = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.iommu->can_track, 0);
    assert_int_equal(rig.fake.tracking, 0);
    assert_int_equal(rig.fake.map_count, 0);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 1, &rig.error),
                     FERRY_E_UNSUPPORTED);
    says("does not tell");
    shut();
}

static void a_table_that_tracks_but_takes_no_device_is_given_back(void **state)
{
    (void)state;
    rig.fake.has_dirty = 1;
    rig.fake.fail_request = UAPI_ATTACH;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(rig.fake.hwpt_count, 0);
    assert_int_equal(rig.fake.attached, 21);
    assert_int_equal(rig.iommu->can_track, 0);
    shut();
}

static void a_question_for_dirty_pages_skips_holes(void **state)
{
    uint64_t bitmap[2] = { 0 };

    (void)state;
    open_tracking();
    assert_int_equal(rig.iommu->is_exact, 1);
    assert_int_equal(map(0x100000, 4 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(map(0x110000, 4 * PAGE, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x100000 + 3 * PAGE + 5);
    fake_kernel_write(&rig.fake, 0x110000 + PAGE);
    assert_int_equal(report(0xff000, 32 * PAGE, PAGE, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap[0], 1ull << 4 | 1ull << 18);
    bitmap[0] = 0;
    assert_int_equal(report(0xff000, 32 * PAGE, PAGE, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap[0], 0);
    shut();
}

/* An IOMMU of 64 KiB pages, asked for 4 KiB and 128 KiB ones. */
static void pages_of_another_size_are_translated(void **state)
{
    uint64_t bitmap[2] = { 0 };

    (void)state;
    rig.fake.granule = 0x10000;
    open_tracking();
    assert_int_equal(map(0x100000, 0x40000, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x110000);
    assert_int_equal(report(0x11e000, 4 * PAGE, PAGE, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap[0], 3);
    fake_kernel_write(&rig.fake, 0x110000);
    bitmap[0] = 0;
    assert_int_equal(report(0x10e000, 4 * PAGE, PAGE, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap[0], 3 << 2);
    fake_kernel_write(&rig.fake, 0x130000);
    bitmap[0] = 0;
    assert_int_equal(report(0x100000, 0x40000, 0x20000, bitmap, sizeof(bitmap)),
                     FERRY_OK);
    assert_int_equal(bitmap[0], 2);
    assert_int_equal(map(0x201000, 0x10000, RAM, -1), FERRY_E_ALIGN);
    says("65536");
    shut();
}

static void a_big_map_is_asked_for_in_several_questions(void **state)
{
    const uint64_t pages = 5 * GIB / PAGE;
    static uint64_t bitmap[5 * GIB / PAGE / 64];

    (void)state;
    open_tracking();
    rig.fake.log_count = 0;
    assert_int_equal(map(GIB * 4, 5 * GIB, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, GIB * 4);
    fake_kernel_write(&rig.fake, GIB * 6 - 1);
    fake_kernel_write(&rig.fake, GIB * 9 - PAGE);
    assert_int_equal(report(GIB * 4, 5 * GIB, PAGE, bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(ferry_bitmap_count(bitmap, pages), 3);
    assert_true(ferry_bitmap_test(bitmap, 0));
    assert_true(ferry_bitmap_test(bitmap, 2 * GIB / PAGE - 1));
    assert_true(ferry_bitmap_test(bitmap, pages - 1));
    assert_int_equal(fake_kernel_made(&rig.fake, UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP), 3);
    shut();
}

static void an_unmap_tells_what_was_written(void **state)
{
    uint64_t bitmap = 0;
    const struct ferry_dma_unmap wanted = { .iova = 0x100000,
                                            .size = 8 * PAGE,
                                            .flags = FERRY_UNMAP_BITMAP,
                                            .page_size = PAGE,
                                            .bitmap = &bitmap,
                                            .bitmap_bytes = sizeof(bitmap) };

    (void)state;
    open_tracking();
    assert_int_equal(map(0x100000, 8 * PAGE, RAM, -1), FERRY_OK);
    fake_kernel_write(&rig.fake, 0x100000 + 6 * PAGE);
    assert_int_equal(rig.iommu->ops->unmap(rig.iommu, &wanted, &rig.error), FERRY_OK);
    assert_int_equal(bitmap, 1 << 6);
    assert_int_equal(rig.fake.no_clear, 1);
    assert_int_equal(rig.fake.map_count, 0);

    /* What cannot be told counts as written: it must not get lost. */
    bitmap = 0;
    assert_int_equal(map(0x100000, 8 * PAGE, RAM, -1), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP;
    rig.fake.fail_err = EIO;
    rig.fake.fail_count = 1;
    assert_int_equal(rig.iommu->ops->unmap(rig.iommu, &wanted, &rig.error), FERRY_OK);
    assert_int_equal(bitmap, 0xff);
    shut();
}

static void a_report_that_fails_is_an_error(void **state)
{
    uint64_t bitmap = 0;

    (void)state;
    open_tracking();
    assert_int_equal(map(0x100000, 8 * PAGE, RAM, -1), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP;
    rig.fake.fail_err = ENOMEM;
    rig.fake.fail_count = 1;
    assert_int_equal(report(0x100000, 8 * PAGE, PAGE, &bitmap, sizeof(bitmap)),
                     FERRY_E_IO);
    assert_int_equal(report(0x100000, 8 * PAGE, 512, &bitmap, sizeof(bitmap)),
                     FERRY_E_ARGUMENT);
    assert_int_equal(report(0x100000, 80 * PAGE, PAGE, &bitmap, sizeof(bitmap)),
                     FERRY_E_ARGUMENT);
    assert_int_equal(report(~PAGE + 1, 2 * PAGE, PAGE, &bitmap, sizeof(bitmap)),
                     FERRY_E_ARGUMENT);
    assert_int_equal(rig.iommu->ops->track(rig.iommu, 0, &rig.error), FERRY_OK);
    assert_int_equal(report(0x100000, 8 * PAGE, PAGE, &bitmap, sizeof(bitmap)),
                     FERRY_E_STATE);
    shut();
}

static void a_map_outside_the_aperture_is_refused(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0xfee00000, PAGE, RAM, -1), FERRY_E_RANGE);
    says("0xfef00000");
    assert_int_equal(map(0xfedff000, 2 * PAGE, RAM, -1), FERRY_E_RANGE);
    assert_int_equal(map(1ull << 48, PAGE, RAM, -1), FERRY_E_RANGE);
    assert_int_equal(map(~PAGE + 1, 2 * PAGE, RAM, -1), FERRY_E_RANGE);
    assert_int_equal(map(0x100800, PAGE, RAM, -1), FERRY_E_ALIGN);
    assert_int_equal(map(0x100000, PAGE, NULL, -1), FERRY_E_ARGUMENT);
    assert_int_equal(map(0x100000, 2 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(map(0x101000, 2 * PAGE, RAM, -1), FERRY_E_OVERLAP);
    assert_int_equal(rig.fake.map_count, 1);
    shut();
}

static void more_ranges_than_fit_leave_the_judgement_to_the_kernel(void **state)
{
    (void)state;
    rig.fake.range_count = 1000;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x100000, PAGE, RAM, -1), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_IOAS_MAP;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(map(0xfee00000, PAGE, RAM, -1), FERRY_E_RANGE);
    shut();
}

static void ranges_and_pages_that_make_no_sense_are_not_used(void **state)
{
    (void)state;
    rig.fake.range_count = 1000;
    rig.fake.too_many_ranges = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x100000, PAGE, RAM, -1), FERRY_OK);
    shut();
    for (uint32_t i = 0; i < 3; i++) {
        static const uint64_t granules[] = { 0, 0x3000, 1ull << 40 };

        fake_kernel_init(&rig.fake);
        rig.fake.granule = granules[i];
        assert_int_equal(try_open(NULL), FERRY_E_DEVICE);
        assert_int_equal(fake_kernel_left(&rig.fake), 0);
    }
    /* An mdev's: 1. */
    fake_kernel_init(&rig.fake);
    rig.fake.granule = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x100800, PAGE, RAM, -1), FERRY_E_ALIGN);
    assert_int_equal(map(0x100000, PAGE, RAM, -1), FERRY_OK);
    shut();
}

static void locked_memory_over_the_limit_names_the_limit(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_IOAS_MAP;
    rig.fake.fail_err = ENOMEM;
    rig.fake.fail_count = 1;
    assert_int_equal(map(0, GIB, RAM, -1), FERRY_E_LIMIT);
    says("limit");
    assert_int_equal(map(0, GIB, RAM, -1), FERRY_OK);
    shut();
}

static void an_unmap_takes_whole_maps_only(void **state)
{
    const struct ferry_dma_unmap all = { .flags = FERRY_UNMAP_ALL };

    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x10000, 4 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(map(0x20000, 4 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(map(0x30000, 4 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(unmap(0x10000, PAGE), FERRY_E_RANGE);
    assert_int_equal(unmap(0x11000, 0x20000), FERRY_E_RANGE);
    assert_int_equal(unmap(0x15000, PAGE), FERRY_E_NOT_FOUND);
    assert_int_equal(unmap(0x10000, 0), FERRY_E_RANGE);
    assert_int_equal(rig.fake.map_count, 3);
    assert_int_equal(unmap(0x10000, 0x18000), FERRY_OK);
    assert_int_equal(rig.fake.map_count, 1);
    assert_int_equal(map(0x10000, 4 * PAGE, RAM, -1), FERRY_OK);
    assert_int_equal(rig.iommu->ops->unmap(rig.iommu, &all, &rig.error), FERRY_OK);
    assert_int_equal(rig.fake.map_count, 0);
    shut();
}

static void a_map_that_does_not_go_is_still_known(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x10000, 4 * PAGE, RAM, -1), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_IOAS_UNMAP;
    rig.fake.fail_err = EBUSY;
    rig.fake.fail_count = 1;
    assert_int_equal(unmap(0x10000, 4 * PAGE), FERRY_E_IO);
    assert_int_equal(unmap(0x10000, 4 * PAGE), FERRY_OK);
    shut();
}

static void memory_without_an_address_gets_a_window_or_goes_by_its_file(void **state)
{
    int fd = -1;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("test", 16 * PAGE, &fd), FERRY_OK);
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x10000, 16 * PAGE, NULL, fd), FERRY_OK);
    assert_int_equal(rig.fake.map[0].is_file, 0);
    assert_int_not_equal(rig.fake.map[0].address, 0);
    *(volatile uint8_t *)(uintptr_t)rig.fake.map[0].address = 1;
    assert_int_equal(map(0x30000, 32 * PAGE, NULL, fd), FERRY_E_RANGE);
    /* It is asked for once. */
    assert_int_equal(fake_kernel_made(&rig.fake, UAPI_IOMMU_IOAS_MAP_FILE), 1);
    shut();
    fake_kernel_init(&rig.fake);
    rig.fake.has_map_file = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    assert_int_equal(map(0x10000, 16 * PAGE, RAM, fd), FERRY_OK);
    assert_int_equal(rig.fake.map[0].is_file, 1);
    /* A file that the kernel does not take is mapped by its address. */
    rig.fake.fail_request = UAPI_IOMMU_IOAS_MAP_FILE;
    rig.fake.fail_err = EINVAL;
    rig.fake.fail_count = 1;
    assert_int_equal(map(0x40000, 16 * PAGE, RAM, fd), FERRY_OK);
    assert_int_equal(rig.fake.map[1].address, (uintptr_t)RAM);
    shut();
    ferry_os_close(&fd);
}

/* A peer's region 2 of 64 KiB, from its offset 0x4000 on. */
static void a_peers_region_is_mapped_where_the_kernel_can(void **state)
{
    struct ferry_dma_map peer = { .iova = 0x200000,
                                  .size = PAGE,
                                  .offset = (2ull << 40) + 0x4000,
                                  .flags = FERRY_DMA_READ | FERRY_DMA_WRITE };

    (void)state;
    rig.fake.has_map_file = 1;
    rig.fake.has_dma_buf = 1;
    assert_int_equal(try_open(NULL), FERRY_OK);
    peer.fd = rig.device_fd;
    assert_int_equal(rig.iommu->ops->map(rig.iommu, &peer, &rig.error), FERRY_OK);
    assert_int_equal(rig.fake.map[0].is_file, 1);
    shut(); /* the exported descriptor too */
}

static void signals_do_not_end_a_call(void **state)
{
    (void)state;
    assert_int_equal(try_open(NULL), FERRY_OK);
    rig.fake.fail_request = UAPI_IOMMU_IOAS_MAP;
    rig.fake.fail_err = EINTR;
    rig.fake.fail_count = 3;
    assert_int_equal(map(0x10000, PAGE, RAM, -1), FERRY_OK);
    shut();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(a_device_is_bound_and_attached_and_nothing_is_left_of_it),
        TEST(an_open_that_fails_anywhere_leaves_nothing),
        TEST(a_refusal_says_what_would_help),
        TEST(a_device_without_a_character_device_is_sent_to_its_group),
        TEST(a_vf_needs_its_token),
        TEST(an_iommu_without_tracking_is_found_out_and_says_so),
        TEST(tracking_that_starts_but_does_not_tell_is_none),
        TEST(a_table_that_tracks_but_takes_no_device_is_given_back),
        TEST(a_question_for_dirty_pages_skips_holes),
        TEST(pages_of_another_size_are_translated),
        TEST(a_big_map_is_asked_for_in_several_questions),
        TEST(an_unmap_tells_what_was_written),
        TEST(a_report_that_fails_is_an_error),
        TEST(a_map_outside_the_aperture_is_refused),
        TEST(more_ranges_than_fit_leave_the_judgement_to_the_kernel),
        TEST(ranges_and_pages_that_make_no_sense_are_not_used),
        TEST(locked_memory_over_the_limit_names_the_limit),
        TEST(an_unmap_takes_whole_maps_only),
        TEST(a_map_that_does_not_go_is_still_known),
        TEST(memory_without_an_address_gets_a_window_or_goes_by_its_file),
        TEST(a_peers_region_is_mapped_where_the_kernel_can),
        TEST(signals_do_not_end_a_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
