/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/transcript/replay.h"
#include "os/clock.h"

int ferry_replay_differs(struct ferry_replay *replay,
                         const struct ferry_transcript_record *record, const char *field,
                         uint64_t offset, uint64_t wanted, uint64_t got,
                         struct ferry_error *reterr)
{
    struct ferry_replay_result *result = replay->result;

    result->number = record->number;
    result->command = ferry_load_le16(record->message + 2);
    result->offset = offset;
    result->wanted = wanted;
    result->got = got;
    (void)snprintf(result->field, sizeof(result->field), "%s", field);
    return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, "link", NULL, offset,
                           "message %u (%s): %s at byte %llu is %llu, not %llu",
                           record->number, ferry_wire_command_name(result->command),
                           field, (unsigned long long)offset, (unsigned long long)got,
                           (unsigned long long)wanted);
}

static int is_reply(const uint8_t *message)
{
    return (ferry_load_le32(message + 8) & FERRY_WIRE_FLAG_TYPE) == FERRY_WIRE_TYPE_REPLY;
}

/* Replies belong to their request; the server's own commands have numbers of their own.
 */
static int belongs(const struct ferry_transcript_record *record, const uint8_t *message)
{
    return is_reply(record->message) == is_reply(message) &&
           ferry_load_le16(record->message + 2) == ferry_load_le16(message + 2) &&
           (!is_reply(message) ||
            ferry_load_le16(record->message) == ferry_load_le16(message));
}

static struct ferry_replay_stash *take(struct ferry_replay *replay,
                                       const struct ferry_transcript_record *record)
{
    struct ferry_replay_stash **link = &replay->stash;
    struct ferry_replay_stash *one;

    while (*link && !belongs(record, (*link)->message)) {
        link = &(*link)->next;
    }
    one = *link;
    if (one) {
        *link = one->next;
        replay->stash_count--;
    }
    return one;
}

/* Puts a message that has come whole behind the others. */
static int keep(struct ferry_replay *replay, uint32_t size)
{
    struct ferry_replay_stash **link = &replay->stash;
    struct ferry_replay_stash *one;
    struct ferry_os_fds fds;

    if (replay->stash_count == FERRY_REPLAY_STASH) {
        return FERRY_E_LIMIT;
    }
    one = malloc(sizeof(*one) + size);
    if (!one) {
        return FERRY_E_MEMORY;
    }
    ferry_rx_take_fds(&replay->rx, size, &fds);
    one->next = NULL;
    one->bytes = size;
    one->fd_count = fds.count;
    memcpy(one->message, ferry_rx_data(&replay->rx), size);
    ferry_os_fds_close(&fds);
    ferry_rx_consume(&replay->rx, size);
    while (*link) {
        link = &(*link)->next;
    }
    *link = one;
    replay->stash_count++;
    return FERRY_OK;
}

/* Receives until one more message is there. */
static int receive(struct ferry_replay *replay)
{
    size_t direct;
    uint32_t size;
    int rc = FERRY_OK;

    for (;;) {
        size = ferry_rx_size(&replay->rx) >= FERRY_WIRE_HEADER_BYTES
                   ? ferry_load_le32(ferry_rx_data(&replay->rx) + 4)
                   : FERRY_WIRE_HEADER_BYTES;
        if (size < FERRY_WIRE_HEADER_BYTES || size > FERRY_TRANSCRIPT_MESSAGE_MAX) {
            return FERRY_E_PROTOCOL;
        }
        if (ferry_rx_size(&replay->rx) >= size &&
            ferry_rx_size(&replay->rx) >= FERRY_WIRE_HEADER_BYTES) {
            return keep(replay, size);
        }
        rc = ferry_rx_reserve(&replay->rx, size);
        if (rc == FERRY_OK) {
            rc = ferry_rx_receive(&replay->rx, replay->fd, NULL, 0, FERRY_OS_WAIT,
                                  &direct);
        }
        if (rc < 0) {
            return rc;
        }
    }
}

