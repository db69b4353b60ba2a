/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_FILE_CHECK_H
#define FERRY_HOST_FILE_CHECK_H

#include "core/stream/order.h"
#include "host/file/reader.h"

/* Holds every record of a one-way stream to the rules, as a target does, but keeps
 * nothing of the data. Plain data, made by calloc(). Thread: not thread safe. */
struct ferry_file_check {
    struct ferry_stream_order order;
    struct ferry_stream_preamble preamble;
    struct ferry_stream_hello hello;
    struct ferry_stream_hello_device device[FERRY_SESSION_DEVICES_MAX];
    struct ferry_stream_hello_memory memory[FERRY_STREAM_MEMORIES_MAX];
    uint64_t device_bytes[FERRY_SESSION_DEVICES_MAX];
    struct ferry_stream_hash hash[FERRY_SESSION_DEVICES_MAX];
};

/* side: enum ferry_stream_side, who wrote it. */
void ferry_file_check_init(struct ferry_file_check *check, uint32_t side);
/* Return: FERRY_OK or the code of the rule that is broken. */
int ferry_file_check_record(struct ferry_file_check *check,
                            const struct ferry_file_record *record,
                            struct ferry_error *reterr);
/* May it end here? `off`: in the stream. */
int ferry_file_check_end(const struct ferry_file_check *check, uint64_t off,
                         struct ferry_error *reterr);
/* Puts the record's number and place in front of an error's text. Return: its code. */
int ferry_file_check_place(const struct ferry_file_record *record,
                           struct ferry_error *reterr);

#endif
