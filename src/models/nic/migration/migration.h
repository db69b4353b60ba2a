/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_MIGRATION_MIGRATION_H
#define FERRY_MODELS_NIC_MIGRATION_MIGRATION_H

#include "ferry/device.h"

/*
 * How a nic moves, modelled on mlx5: quieted (RUNNING_P2P: it starts no DMA, what was in
 * flight is complete), then frozen (STOP: it answers nothing). The state is a TLV stream
 * of images. The "hardware" writes each image by DMA of its own into buffers of the
 * "driver", which are no memory of the user's and are not in the dirty log.
 */
struct nic;
struct nic_migration;

/* Return: FERRY_OK, FERRY_E_MEMORY. */
int nic_migration_create(struct nic *nic, struct nic_migration **ret_migration);
void nic_migration_destroy(struct nic_migration *migration);

/* The operations of ferry_device_ops, which see. */
void nic_migration_reset(struct nic_migration *migration, enum ferry_reset_reason reason);
int nic_migration_arc(struct nic_migration *migration, uint32_t from, uint32_t to);
int nic_migration_save(struct nic_migration *migration, void *ret_data, size_t cap);
int nic_migration_load(struct nic_migration *migration, const void *data, size_t count);
size_t nic_migration_load_place(struct nic_migration *migration, size_t most,
                                void **ret_place);
int nic_migration_load_done(struct nic_migration *migration, size_t count);
int nic_migration_precopy_info(struct nic_migration *migration,
                               struct ferry_device_precopy *ret_info);
int nic_migration_data_size(struct nic_migration *migration, uint64_t *ret_bytes);
/* A slice of the hardware's work on an image. Return: 1: more to do. */
int nic_migration_work(struct nic_migration *migration);

#endif
