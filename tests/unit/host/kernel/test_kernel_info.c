/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_vfio.h"
#include "os/memory.h"

/* What a kernel's driver says of the device, true and false. */

static struct fake_vfio fake;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_end(&fake);
    return 0;
}

static void refused(int status, const char *word)
{
    struct ferry_error error = { 0 };

    assert_int_equal(fake_open_fails(&fake, KERNEL_DIRTY_BEST, &error), status);
    assert_int_equal(error.code, status);
    assert_non_null(strstr(error.text, word));
}

/* Opens, asks for a region, closes. ret_region: its descriptor is closed. */
static int region_of(uint32_t index, struct ferry_region_info *ret_region)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_NONE, 0);
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };
    int rc;

    request.u.region.index = index;
    rc = fake_call(backend, &request);
    if (rc == FERRY_OK) {
        *ret_region = request.u.region;
        ferry_os_close(&request.u.region.fd);
    }
    backend->ops->close(backend);
    return rc;
}

static void mappable(struct fake_region *region, uint64_t bytes)
{
    region->head.size = bytes;
    region->head.flags |= UAPI_REGION_READ | UAPI_REGION_MMAP;
}

/* nr, padding, areas */
struct sparse {
    uint32_t areas, pad;
    struct uapi_area area[24];
};

static uint32_t sparse_cap(struct fake_region *region, const struct sparse *sparse,
                           uint32_t held)
{
    return fake_cap(region, UAPI_CAP_SPARSE, sparse,
                    (uint32_t)(8 + held * sizeof(struct uapi_area)), 0);
}

static void what_the_kernel_says_is_told(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.info.flags,
                     FERRY_DEVICE_FLAG_PCI | FERRY_DEVICE_FLAG_RESET);
    assert_int_equal(request.u.info.region_count, FAKE_REGIONS);
    assert_int_equal(request.u.info.irq_count, FAKE_IRQS);
    request = (struct ferry_request){ .kind = FERRY_RQ_GET_IRQ_INFO, .u.irq.index = 2 };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.irq.count, 2048);
    request.u.irq.index = FAKE_IRQS;
    assert_int_equal(fake_call(backend, &request), FERRY_E_ARGUMENT);
    request = (struct ferry_request){ .kind = FERRY_RQ_MIG_FLAGS };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(request.u.mig_flags, fake.flags);
    request = (struct ferry_request){ .kind = FERRY_RQ_IDENTITY };
    assert_int_equal(fake_call(backend, &request), FERRY_E_UNSUPPORTED);
    backend->ops->close(backend);
}

static void impossible_counts_are_refused(void **state)
{
    (void)state;
    fake.info.regions = KERNEL_REGIONS_MAX + 1;
    refused(FERRY_E_PROTOCOL, "number of regions");
    fake_end(&fake);
    fake_init(&fake);
    fake.info.irqs = KERNEL_IRQ_INDEXES_MAX + 1;
    refused(FERRY_E_PROTOCOL, "interrupt indexes");
    fake_end(&fake);
    fake_init(&fake);
    fake.irq[2].count = KERNEL_VECTORS_MAX + 1;
    refused(FERRY_E_PROTOCOL, "vectors");
}

static void a_device_that_cannot_be_asked_is_not_opened(void **state)
{
    (void)state;
    fake.info_of.err = EIO;
    refused(FERRY_E_DEVICE, "VFIO_DEVICE_GET_INFO");
}

static void an_index_that_the_kernel_does_not_know_is_no_region(void **state)
{
    struct ferry_region_info region;

    (void)state;
    fake.region[8].fails = EINVAL;
    assert_int_equal(region_of(8, &region), FERRY_E_ARGUMENT);
    assert_int_equal(region_of(FAKE_REGIONS, &region), FERRY_E_ARGUMENT);
    assert_int_equal(region_of(7, &region), FERRY_OK);
}

static void a_region_beyond_a_descriptor_is_refused(void **state)
{
    (void)state;
    fake.region[2].head.size = 1ull << 63;
    refused(FERRY_E_PROTOCOL, "region 2");
    fake_end(&fake);
    fake_init(&fake);
    fake.region[2].head.size = 4096;
    fake.region[2].head.offset = UINT64_MAX - 100;
    refused(FERRY_E_PROTOCOL, "region 2");
}

static void an_info_is_asked_for_again_until_it_fits(void **state)
{
    const struct sparse sparse = { .areas = 2,
                                   .area = { { 0x1000, 0x1000 }, { 0x4000, 0x2000 } } };
    const uint32_t type[2] = { 3, 1 };
    struct ferry_region_info region;
    struct uapi_cap head;

    (void)state;
    mappable(&fake.region[2], 0x10000);
    (void)sparse_cap(&fake.region[2], &sparse, 2);
    head = (struct uapi_cap){ .id = UAPI_CAP_SPARSE, .version = 1, .next = 32 + 48 };
    memcpy(fake.region[2].caps, &head, sizeof(head));
    assert_int_equal(fake_cap(&fake.region[2], UAPI_CAP_TYPE, type, 8, 0), 32 + 48);
    assert_int_equal(region_of(2, &region), FERRY_OK);
    assert_int_equal(region.area_count, 2);
    assert_int_equal(region.area[1].off, 0x4000);
    assert_int_equal(region.area[1].size, 0x2000);
    assert_int_equal(region.type, 3);
    assert_int_equal(region.subtype, 1);
}

