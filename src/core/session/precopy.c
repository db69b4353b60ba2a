/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/precopy.h"

#include <string.h>

#define NS_PER_S 1000000000u
/* A round shorter than this says nothing about the rate of the channel. */
#define RATE_MIN_BYTES (1u << 20)
#define RATE_MIN_NS 100000u

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* bytes / rate in nanoseconds, without overflow; a rate of 0 never ends. */
static uint64_t time_of(uint64_t bytes, uint64_t rate)
{
    uint64_t seconds, rest;

    if (rate == 0) {
        return bytes == 0 ? 0 : UINT64_MAX;
    }
    seconds = bytes / rate;
    rest = bytes % rate;
    if (seconds > UINT64_MAX / NS_PER_S) {
        return UINT64_MAX;
    }
    /* rest < rate: scale down together where rest * 1e9 would overflow. */
    while (rest > UINT64_MAX / NS_PER_S) {
        rest >>= 1;
        rate >>= 1;
    }
    return add_saturated(seconds * NS_PER_S, rest * NS_PER_S / rate);
}

static uint64_t max_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void ferry_precopy_init(struct ferry_precopy *precopy,
                        const struct ferry_session_config *config)
{
    memset(precopy, 0, sizeof(*precopy));
    precopy->rate = config->rate_bytes_per_s;
    precopy->load_rate = config->load_rate_bytes_per_s;
}

void ferry_precopy_round_begin(struct ferry_precopy *precopy, uint64_t now_ns)
{
    precopy->round_start_ns = now_ns;
    precopy->round_bytes = 0;
}

void ferry_precopy_round_end(struct ferry_precopy *precopy, uint64_t now_ns)
{
    uint64_t time =
        now_ns > precopy->round_start_ns ? now_ns - precopy->round_start_ns : 0;
    uint64_t bytes = precopy->round_bytes;
    uint64_t rate;

    precopy->rounds++;
    precopy->ready = 1;
    if (bytes < RATE_MIN_BYTES || time < RATE_MIN_NS) {
        return;
    }
    if (bytes > UINT64_MAX / NS_PER_S) {
        bytes = UINT64_MAX / NS_PER_S;
    }
    rate = bytes * NS_PER_S / time;
    /* Half old, half new: one disturbed round does not rule, a real change shows soon. */
    precopy->rate = precopy->rounds == 1 ? rate : precopy->rate / 2 + rate / 2;
}

uint64_t ferry_precopy_left(const struct ferry_precopy *precopy,
                            const struct ferry_session_config *config)
{
    uint64_t left = add_saturated(precopy->ram_dirty_bytes, precopy->other_bytes);

    for (uint32_t i = 0; i < config->device_count; i++) {
        left = add_saturated(left, precopy->stop_bytes[i]);
    }
    return left;
}

uint64_t ferry_precopy_predict(const struct ferry_precopy *precopy,
                               const struct ferry_session_config *config)
{
    uint64_t quiet = 0, stop = 0, load = 0, run = 0, total;
    uint64_t device_bytes = precopy->other_bytes;

    for (uint32_t i = 0; i < config->device_count; i++) {
        const struct ferry_session_device *device = &config->device[i];

        if (device->features & FERRY_MIG_P2P) {
            quiet = max_of(quiet, device->quiet_ns);
        }
        stop = max_of(stop, device->stop_ns);
        load = max_of(load, device->load_ns);
        run = max_of(run, device->run_ns);
        device_bytes = add_saturated(device_bytes, precopy->stop_bytes[i]);
    }
    total = max_of(time_of(ferry_precopy_left(precopy, config), precopy->rate),
                   time_of(device_bytes, precopy->load_rate));
    total = add_saturated(total, quiet);
    total = add_saturated(total, stop);
    total = add_saturated(total, load);
    total = add_saturated(total, run);
    return add_saturated(total, config->overhead_ns);
}
