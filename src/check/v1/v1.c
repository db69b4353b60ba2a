/* SPDX-License-Identifier: BSD-3-Clause */
#include "check/v1/v1.h"

#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "base/reader.h"
#include "base/writer.h"
#include "os/memory.h"

#define FIRST_SPECIAL 9u

const char *v1_text(uint32_t bits)
{
    static const char *const text[] = { "000", "001", "010", "011",
                                        "100", "101", "110", "111" };

    return text[bits & FERRY_V1_MASK];
}

static void take_areas(const struct ferry_region_info *info, struct v1_region *ret_region)
{
    ret_region->area_count = 0;
    if (!(info->flags & FERRY_REGION_MMAP)) {
        return;
    }
    if (info->area_count == 0) {
        ret_region->area_count = 1;
        ret_region->area[0] = (struct ferry_range){ .off = 0, .size = info->size };
        return;
    }
    ret_region->area_count = info->area_count < FERRY_SPARSE_AREAS_MAX
                                 ? info->area_count
                                 : FERRY_SPARSE_AREAS_MAX;
    memcpy(ret_region->area, info->area,
           ret_region->area_count * sizeof(ret_region->area[0]));
}

int v1_find(struct check_run *run, struct v1_region *ret_region)
{
    for (uint32_t i = FIRST_SPECIAL; i < run->at->region_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };

        request.u.region.index = i;
        request.u.region.fd = FERRY_NO_REGION_FD;
        if (check_call(run, &request) != FERRY_OK) {
            continue;
        }
        ferry_os_close(&request.u.region.fd);
        if (request.u.region.type == FERRY_V1_REGION_TYPE &&
            request.u.region.subtype == FERRY_V1_REGION_SUBTYPE) {
            ret_region->index = i;
            ret_region->size = request.u.region.size;
            take_areas(&request.u.region, ret_region);
            return 1;
        }
    }
    return check_broken(run, "it has no migration region");
}

int v1_is_mapped(const struct v1_region *region, uint64_t off)
{
    for (uint32_t i = 0; i < region->area_count; i++) {
        if (ferry_range_within(off, 1, region->area[i].off, region->area[i].size)) {
            return 1;
        }
    }
    return 0;
}

int v1_read(struct check_run *run, const struct v1_region *region, uint32_t reg,
            uint64_t *ret_value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);
    uint8_t bytes[8] = { 0 };
    const int rc = check_region_read(run, region->index, info->off, bytes, info->bytes);

    *ret_value = ferry_load_le64(bytes);
    return rc;
}

int v1_write(struct check_run *run, const struct v1_region *region, uint32_t reg,
             uint64_t value)
{
    const struct ferry_v1_register_info *info = ferry_v1_register(reg);
    uint8_t bytes[8];

    ferry_store_le64(bytes, value);
    return check_region_write(run, region->index, info->off, bytes, info->bytes);
}

int v1_bits(struct check_run *run, const struct v1_region *region, uint32_t *ret_bits)
{
    uint64_t value;
    const int rc = v1_read(run, region, FERRY_V1_STATE, &value);

    *ret_bits = (uint32_t)value & FERRY_V1_MASK;
    return check_ok(run, rc, "a read of device_state");
}

int v1_set(struct check_run *run, const struct v1_region *region, uint32_t bits)
{
    uint64_t value;
    const int rc = v1_read(run, region, FERRY_V1_STATE, &value);

    return rc != FERRY_OK ? rc
                          : v1_write(run, region, FERRY_V1_STATE,
                                     (value & ~(uint64_t)FERRY_V1_MASK) | bits);
}

int v1_go(struct check_run *run, const struct v1_region *region, uint32_t bits)
{
    char text[160];
    uint64_t value = 0;
    int rc = v1_set(run, region, bits);

    if (rc == FERRY_OK) {
        rc = v1_read(run, region, FERRY_V1_STATE, &value);
    }
    if (rc != FERRY_OK) {
        return check_broken(run, "it does not go from 001 to %s: %s", v1_text(bits),
                            check_status_text(run, rc, text));
    }
    return (value & FERRY_V1_MASK) == bits
               ? 1
               : check_broken(run, "it is in %s instead of %s", v1_text((uint32_t)value),
                              v1_text(bits));
}

void v1_pieces_free(struct v1_pieces *pieces)
{
    check_stream_free(&pieces->stream);
    free(pieces->size);
    memset(pieces, 0, sizeof(*pieces));
}

