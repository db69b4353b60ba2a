/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MIGRATE_PIPE_H
#define FERRY_HOST_MIGRATE_PIPE_H

#include "os/loop.h"
#include "wire/frame.h"

/*
 * A device's data over a descriptor of its own (docs/vfio-user-extensions.md, `data_fd`)
 * instead of messages: pipe.c opens and closes it, send_pipe.c and receive_pipe.c move
 * the bytes straight between it and the buffers of the channel's records.
 * Thread: the loop's thread only.
 */
struct ferry_op;
struct iovec;
struct ferry_run;

struct ferry_run_pipe {
    struct ferry_watch watch;
    uint32_t open;
    uint32_t device;
    struct ferry_run *run;
    uint64_t session;
    struct ferry_frame_stream in, out;
    uint8_t head[FERRY_FRAME_BYTES]; /* of the frame that comes in */
    size_t head_got;
    uint8_t told[FERRY_FRAME_BYTES]; /* of the frame that goes out */
    size_t told_bytes, told_at;
    /* source */
    uint32_t wanted;         /* 1: a WANT is open */
    uint32_t left;           /* bytes of a DATA that are still to come */
    uint32_t want_bytes;     /* of the record that is being filled */
    struct ferry_op *buffer; /* that record */
    size_t got;
    /* target */
    uint32_t sync_open;
    uint64_t sync_bytes; /* DATA before the SYNC */
    uint64_t taken;      /* bytes that the device has taken, as it said */
};

/* pipe.c */

/*
 * The device has come to a state with data: asks for a descriptor, then calls over(),
 * also when there is none and the data goes by messages.
 */
void ferry_run_pipe_open(struct ferry_run *run, uint32_t device,
                         void (*over)(struct ferry_run *run, uint32_t device));
void ferry_run_pipe_close(struct ferry_run *run, uint32_t device);
/* Asks the loop for these events; 0: none at all. */
void ferry_run_pipe_watch(struct ferry_run_pipe *pipe, uint32_t events);
/*
 * Sends a frame's head and the bytes behind it (data: those that have not left yet).
 * Return: FERRY_OK; FERRY_E_AGAIN; another code: the descriptor is of no more use.
 */
int ferry_run_pipe_put(struct ferry_run_pipe *pipe, const uint8_t *data, size_t bytes,
                       size_t *ret_data_sent);
/* The next frame that goes out; the one before has left. */
void ferry_run_pipe_tell(struct ferry_run_pipe *pipe, uint32_t kind, uint32_t length);
/* Receives what is there. Return: bytes; FERRY_E_AGAIN; FERRY_E_DEVICE: the device has
 * closed the descriptor. */
int ferry_run_pipe_receive(const struct ferry_run_pipe *pipe, const struct iovec *iov,
                           size_t count, struct ferry_error *reterr);
/*
 * Takes the rest of a frame's head in. Return: FERRY_OK and *ret_frame; FERRY_E_AGAIN;
 * another code: the descriptor is of no more use.
 */
int ferry_run_pipe_hear(struct ferry_run_pipe *pipe, struct ferry_frame *ret_frame,
                        struct ferry_error *reterr);

/* send_pipe.c: what send_data.c does by messages. */
void ferry_run_pipe_want(struct ferry_run *run, uint32_t device);
void ferry_run_pipe_read(struct ferry_run *run, uint32_t device);

/* receive_pipe.c. Return: 1 when a record has left. */
int ferry_run_pipe_write(struct ferry_run *run, uint32_t device);
/* Has the device taken everything that was written? Asks it when that is not known. */
int ferry_run_pipe_taken(struct ferry_run *run, uint32_t device);

#endif
