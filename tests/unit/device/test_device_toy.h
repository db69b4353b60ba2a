/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_DEVICE_TOY_H
#define TEST_DEVICE_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ferry/device.h"
#include "link/endpoint.h"

/*
 * A device for tests: BAR0 registers, BAR2 (64 bit) with memory in the middle, BAR4
 * MSI-X, a ROM, two vendor capabilities, and a state of TOY_STATE_MAX bytes at most. It
 * notes what is asked of it and answers its arcs as the test tells it.
 */
#define TOY_STATE_MAX 200001u
#define TOY_ARCS 64u
#define TOY_VECTORS 66u
#define TOY_BAR0_BYTES 4096u
#define TOY_BAR2_BYTES 65536u
#define TOY_AREA_OFF 8192u
#define TOY_AREA_BYTES 32768u
#define TOY_TABLE_OFF 0u
#define TOY_PBA_OFF 0x800u
#define TOY_PORT_BYTES 262144u
#define TOY_PORT_IOVA 0x100000000ull

struct toy {
    struct ferry_device *device;
    struct ferry_endpoint *endpoint;
    struct ferry_client_port port;

    uint8_t state[TOY_STATE_MAX]; /* what migrates */
    uint32_t state_bytes;
    uint32_t save_pos, load_pos;
    uint32_t precopy_bytes; /* of it, this much goes out before the stop */

    uint32_t writes;          /* calls of region_write */
    uint32_t bells, bell[64]; /* writes to BAR0 + 4, in order */
    uint32_t cap_off;         /* last trapped capability access */
    size_t cap_count;
    uint32_t resets, reset_reason;
    uint32_t arcs, arc_from[TOY_ARCS], arc_to[TOY_ARCS]; /* the last ones */
    uint32_t works, work_wanted;                         /* calls; calls that answer 1 */
    uint32_t unmaps_pending; /* answer FERRY_PENDING that many times */

    uint32_t odd_from, odd_to; /* this arc answers... */
    int odd_answer;            /* ...this instead of FERRY_OK; 0: no odd arc */

    int counters; /* that it tells, or the status with which it does not */

    uint64_t port_iova; /* where the port's memory begins; TOY_PORT_IOVA */
    uint8_t message_memory[TOY_PORT_BYTES]; /* behind the port */
    uint32_t message_count;
};

/* A toy with these migration flags, attached. */
struct toy *toy_new(uint32_t flags, uint32_t latch);
/* The same with a description that `change` has changed. */
struct toy *toy_new_with(uint32_t flags, uint32_t latch,
                         void (*change)(struct ferry_device_desc *desc));
void toy_free(struct toy *toy);

/* The description that toy_new() uses, for tests that change it. */
void toy_describe(struct ferry_device_desc *desc, struct toy *toy, uint32_t flags,
                  uint32_t latch);

/* A request and its end: works until it is over. Return: its status. */
int toy_ask(struct toy *toy, struct ferry_request *request);
/* Only starts it; *request is completed by toy_work(). */
int toy_start(struct toy *toy, struct ferry_request *request);
/* Calls work() until it returns 0. */
void toy_work(struct toy *toy);
/* 1 once a started request is over. */
int toy_over(const struct ferry_request *request);

int toy_read(struct toy *toy, uint32_t region, uint64_t off, void *ret_data,
             uint32_t count);
int toy_write(struct toy *toy, uint32_t region, uint64_t off, const void *data,
              uint32_t count);
uint32_t toy_read32(struct toy *toy, uint32_t region, uint64_t off);
int toy_write32(struct toy *toy, uint32_t region, uint64_t off, uint32_t value);
uint32_t toy_config32(struct toy *toy, uint32_t off);
void toy_bus_master(struct toy *toy);

int toy_set(struct toy *toy, uint32_t state);
/* Also checks that GET_STATE and ferry_device_state agree. */
uint32_t toy_get(struct toy *toy);
/* RESET, then the state wanted, over a loaded stream where that is the only way. */
void toy_bring(struct toy *toy, uint32_t state);

int toy_map(struct toy *toy, uint64_t iova, uint64_t size, uint64_t offset, int fd,
            uint32_t flags);
int toy_unmap(struct toy *toy, uint64_t iova, uint64_t size);

/* Reads a whole stream in pieces; returns its length. cap: bytes at data. */
uint64_t toy_save(struct toy *toy, uint8_t *data, uint64_t cap, uint64_t piece);
/* Writes in pieces. Return: the first failure or FERRY_OK. */
int toy_load(struct toy *toy, const uint8_t *data, uint64_t size, uint64_t piece);

int toy_set_irqs(struct toy *toy, uint32_t index, uint32_t flags, uint32_t start,
                 uint32_t count, const int *fds, uint32_t fd_count);
/* An eventfd, and how often it was signalled since the last time. */
int toy_eventfd(void);
uint64_t toy_count(int fd);

/* A file of anonymous memory. */
int toy_memfd(uint64_t size);

#endif
