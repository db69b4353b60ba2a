/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TEST_NIC_BLOB_H
#define FERRY_TEST_NIC_BLOB_H

#include "models/nic/flows/flows_private.h"
#include "models/nic/migration/migration_private.h"
#include "test_nic_guest.h"

/*
 * The nic's own stream, without what the SDK puts around it: the device changes its state
 * by the SDK, its data is asked for and given here.
 */
struct blob_world {
    struct rig_ram ram;
    struct rig a, b; /* a has a driver */
    struct nic_guest guest;
};

extern struct blob_world world;

int blob_set_up(void **state);
int blob_tear_down(void **state);

struct nic *nic_of(struct rig *rig);
/* A frame in a page of the table. */
void touch(struct rig *rig, uint64_t page);
/* A frame in the backlog. */
void wait_frame(struct rig *rig, uint32_t pair, uint32_t bytes);
/* Changes something of every kind. */
void fill(struct rig *rig);
/* Appends what there is, in pieces. Return: what the last call returned. */
int take(struct rig *rig, size_t piece, struct rig_blob *blob);
void save_stopped(struct rig *rig, size_t piece, struct rig_blob *blob);
/* Gives b a stream. Return: of the first write that fails, else of the end. */
int give(const uint8_t *bytes, size_t count, size_t piece);
int give_blob(const struct rig_blob *blob);
/* The record of a kind that comes n-th; its header is there. NULL: it is not there. */
uint8_t *record(const struct rig_blob *blob, uint32_t tag, uint32_t n);
/* Makes the hashes right again, so that the fields themselves are judged. */
void seal(struct rig_blob *blob);

#endif
