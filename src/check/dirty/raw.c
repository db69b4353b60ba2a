/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "base/writer.h"
#include "check/dirty/dirty.h"
#include "wire/message.h"

#define HEAD_BYTES 8u
#define START_BYTES 16u
#define RANGE_BYTES 16u
#define REPORT_BYTES 24u
#define GET (1u << 16)
#define SET (1u << 17)
#define RANGES_MAX 512u
#define REPORT_MAX (1u << 20) /* of bitmap; what is longer must have been refused */

static int over_wire(const struct check_run *run)
{
    return run->at->backend &&
           strncmp(run->at->backend->ops->scheme, "vfio-user", 9) == 0;
}

static int send_raw(struct check_run *run, const uint8_t *payload, uint32_t bytes,
                    uint8_t *reply, uint32_t cap)
{
    struct ferry_request request = { .kind = FERRY_RQ_RAW };

    memset(reply, 0, cap);
    request.u.raw.command = FERRY_WIRE_FEATURE;
    request.u.raw.bytes = bytes;
    request.u.raw.payload = payload;
    request.u.raw.reply = reply;
    request.u.raw.cap = cap;
    return check_call(run, &request);
}

int dirty_raw_start(struct check_run *run, uint64_t page_size,
                    const struct ferry_range *range, uint32_t count,
                    uint64_t *ret_page_size)
{
    uint8_t payload[HEAD_BYTES + START_BYTES + RANGES_MAX * RANGE_BYTES];
    const uint32_t bytes = HEAD_BYTES + START_BYTES + count * RANGE_BYTES;
    uint8_t reply[HEAD_BYTES + START_BYTES];
    int rc;

    if (!over_wire(run) || count > RANGES_MAX) {
        return check_log_start(run, page_size, range, count, ret_page_size);
    }
    ferry_store_le32(payload, bytes);
    ferry_store_le32(payload + 4, SET | FERRY_WIRE_FEATURE_LOG_START);
    ferry_store_le64(payload + 8, page_size);
    ferry_store_le32(payload + 16, count);
    ferry_store_le32(payload + 20, 0);
    for (uint32_t i = 0; i < count; i++) {
        ferry_store_le64(payload + 24 + (size_t)i * RANGE_BYTES, range[i].off);
        ferry_store_le64(payload + 32 + (size_t)i * RANGE_BYTES, range[i].size);
    }
    rc = send_raw(run, payload, bytes, reply, sizeof(reply));
    *ret_page_size = rc == FERRY_OK ? ferry_load_le64(reply + HEAD_BYTES) : 0;
    return rc;
}

/* The bitmap for it in this process: never smaller than what could be written. */
static int local_report(struct check_run *run, uint64_t iova, uint64_t length,
                        uint64_t page_size)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };
    uint64_t *bits = calloc(1, REPORT_MAX);
    int rc;

    if (!bits) {
        return FERRY_E_MEMORY;
    }
    request.u.log_report.iova = iova;
    request.u.log_report.length = length;
    request.u.log_report.page_size = page_size;
    request.u.log_report.bitmap = bits;
    request.u.log_report.bitmap_bytes = REPORT_MAX;
    rc = check_call(run, &request);
    free(bits);
    return rc;
}

int dirty_raw_report(struct check_run *run, uint64_t iova, uint64_t length,
                     uint64_t page_size)
{
    uint8_t payload[HEAD_BYTES + REPORT_BYTES];
    uint8_t reply[HEAD_BYTES + REPORT_BYTES];

    if (!over_wire(run)) {
        return local_report(run, iova, length, page_size);
    }
    ferry_store_le32(payload, HEAD_BYTES + REPORT_BYTES + REPORT_MAX);
    ferry_store_le32(payload + 4, GET | FERRY_WIRE_FEATURE_LOG_REPORT);
    ferry_store_le64(payload + 8, iova);
    ferry_store_le64(payload + 16, length);
    ferry_store_le64(payload + 24, page_size);
    return send_raw(run, payload, sizeof(payload), reply, sizeof(reply));
}
