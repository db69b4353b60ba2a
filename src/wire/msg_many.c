/* SPDX-License-Identifier: BSD-3-Clause */
/* GET_REGION_IO_FDS and REGION_WRITE_MULTI: lists of small entries. */
#include <string.h>

#include "base/range.h"
#include "wire/inside.h"

#define FDS_BYTES 16u
#define AT_ARGSZ FERRY_WIRE_AT(0u)
#define AT_INDEX FERRY_WIRE_AT(8u)
#define AT_COUNT FERRY_WIRE_AT(12u)
#define MULTI_BYTES 8u
#define WRITE_BYTES FERRY_WIRE_WRITE_BYTES

uint32_t ferry_wire_io_fd_bytes(uint32_t layout)
{
    return layout == FERRY_WIRE_IO_FD_WIDE ? 48 : 40;
}

void ferry_wire_io_fd_encode(const struct ferry_wire_io_fd *entry, uint32_t layout,
                             void *ret_bytes)
{
    uint8_t *at = ret_bytes;
    uint32_t bytes = ferry_wire_io_fd_bytes(layout);

    memset(at, 0, bytes);
    ferry_store_le64(at, entry->off);
    ferry_store_le64(at + 8, entry->size);
    ferry_store_le32(at + 16, entry->fd_index);
    ferry_store_le32(at + 20, entry->type);
    ferry_store_le32(at + 24, entry->flags);
    /* The wide one has a second descriptor's index and its offset before the value. */
    ferry_store_le64(at + bytes - 8, entry->datamatch);
}

void ferry_wire_io_fd_decode(const void *bytes, uint32_t layout,
                             struct ferry_wire_io_fd *ret_entry)
{
    const uint8_t *at = bytes;

    ret_entry->off = ferry_load_le64(at);
    ret_entry->size = ferry_load_le64(at + 8);
    ret_entry->fd_index = ferry_load_le32(at + 16);
    ret_entry->type = ferry_load_le32(at + 20);
    ret_entry->flags = ferry_load_le32(at + 24);
    ret_entry->pad = 0;
    ret_entry->datamatch = ferry_load_le64(at + ferry_wire_io_fd_bytes(layout) - 8);
}

static void fds_read(struct ferry_wire_in *in, struct ferry_wire_io_fds *fds)
{
    fds->argsz = ferry_reader_u32(&in->reader);
    fds->flags = ferry_reader_u32(&in->reader);
    fds->index = ferry_reader_u32(&in->reader);
    fds->count = ferry_reader_u32(&in->reader);
    fds->layout = FERRY_WIRE_IO_FD_SPEC;
    fds->cut = 0;
}

static int fds_parse_request(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    fds_read(in, &message->u.io_fds);
    /* Only argsz and index ask for something. */
    message->u.io_fds.flags = 0;
    message->u.io_fds.count = 0;
    return FERRY_OK;
}

static int fds_check(const struct ferry_wire_in *in,
                     const struct ferry_wire_message *message)
{
    uint32_t argsz = message->u.io_fds.argsz;

    if (argsz >= FDS_BYTES || (in->header == NULL && argsz == 0)) {
        return FERRY_OK;
    }
    return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_INFO_ARGSZ, AT_ARGSZ,
                           "argsz", argsz);
}

/* Both layouts exist, and only the sizes tell which one it is. */
static int find_layout(const struct ferry_wire_in *in, struct ferry_wire_io_fds *fds)
{
    uint64_t rest = in->payload - FDS_BYTES;

    if (rest == 0 && fds->count > 0 && fds->argsz > in->payload) {
        fds->cut = 1;
        return FERRY_OK;
    }
    for (uint32_t layout = FERRY_WIRE_IO_FD_SPEC; layout <= FERRY_WIRE_IO_FD_WIDE;
         layout++) {
        if (rest == (uint64_t)fds->count * ferry_wire_io_fd_bytes(layout) &&
            fds->argsz == in->payload) {
            fds->layout = layout;
            return FERRY_OK;
        }
    }
    return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_IOFD_LAYOUT, AT_COUNT,
                           "count", fds->count);
}

static int check_entries(const struct ferry_wire_in *in,
                         const struct ferry_wire_message *message)
{
    const struct ferry_wire_io_fds *fds = &message->u.io_fds;
    uint32_t bytes = ferry_wire_io_fd_bytes(fds->layout);

    for (uint32_t i = 0; i < fds->count; i++) {
        struct ferry_wire_io_fd entry;
        uint32_t at = FERRY_WIRE_AT(FDS_BYTES + i * bytes);
        uint64_t end;

        ferry_wire_io_fd_decode(message->data + (size_t)i * bytes, fds->layout, &entry);
        if (!ferry_range_add(entry.off, entry.size, &end)) {
            return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_IOFD_ENTRY, at,
                                   "the offset of an entry", entry.off);
        }
        if (entry.fd_index >= message->fd_count) {
            return ferry_wire_fail(in, FERRY_E_FDS, FERRY_WIRE_RULE_IOFD_ENTRY, at + 16,
                                   "the index of a descriptor", entry.fd_index);
        }
    }
    return FERRY_OK;
}

