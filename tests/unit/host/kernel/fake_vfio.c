/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_vfio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#define DEVICE_TIMEOUT_MS 20000u /* no test waits for it */

/* --- the IOMMU --- */

static struct fake_vfio *fake_of(struct kernel_iommu *iommu)
{
    return (struct fake_vfio *)(void *)((char *)iommu -
                                        offsetof(struct fake_vfio, iommu));
}

static void iommu_close(struct kernel_iommu *iommu)
{
    struct fake_vfio *fake = fake_of(iommu);

    pthread_mutex_lock(&fake->lock);
    /* A container cannot be left while a device is open. */
    assert_int_equal(fake->device_fd, -1);
    fake->closed++;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

static int iommu_map(struct kernel_iommu *iommu, const struct ferry_dma_map *map,
                     struct ferry_error *reterr)
{
    (void)map;
    (void)reterr;
    fake_of(iommu)->maps++;
    return FERRY_OK;
}

static int iommu_unmap(struct kernel_iommu *iommu, const struct ferry_dma_unmap *unmap,
                       struct ferry_error *reterr)
{
    (void)reterr;
    assert_int_equal(unmap->flags & FERRY_UNMAP_BITMAP, 0);
    fake_of(iommu)->unmaps++;
    return FERRY_OK;
}

static int iommu_track(struct kernel_iommu *iommu, int on, struct ferry_error *reterr)
{
    if (!iommu->can_track) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "kernel", NULL, 0,
                               "it cannot");
    }
    fake_of(iommu)->tracks = on ? 1 : 2;
    return FERRY_OK;
}

static int iommu_report(struct kernel_iommu *iommu, const struct ferry_log_report *report,
                        struct ferry_error *reterr)
{
    (void)reterr;
    *(uint64_t *)report->bitmap |= fake_of(iommu)->dirty;
    return FERRY_OK;
}

static const struct kernel_iommu_ops iommu_ops = {
    .name = "fake",
    .close = iommu_close,
    .map = iommu_map,
    .unmap = iommu_unmap,
    .track = iommu_track,
    .report = iommu_report,
};

/* --- for tests --- */

static void init_facts(struct fake_vfio *fake)
{
    fake->info = (struct uapi_info){ .flags = UAPI_INFO_PCI | UAPI_INFO_RESET,
                                     .regions = FAKE_REGIONS,
                                     .irqs = FAKE_IRQS };
    for (uint32_t i = 0; i < FAKE_REGIONS; i++) {
        fake->region[i].head.index = i;
        fake->region[i].head.offset = (uint64_t)i << 40;
    }
    fake->region[0].head.size = FAKE_BAR0_BYTES;
    fake->region[0].head.flags = UAPI_REGION_READ | UAPI_REGION_WRITE;
    fake->irq[1] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 8 };
    fake->irq[2] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 2048 };
    fake->irq[4] = (struct uapi_irq){ .flags = FERRY_IRQ_EVENTFD, .count = 1 };
}

void fake_init(struct fake_vfio *fake)
{
    memset(fake, 0, sizeof(*fake));
    pthread_mutex_init(&fake->lock, NULL);
    pthread_cond_init(&fake->changed, NULL);
    fake_use_calls(fake);
    fake->iommu.ops = &iommu_ops;
    fake->device_fd = fake->data_fd = -1;
    fake->flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    fake->state = FERRY_STATE_RUNNING;
    fake->start_log.err = ENOTTY;
    for (uint32_t i = 0; i < FAKE_STREAM_BYTES; i++) {
        fake->stream[i] = (uint8_t)(i * 31u + 7u);
    }
    fake->stream_bytes = FAKE_STREAM_BYTES;
    init_facts(fake);
}

void fake_end(struct fake_vfio *fake)
{
    assert_int_equal(fake->closed_fds, fake->opened);
    pthread_cond_destroy(&fake->changed);
    pthread_mutex_destroy(&fake->lock);
}

