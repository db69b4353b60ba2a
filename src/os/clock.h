/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_CLOCK_H
#define FERRY_OS_CLOCK_H

#include <stdint.h>

#define FERRY_NS_PER_MS 1000000u
#define FERRY_NS_PER_S 1000000000u

/* Nanoseconds of the monotonic clock; never 0. Thread: any. */
uint64_t ferry_os_now_ns(void);

/* Nanoseconds since 1970 of the wall clock, for names and records only. Thread: any. */
uint64_t ferry_os_wall_ns(void);

/* Sleeps at least that long (signals do not shorten it). Thread: any. */
void ferry_os_sleep_ns(uint64_t duration_ns);

#endif
