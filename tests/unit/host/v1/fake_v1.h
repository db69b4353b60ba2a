/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_FAKE_V1_H
#define TEST_HOST_FAKE_V1_H

#include <stdint.h>

#include "core/v1/region.h"
#include "link/endpoint.h"
#include "os/memory.h"

/*
 * A device that migrates by the region of uAPI v1, tells what was done to it, and lies
 * when told to. Nothing of it comes from Ferry's own side of such devices.
 */
#define FAKE_V1_REGION 9u
#define FAKE_V1_REGION_BYTES 0x6000u
#define FAKE_V1_PIECES 8u
#define FAKE_V1_TRACE 512u
#define FAKE_V1_RESERVED 0x5a5a0000u /* of device_state; must stay */

enum fake_v1_form { FAKE_TRAPPED = 0, FAKE_MAPPED, FAKE_PARTITIONED };

enum fake_v1_lie {
    FAKE_HONEST = 0,
    FAKE_OFFSET_ZERO,
    FAKE_OFFSET_IN_REGISTERS,
    FAKE_OFFSET_OUTSIDE,
    FAKE_OFFSET_HUGE,
    FAKE_SIZE_ZERO,
    FAKE_SIZE_OUTSIDE,
    FAKE_SIZE_HUGE,
    FAKE_ENDLESS,      /* pending_bytes stays the same for ever */
    FAKE_STATE_NONE,   /* device_state reads 101 */
    FAKE_STATE_DEAF,   /* a write of device_state succeeds and does nothing */
    FAKE_STATE_ERROR,  /* a write of device_state succeeds and leads to the error state */
    FAKE_STATE_ASTRAY, /* a write of device_state fails and leads somewhere else */
    FAKE_LIE_COUNT
};

struct fake_v1 {
    struct ferry_endpoint endpoint;
    const struct ferry_client_port *port;

    /* What it is. */
    uint32_t form;      /* enum fake_v1_form */
    uint32_t lie;       /* enum fake_v1_lie */
    uint32_t shy;       /* 1: no region type */
    uint32_t slow;      /* 1: answers in work(), not at once */
    uint32_t wander;    /* 1: another data_offset for each piece */
    uint32_t hurry;     /* 1: for the rig: no time to find the region */
    uint32_t has_flags; /* 1: answers MIG_FLAGS */
    uint32_t any_chunks;
    uint64_t region_bytes, area_off, area_bytes;
    uint32_t region_flags;
    int map_status;

    /* What it saves; a piece of 0 bytes ends it. */
    uint64_t precopy[FAKE_V1_PIECES], stopped[FAKE_V1_PIECES];

    /* Failures: status of the next write of device_state to these bits, of the next
     * access to a register, of RESET. */
    uint32_t fail_bits;
    int fail_bits_status;
    uint32_t fail_error; /* 1: it falls into the error state */
    uint32_t fail_off;
    int fail_off_status;
    int fail_reset;
    uint32_t reset_keeps; /* 1: a reset leaves device_state as it is, the error state
                             apart */

    /* What happened. */
    uint32_t state;
    uint32_t resets;
    char trace[FAKE_V1_TRACE]; /* "s1 s2 P O S d D S..": see fake_v1.c */
    uint64_t written[FAKE_V1_PIECES * 4];
    uint32_t written_count;
    uint8_t taken[1u << 16];
    uint64_t taken_bytes;
    uint64_t pushed_bytes; /* of a piece, by requests */

    uint32_t piece, piece_open;
    uint64_t made; /* bytes of pieces so far: their content counts on */
    uint8_t *memory;
    int memory_fd;
    struct ferry_os_map map;
    struct ferry_request *waiting[16];
    uint32_t waiting_count;
};

void fake_v1_open(struct fake_v1 *fake, uint32_t form);
void fake_v1_close(struct fake_v1 *fake);
/* Byte i of what it saves. */
uint8_t fake_v1_byte(uint64_t i);
void fake_v1_forget(struct fake_v1 *fake); /* the trace */

#endif
