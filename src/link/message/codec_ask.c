/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "base/range.h"
#include "link/message/codec.h"

/* LOG_START's ranges go out of the request's memory as they lie there. */
static_assert(sizeof(struct ferry_range) == 16, "a range on the wire");
static_assert(offsetof(struct ferry_range, size) == 8, "a range on the wire");
static_assert(sizeof(struct ferry_counter) == FERRY_WIRE_COUNTER_BYTES, "as ranges");
static_assert(FERRY_COUNTERS_MAX == FERRY_WIRE_COUNTERS_MAX, "as many");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "ranges are sent as they lie");

static void set_data(struct ferry_wire_message *message, const void *data, uint64_t bytes)
{
    message->data = data;
    message->data_bytes = (uint32_t)bytes;
}

/* Feature number and operation of the requests that are DEVICE_FEATURE messages. */
static const struct {
    uint32_t index;
    uint32_t operation;
} feature_of[FERRY_RQ_COUNT] = {
    [FERRY_RQ_MIG_FLAGS] = { FERRY_WIRE_FEATURE_MIGRATION, FERRY_WIRE_GET },
    [FERRY_RQ_GET_STATE] = { FERRY_WIRE_FEATURE_STATE, FERRY_WIRE_GET },
    [FERRY_RQ_SET_STATE] = { FERRY_WIRE_FEATURE_STATE, FERRY_WIRE_SET },
    [FERRY_RQ_LOG_START] = { FERRY_WIRE_FEATURE_LOG_START, FERRY_WIRE_SET },
    [FERRY_RQ_LOG_STOP] = { FERRY_WIRE_FEATURE_LOG_STOP, FERRY_WIRE_SET },
    [FERRY_RQ_LOG_REPORT] = { FERRY_WIRE_FEATURE_LOG_REPORT, FERRY_WIRE_GET },
    [FERRY_RQ_DATA_SIZE] = { FERRY_WIRE_FEATURE_DATA_SIZE, FERRY_WIRE_GET },
    [FERRY_RQ_PRECOPY_INFO] = { FERRY_WIRE_FEATURE_PRECOPY_INFO, FERRY_WIRE_GET },
    [FERRY_RQ_LOG_RUNS] = { FERRY_WIRE_FEATURE_LOG_RUNS, FERRY_WIRE_GET },
    [FERRY_RQ_DATA_FD] = { FERRY_WIRE_FEATURE_DATA_FD, FERRY_WIRE_GET },
    [FERRY_RQ_LEAVE_STATE] = { FERRY_WIRE_FEATURE_LEAVE_STATE, FERRY_WIRE_SET },
    [FERRY_RQ_COUNTERS] = { FERRY_WIRE_FEATURE_COUNTERS, FERRY_WIRE_GET },
};

static int ask_feature(const struct ferry_request *request,
                       struct ferry_wire_message *message)
{
    struct ferry_wire_feature *feature = &message->u.feature;
    const struct ferry_log_report *report;

    message->command = FERRY_WIRE_FEATURE;
    memset(feature, 0, sizeof(*feature));
    if (request->kind == FERRY_RQ_PROBE) {
        feature->index = request->u.probe.index;
        feature->operation = request->u.probe.operation;
        feature->probe = 1;
        return FERRY_OK;
    }
    feature->index = feature_of[request->kind].index;
    feature->operation = feature_of[request->kind].operation;
    if (request->kind == FERRY_RQ_SET_STATE) {
        feature->u.state = request->u.state;
    } else if (request->kind == FERRY_RQ_LEAVE_STATE) {
        feature->u.leave.state = request->u.leave.state;
        feature->u.leave.pad = 0;
        feature->u.leave.session = request->u.leave.session;
        feature->u.leave.bytes = request->u.leave.data_bytes;
    } else if (request->kind == FERRY_RQ_LOG_START) {
        if (request->u.log_start.range_count > FERRY_LOG_RANGES_MAX) {
            return FERRY_E_LIMIT;
        }
        feature->u.log_start.page_size = request->u.log_start.page_size;
        feature->u.log_start.range_count = request->u.log_start.range_count;
        set_data(message, request->u.log_start.range,
                 request->u.log_start.range_count * sizeof(struct ferry_range));
    } else if (request->kind == FERRY_RQ_LOG_REPORT) {
        report = &request->u.log_report;
        feature->u.log_report.iova = report->iova;
        feature->u.log_report.length = report->length;
        feature->u.log_report.page_size = report->page_size;
    }
    return FERRY_OK;
}

