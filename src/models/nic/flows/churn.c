/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/flows/flows_private.h"

#define SECOND_NS 1000000000ull
#define FILL_PAGES 128u /* that a call fills: some 100 us */
#define SLICE_PAGES 256u
#define LATE_NS (SECOND_NS / 10) /* what was missed beyond that is not made up for */
#define SCATTER 0x9e3779b1ull    /* odd: every page once in each round */

/* One flow more or one frame more, in the page whose turn it is. */
static void touch(struct nic_flows *flows)
{
    const uint64_t turn = flows->state.churned++;
    const uint64_t page = turn * SCATTER & (flows->pages - 1);
    const uint64_t round = turn / flows->pages;
    /* The upper half of a hash says in which bucket it lies: flows.c. */
    const uint64_t bucket = page * (NIC_FLOWS_PAGE / NIC_FLOW_BYTES / NIC_FLOW_PROBES) +
                            round % (NIC_FLOWS_PAGE / NIC_FLOW_BYTES / NIC_FLOW_PROBES);

    nic_flows_count_hash(flows, bucket << 32 | (round / 64 % 16 + 1), 64, 0);
}

int nic_flows_churn(struct nic_flows *flows, uint32_t percent, uint64_t now_ns)
{
    uint64_t elapsed = now_ns - flows->churn_ns;
    uint32_t done = 0;

    if (percent == 0) {
        return 0;
    }
    flows->churn_ns = now_ns;
    if (flows->state.churned < flows->pages) {
        flows->churn_owed = 0;
        while (done < FILL_PAGES && flows->state.churned < flows->pages) {
            touch(flows);
            done++;
        }
        return 1;
    }
    elapsed = elapsed < LATE_NS ? elapsed : LATE_NS;
    flows->churn_owed += elapsed * flows->pages / 100 * percent;
    while (done < SLICE_PAGES && flows->churn_owed >= SECOND_NS) {
        touch(flows);
        flows->churn_owed -= SECOND_NS;
        done++;
    }
    return flows->churn_owed >= SECOND_NS;
}
