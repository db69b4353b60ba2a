/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ACCESS_H
#define FERRY_ACCESS_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Operations on a device whose legality depends on the device state. */
enum ferry_operation {
    FERRY_OP_CONFIG_READ = 0,
    FERRY_OP_CONFIG_WRITE,
    FERRY_OP_MSIX_READ, /* MSI-X table or PBA inside a BAR */
    FERRY_OP_MSIX_WRITE,
    FERRY_OP_REGION_READ, /* BAR, ROM or device-specific region, trapped */
    FERRY_OP_REGION_WRITE,
    FERRY_OP_MMAP_ACCESS, /* loads and stores through an mmapped region */
    FERRY_OP_IOEVENTFD,   /* a doorbell through an eventfd */
    FERRY_OP_SET_IRQS,
    FERRY_OP_INFO,       /* device, region and interrupt information */
    FERRY_OP_IRQ_RAISE,  /* the device raises an interrupt */
    FERRY_OP_DMA_START,  /* the device starts a DMA */
    FERRY_OP_DMA_ACCEPT, /* the device accepts DMA from a peer */
    FERRY_OP_DMA_MAP,
    FERRY_OP_DMA_UNMAP,
    FERRY_OP_ATTACH,      /* attach to or detach from an address space */
    FERRY_OP_LOG_CONTROL, /* start or stop dirty tracking */
    FERRY_OP_LOG_REPORT,
    FERRY_OP_DATA_READ,
    FERRY_OP_DATA_WRITE,
    FERRY_OP_PRECOPY_INFO,
    FERRY_OP_DATA_SIZE,
    FERRY_OP_RESET,
    FERRY_OP_HOT_RESET,
    FERRY_OP_POWER, /* PCI power state */
    FERRY_OP_DMABUF_EXPORT,
    FERRY_OP_PAGE_REQUEST,
    FERRY_OP_COUNT
};

/* What happens to an operation in a state. */
enum ferry_verdict {
    FERRY_ALLOW = 1,   /* works as while RUNNING */
    FERRY_REFUSE = 2,  /* fails at once and changes nothing; a read returns read_value */
    FERRY_IGNORE = 3,  /* accepted without effect; a read returns read_value */
    FERRY_COMPARE = 4, /* cannot be enforced; found by comparison after the freeze */
    FERRY_LATCH = 5    /* accepted and performed when the device runs again, if it latches
                          (identity.doorbell_latch); refused if it does not */
};

/* Where the specification (docs/spec) tells of a rule: one page each. */
enum ferry_chapter {
    FERRY_CHAPTER_STATES = 1, /* states, arcs, data sessions */
    FERRY_CHAPTER_ACCESS,     /* what is legal in which state */
    FERRY_CHAPTER_PEERS,      /* peer to peer, stopping many devices */
    FERRY_CHAPTER_CONTENT,    /* what the data holds and what the user restores */
    FERRY_CHAPTER_DATA,       /* begin and end of data, validation, compatibility */
    FERRY_CHAPTER_PRE_COPY,   /* pre-copy, estimates */
    FERRY_CHAPTER_DIRTY,      /* dirty tracking */
    FERRY_CHAPTER_INTERRUPTS,
    FERRY_CHAPTER_PAGES,     /* page requests */
    FERRY_CHAPTER_RESET,     /* reset, errors */
    FERRY_CHAPTER_MIGRATION, /* a whole migration, and its failures */
    FERRY_CHAPTER_V1,        /* the uAPI's version 1 */
    FERRY_CHAPTER_STREAM,    /* records between two hosts */
    FERRY_CHAPTER_COUNT
};

/* A rule of the specification. */
struct ferry_rule {
    const char *id;     /* "MIG-STOP-2" */
    const char *text;   /* one sentence: what */
    const char *why;    /* one sentence: why */
    const char *source; /* "uAPI v2" or "Ferry" where the uAPI is silent */
    uint8_t enforced;   /* 0: specified, not yet enforced */
    uint8_t chapter;    /* enum ferry_chapter */
    uint8_t pad[6];
};

/* One cell of the access table. */
struct ferry_access {
    uint8_t verdict;    /* enum ferry_verdict */
    uint8_t read_value; /* byte that fills what a refused or ignored read returns */
    uint8_t pad[6];
    const struct ferry_rule *rule;
};

/*
 * The cell for an operation in a state.
 * Return: a static, filled cell; NULL when operation or state is out of range.
 * Thread: any.
 */
FERRY_PUBLIC const struct ferry_access *ferry_access_get(uint32_t operation,
                                                         uint32_t state);

/* Name of an operation ("SET_IRQS"); "?" out of range. Thread: any. */
FERRY_PUBLIC const char *ferry_operation_name(uint32_t operation);

/* The i-th rule of the specification, or NULL past the last. Thread: any. */
FERRY_PUBLIC const struct ferry_rule *ferry_rule_get(size_t i);

/* Name of a chapter's page in docs/spec ("pre-copy"); "?" out of range. Thread: any. */
FERRY_PUBLIC const char *ferry_chapter_name(uint32_t chapter);

#ifdef __cplusplus
}
#endif

#endif
