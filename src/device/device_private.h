/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_PRIVATE_H
#define FERRY_DEVICE_PRIVATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "device/doorbell.h"
#include "device/pci/config.h"
#include "device/pci/irq.h"
#include "device/dma/dma.h"
#include "device/dma/dmalog.h"
#include "device/migration/migration.h"
#include "device/pci/msix.h"
#include "device/region.h"
#include "device/migration/stream.h"
#include "ferry/device.h"
#include "link/endpoint.h"

/* What the files of src/device share. */

/* One descriptor that the author has watched; fn NULL: none. */
struct device_watched {
    struct ferry_watch watch;
    void (*fn)(void *user, uint32_t events);
    void *user;
};

struct ferry_device {
    struct ferry_endpoint endpoint;
    struct ferry_device_ops ops; /* the author's, every slot filled */
    void *state;
    struct ferry_identity identity;
    /* BARs, ROM, then nothing (config, VGA), then the device-specific ones. */
    struct ferry_device_region region[DEVICE_REGIONS_MAX];
    struct device_memory memory[DEVICE_REGIONS_MAX];
    struct device_region_type region_type[FERRY_DEVICE_EXTRA_MAX];
    uint32_t region_count;
    const uint8_t *rom; /* the author's, or NULL */
    uint64_t rom_bytes;
    struct device_config config;
    struct device_msix msix;
    struct device_irqs irqs;
    struct device_doorbells doorbells;
    struct device_dma dma;
    struct device_dmalog log;
    struct device_migration mig;
    struct device_save save;
    struct device_load load;
    struct device_latch latch;
    const struct ferry_client_port *port;
    struct ferry_request *over, **over_tail; /* to be completed by the next work() */
    uint32_t attached;
    uint32_t reads_inside;   /* FERRY_DEVICE_READS_DURING_DMA */
    uint32_t depth;          /* inside an endpoint call: work() will follow */
    uint32_t scheduled;      /* the author wants work() */
    struct ferry_loop *loop; /* what wakes the device; its descriptor is the wake_fd */
    struct ferry_watch wake; /* of device_wake() */
    uint32_t watching;       /* other descriptors and timers of the loop */
    struct device_watched watched[FERRY_DEVICE_WATCHES_MAX];
    uint32_t submitted;      /* the next work() comes with a request */
    uint64_t unmap_limit_ns; /* an unmap waits for the device that long */
    struct ferry_loop_timer unmap_timer;
    _Atomic uint32_t woken;   /* wake.fd has been written to */
    _Atomic uint32_t waiting; /* an unmap or an arc waits for segments */
};

/* What becomes of an operation in the present state. */
enum device_access {
    DEVICE_DO = 0,
    DEVICE_LATCH,  /* a doorbell in a P2P state: keep it for later */
    DEVICE_IGNORE, /* succeed without effect */
    DEVICE_REFUSE
};

/*
 * The one place where the access table is asked.
 * ret_fill: what a read that is not performed returns in every byte; may be NULL.
 * reterr: names the rule when the answer is DEVICE_REFUSE.
 * Return: an enum device_access value.
 */
int device_access(const struct ferry_device *device, uint32_t operation,
                  uint8_t *ret_fill, struct ferry_error *reterr);

/* The same for operations that are done or not: FERRY_OK or FERRY_E_STATE. */
int device_permit(const struct ferry_device *device, uint32_t operation,
                  struct ferry_error *reterr);

/* Ends a pending request: its done() runs in the next work(). */
void device_complete(struct ferry_device *device, struct ferry_request *request,
                     int status);

/* Makes wake_fd readable. Thread: any; also from a signal handler. */
void device_wake(struct ferry_device *device);

/* The watch's fn is called from work(). Return: as ferry_loop_add(). */
int device_watch(struct ferry_device *device, struct ferry_watch *watch);
void device_unwatch(struct ferry_device *device, struct ferry_watch *watch);

/* An unmap has begun to wait: work() comes by the time its limit is over. */
void device_unmap_wait(struct ferry_device *device, uint64_t deadline_ns);

/* Resets the device at its user's wish; what the user controls (config space, MSI-X
 * table, eventfds, maps, log) stays, as with VFIO_DEVICE_RESET in the kernel. */
void device_reset(struct ferry_device *device);

/* Info requests. */
int device_info(struct ferry_device *device, struct ferry_request *request);
int device_info_region(struct ferry_device *device, struct ferry_request *request);
int device_info_probe(struct ferry_device *device, struct ferry_request *request);
int device_info_counters(struct ferry_device *device, struct ferry_request *request);
int device_info_identity(struct ferry_device *device, struct ferry_request *request);

/* Fills what the author left to the SDK: the size of a ROM with an image. */
void device_desc_complete(struct ferry_device_desc *desc);
/* Checks a description. Return: FERRY_OK or FERRY_E_ARGUMENT with the member in reterr.
 */
int device_desc_check(const struct ferry_device_desc *desc,
                      const struct ferry_device_ops *ops, struct ferry_error *reterr);
/* Fills slots that the author left out. */
void device_ops_fill(struct ferry_device_ops *ops);

#endif
