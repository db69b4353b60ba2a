/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_DEVICE_INSIDE_H
#define FERRY_BRIDGE_DEVICE_INSIDE_H

#include "bridge/device/device.h"
#include "os/uapi/vfio.h"

/*
 * A device's own files:
 *   device.c   the object: its calls, BIND, ATTACH, DETACH, the end
 *   facts.c    what a server says of its device; asked at BIND and after a return
 *   config.c   config space: what a VMM walks through there holds, and stays
 *   info.c     what of it the VMM is told
 *   region.c   reading, writing and mapping regions
 *   irq.c      interrupts: set-up, and setting up again
 *   feature.c  VFIO_DEVICE_FEATURE
 *   reset.c    reset, death and return
 *   link.c     the connection
 */

/* All that a server is asked when it is met, in limits of a single request. */
#define BRIDGE_SETUP_LIMITS 4u

/* A region's bytes lie at its index << this in the descriptor, as in the kernel. */
#define BRIDGE_REGION_SHIFT 40u

#define BRIDGE_ROM_REGION 6u
#define BRIDGE_CONFIG_REGION 7u
#define BRIDGE_PCI_REGIONS 9u /* those behind are the device's own */

#define BRIDGE_VECTORS_MAX 2048u /* of one interrupt index: MSI-X has no more */

#define BRIDGE_IRQ_INTX 0u
#define BRIDGE_IRQ_MSI 1u
#define BRIDGE_IRQ_MSIX 2u
#define BRIDGE_IRQ_ERR 3u
#define BRIDGE_IRQ_REQ 4u

/* facts.c */

/* What a server says of its device; region fds are the holder's. */
struct bridge_facts {
    struct ferry_device_info info;
    struct ferry_identity identity;
    struct ferry_region_info region[BRIDGE_REGIONS_MAX];
    struct ferry_irq_info irq[BRIDGE_IRQS_MAX];
    struct bridge_msix msix;
    struct bridge_config config;
};

/* Asks over the device's link. Return: FERRY_OK or a negative code; reterr says what. */
int bridge_facts_ask(struct bridge_device *device, struct bridge_facts *ret_facts,
                     struct ferry_error *reterr);
/* Closes the region fds that are left. */
void bridge_facts_drop(struct bridge_facts *facts);
/* May a device with these facts take the device's place? Return: NULL, or what is
 * different. */
const char *bridge_facts_differ(struct bridge_device *device,
                                const struct bridge_facts *fresh);

/* Bytes of a region that the VMM may map: its areas, page by page. Return: their number;
 * 0: none. ret_area: FERRY_SPARSE_AREAS_MAX entries. */
uint32_t bridge_region_areas(const struct ferry_region_info *region,
                             struct ferry_range *ret_area);

/* config.c */

#define BRIDGE_MSIX_ENTRY_BYTES 16u

/* Reads config space into the facts, with what it says: ids and the MSI-X table.
 * Return: FERRY_OK or a negative code; reterr says what. */
int bridge_config_ask(struct bridge_device *device, struct bridge_facts *facts,
                      struct ferry_error *reterr);
/*
 * May a VMM go by it? QEMU follows a list without an end forever, and aborts at what no
 * hardware has. config: its bytes, of which `fixed` is filled. region: of the BARs.
 * Return: NULL, or what is wrong.
 */
const char *bridge_config_check(struct bridge_config *config, uint32_t bytes,
                                const struct ferry_region_info *region,
                                struct bridge_msix *ret_msix);
int bridge_config_differs(const struct bridge_config *old,
                          const struct bridge_config *fresh);
/* What was read is kept; what cannot change has not, whatever the server says now. */
void bridge_config_keep(struct bridge_device *device, uint64_t off, uint8_t *data,
                        uint32_t count);
/*
 * The VMM writes. QEMU finds out a ROM's size by writing its address and reading it back,
 * and aborts when that is no power of two: so it is kept here.
 */
void bridge_config_write(struct bridge_device *device, uint64_t off, const uint8_t *data,
                         uint32_t count);
void bridge_config_recall(struct bridge_device *device, uint64_t off, uint8_t *ret_data,
                          uint32_t count);

/* info.c; each as the ioctl, arg's argsz already looked at */
long bridge_device_get_info(struct bridge_device *device, void *arg);
long bridge_device_get_region_info(struct bridge_device *device, void *arg);
long bridge_device_get_irq_info(struct bridge_device *device, void *arg);

/* region.c; slots of the object */
ssize_t bridge_device_pread(struct bridge_object *object, void *ret_data, size_t count,
                            uint64_t off);
ssize_t bridge_device_pwrite(struct bridge_object *object, const void *data, size_t count,
                             uint64_t off);
int bridge_device_map(struct bridge_object *object, uint64_t off, uint64_t length,
                      int *ret_fd, uint64_t *ret_off);

/* region.c; a descriptor for peers, the VMM's. Return: it, or -1. */
int bridge_region_give(struct bridge_device *device, uint32_t index);
/* region.c; the server came back: mappings and descriptors of a region that the VMM has
 * show the file that it has now. fd: given away. Return: 0 or -errno. */
int bridge_region_replace(struct bridge_device *device, uint32_t index, int fd);

/* irq.c */
int bridge_irqs_create(struct bridge_device *device); /* sets device->irqs */
void bridge_irqs_destroy(struct bridge_device *device);
long bridge_device_set_irqs(struct bridge_device *device, void *arg);
/* The server came back: everything that was set up again. Return: 0 or -errno. */
int bridge_irqs_repeat(struct bridge_device *device);
/* It stands still no longer: what it has not taken meanwhile. Return: 0 or -errno. */
int bridge_irqs_settle(struct bridge_device *device);

/* feature.c */
long bridge_device_feature(struct bridge_device *device, void *arg);

/* reset.c */
long bridge_device_ioctl_reset(struct bridge_device *device, void *arg);
long bridge_device_hot_reset_info(struct bridge_device *device, void *arg);
long bridge_device_hot_reset(struct bridge_device *device, void *arg);

#endif
