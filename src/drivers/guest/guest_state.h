/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_GUEST_GUEST_STATE_H
#define FERRY_DRIVERS_GUEST_GUEST_STATE_H

#include <stdint.h>

#include "drivers/acc_driver.h"
#include "drivers/copy_driver.h"

/*
 * The guest's memory: what lies where. The header is the first thing in the memory, all
 * else is reached by IOVAs in it. Nothing here is a pointer or a descriptor of one
 * process.
 */

#define GUEST_MAGIC 0x3174736575474d46ull /* "FMGuest1" */
#define GUEST_STOPS_MAX 64
#define GUEST_STAGES 3
#define GUEST_BUFFERS 3 /* of a slot: plain text, ciphertext, what came back */

/* The stages of a request; also the device that has it. */
enum guest_stage {
    GUEST_ACC = 0,       /* being encrypted, memory to memory */
    GUEST_COPY_OUT = 1,  /* copy0: memory to copy1's device memory */
    GUEST_COPY_BACK = 2, /* copy1: its device memory to memory */
    GUEST_FREE = 3
};

enum guest_phase {
    GUEST_BLANK = 0,
    GUEST_WORKING,
    GUEST_FINISHING, /* lanes stop after final_pass */
    GUEST_DONE,
    GUEST_FAILED /* error says why; nothing goes on */
};

/* One chain of requests over a part of the input, again in every pass. */
struct guest_lane {
    uint64_t sequence;    /* requests begun */
    uint64_t written;     /* blocks written to result files, all passes */
    uint32_t pass, block; /* of the next request */
    uint32_t encrypting;  /* slot in acc's hands + 1; 0: none */
    uint32_t pad;
    uint8_t iv[ACC_IV_BYTES];
};

/* One request on its way. */
struct guest_slot {
    uint64_t sequence; /* number of the request */
    uint32_t stage;    /* enum guest_stage */
    uint32_t lane, pass, block;
    uint32_t bytes;      /* of ciphertext */
    uint32_t generation; /* of the slot; part of the copy jobs' ids */
};

struct guest_stop {
    uint32_t in_flight[GUEST_STAGES]; /* not consumed by the CPU */
    uint32_t unfinished; /* of these: not completed by the device when the CPU stopped */
};

struct guest_header {
    uint64_t magic;
    uint32_t phase; /* enum guest_phase */
    uint32_t lanes, slots, block_bytes;
    uint64_t input_bytes, lane_bytes;
    uint64_t lane_iova, slot_iova, buffer_iova;
    uint64_t peer_iova;   /* where copy0 reaches copy1's device memory */
    uint64_t stream_iova; /* struct guest_stream; 0: the guest has no nic */
    uint32_t final_pass, next_lane;
    uint64_t submitted[GUEST_STAGES], completed[GUEST_STAGES], interrupts[GUEST_STAGES];
    uint64_t twice;    /* completions of a request that had been completed */
    uint64_t irq_lost; /* completions that no interrupt announced in time */
    uint64_t requests; /* that went the whole way */
    uint64_t bytes;    /* written to result files */
    uint32_t stop_count, busy[GUEST_STAGES];
    struct guest_stop stop[GUEST_STOPS_MAX];
    struct acc_driver acc;
    struct copy_driver copy[2];
    char error[256];
    uint8_t key[ACC_KEY_BYTES];
};

#endif
