/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/flows/timer.h"

#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 5000000

struct nic_flow_timer {
    struct nic_flows *flows;
    struct ferry_device *device;
    uint32_t percent;
    int fd;
};

static void tick(void *user, uint32_t events)
{
    const struct nic_flow_timer *timer = user;
    uint64_t count;

    (void)events;
    if (read(timer->fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
        ferry_device_schedule(timer->device);
    }
}

int nic_flow_timer_create(struct nic_flows *flows, struct ferry_device *device,
                          uint32_t percent, struct nic_flow_timer **ret_timer)
{
    const struct itimerspec period = { .it_interval = { .tv_nsec = TICK_NS },
                                       .it_value = { .tv_nsec = TICK_NS } };
    struct nic_flow_timer *timer = calloc(1, sizeof(*timer));
    int status = FERRY_E_IO;

    if (timer == NULL) {
        return FERRY_E_MEMORY;
    }
    timer->flows = flows;
    timer->device = device;
    timer->percent = percent;
    timer->fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (timer->fd >= 0 && timerfd_settime(timer->fd, 0, &period, NULL) == 0) {
        status =
            ferry_device_watch(device, timer->fd, FERRY_DEVICE_READABLE, tick, timer);
    }
    if (status != FERRY_OK) {
        nic_flow_timer_destroy(timer);
        return status;
    }
    *ret_timer = timer;
    return FERRY_OK;
}

void nic_flow_timer_destroy(struct nic_flow_timer *timer)
{
    if (timer == NULL) {
        return;
    }
    if (timer->fd >= 0) {
        ferry_device_unwatch(timer->device, timer->fd);
        (void)close(timer->fd);
    }
    free(timer);
}

int nic_flow_timer_work(struct nic_flow_timer *timer)
{
    struct timespec now;
    uint32_t state;

    if (timer == NULL) {
        return 0;
    }
    state = ferry_device_state(timer->device);
    if (state != FERRY_STATE_RUNNING && state != FERRY_STATE_PRE_COPY) {
        return 0;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return nic_flows_churn(timer->flows, timer->percent,
                           (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
}
