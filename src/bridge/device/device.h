/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_DEVICE_DEVICE_H
#define FERRY_BRIDGE_DEVICE_DEVICE_H

#include <pthread.h>

#include "bridge/object.h"
#include "bridge/preload/tokens/token.h"
#include "ferry/compat.h"
#include "link/request.h"

/*
 * A VFIO device of the VMM, and the server behind it. The parts:
 *   device/     the object and its life, regions, interrupts, features, the connection
 *   iommu/      what memory it reaches, which pages it wrote
 *   migration/  its states and its data
 *
 * Lock: `lock` guards what may change after BIND (interrupt set-up, descriptors given).
 * The parts have locks of their own; order: migration, iommu, device, and no call to a
 * server with the device's lock held. Calls to a server may come from many threads.
 */
#define BRIDGE_REGIONS_MAX 32u /* the uAPI's 9 and device-specific ones */
#define BRIDGE_IRQS_MAX 5u     /* INTx, MSI, MSI-X, ERR, REQ */
#define BRIDGE_CONFIG_BYTES 4096u

/* Where the MSI-X table is; it matters for mapping its region. */
struct bridge_msix {
    uint32_t region; /* UINT32_MAX: there is none */
    uint32_t bytes;
    uint64_t off;
};

/* Config space as it was read last, and which of its bits stay as they were at BIND. */
struct bridge_config {
    uint8_t byte[BRIDGE_CONFIG_BYTES];
    uint8_t fixed[BRIDGE_CONFIG_BYTES];
    uint32_t rom_mask; /* of the ROM's address, which is the bridge's own */
};

/* A descriptor for a region's file that the VMM has; its number may mean something else
 * by now. */
#define BRIDGE_GIVEN_MAX 16u
struct bridge_given {
    uint32_t region;
    int fd;
};

/*
 * What the server says is asked at BIND and constant from then on, except that a region's
 * fd refers to another file when the server came back.
 */
struct bridge_device {
    struct bridge_object object; /* first */
    struct bridge_token token;
    uint32_t id;    /* names it among the process's devices, from 1 */
    uint32_t bound; /* atomic; 1: everything below is there */
    uint32_t
        settled; /* atomic; 1: the VMM has asked GET_INFO, so it has made the device */
    struct bridge_link *link;             /* from BIND on */
    struct bridge_attachment *attachment; /* iommu's: from BIND to the end */
    struct bridge_log *log;               /* iommu's: dirty pages; from BIND on */
    struct bridge_migration *migration;   /* from BIND on; NULL: it cannot migrate */
    struct bridge_v1 *v1; /* from the opening by a group on; its migration region */
    struct ferry_identity identity; /* as the server says it; else what config says */
    struct ferry_device_info info;
    struct ferry_region_info region[BRIDGE_REGIONS_MAX]; /* asked once; fd stays open */
    struct ferry_irq_info irq[BRIDGE_IRQS_MAX];
    struct bridge_msix msix;
    pthread_mutex_t life; /* BIND, ATTACH, DETACH, RESET: one at a time; before all */
    pthread_mutex_t lock;
    struct bridge_irqs *irqs; /* device's: set-up to be repeated, the ERR eventfd */
    struct bridge_config config;
    uint32_t given_count; /* descriptors of regions that the VMM got for peers; its */
    struct bridge_given given[BRIDGE_GIVEN_MAX];
    uint32_t iommu_id; /* its number in the iommufd */
    /* Opened by a group: holds a reference to it; NULL: given to the VMM as a token. */
    struct bridge_object *group;
    uint32_t group_number;
    uint32_t pulled; /* atomic; 1: the VMM has been told so (bridge_device_pulled()) */
    uint32_t waits;  /* atomic; 1: opened by its path, and not bound (iommu/cdev.h) */
};

/* Return: 0 and an object with one reference; -ENOMEM. */
int bridge_device_create(const struct bridge_token *token,
                         struct bridge_object **ret_object);
/* The device when the object is one, else NULL. */
struct bridge_device *bridge_device_of(struct bridge_object *object);

/*
 * What BIND and ATTACH do together, for a group: iommu: an iommufd; pt: a page table of
 * it. Nothing happens to a device that is open. Return: 0; -errno, which was said.
 */
int bridge_device_open(struct bridge_device *device, struct bridge_object *iommu,
                       uint32_t pt);

/* The connection died: said once; from now on everything fails with EIO until a reset
 * finds a server again. Thread: any. */
void bridge_device_lost(struct bridge_device *device);
/* As of a device of the kernel's that is pulled out, ERR and REQ are raised, once; only
 * with a token that says so. Thread: any, without locks but `life`. */
void bridge_device_pulled(struct bridge_device *device);

/*
 * Tells the VMM that the device met an error it cannot go on with (the ERR interrupt):
 * QEMU then stops the guest. For what would otherwise be a silent loss.
 */
void bridge_device_alarm(struct bridge_device *device);

/*
 * MSI and MSI-X vectors (index 1, 2) that were signalled and that the VMM has not taken
 * yet. A VMM that stops its guest and moves it in one go never takes them: QEMU without
 * KVM. They stay signalled. Return: how many, at most cap.
 */
uint32_t bridge_device_waiting_irqs(struct bridge_device *device, uint32_t index,
                                    uint16_t *ret_vector, uint32_t cap);
/* Signals those of these vectors that the VMM has set up. */
void bridge_device_raise_irqs(struct bridge_device *device, uint32_t index,
                              const uint16_t *vector, uint32_t count);

/*
 * The device left STOP or STOP_COPY: its server is told what it has refused meanwhile
 * (libvfio-user takes no map and no interrupt then). When it refuses still, the VMM is
 * alarmed. Called by the migration, with its lock held.
 */
void bridge_device_moves(struct bridge_device *device);

/*
 * VFIO_DEVICE_RESET: resets the device; a dead one is connected again, its maps and
 * interrupts repeated. QEMU aborts the guest when a reset fails in a migration's
 * recovery: a dead device that cannot be found says so and answers 0, and goes on
 * failing.
 */
int bridge_device_reset(struct bridge_device *device);

#endif