static void an_info_that_never_fits_ends(void **state)
{
    (void)state;
    fake.region[3].grows = 1;
    refused(FERRY_E_PROTOCOL, "another length");
    fake_end(&fake);
    fake_init(&fake);
    fake.region[3].head.argsz = KERNEL_INFO_BYTES_MAX + 1;
    refused(FERRY_E_PROTOCOL, "longer than any");
}

static void a_chain_that_loops_ends(void **state)
{
    const uint32_t type[2] = { 3, 1 };

    (void)state;
    (void)fake_cap(&fake.region[9], UAPI_CAP_TYPE, type, 8, 48);
    (void)fake_cap(&fake.region[9], UAPI_CAP_TYPE, type, 8, 32);
    refused(FERRY_E_PROTOCOL, "does not end");
}

static void a_capability_outside_of_its_info_is_refused(void **state)
{
    /* Into the info itself, at its end, behind it, far behind it. */
    static const uint32_t places[] = { 4, 31, 41, 48, 0xfffffff8u };
    const uint32_t type[2] = { 3, 1 };

    (void)state;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        (void)fake_cap(&fake.region[9], UAPI_CAP_TYPE, type, 8, places[i]);
        refused(FERRY_E_PROTOCOL, "region 9");
        fake_end(&fake);
        fake_init(&fake);
    }
}

static void a_capability_that_is_cut_off_is_refused(void **state)
{
    const struct sparse lies = { .areas = 3 };
    const uint32_t nothing = 0;

    (void)state;
    (void)fake_cap(&fake.region[9], UAPI_CAP_TYPE, &nothing, 4, 0);
    refused(FERRY_E_PROTOCOL, "cut off");
    fake_end(&fake);
    fake_init(&fake);
    (void)fake_cap(&fake.region[9], UAPI_CAP_SPARSE, &nothing, 4, 0);
    refused(FERRY_E_PROTOCOL, "without its head");
    fake_end(&fake);
    fake_init(&fake);
    (void)sparse_cap(&fake.region[9], &lies, 2);
    refused(FERRY_E_PROTOCOL, "more mmappable areas");
}

static void an_area_outside_of_its_region_is_refused(void **state)
{
    const struct sparse beyond = { .areas = 1, .area = { { 0xf000, 0x2000 } } };
    const struct sparse over = { .areas = 1, .area = { { 0x1000, UINT64_MAX } } };

    (void)state;
    mappable(&fake.region[2], 0x10000);
    (void)sparse_cap(&fake.region[2], &beyond, 1);
    refused(FERRY_E_PROTOCOL, "outside of its region");
    fake_end(&fake);
    fake_init(&fake);
    mappable(&fake.region[2], 0x10000);
    (void)sparse_cap(&fake.region[2], &over, 1);
    refused(FERRY_E_PROTOCOL, "outside of its region");
}

static void areas_come_in_order_and_no_more_than_are_kept(void **state)
{
    struct sparse many = { .areas = 20 };
    struct ferry_region_info region;

    (void)state;
    for (uint32_t i = 0; i < 20; i++) {
        many.area[i] = (struct uapi_area){ .offset = (19 - i) * 0x2000, .size = 0x1000 };
    }
    many.area[3].size = 0; /* there are drivers that list such */
    mappable(&fake.region[2], 0x100000);
    (void)sparse_cap(&fake.region[2], &many, 20);
    assert_int_equal(region_of(2, &region), FERRY_OK);
    assert_int_equal(region.area_count, FERRY_SPARSE_AREAS_MAX);
    for (uint32_t i = 1; i < region.area_count; i++) {
        assert_true(region.area[i].off > region.area[i - 1].off);
        assert_int_equal(region.area[i].size, 0x1000);
    }
}

static void no_area_means_that_nothing_can_be_mapped(void **state)
{
    const struct sparse none = { .areas = 0 };
    struct ferry_region_info region;

    (void)state;
    mappable(&fake.region[2], 0x10000);
    (void)sparse_cap(&fake.region[2], &none, 0);
    assert_int_equal(region_of(2, &region), FERRY_OK);
    assert_int_equal(region.flags & FERRY_REGION_MMAP, 0);
    assert_int_equal(region.fd, -1);
}