static int ask_runs(const struct ferry_request *request,
                    const struct ferry_wire_limits *limits,
                    struct ferry_wire_message *message)
{
    const struct ferry_log_runs *runs = &request->u.log_runs;
    const uint32_t most = limits->max_data_bytes / (uint32_t)sizeof(struct ferry_range);
    int rc;

    if (runs->run == NULL || runs->cap == 0 || most == 0) {
        return FERRY_E_CAPACITY;
    }
    rc = ask_feature(request, message);
    message->u.feature.u.log_runs.iova = runs->iova;
    message->u.feature.u.log_runs.length = runs->length;
    message->u.feature.u.log_runs.page_size = runs->page_size;
    message->u.feature.u.log_runs.cap = runs->cap < most ? runs->cap : most;
    return rc;
}

static int ask_counters(const struct ferry_request *request,
                        const struct ferry_wire_limits *limits,
                        struct ferry_wire_message *message)
{
    const struct ferry_counters *asked = &request->u.counters;
    const uint32_t sent = limits->max_data_bytes / FERRY_WIRE_COUNTER_BYTES;
    const uint32_t most = sent < FERRY_WIRE_COUNTERS_MAX ? sent : FERRY_WIRE_COUNTERS_MAX;
    const int rc = ask_feature(request, message);

    message->u.feature.u.counters.cap = asked->cap < most ? asked->cap : most;
    return asked->counter == NULL || asked->cap == 0 ? FERRY_E_CAPACITY : rc;
}

/* Does the caller's bitmap have exactly the size that the range needs? */
static int check_bitmap(uint64_t length, uint64_t page_size, uint64_t bitmap_bytes,
                        const struct ferry_wire_limits *limits)
{
    uint64_t need;
    int rc = ferry_wire_bitmap_need(length, page_size, limits->max_bitmap_bytes, &need);

    if (rc == FERRY_OK && bitmap_bytes < need) {
        rc = FERRY_E_CAPACITY;
    }
    return rc == FERRY_E_PROTOCOL ? FERRY_E_ARGUMENT : rc;
}

static int ask_unmap(const struct ferry_dma_unmap *unmap,
                     const struct ferry_wire_limits *limits,
                     struct ferry_wire_message *message)
{
    struct ferry_wire_dma_unmap *out = &message->u.unmap;
    int rc;

    memset(out, 0, sizeof(*out));
    out->flags = unmap->flags;
    out->iova = unmap->iova;
    out->size = unmap->size;
    if (unmap->flags & FERRY_UNMAP_BITMAP) {
        rc = check_bitmap(unmap->size, unmap->page_size, unmap->bitmap_bytes, limits);
        if (rc != FERRY_OK) {
            return rc;
        }
        out->page_size = unmap->page_size;
        return ferry_wire_bitmap_need(unmap->size, unmap->page_size,
                                      limits->max_bitmap_bytes, &out->bitmap_bytes);
    }
    return FERRY_OK;
}

static int ask_irqs(const struct ferry_irq_set *set, struct ferry_wire_message *message)
{
    message->u.irq_set.flags = set->flags;
    message->u.irq_set.index = set->index;
    message->u.irq_set.start = set->start;
    message->u.irq_set.count = set->count;
    if (set->fd_count > FERRY_REQUEST_FDS_MAX) {
        return FERRY_E_LIMIT;
    }
    if (set->flags & FERRY_IRQ_SET_DATA_BOOL) {
        if (set->count > FERRY_WIRE_IRQS_MAX) {
            return FERRY_E_LIMIT;
        }
        set_data(message, set->bools, set->count);
    }
    return FERRY_OK;
}

static void ask_map(const struct ferry_dma_map *map, struct ferry_wire_message *message)
{
    message->u.map.flags = map->flags;
    message->u.map.offset = map->fd >= 0 ? map->offset : 0;
    message->u.map.iova = map->iova;
    message->u.map.size = map->size;
}

static int ask_region_io(const struct ferry_request *request,
                         const struct ferry_wire_limits *limits,
                         struct ferry_wire_message *message)
{
    const struct ferry_region_io *io = &request->u.io;

    if (io->count > limits->max_data_bytes) {
        return FERRY_E_LIMIT;
    }
    message->u.io.off = io->off;
    message->u.io.region = io->index;
    message->u.io.count = io->count;
    if (request->kind == FERRY_RQ_REGION_WRITE) {
        message->posted = io->posted != 0;
        set_data(message, io->data, io->count);
    }
    return FERRY_OK;
}

