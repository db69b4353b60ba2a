/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/channel/channel_inside.h"
#include "os/clock.h"
#include "os/socket.h"

#define IOV_MAX_PIECES 16u
/* A limited channel sends in steps of this part of a second. */
#define TOKEN_STEPS_PER_S 50u
#define TOKEN_MIN_BYTES (64u << 10)

static void free_piece(struct ferry_channel_piece *piece)
{
    if (piece->release) {
        piece->release(piece->user);
    }
    free(piece);
}

void ferry_channel_free_queue(struct ferry_channel *channel)
{
    struct ferry_channel_piece *piece = channel->first;

    channel->first = NULL;
    channel->last = NULL;
    channel->queued = 0;
    while (piece) {
        struct ferry_channel_piece *next = piece->next;

        free_piece(piece);
        piece = next;
    }
}

static void append(struct ferry_channel *channel, struct ferry_channel_piece *piece)
{
    if (channel->last) {
        channel->last->next = piece;
    } else {
        channel->first = piece;
    }
    channel->last = piece;
}

/* Room for bytes to copy: behind the last piece when it is of the same kind, or a new
 * one. */
static uint8_t *copy_room(struct ferry_channel *channel, size_t bytes, uint32_t is_data)
{
    struct ferry_channel_piece *piece = channel->last;

    if (!piece || piece->is_body || piece->is_data != is_data ||
        piece->cap - piece->size < bytes) {
        size_t cap =
            bytes > FERRY_CHANNEL_PIECE_BYTES ? bytes : FERRY_CHANNEL_PIECE_BYTES;

        piece = malloc(sizeof(*piece) + cap);
        if (!piece) {
            return NULL;
        }
        memset(piece, 0, sizeof(*piece));
        piece->data = piece->copy;
        piece->cap = cap;
        piece->is_data = is_data;
        append(channel, piece);
    }
    piece->size += bytes;
    channel->queued += bytes;
    return piece->copy + (piece->size - bytes);
}

static int may_queue(const struct ferry_channel *channel, size_t bytes)
{
    if (channel->out_dead) {
        return FERRY_E_CLOSED;
    }
    return channel->queued + bytes > FERRY_CHANNEL_QUEUE_MAX ? FERRY_E_LIMIT : FERRY_OK;
}

int ferry_channel_put(struct ferry_channel *channel, uint16_t tag, uint32_t device,
                      const void *payload, size_t bytes)
{
    return ferry_channel_put_flags(channel, tag, 0, device, payload, bytes);
}

int ferry_channel_put_flags(struct ferry_channel *channel, uint16_t tag, uint16_t flags,
                            uint32_t device, const void *payload, size_t bytes)
{
    struct ferry_record record;
    uint8_t *room;
    int rc = may_queue(channel, bytes);

    if (rc < 0) {
        return rc;
    }
    room = copy_room(channel, FERRY_RECORD_HEADER_BYTES + bytes, 0);
    if (!room) {
        return FERRY_E_MEMORY;
    }
    ferry_record_seal(&record, tag, ferry_record_flags(tag) | flags, device, payload,
                      bytes);
    ferry_record_encode(&record, room);
    if (bytes > 0) {
        memcpy(room + FERRY_RECORD_HEADER_BYTES, payload, bytes);
    }
    ferry_loop_idle_start(channel->loop, &channel->flusher);
    return FERRY_OK;
}

static int queue_body(struct ferry_channel *channel,
                      const struct ferry_channel_body *body)
{
    struct ferry_channel_piece *piece = calloc(1, sizeof(*piece));

    if (!piece) {
        return FERRY_E_MEMORY;
    }
    piece->data = body->data;
    piece->size = body->bytes;
    piece->is_data = 1;
    piece->is_body = 1;
    piece->release = body->release;
    piece->user = body->user;
    append(channel, piece);
    channel->queued += body->bytes;
    return FERRY_OK;
}

static void data_header(uint8_t *room, uint16_t tag, uint32_t device, const void *prefix,
                        size_t prefix_bytes, const struct ferry_channel_body *body)
{
    struct ferry_stream_hash sum;
    struct ferry_record record = {
        .magic = FERRY_RECORD_MAGIC,
        .tag = tag,
        .flags = (uint16_t)body->flags,
        .device = device,
        .payload_bytes = prefix_bytes + body->bytes,
    };

    ferry_record_sum_init(&sum, &record);
    if (prefix_bytes > 0) {
        ferry_record_sum_update(&sum, prefix, prefix_bytes);
        memcpy(room + FERRY_RECORD_HEADER_BYTES, prefix, prefix_bytes);
    }
    ferry_record_sum_update(&sum, body->data, body->bytes);
    record.checksum = ferry_record_sum_digest(&sum);
    ferry_record_encode(&record, room);
}

