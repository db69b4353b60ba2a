/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_V1_V1_H
#define FERRY_CHECK_V1_V1_H

#include "check/check.h"
#include "core/v1/region.h"

/*
 * The migration region of uAPI v1 as it is, beside the requests of v2 that a backend
 * makes of it: the checks of this folder write device_state and move data by themselves.
 * What they leave is cleared by the engine's reset, as always.
 */

/* A device whose data are more transactions does not end. */
#define V1_PIECES_MAX (1u << 20)
/* In pre-copy a device that works may have more for ever: so many are enough. */
#define V1_PRECOPY_PIECES 256u

struct v1_region {
    uint32_t index;
    uint64_t size;
    uint32_t area_count; /* parts of it that can be mapped */
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX];
};

/* Is that place in a part that can be mapped? */
int v1_is_mapped(const struct v1_region *region, uint64_t off);

/* The device's region. BROKEN when it is not there any more. Return: 1 when found. */
int v1_find(struct check_run *run, struct v1_region *ret_region);
/* One register. Return: the status. */
int v1_read(struct check_run *run, const struct v1_region *region, uint32_t reg,
            uint64_t *ret_value);
int v1_write(struct check_run *run, const struct v1_region *region, uint32_t reg,
             uint64_t value);
/* The three bits of device_state. FAILED when it cannot be read. Return: 1 when read. */
int v1_bits(struct check_run *run, const struct v1_region *region, uint32_t *ret_bits);
/* Reads, changes the three bits, writes. Return: the status of the write. */
int v1_set(struct check_run *run, const struct v1_region *region, uint32_t bits);
/* From RUNNING to the bits, by edges that the text draws. BROKEN if not. Return: 1. */
int v1_go(struct check_run *run, const struct v1_region *region, uint32_t bits);
/* "011" */
const char *v1_text(uint32_t bits);

/* A session's data, transaction by transaction. */
struct v1_pieces {
    struct check_stream stream;
    uint64_t *size; /* malloc */
    uint32_t count, cap;
};
void v1_pieces_free(struct v1_pieces *pieces);
/*
 * One iteration: pending_bytes, data_offset, data_size, the data. What the region says
 * must make sense, else the case has FAILED. Return: 1 for a piece, 0 when nothing is
 * pending, -1 when the case has its verdict.
 */
int v1_take(struct check_run *run, const struct v1_region *region,
            struct v1_pieces *pieces);
/* All that is pending. Return: 1, or 0 when the case has its verdict. */
int v1_take_all(struct check_run *run, const struct v1_region *region,
                struct v1_pieces *pieces);
/* In pre-copy: until nothing is pending, or enough was taken. Return: the same. */
int v1_take_precopy(struct check_run *run, const struct v1_region *region,
                    struct v1_pieces *pieces);
/* From RUNNING into stop-and-copy, all of the data. Return: as v1_take_all(). */
int v1_save(struct check_run *run, const struct v1_region *region,
            struct v1_pieces *pieces);
/* A transaction of the resuming side. Return: the status that refused it. */
int v1_give(struct check_run *run, const struct v1_region *region, const uint8_t *data,
            uint64_t bytes);

#endif
