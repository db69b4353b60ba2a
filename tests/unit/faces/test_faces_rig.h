/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_FACES_RIG_H
#define TEST_FACES_RIG_H

#include "core/v1/region.h"
#include "ferry/face.h"
#include "test_device_toy.h"

/* A toy whose endpoint, toy->endpoint, shows it by uAPI v1. */
#define V1_REGION 9u
#define V1_FLAGS_STOP FERRY_MIG_STOP_COPY
#define V1_FLAGS_PRE (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY)
#define V1_FLAGS_P2P (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P)
#define V1_FLAGS_ALL (V1_FLAGS_PRE | FERRY_MIG_P2P)
#define V1_FORMS 3u

struct toy *v1_new(uint32_t flags, uint32_t form);
/* Over an endpoint that stands over the toy's. */
void v1_show(struct toy *toy, uint32_t form);
void v1_free(struct toy *toy);

/* Accesses to the migration region; values of registers in the machine's order. */
int v1_read(struct toy *toy, uint64_t off, uint32_t count, uint64_t *ret_value);
int v1_write(struct toy *toy, uint64_t off, uint32_t count, uint64_t value);
/* Of a register, in its own width. v1_get: of one that can be read now. */
int v1_try(struct toy *toy, uint32_t reg, uint64_t *ret_value);
uint64_t v1_get(struct toy *toy, uint32_t reg);
int v1_put(struct toy *toy, uint32_t reg, uint64_t value);
int v1_set(struct toy *toy, uint32_t bits);

/* One iteration of a save, a to d. Return: bytes, put at data; 0: nothing. */
uint64_t v1_take(struct toy *toy, uint8_t *data, uint64_t cap);
/* All of it, until pending_bytes is 0. */
uint64_t v1_save(struct toy *toy, uint8_t *data, uint64_t cap);
/* One transaction. Return: of the first access that failed, or FERRY_OK. */
int v1_give(struct toy *toy, const uint8_t *data, uint64_t bytes);

struct ferry_region_info v1_info(struct toy *toy);

/* A state that is not all the same. */
void v1_fill(struct toy *toy, uint32_t bytes, uint32_t seed);

#endif
