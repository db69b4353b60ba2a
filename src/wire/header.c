/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/header.h"

#include <assert.h>

#include "base/reader.h"
#include "base/writer.h"
#include "wire/command.h"
#include "wire/inside.h"
#include "wire/rules.h"
#include "wire/status.h"

#define OFF_COMMAND 2u
#define OFF_SIZE 4u
#define OFF_FLAGS 8u
#define OFF_ERROR 12u

/* Sums of payload and header below must not wrap. */
static_assert(FERRY_WIRE_MAX_DATA_MAX < UINT32_MAX / 4, "data limit");
static_assert(FERRY_WIRE_MAX_BITMAP_DEFAULT < UINT32_MAX / 4, "bitmap limit");

void ferry_wire_header_encode(const struct ferry_wire_header *header, void *ret_bytes)
{
    uint8_t *bytes = ret_bytes;

    ferry_store_le16(bytes, header->id);
    ferry_store_le16(bytes + OFF_COMMAND, header->command);
    ferry_store_le32(bytes + OFF_SIZE, header->size);
    ferry_store_le32(bytes + OFF_FLAGS, header->flags);
    ferry_store_le32(bytes + OFF_ERROR, header->error);
}

int ferry_wire_is_reply(const struct ferry_wire_header *header)
{
    return (header->flags & FERRY_WIRE_FLAG_TYPE) == FERRY_WIRE_TYPE_REPLY;
}

int ferry_wire_wants_reply(const struct ferry_wire_header *header)
{
    return (header->flags & (FERRY_WIRE_FLAG_TYPE | FERRY_WIRE_FLAG_NO_REPLY)) ==
           FERRY_WIRE_TYPE_COMMAND;
}

int ferry_wire_reply_status(const struct ferry_wire_header *header)
{
    return (header->flags & FERRY_WIRE_FLAG_ERROR) == 0
               ? FERRY_OK
               : ferry_wire_status_from_errno(header->error);
}

uint32_t ferry_wire_max_message(const struct ferry_wire_limits *limits)
{
    const struct ferry_wire_command *command;
    uint32_t most = 0;

    for (size_t i = 0; (command = ferry_wire_command_get(i)) != NULL; i++) {
        uint32_t request = ferry_wire_payload_max(command->number, 0, limits);
        uint32_t reply = ferry_wire_payload_max(command->number, 1, limits);

        most = request > most ? request : most;
        most = reply > most ? reply : most;
    }
    return FERRY_WIRE_HEADER_BYTES + most;
}

static int fail(const struct ferry_wire_header *header, int code, uint32_t rule,
                uint32_t off, const char *field, uint64_t value,
                struct ferry_error *reterr)
{
    const struct ferry_wire_in in = { .header = header, .reterr = reterr };

    return ferry_wire_fail(&in, code, rule, off, field, value);
}

int ferry_wire_header_decode(const void *bytes, const struct ferry_wire_limits *limits,
                             struct ferry_wire_header *ret_header,
                             struct ferry_error *reterr)
{
    const uint8_t *at = bytes;
    const struct ferry_wire_header header = {
        .id = ferry_load_le16(at),
        .command = ferry_load_le16(at + OFF_COMMAND),
        .size = ferry_load_le32(at + OFF_SIZE),
        .flags = ferry_load_le32(at + OFF_FLAGS),
        .error = ferry_load_le32(at + OFF_ERROR),
    };

    if (header.size < FERRY_WIRE_HEADER_BYTES) {
        return fail(&header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_HDR_SIZE, OFF_SIZE, "size",
                    header.size, reterr);
    }
    /* The common case must not pay for the largest legal size of all. */
    if (header.size > FERRY_WIRE_HEADER_BYTES + FERRY_WIRE_JSON_MAX &&
        header.size > ferry_wire_max_message(limits)) {
        return fail(&header, FERRY_E_LIMIT, FERRY_WIRE_RULE_HDR_SIZE, OFF_SIZE, "size",
                    header.size, reterr);
    }
    if ((header.flags & FERRY_WIRE_FLAG_TYPE) > FERRY_WIRE_TYPE_REPLY) {
        return fail(&header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_HDR_TYPE, OFF_FLAGS,
                    "flags", header.flags, reterr);
    }
    *ret_header = header;
    return FERRY_OK;
}

static int check_flags(const struct ferry_wire_header *header,
                       const struct ferry_wire_command *command,
                       struct ferry_error *reterr)
{
    uint32_t allowed = FERRY_WIRE_FLAG_TYPE;

    allowed |=
        ferry_wire_is_reply(header) ? FERRY_WIRE_FLAG_ERROR : FERRY_WIRE_FLAG_NO_REPLY;
    if ((header->flags & ~allowed) != 0) {
        return fail(header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_HDR_FLAGS, OFF_FLAGS,
                    "flags", header->flags, reterr);
    }
    if (ferry_wire_is_reply(header)) {
        return FERRY_OK;
    }
    if (header->error != 0) {
        return fail(header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_HDR_ERROR, OFF_ERROR,
                    "error", header->error, reterr);
    }
    if ((header->flags & FERRY_WIRE_FLAG_NO_REPLY) != 0 && command->postable == 0) {
        return fail(header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_HDR_POSTED, OFF_FLAGS,
                    "flags", header->flags, reterr);
    }
    return FERRY_OK;
}

int ferry_wire_header_check(const struct ferry_wire_header *header, uint32_t sender,
                            const struct ferry_wire_limits *limits,
                            struct ferry_error *reterr)
{
    const struct ferry_wire_command *command = ferry_wire_command_find(header->command);
    int reply = ferry_wire_is_reply(header);
    uint32_t payload = header->size - FERRY_WIRE_HEADER_BYTES;
    int status;

    if (command == NULL) {
        return fail(header, FERRY_E_MESSAGE, FERRY_WIRE_RULE_CMD_KNOWN, OFF_COMMAND,
                    "command", header->command, reterr);
    }
    if ((command->sender == sender) == (reply != 0)) {
        return fail(header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_CMD_DIRECTION, OFF_COMMAND,
                    "command", header->command, reterr);
    }
    status = check_flags(header, command, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    /* An Error reply is its header; some servers add a payload, which means nothing. */
    if ((header->flags & FERRY_WIRE_FLAG_ERROR) != 0) {
        return FERRY_OK;
    }
    if (payload < (reply != 0 ? command->reply_min : command->request_min)) {
        return fail(header, FERRY_E_PROTOCOL, FERRY_WIRE_RULE_CMD_SIZE, OFF_SIZE, "size",
                    header->size, reterr);
    }
    if (payload > ferry_wire_payload_max(header->command, reply, limits)) {
        return fail(header, FERRY_E_LIMIT, FERRY_WIRE_RULE_CMD_SIZE, OFF_SIZE, "size",
                    header->size, reterr);
    }
    return FERRY_OK;
}

void ferry_wire_error_encode(const struct ferry_wire_header *asked, int status,
                             void *ret_bytes)
{
    const struct ferry_wire_header header = {
        .id = asked->id,
        .command = asked->command,
        .size = FERRY_WIRE_HEADER_BYTES,
        .flags = FERRY_WIRE_TYPE_REPLY | FERRY_WIRE_FLAG_ERROR,
        .error = ferry_wire_errno_from_status(status),
    };

    ferry_wire_header_encode(&header, ret_bytes);
}
