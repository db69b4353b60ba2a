/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BENCH_NIC_RIG_H
#define FERRY_BENCH_NIC_RIG_H

#include <stdint.h>
#include <sys/types.h>

#include "drivers/nic_driver.h"
#include "ferry/device.h"

/*
 * A nic under the userspace driver, in this process or in one of its own, and frames to
 * send: UDP packets, another flow in each of the driver's buffers. Ends the process on
 * any failure, as all of the benchmarks' rigs.
 */
#define BENCH_NIC_IN_FLIGHT 128u /* frames, at most */
#define BENCH_NIC_IOVA 0x40000000ull
#define BENCH_NIC_MEMORY (4u << 20)

struct bench_nic {
    struct ferry_context *context;
    struct ferry_device *device; /* in this process; NULL: served */
    void *model_state;
    pid_t server;
    struct pci_function pci;
    struct guest_ram ram;
    struct nic_setup setup;
    struct nic_driver *driver; /* at the start of the memory */
    int irq[NIC_VECTORS(1)];
    int memory_fd;
    uint32_t in_flight;
    uint32_t new_flows; /* 1: each frame that is sent is of another flow */
    uint32_t flow;      /* of the next one */
    uint32_t pad;
    uint64_t sent, received;
};

/* A context of one nic, "nic", without a driver; uri: NULL: in this process. options: of
 * the model, NULL ends them. ops: may be NULL. */
void bench_nic_open(struct bench_nic *nic, const char *uri, const char *const *options,
                    const struct ferry_context_ops *ops);
/* Starts a process that serves one at a path; spin_us: of the server. Return: its id. */
pid_t bench_nic_serve(const char *path, const char *const *options, uint32_t spin_us,
                      int cpu);
/* Gives the device its interrupts (again, after a reopening). */
void bench_nic_attach(struct bench_nic *nic);
/* Starts the driver. All its buffers get a frame of so many bytes. */
void bench_nic_start(struct bench_nic *nic, uint32_t frame_bytes);
/* A frame of another flow into a buffer that is to be sent next. flow: any number. */
void bench_nic_make(uint8_t *buffer, const uint8_t *mac, uint32_t flow,
                    uint32_t frame_bytes);

/* Sends at most so many frames more and takes in what has come; rings doorbells. */
void bench_nic_turn(struct bench_nic *nic, uint32_t send, uint32_t frame_bytes);
/* Has so many frames go out and come back. Return: nanoseconds. */
double bench_nic_run(struct bench_nic *nic, uint64_t frames, uint32_t frame_bytes);
void bench_nic_close(struct bench_nic *nic);

#endif
