/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_iommu_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "bridge/device/link.h"
#include "bridge/preload/mappings.h"
#include "bridge/preload/tokens/known.h"
#include "bridge/say.h"

struct bridge_object *iommu;
struct rig *rigs[RIG_DEVICES];
int mappings_fd = -1;
uint64_t mappings_off;
int mappings_region;
uint32_t said;
char said_last[512];

/* --- what stands in for the rest of the bridge */

void bridge_say(const struct bridge_device *device, const char *format, ...)
{
    va_list args;

    (void)device;
    va_start(args, format);
    (void)vsnprintf(said_last, sizeof(said_last), format, args);
    va_end(args);
    said++;
}

void bridge_trace(const struct bridge_device *device, const char *format, ...)
{
    (void)device;
    (void)format;
}

int bridge_errno(int status)
{
    switch (status) {
    case FERRY_OK:
        return 0;
    case FERRY_E_LIMIT:
        return -ENOSPC;
    case FERRY_E_BUSY:
        return -EBUSY;
    default:
        return -EIO;
    }
}

void bridge_known_forget(struct bridge_object *object)
{
    (void)object;
}

int bridge_mappings_find(const void *address, uint64_t size, int *ret_fd,
                         uint64_t *ret_off, int *ret_is_region)
{
    (void)address;
    (void)size;
    if (mappings_fd < 0) {
        return -ENOENT;
    }
    *ret_fd = dup(mappings_fd);
    *ret_off = mappings_off;
    *ret_is_region = mappings_region;
    return 0;
}

static struct rig *rig_of(const struct bridge_link *link)
{
    return (struct rig *)(uintptr_t)link;
}

int bridge_link_dead(const struct bridge_link *link)
{
    return atomic_load(&rig_of(link)->dead);
}

void bridge_link_condemn(struct bridge_link *link, const char *why)
{
    (void)why;
    atomic_store(&rig_of(link)->dead, 1);
}

uint32_t bridge_link_generation(const struct bridge_link *link)
{
    return rig_of(link)->generation;
}

uint32_t bridge_link_max_data(const struct bridge_link *link)
{
    return rig_of(link)->max_data;
}

const struct ferry_link_version *bridge_link_agreed(const struct bridge_link *link)
{
    return &rig_of(link)->agreed;
}

/* --- the server */

const struct rig_map *rig_find(const struct rig *rig, uint64_t iova, uint64_t size)
{
    for (uint32_t i = 0; i < rig->maps; i++) {
        if (rig->map[i].iova == iova && rig->map[i].size == size) {
            return &rig->map[i];
        }
    }
    return NULL;
}

static int is_logged(const struct rig *rig, uint64_t iova)
{
    for (uint32_t i = 0; i < rig->range_count; i++) {
        if (iova >= rig->range[i].off && iova - rig->range[i].off < rig->range[i].size) {
            return 1;
        }
    }
    return rig->range_count == 0;
}

/* 1 and clears it when the page was written and is logged. */
static int take_page(struct rig *rig, uint64_t iova)
{
    uint8_t *page = iova / PAGE < RIG_PAGES ? &rig->written[iova / PAGE] : NULL;
    const int written = page != NULL && *page && is_logged(rig, iova);

    if (written) {
        *page = 0;
    }
    return written;
}

static int do_map(struct rig *rig, const struct ferry_dma_map *want)
{
    struct rig_map *map = &rig->map[rig->maps];

    rig->map_calls++;
    if (rig->maps_before_end != 0 && rig->map_calls > rig->maps_before_end) {
        atomic_store(&rig->dead, 1);
        return FERRY_E_CLOSED;
    }
    if (rig->map_status != FERRY_OK) {
        return rig->map_status;
    }
    if (rig->refused_iova != 0 && want->iova == rig->refused_iova) {
        return FERRY_E_LIMIT;
    }
    for (uint32_t i = 0; i < rig->maps; i++) {
        if (ferry_range_overlaps(want->iova, want->size, rig->map[i].iova,
                                 rig->map[i].size)) {
            return FERRY_E_OVERLAP;
        }
    }
    if (rig->maps == RIG_MAPS_MAX) {
        return FERRY_E_LIMIT;
    }
    *map = (struct rig_map){ .iova = want->iova,
                             .size = want->size,
                             .offset = want->offset,
                             .inode = want->fd >= 0 ? inode_of(want->fd) : 0,
                             .flags = want->flags };
    rig->maps++;
    return FERRY_OK;
}

