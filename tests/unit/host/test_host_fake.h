/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef TEST_HOST_FAKE_H
#define TEST_HOST_FAKE_H

#include <stdint.h>

#include "core/dirty.h"
#include "link/endpoint.h"

/*
 * A small PCI device behind an endpoint that does what it is told, lies when it is told
 * to, and remembers what it was asked. BAR0 holds registers and the MSI-X table, BAR2 is
 * mmappable memory.
 */
#define FAKE_CONFIG_BYTES 256u
#define FAKE_BAR0_BYTES 0x4000u
#define FAKE_BAR2_BYTES 0x10000u
#define FAKE_VECTORS 8u
#define FAKE_TABLE_OFF 0x2000u
#define FAKE_MAPS_MAX 80u
#define FAKE_PENDING_MAX 16u
#define FAKE_CAP_PM 0x40u
#define FAKE_CAP_MSIX 0x50u
#define FAKE_CAP_VENDOR 0x60u /* 20 bytes; a virtio access window with fake.virtio */

struct fake_device {
    struct ferry_endpoint endpoint;
    const struct ferry_client_port *port;
    uint8_t config[FAKE_CONFIG_BYTES];
    uint8_t bar0[FAKE_BAR0_BYTES];
    int bar2_fd;
    int bar2_fds_lent;
    uint32_t state;
    uint64_t mig_flags;
    uint32_t resets, attaches, detaches;
    struct ferry_dma_map map[FAKE_MAPS_MAX];
    uint32_t map_count;
    int irq_fd[FAKE_VECTORS]; /* duplicates; -1: none */
    uint32_t irq_messages;
    uint32_t fds_max;         /* more with one message: FERRY_E_FDS */
    uint32_t asked[64];       /* how often, per request kind */
    uint32_t window_accesses; /* of the virtio window's data */
    uint8_t order[256];       /* config offsets in the order of their writes */
    uint32_t order_count;
    const uint8_t *log; /* LOG_REPORT gives these bits, once */
    uint64_t log_bytes, log_iova;
    uint32_t log_length_max; /* longest bitmap that was asked for */
    /* The log, for LOG_REPORT and LOG_RUNS, from iova 0 on; NULL: no runs are known. */
    struct ferry_dirty *marks;

    /* Behaviour. */
    uint32_t silent_kind; /* this kind stays pending */
    uint32_t fail_kind;   /* this kind ends with fail_status */
    int fail_status;
    uint64_t fail_iova;     /* with fail_kind DMA_MAP / DMA_UNMAP: only there; 0: all */
    uint8_t ignore_off;     /* a config write there has no effect; 0: none */
    uint32_t tell_identity; /* 1: answers IDENTITY */
    void (*lie)(struct fake_device *fake, struct ferry_request *request);
    uint64_t lie_value;

    struct ferry_request *pending[FAKE_PENDING_MAX];
    uint32_t pending_count;
};

void fake_init(struct fake_device *fake);
void fake_free(struct fake_device *fake);
/* Ends everything that is pending (nothing else may be in the endpoint then). */
void fake_release(struct fake_device *fake, int status);
/* Raises a vector. */
void fake_raise(struct fake_device *fake, uint32_t vector);
/* The map at an address, or NULL. */
const struct ferry_dma_map *fake_map(const struct fake_device *fake, uint64_t iova);
/* Descriptors that this process has open. */
unsigned fake_open_fds(void);

#endif
