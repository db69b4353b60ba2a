/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_STATE_DEVICE_H
#define FERRY_BENCH_STATE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A device that is nothing but state: bytes that are given in STOP_COPY and taken in
 * RESUMING, all migration features, arcs that take no time.
 */

/*
 * Starts processes that serve one each, at bench_rig_path() 0 to count - 1, until the
 * benchmark ends; all of them listen when it returns.
 * bytes_per_s: what each gives at most while it is saved (slow hardware); 0: no limit.
 */
void bench_start_state_devices(int count, size_t state_bytes, uint64_t bytes_per_s);

/* A touched, shared memfd of size bytes and its mapping. */
int bench_memfd(size_t size, void **ret_address);

/* One descriptor over a UNIX socket; the sender's copy is closed. */
void bench_send_fd(int socket_fd, int fd);
int bench_receive_fd(int socket_fd);

#endif
