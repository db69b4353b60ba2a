/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "models/nic/nic_private.h"

struct teller {
    struct ferry_counter *counter;
    uint32_t cap, count;
};

static void tell(struct teller *teller, const char *name, uint32_t queue, uint64_t value)
{
    const size_t bytes = strlen(name);

    assert(bytes < FERRY_COUNTER_NAME_BYTES);
    if (teller->count < teller->cap) {
        struct ferry_counter *counter = &teller->counter[teller->count++];

        memcpy(counter->name, name, bytes + 1);
        counter->queue = queue;
        counter->value = value;
    }
}

static_assert(NIC_PAIRS_MAX * 10 + 3 <= FERRY_COUNTERS_MAX, "all are told");

int nic_counters_tell(const struct nic *nic, struct ferry_counter *ret_counter,
                      uint32_t cap)
{
    struct teller to = { .counter = ret_counter, .cap = cap };

    for (uint32_t i = 0; i < nic->config.pairs; i++) {
        const struct nic_counters *receive = &nic->receive[i];
        const struct nic_counters *transmit = &nic->transmit[i];

        tell(&to, "rx_frames", i, receive->frames);
        tell(&to, "rx_bytes", i, receive->bytes);
        tell(&to, "rx_dropped", i, receive->dropped);
        tell(&to, "rx_filtered", i, receive->filtered);
        tell(&to, "rx_waiting", i, nic_backlog_waiting(nic->backlog, i));
        tell(&to, "rx_carried", i, nic_backlog_carried(nic->backlog, i));
        tell(&to, "rx_lost", i, nic_backlog_lost(nic->backlog, i));
        tell(&to, "tx_frames", i, transmit->frames);
        tell(&to, "tx_bytes", i, transmit->bytes);
        tell(&to, "tx_dropped", i, transmit->dropped);
    }
    tell(&to, "wire_dropped", FERRY_COUNTER_DEVICE, nic->net->dropped);
    tell(&to, "wire_broken", FERRY_COUNTER_DEVICE, nic->net->broken);
    tell(&to, "wire_connects", FERRY_COUNTER_DEVICE, nic->net->connects);
    return (int)to.count;
}