static int room(struct check_run *run, struct v1_pieces *pieces, uint64_t bytes)
{
    struct check_stream *stream = &pieces->stream;

    if (pieces->count == pieces->cap) {
        const uint32_t cap = pieces->cap ? 2 * pieces->cap : 64;
        uint64_t *size = realloc(pieces->size, cap * sizeof(*size));

        if (!size) {
            return check_broken(run, "no memory");
        }
        pieces->size = size;
        pieces->cap = cap;
    }
    if (stream->bytes + bytes > stream->cap) {
        const uint64_t cap = 2 * (stream->bytes + bytes);
        uint8_t *data = bytes <= CHECK_STREAM_MAX ? realloc(stream->data, cap) : NULL;

        if (!data) {
            return check_broken(run, "no memory for its data");
        }
        stream->data = data;
        stream->cap = cap;
    }
    return 1;
}

/* Reads [off, off + bytes) of the section, in requests that the backend takes. */
static int read_section(struct check_run *run, const struct v1_region *region,
                        uint64_t off, uint8_t *ret_data, uint64_t bytes)
{
    const uint32_t most = run->at->backend->ops->max_data(run->at->backend);
    int rc = FERRY_OK;

    for (uint64_t done = 0; done < bytes && rc == FERRY_OK;) {
        const uint64_t count = bytes - done < most ? bytes - done : most;

        rc = check_region_read(run, region->index, off + done, ret_data + done,
                               (size_t)count);
        done += count;
    }
    return rc;
}

static int take_data(struct check_run *run, const struct v1_region *region,
                     struct v1_pieces *pieces, uint64_t off, uint64_t size)
{
    if (!check_that(run, size != 0, "a data_size while pending_bytes is not 0", "0") ||
        !check_that(run, ferry_v1_piece_inside(off, size, region->size),
                    "data behind the registers and inside the region",
                    "data_offset 0x%llx, data_size 0x%llx, in a region of 0x%llx",
                    (unsigned long long)off, (unsigned long long)size,
                    (unsigned long long)region->size) ||
        !room(run, pieces, size) ||
        !check_ok(run,
                  read_section(run, region, off,
                               pieces->stream.data + pieces->stream.bytes, size),
                  "a read of the data section")) {
        return 0;
    }
    pieces->stream.bytes += size;
    pieces->size[pieces->count++] = size;
    return 1;
}

int v1_take(struct check_run *run, const struct v1_region *region,
            struct v1_pieces *pieces)
{
    uint64_t pending, off, size;

    if (!check_ok(run, v1_read(run, region, FERRY_V1_PENDING, &pending),
                  "a read of pending_bytes")) {
        return -1;
    }
    if (pending == 0) {
        return 0;
    }
    return check_ok(run, v1_read(run, region, FERRY_V1_OFFSET, &off),
                    "a read of data_offset") &&
                   check_ok(run, v1_read(run, region, FERRY_V1_SIZE, &size),
                            "a read of data_size") &&
                   take_data(run, region, pieces, off, size)
               ? 1
               : -1;
}

int v1_take_all(struct check_run *run, const struct v1_region *region,
                struct v1_pieces *pieces)
{
    for (uint32_t i = 0; i < V1_PIECES_MAX; i++) {
        const int took = v1_take(run, region, pieces);

        if (took <= 0) {
            return took == 0;
        }
        if (pieces->stream.bytes > CHECK_STREAM_MAX) {
            break;
        }
    }
    return check_that(run, 0, "an end of the data", "none after %u pieces of %llu bytes",
                      pieces->count, (unsigned long long)pieces->stream.bytes);
}

int v1_take_precopy(struct check_run *run, const struct v1_region *region,
                    struct v1_pieces *pieces)
{
    int took = 1;

    for (uint32_t i = 0; i < V1_PRECOPY_PIECES && took > 0; i++) {
        took = v1_take(run, region, pieces);
    }
    return took >= 0;
}

int v1_save(struct check_run *run, const struct v1_region *region,
            struct v1_pieces *pieces)
{
    return v1_go(run, region, FERRY_V1_SAVING) && v1_take_all(run, region, pieces);
}

int v1_give(struct check_run *run, const struct v1_region *region, const uint8_t *data,
            uint64_t bytes)
{
    const uint32_t most = run->at->backend->ops->max_data(run->at->backend);
    uint64_t off;
    int rc = v1_read(run, region, FERRY_V1_OFFSET, &off);

    if (rc == FERRY_OK && !ferry_v1_piece_inside(off, bytes, region->size)) {
        return FERRY_E_RANGE;
    }
    for (uint64_t done = 0; done < bytes && rc == FERRY_OK;) {
        const uint64_t count = bytes - done < most ? bytes - done : most;

        rc = check_region_write(run, region->index, off + done, data + done,
                                (size_t)count);
        done += count;
    }
    return rc == FERRY_OK ? v1_write(run, region, FERRY_V1_SIZE, bytes) : rc;
}
