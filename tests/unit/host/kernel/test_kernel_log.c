/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"

/* Who tracks what the device writes: found out, not assumed. */

#define PAGE 4096ull

static struct fake_vfio fake;
static struct ferry_error error;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake.start_log.err = 0;
    memset(&error, 0, sizeof(error));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_end(&fake);
    return 0;
}

static int probe(struct ferry_backend *backend, uint32_t index, uint32_t operation)
{
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };

    request.u.probe = (struct ferry_feature_probe){ index, operation };
    return fake_call(backend, &request);
}

static int start(struct ferry_backend *backend, const struct ferry_range *range,
                 uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START, .reterr = &error };

    request.u.log_start = (struct ferry_log_start){ .page_size = PAGE,
                                                    .range_count = count,
                                                    .range = range };
    return fake_call(backend, &request);
}

static int stop(struct ferry_backend *backend)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    return fake_call(backend, &request);
}

static int report(struct ferry_backend *backend, uint64_t *bitmap)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT, .reterr = &error };

    request.u.log_report = (struct ferry_log_report){
        .length = 64 * PAGE, .page_size = PAGE, .bitmap = bitmap, .bitmap_bytes = 8
    };
    return fake_call(backend, &request);
}

static void a_device_that_logs_and_reports_is_believed(void **state)
{
    const struct ferry_range range = { 0, 64 * PAGE };
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    uint64_t bitmap = 1; /* bits are only set */

    (void)state;
    assert_int_equal(fake.log_starts, 1);
    assert_int_equal(fake.log_reports, 1);
    assert_int_equal(fake.log_stops, 1);
    assert_int_equal(probe(backend, UAPI_LOG_START, FERRY_FEATURE_SET), FERRY_OK);
    assert_int_equal(start(backend, &range, 1), FERRY_OK);
    assert_int_equal(fake.log_ranges, 1);
    fake.dirty = 0xf0;
    assert_int_equal(report(backend, &bitmap), FERRY_OK);
    assert_int_equal(bitmap, 0xf1);
    assert_int_equal(stop(backend), FERRY_OK);
    assert_int_equal(fake.logs, 0);
    assert_int_equal(fake.tracks, 0);
    backend->ops->close(backend);
}

static void a_log_that_cannot_be_read_is_none(void **state)
{
    struct ferry_backend *backend;

    (void)state;
    fake.report_log.err = EOPNOTSUPP; /* stock kernels without IOMMUFD */
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(fake.logs, 0); /* it was stopped */
    assert_int_equal(probe(backend, UAPI_LOG_START, FERRY_FEATURE_SET),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(start(backend, NULL, 0), FERRY_E_UNSUPPORTED);
    backend->ops->close(backend);
}

static void who_asks_for_a_devices_log_hears_why_there_is_none(void **state)
{
    (void)state;
    fake.report_log.err = EOPNOTSUPP;
    assert_int_equal(fake_open_fails(&fake, KERNEL_DIRTY_DEVICE, &error),
                     FERRY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "CONFIG_IOMMUFD"));
}

static void a_device_without_a_log_leaves_it_to_the_iommu(void **state)
{
    const struct ferry_range range = { 0, 64 * PAGE };
    struct ferry_backend *backend;
    uint64_t bitmap = 0;

    (void)state;
    fake.start_log.err = ENOTTY;
    fake.iommu.can_track = fake.iommu.is_exact = 1;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(probe(backend, UAPI_LOG_START, FERRY_FEATURE_SET), FERRY_OK);
    assert_int_equal(probe(backend, UAPI_LOG_REPORT, FERRY_FEATURE_GET), FERRY_OK);
    assert_int_equal(probe(backend, UAPI_LOG_REPORT, FERRY_FEATURE_SET),
                     FERRY_E_ARGUMENT);
    assert_int_equal(start(backend, &range, 1), FERRY_OK);
    assert_int_equal(fake.tracks, 1);
    assert_int_equal(start(backend, &range, 1), FERRY_E_ARGUMENT);
    fake.dirty = 3;
    assert_int_equal(report(backend, &bitmap), FERRY_OK);
    assert_int_equal(bitmap, 3);
    assert_int_equal(stop(backend), FERRY_OK);
    assert_int_equal(fake.tracks, 2);
    assert_int_equal(start(backend, &range, 1), FERRY_OK);
    backend->ops->close(backend);
}

