/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_bridge_device_rig.h"

/* VFIO_DEVICE_FEATURE of a device that has a dirty log and does not migrate. */

static struct rig rig;

static int up(void **state)
{
    (void)state;
    rig_up(&rig, RIG_PLAIN);
    return 0;
}

static int down(void **state)
{
    (void)state;
    rig_down(&rig);
    return 0;
}

struct feature {
    struct uapi_feature head;
    union {
        uint64_t number[8];
        struct uapi_mig_state state;
        struct uapi_log_start start;
        struct uapi_log_report report;
        struct {
            struct uapi_dma_buf head;
            struct uapi_area area[2];
        } buf;
    } u;
};

static long feature(struct feature *call, uint32_t flags, uint32_t bytes)
{
    call->head.argsz = (uint32_t)sizeof(call->head) + bytes;
    call->head.flags = flags;
    return rig_ioctl(rig.object, UAPI_FEATURE, call);
}

static void features_are_asked_for_as_the_kernel_wants_it(void **state)
{
    struct feature call;

    (void)state;
    memset(&call, 0, sizeof(call));
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | 3, 64), -ENOTTY);
    assert_int_equal(feature(&call, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET | 13, 64),
                     -ENOTTY);
    /* This device does not migrate. */
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_MIGRATION, 8), -ENOTTY);
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_PRECOPY_V2, 0), -ENOTTY);
    assert_int_equal(feature(&call, UAPI_DMA_BUF, 64), -EINVAL); /* neither */
    assert_int_equal(
        feature(&call, UAPI_FEATURE_GET | UAPI_FEATURE_SET | UAPI_DMA_BUF, 64), -EINVAL);
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_DMA_BUF, 64), -EINVAL);
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF | 1u << 25, 64),
                     -EINVAL);
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 15), -EINVAL);
    assert_int_equal(
        feature(&call, UAPI_FEATURE_PROBE | UAPI_FEATURE_GET | UAPI_DMA_BUF, 0), 0);
    assert_int_equal(
        feature(&call, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET | UAPI_DMA_BUF, 0), -EINVAL);
    assert_int_equal(feature(&call, UAPI_FEATURE_PROBE | UAPI_DMA_BUF, 0), 0);
    call.head.argsz = 4;
    assert_int_equal(rig_ioctl(rig.object, UAPI_FEATURE, &call), -EINVAL);
}

static void the_dirty_log_is_there_unless_the_token_hides_it(void **state)
{
    struct uapi_log_range range[2] = { { 0, 0x10000 }, { 0x20000, 0x10000 } };
    struct feature call;
    uint64_t bitmap[1] = { 0 };
    uint32_t i;

    (void)state;
    memset(&call, 0, sizeof(call));
    rig_attach(&rig);
    assert_int_equal(
        feature(&call, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET | UAPI_LOG_START, 0), 0);
    call.u.start =
        (struct uapi_log_start){ .page_size = 4096, .range = (uintptr_t)range };
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EINVAL);
    call.u.start.ranges = 257;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -E2BIG);
    call.u.start.ranges = 2;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 23), -EINVAL);
    call.u.start.page_size = 3000;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EINVAL);
    call.u.start.page_size = 4096;
    range[1].iova = 0xf000;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EINVAL);
    range[1].iova = 0x10800;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EINVAL);
    range[1] = (struct uapi_log_range){ UINT64_MAX - 4095, 8192 };
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EOVERFLOW);
    range[1] = (struct uapi_log_range){ 0x20000, 0 };
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EINVAL);
    range[1].length = 0x10000;
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), 0);
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_START, 24), -EBUSY);

    call.u.report = (struct uapi_log_report){ .length = 0x10000,
                                              .page_size = 4096,
                                              .bitmap = (uintptr_t)bitmap };
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_LOG_REPORT, 32), 0);
    assert_int_equal(bitmap[0], 0);
    for (i = 0; i < 4; i++) {
        struct feature bad = call;

        bad.u.report.page_size = i == 0 ? 2048 : i == 1 ? 12288 : 4096;
        bad.u.report.length = i == 2 ? 0 : 0x10000;
        bad.u.report.iova = i == 3 ? 8 : 0;
        assert_int_equal(feature(&bad, UAPI_FEATURE_GET | UAPI_LOG_REPORT, 32), -EINVAL);
    }
    assert_int_equal(feature(&call, UAPI_FEATURE_SET | UAPI_LOG_STOP, 0), 0);
    rig.device->token.dirty = FERRY_BRIDGE_DIRTY_IOMMU;
    assert_int_equal(
        feature(&call, UAPI_FEATURE_PROBE | UAPI_FEATURE_SET | UAPI_LOG_START, 0),
        -ENOTTY);
    rig.device->token.dirty = FERRY_BRIDGE_DIRTY_ANY;
}

static void a_region_is_given_as_a_descriptor_for_peers(void **state)
{
    struct feature call;
    uint32_t value = 0;
    long fd;

    (void)state;
    memset(&call, 0, sizeof(call));
    call.u.buf.head =
        (struct uapi_dma_buf){ .region = 2, .open_flags = O_RDWR, .areas = 2 };
    call.u.buf.area[0] = (struct uapi_area){ RIG_AREA_OFF, RIG_AREA_BYTES };
    call.u.buf.area[1] = (struct uapi_area){ RIG_AREA2_OFF, 0x1000 };
    assert_int_equal(rig.device->region[2].offset, 0);
    fd = feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48);
    assert_true(fd >= 0);
    value = 0xabcd;
    assert_int_equal(rig_pwrite(&rig, 2, RIG_AREA2_OFF, &value, 4), 4);
    assert_int_equal(rig_pread(&rig, 2, RIG_AREA2_OFF, &value, 4), 4);
    value = 0;
    assert_int_equal(pread((int)fd, &value, 4, RIG_AREA2_OFF), 4);
    assert_int_equal(value, 0xabcd);
    (void)close((int)fd);
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 47), -EINVAL);
    call.u.buf.area[1].size = 0x2000;
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48), -EINVAL);
    call.u.buf.area[1].size = 0x1000;
    call.u.buf.head.open_flags = O_WRONLY;
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48), -EINVAL);
    call.u.buf.head.open_flags = O_RDWR;
    call.u.buf.head.region = 0;
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48), -EINVAL);
    call.u.buf.head.region = 99;
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48), -EINVAL);
    call.u.buf.head.region = 2;
    rig.device->token.no_peer_maps = 1;
    assert_int_equal(feature(&call, UAPI_FEATURE_GET | UAPI_DMA_BUF, 48), -ENOTTY);
    rig.device->token.no_peer_maps = 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(features_are_asked_for_as_the_kernel_wants_it, up,
                                        down),
        cmocka_unit_test_setup_teardown(the_dirty_log_is_there_unless_the_token_hides_it,
                                        up, down),
        cmocka_unit_test_setup_teardown(a_region_is_given_as_a_descriptor_for_peers, up,
                                        down),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
