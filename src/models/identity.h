/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_IDENTITY_H
#define FERRY_MODELS_IDENTITY_H

#include "ferry/compat.h"

/* Adds a compatibility key; name: shorter than the key's room, and there is room for it.
 */
void identity_add_key(struct ferry_identity *identity, const char *name,
                      uint32_t relation, uint64_t value);

#endif
