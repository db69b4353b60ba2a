/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_PIPELINE_H
#define FERRY_DRIVERS_GUEST_PIPELINE_H

#include <stdint.h>

#include "drivers/guest/guest_state.h"
#include "drivers/guest/storage.h"
#include "drivers/guest/stream.h"

/*
 * The guest's program: input -> acc -> copy0 -> copy1 -> result. A step takes the
 * completions of the devices whose interrupts fired and gives the devices new requests.
 * Beside it, when there is a nic: the frames of stream.h.
 * Between two steps all that the guest knows lies in its memory.
 *
 * Thread: the CPU thread.
 */
struct pipeline {
    struct guest_ram ram;
    struct guest_header *header;           /* at the start of the memory */
    struct pci_function pci[GUEST_STAGES]; /* by enum guest_stage */
    struct storage *storage;
    struct stream *stream; /* borrowed; NULL: the guest has no nic */
    uint32_t kick;         /* bit n: stage n has new requests */
};

struct pipeline_boot {
    uint32_t lanes, block_bytes, slots_per_lane;
    uint64_t peer_iova, peer_bytes;  /* copy1's memory as copy0 reaches it */
    const uint8_t *key;              /* ACC_KEY_BYTES */
    int control_eventfd, timeout_ms; /* acc's control queue interrupt */
};

#define PIPELINE_LANES_MAX 200
#define PIPELINE_SLOTS_MAX 1024
#define PIPELINE_BLOCK_MIN 4096u
#define PIPELINE_BLOCK_MAX (256u << 10)

/* Bytes of memory that a guest with these choices needs, without a nic. */
uint64_t pipeline_need(uint32_t lanes, uint32_t slots_per_lane, uint32_t block_bytes);

/*
 * Starts a new guest in the memory: devices reset and set up, lanes at their beginnings.
 * Return: FERRY_OK; FERRY_E_LIMIT (too little memory, device memory, queue), what a
 * driver's init returned; reterr says where. The memory then holds no guest.
 */
int pipeline_boot(struct pipeline *pipeline, const struct pipeline_boot *boot,
                  struct ferry_error *reterr);

/*
 * Is there a guest in the memory that can go on with this storage?
 * Return: FERRY_OK; FERRY_E_NOT_FOUND; FERRY_E_INCOMPATIBLE (another input);
 * FERRY_E_CORRUPT (it is not laid out as this program lays a guest out: the memory comes
 * from a peer).
 */
int pipeline_check(const struct pipeline *pipeline, struct ferry_error *reterr);

/* Takes every completion that a stage's device has published. */
void pipeline_interrupt(struct pipeline *pipeline, enum guest_stage stage);

/*
 * Begins requests of lanes that have none at acc, at most `budget_bytes` of input, then
 * rings the doorbells. Return: bytes begun.
 */
uint64_t pipeline_feed(struct pipeline *pipeline, uint64_t budget_bytes);

/* The nic's interrupts, and its share of feeding; nothing without a nic. */
void pipeline_stream_received(struct pipeline *pipeline, uint64_t now_ns);
void pipeline_stream_changed(struct pipeline *pipeline);
void pipeline_stream_feed(struct pipeline *pipeline, uint64_t now_ns);

/* Lanes end after the pass that the foremost is in. */
void pipeline_finish(struct pipeline *pipeline);

/* Requests in flight: begun, their last completion not consumed. */
uint32_t pipeline_in_flight(const struct pipeline *pipeline);
/* Notes what is in flight now as a stop. */
void pipeline_note_stop(struct pipeline *pipeline);

/* No completion for too long: finds out whether an interrupt or a request was lost. */
void pipeline_stalled(struct pipeline *pipeline, uint64_t waited_ms);

/* Whole passes that are in the result files. */
uint32_t pipeline_passes(const struct pipeline *pipeline);

/* Ends the guest with a reason; the first one stays. */
void pipeline_fail(struct pipeline *pipeline, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