/* Is a byte of the payload, or with size 0 the whole of it, not to be compared? */
static int is_masked(const struct ferry_replay *replay, uint32_t command, uint32_t off,
                     int whole)
{
    for (size_t i = 0; i < replay->options.mask_count; i++) {
        const struct ferry_replay_mask *mask = &replay->options.mask[i];

        if (mask->command == command &&
            (mask->size == 0 ||
             (!whole && off >= mask->off && off - mask->off < mask->size))) {
            return 1;
        }
    }
    return 0;
}

static int compare_payload(struct ferry_replay *replay,
                           const struct ferry_transcript_record *record,
                           const struct ferry_replay_stash *got,
                           struct ferry_error *reterr)
{
    uint32_t command = ferry_load_le16(record->message + 2);
    uint32_t least = record->bytes < got->bytes ? record->bytes : got->bytes;

    if (is_masked(replay, command, 0, 1)) {
        return FERRY_OK;
    }
    for (uint32_t at = FERRY_WIRE_HEADER_BYTES; at < least; at++) {
        if (record->message[at] != got->message[at] &&
            !is_masked(replay, command, at - FERRY_WIRE_HEADER_BYTES, 0)) {
            return ferry_replay_differs(replay, record, "payload", at,
                                        record->message[at], got->message[at], reterr);
        }
    }
    if (record->bytes != got->bytes) {
        return ferry_replay_differs(replay, record, "size", 4, record->bytes, got->bytes,
                                    reterr);
    }
    return FERRY_OK;
}

static int compare_head(struct ferry_replay *replay,
                        const struct ferry_transcript_record *record,
                        const struct ferry_replay_stash *got, struct ferry_error *reterr)
{
    uint32_t flags = ferry_load_le32(record->message + 8);
    uint32_t got_flags = ferry_load_le32(got->message + 8);
    uint32_t error = ferry_load_le32(record->message + 12);
    uint32_t got_error = ferry_load_le32(got->message + 12);

    /* Which error says more than that there is one. */
    if (error != got_error) {
        return ferry_replay_differs(replay, record, "error", 12, error, got_error,
                                    reterr);
    }
    if (flags != got_flags) {
        return ferry_replay_differs(replay, record, "flags", 8, flags, got_flags, reterr);
    }
    if (record->fd_count != got->fd_count) {
        return ferry_replay_differs(replay, record, "descriptors", 0, record->fd_count,
                                    got->fd_count, reterr);
    }
    return FERRY_OK;
}

/* A command of the server's: its reply in the file must carry today's number. */
static int note_id(struct ferry_replay *replay,
                   const struct ferry_transcript_record *record,
                   const struct ferry_replay_stash *got)
{
    if (is_reply(got->message) ||
        ferry_load_le32(got->message + 8) & FERRY_WIRE_FLAG_NO_REPLY) {
        return FERRY_OK;
    }
    for (uint32_t i = 0; i < FERRY_REPLAY_IDS; i++) {
        if (!replay->id[i].used) {
            replay->id[i].then = ferry_load_le16(record->message);
            replay->id[i].now = ferry_load_le16(got->message);
            replay->id[i].used = 1;
            return FERRY_OK;
        }
    }
    return FERRY_E_LIMIT;
}

int ferry_replay_compare(struct ferry_replay *replay,
                         const struct ferry_transcript_record *record,
                         struct ferry_error *reterr)
{
    struct ferry_replay_stash *got = take(replay, record);
    int rc = FERRY_OK;

    while (!got && rc == FERRY_OK) {
        rc = receive(replay);
        got = take(replay, record);
    }
    if (!got) {
        /* It closed, went silent, or says something else all the time. */
        return ferry_replay_differs(replay, record, "message", 0, 1, 0, reterr);
    }
    rc = compare_head(replay, record, got, reterr);
    if (rc == FERRY_OK) {
        rc = compare_payload(replay, record, got, reterr);
    }
    if (rc == FERRY_OK) {
        rc = note_id(replay, record, got);
    }
    if (rc == FERRY_OK) {
        replay->result->compared++;
    }
    free(got);
    return rc;
}
