/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "bridge/device/device.h"
#include "bridge/device/link.h"
#include "bridge/iommu/iommu.h"
#include "bridge/preload/service.h"
#include "bridge/say.h"
#include "link/hello/version.h"
#include "os/clock.h"
#include "os/socket.h"

/*
 * The client may be exchanged for another (reopen) only while nobody is inside it. Who
 * finds a connection dead says so; the device hears of it on the service thread, which
 * holds no lock of the parts above: these may be waiting in a call with theirs held.
 */
/* A server that has just lost its client may not know it yet. */
#define BUSY_MS 500u
#define BUSY_STEP_MS 20u

/* Stays until the link's end: callers hold no lock while they read it. */
struct agreement {
    struct ferry_link_version version;
    struct agreement *before;
};

struct bridge_link {
    struct bridge_device *device;
    _Atomic(struct agreement *) agreed;
    pthread_mutex_t lock;
    pthread_cond_t empty;        /* users fell to 0 */
    struct ferry_client *client; /* NULL: there is none */
    uint32_t users;              /* threads inside it */
    uint32_t served;             /* 1: the service thread watches it */
    uint32_t told;               /* 1: the device knows that it is dead */
    atomic_uint dead;
    _Atomic(uint64_t) until_ns; /* of bridge_link_limit(); 0: none */
    atomic_uint generation;
};

static int dma_read(void *user, uint64_t iova, void *ret_data, size_t size)
{
    return bridge_iommu_dma((struct bridge_device *)user, iova, ret_data, size, 0);
}

static int dma_write(void *user, uint64_t iova, const void *data, size_t size)
{
    /* Read from only, as is_write says. */
    return bridge_iommu_dma((struct bridge_device *)user, iova, (void *)(uintptr_t)data,
                            size, 1);
}

static int connect_server(struct bridge_link *link, struct ferry_error *reterr)
{
    struct bridge_device *device = link->device;
    const struct ferry_client_options options = {
        .struct_size = sizeof(options),
        .timeout_ms = device->token.timeout_ms,
        .memory = { .dma_read = dma_read, .dma_write = dma_write, .user = device },
        .dispatcher = 1,
        .late_is_dead = 1,
    };
    const uint64_t until = ferry_os_now_ns() + BUSY_MS * FERRY_NS_PER_MS;
    struct ferry_client *client = NULL;
    struct agreement *agreed;
    int rc = ferry_client_connect(device->token.path, &options, &client, reterr);

    while (rc == FERRY_E_BUSY && ferry_os_now_ns() < until) {
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, BUSY_STEP_MS);
        rc = ferry_client_connect(device->token.path, &options, &client, reterr);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    agreed = malloc(sizeof(*agreed));
    if (!agreed) {
        ferry_client_close(client);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "bridge", NULL, 0,
                               "out of memory");
    }
    agreed->version = *ferry_client_agreed(client);
    agreed->before = atomic_load(&link->agreed);
    atomic_store(&link->agreed, agreed);
    pthread_mutex_lock(&link->lock);
    link->client = client;
    link->told = 0;
    atomic_store(&link->dead, 0);
    atomic_fetch_add(&link->generation, 1);
    pthread_mutex_unlock(&link->lock);
    rc = bridge_service_add(link);
    link->served = rc == 0;
    if (rc != 0) {
        return ferry_error_set(reterr, FERRY_E_IO, "bridge", NULL, 0,
                               "the bridge's thread cannot be started");
    }
    return FERRY_OK;
}

/* Everybody leaves the client, and it goes. */
static void drop_client(struct bridge_link *link)
{
    struct ferry_client *client;
    int tell;

    pthread_mutex_lock(&link->lock);
    atomic_store(&link->dead, 1);
    client = link->client;
    if (client) {
        ferry_client_abort(client, "the bridge gave it up");
    }
    pthread_mutex_unlock(&link->lock);
    if (link->served) {
        bridge_service_remove(link);
        link->served = 0;
    }
    pthread_mutex_lock(&link->lock);
    while (link->users > 0) {
        pthread_cond_wait(&link->empty, &link->lock);
    }
    link->client = NULL;
    tell = client != NULL && !link->told;
    link->told = 1;
    pthread_mutex_unlock(&link->lock);
    ferry_client_close(client);
    if (tell) {
        bridge_device_lost(link->device);
    }
}

int bridge_link_open(struct bridge_device *device, struct bridge_link **ret_link,
                     struct ferry_error *reterr)
{
    struct bridge_link *link = calloc(1, sizeof(*link));
    int rc;

    if (!link) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "bridge", NULL, 0,
                               "out of memory");
    }
    link->device = device;
    pthread_mutex_init(&link->lock, NULL);
    pthread_cond_init(&link->empty, NULL);
    rc = connect_server(link, reterr);
    if (rc != FERRY_OK) {
        bridge_link_close(link);
        return rc;
    }
    *ret_link = link;
    return FERRY_OK;
}

void bridge_link_close(struct bridge_link *link)
{
    struct agreement *agreed;
    struct agreement *before;

    if (!link) {
        return;
    }
    bridge_link_give_up(link);
    for (agreed = atomic_load(&link->agreed); agreed; agreed = before) {
        before = agreed->before;
        free(agreed);
    }
    pthread_cond_destroy(&link->empty);
    pthread_mutex_destroy(&link->lock);
    free(link);
}

