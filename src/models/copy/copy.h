/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_COPY_COPY_H
#define FERRY_MODELS_COPY_COPY_H

#include "models/models.h"

/* The `copy` model: a DMA engine with memory that others can map. */
extern const struct ferry_model copy_model;

#endif
