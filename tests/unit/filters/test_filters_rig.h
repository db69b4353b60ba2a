/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_FILTERS_RIG_H
#define TEST_FILTERS_RIG_H

#include "ferry/filter.h"
#include "test_device_toy.h"

#define FILTERED_FLAGS (FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY | FERRY_MIG_P2P)

/* A toy whose endpoint, toy->endpoint, is filtered. */
struct toy *filtered_new(const char *spec);
void filtered_free(struct toy *toy);

/* Works whenever the endpoint's descriptor says so, until a started request is over. */
void filtered_wait(struct toy *toy, const struct ferry_request *request);

/* A change of state; returns its status. */
struct ferry_request filtered_set(uint32_t state);

#endif
