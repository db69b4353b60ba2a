/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_STREAM_TAGS_H
#define FERRY_CORE_STREAM_TAGS_H

#include "ferry/stream.h"

/* Whether the header names a device. */
enum ferry_tag_device {
    FERRY_TAG_NO_DEVICE = 0,
    FERRY_TAG_DEVICE = 1,
    FERRY_TAG_EITHER = 2 /* REFUSE and ABORT: the device that is the reason, if one is */
};

/* What every record with a tag has in common. */
struct ferry_tag {
    const char *name;
    uint32_t min_bytes; /* fixed part of the payload */
    uint32_t max_bytes; /* equal to min_bytes: the payload has one size only */
    uint8_t device;     /* enum ferry_tag_device */
    uint8_t flags;      /* FERRY_RECORD_* that it may have */
    uint8_t pad[6];
};

/* The row of a tag; NULL when there is no such tag. Thread: any. */
const struct ferry_tag *ferry_tag_get(uint32_t tag);

/* Seed of a record's checksum: all of the header that cannot be checked otherwise. */
uint64_t ferry_record_seed(const struct ferry_record *record);

#endif