static int do_unmap(struct rig *rig, const struct ferry_dma_unmap *want)
{
    const struct rig_map *map = rig_find(rig, want->iova, want->size);

    rig->unmap_calls++;
    if ((want->flags & FERRY_UNMAP_ALL) != 0) {
        rig->unmap_alls++;
        if (rig->no_unmap_all) {
            return FERRY_E_UNSUPPORTED;
        }
        rig->maps = 0;
        memset(rig->written, 0, RIG_PAGES);
        return FERRY_OK;
    }
    if (rig->on_unmap != NULL) {
        rig->on_unmap(rig, want->iova, want->size);
    }
    if (rig->unmap_status != FERRY_OK) {
        return rig->unmap_status;
    }
    if (map == NULL) {
        return FERRY_E_NOT_FOUND;
    }
    rig->told_unmaps += (want->flags & FERRY_UNMAP_BITMAP) != 0;
    for (uint64_t page = 0; page < want->size / PAGE; page++) {
        if (take_page(rig, want->iova + page * PAGE) &&
            (want->flags & FERRY_UNMAP_BITMAP) != 0) {
            ferry_bitmap_set(want->bitmap, page);
        }
    }
    rig->map[map - rig->map] = rig->map[--rig->maps];
    return FERRY_OK;
}

static int do_start(struct rig *rig, const struct ferry_log_start *want)
{
    rig->start_calls++;
    if (rig->log_on) {
        return rig->busy_status != 0 ? rig->busy_status : FERRY_E_BUSY;
    }
    if (rig->no_log || (rig->no_whole && want->range_count == 0)) {
        return FERRY_E_UNSUPPORTED;
    }
    rig->log_on = 1;
    rig->range_count = want->range_count;
    for (uint32_t i = 0; i < want->range_count; i++) {
        rig->range[i] = want->range[i];
    }
    memset(rig->written, 0, RIG_PAGES);
    return FERRY_OK;
}

static int do_report(struct rig *rig, const struct ferry_log_report *want)
{
    rig->report_calls++;
    if (!rig->log_on) {
        return FERRY_E_NOT_FOUND;
    }
    assert_int_equal(want->page_size, PAGE);
    assert_int_equal(want->bitmap_bytes, ferry_bitmap_bytes(want->length / PAGE));
    if (rig->exact_reports) {
        int inside = 0;

        for (uint32_t i = 0; i < rig->maps; i++) {
            inside |= ferry_range_within(want->iova, want->length, rig->map[i].iova,
                                         rig->map[i].size);
        }
        if (!inside) {
            return FERRY_E_ARGUMENT;
        }
    }
    for (uint64_t page = 0; page < want->length / PAGE; page++) {
        if (take_page(rig, want->iova + page * PAGE)) {
            ferry_bitmap_set(want->bitmap, page);
        }
    }
    return rig->log_status;
}

static int do_runs(struct rig *rig, struct ferry_log_runs *want)
{
    const uint64_t span = rig->runs_span != 0 && rig->runs_span < want->length
                              ? rig->runs_span
                              : want->length;
    const uint64_t end = want->iova + span;
    const uint32_t cap =
        rig->runs_cap != 0 && rig->runs_cap < want->cap ? rig->runs_cap : want->cap;

    rig->runs_calls++;
    if (rig->no_runs) {
        return FERRY_E_UNSUPPORTED;
    }
    if (!rig->log_on) {
        return FERRY_E_NOT_FOUND;
    }
    want->count = 0;
    want->next_iova = end;
    for (uint64_t at = want->iova; at < end && at / PAGE < RIG_PAGES; at += PAGE) {
        struct ferry_range *last = want->count > 0 ? &want->run[want->count - 1] : NULL;

        if (rig->written[at / PAGE] == 0 || !is_logged(rig, at)) {
            continue;
        }
        if (last != NULL && last->off + last->size == at) {
            last->size += PAGE;
        } else if (want->count == cap) {
            want->next_iova = at;
            break;
        } else {
            want->run[want->count++] = (struct ferry_range){ .off = at, .size = PAGE };
        }
        rig->written[at / PAGE] = 0;
    }
    return rig->log_status;
}

