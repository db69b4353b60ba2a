/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_RIG_H
#define FERRY_BENCH_RIG_H

#include <stddef.h>
#include <sys/types.h>

/* Processes of a benchmark and a folder for their sockets; both go with the benchmark. */
#define BENCH_CHILDREN_MAX 16
#define BENCH_SOCKETS_MAX 64

/* Makes the folder. Children that are made later do not clean up. */
void bench_rig_open(void);
/* Path of the socket with this number, below BENCH_SOCKETS_MAX. */
void bench_rig_path(char *ret_path, size_t size, int number);
/* As fork(); the child has none itself and ends with its parent. */
pid_t bench_child(void);
/* Those that were made. Return: their number. */
size_t bench_children(const pid_t **ret_children);

#endif
