/* SPDX-License-Identifier: BSD-3-Clause */
/* VERSION, REGION_READ, REGION_WRITE, MIG_DATA_READ and MIG_DATA_WRITE: a few fields and
 * much data. */
#include <string.h>

#include "base/range.h"
#include "wire/inside.h"

#define VERSION_BYTES 4u
#define IO_BYTES 16u
#define IO_AT_OFF FERRY_WIRE_AT(0u)
#define IO_AT_REGION FERRY_WIRE_AT(8u)
#define IO_AT_COUNT FERRY_WIRE_AT(12u)
#define DATA_BYTES 8u
#define DATA_AT_ARGSZ FERRY_WIRE_AT(0u)
#define DATA_AT_SIZE FERRY_WIRE_AT(4u)

static int version_check(const struct ferry_wire_in *in,
                         const struct ferry_wire_message *message)
{
    const uint8_t *nul;

    if (message->data_bytes == 0) {
        return FERRY_OK;
    }
    nul = message->data != NULL ? memchr(message->data, 0, message->data_bytes) : NULL;
    if (message->data_bytes > FERRY_WIRE_JSON_MAX || nul == NULL ||
        nul != message->data + message->data_bytes - 1) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_VER_JSON,
                               FERRY_WIRE_AT(VERSION_BYTES), "the capabilities' size",
                               message->data_bytes);
    }
    return FERRY_OK;
}

static int version_parse(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    message->u.version.major = ferry_reader_u16(&in->reader);
    message->u.version.minor = ferry_reader_u16(&in->reader);
    return ferry_wire_take_data(in, VERSION_BYTES, in->payload - VERSION_BYTES, message);
}

static int version_parse_reply(struct ferry_wire_in *in,
                               struct ferry_wire_message *message)
{
    int status = version_parse(in, message);

    return status == FERRY_OK ? version_check(in, message) : status;
}

static int version_put(struct ferry_writer *out, const struct ferry_wire_message *message,
                       uint64_t *ret_data)
{
    ferry_writer_u16(out, message->u.version.major);
    ferry_writer_u16(out, message->u.version.minor);
    *ret_data = message->data_bytes;
    return message->data_bytes <= FERRY_WIRE_JSON_MAX ? FERRY_OK : FERRY_E_ARGUMENT;
}

const struct ferry_wire_codec ferry_wire_codec_version = {
    .parse_request = version_parse,
    .parse_reply = version_parse_reply,
    .check = version_check,
    .put_request = version_put,
    .put_reply = version_put,
};

static void io_read(struct ferry_wire_in *in, struct ferry_wire_region_io *io)
{
    io->off = ferry_reader_u64(&in->reader);
    io->region = ferry_reader_u32(&in->reader);
    io->count = ferry_reader_u32(&in->reader);
}

static void io_put(struct ferry_writer *out, const struct ferry_wire_region_io *io)
{
    ferry_writer_u64(out, io->off);
    ferry_writer_u32(out, io->region);
    ferry_writer_u32(out, io->count);
}

static int io_check(const struct ferry_wire_in *in,
                    const struct ferry_wire_message *message)
{
    const struct ferry_wire_region_io *io = &message->u.io;
    uint64_t end;

    if (io->count > in->limits->max_data_bytes) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_IO_COUNT, IO_AT_COUNT,
                               "count", io->count);
    }
    if (!ferry_range_add(io->off, io->count, &end)) {
        return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_IO_RANGE, IO_AT_OFF,
                               "offset", io->off);
    }
    return FERRY_OK;
}

static int io_parse_request(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    io_read(in, &message->u.io);
    return ferry_wire_take_data(
        in, IO_BYTES,
        message->command == FERRY_WIRE_REGION_WRITE ? message->u.io.count : 0, message);
}

static int io_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    const struct ferry_wire_region_io *asked = &in->asked->u.io;
    struct ferry_wire_region_io *io = &message->u.io;

    io_read(in, io);
    if (io->off != asked->off) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, IO_AT_OFF,
                               "offset", io->off);
    }
    if (io->region != asked->region) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               IO_AT_REGION, "region", io->region);
    }
    if (io->count != asked->count) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               IO_AT_COUNT, "count", io->count);
    }
    return ferry_wire_take_data(
        in, IO_BYTES, message->command == FERRY_WIRE_REGION_READ ? io->count : 0,
        message);
}