static int perform(struct rig *rig, struct ferry_request *request)
{
    if (rig->still &&
        (request->kind == FERRY_RQ_DMA_MAP || request->kind == FERRY_RQ_DMA_UNMAP)) {
        return FERRY_E_ARGUMENT;
    }
    switch (request->kind) {
    case FERRY_RQ_GET_STATE:
        request->u.state = rig->still ? FERRY_STATE_STOP : FERRY_STATE_RUNNING;
        return FERRY_OK;
    case FERRY_RQ_DMA_MAP:
        return do_map(rig, &request->u.map);
    case FERRY_RQ_DMA_UNMAP:
        return do_unmap(rig, &request->u.unmap);
    case FERRY_RQ_PROBE:
        rig->probe_calls++;
        return rig->no_log ? FERRY_E_UNSUPPORTED : FERRY_OK;
    case FERRY_RQ_LOG_START:
        return do_start(rig, &request->u.log_start);
    case FERRY_RQ_LOG_STOP:
        rig->stop_calls++;
        rig->log_on = 0;
        return FERRY_OK;
    case FERRY_RQ_LOG_REPORT:
        return do_report(rig, &request->u.log_report);
    case FERRY_RQ_LOG_RUNS:
        return do_runs(rig, &request->u.log_runs);
    default:
        return FERRY_E_UNSUPPORTED;
    }
}

int bridge_link_call(struct bridge_link *link, struct ferry_request *request)
{
    struct rig *rig = rig_of(link);
    const int is_report =
        request->kind == FERRY_RQ_LOG_REPORT || request->kind == FERRY_RQ_LOG_RUNS;

    if (atomic_load(&rig->dead)) {
        return FERRY_E_CLOSED;
    }
    (void)pthread_mutex_lock(&rig->lock);
    request->status = perform(rig, request);
    (void)pthread_mutex_unlock(&rig->lock);
    if (is_report && rig->on_report != NULL) {
        rig->on_report(rig);
    }
    return request->status;
}

int rig_try_write(struct rig *rig, uint64_t iova)
{
    int writable = 0;

    (void)pthread_mutex_lock(&rig->lock);
    for (uint32_t i = 0; i < rig->maps; i++) {
        writable |= iova >= rig->map[i].iova &&
                    iova - rig->map[i].iova < rig->map[i].size &&
                    (rig->map[i].flags & FERRY_DMA_WRITE) != 0;
    }
    if (writable) {
        rig->written[iova / PAGE] = (uint8_t)rig->log_on;
    }
    (void)pthread_mutex_unlock(&rig->lock);
    return writable;
}

void rig_write(struct rig *rig, uint64_t iova)
{
    assert_true(rig_try_write(rig, iova));
}

void rig_die(struct rig *rig)
{
    atomic_store(&rig->dead, 1);
    bridge_log_lost(rig->device.log);
}

void rig_return(struct rig *rig)
{
    rig->maps = 0;
    rig->log_on = 0;
    memset(rig->written, 0, RIG_PAGES);
    rig->generation++;
    atomic_store(&rig->dead, 0);
}

/* --- the fixture */

static void device_destroy(struct bridge_object *object)
{
    (void)object;
}

static const struct bridge_object_ops device_ops = {
    .kind = "device",
    .destroy = device_destroy,
};

static struct rig *make_rig(uint32_t id)
{
    struct rig *rig = calloc(1, sizeof(*rig));
    pthread_mutexattr_t attr;

    assert_non_null(rig);
    rig->written = calloc(1, RIG_PAGES);
    assert_non_null(rig->written);
    /* A device writes while it is asked (on_unmap). */
    (void)pthread_mutexattr_init(&attr);
    (void)pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    (void)pthread_mutex_init(&rig->lock, &attr);
    (void)pthread_mutexattr_destroy(&attr);
    bridge_object_init(&rig->device.object, &device_ops);
    rig->device.id = id;
    rig->device.link = (struct bridge_link *)(void *)rig;
    rig->agreed.dirty_runs = 1;
    rig->max_data = 1u << 20;
    rig->generation = 1;
    for (uint32_t i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        rig->device.region[i].fd = -1;
    }
    assert_int_equal(bridge_log_create(&rig->device), 0);
    return rig;
}

