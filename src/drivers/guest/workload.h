/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_WORKLOAD_H
#define FERRY_DRIVERS_GUEST_WORKLOAD_H

#include <stdint.h>

#include "drivers/guest/guest_state.h"
#include "drivers/guest/stream.h"
#include "ferry/host.h"

/*
 * A guest for a user context: one CPU (a thread) that runs the pipeline over the devices
 * acc, copy0 and copy1, and sends frames over a nic if there is one. All that it knows
 * lives in the context's memory; when the memory and the devices move, the CPU of the
 * other side goes on with it, without touching a device's set-up.
 *
 * Thread: the loop thread of the context, except for the CPU thread inside.
 */
struct workload;

struct workload_options {
    struct ferry_context *context; /* borrowed; outlives the workload */
    void *address;                 /* the context's memory: borrowed */
    uint64_t iova, size;
    uint32_t device[GUEST_STAGES];  /* indices of acc, copy0, copy1 */
    uint32_t nic;                   /* index of the nic */
    uint32_t has_nic;               /* 1: there is one */
    uint64_t peer_iova, peer_bytes; /* copy1's memory in copy0's DMA map */
    const char *input, *folder;     /* borrowed for the call */
    uint32_t lanes, slots_per_lane, block_bytes;
    uint32_t watchdog_ms;      /* longest time without an interrupt; 0: 10000 */
    uint64_t rate_bytes_per_s; /* of the input; 0: no limit */
};

/*
 * Opens the files, gives the devices their interrupts and starts the CPU thread, idle.
 * Return: FERRY_OK; what storage_open() or ferry_context_set_irqs() returned; FERRY_E_IO.
 */
int workload_create(const struct workload_options *options,
                    struct workload **ret_workload, struct ferry_error *reterr);
/* Stops the thread; the guest, if there is one here, is gone. */
void workload_destroy(struct workload *workload);

/* Gives the devices their interrupts again, after ferry_context_reopen(). */
int workload_attach(struct workload *workload, struct ferry_error *reterr);

/*
 * Boots a new guest; workload_notify_fd() tells when it runs or has failed.
 * Return: FERRY_OK; FERRY_E_BUSY when there is one.
 */
int workload_start(struct workload *workload, const uint8_t key[ACC_KEY_BYTES],
                   struct ferry_error *reterr);
/* The lanes end after the pass that the foremost is in. Return: FERRY_OK; FERRY_E_STATE.
 */
int workload_finish(struct workload *workload);

/*
 * For the context's pause_cpus and resume_cpus. Pause returns FERRY_PENDING and
 * ferry_context_cpus_done() follows from the CPU thread, or FERRY_OK when no guest runs
 * here. Resume goes on with the guest that was paused here or that has arrived in the
 * memory. Return: FERRY_OK; what pipeline_check() returned (the guest cannot go on here).
 */
int workload_pause(struct workload *workload);
int workload_resume(struct workload *workload, struct ferry_error *reterr);
/* The paused guest has moved away: what is left of it here is forgotten. */
void workload_forget(struct workload *workload);

struct workload_status {
    uint32_t here;          /* 1: the guest is on this side */
    uint32_t booting;       /* 1: workload_start() has not ended */
    uint32_t phase;         /* enum guest_phase */
    uint32_t lanes, passes; /* whole passes in the result files */
    uint32_t packed;        /* 1: acc's rings are packed virtqueues */
    uint32_t in_flight[GUEST_STAGES];
    uint32_t in_flight_all;
    uint32_t stop_count;
    uint64_t requests, bytes;
    uint64_t submitted, completed, interrupts; /* of all devices */
    uint64_t lost; /* when the work has ended: begun and never completed */
    uint64_t twice, irq_lost;
    uint32_t has_nic, pad;
    struct stream_figures frames;
    struct guest_stop stop[GUEST_STOPS_MAX];
    char error[256];
};
void workload_status(struct workload *workload, struct workload_status *ret_status);

/* An eventfd that counts changes: booted, finished, failed. */
int workload_notify_fd(const struct workload *workload);

/* Name of an enum guest_phase ("working"). */
const char *workload_phase_name(uint32_t phase);

#endif