int ferry_channel_put_data(struct ferry_channel *channel, uint16_t tag, uint32_t device,
                           const void *prefix, size_t prefix_bytes,
                           const struct ferry_channel_body *body)
{
    size_t head = FERRY_RECORD_HEADER_BYTES + prefix_bytes;
    int copied = body->bytes <= FERRY_CHANNEL_COPY_MAX;
    int rc = may_queue(channel, head + body->bytes);

    if (rc == FERRY_OK) {
        uint8_t *room = copy_room(channel, copied ? head + body->bytes : head, 1);

        if (!room) {
            rc = FERRY_E_MEMORY;
        } else {
            data_header(room, tag, device, prefix, prefix_bytes, body);
            if (copied) {
                memcpy(room + head, body->data, body->bytes);
            } else {
                rc = queue_body(channel, body);
            }
        }
        ferry_loop_idle_start(channel->loop, &channel->flusher);
    }
    /* A record whose header is queued without its body would make the peer read the next
     * record as its payload: nothing more can leave. */
    if (rc == FERRY_E_MEMORY) {
        channel->out_dead = 1;
    }
    if ((rc < 0 || copied) && body->release) {
        body->release(body->user);
    }
    return rc;
}

int ferry_channel_room(struct ferry_channel *channel)
{
    /* A limited channel keeps the queue short, so that a cancel is heard soon. */
    uint64_t most = FERRY_CHANNEL_QUEUE_BYTES;
    uint64_t limit = channel->bucket->limit_bytes_per_s;

    if (limit > 0 && limit / TOKEN_STEPS_PER_S < most) {
        most = limit / TOKEN_STEPS_PER_S;
    }
    if (channel->queued <= most) {
        return 1;
    }
    channel->want_room = 1;
    return 0;
}

void ferry_channel_tell(struct ferry_channel *channel)
{
    channel->want_room = 1;
}

size_t ferry_channel_queued(const struct ferry_channel *channel)
{
    return channel->queued;
}

void ferry_channel_drop_data(struct ferry_channel *channel)
{
    struct ferry_channel_piece **link = &channel->first;
    struct ferry_channel_piece *before = NULL, *dropped = NULL;
    int begun = channel->first && (channel->first->sent > 0 || channel->first->is_body);

    while (*link) {
        struct ferry_channel_piece *piece = *link;

        /* What has begun ends, up to and with the body of its last record. */
        begun = begun && (piece == channel->first || piece->is_body);
        if (!piece->is_data || begun) {
            before = piece;
            link = &piece->next;
            continue;
        }
        *link = piece->next;
        channel->queued -= piece->size - piece->sent;
        piece->next = dropped;
        dropped = piece;
    }
    channel->last = before;
    /* Only now: a release may queue something again. */
    while (dropped) {
        struct ferry_channel_piece *next = dropped->next;

        free_piece(dropped);
        dropped = next;
    }
}

void ferry_channel_own_bodies(struct ferry_channel *channel)
{
    for (struct ferry_channel_piece **link = &channel->first; *link;
         link = &(*link)->next) {
        struct ferry_channel_piece *piece = *link;
        struct ferry_channel_piece *own;
        size_t left = piece->size - piece->sent;

        if (!piece->is_body) {
            continue;
        }
        own = malloc(sizeof(*own) + left);
        if (!own) {
            channel->out_dead = 1;
            ferry_channel_free_queue(channel);
            return;
        }
        *own = *piece;
        memcpy(own->copy, piece->data + piece->sent, left);
        own->data = own->copy;
        own->size = left;
        own->sent = 0;
        own->release = NULL;
        *link = own;
        if (channel->last == piece) {
            channel->last = own;
        }
        free_piece(piece);
    }
}

