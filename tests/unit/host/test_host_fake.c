/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_host_fake.h"

#include <dirent.h>
#include <string.h>

#include "base/range.h"
#include "base/writer.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define CAP_LIST_STATUS 0x10u

static int fake_attach(struct ferry_endpoint *endpoint,
                       const struct ferry_client_port *port)
{
    struct fake_device *fake = (struct fake_device *)endpoint;

    if (fake->port != NULL) {
        return FERRY_E_BUSY;
    }
    fake->port = port;
    fake->attaches++;
    return FERRY_OK;
}

static void drop_irqs(struct fake_device *fake)
{
    for (uint32_t i = 0; i < FAKE_VECTORS; i++) {
        ferry_os_close(&fake->irq_fd[i]);
    }
}

static void end_pending(struct fake_device *fake, int status)
{
    const uint32_t count = fake->pending_count;

    fake->pending_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        fake->pending[i]->status = status;
        fake->pending[i]->done(fake->pending[i]);
    }
}

static void fake_detach(struct ferry_endpoint *endpoint)
{
    struct fake_device *fake = (struct fake_device *)endpoint;

    fake->port = NULL;
    fake->map_count = 0;
    fake->detaches++;
    drop_irqs(fake);
    end_pending(fake, FERRY_E_CLOSED);
}

static int region_info(struct fake_device *fake, struct ferry_region_info *region)
{
    const uint32_t index = region->index;

    *region = (struct ferry_region_info){ .index = index, .fd = FERRY_NO_REGION_FD };
    if (index == 0) {
        region->size = FAKE_BAR0_BYTES;
        region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE;
    } else if (index == 2) {
        region->size = FAKE_BAR2_BYTES;
        region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP;
        region->fd = fake->bar2_fd;
        fake->bar2_fds_lent++;
        region->area_count = 1;
        region->area[0] = (struct ferry_range){ 0x1000, FAKE_BAR2_BYTES - 0x1000 };
    } else if (index == 7) {
        region->size = FAKE_CONFIG_BYTES;
        region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE;
    }
    return FERRY_OK;
}

static int config_io(struct fake_device *fake, const struct ferry_region_io *io,
                     int write)
{
    const uint64_t window = FAKE_CAP_VENDOR + 16u;

    if (ferry_range_overlaps(io->off, io->count, window, 4)) {
        fake->window_accesses++;
    }
    if (!write) {
        memcpy(io->data, fake->config + io->off, io->count);
        return FERRY_OK;
    }
    if (fake->order_count < sizeof(fake->order)) {
        fake->order[fake->order_count++] = (uint8_t)io->off;
    }
    if (fake->ignore_off == 0 || io->off != fake->ignore_off) {
        memcpy(fake->config + io->off, io->data, io->count);
    }
    return FERRY_OK;
}

static int region_io(struct fake_device *fake, struct ferry_region_io *io, int write)
{
    const uint64_t size = io->index == 0   ? FAKE_BAR0_BYTES
                          : io->index == 7 ? FAKE_CONFIG_BYTES
                                           : 0;

    if (!ferry_range_inside(io->off, io->count, size)) {
        return FERRY_E_RANGE;
    }
    if (io->index == 7) {
        return config_io(fake, io, write);
    }
    if (write) {
        memcpy(fake->bar0 + io->off, io->data, io->count);
    } else {
        memcpy(io->data, fake->bar0 + io->off, io->count);
    }
    return FERRY_OK;
}

static int set_irqs(struct fake_device *fake, const struct ferry_irq_set *set)
{
    fake->irq_messages++;
    if (set->fd_count > fake->fds_max) {
        return FERRY_E_FDS;
    }
    if (set->count == 0) {
        drop_irqs(fake);
        return FERRY_OK;
    }
    if (set->index != 2 || !ferry_range_inside(set->start, set->count, FAKE_VECTORS) ||
        set->fd_count != set->count) {
        return FERRY_E_RANGE;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        /* As kernel VFIO: an eventfd un-masks its vector. */
        const uint32_t off = FAKE_TABLE_OFF + (set->start + i) * 16u + 12u;

        ferry_os_close(&fake->irq_fd[set->start + i]);
        (void)ferry_os_dup(set->fds[i], &fake->irq_fd[set->start + i]);
        fake->bar0[off] &= 0xfeu;
    }
    return FERRY_OK;
}

static int dma_map(struct fake_device *fake, const struct ferry_dma_map *map)
{
    if (fake->map_count == FAKE_MAPS_MAX || fake_map(fake, map->iova) != NULL) {
        return FERRY_E_EXISTS;
    }
    fake->map[fake->map_count++] = *map;
    return FERRY_OK;
}

