/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CORE_V1_REGION_H
#define FERRY_CORE_V1_REGION_H

#include <stdint.h>

/*
 * The migration region of the uAPI's version 1 (Linux 5.8 to 5.17): a device-specific
 * region that begins with five registers, behind which pieces of the device's data are
 * handed over. What both its sides need: the device's (src/faces/v1) and the user's.
 */

/* VFIO_REGION_INFO_CAP_TYPE of the region. */
#define FERRY_V1_REGION_TYPE 3u
#define FERRY_V1_REGION_SUBTYPE 1u

/* The registers; the order of the rows of the table in region.c. */
enum ferry_v1_register {
    FERRY_V1_STATE = 0, /* u32, FERRY_V1_RUNNING and so on (ferry/state.h) */
    FERRY_V1_RESERVED,  /* u32, reads 0; writes have no effect */
    FERRY_V1_PENDING,   /* u64, read only: bytes to come; begins an iteration */
    FERRY_V1_OFFSET,    /* u64, read only: where the piece is, or belongs */
    FERRY_V1_SIZE       /* u64: bytes of the piece; written, the piece is taken */
};
#define FERRY_V1_REGISTER_COUNT 5

#define FERRY_V1_STATE_OFF 0u
#define FERRY_V1_RESERVED_OFF 4u
#define FERRY_V1_PENDING_OFF 8u
#define FERRY_V1_OFFSET_OFF 16u
#define FERRY_V1_SIZE_OFF 24u
#define FERRY_V1_HEADER_BYTES 32u /* the data section lies somewhere behind them */

/* Bits of device_state that have no meaning: a user keeps what it reads there. */
#define FERRY_V1_STATE_RESERVED 0xfffffff8u
/* device_state of a device that failed: read only; a reset leaves it. */
#define FERRY_V1_ERROR 6u

/*
 * Ferry's own devices: a piece has at most so many bytes, and so many are taken in one
 * transaction on resume, in every form of the region, since the pieces of one side are
 * the transactions of the other.
 */
#define FERRY_V1_PIECE_MAX (1u << 20)
/* Where a mapped data section begins: behind the registers' page. */
#define FERRY_V1_SECTION_ALIGN 4096u

struct ferry_v1_register_info {
    const char *name; /* "pending_bytes" */
    uint32_t off;
    uint32_t bytes; /* of its one access width */
    uint32_t writable;
};

/* The register's row; a constant. reg: enum ferry_v1_register. */
const struct ferry_v1_register_info *ferry_v1_register(uint32_t reg);

/*
 * Which register an access is for: it has the register's place and width exactly.
 * Return: FERRY_OK; FERRY_E_ALIGN for an access that touches the registers in any other
 * way; FERRY_E_RANGE for one that lies behind them all. Rule MIG-V1-12.
 */
int ferry_v1_register_find(uint64_t off, uint64_t count, uint32_t *ret_reg);

/*
 * Do the data_offset and data_size that a device named lie in the region, behind the
 * registers? region_bytes: size of the region. Return: 1, 0. Rule MIG-V1-9.
 */
int ferry_v1_piece_inside(uint64_t data_offset, uint64_t data_size,
                          uint64_t region_bytes);

#endif
