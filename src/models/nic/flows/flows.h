/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_FLOWS_FLOWS_H
#define FERRY_MODELS_NIC_FLOWS_FLOWS_H

#include <stdint.h>

#include "ferry/error.h"

/*
 * The table of flows in the device's own memory: every frame updates the entry of its
 * flow. It knows which of its pages changed since they were last saved, at a cost that
 * grows with what changed. docs/models/nic-state.md has the bytes of an entry.
 *
 * Thread: the device's.
 */
#define NIC_FLOWS_BYTES_MIN (1ull << 20)
#define NIC_FLOWS_BYTES_MAX (1ull << 30)
#define NIC_FLOWS_PAGE 4096u
#define NIC_FLOW_BYTES 64u
#define NIC_FLOW_PROBES 8u /* entries that a flow can have; then the oldest goes */
#define NIC_FLOW_CHURN_MAX 100u

struct nic_flows;

/* What of a table is not in its pages. */
struct nic_flows_state {
    uint64_t frames;  /* counted so far: the age of an entry */
    uint64_t churned; /* pages that nic_flows_churn() has touched */
};

/* bytes: a power of two within the limits. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_flows_create(uint64_t bytes, struct nic_flows **ret_flows);
void nic_flows_destroy(struct nic_flows *flows);
/* All entries empty, nothing tracked. Cost: what was used. */
void nic_flows_clear(struct nic_flows *flows);

/* A frame passed; start: its first bytes, present of them (headers are looked at as far
 * as they are there). out: 1 sent by the driver, 0 received. */
void nic_flows_count(struct nic_flows *flows, const uint8_t *start, uint32_t present,
                     uint32_t frame_bytes, uint32_t out);

/*
 * Makes a table change by itself, as if flows came and went: percent of its pages a
 * second. A table that is not yet full is filled first, as fast as slices allow. To be
 * called every few milliseconds, from a state in which the device runs.
 * now_ns: of any clock that goes on. Return: 1: more to do now.
 */
int nic_flows_churn(struct nic_flows *flows, uint32_t percent, uint64_t now_ns);

void nic_flows_state_get(const struct nic_flows *flows,
                         struct nic_flows_state *ret_state);
void nic_flows_state_set(struct nic_flows *flows, const struct nic_flows_state *state);

/* --- saving: which pages have to be sent --- */

uint64_t nic_flows_pages(const struct nic_flows *flows);
/* Pages that have ever been written since the table was cleared; all others are zero. */
uint64_t nic_flows_used(const struct nic_flows *flows);
/* Changes are tracked from here on; the first image is all used pages. */
void nic_flows_track(struct nic_flows *flows);
void nic_flows_track_end(struct nic_flows *flows);
/* The next image: what changed since, and what the last one left. */
void nic_flows_image(struct nic_flows *flows);
/* Pages of the image that were not taken yet; pages that changed and are in none. */
uint64_t nic_flows_left(const struct nic_flows *flows);
uint64_t nic_flows_changed(const struct nic_flows *flows);
/*
 * Takes the next run of pages of the image, at most `most` of them.
 * Return: how many; 0: there are none left.
 */
uint32_t nic_flows_take(struct nic_flows *flows, uint32_t most, uint64_t *ret_page);
const uint8_t *nic_flows_page(const struct nic_flows *flows, uint64_t page);

/* --- loading --- */

/* Where pages are to be put, which counts as used from now on. page + count is inside. */
uint8_t *nic_flows_place(struct nic_flows *flows, uint64_t page, uint32_t count);
/* 1 when a page holds what a table can hold; *max_age: raised to its newest entry's. */
int nic_flows_page_valid(const struct nic_flows *flows, uint64_t page, uint64_t *max_age);

#endif