static int ask_data_io(const struct ferry_request *request,
                       const struct ferry_wire_limits *limits,
                       struct ferry_wire_message *message)
{
    if (request->u.data.size > limits->max_data_bytes) {
        return FERRY_E_LIMIT;
    }
    message->u.data_io.argsz = 0;
    message->u.data_io.size = (uint32_t)request->u.data.size;
    if (request->kind == FERRY_RQ_DATA_WRITE) {
        set_data(message, request->u.data.data, request->u.data.size);
    }
    return FERRY_OK;
}

/* Requests that ask by a number at most. */
static void ask_info(const struct ferry_request *request,
                     struct ferry_wire_message *message)
{
    if (request->kind == FERRY_RQ_GET_INFO) {
        memset(&message->u.info, 0, sizeof(message->u.info));
    } else if (request->kind == FERRY_RQ_GET_REGION_INFO) {
        memset(&message->u.region, 0, sizeof(message->u.region));
        message->u.region.index = request->u.region.index;
    } else if (request->kind == FERRY_RQ_GET_IRQ_INFO) {
        memset(&message->u.irq, 0, sizeof(message->u.irq));
        message->u.irq.index = request->u.irq.index;
    } else {
        memset(&message->u.io_fds, 0, sizeof(message->u.io_fds));
        message->u.io_fds.index = request->u.io_fds.index;
    }
}

static const uint16_t command_of[FERRY_RQ_COUNT] = {
    [FERRY_RQ_GET_INFO] = FERRY_WIRE_GET_INFO,
    [FERRY_RQ_GET_REGION_INFO] = FERRY_WIRE_GET_REGION_INFO,
    [FERRY_RQ_GET_IRQ_INFO] = FERRY_WIRE_GET_IRQ_INFO,
    [FERRY_RQ_SET_IRQS] = FERRY_WIRE_SET_IRQS,
    [FERRY_RQ_REGION_READ] = FERRY_WIRE_REGION_READ,
    [FERRY_RQ_REGION_WRITE] = FERRY_WIRE_REGION_WRITE,
    [FERRY_RQ_DMA_MAP] = FERRY_WIRE_DMA_MAP,
    [FERRY_RQ_DMA_UNMAP] = FERRY_WIRE_DMA_UNMAP,
    [FERRY_RQ_RESET] = FERRY_WIRE_RESET,
    [FERRY_RQ_DATA_READ] = FERRY_WIRE_DATA_READ,
    [FERRY_RQ_DATA_WRITE] = FERRY_WIRE_DATA_WRITE,
    [FERRY_RQ_REGION_IO_FDS] = FERRY_WIRE_GET_REGION_IO_FDS,
};

int ferry_codec_ask(const struct ferry_request *request,
                    const struct ferry_wire_limits *limits,
                    struct ferry_wire_message *message)
{
    const struct ferry_log_report *report = &request->u.log_report;
    int rc;

    if (request->kind == 0 || request->kind >= FERRY_RQ_COUNT) {
        return FERRY_E_ARGUMENT;
    }
    message->id = 0;
    message->command = command_of[request->kind];
    message->reply = 0;
    message->posted = 0;
    message->pad = 0;
    set_data(message, NULL, 0);
    ferry_codec_fds(request, &message->fd_count);
    switch ((enum ferry_request_kind)request->kind) {
    case FERRY_RQ_REGION_READ:
    case FERRY_RQ_REGION_WRITE:
        return ask_region_io(request, limits, message);
    case FERRY_RQ_GET_INFO:
    case FERRY_RQ_GET_REGION_INFO:
    case FERRY_RQ_GET_IRQ_INFO:
    case FERRY_RQ_REGION_IO_FDS:
        ask_info(request, message);
        return FERRY_OK;
    case FERRY_RQ_SET_IRQS:
        return ask_irqs(&request->u.irq_set, message);
    case FERRY_RQ_DMA_MAP:
        ask_map(&request->u.map, message);
        return FERRY_OK;
    case FERRY_RQ_DMA_UNMAP:
        return ask_unmap(&request->u.unmap, limits, message);
    case FERRY_RQ_RESET:
        return FERRY_OK;
    case FERRY_RQ_LOG_REPORT:
        rc =
            check_bitmap(report->length, report->page_size, report->bitmap_bytes, limits);
        return rc == FERRY_OK ? ask_feature(request, message) : rc;
    case FERRY_RQ_PROBE:
    case FERRY_RQ_MIG_FLAGS:
    case FERRY_RQ_GET_STATE:
    case FERRY_RQ_SET_STATE:
    case FERRY_RQ_LOG_START:
    case FERRY_RQ_LOG_STOP:
    case FERRY_RQ_DATA_SIZE:
    case FERRY_RQ_PRECOPY_INFO:
    case FERRY_RQ_DATA_FD:
    case FERRY_RQ_LEAVE_STATE:
        return ask_feature(request, message);
    case FERRY_RQ_DATA_READ:
    case FERRY_RQ_DATA_WRITE:
        return ask_data_io(request, limits, message);
    case FERRY_RQ_LOG_RUNS:
        return ask_runs(request, limits, message);
    case FERRY_RQ_COUNTERS:
        return ask_counters(request, limits, message);
    case FERRY_RQ_IDENTITY:
    case FERRY_RQ_RAW:
    case FERRY_RQ_COUNT:
        break;
    }
    return FERRY_E_ARGUMENT;
}