static void ranges_that_cannot_be_are_refused_for_the_iommu_too(void **state)
{
    static const struct {
        struct ferry_range range[2];
        uint32_t count;
    } bad[] = {
        { { { 0, 0 } }, 1 },
        { { { 0, 100 } }, 1 },
        { { { 1, PAGE } }, 1 },
        { { { UINT64_MAX - PAGE + 1, 2 * PAGE } }, 1 },
        { { { 0, 2 * PAGE }, { PAGE, PAGE } }, 2 },
        { { { 0, 0 } }, 0 },
    };
    struct ferry_backend *backend;

    (void)state;
    fake.iommu.can_track = 1;
    backend = fake_open(&fake, KERNEL_DIRTY_IOMMU, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(start(backend, bad[i].range, bad[i].count), FERRY_E_ARGUMENT);
        assert_int_equal(fake.tracks, 0);
    }
    assert_int_equal(start(backend, bad[0].range, FERRY_LOG_RANGES_MAX + 1),
                     FERRY_E_LIMIT);
    backend->ops->close(backend);
}

static void who_asks_for_an_iommu_that_cannot_hears_it(void **state)
{
    (void)state;
    assert_int_equal(fake_open_fails(&fake, KERNEL_DIRTY_IOMMU, &error),
                     FERRY_E_UNSUPPORTED);
    assert_non_null(strstr(error.text, "dirty=iommu"));
}

static void who_asks_for_none_gets_none(void **state)
{
    struct ferry_backend *backend;
    uint64_t bitmap = 0;

    (void)state;
    fake.iommu.can_track = fake.iommu.is_exact = 1;
    backend = fake_open(&fake, KERNEL_DIRTY_NONE, 0);
    assert_int_equal(fake.log_starts, 0);
    assert_int_equal(probe(backend, UAPI_LOG_START, FERRY_FEATURE_SET),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(report(backend, &bitmap), FERRY_E_UNSUPPORTED);
    assert_int_equal(stop(backend), FERRY_E_UNSUPPORTED);
    backend->ops->close(backend);
}

static void a_report_that_fails_says_so_and_sets_nothing(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_DEVICE, 0);
    uint64_t bitmap = 2;

    (void)state;
    fake.report_log.err = EIO;
    fake.dirty = 0xff;
    assert_int_equal(report(backend, &bitmap), FERRY_E_DEVICE);
    assert_int_equal(bitmap, 2);
    backend->ops->close(backend);
}

static void a_bitmap_that_is_too_small_never_reaches_the_kernel(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_DEVICE, 0);
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };
    const uint32_t before = fake.log_reports;
    uint64_t bitmap = 0;

    (void)state;
    request.u.log_report = (struct ferry_log_report){
        .length = 65 * PAGE, .page_size = PAGE, .bitmap = &bitmap, .bitmap_bytes = 8
    };
    assert_int_equal(fake_call(backend, &request), FERRY_E_ARGUMENT);
    request.u.log_report.page_size = 0;
    assert_int_equal(fake_call(backend, &request), FERRY_E_ARGUMENT);
    request.u.log_report.page_size = PAGE;
    request.u.log_report.bitmap_bytes = KERNEL_BITMAP_MAX + 8ull;
    assert_int_equal(fake_call(backend, &request), FERRY_E_ARGUMENT);
    assert_int_equal(fake.log_reports, before);
    backend->ops->close(backend);
}

static void what_was_unmapped_is_reported_by_the_device(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_DEVICE, 0);
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };
    uint64_t bitmap = 0;

    (void)state;
    fake.dirty = 0x30;
    request.u.unmap = (struct ferry_dma_unmap){ .size = 64 * PAGE,
                                                .flags = FERRY_UNMAP_BITMAP,
                                                .page_size = PAGE,
                                                .bitmap = &bitmap,
                                                .bitmap_bytes = 8 };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(bitmap, 0x30);
    assert_int_equal(fake.unmaps, 1);
    backend->ops->close(backend);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_device_that_logs_and_reports_is_believed),
        TEST(a_log_that_cannot_be_read_is_none),
        TEST(who_asks_for_a_devices_log_hears_why_there_is_none),
        TEST(a_device_without_a_log_leaves_it_to_the_iommu),
        TEST(ranges_that_cannot_be_are_refused_for_the_iommu_too),
        TEST(who_asks_for_an_iommu_that_cannot_hears_it),
        TEST(who_asks_for_none_gets_none),
        TEST(a_report_that_fails_says_so_and_sets_nothing),
        TEST(a_bitmap_that_is_too_small_never_reaches_the_kernel),
        TEST(what_was_unmapped_is_reported_by_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
