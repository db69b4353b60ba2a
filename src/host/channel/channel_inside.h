/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_CHANNEL_CHANNEL_INSIDE_H
#define FERRY_HOST_CHANNEL_CHANNEL_INSIDE_H

#include "core/stream/record.h"
#include "host/channel/channel.h"

/* The inside of a channel, shared by channel.c, channel_in.c and channel_out.c. */

#define FERRY_CHANNEL_INPUT_BYTES (64u << 10)
/* Small records share one piece of the queue of this size. */
#define FERRY_CHANNEL_PIECE_BYTES (64u << 10)
/* Bodies up to this size are copied: one long send is cheaper than many short pieces. */
#define FERRY_CHANNEL_COPY_MAX (8u << 10)

enum ferry_channel_want {
    FERRY_CHANNEL_HEADER = 0, /* the next record's header */
    FERRY_CHANNEL_PREFIX,     /* its prefix, then its place */
    FERRY_CHANNEL_BODY        /* the rest of its payload */
};

/* One piece of the output: copied bytes, or a body that is borrowed. */
struct ferry_channel_piece {
    struct ferry_channel_piece *next;
    const uint8_t *data;    /* bytes below, or the body */
    size_t size, sent, cap; /* cap: of copy[]; 0 with a body */
    uint32_t is_data;       /* 1: whole records of data only, may be dropped */
    uint32_t is_body;       /* 1: the end of a record that began in the piece before */
    void (*release)(void *user);
    void *user;
    uint8_t copy[];
};

/* What may leave in a second, of one channel or of several. */
struct ferry_channel_bucket {
    uint64_t limit_bytes_per_s, tokens, tokens_ns;
};

struct ferry_channel {
    struct ferry_loop *loop;
    int fd;
    struct ferry_watch watch;
    const struct ferry_channel_sink *sink;
    void *user;

    /* input */
    uint32_t want;    /* enum ferry_channel_want */
    uint32_t skip;    /* 1: an unknown optional record */
    uint32_t resting; /* 1: place() had no room */
    uint64_t worked;  /* what the sink said of this turn's records */
    uint32_t in_dead, out_dead;
    struct ferry_record record;
    uint64_t record_off, in_bytes;
    size_t prefix_bytes, body_bytes, body_got;
    uint8_t *place;
    uint8_t prefix[FERRY_CHANNEL_PREFIX_MAX];
    uint8_t *input, *scratch;
    size_t input_head, input_tail;
    struct ferry_stream_hash sum;

    /* output */
    struct ferry_channel_piece *first, *last;
    size_t queued;
    uint64_t out_bytes;
    uint32_t want_room; /* 1: room() is due */
    uint32_t flushing;  /* 1: what a release queues is sent by the outer call */
    struct ferry_loop_idle flusher;

    /* bandwidth */
    struct ferry_channel_bucket own, *bucket;
    struct ferry_loop_timer token_timer;

    /* lingering */
    struct ferry_channel **list, *next_lingering;
    struct ferry_loop_timer linger_timer;
};

/* channel_in.c: takes in what is there, bounded. */
void ferry_channel_input(struct ferry_channel *channel);
/* Ends the input. error NULL: lingering, nobody is told. */
void ferry_channel_end_input(struct ferry_channel *channel,
                             const struct ferry_error *error);
/* channel_out.c */
void ferry_channel_free_queue(struct ferry_channel *channel);
/* Copies borrowed bodies that are still to be sent, and releases them. */
void ferry_channel_own_bodies(struct ferry_channel *channel);
/* channel.c: asks the loop for what is wanted now. */
void ferry_channel_watch(struct ferry_channel *channel);

#endif
