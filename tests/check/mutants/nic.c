/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/flows/flows_private.h"
#include "models/nic/nic_private.h"
#include "tests/check/mutants/mutants.h"

/*
 * Faults that a device with a large table of its own, queues and a wire can have, put
 * into the nic itself: what it forgets between an image and the next, what it counts
 * while it stands still, and what a reset leaves in it.
 */
#define NIC "nic,net=echo"
/* More than both buffers hold. */
#define NIC_LARGE "nic,net=echo,flows=8M,flow-churn=10"

static int freezes(uint32_t from, uint32_t to)
{
    return from == FERRY_STATE_PRE_COPY_P2P && to == FERRY_STATE_STOP_COPY;
}

/* -- Images -- */

static int arc_forgets_changes(void *state, struct ferry_device *device, uint32_t from,
                               uint32_t to)
{
    const struct nic *nic = state;

    if (freezes(from, to)) {
        nic_page_set_clear(&nic->flows->changed);
    }
    return mutant_model_ops(state)->arc(state, device, from, to);
}

static void forgets_changes(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->arc = arc_forgets_changes;
}

static int arc_forgets_the_rest(void *state, struct ferry_device *device, uint32_t from,
                                uint32_t to)
{
    const struct nic *nic = state;

    if (freezes(from, to)) {
        nic_page_set_clear(&nic->flows->image);
    }
    return mutant_model_ops(state)->arc(state, device, from, to);
}

static void forgets_the_rest(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->arc = arc_forgets_the_rest;
}

static int save_counts(void *state, struct ferry_device *device, void *ret_data,
                       size_t cap)
{
    struct nic *nic = state;

    nic->receive[0].dropped += nic->frozen != 0;
    return mutant_model_ops(state)->save(state, device, ret_data, cap);
}

static void counts_while_it_stands_still(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->save = save_counts;
}

/* -- Queues -- */

static int arc_loses_a_place(void *state, struct ferry_device *device, uint32_t from,
                             uint32_t to)
{
    const int status = mutant_model_ops(state)->arc(state, device, from, to);
    struct nic *nic = state;

    if (from == FERRY_STATE_RESUMING && status == FERRY_OK) {
        nic->virtio.queue[1].used_published = 0;
        nic->virtio.queue[1].avail_taken = 0;
    }
    return status;
}

static void loses_a_place(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->arc = arc_loses_a_place;
}

/* It is woken, and stays as quiet as it was. */
static int arc_stays_quiet(void *state, struct ferry_device *device, uint32_t from,
                           uint32_t to)
{
    const int status = mutant_model_ops(state)->arc(state, device, from, to);
    struct nic *nic = state;

    if (from == FERRY_STATE_RUNNING_P2P && to == FERRY_STATE_RUNNING) {
        nic->quiet = 1;
    }
    return status;
}

static void stays_quiet(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->arc = arc_stays_quiet;
}

/* -- Resets -- */

static void reset_keeps_the_age(void *state, struct ferry_device *device,
                                enum ferry_reset_reason reason)
{
    const struct nic *nic = state;
    struct nic_flows_state before;

    nic_flows_state_get(nic->flows, &before);
    mutant_model_ops(state)->reset(state, device, reason);
    nic_flows_state_set(nic->flows, &before);
}

static void keeps_the_age(struct ferry_device_desc *desc)
{
    mutant_ops(desc)->reset = reset_keeps_the_age;
}

/* clang-format off */
const struct check_mutant mutants_nic[] = {
    { .name = "forgets at the stop what changed since the last increment", .model = NIC,
      .breaks = "MIG-PRE-7: what changes after it was given is given again",
      .describe = forgets_changes, .caught_by = "precopy.changed", .only = "precopy.*" },
    { .name = "forgets at the stop what was left of the first image", .model = NIC_LARGE,
      .breaks = "MIG-PRE-6: what was not read in pre-copy comes afterwards",
      .describe = forgets_the_rest, .caught_by = "precopy.changed", .only = "precopy.*" },
    { .name = "counts frames while it stands still", .model = NIC,
      .breaks = "MIG-DATA-12: two saves of a stopped device give the same bytes",
      .describe = counts_while_it_stands_still,
      .caught_by = "data.same data.round data.round-partner", .only = "data.*" },
    { .name = "begins a queue anew where it was loaded", .model = NIC,
      .breaks = "MIG-DATA-22: a device that has loaded a state goes on where it stood",
      .describe = loses_a_place,
      .caught_by = "data.round data.round-partner data.goes-on",
      .only = "data.same data.round* data.goes-on" },
    { .name = "stays quiet when it runs again", .model = NIC,
      .breaks = "MIG-CAN-1: a device that goes back goes on as if nothing had been",
      .describe = stays_quiet, .caught_by = "cancel.work",
      .only = "cancel.work[STOP]" },
    { .name = "keeps the age of its table over a reset", .model = NIC,
      .breaks = "MIG-RST-4: a reset puts the device into its first state",
      .describe = keeps_the_age, .caught_by = "data.clean reopen.clean",
      .only = "data.clean reopen.clean" },
    { .name = NULL },
};
/* clang-format on */
