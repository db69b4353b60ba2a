/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_BRIDGE_V1_RIG_H
#define TEST_BRIDGE_V1_RIG_H

#include "bridge/migration/v1/v1.h"
#include "core/v1/region.h"
#include "test_bridge_mig_rig.h"

/* The migration region as QEMU 7.2 uses it, step for step. */

#define STOP_COPY_BITS FERRY_V1_SAVING
#define PRE_COPY_BITS (FERRY_V1_SAVING | FERRY_V1_RUNNING)

/* 1: the VMM has lost track of written pages (bridge_iommu_misled()). */
extern int v1_misled;

/* As end_bind(), with the region. */
void v1_bind(struct end *end, const struct ferry_identity *identity);
/* As end_unbind(). */
void v1_unbind(struct end *end);

uint64_t v1_get(struct end *end, uint64_t off, size_t count);
/* Return: 0 or -errno. */
int v1_try_get(struct end *end, uint64_t off, size_t count, uint64_t *ret_value);
int v1_put(struct end *end, uint64_t off, size_t count, uint64_t value);
uint32_t v1_state(struct end *end);

/* (state & mask) | value, unless QEMU would not write that. Return: 0, -errno. */
int v1_set(struct end *end, uint32_t mask, uint32_t value);

/* What QEMU does, by its names. mmapped: the data section is. Return: 0 or -errno. */
int v1_save_setup(struct end *end);
/* Return: 1 when there was nothing. */
int v1_save_iterate(struct end *end, struct bytes *bytes, int mmapped);
int v1_stop(struct end *end);  /* the guest stops, not for a snapshot */
int v1_start(struct end *end); /* the guest starts */
int v1_save_complete(struct end *end, struct bytes *bytes, int mmapped);
/* The notifier: cancelled, failed. */
int v1_cancelled(struct end *end);
int v1_load_setup(struct end *end);
/* All transactions. */
int v1_load(struct end *end, const struct bytes *bytes, int mmapped);

/* bytes hold transactions: their size, u64, then their data. Return: how many. */
size_t v1_transactions(const struct bytes *bytes);

#endif
