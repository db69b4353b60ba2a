/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/message.h"

#include <assert.h>
#include <string.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "wire/inside.h"

#define PAGE_SIZE_MIN 4096u

static_assert(FERRY_WIRE_HEAD_MAX >=
                  FERRY_WIRE_HEADER_BYTES + 32 + 16 + FERRY_WIRE_AREAS_MAX * 16 + 16,
              "a region's description with all its areas is a head");

static const struct {
    uint16_t command;
    const struct ferry_wire_codec *codec;
} table[] = {
    /* The hot ones first: the table is searched. */
    { FERRY_WIRE_REGION_READ, &ferry_wire_codec_region_io },
    { FERRY_WIRE_REGION_WRITE, &ferry_wire_codec_region_io },
    { FERRY_WIRE_DATA_READ, &ferry_wire_codec_data_io },
    { FERRY_WIRE_DATA_WRITE, &ferry_wire_codec_data_io },
    { FERRY_WIRE_DMA_READ, &ferry_wire_codec_dma },
    { FERRY_WIRE_DMA_WRITE, &ferry_wire_codec_dma },
    { FERRY_WIRE_FEATURE, &ferry_wire_codec_feature },
    { FERRY_WIRE_DMA_MAP, &ferry_wire_codec_map },
    { FERRY_WIRE_DMA_UNMAP, &ferry_wire_codec_unmap },
    { FERRY_WIRE_VERSION, &ferry_wire_codec_version },
    { FERRY_WIRE_GET_INFO, &ferry_wire_codec_info },
    { FERRY_WIRE_GET_REGION_INFO, &ferry_wire_codec_region_info },
    { FERRY_WIRE_GET_IRQ_INFO, &ferry_wire_codec_irq_info },
    { FERRY_WIRE_SET_IRQS, &ferry_wire_codec_irq_set },
    { FERRY_WIRE_RESET, &ferry_wire_codec_reset },
    { FERRY_WIRE_GET_REGION_IO_FDS, &ferry_wire_codec_io_fds },
    { FERRY_WIRE_REGION_WRITE_MULTI, &ferry_wire_codec_multi },
};

static const struct ferry_wire_codec *find_codec(uint32_t command)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].command == command) {
            return table[i].codec;
        }
    }
    return NULL;
}

int ferry_wire_fail(const struct ferry_wire_in *in, int code, uint32_t rule, uint32_t off,
                    const char *field, uint64_t value)
{
    const struct ferry_wire_rule *broken = ferry_wire_rule_get(rule);

    /* Encoding has no header, and no one to tell. */
    if (in->header == NULL || in->reterr == NULL) {
        return code;
    }
    return ferry_error_set(
        in->reterr, code, "wire", broken->id, off,
        "%s (command %u) %s, byte %u: %s is %llu (0x%llx), but %s",
        ferry_wire_command_name(in->header->command), (unsigned)in->header->command,
        ferry_wire_is_reply(in->header) ? "reply" : "request", (unsigned)off, field,
        (unsigned long long)value, (unsigned long long)value, broken->text);
}

int ferry_wire_take_data(struct ferry_wire_in *in, uint32_t fixed, uint64_t bytes,
                         struct ferry_wire_message *message)
{
    if (in->payload < fixed || in->payload - fixed != bytes) {
        return ferry_wire_fail(in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_CMD_SIZE, 4, "size",
                               (uint64_t)in->payload + FERRY_WIRE_HEADER_BYTES);
    }
    message->data_bytes = (uint32_t)bytes;
    message->data = in->complete != 0 && bytes > 0 ? in->reader.data + fixed : NULL;
    return FERRY_OK;
}

int ferry_wire_parse_nothing(struct ferry_wire_in *in, struct ferry_wire_message *message)
{
    return ferry_wire_take_data(in, 0, 0, message);
}

int ferry_wire_put_nothing(struct ferry_writer *out,
                           const struct ferry_wire_message *message, uint64_t *ret_data)
{
    (void)out;
    (void)message;
    *ret_data = 0;
    return FERRY_OK;
}

