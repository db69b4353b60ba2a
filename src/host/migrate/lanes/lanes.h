/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MIGRATE_LANES_LANES_H
#define FERRY_HOST_MIGRATE_LANES_LANES_H

#include "core/stream/payload.h"
#include "host/channel/channel.h"
#include "os/loop.h"
#include "os/socket.h"

/*
 * The connections of one migration (docs/spec/stream.md, section 6): lane 0 is the first
 * one, over which everything is decided; the others carry data only. lanes.c has what
 * both sides need, lanes_send.c a source's, lanes_receive.c a target's half. Thread: the
 * loop's thread only.
 */
struct ferry_run;

#define FERRY_LANES_MAX FERRY_STREAM_CONNECTIONS_MAX
/* A lane that is not attached by then never will be. */
#define FERRY_LANES_ATTACH_NS 2000000000u
/* A lane was lost: so long lane 0 may still say why. */
#define FERRY_LANES_WORD_NS 200000000u
/* The address has answered just now: longer, and it is left alone. */
#define FERRY_LANES_CONNECT_MS 1000u

enum ferry_lane_state {
    FERRY_LANE_FREE = 0,
    FERRY_LANE_GREETING, /* ATTACH was sent and not answered, or has not come */
    FERRY_LANE_READY,    /* attached; used from the next barrier on */
    FERRY_LANE_MEMBER,
    FERRY_LANE_DEAD, /* to be destroyed by the loop */
    FERRY_LANE_LOST  /* was a member and has nothing to carry any more */
};

struct ferry_lane {
    struct ferry_run *run;
    struct ferry_channel *channel;
    uint32_t state;       /* enum ferry_lane_state */
    uint32_t number;      /* as in ATTACH */
    uint32_t waiting;     /* target: 1: it has got to the next barrier */
    uint32_t passing;     /* target: number of the barrier that it may leave; 0: none */
    uint64_t drain_until; /* channel position of a round's end */
};

struct ferry_lanes {
    uint32_t wanted;  /* source: to be asked for; target: the most that it takes */
    uint32_t asked;   /* target: what the source would like; 0: it did not ask */
    uint32_t count;   /* agreed, lane 0 included; 0: there is only that */
    uint32_t opened;  /* source: lanes that were tried */
    uint32_t open;    /* 1: lanes may still be attached */
    uint32_t barrier; /* number of the last one: sent, or passed */
    uint32_t members; /* bit per number that takes part */
    uint32_t barrier_members; /* target: of the next one, as lane 0 said; 0: not yet */
    uint8_t secret[FERRY_STREAM_SECRET_BYTES];
    struct ferry_os_address address; /* source; family 0: none */
    struct ferry_lane lane[FERRY_LANES_MAX];
    struct ferry_loop_idle worker; /* connects, and destroys what is dead */
    struct ferry_loop_timer attach_timer, word_timer;
    struct ferry_error word; /* how the lost lane ended */
};

/* --- lanes.c --- */

/* Lane 0 is run->channel. */
void ferry_lanes_init(struct ferry_run *run);
/* All but lane 0, which is sent what its socket takes. */
void ferry_lanes_free(struct ferry_run *run);
/* A connected socket, owned, becomes a lane that is to be attached. NULL: closed. */
struct ferry_lane *ferry_lanes_add(struct ferry_run *run, uint32_t slot, int fd);
/* From a sink: the lane is destroyed by the loop. */
void ferry_lanes_drop(struct ferry_lane *lane);
/* No more lanes from here on: those that are not attached are closed. */
void ferry_lanes_close_door(struct ferry_run *run);
/* CONNECTIONS has come. */
int ferry_lanes_receive(struct ferry_run *run, const uint8_t *payload, size_t bytes,
                        struct ferry_error *reterr);
/* A lane is lost, and with it the link. */
void ferry_lanes_lost(struct ferry_run *run, const struct ferry_error *error);
void ferry_lanes_flush(struct ferry_run *run);
void ferry_lanes_drop_data(struct ferry_run *run);
uint32_t ferry_lanes_used(const struct ferry_run *run);

/* --- lanes_send.c --- */

void ferry_lanes_put_hello(struct ferry_run *run);
/* Connects to one more. Return: 1 while there is more to do. */
int ferry_lanes_connect(struct ferry_run *run);
/* ATTACH was answered. */
int ferry_lanes_attached(struct ferry_lane *lane, const struct ferry_stream_attach *came,
                         struct ferry_error *reterr);
/* What is queued from here on comes behind all that was; takes in lanes that are ready.
 */
void ferry_lanes_barrier(struct ferry_run *run);
/* For a record of data: the lane of a device; the one for the next pages. */
struct ferry_channel *ferry_lanes_of_device(struct ferry_run *run, uint32_t device);
struct ferry_channel *ferry_lanes_of_memory(struct ferry_run *run);
/* 1 while pages may be queued; when 0, room() follows. */
int ferry_lanes_room(struct ferry_run *run);
/* Marks what is queued now; 1 once it has left (when 0, room() follows). */
void ferry_lanes_drain(struct ferry_run *run);
int ferry_lanes_drained(struct ferry_run *run);
/* No limit of bandwidth any more. */
void ferry_lanes_unlimit(struct ferry_run *run);

/* --- lanes_receive.c --- */

/* Before ACCEPT: tells how many are taken, and opens the door for them. */
void ferry_lanes_put_accept(struct ferry_run *run);
/* 1 while the listener's connections may be lanes of this run. */
int ferry_lanes_listening(const struct ferry_run *run);
/* Somebody has connected meanwhile. fd: owned. */
void ferry_lanes_accept(struct ferry_run *run, int fd);
/* ATTACH has come. */
int ferry_lanes_attach(struct ferry_lane *lane, const struct ferry_stream_attach *came,
                       struct ferry_error *reterr);
/*
 * A lane has got to a barrier. Return: FERRY_OK when all have; FERRY_E_AGAIN: it rests;
 *   FERRY_E_PROTOCOL (STR-CON-2).
 */
int ferry_lanes_at_barrier(struct ferry_lane *lane, const uint8_t *payload,
                           struct ferry_error *reterr);
/* Goes on with every lane that rests. */
void ferry_lanes_resume(struct ferry_run *run);

#endif
