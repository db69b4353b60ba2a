/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/check.h"
#include "os/clock.h"
#include "wire/status.h"

#define REPORT_PAGE 4096u

int check_call(struct check_run *run, struct ferry_request *request)
{
    struct check_device *device = run->at;
    int rc;

    memset(&device->error, 0, sizeof(device->error));
    if (!device->backend) {
        return request->status = FERRY_E_CLOSED;
    }
    if (run->case_ends_ns != 0 && ferry_os_now_ns() > run->case_ends_ns) {
        /* Answers that come in time, and to no end. */
        run->case_is_over = 1;
        return request->status = FERRY_E_TIMEOUT;
    }
    request->reterr = &device->error;
    rc = device->backend->ops->call(device->backend, request);
    request->reterr = NULL;
    return rc;
}

int check_get_state(struct check_run *run, uint32_t *ret_state)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };
    int rc = check_call(run, &request);

    *ret_state = rc == FERRY_OK ? request.u.state : FERRY_STATE_COUNT;
    return rc;
}

int check_set_state(struct check_run *run, uint32_t state)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = state };

    return check_call(run, &request);
}

int check_read(struct check_run *run, void *ret_data, uint64_t bytes, uint64_t *ret_got)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    int rc;

    request.u.data.data = ret_data;
    request.u.data.size = bytes;
    rc = check_call(run, &request);
    *ret_got = rc == FERRY_OK ? request.u.data.got : 0;
    return rc;
}

int check_write(struct check_run *run, const void *data, uint64_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    /* The pointer is not const, but a write does not change what it points to. */
    memcpy(&request.u.data.data, &data, sizeof(data));
    request.u.data.size = bytes;
    return check_call(run, &request);
}

int check_data_size(struct check_run *run, uint64_t *ret_bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE };
    int rc = check_call(run, &request);

    *ret_bytes = rc == FERRY_OK ? request.u.data_size : 0;
    return rc;
}

int check_precopy_info(struct check_run *run, struct ferry_precopy_info *ret_info)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };
    int rc = check_call(run, &request);

    *ret_info = request.u.precopy;
    return rc;
}

int check_reset(struct check_run *run)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    if (run->at == &run->device) {
        check_undrive(run);
    }
    return check_call(run, &request);
}

static int region_io(struct check_run *run, uint32_t kind, uint32_t region, uint64_t off,
                     void *data, size_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io.index = region;
    request.u.io.off = off;
    request.u.io.count = (uint32_t)count;
    request.u.io.data = data;
    return check_call(run, &request);
}

int check_region_read(struct check_run *run, uint32_t region, uint64_t off,
                      void *ret_data, size_t count)
{
    return region_io(run, FERRY_RQ_REGION_READ, region, off, ret_data, count);
}

int check_region_write(struct check_run *run, uint32_t region, uint64_t off,
                       const void *data, size_t count)
{
    void *source;

    memcpy(&source, &data, sizeof(data)); /* a write only reads it */
    return region_io(run, FERRY_RQ_REGION_WRITE, region, off, source, count);
}

int check_log_start(struct check_run *run, uint64_t page_size,
                    const struct ferry_range *range, uint32_t count,
                    uint64_t *ret_page_size)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START };
    int rc;

    request.u.log_start.page_size = page_size;
    request.u.log_start.range = range;
    request.u.log_start.range_count = count;
    rc = check_call(run, &request);
    if (ret_page_size) {
        *ret_page_size = rc == FERRY_OK ? request.u.log_start.page_size : 0;
    }
    return rc;
}

int check_log_stop(struct check_run *run)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    return check_call(run, &request);
}

int check_log_report(struct check_run *run, uint64_t iova, uint64_t length,
                     uint64_t page_size, uint64_t *bitmap)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };

    request.u.log_report.iova = iova;
    request.u.log_report.length = length;
    request.u.log_report.page_size = page_size;
    request.u.log_report.bitmap = bitmap;
    if (page_size != 0) {
        request.u.log_report.bitmap_bytes = (length / page_size + 63) / 64 * 8;
    }
    return check_call(run, &request);
}

int check_reports_always(struct check_run *run)
{
    uint64_t bits[1] = { 0 };

    if (run->at->reports_always < 0) {
        run->at->reports_always = check_log_report(run, CHECK_SCRATCH_IOVA, REPORT_PAGE,
                                                   REPORT_PAGE, bits) == FERRY_OK;
    }
    return run->at->reports_always;
}

int check_map(struct check_run *run, uint64_t iova, uint64_t bytes, int fd,
              uint64_t offset)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP };

    request.u.map.iova = iova;
    request.u.map.size = bytes;
    request.u.map.fd = fd;
    request.u.map.offset = offset;
    request.u.map.flags = FERRY_DMA_READ | FERRY_DMA_WRITE;
    if (fd == run->at->memory.fd) { /* the kernel maps addresses of this process */
        request.u.map.address = run->at->memory.address + offset;
    }
    return check_call(run, &request);
}

int check_unmap(struct check_run *run, uint64_t iova, uint64_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    request.u.unmap.iova = iova;
    request.u.unmap.size = bytes;
    return check_call(run, &request);
}

const char *check_status_text(const struct check_run *run, int status, char ret_text[160])
{
    const char *text = run->at->error.text;

    if (status >= 0) {
        return "FERRY_OK";
    }
    snprintf(ret_text, 160, "%s (errno %u): %.110s", ferry_status_name(status),
             ferry_wire_errno_from_status(status),
             text[0] != '\0' ? text : ferry_status_text(status));
    return ret_text;
}