uint32_t ferry_wire_decode_need(const struct ferry_wire_header *header)
{
    const struct ferry_wire_command *command = ferry_wire_command_find(header->command);
    uint32_t payload = header->size - FERRY_WIRE_HEADER_BYTES;
    int reply = ferry_wire_is_reply(header);
    uint32_t tail, fixed;

    if (command == NULL || (header->flags & FERRY_WIRE_FLAG_ERROR) != 0) {
        return 0;
    }
    tail = reply != 0 ? command->reply_tail : command->request_tail;
    fixed = reply != 0 ? command->reply_fixed : command->request_fixed;
    /* All other tails have content that is checked. */
    if (tail != FERRY_WIRE_TAIL_DATA && tail != FERRY_WIRE_TAIL_BITMAP) {
        return payload;
    }
    return payload < fixed ? payload : fixed;
}

static int start(struct ferry_wire_in *in, const struct ferry_wire_header *header,
                 const struct ferry_wire_body *body,
                 struct ferry_wire_message *ret_message)
{
    size_t have = body->have;

    in->header = header;
    in->payload = header->size - FERRY_WIRE_HEADER_BYTES;
    if (have > in->payload) {
        have = in->payload;
    }
    if (have < ferry_wire_decode_need(header)) {
        return FERRY_E_AGAIN;
    }
    in->complete = have == in->payload;
    ferry_reader_init(&in->reader, body->bytes, have);
    ret_message->id = header->id;
    ret_message->command = header->command;
    ret_message->reply = ferry_wire_is_reply(header) != 0;
    ret_message->posted = (header->flags & FERRY_WIRE_FLAG_NO_REPLY) != 0;
    ret_message->pad = 0;
    ret_message->fd_count = body->fd_count;
    ret_message->data_bytes = 0;
    ret_message->data = NULL;
    return FERRY_OK;
}

static int check_fds(const struct ferry_wire_in *in, uint32_t most, uint32_t fd_count)
{
    if (fd_count > most) {
        return ferry_wire_fail(in, FERRY_E_FDS, FERRY_WIRE_RULE_CMD_FDS, 0,
                               "the number of descriptors", fd_count);
    }
    return FERRY_OK;
}

int ferry_wire_request_decode(const struct ferry_wire_header *header,
                              const struct ferry_wire_body *body,
                              const struct ferry_wire_limits *limits,
                              struct ferry_wire_message *ret_message,
                              struct ferry_error *reterr)
{
    const struct ferry_wire_codec *codec = find_codec(header->command);
    struct ferry_wire_in in = { .limits = limits, .reterr = reterr };
    int status;

    assert(codec != NULL && !ferry_wire_is_reply(header));
    status = start(&in, header, body, ret_message);
    if (status == FERRY_OK) {
        status = check_fds(&in, ferry_wire_command_find(header->command)->request_fds,
                           body->fd_count);
    }
    if (status == FERRY_OK) {
        status = codec->parse_request(&in, ret_message);
    }
    if (status == FERRY_OK) {
        status = codec->check(&in, ret_message);
    }
    assert(status != FERRY_OK || in.reader.failed == 0);
    return status;
}

int ferry_wire_reply_decode(const struct ferry_wire_header *header,
                            const struct ferry_wire_body *body,
                            const struct ferry_wire_limits *limits,
                            const struct ferry_wire_message *asked,
                            struct ferry_wire_message *ret_message,
                            struct ferry_error *reterr)
{
    const struct ferry_wire_codec *codec = find_codec(header->command);
    struct ferry_wire_in in = { .limits = limits, .asked = asked, .reterr = reterr };
    int status;

    assert(codec != NULL && ferry_wire_is_reply(header));
    assert((header->flags & FERRY_WIRE_FLAG_ERROR) == 0);
    status = start(&in, header, body, ret_message);
    if (status != FERRY_OK) {
        return status;
    }
    if (header->command != asked->command) {
        return ferry_wire_fail(&in, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_RPL_ECHO, 2,
                               "command", header->command);
    }
    status = check_fds(&in, ferry_wire_command_find(header->command)->reply_fds,
                       body->fd_count);
    if (status == FERRY_OK) {
        status = codec->parse_reply(&in, ret_message);
    }
    assert(status != FERRY_OK || in.reader.failed == 0);
    return status;
}

