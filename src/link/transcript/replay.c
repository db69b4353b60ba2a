/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "ferry/transcript.h"
#include "link/transcript/replay.h"
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/file.h"
#include "os/memory.h"

#define DEFAULT_TIMEOUT_MS 5000u

/* What the client sent along cannot be in a file: others of its kind are made. */
static int make_fd(const struct ferry_transcript_record *record, int *ret_fd)
{
    const uint8_t *payload = record->message + FERRY_WIRE_HEADER_BYTES;
    uint64_t bytes;

    if (ferry_load_le16(record->message + 2) != FERRY_WIRE_DMA_MAP ||
        record->bytes < FERRY_WIRE_HEADER_BYTES + 32) {
        return ferry_os_eventfd_create(ret_fd);
    }
    if (__builtin_add_overflow(ferry_load_le64(payload + 8),
                               ferry_load_le64(payload + 24), &bytes)) {
        return FERRY_E_RANGE;
    }
    return ferry_os_memfd_create("replay", bytes, ret_fd);
}

static int make_fds(const struct ferry_transcript_record *record,
                    struct ferry_os_fds *fds)
{
    int rc = FERRY_OK;

    fds->count = 0;
    while (rc == FERRY_OK && fds->count < record->fd_count) {
        rc = make_fd(record, &fds->fd[fds->count]);
        fds->count += rc == FERRY_OK;
    }
    return rc;
}

/* The server numbers its own commands: a reply carries the number of today. */
static void take_new_id(struct ferry_replay *replay, uint8_t *head)
{
    uint16_t id = ferry_load_le16(head);

    for (uint32_t i = 0; i < FERRY_REPLAY_IDS; i++) {
        if (replay->id[i].used && replay->id[i].then == id) {
            ferry_store_le16(head, replay->id[i].now);
            replay->id[i].used = 0;
            return;
        }
    }
}

static int send_all(struct ferry_replay *replay, struct iovec *iov, size_t count,
                    const struct ferry_os_fds *fds)
{
    uint32_t fd_count = fds->count;
    size_t at = 0;
    int rc;

    while (at < count) {
        rc = ferry_os_send(replay->fd, iov + at, count - at, fds->fd, fd_count,
                           FERRY_OS_WAIT);
        if (rc < 0) {
            return rc;
        }
        fd_count = 0;
        while (at < count && (size_t)rc >= iov[at].iov_len) {
            rc -= (int)iov[at++].iov_len;
        }
        if (at < count) {
            iov[at].iov_base = (char *)iov[at].iov_base + rc;
            iov[at].iov_len -= (size_t)rc;
        }
    }
    return FERRY_OK;
}

static int play_client(struct ferry_replay *replay,
                       const struct ferry_transcript_record *record,
                       struct ferry_error *reterr)
{
    static const uint8_t zeros[4096];
    uint8_t head[FERRY_WIRE_HEADER_BYTES];
    union {
        const uint8_t *in;
        void *out;
    } cast = { .in = record->message + FERRY_WIRE_HEADER_BYTES };
    struct iovec iov[2] = { { .iov_base = head, .iov_len = sizeof(head) } };
    struct ferry_os_fds fds;
    int rc = make_fds(record, &fds);

    memcpy(head, record->message, sizeof(head));
    if ((ferry_load_le32(head + 8) & FERRY_WIRE_FLAG_TYPE) == FERRY_WIRE_TYPE_REPLY) {
        take_new_id(replay, head);
    }
    iov[1].iov_base = cast.out;
    iov[1].iov_len = record->bytes - FERRY_WIRE_HEADER_BYTES;
    if (record->cut) {
        /* Refused by its header alone, so what follows does not matter. */
        uint32_t size = ferry_load_le32(head + 4);

        cast.in = zeros;
        iov[1].iov_base = cast.out;
        iov[1].iov_len = size > sizeof(head) ? size - sizeof(head) : 0;
        iov[1].iov_len = iov[1].iov_len < sizeof(zeros) ? iov[1].iov_len : sizeof(zeros);
    }
    if (rc == FERRY_OK) {
        rc = send_all(replay, iov, iov[1].iov_len > 0 ? 2 : 1, &fds);
    }
    ferry_os_fds_close(&fds);
    if (rc != FERRY_OK) {
        return ferry_replay_differs(replay, record, "message", 0, 1, 0, reterr);
    }
    replay->result->sent++;
    return FERRY_OK;
}

