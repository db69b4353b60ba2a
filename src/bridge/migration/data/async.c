/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bridge/migration/inside.h"
#include "os/clock.h"

enum stage { IDLE = 0, BUSY, OVER };

struct bridge_async {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    enum stage stage;
    int abandoned; /* 1: done() frees it */
    size_t cap;
    uint8_t *data;
    struct ferry_request request;
};

struct bridge_async *bridge_async_new(size_t cap)
{
    struct bridge_async *async = calloc(1, sizeof(*async));
    pthread_condattr_t attributes;

    if (!async) {
        return NULL;
    }
    async->cap = cap;
    async->data = malloc(cap);
    if (!async->data) {
        free(async);
        return NULL;
    }
    pthread_mutex_init(&async->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&async->ended, &attributes);
    pthread_condattr_destroy(&attributes);
    return async;
}

static void destroy(struct bridge_async *async)
{
    pthread_cond_destroy(&async->ended);
    pthread_mutex_destroy(&async->lock);
    /* It held a guest's secrets. */
    explicit_bzero(async->data, async->cap);
    free(async->data);
    free(async);
}

void bridge_async_free(struct bridge_async *async)
{
    int busy;

    if (!async) {
        return;
    }
    pthread_mutex_lock(&async->lock);
    busy = async->stage == BUSY;
    async->abandoned = busy;
    pthread_mutex_unlock(&async->lock);
    if (!busy) {
        destroy(async);
    }
}

uint8_t *bridge_async_data(struct bridge_async *async)
{
    return async->data;
}

static void on_done(struct ferry_request *request)
{
    struct bridge_async *async = request->user;
    int abandoned;

    pthread_mutex_lock(&async->lock);
    async->stage = OVER;
    abandoned = async->abandoned;
    pthread_cond_signal(&async->ended);
    pthread_mutex_unlock(&async->lock);
    if (abandoned) {
        destroy(async);
    }
}

void bridge_async_start(struct bridge_async *async, struct bridge_link *link,
                        uint32_t kind, size_t bytes)
{
    int rc;

    memset(&async->request, 0, sizeof(async->request));
    async->request.kind = kind;
    async->request.u.data.data = async->data;
    async->request.u.data.size = bytes;
    async->request.done = on_done;
    async->request.user = async;
    async->stage = BUSY;
    rc = bridge_link_submit(link, &async->request);
    if (rc != FERRY_PENDING) {
        async->stage = OVER;
        async->request.status = rc;
    }
}

int bridge_async_started(struct bridge_async *async)
{
    int started;

    pthread_mutex_lock(&async->lock);
    started = async->stage != IDLE;
    pthread_mutex_unlock(&async->lock);
    return started;
}

/* Locked. Return: FERRY_OK or FERRY_E_TIMEOUT. */
static int await(struct bridge_async *async, uint32_t limit_ms)
{
    uint64_t end_ns = ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;
    struct timespec end = { .tv_sec = (time_t)(end_ns / FERRY_NS_PER_S),
                            .tv_nsec = (long)(end_ns % FERRY_NS_PER_S) };
    int rc = FERRY_OK;

    while (async->stage == BUSY && rc == FERRY_OK) {
        rc = pthread_cond_timedwait(&async->ended, &async->lock, &end) ? FERRY_E_TIMEOUT
                                                                       : FERRY_OK;
    }
    return async->stage == BUSY ? rc : FERRY_OK;
}

void bridge_async_settle(struct bridge_async *async, uint32_t limit_ms)
{
    pthread_mutex_lock(&async->lock);
    (void)await(async, limit_ms);
    pthread_mutex_unlock(&async->lock);
}

int bridge_async_wait(struct bridge_async *async, uint32_t limit_ms, size_t *ret_got)
{
    int rc;

    *ret_got = 0;
    pthread_mutex_lock(&async->lock);
    rc = await(async, limit_ms);
    if (async->stage == OVER) {
        rc = async->request.status;
        if (rc == FERRY_OK && async->request.u.data.got > async->cap) {
            rc = FERRY_E_PROTOCOL; /* no bytes would be the end */
        }
        *ret_got = rc == FERRY_OK ? (size_t)async->request.u.data.got : 0;
        async->stage = IDLE;
    }
    pthread_mutex_unlock(&async->lock);
    return rc;
}
