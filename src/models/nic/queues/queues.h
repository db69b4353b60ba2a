/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_QUEUES_QUEUES_H
#define FERRY_MODELS_NIC_QUEUES_QUEUES_H

#include "models/nic/nic_private.h"

/* What the model needs of the queues beyond nic_private.h: config.c. */

#define NIC_CONFIG_BYTES 12u /* of struct virtio_net_config: as far as the MTU */

/* The VIRTIO_NET_F_* that are offered. */
uint64_t nic_features(const struct nic_config *config);
/* virtio_pci_ops.config; user: the nic. */
void nic_config_image(void *user, uint8_t *ret_config, size_t config_bytes);

#endif
