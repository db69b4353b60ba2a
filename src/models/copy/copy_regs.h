/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_COPY_COPY_REGS_H
#define FERRY_MODELS_COPY_COPY_REGS_H

#include <assert.h>
#include <stdint.h>

/*
 * The `copy` model as its driver sees it. docs/models/copy.md is its manual. All
 * registers and memory formats are little endian. Registers are read and written at their
 * own width (or as two aligned 32-bit halves for a 64-bit one), naturally aligned.
 */

/* PCI identity: a vendor number that nobody was assigned; private to Ferry. */
#define COPY_PCI_VENDOR 0xfe44u
#define COPY_PCI_DEVICE 0x0c0fu
#define COPY_PCI_CLASS 0x088000u /* system peripheral, other */

/* Regions. */
#define COPY_BAR_REGS 0u   /* trapped registers */
#define COPY_BAR_MEMORY 2u /* device memory, 64-bit prefetchable, mmappable whole */
#define COPY_BAR_MSIX 4u   /* MSI-X table (offset 0) and PBA (offset 4096) */
#define COPY_BAR_REGS_BYTES 0x4000u
#define COPY_BAR_MSIX_BYTES 0x2000u

#define COPY_CHANNELS_MAX 16u
#define COPY_CHANNELS_DEFAULT 4u
#define COPY_ENTRIES_MIN 2u
#define COPY_ENTRIES_MAX 4096u
#define COPY_LEN_MAX (1ull << 30) /* bytes of one descriptor */
#define COPY_PAGE_BYTES 4096u
#define COPY_MEMORY_MIN (64ull << 10)
#define COPY_MEMORY_MAX (1ull << 30)
#define COPY_MEMORY_DEFAULT (4ull << 20)

/* Global registers, BAR0. */
#define COPY_REG_ID 0x00u          /* u32 RO: COPY_ID */
#define COPY_REG_VERSION 0x04u     /* u32 RO: COPY_VERSION */
#define COPY_REG_CHANNELS 0x08u    /* u32 RO: channels present */
#define COPY_REG_ENTRIES_MAX 0x0cu /* u32 RO: largest ring */
#define COPY_REG_MEMORY 0x10u      /* u64 RO: bytes of device memory */
#define COPY_REG_LEN_MAX 0x18u     /* u64 RO: most bytes of one descriptor */
#define COPY_ID 0x59504f43u        /* "COPY" */
#define COPY_VERSION 1u

/* Channel i's registers: BAR0 at COPY_CHANNEL_OFF + i * COPY_CHANNEL_STEP. */
#define COPY_CHANNEL_OFF 0x1000u
#define COPY_CHANNEL_STEP 0x80u
#define COPY_CH_RING 0x00u /* u64 RW while disabled: IOVA of descriptors, 32-aligned */
#define COPY_CH_DONE_RING                                                                \
    0x08u                     /* u64 RW while disabled: IOVA of completions, 32-aligned */
#define COPY_CH_ENTRIES 0x10u /* u32 RW while disabled: of both rings, a power of two */
#define COPY_CH_CONTROL 0x14u /* u32 RW: COPY_CONTROL_* */
#define COPY_CH_STATUS 0x18u  /* u32 RO: COPY_STATUS_* and an error code */
#define COPY_CH_VECTOR 0x1cu  /* u32 RW: MSI-X vector, COPY_NO_VECTOR for none */
#define COPY_CH_HEAD 0x20u    /* u32 RO: descriptors taken, free running */
#define COPY_CH_TAIL 0x24u    /* u32 RW: descriptors given, free running (doorbell) */
#define COPY_CH_DONE 0x28u    /* u32 RO: completions written, free running */
#define COPY_CH_PROGRESS 0x30u /* u64 RO: bytes done of the descriptor in hand */
#define COPY_NO_VECTOR 0xffffu

/*
 * ENABLE 0 to 1 starts a channel with head, tail and done at 0, provided that ring, done
 * ring and entries are valid (else it stays 0). 1 to 0 drops what was not completed and
 * clears an error.
 */
#define COPY_CONTROL_ENABLE 1u
#define COPY_STATUS_ENABLED 1u
#define COPY_STATUS_BUSY 2u       /* a descriptor is in hand */
#define COPY_STATUS_ERROR 4u      /* stopped: disable and enable it again */
#define COPY_STATUS_CODE_SHIFT 8u /* with ERROR: enum copy_channel_error */

enum copy_channel_error {
    COPY_ERROR_NONE = 0,
    COPY_ERROR_RING = 1,      /* a descriptor could not be read */
    COPY_ERROR_DONE_RING = 2, /* a completion could not be written */
    COPY_ERROR_TAIL = 3       /* tail is more than `entries` ahead of head */
};

/* Doorbells: a u32 write of the new tail at COPY_DOORBELL_OFF + i * COPY_DOORBELL_STEP is
 * the same as a write of COPY_CH_TAIL. */
#define COPY_DOORBELL_OFF 0x2000u
#define COPY_DOORBELL_STEP 0x08u

/* A descriptor. Entry n of a ring lies at ring + (n % entries) * 32. */
struct copy_descriptor {
    uint32_t op;  /* COPY_OP_* | COPY_F_*; other bits 0 */
    uint32_t id;  /* comes back in the completion */
    uint64_t src; /* IOVA, or offset in device memory with COPY_F_SRC_LOCAL;
                     FILL: the 8 bytes that are repeated */
    uint64_t dst; /* IOVA, or offset in device memory with COPY_F_DST_LOCAL */
    uint64_t len; /* bytes, 1 to COPY_LEN_MAX */
};
static_assert(sizeof(struct copy_descriptor) == 32, "met by drivers");

#define COPY_OP_COPY 1u
#define COPY_OP_FILL 2u
#define COPY_OP_MASK 0xffu
#define COPY_F_SRC_LOCAL 0x100u
#define COPY_F_DST_LOCAL 0x200u
#define COPY_F_NO_IRQ 0x400u /* this completion alone asks for no interrupt */

/*
 * A completion. Entry n of the done ring lies at done_ring + (n % entries) * 32.
 * `sequence` is written last and by itself: a driver may poll it; completion n (from 0)
 * is there when its entry has sequence n + 1. At most `entries` descriptors may be given
 * whose completions the driver has not consumed.
 */
struct copy_completion {
    uint32_t id;
    uint32_t status;   /* enum copy_status */
    uint64_t bytes;    /* bytes that were written at dst */
    uint64_t reserved; /* 0 */
    uint64_t sequence;
};
static_assert(sizeof(struct copy_completion) == 32, "met by drivers");

enum copy_status {
    COPY_DONE = 0,
    COPY_BAD_DESCRIPTOR = 1, /* unknown operation or flag, length 0 or too long */
    COPY_BAD_LOCAL = 2,      /* outside the device memory */
    COPY_FAULT_SRC = 3,      /* source not mapped or not readable */
    COPY_FAULT_DST = 4,      /* destination not mapped or not writable */
    COPY_OVERLAP = 5         /* source and destination overlap */
};

#endif
