/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_CHANNEL_CHANNEL_H
#define FERRY_HOST_CHANNEL_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/stream.h"
#include "os/loop.h"

/*
 * A byte channel that carries records both ways over one connected stream socket, on the
 * loop of its owner. Nothing in it waits: output is queued (bounded) and sent as the
 * socket takes it, input is taken in as it comes, long payloads straight to where they
 * belong.
 *
 * Thread: the loop's thread only. The sink's functions run from within the loop's
 * dispatch; they may call everything here except ferry_channel_destroy().
 */
struct ferry_channel;

/* Longest piece of a payload that is collected before its place is asked for. */
#define FERRY_CHANNEL_PREFIX_MAX 32u
/* Producers of data stop while this much is queued. */
#define FERRY_CHANNEL_QUEUE_BYTES (2u << 20)
/* Most bytes that may be queued at all; more is FERRY_E_LIMIT (a peer that does not
 * read). */
#define FERRY_CHANNEL_QUEUE_MAX (16u << 20)
/* How long a channel that is done may still try to get its last records to the peer. */
#define FERRY_CHANNEL_LINGER_NS 500000000u

/* Who uses the channel. Negative results of the first three end the input: down()
 * follows. */
struct ferry_channel_sink {
    /*
     * A sound header has come. May this record come now?
     * ret_prefix: bytes to collect before place() is asked, at most
     *   FERRY_CHANNEL_PREFIX_MAX and payload_bytes; 0 as it comes.
     */
    int (*begin)(void *user, const struct ferry_record *record, uint64_t stream_off,
                 size_t *ret_prefix, struct ferry_error *reterr);
    /*
     * The prefix is here. *ret_place: memory for the rest of the payload, valid until
     * record() or down(); left NULL: the channel's own (control records only).
     * Return: FERRY_OK; FERRY_E_AGAIN: no room now, the input rests until
     *   ferry_channel_resume() and place() is asked again.
     */
    int (*place)(void *user, const struct ferry_record *record, const uint8_t *prefix,
                 uint8_t **ret_place, struct ferry_error *reterr);
    /*
     * The payload is complete and its checksum right. payload: the whole, or with a place
     * of the sink's the prefix only.
     */
    int (*record)(void *user, const struct ferry_record *record, uint64_t stream_off,
                  const uint8_t *payload, struct ferry_error *reterr);
    /* The queue has room again after ferry_channel_room() said 0. */
    void (*room)(void *user);
    /* Nothing more will come in (once). The output may still work. */
    void (*down)(void *user, const struct ferry_error *error);
};

/*
 * fd: owned from then on, also on failure. sink: borrowed for the channel's life.
 * Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_IO.
 */
int ferry_channel_create(struct ferry_loop *loop, int fd,
                         const struct ferry_channel_sink *sink, void *user,
                         struct ferry_channel **ret_channel);
/* Sends at once what the socket takes, closes, frees; releases every queued body. */
void ferry_channel_destroy(struct ferry_channel *channel);

/*
 * Leaves the channel to itself: no function of the sink is called any more, every queued
 * body is released. It sends its last records, waits for the peer to close (bounded) and
 * frees itself. list: where it is held until then; ferry_channel_destroy() of what is
 * still in the list ends it early.
 */
void ferry_channel_linger(struct ferry_channel *channel, struct ferry_channel **list);

/*
 * Queues a record whose payload is copied.
 * Return: FERRY_OK; FERRY_E_CLOSED (the output is dead), FERRY_E_LIMIT (queue),
 * FERRY_E_MEMORY.
 */
int ferry_channel_put(struct ferry_channel *channel, uint16_t tag, uint32_t device,
                      const void *payload, size_t bytes);

/* The same with flags of the writer's own choice beside those of the tag. */
int ferry_channel_put_flags(struct ferry_channel *channel, uint16_t tag, uint16_t flags,
                            uint32_t device, const void *payload, size_t bytes);

/* A payload that stays where it is until it has been sent. */
struct ferry_channel_body {
    const void *data;
    size_t bytes;
    uint32_t flags; /* of the record: FERRY_RECORD_CHUNK */
    void (*release)(
        void *user); /* called exactly once, whatever the result; may be NULL */
    void *user;
};
/* Queues a record of data: prefix (copied) and body (borrowed until released). A short
 * body is copied and released at once. Results as ferry_channel_put(). */
int ferry_channel_put_data(struct ferry_channel *channel, uint16_t tag, uint32_t device,
                           const void *prefix, size_t prefix_bytes,
                           const struct ferry_channel_body *body);

/* 1 while producers of data may queue more. When 0, room() follows. */
int ferry_channel_room(struct ferry_channel *channel);
/* room() is called once more bytes have left, although there is room. */
void ferry_channel_tell(struct ferry_channel *channel);
/* Bytes queued and not yet given to the socket. */
size_t ferry_channel_queued(const struct ferry_channel *channel);
/* Sends what the socket takes now. What is queued is sent before the loop waits anyway.
 */
void ferry_channel_flush(struct ferry_channel *channel);
/* Takes queued data records back that have not begun to leave (before an ABORT). */
void ferry_channel_drop_data(struct ferry_channel *channel);
/* Bytes per second at most; 0: no limit. */
void ferry_channel_limit(struct ferry_channel *channel, uint64_t bytes_per_s);
/* The limit of `with` (and its later changes) holds for the sum of both from now on.
 * channel ends, or lingers, before `with` does. */
void ferry_channel_share_limit(struct ferry_channel *channel, struct ferry_channel *with);
/*
 * The record just taken was as much work as `bytes` bytes of data: after too much of that
 * the loop gets its turn before the next one. To be called from within record().
 */
void ferry_channel_worked(struct ferry_channel *channel, uint64_t bytes);
/* Goes on with an input that rests. */
void ferry_channel_resume(struct ferry_channel *channel);
/* Bytes received / given to the socket since the beginning. */
uint64_t ferry_channel_received(const struct ferry_channel *channel);
uint64_t ferry_channel_sent(const struct ferry_channel *channel);

#endif
