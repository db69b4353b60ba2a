/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/clock.h"

#include <errno.h>
#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec now = { 0, 0 };

    /* Neither clock can fail on Linux. */
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * FERRY_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t ferry_os_now_ns(void)
{
    uint64_t now = read_clock(CLOCK_MONOTONIC);

    /* 0 means "not armed" to timers. */
    return now == 0 ? 1 : now;
}

uint64_t ferry_os_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

void ferry_os_sleep_ns(uint64_t duration_ns)
{
    uint64_t end = ferry_os_now_ns() + duration_ns;
    struct timespec until = {
        .tv_sec = (time_t)(end / FERRY_NS_PER_S),
        .tv_nsec = (long)(end % FERRY_NS_PER_S),
    };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
    }
}
