/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/stream/tags.h"

#include "core/stream/payload.h"

#define NONE FERRY_TAG_NO_DEVICE
#define DEV FERRY_TAG_DEVICE
#define ANY FERRY_TAG_EITHER

/* Longest payloads of the records that end with an array. */
#define HELLO_DEVICE_MAX (144u + FERRY_KEYS_MAX * 48u)
#define ACCEPT_MAX (16u + FERRY_SESSION_DEVICES_MAX * 16u)
#define RUNNING_MAX (24u + FERRY_SESSION_DEVICES_MAX * 16u)
#define IRQS_MAX (8u + FERRY_STREAM_VECTORS_MAX * 2u)
#define DATA_MAX FERRY_RECORD_DATA_MAX
#define PREFIX FERRY_STREAM_PREFIX_BYTES

_Static_assert(HELLO_DEVICE_MAX <= FERRY_RECORD_CONTROL_MAX, "a control record");
_Static_assert(IRQS_MAX <= FERRY_RECORD_CONTROL_MAX, "a control record");
_Static_assert(3 * 8 + FERRY_STREAM_CONFIG_MAX + FERRY_STREAM_VECTORS_MAX * 16u + 4 <=
                   FERRY_RECORD_CONTROL_MAX,
               "the largest DEVICE_CONFIG is a control record");

/* {name, least payload, longest payload, device, flags} */
static const struct ferry_tag tags[FERRY_REC_TAG_END] = {
    [FERRY_REC_PREAMBLE] = { "PREAMBLE", 32, 32, NONE, 0, { 0 } },
    [FERRY_REC_HELLO_DEVICE] = { "HELLO_DEVICE", 144, HELLO_DEVICE_MAX, DEV, 0, { 0 } },
    [FERRY_REC_HELLO_MEMORY] = { "HELLO_MEMORY", 24, 24, NONE, 0, { 0 } },
    [FERRY_REC_HELLO] = { "HELLO", 48, 48, NONE, 0, { 0 } },
    [FERRY_REC_ACCEPT] = { "ACCEPT", 16, ACCEPT_MAX, NONE, 0, { 0 } },
    [FERRY_REC_REFUSE] = { "REFUSE", 288, 288, ANY, 0, { 0 } },
    [FERRY_REC_MEMORY_PAGES] = { "MEMORY_PAGES",
                                 PREFIX + FERRY_STREAM_PAGE_BYTES,
                                 PREFIX + DATA_MAX,
                                 NONE,
                                 0,
                                 { 0 } },
    [FERRY_REC_MEMORY_ZERO] = { "MEMORY_ZERO", 24, 24, NONE, 0, { 0 } },
    [FERRY_REC_MEMORY_END] = { "MEMORY_END", 16, 16, NONE, 0, { 0 } },
    [FERRY_REC_DEVICE_DATA] = { "DEVICE_DATA",
                                1,
                                DATA_MAX,
                                DEV,
                                FERRY_RECORD_CHUNK,
                                { 0 } },
    [FERRY_REC_DEVICE_INITIAL] = { "DEVICE_INITIAL", 0, 0, DEV, 0, { 0 } },
    [FERRY_REC_DEVICE_END] = { "DEVICE_END", 24, 24, DEV, 0, { 0 } },
    [FERRY_REC_DEVICE_CONFIG] = { "DEVICE_CONFIG",
                                  0,
                                  FERRY_RECORD_CONTROL_MAX,
                                  DEV,
                                  0,
                                  { 0 } },
    [FERRY_REC_DEVICE_IRQS] = { "DEVICE_IRQS", 8, IRQS_MAX, DEV, 0, { 0 } },
    [FERRY_REC_VMM_STATE] = { "VMM_STATE", PREFIX, PREFIX + DATA_MAX, NONE, 0, { 0 } },
    [FERRY_REC_ALL_SENT] = { "ALL_SENT", 0, 0, NONE, 0, { 0 } },
    [FERRY_REC_INITIAL_DONE] = { "INITIAL_DONE", 0, 0, DEV, 0, { 0 } },
    [FERRY_REC_PREPARED] = { "PREPARED", 24, 24, NONE, 0, { 0 } },
    [FERRY_REC_COMMIT] = { "COMMIT", 24, 24, NONE, 0, { 0 } },
    [FERRY_REC_RUNNING] = { "RUNNING", 24, RUNNING_MAX, NONE, 0, { 0 } },
    [FERRY_REC_RETURN] = { "RETURN", 24, 24, NONE, 0, { 0 } },
    [FERRY_REC_ABORT] = { "ABORT", 288, 288, ANY, 0, { 0 } },
    [FERRY_REC_PACKED] = { "PACKED",
                           FERRY_STREAM_PACKED_BYTES + 1,
                           FERRY_STREAM_PACKED_BYTES + FERRY_RECORD_PLAIN_MAX,
                           NONE,
                           0,
                           { 0 } },
    [FERRY_REC_FILE_END] = { "FILE_END", 32, 32, NONE, 0, { 0 } },
    [FERRY_REC_CONNECTIONS] = { "CONNECTIONS",
                                24,
                                24,
                                NONE,
                                FERRY_RECORD_OPTIONAL,
                                { 0 } },
    [FERRY_REC_ATTACH] = { "ATTACH", 40, 40, NONE, 0, { 0 } },
    [FERRY_REC_BARRIER] = { "BARRIER", 8, 8, NONE, 0, { 0 } },
    [FERRY_REC_HELLO_V1] = { "HELLO_V1", 8, 8, DEV, FERRY_RECORD_OPTIONAL, { 0 } },
};

const struct ferry_tag *ferry_tag_get(uint32_t tag)
{
    return tag > 0 && tag < FERRY_REC_TAG_END ? &tags[tag] : NULL;
}

const char *ferry_record_name(uint32_t tag)
{
    const struct ferry_tag *row = ferry_tag_get(tag);

    return row ? row->name : "?";
}

uint32_t ferry_record_limit(uint32_t tag)
{
    const struct ferry_tag *row = ferry_tag_get(tag);

    return row ? row->max_bytes : FERRY_RECORD_CONTROL_MAX;
}

uint16_t ferry_record_flags(uint32_t tag)
{
    const struct ferry_tag *row = ferry_tag_get(tag);

    return row ? row->flags & FERRY_RECORD_OPTIONAL : 0;
}
