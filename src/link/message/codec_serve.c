/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "link/message/codec.h"

static uint64_t report_bytes(const struct ferry_wire_feature *feature)
{
    uint64_t bytes = 0;

    /* The decoder has checked length and page size: this cannot fail. */
    (void)ferry_wire_bitmap_need(feature->u.log_report.length,
                                 feature->u.log_report.page_size, UINT32_MAX, &bytes);
    return bytes;
}

static int is_report(const struct ferry_wire_message *asked)
{
    return asked->command == FERRY_WIRE_FEATURE && !asked->u.feature.probe &&
           asked->u.feature.index == FERRY_WIRE_FEATURE_LOG_REPORT;
}

static int is_runs(const struct ferry_wire_message *asked)
{
    return asked->command == FERRY_WIRE_FEATURE && !asked->u.feature.probe &&
           asked->u.feature.index == FERRY_WIRE_FEATURE_LOG_RUNS;
}

static int is_counters(const struct ferry_wire_message *asked)
{
    return asked->command == FERRY_WIRE_FEATURE && !asked->u.feature.probe &&
           asked->u.feature.index == FERRY_WIRE_FEATURE_COUNTERS;
}

size_t ferry_codec_reply_data(const struct ferry_wire_message *asked)
{
    if (is_counters(asked)) {
        return (size_t)asked->u.feature.u.counters.cap * sizeof(struct ferry_counter);
    }
    if (is_runs(asked)) {
        return (size_t)asked->u.feature.u.log_runs.cap * sizeof(struct ferry_range);
    }
    if (asked->command == FERRY_WIRE_REGION_READ) {
        return asked->u.io.count;
    }
    if (asked->command == FERRY_WIRE_DATA_READ) {
        return asked->u.data_io.size;
    }
    if (asked->command == FERRY_WIRE_DMA_UNMAP &&
        asked->u.unmap.flags & FERRY_WIRE_UNMAP_BITMAP) {
        return asked->u.unmap.bitmap_bytes;
    }
    if (asked->command == FERRY_WIRE_GET_REGION_IO_FDS) {
        /* The endpoint's entries, and behind them the encoded ones. */
        return FERRY_IO_FDS_MAX * sizeof(struct ferry_io_fd) + FERRY_CODEC_IO_FDS_BYTES;
    }
    return is_report(asked) ? report_bytes(&asked->u.feature) : 0;
}

/* The data that came with a message, writable only in type: nobody writes through it. */
static void *incoming(const struct ferry_wire_message *asked)
{
    union {
        const uint8_t *in;
        void *out;
    } cast = { .in = asked->data };

    return cast.out;
}

static int feature_kind(const struct ferry_wire_feature *feature, uint32_t *ret_kind)
{
    int get = (feature->operation & FERRY_WIRE_GET) != 0;

    if (feature->probe) {
        *ret_kind = FERRY_RQ_PROBE;
        return FERRY_OK;
    }
    switch (feature->index) {
    case FERRY_WIRE_FEATURE_MIGRATION:
        *ret_kind = FERRY_RQ_MIG_FLAGS;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_STATE:
        *ret_kind = get ? FERRY_RQ_GET_STATE : FERRY_RQ_SET_STATE;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_LOG_START:
        *ret_kind = FERRY_RQ_LOG_START;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_LOG_STOP:
        *ret_kind = FERRY_RQ_LOG_STOP;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_LOG_REPORT:
        *ret_kind = FERRY_RQ_LOG_REPORT;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_DATA_SIZE:
        *ret_kind = FERRY_RQ_DATA_SIZE;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_PRECOPY_INFO:
        *ret_kind = FERRY_RQ_PRECOPY_INFO;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_LOG_RUNS:
        *ret_kind = FERRY_RQ_LOG_RUNS;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_COUNTERS:
        *ret_kind = FERRY_RQ_COUNTERS;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_DATA_FD:
        *ret_kind = FERRY_RQ_DATA_FD;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE_LEAVE_STATE:
        *ret_kind = FERRY_RQ_LEAVE_STATE;
        return FERRY_OK;
    default:
        return FERRY_E_UNSUPPORTED;
    }
}

