/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "core/session/config.h"
#include "core/session/source.h"

size_t ferry_source_need(void)
{
    return sizeof(struct ferry_source);
}

int ferry_source_init(struct ferry_source *source,
                      const struct ferry_session_config *config)
{
    int status = ferry_session_config_check(config);

    if (status < 0) {
        return status;
    }
    memset(source, 0, sizeof(*source));
    source->config = *config;
    ferry_session_config_fill(&source->config);
    ferry_group_init(&source->group, &source->config, FERRY_STATE_RUNNING);
    ferry_precopy_init(&source->precopy, &source->config);
    return FERRY_OK;
}

void ferry_source_progress(const struct ferry_source *source,
                           struct ferry_progress *ret_progress)
{
    memset(ret_progress, 0, sizeof(*ret_progress));
    ret_progress->phase = source->phase;
    ret_progress->round = source->precopy.rounds;
    ret_progress->ram_bytes_sent = source->precopy.ram_bytes;
    ret_progress->device_bytes_sent = source->precopy.device_bytes;
    ret_progress->rate_bytes_per_s = source->precopy.rate;
    if (source->precopy.ready) {
        ret_progress->bytes_left = ferry_precopy_left(&source->precopy, &source->config);
        ret_progress->predicted_downtime_ns =
            ferry_precopy_predict(&source->precopy, &source->config);
    }
}

void ferry_source_set_load_rate(struct ferry_source *source, uint64_t bytes_per_s)
{
    if (bytes_per_s != 0) {
        source->precopy.load_rate = bytes_per_s;
    }
}

void ferry_source_set_target_times(struct ferry_source *source, uint32_t device,
                                   uint64_t load_ns, uint64_t run_ns)
{
    if (device >= source->config.device_count) {
        return;
    }
    if (load_ns != 0) {
        source->config.device[device].load_ns = load_ns;
    }
    if (run_ns != 0) {
        source->config.device[device].run_ns = run_ns;
    }
}

uint32_t ferry_source_phase(const struct ferry_source *source)
{
    return source->phase;
}

uint32_t ferry_source_outcome(const struct ferry_source *source)
{
    return source->outcome;
}

int ferry_source_undecided(const struct ferry_source *source)
{
    return source->phase == FERRY_SRC_UNDECIDED;
}