int bridge_link_reopen(struct bridge_link *link, struct ferry_error *reterr)
{
    int rc;

    if (!bridge_link_dead(link)) {
        return FERRY_OK;
    }
    drop_client(link);
    rc = connect_server(link, reterr);
    if (rc != FERRY_OK) {
        bridge_link_give_up(link);
    }
    return rc;
}

void bridge_link_give_up(struct bridge_link *link)
{
    pthread_mutex_lock(&link->lock);
    link->told = 1;
    pthread_mutex_unlock(&link->lock);
    drop_client(link);
}

static struct ferry_client *enter(struct bridge_link *link, int dead_too)
{
    struct ferry_client *client = NULL;

    pthread_mutex_lock(&link->lock);
    if (link->client && (dead_too || !atomic_load(&link->dead))) {
        client = link->client;
        link->users++;
    }
    pthread_mutex_unlock(&link->lock);
    return client;
}

static void leave(struct bridge_link *link)
{
    pthread_mutex_lock(&link->lock);
    if (--link->users == 0) {
        pthread_cond_broadcast(&link->empty);
    }
    pthread_mutex_unlock(&link->lock);
}

/* A call failed: is it the connection? */
static void look(struct bridge_link *link, struct ferry_client *client)
{
    struct ferry_error error;

    ferry_client_error(client, &error);
    if (error.code == FERRY_OK || atomic_exchange(&link->dead, 1)) {
        return;
    }
    bridge_say(
        link->device,
        "the device's server is lost (%s): everything fails until a reset finds it "
        "at %s again",
        error.text, link->device->token.path);
}

static int is_late(struct bridge_link *link)
{
    const uint64_t until = atomic_load(&link->until_ns);

    return until != 0 && ferry_os_now_ns() > until;
}

int bridge_link_call(struct bridge_link *link, struct ferry_request *request)
{
    struct ferry_client *client = enter(link, 0);
    int late;
    int rc;

    if (!client) {
        return request->status = FERRY_E_CLOSED;
    }
    rc = ferry_client_call(client, request);
    late = is_late(link);
    if (late) {
        ferry_client_abort(client, "it takes too long to be set up");
    }
    if (rc < 0 || late) {
        look(link, client);
    }
    leave(link);
    return rc;
}

int bridge_link_submit(struct bridge_link *link, struct ferry_request *request)
{
    struct ferry_client *client = enter(link, 0);
    int rc;

    if (!client) {
        return request->status = FERRY_E_CLOSED;
    }
    rc = ferry_client_submit(client, request);
    if (rc < 0) {
        look(link, client);
    }
    leave(link);
    return rc;
}

void bridge_link_check(struct bridge_link *link)
{
    struct ferry_client *client = enter(link, 0);

    if (client) {
        look(link, client);
        leave(link);
    }
}

int bridge_link_post(struct bridge_link *link, uint32_t region, uint64_t off,
                     const void *data, uint32_t count)
{
    struct ferry_request request;

    request.kind = FERRY_RQ_REGION_WRITE;
    request.done = NULL;
    request.reterr = NULL;
    request.u.io.index = region;
    request.u.io.count = count;
    request.u.io.off = off;
    request.u.io.data = (void *)(uintptr_t)data; /* only read */
    request.u.io.posted = 1;
    /* Over once it has left: the socket takes it at once, or this thread waits for it. */
    return bridge_link_call(link, &request);
}

void bridge_link_condemn(struct bridge_link *link, const char *why)
{
    struct ferry_client *client = enter(link, 0);

    if (client) {
        ferry_client_abort(client, why);
        look(link, client);
        leave(link);
    }
}

void bridge_link_limit(struct bridge_link *link, uint64_t limit_ms)
{
    atomic_store(&link->until_ns,
                 limit_ms == 0 ? 0 : ferry_os_now_ns() + limit_ms * FERRY_NS_PER_MS);
}

int bridge_link_dead(const struct bridge_link *link)
{
    return atomic_load(&link->dead) != 0;
}

uint32_t bridge_link_generation(const struct bridge_link *link)
{
    return atomic_load(&link->generation);
}

const struct ferry_link_version *bridge_link_agreed(const struct bridge_link *link)
{
    return &atomic_load(&link->agreed)->version;
}

uint32_t bridge_link_max_data(const struct bridge_link *link)
{
    return bridge_link_agreed(link)->max_data_xfer_bytes;
}

uint32_t bridge_link_max_fds(const struct bridge_link *link)
{
    const uint32_t count = bridge_link_agreed(link)->max_msg_fds;

    return count < FERRY_REQUEST_FDS_MAX ? count : FERRY_REQUEST_FDS_MAX;
}

int bridge_link_fd(struct bridge_link *link)
{
    struct ferry_client *client = enter(link, 1);
    int fd = FERRY_E_CLOSED;

    if (client) {
        fd = ferry_client_fd(client);
        leave(link);
    }
    return fd;
}

void bridge_link_dispatch(struct bridge_link *link)
{
    struct ferry_client *client = enter(link, 1);
    int tell = 0;

    if (!client) {
        return;
    }
    if (ferry_client_dispatch(client) < 0) {
        look(link, client);
        pthread_mutex_lock(&link->lock);
        tell = !link->told;
        link->told = 1;
        pthread_mutex_unlock(&link->lock);
    }
    leave(link);
    if (tell) {
        bridge_device_lost(link->device);
    }
}