static void request_ranges(const struct ferry_wire_message *asked,
                           struct ferry_range *range, struct ferry_request *request)
{
    struct ferry_wire_range one;
    uint32_t count = asked->u.feature.u.log_start.range_count;
    uint32_t i;

    for (i = 0; i < count; i++) {
        ferry_wire_ranges_decode(asked->data + i * sizeof(one), 1, &one);
        range[i].off = one.off;
        range[i].size = one.size;
    }
    request->u.log_start.page_size = asked->u.feature.u.log_start.page_size;
    request->u.log_start.range_count = count;
    request->u.log_start.range = range;
}

static int request_feature(const struct ferry_wire_message *asked, void *data,
                           struct ferry_range *range, struct ferry_request *request)
{
    const struct ferry_wire_feature *feature = &asked->u.feature;
    int rc = feature_kind(feature, &request->kind);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (request->kind == FERRY_RQ_PROBE) {
        request->u.probe.index = feature->index;
        request->u.probe.operation = feature->operation;
    } else if (request->kind == FERRY_RQ_SET_STATE) {
        request->u.state = feature->u.state;
    } else if (request->kind == FERRY_RQ_LEAVE_STATE) {
        request->u.leave.state = feature->u.leave.state;
        request->u.leave.session = feature->u.leave.session;
        request->u.leave.data_bytes = feature->u.leave.bytes;
    } else if (request->kind == FERRY_RQ_LOG_START) {
        request_ranges(asked, range, request);
    } else if (request->kind == FERRY_RQ_LOG_REPORT) {
        request->u.log_report.iova = feature->u.log_report.iova;
        request->u.log_report.length = feature->u.log_report.length;
        request->u.log_report.page_size = feature->u.log_report.page_size;
        request->u.log_report.bitmap = data;
        request->u.log_report.bitmap_bytes = report_bytes(feature);
    } else if (request->kind == FERRY_RQ_LOG_RUNS) {
        request->u.log_runs.iova = feature->u.log_runs.iova;
        request->u.log_runs.length = feature->u.log_runs.length;
        request->u.log_runs.page_size = feature->u.log_runs.page_size;
        request->u.log_runs.run = data;
        request->u.log_runs.cap = feature->u.log_runs.cap;
        request->u.log_runs.count = 0;
    } else if (request->kind == FERRY_RQ_COUNTERS) {
        request->u.counters.counter = data;
        request->u.counters.cap = feature->u.counters.cap;
        request->u.counters.count = 0;
    }
    return FERRY_OK;
}

static void request_irqs(const struct ferry_wire_message *asked,
                         const struct ferry_os_fds *fds, struct ferry_request *request)
{
    struct ferry_irq_set *set = &request->u.irq_set;

    set->flags = asked->u.irq_set.flags;
    set->index = asked->u.irq_set.index;
    set->start = asked->u.irq_set.start;
    set->count = asked->u.irq_set.count;
    set->bools = asked->data;
    set->fds = fds->fd;
    set->fd_count = fds->count;
}

static void request_unmap(const struct ferry_wire_message *asked, void *data,
                          struct ferry_request *request)
{
    struct ferry_dma_unmap *unmap = &request->u.unmap;

    unmap->iova = asked->u.unmap.iova;
    unmap->size = asked->u.unmap.size;
    unmap->flags = asked->u.unmap.flags;
    unmap->page_size = asked->u.unmap.page_size;
    unmap->bitmap = unmap->flags & FERRY_UNMAP_BITMAP ? data : NULL;
    unmap->bitmap_bytes = unmap->bitmap ? asked->u.unmap.bitmap_bytes : 0;
}

static void request_map(const struct ferry_wire_message *asked,
                        const struct ferry_os_fds *fds, struct ferry_request *request)
{
    request->u.map.iova = asked->u.map.iova;
    request->u.map.size = asked->u.map.size;
    request->u.map.offset = asked->u.map.offset;
    request->u.map.flags = asked->u.map.flags;
    request->u.map.fd = fds->count > 0 ? fds->fd[0] : -1;
}

