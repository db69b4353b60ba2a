/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_FLOWS_PRIVATE_H
#define FERRY_MODELS_NIC_FLOWS_PRIVATE_H

#include "models/nic/flows/flows.h"

/*
 * A set of pages: a bit each, and above them a bit for each word that is not 0, so that
 * looking for what is in it costs what is in it.
 */
struct nic_page_set {
    uint64_t *word, *summary; /* owned; one piece of memory */
    uint64_t words;
    uint64_t count; /* pages in it */
};

int nic_page_set_init(struct nic_page_set *set, uint64_t pages);
void nic_page_set_end(struct nic_page_set *set);
void nic_page_set_clear(struct nic_page_set *set);
void nic_page_set_copy(struct nic_page_set *to, const struct nic_page_set *from);
void nic_page_set_add(struct nic_page_set *set, uint64_t page);
void nic_page_set_remove(struct nic_page_set *set, uint64_t page);
/* The first page at or after `from`; UINT64_MAX: none. */
uint64_t nic_page_set_next(const struct nic_page_set *set, uint64_t from);

static inline int nic_page_set_has(const struct nic_page_set *set, uint64_t page)
{
    return (set->word[page / 64] >> page % 64 & 1) != 0;
}

/* An entry: 64-bit little-endian numbers. Unused: all zero. */
#define FLOW_HASH 0u /* of the 5-tuple, never 0; says where the entry may lie */
#define FLOW_AGE 8u  /* frames that the table had counted at the flow's last one */
#define FLOW_IN 16u
#define FLOW_IN_BYTES 24u
#define FLOW_OUT 32u
#define FLOW_OUT_BYTES 40u
#define FLOW_FIRST 48u /* age when it was made */
#define FLOW_ZERO 56u

struct nic_flows {
    uint8_t *memory; /* the device's own */
    uint64_t bytes, pages;
    uint32_t tracked;
    uint32_t dense; /* 1: parts of it may have huge pages */
    struct nic_flows_state state;
    uint64_t cursor; /* of the image: the next page to look at */
    struct nic_page_set used;
    struct nic_page_set image;   /* to be taken; disjoint from */
    struct nic_page_set changed; /* pages that changed after they were taken */
    uint64_t churn_ns;           /* time until which it was churned */
    uint64_t churn_owed;         /* billionths of a page */
};

/* The hash of the flow that a frame belongs to, the same in both directions. Not 0. */
uint64_t nic_flow_key_hash(const uint8_t *start, uint32_t present);

/* A page was or is about to be written. */
void nic_flows_mark(struct nic_flows *flows, uint64_t page);

/* Counts a frame of the flow with this hash. */
void nic_flows_count_hash(struct nic_flows *flows, uint64_t hash, uint32_t frame_bytes,
                          uint32_t out);

#endif