/* A request must pass what its receiver will check. */
static int check_own(const struct ferry_wire_codec *codec,
                     const struct ferry_wire_message *message)
{
    static const struct ferry_wire_limits widest = {
        .max_data_bytes = FERRY_WIRE_MAX_DATA_MAX,
        .max_bitmap_bytes = FERRY_WIRE_MAX_BITMAP_DEFAULT,
    };
    const struct ferry_wire_in in = { .limits = &widest };
    const struct ferry_wire_command *command = ferry_wire_command_find(message->command);

    if ((message->posted != 0 && command->postable == 0) ||
        message->fd_count > command->request_fds ||
        codec->check(&in, message) != FERRY_OK) {
        return FERRY_E_ARGUMENT;
    }
    return FERRY_OK;
}

int ferry_wire_encode(const struct ferry_wire_message *message, void *ret_head,
                      size_t cap)
{
    const struct ferry_wire_codec *codec = find_codec(message->command);
    struct ferry_wire_header header = { .id = message->id, .command = message->command };
    struct ferry_writer out;
    uint64_t data_bytes = 0;
    int status;

    if (codec == NULL) {
        return FERRY_E_ARGUMENT;
    }
    ferry_writer_init(&out, ret_head, cap);
    (void)ferry_writer_room(&out, FERRY_WIRE_HEADER_BYTES);
    if (message->reply != 0) {
        header.flags = FERRY_WIRE_TYPE_REPLY;
        status = codec->put_reply(&out, message, &data_bytes);
    } else {
        header.flags = message->posted != 0 ? FERRY_WIRE_FLAG_NO_REPLY : 0;
        status = check_own(codec, message);
        if (status == FERRY_OK) {
            status = codec->put_request(&out, message, &data_bytes);
        }
    }
    if (status != FERRY_OK || data_bytes > UINT32_MAX / 2 ||
        (message->data_bytes != 0 && message->data_bytes != data_bytes)) {
        return FERRY_E_ARGUMENT;
    }
    if (out.overflow != 0) {
        return FERRY_E_CAPACITY;
    }
    header.size = (uint32_t)(out.pos + data_bytes);
    ferry_wire_header_encode(&header, ret_head);
    return (int)out.pos;
}

void ferry_wire_ranges_encode(const struct ferry_wire_range *range, uint32_t count,
                              void *ret_bytes)
{
    uint8_t *bytes = ret_bytes;

    for (uint32_t i = 0; i < count; i++) {
        ferry_store_le64(bytes + 16 * (size_t)i, range[i].off);
        ferry_store_le64(bytes + 16 * (size_t)i + 8, range[i].size);
    }
}

void ferry_wire_ranges_decode(const void *bytes, uint32_t count,
                              struct ferry_wire_range *ret_range)
{
    const uint8_t *at = bytes;

    for (uint32_t i = 0; i < count; i++) {
        ret_range[i].off = ferry_load_le64(at + 16 * (size_t)i);
        ret_range[i].size = ferry_load_le64(at + 16 * (size_t)i + 8);
    }
}

int ferry_wire_bitmap_need(uint64_t length, uint64_t page_size, uint64_t max_bytes,
                           uint64_t *ret_bytes)
{
    uint64_t bytes;

    if (page_size < PAGE_SIZE_MIN || !ferry_is_power_of_2(page_size) || length == 0) {
        return FERRY_E_PROTOCOL;
    }
    /* Not (length + page_size - 1) / page_size, which may overflow. */
    bytes = ferry_bitmap_bytes((length - 1) / page_size + 1);
    if (bytes > max_bytes) {
        return FERRY_E_LIMIT;
    }
    *ret_bytes = bytes;
    return FERRY_OK;
}