static struct kernel_parts parts_of(struct fake_vfio *fake, enum kernel_dirty dirty,
                                    uint32_t timeout_ms)
{
    fake->device_fd = fake_new_fd(fake);
    return (struct kernel_parts){ .calls = &fake->calls,
                                  .fd = fake->device_fd,
                                  .iommu = &fake->iommu,
                                  .as_is = fake->as_is,
                                  .dirty = dirty,
                                  .timeout_ms =
                                      timeout_ms != 0 ? timeout_ms : DEVICE_TIMEOUT_MS };
}

struct ferry_backend *fake_open(struct fake_vfio *fake, enum kernel_dirty dirty,
                                uint32_t timeout_ms)
{
    const struct kernel_parts parts = parts_of(fake, dirty, timeout_ms);
    struct ferry_backend *backend = NULL;
    struct ferry_error error = { 0 };
    const int rc = kernel_backend_new(&parts, &backend, &error);

    if (rc != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    return backend;
}

int fake_open_in_time(struct fake_vfio *fake, uint32_t timeout_ms,
                      struct ferry_error *reterr)
{
    const struct kernel_parts parts = parts_of(fake, KERNEL_DIRTY_BEST, timeout_ms);
    struct ferry_backend *backend = NULL;
    const int rc = kernel_backend_new(&parts, &backend, reterr);

    assert_true(rc < 0);
    return rc;
}

int fake_open_fails(struct fake_vfio *fake, enum kernel_dirty dirty,
                    struct ferry_error *reterr)
{
    const struct kernel_parts parts = parts_of(fake, dirty, 0);
    struct ferry_backend *backend = NULL;
    const int rc = kernel_backend_new(&parts, &backend, reterr);

    assert_true(rc < 0);
    assert_int_equal(fake->closed, 1); /* the IOMMU; descriptors: fake_end() */
    return rc;
}

uint32_t fake_cap(struct fake_region *region, uint16_t id, const void *body,
                  uint32_t bytes, uint32_t next)
{
    const uint32_t at = region->caps_bytes;
    const struct uapi_cap head = { .id = id, .version = 1, .next = next };

    assert_true(at + sizeof(head) + bytes <= sizeof(region->caps));
    memcpy(region->caps + at, &head, sizeof(head));
    memcpy(region->caps + at + sizeof(head), body, bytes);
    region->caps_bytes += (uint32_t)sizeof(head) + bytes;
    region->head.flags |= UAPI_REGION_CAPS;
    if (region->head.cap_offset == 0) {
        region->head.cap_offset = sizeof(struct uapi_region);
    }
    return (uint32_t)sizeof(struct uapi_region) + at;
}

void fake_stuck(struct fake_vfio *fake, uint32_t stuck)
{
    pthread_mutex_lock(&fake->lock);
    fake->stuck = stuck;
    fake->inside = 0;
    pthread_cond_broadcast(&fake->changed);
    pthread_mutex_unlock(&fake->lock);
}

void fake_late(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    fake->data_late = count;
    pthread_mutex_unlock(&fake->lock);
}

void fake_await_polls(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->polls < count) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
    pthread_mutex_unlock(&fake->lock);
}

void fake_await_inside(struct fake_vfio *fake, uint32_t count)
{
    pthread_mutex_lock(&fake->lock);
    while (fake->inside < count) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
    pthread_mutex_unlock(&fake->lock);
}

int fake_call(struct ferry_backend *backend, struct ferry_request *request)
{
    const int rc = backend->ops->call(backend, request);

    assert_int_equal(rc, request->status);
    return rc;
}

int fake_set_state(struct ferry_backend *backend, uint32_t state,
                   struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE,
                                     .u.state = state,
                                     .reterr = reterr };

    return fake_call(backend, &request);
}

uint32_t fake_get_state(struct ferry_backend *backend)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    return request.u.state;
}