static int io_put_request(struct ferry_writer *out,
                          const struct ferry_wire_message *message, uint64_t *ret_data)
{
    io_put(out, &message->u.io);
    *ret_data = message->command == FERRY_WIRE_REGION_WRITE ? message->u.io.count : 0;
    return FERRY_OK;
}

static int io_put_reply(struct ferry_writer *out,
                        const struct ferry_wire_message *message, uint64_t *ret_data)
{
    io_put(out, &message->u.io);
    *ret_data = message->command == FERRY_WIRE_REGION_READ ? message->u.io.count : 0;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_region_io = {
    .parse_request = io_parse_request,
    .parse_reply = io_parse_reply,
    .check = io_check,
    .put_request = io_put_request,
    .put_reply = io_put_reply,
};

static int data_check(const struct ferry_wire_in *in,
                      const struct ferry_wire_message *message)
{
    const struct ferry_wire_data_io *io = &message->u.data_io;
    int read = message->command == FERRY_WIRE_DATA_READ;

    if (io->size > in->limits->max_data_bytes) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_DATA_SIZE, DATA_AT_SIZE,
                               "size", io->size);
    }
    /* An answer of 0 bytes is the end of the stream: it must not mean "as asked". */
    if (read && io->size == 0) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_DATA_SIZE,
                               DATA_AT_SIZE, "size", 0);
    }
    if (read && (in->header != NULL || io->argsz != 0) &&
        io->argsz < DATA_BYTES + (uint64_t)io->size) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_DATA_ARGSZ,
                               DATA_AT_ARGSZ, "argsz", io->argsz);
    }
    return FERRY_OK;
}

static void data_fields(struct ferry_wire_in *in, struct ferry_wire_data_io *io)
{
    io->argsz = ferry_reader_u32(&in->reader);
    io->size = ferry_reader_u32(&in->reader);
}

static int data_parse_request(struct ferry_wire_in *in,
                              struct ferry_wire_message *message)
{
    data_fields(in, &message->u.data_io);
    return ferry_wire_take_data(
        in, DATA_BYTES,
        message->command == FERRY_WIRE_DATA_WRITE ? message->u.data_io.size : 0, message);
}

static int data_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_data_io *io = &message->u.data_io;

    if (message->command == FERRY_WIRE_DATA_WRITE) {
        *io = in->asked->u.data_io;
        return ferry_wire_parse_nothing(in, message);
    }
    data_fields(in, io);
    if (io->size > in->asked->u.data_io.size) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               DATA_AT_SIZE, "size", io->size);
    }
    /* libvfio-user pads the reply to what was asked for: what is behind size is no data.
     */
    if (in->payload == DATA_BYTES + (uint64_t)in->asked->u.data_io.size) {
        in->payload = DATA_BYTES + io->size;
    }
    return ferry_wire_take_data(in, DATA_BYTES, io->size, message);
}

static int data_put_request(struct ferry_writer *out,
                            const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_data_io *io = &message->u.data_io;

    ferry_writer_u32(out, io->argsz != 0 ? io->argsz : DATA_BYTES + io->size);
    ferry_writer_u32(out, io->size);
    *ret_data = message->command == FERRY_WIRE_DATA_WRITE ? io->size : 0;
    return FERRY_OK;
}

static int data_put_reply(struct ferry_writer *out,
                          const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_data_io *io = &message->u.data_io;

    if (message->command == FERRY_WIRE_DATA_WRITE) {
        return FERRY_OK;
    }
    if (io->size > FERRY_WIRE_MAX_DATA_MAX) {
        return FERRY_E_ARGUMENT;
    }
    ferry_writer_u32(out, DATA_BYTES + io->size);
    ferry_writer_u32(out, io->size);
    *ret_data = io->size;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_data_io = {
    .parse_request = data_parse_request,
    .parse_reply = data_parse_reply,
    .check = data_check,
    .put_request = data_put_request,
    .put_reply = data_put_reply,
};
