/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_BACKEND_V1_V1_H
#define FERRY_HOST_BACKEND_V1_V1_H

#include "host/backend/backend.h"

/*
 * A device with the migration region of uAPI v1 (Linux 5.8 to 5.17), shown to everyone
 * above as one of v2 with STOP_COPY and PRE_COPY: a backend over a backend.
 *
 * GET_STATE, SET_STATE, DATA_READ, DATA_WRITE, PRECOPY_INFO and RESET become accesses to
 * the region, one request after the other. DATA_SIZE is unsupported: in v1 only
 * pending_bytes could tell, whose first read freezes a stopped device. Everything else
 * goes through as it is, accesses to the region included.
 *
 * A DATA_READ gives at most one transaction of v1; a DATA_WRITE is one. With
 * ferry_data_io.whole a transaction is never split (FERRY_E_LIMIT, before anything was
 * moved).
 *
 * ferry_backend_ops.call() of a request that needs the region fails with FERRY_E_BUSY
 * while submitted ones are under way: they end in dispatch only.
 */

/*
 * Looks for the region and puts the new backend before `below`, which it then owns. For a
 * device that has no migration of v2 (MIG_FLAGS was refused).
 * limit_ms: how long the device may take to tell what it is.
 * ret_backend: `below` itself when there is no such region.
 * Return: FERRY_OK; FERRY_E_PROTOCOL (a region that cannot be one), FERRY_E_MEMORY,
 *   FERRY_E_CLOSED, FERRY_E_TIMEOUT: *ret_backend is not written, below is the caller's.
 */
int ferry_backend_v1_find(struct ferry_backend *below, uint32_t limit_ms,
                          struct ferry_backend **ret_backend, struct ferry_error *reterr);

#endif