static int reconnect(struct ferry_replay *replay, struct ferry_error *reterr)
{
    int rc;

    ferry_replay_disconnect(replay);
    rc = replay->options.connect(replay->options.user, &replay->fd, reterr);
    if (rc != FERRY_OK) {
        replay->fd = -1;
        return rc;
    }
    (void)ferry_os_receive_limit(replay->fd, replay->options.timeout_ms);
    (void)ferry_os_send_limit(replay->fd, replay->options.timeout_ms);
    rc = ferry_rx_init(&replay->rx);
    replay->open = rc == FERRY_OK;
    return rc;
}

void ferry_replay_disconnect(struct ferry_replay *replay)
{
    struct ferry_replay_stash *one;

    while ((one = replay->stash)) {
        replay->stash = one->next;
        free(one);
    }
    replay->stash_count = 0;
    memset(replay->id, 0, sizeof(replay->id));
    if (replay->open) {
        ferry_rx_free(&replay->rx);
        replay->open = 0;
    }
    ferry_os_close(&replay->fd);
}

static int play(struct ferry_replay *replay, const uint8_t *bytes, size_t size,
                struct ferry_error *reterr)
{
    struct ferry_transcript_reader reader;
    struct ferry_transcript_record record;
    uint32_t connection = 0;
    int rc = ferry_transcript_begin(&reader, bytes, size, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    while ((rc = ferry_transcript_next(&reader, &record, reterr)) > 0) {
        if (record.connection != connection) {
            connection = record.connection;
            rc = reconnect(replay, reterr);
        } else {
            rc = FERRY_OK;
        }
        if (rc == FERRY_OK) {
            rc = record.sender == FERRY_WIRE_FROM_CLIENT
                     ? play_client(replay, &record, reterr)
                     : ferry_replay_compare(replay, &record, reterr);
        }
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    return rc;
}

/* Reads the file in steps, so that a small one needs little memory. */
static int load(const char *path, uint8_t **ret_bytes, size_t *ret_size,
                struct ferry_error *reterr)
{
    uint8_t *bytes = NULL;
    size_t cap = 1u << 20;
    int rc;

    do {
        free(bytes);
        bytes = malloc(cap);
        if (!bytes) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, "link", NULL, 0,
                                   "out of memory");
        }
        rc = ferry_os_file_read(path, bytes, cap, ret_size, reterr);
        cap *= 4;
    } while (rc == FERRY_E_LIMIT && cap <= FERRY_TRANSCRIPT_FILE_MAX);
    if (rc != FERRY_OK) {
        free(bytes);
        return rc;
    }
    *ret_bytes = bytes;
    return FERRY_OK;
}

int ferry_replay(const char *path, const struct ferry_replay_options *options,
                 struct ferry_replay_result *ret_result, struct ferry_error *reterr)
{
    struct ferry_replay replay = { .fd = -1, .result = ret_result };
    uint8_t *bytes = NULL;
    size_t size = 0;
    int rc;

    memset(ret_result, 0, sizeof(*ret_result));
    memcpy(&replay.options, options,
           options->struct_size < sizeof(replay.options) ? options->struct_size
                                                         : sizeof(replay.options));
    if (replay.options.timeout_ms == 0) {
        replay.options.timeout_ms = DEFAULT_TIMEOUT_MS;
    }
    rc = load(path, &bytes, &size, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = play(&replay, bytes, size, reterr);
    ferry_replay_disconnect(&replay);
    free(bytes);
    return rc;
}

int ferry_replay_command(const char *name)
{
    const struct ferry_wire_command *command;

    for (size_t i = 0; (command = ferry_wire_command_get(i)) != NULL; i++) {
        if (strcmp(command->name, name) == 0) {
            return command->number;
        }
    }
    return FERRY_E_NOT_FOUND;
}

const char *ferry_replay_command_name(uint32_t command)
{
    return ferry_wire_command_name(command);
}