static int fds_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    struct ferry_wire_io_fds *fds = &message->u.io_fds;
    int status;

    fds_read(in, fds);
    if (fds->index != in->asked->u.io_fds.index) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, AT_INDEX,
                               "index", fds->index);
    }
    if (fds->argsz < FDS_BYTES) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ARGSZ, AT_ARGSZ,
                               "argsz", fds->argsz);
    }
    status = find_layout(in, fds);
    if (status != FERRY_OK || fds->cut != 0) {
        return status;
    }
    status = ferry_wire_take_data(in, FDS_BYTES, in->payload - FDS_BYTES, message);
    return status == FERRY_OK ? check_entries(in, message) : status;
}

static int fds_put_request(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_io_fds *fds = &message->u.io_fds;
    uint32_t most = FERRY_WIRE_IO_FDS_MAX * ferry_wire_io_fd_bytes(FERRY_WIRE_IO_FD_WIDE);

    (void)ret_data;
    ferry_writer_u32(out, fds->argsz != 0 ? fds->argsz : FDS_BYTES + most);
    ferry_writer_u32(out, 0);
    ferry_writer_u32(out, fds->index);
    ferry_writer_u32(out, 0);
    return FERRY_OK;
}

static int fds_put_reply(struct ferry_writer *out,
                         const struct ferry_wire_message *message, uint64_t *ret_data)
{
    const struct ferry_wire_io_fds *fds = &message->u.io_fds;
    uint32_t bytes;

    if (fds->layout > FERRY_WIRE_IO_FD_WIDE ||
        (fds->cut == 0 && fds->count > FERRY_WIRE_IO_FDS_MAX)) {
        return FERRY_E_ARGUMENT;
    }
    bytes = fds->cut != 0 ? 0 : fds->count * ferry_wire_io_fd_bytes(fds->layout);
    ferry_writer_u32(out, fds->cut != 0 ? fds->argsz : FDS_BYTES + bytes);
    ferry_writer_u32(out, fds->flags);
    ferry_writer_u32(out, fds->index);
    ferry_writer_u32(out, fds->count);
    *ret_data = bytes;
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_io_fds = {
    .parse_request = fds_parse_request,
    .parse_reply = fds_parse_reply,
    .check = fds_check,
    .put_request = fds_put_request,
    .put_reply = fds_put_reply,
};

void ferry_wire_write_encode(const struct ferry_wire_write *write, void *ret_bytes)
{
    uint8_t *at = ret_bytes;

    ferry_store_le64(at, write->off);
    ferry_store_le32(at + 8, write->region);
    ferry_store_le32(at + 12, write->count);
    memcpy(at + 16, write->data, sizeof(write->data));
}

void ferry_wire_write_decode(const void *bytes, struct ferry_wire_write *ret_write)
{
    const uint8_t *at = bytes;

    ret_write->off = ferry_load_le64(at);
    ret_write->region = ferry_load_le32(at + 8);
    ret_write->count = ferry_load_le32(at + 12);
    memcpy(ret_write->data, at + 16, sizeof(ret_write->data));
}

static int multi_parse_request(struct ferry_wire_in *in,
                               struct ferry_wire_message *message)
{
    uint64_t count = ferry_reader_u64(&in->reader);

    if (count > FERRY_WIRE_WRITES_MAX) {
        return ferry_wire_fail(in, FERRY_E_LIMIT, FERRY_WIRE_RULE_MULTI_COUNT,
                               FERRY_WIRE_AT(0u), "the number of writes", count);
    }
    message->u.multi.count = count;
    return ferry_wire_take_data(in, MULTI_BYTES, count * WRITE_BYTES, message);
}

static int multi_check(const struct ferry_wire_in *in,
                       const struct ferry_wire_message *message)
{
    uint64_t count = message->u.multi.count;

    if (count > FERRY_WIRE_WRITES_MAX || (count > 0 && message->data == NULL)) {
        return FERRY_E_LIMIT; /* encoding only: parsing has looked at it already */
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ferry_wire_write write;
        uint32_t at = FERRY_WIRE_AT(MULTI_BYTES + i * WRITE_BYTES);
        uint64_t end;

        ferry_wire_write_decode(message->data + (size_t)i * WRITE_BYTES, &write);
        if (write.count > sizeof(write.data)) {
            return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_MULTI_COUNT,
                                   at + 12, "the size of a write", write.count);
        }
        if (!ferry_range_add(write.off, write.count, &end)) {
            return ferry_wire_fail(in, FERRY_E_RANGE, FERRY_WIRE_RULE_IO_RANGE, at,
                                   "the offset of a write", write.off);
        }
    }
    return FERRY_OK;
}

static int multi_put_request(struct ferry_writer *out,
                             const struct ferry_wire_message *message, uint64_t *ret_data)
{
    ferry_writer_u64(out, message->u.multi.count);
    *ret_data = message->u.multi.count * WRITE_BYTES;
    return FERRY_OK;
}

static int multi_parse_reply(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    message->u.multi.count = ferry_reader_u64(&in->reader);
    if (message->u.multi.count > in->asked->u.multi.count) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO,
                               FERRY_WIRE_AT(0u), "the number of writes done",
                               message->u.multi.count);
    }
    return ferry_wire_take_data(in, MULTI_BYTES, 0, message);
}

static int multi_put_reply(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    (void)ret_data;
    ferry_writer_u64(out, message->u.multi.count);
    return FERRY_OK;
}

const struct ferry_wire_codec ferry_wire_codec_multi = {
    .parse_request = multi_parse_request,
    .parse_reply = multi_parse_reply,
    .check = multi_check,
    .put_request = multi_put_request,
    .put_reply = multi_put_reply,
};