static int dma_unmap(struct fake_device *fake, const struct ferry_dma_unmap *unmap)
{
    for (uint32_t i = 0; i < fake->map_count; i++) {
        if (fake->map[i].iova == unmap->iova && fake->map[i].size == unmap->size) {
            fake->map[i] = fake->map[--fake->map_count];
            return FERRY_OK;
        }
    }
    return FERRY_E_NOT_FOUND;
}

static int log_report(struct fake_device *fake, const struct ferry_log_report *report)
{
    if (report->bitmap_bytes > fake->log_length_max) {
        fake->log_length_max = (uint32_t)report->bitmap_bytes;
    }
    if (fake->marks != NULL) {
        ferry_dirty_report(fake->marks, report->iova / 4096, report->length / 4096, 0, 12,
                           report->bitmap);
    }
    if (fake->log != NULL && report->iova == fake->log_iova) {
        memcpy(report->bitmap, fake->log, fake->log_bytes);
        fake->log = NULL;
    }
    return FERRY_OK;
}

static int log_runs(struct fake_device *fake, struct ferry_log_runs *runs)
{
    struct ferry_dirty_walk walk;
    uint64_t first, count;

    if (fake->marks == NULL) {
        return FERRY_E_UNSUPPORTED;
    }
    runs->count = 0;
    runs->next_iova = runs->iova + runs->length;
    ferry_dirty_walk_begin(&walk, fake->marks, runs->iova / 4096, runs->length / 4096);
    while (ferry_dirty_walk_next(&walk, UINT64_MAX, &first, &count)) {
        if (runs->count == runs->cap) {
            ferry_dirty_set(fake->marks, first * 4096, count * 4096);
            runs->next_iova = first * 4096;
            break;
        }
        runs->run[runs->count].off = first * 4096;
        runs->run[runs->count++].size = count * 4096;
    }
    ferry_dirty_walk_end(&walk);
    return FERRY_OK;
}

static int identity(struct fake_device *fake, struct ferry_identity *ret_identity)
{
    if (!fake->tell_identity) {
        return FERRY_E_UNSUPPORTED;
    }
    memset(ret_identity, 0, sizeof(*ret_identity));
    memcpy(ret_identity->model, "fake", 5);
    ret_identity->state_version = 1;
    ret_identity->state_version_min = 1;
    return FERRY_OK;
}

static int perform(struct fake_device *fake, struct ferry_request *request)
{
    switch ((enum ferry_request_kind)request->kind) {
    case FERRY_RQ_GET_INFO:
        request->u.info = (struct ferry_device_info){ .flags = FERRY_DEVICE_FLAG_RESET |
                                                               FERRY_DEVICE_FLAG_PCI,
                                                      .region_count = 9,
                                                      .irq_count = 5 };
        return FERRY_OK;
    case FERRY_RQ_GET_REGION_INFO:
        return region_info(fake, &request->u.region);
    case FERRY_RQ_GET_IRQ_INFO:
        request->u.irq.flags = FERRY_IRQ_EVENTFD;
        request->u.irq.count = request->u.irq.index == 2 ? FAKE_VECTORS : 0;
        return FERRY_OK;
    case FERRY_RQ_SET_IRQS:
        return set_irqs(fake, &request->u.irq_set);
    case FERRY_RQ_REGION_READ:
        return region_io(fake, &request->u.io, 0);
    case FERRY_RQ_REGION_WRITE:
        return region_io(fake, &request->u.io, 1);
    case FERRY_RQ_DMA_MAP:
        return dma_map(fake, &request->u.map);
    case FERRY_RQ_DMA_UNMAP:
        return dma_unmap(fake, &request->u.unmap);
    case FERRY_RQ_RESET:
        fake->resets++;
        fake->state = FERRY_STATE_RUNNING;
        return FERRY_OK;
    case FERRY_RQ_PROBE:
        return request->u.probe.index == 0xfe01u ? FERRY_E_UNSUPPORTED : FERRY_OK;
    case FERRY_RQ_MIG_FLAGS:
        request->u.mig_flags = fake->mig_flags;
        return fake->mig_flags != 0 ? FERRY_OK : FERRY_E_UNSUPPORTED;
    case FERRY_RQ_GET_STATE:
        request->u.state = fake->state;
        return FERRY_OK;
    case FERRY_RQ_SET_STATE:
        fake->state = request->u.state;
        return FERRY_OK;
    case FERRY_RQ_DATA_SIZE:
        request->u.data_size = 4711;
        return FERRY_OK;
    case FERRY_RQ_IDENTITY:
        return identity(fake, request->u.identity);
    case FERRY_RQ_LOG_REPORT:
        return log_report(fake, &request->u.log_report);
    case FERRY_RQ_LOG_RUNS:
        return log_runs(fake, &request->u.log_runs);
    case FERRY_RQ_LOG_START:
    case FERRY_RQ_LOG_STOP:
        return FERRY_OK;
    case FERRY_RQ_COUNTERS:
    case FERRY_RQ_PRECOPY_INFO:
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_REGION_IO_FDS:
    case FERRY_RQ_DATA_FD:
    case FERRY_RQ_LEAVE_STATE:
    case FERRY_RQ_RAW:
    case FERRY_RQ_COUNT:
        break;
    }
    return FERRY_E_UNSUPPORTED;
}

