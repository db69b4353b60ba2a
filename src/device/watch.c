/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device_private.h"

static void ready(struct ferry_watch *loop_watch, uint32_t events)
{
    const struct device_watched *watched = loop_watch->user;
    uint32_t seen = 0;

    seen |= (events & FERRY_LOOP_READ) != 0 ? FERRY_DEVICE_READABLE : 0;
    seen |= (events & FERRY_LOOP_WRITE) != 0 ? FERRY_DEVICE_WRITABLE : 0;
    seen |= (events & FERRY_LOOP_HANGUP) != 0 ? FERRY_DEVICE_HANGUP : 0;
    watched->fn(watched->user, seen);
}

/* Return: who watches fd, or (fd -1) a free place; NULL: none. */
static struct device_watched *find(struct ferry_device *device, int fd)
{
    for (uint32_t i = 0; i < FERRY_DEVICE_WATCHES_MAX; i++) {
        struct device_watched *watched = &device->watched[i];

        if (watched->fn == NULL ? fd < 0 : fd == watched->watch.fd) {
            return watched;
        }
    }
    return NULL;
}

int ferry_device_watch(struct ferry_device *device, int fd, uint32_t events,
                       void (*fn)(void *user, uint32_t events), void *user)
{
    const uint32_t wanted =
        ((events & FERRY_DEVICE_READABLE) != 0 ? FERRY_LOOP_READ : 0) |
        ((events & FERRY_DEVICE_WRITABLE) != 0 ? FERRY_LOOP_WRITE : 0);
    struct device_watched *watched;
    int status;

    if (fd < 0 || fn == NULL || wanted == 0 ||
        (events & ~(FERRY_DEVICE_READABLE | FERRY_DEVICE_WRITABLE)) != 0) {
        return FERRY_E_ARGUMENT;
    }
    watched = find(device, fd);
    if (watched != NULL) {
        status = ferry_loop_change(device->loop, &watched->watch, wanted);
    } else {
        watched = find(device, -1);
        if (watched == NULL) {
            return FERRY_E_LIMIT;
        }
        watched->watch = (struct ferry_watch){
            .fd = fd, .events = wanted, .fn = ready, .user = watched
        };
        status = device_watch(device, &watched->watch);
    }
    if (status == FERRY_OK) {
        watched->fn = fn;
        watched->user = user;
    }
    return status;
}

void ferry_device_unwatch(struct ferry_device *device, int fd)
{
    struct device_watched *watched = fd >= 0 ? find(device, fd) : NULL;

    if (watched != NULL) {
        device_unwatch(device, &watched->watch);
        watched->fn = NULL;
    }
}
