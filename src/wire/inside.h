/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_WIRE_INSIDE_H
#define FERRY_WIRE_INSIDE_H

#include "base/reader.h"
#include "base/writer.h"
#include "wire/message.h"
#include "wire/rules.h"

/* Shared by the files of this folder only. */

/* A message that is being decoded (or, without header and body, checked before encoding).
 */
struct ferry_wire_in {
    const struct ferry_wire_header *header;
    const struct ferry_wire_limits *limits;
    const struct ferry_wire_message *asked; /* replies; else NULL */
    struct ferry_reader reader;             /* what is there of the payload */
    uint32_t payload;                       /* bytes of the whole payload */
    uint32_t complete;                      /* 1: all of it is there */
    struct ferry_error *reterr;
};

/*
 * Reports a broken rule. off: of the field, from the header's first byte.
 * Return: code.
 */
int ferry_wire_fail(const struct ferry_wire_in *in, int code, uint32_t rule, uint32_t off,
                    const char *field, uint64_t value);

/*
 * Takes everything behind the fixed part as the message's data, which must have exactly
 * `bytes` bytes. fixed: bytes of payload before it.
 */
int ferry_wire_take_data(struct ferry_wire_in *in, uint32_t fixed, uint64_t bytes,
                         struct ferry_wire_message *message);

/* Offset in the message of a payload byte. */
#define FERRY_WIRE_AT(payload_off) (FERRY_WIRE_HEADER_BYTES + (payload_off))

/*
 * One kind of message. parse_*: reads the payload and checks all of it. check: checks a
 * request's fields, for both directions. put_*: writes the fixed part of the payload
 * and says how many bytes of data follow (FERRY_E_ARGUMENT: the message is wrong).
 */
struct ferry_wire_codec {
    int (*parse_request)(struct ferry_wire_in *in, struct ferry_wire_message *message);
    int (*parse_reply)(struct ferry_wire_in *in, struct ferry_wire_message *message);
    int (*check)(const struct ferry_wire_in *in,
                 const struct ferry_wire_message *message);
    int (*put_request)(struct ferry_writer *out, const struct ferry_wire_message *message,
                       uint64_t *ret_data);
    int (*put_reply)(struct ferry_writer *out, const struct ferry_wire_message *message,
                     uint64_t *ret_data);
};

/* For messages without payload. */
int ferry_wire_parse_nothing(struct ferry_wire_in *in,
                             struct ferry_wire_message *message);
int ferry_wire_put_nothing(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data);

extern const struct ferry_wire_codec ferry_wire_codec_version;
extern const struct ferry_wire_codec ferry_wire_codec_map;
extern const struct ferry_wire_codec ferry_wire_codec_unmap;
extern const struct ferry_wire_codec ferry_wire_codec_dma;
extern const struct ferry_wire_codec ferry_wire_codec_info;
extern const struct ferry_wire_codec ferry_wire_codec_region_info;
extern const struct ferry_wire_codec ferry_wire_codec_irq_info;
extern const struct ferry_wire_codec ferry_wire_codec_irq_set;
extern const struct ferry_wire_codec ferry_wire_codec_region_io;
extern const struct ferry_wire_codec ferry_wire_codec_feature;
extern const struct ferry_wire_codec ferry_wire_codec_data_io;
extern const struct ferry_wire_codec ferry_wire_codec_reset;
extern const struct ferry_wire_codec ferry_wire_codec_io_fds;
extern const struct ferry_wire_codec ferry_wire_codec_multi;

#endif