int rig_start(void **state)
{
    const struct bridge_token token = { .kind = BRIDGE_TOKEN_IOMMU };

    (void)state;
    said = 0;
    said_last[0] = '\0';
    mappings_fd = -1;
    mappings_off = 0;
    mappings_region = 0;
    assert_int_equal(bridge_iommu_create(&token, &iommu), 0);
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        uint32_t id = 0;

        rigs[i] = make_rig(i + 1);
        assert_int_equal(bridge_iommu_bind(iommu, &rigs[i]->device, &id), 0);
        assert_int_equal(id, i + 1);
    }
    return 0;
}

int rig_stop(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RIG_DEVICES; i++) {
        bridge_iommu_unbind(&rigs[i]->device);
        bridge_log_destroy(&rigs[i]->device);
        (void)pthread_mutex_destroy(&rigs[i]->lock);
        free(rigs[i]->written);
        free(rigs[i]);
    }
    bridge_object_put(iommu);
    iommu = NULL;
    return 0;
}

/* --- the VMM */

long ask(unsigned long request, void *arg)
{
    return iommu->ops->ioctl(iommu, request, arg);
}

uint32_t make_ioas(void)
{
    struct uapi_iommu_ioas_alloc want = { .size = sizeof(want) };

    assert_int_equal(ask(UAPI_IOMMU_IOAS_ALLOC, &want), 0);
    return want.out_ioas_id;
}

uint32_t make_hwpt(uint32_t device, uint32_t ioas, uint32_t flags)
{
    struct uapi_iommu_hwpt_alloc want = {
        .size = sizeof(want), .flags = flags, .dev_id = device, .pt_id = ioas
    };

    assert_int_equal(ask(UAPI_IOMMU_HWPT_ALLOC, &want), 0);
    return want.out_hwpt_id;
}

void attach(uint32_t device, uint32_t pt)
{
    assert_int_equal(bridge_iommu_attach(&rigs[device]->device, &pt), 0);
}

long map_va(uint32_t ioas, uint64_t iova, uint64_t length, void *address)
{
    struct uapi_iommu_ioas_map want = { .size = sizeof(want),
                                        .flags = 7,
                                        .ioas_id = ioas,
                                        .user_va = (uintptr_t)address,
                                        .length = length,
                                        .iova = iova };

    return ask(UAPI_IOMMU_IOAS_MAP, &want);
}

long map_fd(uint32_t ioas, uint64_t iova, uint64_t length, int fd, uint64_t start)
{
    struct uapi_iommu_ioas_map_file want = { .size = sizeof(want),
                                             .flags = 7,
                                             .ioas_id = ioas,
                                             .fd = fd,
                                             .start = start,
                                             .length = length,
                                             .iova = iova };

    return ask(UAPI_IOMMU_IOAS_MAP_FILE, &want);
}

long unmap(uint32_t ioas, uint64_t iova, uint64_t length)
{
    struct uapi_iommu_ioas_unmap want = {
        .size = sizeof(want), .ioas_id = ioas, .iova = iova, .length = length
    };
    const long rc = ask(UAPI_IOMMU_IOAS_UNMAP, &want);

    return rc < 0 ? rc : (long)want.length;
}

long set_dirty(uint32_t hwpt, uint32_t flags)
{
    struct uapi_iommu_hwpt_set_dirty want = { .size = sizeof(want),
                                              .flags = flags,
                                              .hwpt_id = hwpt };

    return ask(UAPI_IOMMU_HWPT_SET_DIRTY_TRACKING, &want);
}

long get_dirty(uint32_t hwpt, uint64_t iova, uint64_t length, uint64_t page_size,
               uint32_t flags, void *ret_bitmap)
{
    struct uapi_iommu_hwpt_get_dirty want = { .size = sizeof(want),
                                              .hwpt_id = hwpt,
                                              .flags = flags,
                                              .iova = iova,
                                              .length = length,
                                              .page_size = page_size,
                                              .data = (uintptr_t)ret_bitmap };

    return ask(UAPI_IOMMU_HWPT_GET_DIRTY_BITMAP, &want);
}

int make_file(uint64_t pages)
{
    const int fd = memfd_create("iommu-test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(pages * PAGE)), 0);
    return fd;
}

uint64_t inode_of(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_ino;
}