static void request_region_io(const struct ferry_wire_message *asked, void *data,
                              struct ferry_request *request)
{
    request->u.io.index = asked->u.io.region;
    request->u.io.count = asked->u.io.count;
    request->u.io.off = asked->u.io.off;
    request->u.io.data = data;
    request->u.io.posted = asked->posted;
}

int ferry_codec_request(const struct ferry_wire_message *asked, void *data,
                        struct ferry_range *range, const struct ferry_os_fds *fds,
                        struct ferry_request *request)
{
    request->status = FERRY_OK;
    switch (asked->command) {
    case FERRY_WIRE_REGION_READ:
        request->kind = FERRY_RQ_REGION_READ;
        request_region_io(asked, data, request);
        return FERRY_OK;
    case FERRY_WIRE_REGION_WRITE:
        request->kind = FERRY_RQ_REGION_WRITE;
        request_region_io(asked, incoming(asked), request);
        return FERRY_OK;
    case FERRY_WIRE_GET_INFO:
        request->kind = FERRY_RQ_GET_INFO;
        memset(&request->u.info, 0, sizeof(request->u.info));
        return FERRY_OK;
    case FERRY_WIRE_GET_REGION_INFO:
        request->kind = FERRY_RQ_GET_REGION_INFO;
        memset(&request->u.region, 0, sizeof(request->u.region));
        request->u.region.index = asked->u.region.index;
        request->u.region.fd = FERRY_NO_REGION_FD;
        return FERRY_OK;
    case FERRY_WIRE_GET_REGION_IO_FDS:
        request->kind = FERRY_RQ_REGION_IO_FDS;
        memset(&request->u.io_fds, 0, sizeof(request->u.io_fds));
        request->u.io_fds.index = asked->u.io_fds.index;
        request->u.io_fds.cap = FERRY_IO_FDS_MAX;
        request->u.io_fds.entry = data;
        return FERRY_OK;
    case FERRY_WIRE_GET_IRQ_INFO:
        request->kind = FERRY_RQ_GET_IRQ_INFO;
        memset(&request->u.irq, 0, sizeof(request->u.irq));
        request->u.irq.index = asked->u.irq.index;
        return FERRY_OK;
    case FERRY_WIRE_SET_IRQS:
        request->kind = FERRY_RQ_SET_IRQS;
        request_irqs(asked, fds, request);
        return FERRY_OK;
    case FERRY_WIRE_DMA_MAP:
        request->kind = FERRY_RQ_DMA_MAP;
        request_map(asked, fds, request);
        return FERRY_OK;
    case FERRY_WIRE_DMA_UNMAP:
        request->kind = FERRY_RQ_DMA_UNMAP;
        request_unmap(asked, data, request);
        return FERRY_OK;
    case FERRY_WIRE_RESET:
        request->kind = FERRY_RQ_RESET;
        return FERRY_OK;
    case FERRY_WIRE_FEATURE:
        return request_feature(asked, data, range, request);
    case FERRY_WIRE_DATA_READ:
    case FERRY_WIRE_DATA_WRITE:
        request->kind = asked->command == FERRY_WIRE_DATA_READ ? FERRY_RQ_DATA_READ
                                                               : FERRY_RQ_DATA_WRITE;
        memset(&request->u.data, 0, sizeof(request->u.data));
        request->u.data.data =
            asked->command == FERRY_WIRE_DATA_READ ? data : incoming(asked);
        request->u.data.size = asked->u.data_io.size;
        return FERRY_OK;
    default:
        return FERRY_E_MESSAGE;
    }
}

static void reply_region(const struct ferry_region_info *in,
                         struct ferry_wire_region_info *out)
{
    uint32_t i;

    out->flags = in->flags & FERRY_WIRE_REGION_FLAGS;
    out->size = in->size;
    out->offset = in->offset;
    out->type = in->type;
    out->subtype = in->subtype;
    out->area_count =
        in->area_count < FERRY_WIRE_AREAS_MAX ? in->area_count : FERRY_WIRE_AREAS_MAX;
    for (i = 0; i < out->area_count; i++) {
        out->area[i].off = in->area[i].off;
        out->area[i].size = in->area[i].size;
    }
}

