/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the vfio-user decoder. The low 7 bits of an input's first byte are the number of
 * descriptors that came along; bit 7 says that a reply follows the request. The bytes are
 * decoded as what they say to be, from either side, and their payload as every command's
 * request and reply. What decodes must encode, and that must decode to the same bytes
 * again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "ferry/error.h"
#include "wire/message.h"

#define MESSAGE_MAX 8192u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ferry_wire_limits limits = { .max_data_bytes = 4096,
                                                 .max_bitmap_bytes = 4096 };

struct input {
    const uint8_t *bytes; /* header and payload */
    size_t size;
    uint32_t fd_count;
};

static void must(int holds)
{
    if (!holds) {
        abort();
    }
}

static int decode(const struct input *in, const struct ferry_wire_header *header,
                  const struct ferry_wire_message *asked,
                  struct ferry_wire_message *message)
{
    const struct ferry_wire_body body = { .bytes = in->bytes + FERRY_WIRE_HEADER_BYTES,
                                          .have = in->size - FERRY_WIRE_HEADER_BYTES,
                                          .fd_count = in->fd_count };
    struct ferry_error error;
    int status;

    memset(&error, 0x5a, sizeof(error));
    status = ferry_wire_is_reply(header)
                 ? ferry_wire_reply_decode(header, &body, &limits, asked, message, &error)
                 : ferry_wire_request_decode(header, &body, &limits, message, &error);
    must(status <= FERRY_OK);
    /* A refusal names a rule and an offset inside the message. */
    if (status != FERRY_OK && status != FERRY_E_AGAIN) {
        must(error.code == status && strncmp(error.rule, "WIRE-", 5) == 0);
        must(error.offset <= header->size && error.text[0] != '\0');
    }
    if (status == FERRY_OK && message->data != NULL) {
        must(message->data >= in->bytes + FERRY_WIRE_HEADER_BYTES);
        /* libvfio-user pads state data to what was asked for. */
        must(message->data + message->data_bytes <= in->bytes + header->size);
        must(message->data + message->data_bytes == in->bytes + header->size ||
             (header->command == FERRY_WIRE_DATA_READ && ferry_wire_is_reply(header)));
    }
    return status;
}

/* Encodes into bytes; returns the size of the whole message. */
static size_t encode(struct ferry_wire_message *message,
                     const struct ferry_wire_message *asked, uint8_t *bytes)
{
    uint32_t size;
    int head;

    /* The peer's argsz could have cut the list of areas that it sent. */
    if (message->reply != 0 && message->command == FERRY_WIRE_GET_REGION_INFO) {
        message->u.region.argsz = 0;
    }
    head = ferry_wire_encode(message, bytes, FERRY_WIRE_HEAD_MAX);
    must(head >= (int)FERRY_WIRE_HEADER_BYTES);
    memcpy(&size, bytes + 4, sizeof(size));
    must(size >= (uint32_t)head && size <= MESSAGE_MAX);
    if (message->data != NULL) {
        must(message->data_bytes == size - (uint32_t)head);
        memcpy(bytes + head, message->data, message->data_bytes);
    } else if (size > (uint32_t)head) {
        /* A SET whose reply was its head only: the fields and ranges are the request's.
         */
        must(message->reply != 0 && asked->data != NULL &&
             asked->data_bytes == size - (uint32_t)head);
        memcpy(bytes + head, asked->data, asked->data_bytes);
    }
    return size;
}

static void round_trip(const struct input *in, struct ferry_wire_message *message,
                       const struct ferry_wire_message *asked)
{
    uint8_t first[MESSAGE_MAX], second[MESSAGE_MAX];
    struct ferry_wire_message again;
    struct ferry_wire_header header;
    struct input back = { .bytes = first, .fd_count = in->fd_count };

    back.size = encode(message, asked, first);
    must(ferry_wire_header_decode(first, &limits, &header, NULL) == FERRY_OK);
    must(decode(&back, &header, asked, &again) == FERRY_OK);
    must(encode(&again, asked, second) == back.size);
    must(memcmp(first, second, back.size) == 0);
}

/* Whether the whole payload is there: with less, the data has no address to go on with.
 */
static int is_complete(const struct input *in, const struct ferry_wire_header *header)
{
    return in->size >= header->size;
}

/* The message as it says to be. Returns 1 when it is a request that decoded. */
static int as_it_is(const struct input *in, const struct ferry_wire_message *asked,
                    struct ferry_wire_message *message, struct ferry_wire_header *header)
{
    int decoded = 0;

    if (in->size < FERRY_WIRE_HEADER_BYTES ||
        ferry_wire_header_decode(in->bytes, &limits, header, NULL) != FERRY_OK) {
        return 0;
    }
    for (uint32_t from = FERRY_WIRE_FROM_CLIENT; from <= FERRY_WIRE_FROM_SERVER; from++) {
        if (ferry_wire_header_check(header, from, &limits, NULL) != FERRY_OK ||
            (ferry_wire_is_reply(header) && asked == NULL) ||
            (header->flags & FERRY_WIRE_FLAG_ERROR) != 0 ||
            decode(in, header, asked, message) != FERRY_OK) {
            continue;
        }
        if (is_complete(in, header)) {
            decoded = !ferry_wire_is_reply(header);
            round_trip(in, message, asked);
        }
    }
    return decoded;
}

/* The payload as a command's request, and then as the reply to it. */
static void as_command(const struct input *in, const struct ferry_wire_command *command)
{
    struct ferry_wire_header header = { .id = 1,
                                        .command = command->number,
                                        .size = (uint32_t)in->size };
    struct ferry_wire_message asked, message;
    uint8_t head[FERRY_WIRE_HEAD_MAX];

    memset(&asked, 0, sizeof(asked));
    asked.command = command->number;
    if (ferry_wire_header_check(&header, command->sender, &limits, NULL) == FERRY_OK &&
        decode(in, &header, NULL, &message) == FERRY_OK) {
        round_trip(in, &message, NULL);
        asked = message;
    }
    /* Only to a question that can be asked there is an answer. */
    header.flags = FERRY_WIRE_TYPE_REPLY;
    if (ferry_wire_encode(&asked, head, sizeof(head)) > 0 &&
        ferry_wire_header_check(
            &header, FERRY_WIRE_FROM_CLIENT + FERRY_WIRE_FROM_SERVER - command->sender,
            &limits, NULL) == FERRY_OK &&
        decode(in, &header, &asked, &message) == FERRY_OK) {
        round_trip(in, &message, &asked);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ferry_wire_command *command;
    struct ferry_wire_message asked, message;
    struct ferry_wire_header header;
    struct input in;

    if (size < 1 + FERRY_WIRE_HEADER_BYTES || size > MESSAGE_MAX / 2) {
        return 0;
    }
    in = (struct input){ data + 1, size - 1, data[0] & 0x7fu };
    for (size_t i = 0; (command = ferry_wire_command_get(i)) != NULL; i++) {
        as_command(&in, command);
    }
    if (as_it_is(&in, NULL, &asked, &header) && (data[0] & 0x80) != 0) {
        in.bytes += header.size;
        in.size -= header.size;
        in.fd_count = 0;
        (void)as_it_is(&in, &asked, &message, &header);
    }
    return 0;
}
