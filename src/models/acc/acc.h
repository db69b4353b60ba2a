/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_H
#define FERRY_MODELS_ACC_ACC_H

#include "models/models.h"

/* The `acc` model: virtio-crypto with sessions that move. */
extern const struct ferry_model acc_model;

#endif
