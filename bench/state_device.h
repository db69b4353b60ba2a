/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_STATE_DEVICE_H
#define FERRY_BENCH_STATE_DEVICE_H

#include <stddef.h>
#include <stdint.h>

/*
 * A device that is nothing but state: bytes that are given in STOP_COPY and taken in
 * RESUMING, all migration features, arcs that take no time.
 */

/* Serves one at path until SIGTERM; writes a byte to ready_fd when it listens. */
void bench_serve_state_device(const char *path, size_t state_bytes, int ready_fd)
    __attribute__((noreturn));

/* The same, giving at most bytes_per_s while it is saved: slow hardware. */
void bench_serve_slow_device(const char *path, size_t state_bytes, uint64_t bytes_per_s,
                             int ready_fd) __attribute__((noreturn));

/* A touched, shared memfd of size bytes and its mapping. */
int bench_memfd(size_t size, void **ret_address);

/* One descriptor over a UNIX socket; the sender's copy is closed. */
void bench_send_fd(int socket_fd, int fd);
int bench_receive_fd(int socket_fd);

#endif