static int fails(const struct fake_device *fake, const struct ferry_request *request)
{
    uint64_t iova = 0;

    if (fake->fail_kind != request->kind) {
        return 0;
    }
    if (request->kind == FERRY_RQ_DMA_MAP) {
        iova = request->u.map.iova;
    } else if (request->kind == FERRY_RQ_DMA_UNMAP) {
        iova = request->u.unmap.iova;
    }
    return fake->fail_iova == 0 || fake->fail_iova == iova;
}

static int fake_submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    struct fake_device *fake = (struct fake_device *)endpoint;

    fake->asked[request->kind]++;
    if (fails(fake, request)) {
        request->status = fake->fail_status;
        return fake->fail_status;
    }
    request->status = perform(fake, request);
    if (fake->lie != NULL && request->status == FERRY_OK) {
        fake->lie(fake, request);
    }
    if (fake->silent_kind == request->kind && fake->pending_count < FAKE_PENDING_MAX) {
        fake->pending[fake->pending_count++] = request;
        return FERRY_PENDING;
    }
    return request->status;
}

static int fake_work(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
    return 0;
}

static const struct ferry_endpoint_ops fake_ops = {
    .struct_size = sizeof(struct ferry_endpoint_ops),
    .attach = fake_attach,
    .detach = fake_detach,
    .submit = fake_submit,
    .work = fake_work,
};

static void init_config(uint8_t *config)
{
    ferry_store_le16(config + 0x00, 0x1af4);
    ferry_store_le16(config + 0x02, 0x1054);
    ferry_store_le16(config + 0x06, CAP_LIST_STATUS);
    ferry_store_le32(config + 0x08, 0x10800001);
    ferry_store_le16(config + 0x2c, 0x1af4);
    ferry_store_le16(config + 0x2e, 0x1100);
    config[0x34] = FAKE_CAP_PM;
    config[FAKE_CAP_PM] = 0x01;
    config[FAKE_CAP_PM + 1] = FAKE_CAP_MSIX;
    config[FAKE_CAP_MSIX] = 0x11;
    config[FAKE_CAP_MSIX + 1] = FAKE_CAP_VENDOR;
    ferry_store_le16(config + FAKE_CAP_MSIX + 2, FAKE_VECTORS - 1);
    ferry_store_le32(config + FAKE_CAP_MSIX + 4, FAKE_TABLE_OFF | 0);
    ferry_store_le32(config + FAKE_CAP_MSIX + 8, 0x3000 | 0);
    config[FAKE_CAP_VENDOR] = 0x09;
    config[FAKE_CAP_VENDOR + 2] = 20;
    config[FAKE_CAP_VENDOR + 3] = 5; /* virtio's window into the BARs */
}

void fake_init(struct fake_device *fake)
{
    memset(fake, 0, sizeof(*fake));
    fake->endpoint.ops = &fake_ops;
    fake->state = FERRY_STATE_RUNNING;
    fake->mig_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY;
    fake->fds_max = 64;
    fake->tell_identity = 1;
    init_config(fake->config);
    for (uint32_t i = 0; i < FAKE_VECTORS; i++) {
        fake->irq_fd[i] = -1;
        fake->bar0[FAKE_TABLE_OFF + i * 16u + 12u] = 1; /* masked at power-on */
    }
    fake->bar2_fd = -1;
    (void)ferry_os_memfd_create("fake-bar2", FAKE_BAR2_BYTES, &fake->bar2_fd);
}

void fake_free(struct fake_device *fake)
{
    drop_irqs(fake);
    ferry_os_close(&fake->bar2_fd);
}

void fake_release(struct fake_device *fake, int status)
{
    end_pending(fake, status);
}

void fake_raise(struct fake_device *fake, uint32_t vector)
{
    (void)ferry_os_eventfd_signal(fake->irq_fd[vector]);
}

const struct ferry_dma_map *fake_map(const struct fake_device *fake, uint64_t iova)
{
    for (uint32_t i = 0; i < fake->map_count; i++) {
        if (fake->map[i].iova == iova) {
            return &fake->map[i];
        }
    }
    return NULL;
}

unsigned fake_open_fds(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;

    while (folder != NULL && readdir(folder) != NULL) {
        count++;
    }
    if (folder != NULL) {
        closedir(folder);
    }
    return count;
}
