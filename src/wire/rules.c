/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/rules.h"

static const struct ferry_wire_rule table[FERRY_WIRE_RULE_COUNT] = {
    [FERRY_WIRE_RULE_HDR_SIZE] = { "WIRE-HDR-1",
                                   "a message is at least its header of 16 bytes and at "
                                   "most the largest legal one" },
    [FERRY_WIRE_RULE_HDR_TYPE] = { "WIRE-HDR-2", "the type is 0 (command) or 1 (reply)" },
    [FERRY_WIRE_RULE_HDR_FLAGS] = { "WIRE-HDR-3", "a command may set No_reply, a reply "
                                                  "Error, and no other flag is defined" },
    [FERRY_WIRE_RULE_HDR_ERROR] = { "WIRE-HDR-4",
                                    "the error field of a command is reserved: 0" },
    [FERRY_WIRE_RULE_HDR_POSTED] = { "WIRE-HDR-5", "No_reply goes only with commands "
                                                   "whose reply carries nothing" },
    [FERRY_WIRE_RULE_CMD_KNOWN] = { "WIRE-CMD-1", "the command is one of this protocol" },
    [FERRY_WIRE_RULE_CMD_DIRECTION] = { "WIRE-CMD-2",
                                        "DMA_READ and DMA_WRITE come from the server, "
                                        "all other commands from the client" },
    [FERRY_WIRE_RULE_CMD_SIZE] = { "WIRE-CMD-3", "the payload has exactly the size that "
                                                 "its fields say" },
    [FERRY_WIRE_RULE_CMD_FDS] = { "WIRE-CMD-4",
                                  "a message carries as many descriptors as its fields "
                                  "say, and no command others" },
    [FERRY_WIRE_RULE_RPL_ECHO] = { "WIRE-RPL-1",
                                   "a reply repeats what its request asked for" },
    [FERRY_WIRE_RULE_RPL_ARGSZ] = { "WIRE-RPL-2",
                                    "argsz of a reply is its full size, within bounds" },
    [FERRY_WIRE_RULE_VER_JSON] = { "WIRE-VER-1",
                                   "the capabilities are one NUL-terminated string, at "
                                   "most 64 KiB" },
    [FERRY_WIRE_RULE_MAP_ARGSZ] = { "WIRE-MAP-1",
                                    "argsz is the size of the payload, 32" },
    [FERRY_WIRE_RULE_MAP_FLAGS] = { "WIRE-MAP-2", "flags are bit 0 (read) and bit 1 "
                                                  "(write), at least one of them" },
    [FERRY_WIRE_RULE_MAP_RANGE] = { "WIRE-MAP-3",
                                    "the range is not empty and neither IOVA nor file "
                                    "offset overflows with its size" },
    [FERRY_WIRE_RULE_UNMAP_ARGSZ] = { "WIRE-UNMAP-1", "argsz has room for the whole "
                                                      "reply, the bitmap included" },
    [FERRY_WIRE_RULE_UNMAP_FLAGS] = { "WIRE-UNMAP-2",
                                      "flags are bit 0 (bitmap, not posted) or bit 1 "
                                      "(all), not both" },
    [FERRY_WIRE_RULE_UNMAP_RANGE] = { "WIRE-UNMAP-3",
                                      "the range is not empty and does not overflow; "
                                      "with the flag for all it is 0, 0" },
    [FERRY_WIRE_RULE_UNMAP_BITMAP] = { "WIRE-UNMAP-4",
                                       "the page size is a power of two from 4096 and "
                                       "the bitmap has room for the range" },
    [FERRY_WIRE_RULE_INFO_ARGSZ] = { "WIRE-INFO-1",
                                     "argsz has room for the fixed part of the reply" },
    [FERRY_WIRE_RULE_REGION_CAPS] = { "WIRE-REGION-1",
                                      "capabilities lie inside the payload, in ascending "
                                      "order, each kind once" },
    [FERRY_WIRE_RULE_REGION_AREAS] = { "WIRE-REGION-2",
                                       "mmappable areas lie inside the region, and the "
                                       "region inside its file" },
    [FERRY_WIRE_RULE_IOFD_LAYOUT] = { "WIRE-IOFD-1",
                                      "count entries of 40 bytes each, or of 48 each, "
                                      "fill the payload and argsz" },
    [FERRY_WIRE_RULE_IOFD_ENTRY] = { "WIRE-IOFD-2",
                                     "an entry does not overflow and names a descriptor "
                                     "that came along" },
    [FERRY_WIRE_RULE_IRQ_ARGSZ] = { "WIRE-IRQ-1", "argsz is the size of the payload" },
    [FERRY_WIRE_RULE_IRQ_FLAGS] = { "WIRE-IRQ-2", "flags name exactly one kind of data "
                                                  "and exactly one action" },
    [FERRY_WIRE_RULE_IRQ_RANGE] = { "WIRE-IRQ-3", "start + count is within 2048 vectors; "
                                                  "count 0 only with NONE and TRIGGER" },
    [FERRY_WIRE_RULE_IRQ_DATA] = { "WIRE-IRQ-4",
                                   "BOOL has a byte for each vector, EVENTFD a "
                                   "descriptor for each or for none" },
    [FERRY_WIRE_RULE_IO_COUNT] = { "WIRE-IO-1",
                                   "count is at most the agreed max_data_xfer_size and "
                                   "is the size of the data" },
    [FERRY_WIRE_RULE_IO_RANGE] = { "WIRE-IO-2", "offset + count does not overflow" },
    [FERRY_WIRE_RULE_MULTI_COUNT] = { "WIRE-MULTI-1",
                                      "at most 256 writes, each of at most 8 bytes" },
    [FERRY_WIRE_RULE_DMA_COUNT] = { "WIRE-DMA-1",
                                    "count is at most the agreed max_data_xfer_size and "
                                    "is the size of the data" },
    [FERRY_WIRE_RULE_DMA_RANGE] = { "WIRE-DMA-2", "IOVA + count does not overflow" },
    [FERRY_WIRE_RULE_FEAT_ARGSZ] = { "WIRE-FEAT-1",
                                     "argsz has room for the whole reply" },
    [FERRY_WIRE_RULE_FEAT_FLAGS] = { "WIRE-FEAT-2",
                                     "flags are a feature number and GET, SET or PROBE; "
                                     "GET and SET together only to "
                                     "probe" },
    [FERRY_WIRE_RULE_FEAT_KNOWN] = { "WIRE-FEAT-3",
                                     "the feature is one of this protocol" },
    [FERRY_WIRE_RULE_FEAT_OPERATION] = { "WIRE-FEAT-4",
                                         "the feature has this operation" },
    [FERRY_WIRE_RULE_FEAT_SIZE] = { "WIRE-FEAT-5",
                                    "the data has the size of the feature" },
    [FERRY_WIRE_RULE_LOG_PAGE] = { "WIRE-LOG-1",
                                   "the page size is a power of two from 4096" },
    [FERRY_WIRE_RULE_LOG_RANGES] = { "WIRE-LOG-2",
                                     "at most 256 ranges, none empty or overflowing" },
    [FERRY_WIRE_RULE_LOG_REPORT] = { "WIRE-LOG-3",
                                     "the reported range is not empty, does not "
                                     "overflow, and its bitmap is within the "
                                     "limit" },
    [FERRY_WIRE_RULE_DATA_SIZE] = { "WIRE-DATA-1",
                                    "size is at most the agreed max_data_xfer_size, at "
                                    "least 1 when asked for, and is "
                                    "the size of the data" },
    [FERRY_WIRE_RULE_DATA_ARGSZ] = { "WIRE-DATA-2",
                                     "argsz has room for the data asked for" },
};

const struct ferry_wire_rule *ferry_wire_rule_get(size_t i)
{
    return i < FERRY_WIRE_RULE_COUNT ? &table[i] : NULL;
}
