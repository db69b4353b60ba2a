/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_CLIENT_CLIENT_INSIDE_H
#define FERRY_LINK_CLIENT_CLIENT_INSIDE_H

#include <pthread.h>

#include "link/client/client.h"
#include "link/message/codec.h"
#include "link/message/rx.h"
#include "link/message/tx.h"
#include "link/hello/version.h"
#include "os/loop.h"

/*
 * The inside of the client role, shared by its files:
 *   client.c        options, handshake, close, the user's calls
 *   client_multi.c  several small writes in one message
 *   client_raw.c    messages that nobody judges
 *   client_queue.c  requests under way: slots, sending, ends, time limits
 *   client_read.c   bytes to replies
 *   client_serve.c  the device's DMA messages
 *   client_twin.c   those that come over a socket of their own
 *   client_wait.c   who reads: one thread at a time
 *
 * Lock: `lock` guards everything. The thread that has set `reading` owns rx, intake
 * and the socket's receiving side; it alone touches them, also while it does not hold
 * the lock. Memory of a request of another thread is written to under the lock only,
 * since that thread may give up at any time.
 */

#define FERRY_CLIENT_REQUESTS_MAX 256u /* under way, those given up included */
#define FERRY_CLIENT_RETURNS_MAX 16u   /* DMA replies that the server does not read */
/* Receives per ferry_client_dispatch(), so that it always returns. */
#define FERRY_CLIENT_BATCH 16u
/* A dispatcher without a twin socket looks that often while others read. */
#define FERRY_CLIENT_REST_NS 1000000u

enum ferry_slot_state {
    FERRY_SLOT_FREE = 0,
    FERRY_SLOT_QUEUED, /* not all of it has left */
    FERRY_SLOT_SENT,
    FERRY_SLOT_LATE /* given up; its reply will be dropped */
};

/* A thread in ferry_client_call(). */
struct ferry_waiter {
    struct ferry_waiter *next; /* among those that sleep */
    pthread_cond_t wake;       /* made when it first sleeps */
    int asleep;
    int done; /* the request has ended */
};

struct ferry_slot {
    struct ferry_tx_node node; /* first: a node that has left is its slot */
    struct ferry_request *request;
    struct ferry_waiter *waiter; /* NULL: ended by dispatch */
    struct ferry_slot *next;     /* of the free ones; or of those with a limit */
    struct ferry_slot *before;
    uint64_t deadline_ns;
    uint16_t id;
    uint16_t generation;
    uint32_t state; /* enum ferry_slot_state */
    struct ferry_wire_message asked;
};

/* The reply to a DMA message; one allocation with its data behind it. */
struct ferry_return {
    struct ferry_tx_node node; /* first */
};

/* A reply whose data is still coming. */
struct ferry_intake {
    struct ferry_slot *slot;      /* NULL: nobody wants it any more */
    struct ferry_codec_sink sink; /* what is left */
    uint32_t padding;             /* bytes behind it, to be passed over */
    int active;
    int status; /* with which the request will end */
};

/* The socket for the device's DMA messages alone; the reader owns fd's receiving side. */
struct ferry_client_twin {
    int fd; /* -1: there is none */
    struct ferry_rx rx;
    struct ferry_tx tx; /* of struct ferry_return */
    struct ferry_watch watch;
    int busy; /* a thread is in ferry_client_twin_step() */
};

struct ferry_client {
    pthread_mutex_t lock;
    int fd;
    uint32_t timeout_ms;
    uint64_t spin_ns;
    uint32_t dispatcher, late_is_dead; /* as in the options */
    struct ferry_client_memory memory;
    struct ferry_link_version agreed;
    struct ferry_wire_limits limits;
    struct ferry_identity identity;

    /* What is under way. */
    struct ferry_slot *slot; /* FERRY_CLIENT_REQUESTS_MAX */
    uint32_t slots_used;     /* those from here on were never touched */
    struct ferry_slot *free_slots;
    struct ferry_slot *due_first, *due_last; /* dispatch's requests, oldest first */
    struct ferry_tx tx;
    uint32_t return_count;
    struct ferry_request *done_first, *done_last; /* ended, done is to run */

    /* Receiving. */
    int reading;
    struct ferry_rx rx;
    struct ferry_intake intake;
    struct ferry_client_twin twin;
    struct ferry_waiter *sleepers;

    /* For whoever dispatches. */
    struct ferry_loop *loop;
    struct ferry_watch socket_watch;
    struct ferry_watch wake_watch;
    struct ferry_loop_timer timer;
    struct ferry_loop_timer rest_timer;
    uint32_t reads, reads_seen; /* readers so far, and when dispatch last looked */
    int parked;                 /* the socket's watch is off while another thread reads */
    int collecting;             /* threads in dispatch that will look at the done list */

    /* A data stream without the extension: a short read was its end. */
    uint32_t device_state;
    int stream_over;

    int dead; /* FERRY_OK, or why the connection is over */
    struct ferry_error error;
};

/* client_queue.c; all with the lock held unless said otherwise */

/*
 * Starts a request: answers it here, or sends or queues it.
 * Return: as ferry_client_submit(); with FERRY_PENDING *ret_slot.
 */