static void reply_feature(const struct ferry_request *request, const void *data,
                          struct ferry_wire_message *reply)
{
    struct ferry_wire_feature *feature = &reply->u.feature;

    if (request->kind == FERRY_RQ_MIG_FLAGS) {
        feature->u.migration_flags = request->u.mig_flags;
    } else if (request->kind == FERRY_RQ_GET_STATE) {
        feature->u.state = request->u.state;
    } else if (request->kind == FERRY_RQ_LOG_START) {
        feature->u.log_start.page_size = request->u.log_start.page_size;
    } else if (request->kind == FERRY_RQ_DATA_SIZE) {
        feature->u.data_size = request->u.data_size;
    } else if (request->kind == FERRY_RQ_PRECOPY_INFO) {
        feature->u.precopy.initial_bytes = request->u.precopy.initial_bytes;
        feature->u.precopy.dirty_bytes = request->u.precopy.dirty_bytes;
    } else if (request->kind == FERRY_RQ_DATA_FD) {
        feature->u.data_fd.session = request->u.data_fd.session;
        feature->u.data_fd.direction = request->u.data_fd.direction;
        feature->u.data_fd.flags = 0;
        reply->fd_count = 1;
    } else if (request->kind == FERRY_RQ_LOG_REPORT) {
        reply->data = data;
        reply->data_bytes = (uint32_t)request->u.log_report.bitmap_bytes;
    } else if (request->kind == FERRY_RQ_LOG_RUNS) {
        /* The ranges are on the wire as they lie in memory: see codec_ask.c. */
        feature->u.log_runs.next_iova = request->u.log_runs.next_iova;
        feature->u.log_runs.count = request->u.log_runs.count;
        reply->data = data;
        reply->data_bytes =
            request->u.log_runs.count * (uint32_t)sizeof(struct ferry_range);
    } else if (request->kind == FERRY_RQ_COUNTERS) {
        /* As they lie in memory, too. */
        feature->u.counters.count = request->u.counters.count;
        reply->data = data;
        reply->data_bytes =
            request->u.counters.count * (uint32_t)sizeof(struct ferry_counter);
    }
}

void ferry_codec_reply(const struct ferry_request *request, const void *data,
                       struct ferry_wire_message *reply)
{
    reply->reply = 1;
    reply->posted = 0;
    reply->fd_count = 0;
    /* LOG_START's reply echoes its ranges; every other request's data stays behind. */
    if (request->kind != FERRY_RQ_LOG_START) {
        reply->data = NULL;
        reply->data_bytes = 0;
    }
    if (reply->command == FERRY_WIRE_REGION_READ) {
        reply->data = data;
        reply->data_bytes = request->u.io.count;
    } else if (reply->command == FERRY_WIRE_DATA_READ) {
        reply->data = data;
        reply->data_bytes = (uint32_t)request->u.data.got;
        reply->u.data_io.size = (uint32_t)request->u.data.got;
    } else if (reply->command == FERRY_WIRE_GET_INFO) {
        reply->u.info.flags = request->u.info.flags;
        reply->u.info.region_count = request->u.info.region_count;
        reply->u.info.irq_count = request->u.info.irq_count;
    } else if (reply->command == FERRY_WIRE_GET_REGION_INFO) {
        reply_region(&request->u.region, &reply->u.region);
        reply->fd_count = request->u.region.fd >= 0 ? 1 : 0;
    } else if (reply->command == FERRY_WIRE_GET_IRQ_INFO) {
        reply->u.irq.flags = request->u.irq.flags;
        reply->u.irq.count = request->u.irq.count;
    } else if (reply->command == FERRY_WIRE_DMA_UNMAP && request->u.unmap.bitmap) {
        reply->data = data;
        reply->data_bytes = (uint32_t)request->u.unmap.bitmap_bytes;
    } else if (reply->command == FERRY_WIRE_FEATURE) {
        reply_feature(request, data, reply);
    }
}
