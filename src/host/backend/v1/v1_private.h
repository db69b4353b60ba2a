/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_V1_V1_PRIVATE_H
#define FERRY_HOST_BACKEND_V1_V1_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/v1/region.h"
#include "host/backend/v1/v1.h"
#include "os/loop.h"
#include "os/memory.h"

/*
 *   v1.c        the backend: one job at a time, the others wait
 *   v1_find.c   opening: the region, its mappable parts, what the device announces
 *   v1_state.c  GET_STATE, SET_STATE, RESET
 *   v1_data.c   DATA_READ, DATA_WRITE, PRECOPY_INFO
 *
 * A job is a chain of steps. Each step either asks one request below and names the next
 * step, or ends the job. The same steps serve call() (which waits for each answer) and
 * submit() (where the answers come in dispatch).
 */

#define V1_LAYER "host"
/* A step's result: v1->sub is to be asked, then v1->step goes on. */
#define V1_ASK 2
/* What a transaction may have that does not fit into the reader's memory. */
#define V1_KEPT_MAX (64u << 20)
/* What a section holds at least when a write is split: else a device could have it done
 * byte by byte. */
#define V1_ROOM_MIN 4096u
/* Transactions of a stopped device in a row that do not bring pending_bytes down. */
#define V1_STALLED_MAX 4096u

struct backend_v1;
typedef int v1_step_fn(struct backend_v1 *v1, int status);

struct backend_v1 {
    struct ferry_backend base;
    struct ferry_backend *below;

    pthread_mutex_t lock; /* guards the four lines below */
    pthread_cond_t freed;
    uint32_t busy, waits; /* a job runs; its thread waits for each answer (call) */
    struct ferry_request *queue_head, **queue_tail; /* jobs that wait */
    struct ferry_request *done_head, **done_tail;   /* for dispatch to complete */
    int event_fd;
    uint32_t dead; /* closing: no job begins any more */

    /* Only used in dispatch. */
    struct ferry_loop *loop; /* NULL until the descriptor is asked for */
    struct ferry_watch event_watch, below_watch;

    /* Found out at the opening. */
    struct ferry_region_info region;                 /* fd: own */
    struct ferry_os_map map[FERRY_SPARSE_AREAS_MAX]; /* size 0: by requests */
    uint32_t identified, any_chunks, implicit_quiesce;

    /* The rest belongs to whoever runs the job. */
    struct ferry_request *job;
    struct ferry_request sub;
    struct ferry_error sub_error;
    v1_step_fn *step;
    uint8_t bytes[8]; /* of one register */

    /* device_state, as last seen; known 0: somebody else may have written it. */
    uint32_t bits, state;
    atomic_uint known;   /* raw writes come from any thread */
    atomic_uint foreign; /* one came: what is known of the data is void */
    uint32_t asked;      /* the job under way reads device_state before it begins */
    /* The user asked for STOP after a load and the device takes only what version 1
     * draws, RUNNING: it stays in RESUMING until then, and is told to be in STOP. */
    atomic_uint halted;
    /* SET_STATE: what is written in turn. */
    uint32_t plan[FERRY_STATE_COUNT + 1], plan_count, plan_next;
    int32_t write_status;
    struct ferry_error write_error;

    /* The transaction that is being moved. */
    uint64_t data_off, data_size, moved;
    uint8_t *data;
    uint32_t writing;
    v1_step_fn *moved_all;
    uint64_t taken; /* DATA_WRITE: bytes that the device has consumed */

    uint32_t open;  /* data_size was read, and not yet all of the data */
    uint32_t ended; /* STOP_COPY: pending_bytes was 0 */
    uint64_t pending, pending_least;
    uint32_t stalled;
    /* A transaction that was longer than its reader's memory. */
    uint8_t *kept;
    uint64_t kept_size, kept_given;
};

/* One register, into v1->bytes or from value; the next step sees the status. */
int ferry_v1_read(struct backend_v1 *v1, uint64_t off, uint32_t count, v1_step_fn *next);
int ferry_v1_write(struct backend_v1 *v1, uint64_t off, uint32_t count, uint64_t value,
                   v1_step_fn *next);
/* What the last ferry_v1_read() gave. */
uint64_t ferry_v1_value(const struct backend_v1 *v1);

/* Ends the job because of a request below. what: "pending_bytes". Return: status. */
int ferry_v1_failed(struct backend_v1 *v1, int status, const char *what);
/* Ends the job because of what the region said. Return: FERRY_E_PROTOCOL. */
int ferry_v1_lies(struct backend_v1 *v1, const char *what, uint64_t value);

/* v1_state.c: takes in a device_state that was read, and forgets a session that somebody
 * else interfered with. Return: FERRY_OK, FERRY_E_PROTOCOL. */
int ferry_v1_take_state(struct backend_v1 *v1, uint32_t bits);

/* First steps of the jobs. */
v1_step_fn ferry_v1_get_state, ferry_v1_set_state, ferry_v1_reset;
v1_step_fn ferry_v1_data_read, ferry_v1_data_write, ferry_v1_precopy_info;

/* v1_data.c: no transaction is under way any more, and none has been. */
void ferry_v1_forget_data(struct backend_v1 *v1);

/* v1_find.c */
void ferry_v1_unmap(struct backend_v1 *v1);
/* v1.c: below is not closed on failure. */
int ferry_v1_create(struct ferry_backend *below, struct backend_v1 **ret_v1);
void ferry_v1_destroy(struct backend_v1 *v1);

#endif