int ferry_client_start(struct ferry_client *client, struct ferry_request *request,
                       struct ferry_waiter *waiter, struct ferry_slot **ret_slot);
/* Sends what the socket takes. */
void ferry_client_flush(struct ferry_client *client);
/* Ends a slot's request and frees the slot. */
void ferry_client_end(struct ferry_client *client, struct ferry_slot *slot, int status);
/* The limit ran out. Its reply, if one is still to come, will be dropped. */
void ferry_client_give_up(struct ferry_client *client, struct ferry_slot *slot);
/* Ends dispatch's overdue requests. */
void ferry_client_expire(struct ferry_client *client);
/* Hands a slot's request to whoever waits for it; the slot forgets it. */
void ferry_client_deliver(struct ferry_client *client, struct ferry_slot *slot,
                          int status);
/* 1 when the node is one of the slots', 0 for a reply to a DMA message. */
int ferry_client_owns(const struct ferry_client *client,
                      const struct ferry_tx_node *node);
/* The slot that a reply belongs to, or NULL. */
struct ferry_slot *ferry_client_find(struct ferry_client *client,
                                     const struct ferry_wire_header *header);
/* The connection is over: every request ends. A second call changes nothing. */
void ferry_client_kill(struct ferry_client *client, const struct ferry_error *error);
void ferry_client_kill_text(struct ferry_client *client, int code, const char *text);
/* Makes the descriptor readable. */
void ferry_client_wake(struct ferry_client *client);
/* From now on a request is dispatch's: no thread waits for it. */
void ferry_client_leave(struct ferry_client *client, struct ferry_slot *slot);
/* Lets the descriptor tell what is awaited now. */
void ferry_client_watch(struct ferry_client *client);

/* client_multi.c */

/*
 * Puts a small posted write into the newest message, when that waits and is like it.
 * Return: 1 when its data is in there and the request is over; 0 when it has to be sent.
 */
int ferry_client_join(struct ferry_client *client, const struct ferry_request *request);

/* client_raw.c */

/* The message of a FERRY_RQ_RAW. Return: FERRY_OK, FERRY_E_LIMIT. */
int ferry_client_raw_prepare(struct ferry_slot *slot, const struct ferry_raw *raw);
/*
 * The head of its reply is there; the intake's sink is set to where the rest goes.
 * Return: FERRY_OK, or what an Error reply says.
 */
int ferry_client_raw_take(struct ferry_client *client, struct ferry_request *request,
                          const struct ferry_wire_header *header);

/* client_read.c; the caller is the reader and holds the lock */

/*
 * Takes in what has been received. May release the lock while DMA messages are
 * served.
 */
void ferry_client_process(struct ferry_client *client);
/*
 * One receive without waiting, under the lock.
 * Return: 1 when something came, 0 when nothing was there or the connection is dead.
 */
int ferry_client_receive(struct ferry_client *client);
/* The result of ferry_rx_receive(); direct: bytes that went to the intake's memory. */
int ferry_client_received(struct ferry_client *client, int rc, size_t direct);

/* client_serve.c; the caller is the reader and holds the lock */

/*
 * Serves a command of the server on the main socket.
 * Return: 0 when more has to be received first, or the connection is dead.
 */
int ferry_client_serve(struct ferry_client *client,
                       const struct ferry_wire_header *header);
/*
 * A command of the server on the main socket that is not served; the rest of it is
 * passed over. Return: 0 when the connection is dead.
 */
int ferry_client_refuse(struct ferry_client *client,
                        const struct ferry_wire_header *header, int status);
/* Serves a command that is there wholly, in the twin's buffer; it is consumed. */
void ferry_client_serve_twin(struct ferry_client *client,
                             const struct ferry_wire_header *header);

/* client_twin.c; lock held, except for take and free */

/* 1 when who waits for a reply leaves the twin socket to the dispatcher. */
int ferry_client_leaves_twin(const struct ferry_client *client);

/*
 * Takes the twin socket out of the descriptors of VERSION's reply, when it was agreed on.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (it is not there, or no connected socket),
 *   FERRY_E_MEMORY.
 */
int ferry_client_twin_take(struct ferry_client *client,
                           const struct ferry_link_version *theirs,
                           struct ferry_os_fds *fds, struct ferry_error *reterr);
/* Sends what the socket takes. */
void ferry_client_twin_flush(struct ferry_client *client);
/*
 * Sends and receives once without waiting, as the reader, and serves what came.
 * Return: 1 when something came, 0 when not or the connection is dead.
 */
int ferry_client_twin_step(struct ferry_client *client);
/* The connection is over. */
void ferry_client_twin_end(struct ferry_client *client);
void ferry_client_twin_free(struct ferry_client *client);

/* client_wait.c; lock held */

/* Waits until the waiter's request has ended, or its limit ran out. */
void ferry_client_wait(struct ferry_client *client, struct ferry_slot *slot,
                       struct ferry_waiter *waiter);
/* Stops being the reader: somebody else may have to go on. */
void ferry_client_stop_reading(struct ferry_client *client);
/* Its request has ended. */
void ferry_client_rouse(struct ferry_waiter *waiter);

#endif