const int *ferry_codec_fds(const struct ferry_request *request, uint32_t *ret_count)
{
    *ret_count = 0;
    if (request->kind == FERRY_RQ_DMA_MAP && request->u.map.fd >= 0) {
        *ret_count = 1;
        return &request->u.map.fd;
    }
    if (request->kind == FERRY_RQ_SET_IRQS) {
        *ret_count = request->u.irq_set.fd_count;
        return request->u.irq_set.fds;
    }
    return NULL;
}

static int take_region(struct ferry_request *request,
                       const struct ferry_wire_region_info *in, struct ferry_os_fds *fds)
{
    struct ferry_region_info *out = &request->u.region;
    uint32_t i;

    if (in->cut) {
        return FERRY_E_LIMIT;
    }
    out->flags = in->flags;
    out->size = in->size;
    out->offset = in->offset;
    out->type = in->type;
    out->subtype = in->subtype;
    out->area_count = in->area_count;
    for (i = 0; i < in->area_count; i++) {
        out->area[i].off = in->area[i].off;
        out->area[i].size = in->area[i].size;
    }
    out->fd = -1;
    if (fds->count > 0) {
        out->fd = fds->fd[0];
        fds->count--;
        memmove(fds->fd, fds->fd + 1, fds->count * sizeof(fds->fd[0]));
    }
    return FERRY_OK;
}

/* The one descriptor of a reply; -1: none came. */
static int take_fd(struct ferry_os_fds *fds)
{
    int fd = -1;

    if (fds->count > 0) {
        fd = fds->fd[0];
        fds->count--;
        memmove(fds->fd, fds->fd + 1, fds->count * sizeof(fds->fd[0]));
    }
    return fd;
}

static int take_data_fd(struct ferry_data_fd *out, const struct ferry_wire_feature *in,
                        struct ferry_os_fds *fds)
{
    if (fds->count == 0 || in->u.data_fd.session == 0) {
        return FERRY_E_PROTOCOL;
    }
    out->fd = take_fd(fds);
    out->direction = in->u.data_fd.direction;
    out->session = in->u.data_fd.session;
    return FERRY_OK;
}

static void take_feature(struct ferry_request *request,
                         const struct ferry_wire_feature *feature)
{
    if (request->kind == FERRY_RQ_MIG_FLAGS) {
        request->u.mig_flags = feature->u.migration_flags;
    } else if (request->kind == FERRY_RQ_GET_STATE) {
        request->u.state = feature->u.state;
    } else if (request->kind == FERRY_RQ_LOG_START) {
        request->u.log_start.page_size = feature->u.log_start.page_size;
    } else if (request->kind == FERRY_RQ_DATA_SIZE) {
        request->u.data_size = feature->u.data_size;
    } else if (request->kind == FERRY_RQ_PRECOPY_INFO) {
        request->u.precopy.initial_bytes = feature->u.precopy.initial_bytes;
        request->u.precopy.dirty_bytes = feature->u.precopy.dirty_bytes;
    }
}

int ferry_codec_check_runs(const struct ferry_log_runs *runs)
{
    uint64_t end = runs->iova;
    uint32_t i;

    for (i = 0; i < runs->count; i++) {
        const struct ferry_range *run = &runs->run[i];

        if (run->off < end || run->size == 0 || run->off >= runs->next_iova ||
            run->size > runs->next_iova - run->off ||
            !ferry_range_aligned((run->off - runs->iova) | run->size, runs->page_size)) {
            return FERRY_E_PROTOCOL;
        }
        end = run->off + run->size;
    }
    return FERRY_OK;
}

