/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef EXAMPLE_VMM_CPU_H
#define EXAMPLE_VMM_CPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "ferry/host.h"

/*
 * What stands for a guest: a thread that writes the memory and drives the device. With
 * each tick it writes the tick's number into the next page, round and round, so that the
 * number alone says what all of the memory must look like.
 */
#define CPU_IOVA 0x100000u
#define CPU_PAGES 1024u
#define CPU_BYTES (CPU_PAGES * FERRY_PAGE_BYTES)

struct cpu {
    struct ferry_context *context;
    uint8_t *memory;
    int drives; /* 1: the device is examples/device/counter, and gets work */
    _Atomic uint64_t tick;
    atomic_int status; /* negative: the device did not take an access */
    pthread_t thread;
    int started;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    int paused, stopped;
    int asked; /* pauses that are to be answered */
};

/* Makes it, paused. memory: of CPU_BYTES, borrowed for its life. */
int cpu_create(struct cpu *cpu, struct ferry_context *context, void *memory,
               struct ferry_error *reterr);
/* Returns at once; ferry_context_cpus_done() follows from the thread. */
void cpu_ask_pause(struct cpu *cpu);
void cpu_go_on(struct cpu *cpu);
/* Ends the thread, if there is one. */
void cpu_stop(struct cpu *cpu);
/* After cpu_stop(): are memory and device what the tick says? */
int cpu_check(const struct cpu *cpu, struct ferry_error *reterr);

#endif
