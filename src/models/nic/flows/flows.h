/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_FLOWS_FLOWS_H
#define FERRY_MODELS_NIC_FLOWS_FLOWS_H

#include <stdint.h>

/*
 * The table of flows in the device's own memory: every frame updates the entry of its
 * flow. It knows which of its pages changed since they were last saved, at a cost that
 * grows with what changed.
 */
#define NIC_FLOWS_BYTES_MIN (1ull << 20)
#define NIC_FLOWS_BYTES_MAX (1ull << 30)
#define NIC_FLOWS_PAGE 4096u
#define NIC_FLOW_BYTES 64u

struct nic_flows;

/* bytes: a power of two within the limits. Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_flows_create(uint64_t bytes, struct nic_flows **ret_flows);
void nic_flows_destroy(struct nic_flows *flows);
/* All entries empty. Cost: what was used. */
void nic_flows_clear(struct nic_flows *flows);

/* A frame passed; start: its first bytes, present of them (headers are looked at as far
 * as they are there). out: 1 sent by the driver, 0 received. */
void nic_flows_count(struct nic_flows *flows, const uint8_t *start, uint32_t present,
                     uint32_t frame_bytes, uint32_t out);

#endif
