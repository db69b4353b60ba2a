/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CHECK_ACCESS_RACE_RACE_H
#define FERRY_CHECK_ACCESS_RACE_RACE_H

#include <pthread.h>
#include <stdatomic.h>

#include "check/access/access.h"

/*
 * Requests from several threads at once. A backend takes them; check_call() does not,
 * since it keeps the last error. All of it is destructive: the device and what serves it
 * may have bugs.
 */
struct race_worker {
    struct ferry_backend *backend;
    int (*step)(struct race_worker *worker); /* 1: again */
    atomic_uint *go;                         /* starts when it is not 0 */
    atomic_uint *count; /* counts its steps there; UINT32_MAX when it ends */
    atomic_uint *after; /* waits for so many steps of another one's: */
    uint32_t wait_for;
    pthread_t thread;
    uint32_t steps_max;
    /* The step's own. */
    uint8_t *data;
    uint64_t bytes, cap, at, piece;
    uint32_t *piece_bytes; /* of each piece that was read */
    uint32_t pieces, pieces_max;
    uint32_t wanted;  /* a state */
    uint32_t seen;    /* states, as bits */
    uint32_t refused; /* requests */
    int32_t status;   /* of the last one */
};

/* One request of a worker's. */
int race_call(struct race_worker *worker, struct ferry_request *request);
/* Runs them at once and waits for all. Return: 1; 0 with the case BROKEN. */
int race_run(struct check_run *run, struct race_worker *worker, uint32_t count);

/* After whatever happened: the device answers, says a state, and works after a reset. */
void race_survived(struct check_run *run, const char *what);

/* Steps. */
int race_read(struct race_worker *worker);  /* into data, by pieces, to the end */
int race_write(struct race_worker *worker); /* data, by pieces */
int race_set(struct race_worker *worker);   /* SET_STATE to wanted, once */
int race_get(struct race_worker *worker);   /* GET_STATE, over and over */
int race_reset(struct race_worker *worker); /* once */

#endif
