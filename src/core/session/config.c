/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/session/config.h"

#define NS_PER_MS 1000000u

int ferry_session_config_check(const struct ferry_session_config *config)
{
    if (config->device_count == 0 || config->device_count > FERRY_SESSION_DEVICES_MAX ||
        config->arbiter > FERRY_ARBITER_SHARED) {
        return FERRY_E_ARGUMENT;
    }
    for (uint32_t i = 0; i < config->device_count; i++) {
        const struct ferry_session_device *device = &config->device[i];

        if (!(device->features & FERRY_MIG_STOP_COPY) || device->features > 7 ||
            (device->reaches_peer && device->peer >= config->device_count)) {
            return FERRY_E_ARGUMENT;
        }
    }
    return FERRY_OK;
}

static void fill(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

void ferry_session_config_fill(struct ferry_session_config *config)
{
    fill(&config->max_downtime_ns, 300ull * NS_PER_MS);
    fill(&config->deadline_ns, 60000ull * NS_PER_MS);
    fill(&config->stop_deadline_ns, 10000ull * NS_PER_MS);
    fill(&config->arc_limit_ns, 5000ull * NS_PER_MS);
    fill(&config->peer_limit_ns, 10000ull * NS_PER_MS);
    fill(&config->rate_bytes_per_s, 1000000000u);
    fill(&config->load_rate_bytes_per_s, 2000000000u);
    fill(&config->overhead_ns, NS_PER_MS);
}