int ferry_codec_check_counters(const struct ferry_counters *counters)
{
    for (uint32_t i = 0; i < counters->count; i++) {
        const struct ferry_counter *counter = &counters->counter[i];
        const size_t bytes = strnlen(counter->name, sizeof(counter->name));

        /* They go to terminals and into JSON as they are. */
        if (bytes == 0 || bytes == sizeof(counter->name) ||
            strspn(counter->name, "abcdefghijklmnopqrstuvwxyz0123456789_") != bytes) {
            return FERRY_E_PROTOCOL;
        }
    }
    return FERRY_OK;
}

int ferry_codec_take(struct ferry_request *request,
                     const struct ferry_wire_message *reply, struct ferry_os_fds *fds,
                     struct ferry_codec_sink *sink)
{
    sink->dst = NULL;
    sink->mode = FERRY_CODEC_DROP;
    switch ((enum ferry_request_kind)request->kind) {
    case FERRY_RQ_REGION_READ:
        sink->dst = request->u.io.data;
        sink->mode = FERRY_CODEC_COPY;
        return FERRY_OK;
    case FERRY_RQ_DATA_READ:
        sink->dst = request->u.data.data;
        sink->mode = FERRY_CODEC_COPY;
        request->u.data.got = reply->u.data_io.size;
        return FERRY_OK;
    case FERRY_RQ_GET_INFO:
        request->u.info.flags = reply->u.info.flags;
        request->u.info.region_count = reply->u.info.region_count;
        request->u.info.irq_count = reply->u.info.irq_count;
        return FERRY_OK;
    case FERRY_RQ_GET_REGION_INFO:
        return take_region(request, &reply->u.region, fds);
    case FERRY_RQ_REGION_IO_FDS:
        return ferry_codec_take_io_fds(&request->u.io_fds, reply, fds);
    case FERRY_RQ_DATA_FD:
        return take_data_fd(&request->u.data_fd, &reply->u.feature, fds);
    case FERRY_RQ_GET_IRQ_INFO:
        request->u.irq.flags = reply->u.irq.flags;
        request->u.irq.count = reply->u.irq.count;
        return FERRY_OK;
    case FERRY_RQ_DMA_UNMAP:
        if (request->u.unmap.flags & FERRY_UNMAP_BITMAP) {
            sink->dst = request->u.unmap.bitmap;
            sink->mode = FERRY_CODEC_OR;
        }
        return FERRY_OK;
    case FERRY_RQ_LOG_REPORT:
        sink->dst = request->u.log_report.bitmap;
        sink->mode = FERRY_CODEC_OR;
        return FERRY_OK;
    case FERRY_RQ_LOG_RUNS:
        request->u.log_runs.next_iova = reply->u.feature.u.log_runs.next_iova;
        request->u.log_runs.count = reply->u.feature.u.log_runs.count;
        sink->dst = (uint8_t *)request->u.log_runs.run;
        sink->mode = FERRY_CODEC_COPY;
        return FERRY_OK;
    case FERRY_RQ_COUNTERS:
        request->u.counters.count = reply->u.feature.u.counters.count;
        sink->dst = (uint8_t *)request->u.counters.counter;
        sink->mode = FERRY_CODEC_COPY;
        return FERRY_OK;
    case FERRY_RQ_MIG_FLAGS:
    case FERRY_RQ_GET_STATE:
    case FERRY_RQ_LOG_START:
    case FERRY_RQ_DATA_SIZE:
    case FERRY_RQ_PRECOPY_INFO:
        take_feature(request, &reply->u.feature);
        return FERRY_OK;
    case FERRY_RQ_SET_IRQS:
    case FERRY_RQ_REGION_WRITE:
    case FERRY_RQ_DMA_MAP:
    case FERRY_RQ_RESET:
    case FERRY_RQ_PROBE:
    case FERRY_RQ_SET_STATE:
    case FERRY_RQ_LOG_STOP:
    case FERRY_RQ_DATA_WRITE:
    case FERRY_RQ_IDENTITY:
    case FERRY_RQ_LEAVE_STATE:
    case FERRY_RQ_RAW:
    case FERRY_RQ_COUNT:
        break;
    }
    return FERRY_OK;
}