/* Bytes that may leave now under the limit; arms the timer when there are none. */
static uint64_t allowance(struct ferry_channel *channel)
{
    struct ferry_channel_bucket *bucket = channel->bucket;
    uint64_t rate = bucket->limit_bytes_per_s;
    uint64_t burst = rate / TOKEN_STEPS_PER_S;
    uint64_t now_ns, elapsed_ns;

    if (rate == 0) {
        return UINT64_MAX;
    }
    if (burst < TOKEN_MIN_BYTES) {
        burst = TOKEN_MIN_BYTES;
    }
    now_ns = ferry_os_now_ns();
    elapsed_ns = now_ns - bucket->tokens_ns;
    if (elapsed_ns > FERRY_NS_PER_S) {
        elapsed_ns = FERRY_NS_PER_S;
    }
    bucket->tokens_ns = now_ns;
    bucket->tokens += (uint64_t)((double)elapsed_ns * (double)rate / 1e9);
    if (bucket->tokens > burst) {
        bucket->tokens = burst;
    }
    if (bucket->tokens < burst / 2) {
        double wait_ns = (double)(burst / 2 - bucket->tokens) * 1e9 / (double)rate;

        ferry_loop_timer_set(channel->loop, &channel->token_timer,
                             now_ns + (uint64_t)wait_ns + 1);
        return 0;
    }
    return bucket->tokens;
}

/* The next pieces to send, at most `most` bytes. */
static size_t gather(const struct ferry_channel *channel, uint64_t most,
                     struct iovec *iov)
{
    size_t count = 0;

    for (struct ferry_channel_piece *piece = channel->first;
         piece && count < IOV_MAX_PIECES && most > 0; piece = piece->next) {
        size_t left = piece->size - piece->sent;

        if (left > most) {
            left = (size_t)most;
        }
        /* iov_base is not const, but sending does not write to it. */
        memcpy(&iov[count].iov_base, &(const void *){ piece->data + piece->sent },
               sizeof(void *));
        iov[count].iov_len = left;
        most -= left;
        count++;
    }
    return count;
}

/* Bytes of the first pieces have left. What is done is released only when the queue is
 * right again: a release may queue something, or drop what is queued. */
static void consume(struct ferry_channel *channel, size_t bytes)
{
    struct ferry_channel_piece *done = NULL, **end = &done;

    channel->queued -= bytes;
    channel->out_bytes += bytes;
    while (channel->first) {
        struct ferry_channel_piece *piece = channel->first;
        size_t left = piece->size - piece->sent;

        if (bytes < left) {
            piece->sent += bytes;
            bytes = 0;
            break;
        }
        bytes -= left;
        channel->first = piece->next;
        piece->next = NULL;
        *end = piece;
        end = &piece->next;
    }
    if (!channel->first) {
        channel->last = NULL;
    }
    assert(bytes == 0);
    while (done) {
        struct ferry_channel_piece *next = done->next;

        free_piece(done);
        done = next;
    }
}

static void tell_room(struct ferry_channel *channel)
{
    if (channel->want_room && ferry_channel_room(channel)) {
        channel->want_room = 0;
        if (channel->sink) {
            channel->sink->room(channel->user);
        }
    }
}

void ferry_channel_flush(struct ferry_channel *channel)
{
    struct iovec iov[IOV_MAX_PIECES];

    if (channel->flushing) {
        return;
    }
    channel->flushing = 1;
    ferry_loop_timer_cancel(channel->loop, &channel->token_timer);
    while (channel->first && !channel->out_dead) {
        uint64_t most = allowance(channel);
        size_t count = gather(channel, most, iov);
        int sent;

        if (count == 0) {
            break;
        }
        sent = ferry_os_send(channel->fd, iov, count, NULL, 0, FERRY_OS_NOWAIT);
        if (sent == FERRY_E_AGAIN) {
            break;
        }
        if (sent < 0) {
            /* The peer's last words may still wait in the input, which ends by itself. */
            channel->out_dead = 1;
            break;
        }
        if (channel->bucket->limit_bytes_per_s > 0) {
            channel->bucket->tokens -= (uint64_t)sent;
        }
        consume(channel, (size_t)sent);
    }
    channel->flushing = 0;
    if (channel->out_dead) {
        ferry_channel_free_queue(channel);
    }
    ferry_channel_watch(channel);
    tell_room(channel);
}

void ferry_channel_limit(struct ferry_channel *channel, uint64_t bytes_per_s)
{
    channel->own.limit_bytes_per_s = bytes_per_s;
    channel->own.tokens = 0;
    channel->own.tokens_ns = ferry_os_now_ns();
    if (channel->first) {
        ferry_loop_idle_start(channel->loop, &channel->flusher);
    }
}

void ferry_channel_share_limit(struct ferry_channel *channel, struct ferry_channel *with)
{
    channel->bucket = &with->own;
}
