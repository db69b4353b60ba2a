/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_COMMON_H
#define FERRY_BENCH_COMMON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What every benchmark needs. The machine may be shared: floor and subject are
 * interleaved, medians and their ratio are printed, memory is touched before it is
 * measured.
 */

/* Monotonic nanoseconds. */
uint64_t bench_now_ns(void);

/* Median of count values; reorders them. */
double bench_median(double *values, size_t count);

/* Smallest of count values. */
double bench_least(const double *values, size_t count);

/* Keeps the calling thread on one processor; on a machine with fewer, does nothing. */
void bench_pin(int cpu);

/* Ends the program with a message; for what a benchmark cannot go on without. */
void bench_die(const char *what) __attribute__((noreturn));

/* Writes or reads all; ends the program otherwise. */
void bench_write(int fd, const void *data, size_t size);
void bench_read(int fd, void *data, size_t size);

/* Touched, page-aligned memory. */
void *bench_memory(size_t size);

/* A connected TCP pair over loopback, with TCP_NODELAY. */
void bench_tcp_pair(int ret_fd[2]);

#endif