static void only_whole_pages_can_be_mapped(void **state)
{
    struct ferry_region_info region;

    (void)state;
    mappable(&fake.region[2], 256);
    mappable(&fake.region[3], 0x1800);
    mappable(&fake.region[4], 0x2000);
    assert_int_equal(region_of(2, &region), FERRY_OK);
    assert_int_equal(region.flags & FERRY_REGION_MMAP, 0);
    assert_int_equal(region_of(3, &region), FERRY_OK);
    assert_int_equal(region.area_count, 1);
    assert_int_equal(region.area[0].size, 0x1000);
    assert_int_equal(region_of(4, &region), FERRY_OK);
    assert_int_equal(region.flags & FERRY_REGION_MMAP, FERRY_REGION_MMAP);
    assert_int_equal(region.area_count, 0); /* all of it */
}

static void a_mappable_region_comes_with_the_devices_descriptor(void **state)
{
    struct ferry_backend *backend;
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };

    (void)state;
    mappable(&fake.region[2], 0x10000);
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    request.u.region.index = 2;
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_true(request.u.region.fd >= 0);
    assert_int_not_equal(request.u.region.fd, fake.device_fd); /* the caller's own */
    assert_int_equal(request.u.region.offset, 2ull << 40);
    ferry_os_close(&request.u.region.fd);
    backend->ops->close(backend);
}

static void a_device_without_migration_is_open_all_the_same(void **state)
{
    struct ferry_backend *backend;
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS };

    (void)state;
    fake.flags = 0;
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    assert_int_equal(fake_call(backend, &request), FERRY_E_UNSUPPORTED);
    request = (struct ferry_request){ .kind = FERRY_RQ_RESET };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    backend->ops->close(backend);
}

static void the_feature_of_migration_may_fail_in_old_ways_only(void **state)
{
    struct ferry_backend *backend;

    (void)state;
    fake.mig.err = EINVAL; /* before Linux 5.18 */
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    backend->ops->close(backend);
    fake_end(&fake);
    fake_init(&fake);
    fake.mig.err = EIO;
    refused(FERRY_E_DEVICE, "MIGRATION");
}

static void features_are_probed_as_the_kernel_has_them(void **state)
{
    struct ferry_backend *backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    struct ferry_request request = { .kind = FERRY_RQ_PROBE };

    (void)state;
    request.u.probe = (struct ferry_feature_probe){ UAPI_MIG_SIZE, FERRY_FEATURE_GET };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    request.u.probe = (struct ferry_feature_probe){ UAPI_DMA_BUF, FERRY_FEATURE_GET };
    assert_int_equal(fake_call(backend, &request), FERRY_E_UNSUPPORTED);
    request.u.probe = (struct ferry_feature_probe){ 0xfe01, FERRY_FEATURE_GET };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    request.u.probe = (struct ferry_feature_probe){ 0xfe01, FERRY_FEATURE_SET };
    assert_int_equal(fake_call(backend, &request), FERRY_E_UNSUPPORTED);
    request.u.probe = (struct ferry_feature_probe){ 0x20001, FERRY_FEATURE_GET };
    assert_int_equal(fake_call(backend, &request), FERRY_E_UNSUPPORTED);
    backend->ops->close(backend);
}

#define OWN_DESCRIPTORS 5u /* of a backend, besides the device's */

static void without_descriptors_it_is_refused_and_nothing_is_left(void **state)
{
    struct rlimit before, limit;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (uint32_t free = 0; free < OWN_DESCRIPTORS; free++) {
        const int first = dup(STDIN_FILENO);

        assert_true(first >= 0);
        assert_int_equal(close(first), 0);
        limit = before;
        limit.rlim_cur = (rlim_t)first + 1u + free;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        refused(FERRY_E_LIMIT, "ulimit -n");
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        fake_end(&fake);
        fake_init(&fake);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_the_kernel_says_is_told),
        TEST(impossible_counts_are_refused),
        TEST(a_device_that_cannot_be_asked_is_not_opened),
        TEST(an_index_that_the_kernel_does_not_know_is_no_region),
        TEST(a_region_beyond_a_descriptor_is_refused),
        TEST(an_info_is_asked_for_again_until_it_fits),
        TEST(an_info_that_never_fits_ends),
        TEST(a_chain_that_loops_ends),
        TEST(a_capability_outside_of_its_info_is_refused),
        TEST(a_capability_that_is_cut_off_is_refused),
        TEST(an_area_outside_of_its_region_is_refused),
        TEST(areas_come_in_order_and_no_more_than_are_kept),
        TEST(no_area_means_that_nothing_can_be_mapped),
        TEST(only_whole_pages_can_be_mapped),
        TEST(a_mappable_region_comes_with_the_devices_descriptor),
        TEST(a_device_without_migration_is_open_all_the_same),
        TEST(the_feature_of_migration_may_fail_in_old_ways_only),
        TEST(without_descriptors_it_is_refused_and_nothing_is_left),
        TEST(features_are_probed_as_the_kernel_has_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
