/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_RAM_RAM_H
#define FERRY_HOST_RAM_RAM_H

#include <stddef.h>
#include <stdint.h>

#include "host/context/context.h"

/*
 * Memory rounds of a source: the logs of devices and CPUs are harvested into the regions'
 * dirty maps, what is dirty is sent, zero pages as runs. While CPUs and devices run,
 * pages go through a copy (the checksum must be that of the bytes that leave); after the
 * stop they go straight from memory.
 *
 * Thread: the loop's thread.
 */
struct ferry_run;

/* Longest run of pages in one record. */
#define FERRY_RAM_RECORD_BYTES (512u << 10)
/* Memory looked at before the loop gets its turn again. */
#define FERRY_RAM_SLICE_BYTES (8u << 20)

enum ferry_ram_stage {
    FERRY_RAM_IDLE = 0,
    FERRY_RAM_HARVEST, /* logs are asked before sending */
    FERRY_RAM_SEND,
    FERRY_RAM_DRAIN, /* until the last byte of the round has left */
    FERRY_RAM_COUNT  /* logs are asked again: what is dirty now? */
};

/* A copy of pages on their way out. */
struct ferry_ram_copy {
    struct ferry_ram *ram;
    struct ferry_ram_copy *next;
    uint32_t refs; /* records that hold it, and `filling` */
    size_t used;
    uint8_t data[FERRY_RAM_RECORD_BYTES];
};

struct ferry_ram {
    uint32_t stage;        /* enum ferry_ram_stage */
    uint32_t final;        /* 1: the last round; everything is stopped */
    uint32_t tracking;     /* 1: track_cpus(start) was called */
    uint32_t rounds;       /* begun */
    uint32_t pending;      /* harvests under way */
    uint32_t starting;     /* harvests are being started */
    int32_t status;        /* first failure of the round */
    uint32_t memory;       /* region that is being sent */
    uint64_t cursor;       /* page in it */
    uint64_t record_bytes; /* run limit: smaller on a slow channel */
    uint32_t zero_memory;  /* a run of zero pages that may still grow */
    uint64_t zero_off, zero_bytes;
    struct ferry_ram_copy *filling, *spare;
    uint32_t spare_count;
    uint64_t round_bytes;  /* sent in this round, headers apart */
    uint64_t harvested_ns; /* when the logs were last asked */
    uint64_t pages, bytes; /* of the session, for MEMORY_END */
    uint64_t precopy_bytes, stop_bytes;
};

/* Begins a round; ends in ROUND_DONE. */
void ferry_ram_round(struct ferry_run *run);
/* Begins the last one; ferry_run_memory_sent() is called at its end. */
void ferry_ram_final(struct ferry_run *run);
/* Sends a slice. Return: 1 when more can be sent at once. */
int ferry_ram_produce(struct ferry_run *run);
/* Stops; no end is reported. */
void ferry_ram_cancel(struct ferry_run *run);
/* Ends CPU tracking and frees everything. */
void ferry_ram_free(struct ferry_run *run);

/* ram_pages.c: takes and sends the next run of dirty pages.
 * Return: bytes looked at; 0 when nothing is dirty any more. */
uint64_t ferry_ram_send_next(struct ferry_run *run);
/* Sends the run of zero pages that is held back, and lets go of the copy. */
void ferry_ram_send_held(struct ferry_run *run);
/* ram_harvest.c: asks every log. Goes on in ferry_ram_harvested() when all have answered.
 */
void ferry_ram_harvest(struct ferry_run *run);
void ferry_ram_harvested(struct ferry_run *run);
/* Bytes that are dirty now. */
uint64_t ferry_ram_dirty_bytes(const struct ferry_run *run);

/* send_final.c: the last memory is queued (status: or why not). */
void ferry_run_memory_sent(struct ferry_run *run, int32_t status);

#endif
