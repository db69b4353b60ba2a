/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_CHAIN_H
#define FERRY_BENCH_CHAIN_H

#include <stddef.h>

/*
 * The floor for a device's state on its way from server to server: four bare processes
 * that relay the bytes over the same three hops, AF_UNIX, the channel between the hosts,
 * AF_UNIX, after which the last one reads a byte of each page. All memory is touched
 * before. Needs bench_rig_open().
 */
enum bench_channel { BENCH_CHANNEL_UNIX, BENCH_CHANNEL_TCP };

/* Starts the chain. Return: its descriptor. */
int bench_chain_start(size_t bytes, enum bench_channel channel);
/* All the bytes once. Return: nanoseconds. */
double bench_chain_run(int chain);

#endif
