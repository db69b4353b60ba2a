/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/pci/irq.h"

#include <assert.h>

#include "base/bitmap.h"
#include "base/range.h"
#include "device/device_private.h"
#include "os/eventfd.h"
#include "os/memory.h"

#define DATA_FLAGS                                                                       \
    (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_DATA_EVENTFD)
#define ACTION_FLAGS (FERRY_IRQ_SET_MASK | FERRY_IRQ_SET_UNMASK | FERRY_IRQ_SET_TRIGGER)

/* What GET_IRQ_INFO tells, and what may be done to an index beside TRIGGER. */
static const struct {
    const char *name;
    uint32_t flags;     /* FERRY_IRQ_* */
    uint32_t exclusive; /* 1: one of those of which only one is in use */
    uint32_t mask_fds;  /* 1: MASK and UNMASK through eventfds */
} index_table[DEVICE_IRQ_INDEXES] = {
    [DEVICE_IRQ_INTX] = { "INTx",
                          FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE | FERRY_IRQ_AUTOMASKED,
                          1, 1 },
    [DEVICE_IRQ_MSI] = { "MSI",
                         FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE | FERRY_IRQ_NORESIZE, 1,
                         1 },
    [DEVICE_IRQ_MSIX] = { "MSI-X", FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE, 1, 0 },
    [DEVICE_IRQ_ERR] = { "ERR", FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE, 0, 0 },
    [DEVICE_IRQ_REQ] = { "REQ", FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE, 0, 0 },
};

static uint32_t count_of(const struct ferry_device *device, uint32_t index)
{
    switch ((enum device_irq_index)index) {
    case DEVICE_IRQ_INTX:
        return device->irqs.intx.pin != 0;
    case DEVICE_IRQ_MSI:
        return device->irqs.msi.count;
    case DEVICE_IRQ_MSIX:
        return device->msix.count;
    case DEVICE_IRQ_ERR:
        return device->config.pcie_off != 0; /* as the kernel: PCI Express only */
    case DEVICE_IRQ_REQ:
        return 1;
    case DEVICE_IRQ_INDEXES:
        break;
    }
    return 0;
}

/* Where the eventfd of a vector is kept. */
static int *slot_of(struct ferry_device *device, uint32_t index, uint32_t vector)
{
    switch ((enum device_irq_index)index) {
    case DEVICE_IRQ_INTX:
        return &device->irqs.intx.fd;
    case DEVICE_IRQ_MSI:
        return &device->irqs.msi.fd[vector];
    case DEVICE_IRQ_MSIX:
        return &device->msix.fd[vector];
    case DEVICE_IRQ_ERR:
        return &device->irqs.error_fd;
    case DEVICE_IRQ_REQ:
    case DEVICE_IRQ_INDEXES:
        break;
    }
    return &device->irqs.request_fd;
}

static struct device_mask_fd *mask_of(struct ferry_device *device, uint32_t index,
                                      uint32_t vector, uint32_t action)
{
    struct device_mask_pair *by =
        index == DEVICE_IRQ_INTX ? &device->irqs.intx.by : &device->irqs.msi.by[vector];

    return action == FERRY_IRQ_SET_MASK ? &by->mask : &by->unmask;
}

void device_irq_act(struct ferry_device *device, uint32_t index, uint32_t vector,
                    uint32_t action)
{
    switch ((enum device_irq_index)index) {
    case DEVICE_IRQ_INTX:
        device_intx_act(device, action);
        break;
    case DEVICE_IRQ_MSI:
        device_msi_act(device, vector, action);
        break;
    case DEVICE_IRQ_MSIX:
        device_msix_act(device, vector, action);
        break;
    case DEVICE_IRQ_ERR:
    case DEVICE_IRQ_REQ:
    case DEVICE_IRQ_INDEXES:
        if (*slot_of(device, index, vector) >= 0) {
            (void)ferry_os_eventfd_signal(*slot_of(device, index, vector));
        }
        break;
    }
}

void device_irq_put_fd(int *slot, int fd)
{
    ferry_os_close(slot);
    *slot = fd;
}

void device_irqs_init(struct ferry_device *device, const struct ferry_device_desc *desc)
{
    struct device_irqs *irqs = &device->irqs;

    irqs->in_use = DEVICE_IRQ_NONE;
    irqs->error_fd = -1;
    irqs->request_fd = -1;
    irqs->intx.pin = desc->intx_pin;
    irqs->intx.fd = -1;
    device_mask_pair_init(device, &irqs->intx.by, DEVICE_IRQ_INTX, 0);
    irqs->msi.count = desc->msi_vectors;
    for (uint32_t i = 0; i < FERRY_DEVICE_MSI_MAX; i++) {
        irqs->msi.fd[i] = -1;
        device_mask_pair_init(device, &irqs->msi.by[i], DEVICE_IRQ_MSI, i);
    }
}

/* Every eventfd of an index goes, and with them what was pending. */
static void disable(struct ferry_device *device, uint32_t index)
{
    struct device_irqs *irqs = &device->irqs;

    for (uint32_t i = 0; i < count_of(device, index); i++) {
        ferry_os_close(slot_of(device, index, i));
    }
    if (index == DEVICE_IRQ_INTX) {
        device_mask_pair_drop(device, &irqs->intx.by);
        irqs->intx.masked = 0; /* the line itself is the device's */
    } else if (index == DEVICE_IRQ_MSI) {
        for (uint32_t i = 0; i < irqs->msi.count; i++) {
            device_mask_pair_drop(device, &irqs->msi.by[i]);
        }
        device_msi_set_pending(device, 0);
    } else if (index == DEVICE_IRQ_MSIX) {
        device_msix_clear_pending(&device->msix);
    }
    if (irqs->in_use == index) {
        irqs->in_use = DEVICE_IRQ_NONE;
    }
}

void device_irqs_drop(struct ferry_device *device)
{
    for (uint32_t i = 0; i < DEVICE_IRQ_INDEXES; i++) {
        disable(device, i);
    }
}

void device_irqs_free(struct ferry_device *device)
{
    device_irqs_drop(device);
    device_msix_free(&device->msix);
}

void device_irqs_clear_pending(struct ferry_device *device)
{
    device_msix_clear_pending(&device->msix);
    device_msi_set_pending(device, 0);
    device_intx_level(device, 0);
}

void device_irqs_flush(struct ferry_device *device)
{
    device_msix_flush(device);
    device_msi_flush(device);
    device_intx_flush(device);
}

int device_irqs_info(struct ferry_device *device, struct ferry_request *request)
{
    struct ferry_irq_info *info = &request->u.irq;

    if (info->index >= DEVICE_IRQ_INDEXES) {
        return ferry_error_set(request->reterr, FERRY_E_NOT_FOUND, "device", NULL, 0,
                               "interrupt index %u: the device has %u", info->index,
                               (uint32_t)DEVICE_IRQ_INDEXES);
    }
    info->count = count_of(device, info->index);
    info->flags = info->count != 0 ? index_table[info->index].flags : 0;
    return FERRY_OK;
}

/* Exactly one kind of data, exactly one action, of a kind that the index knows. */
static int check_flags(const struct ferry_irq_set *set, struct ferry_error *reterr)
{
    const uint32_t data = set->flags & DATA_FLAGS;
    const uint32_t action = set->flags & ACTION_FLAGS;

    if ((set->flags & ~(DATA_FLAGS | ACTION_FLAGS)) != 0 || !ferry_is_power_of_2(data) ||
        !ferry_is_power_of_2(action)) {
        return ferry_error_set(
            reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
            "SET_IRQS: flags 0x%x are not one kind of data and one action", set->flags);
    }
    if (set->count == 0 &&
        set->flags != (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "SET_IRQS: count 0 goes with DATA_NONE and TRIGGER only");
    }
    if (action != FERRY_IRQ_SET_TRIGGER &&
        ((index_table[set->index].flags & FERRY_IRQ_MASKABLE) == 0 ||
         (data == FERRY_IRQ_SET_DATA_EVENTFD && index_table[set->index].mask_fds == 0))) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "device", NULL, 0,
                               "SET_IRQS: masking %s%s", index_table[set->index].name,
                               data == FERRY_IRQ_SET_DATA_EVENTFD ? " through an eventfd"
                                                                  : "");
    }
    return FERRY_OK;
}

static int check_set(const struct ferry_device *device, const struct ferry_irq_set *set,
                     struct ferry_error *reterr)
{
    const uint32_t most =
        set->index < DEVICE_IRQ_INDEXES ? count_of(device, set->index) : 0;
    int status;

    if (most == 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "device", NULL, 0,
                               "SET_IRQS: this device has no interrupts of index %u",
                               set->index);
    }
    status = check_flags(set, reterr);
    if (status != FERRY_OK) {
        return status;
    }
    if (!ferry_range_inside(set->start, set->count, most)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "device", NULL, 0,
                               "SET_IRQS: %s vectors %u + %u, the device has %u",
                               index_table[set->index].name, set->start, set->count,
                               most);
    }
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0 &&
        (set->fd_count > FERRY_REQUEST_FDS_MAX ||
         (set->fd_count != 0 && set->fd_count != set->count))) {
        return ferry_error_set(reterr, FERRY_E_FDS, "device", NULL, 0,
                               "SET_IRQS: %u descriptors for %u vectors", set->fd_count,
                               set->count);
    }
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0 && set->fd_count != 0 &&
        index_table[set->index].exclusive && device->irqs.in_use != DEVICE_IRQ_NONE &&
        device->irqs.in_use != set->index) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "device", NULL, 0,
                               "SET_IRQS: %s while %s is in use; disable that first",
                               index_table[set->index].name,
                               index_table[device->irqs.in_use].name);
    }
    return FERRY_OK;
}

/* The index is in use from here on; config space follows, as in the kernel. */
static void enable(struct ferry_device *device, const struct ferry_irq_set *set)
{
    if (index_table[set->index].exclusive) {
        device->irqs.in_use = set->index;
    }
    if (set->index == DEVICE_IRQ_MSIX) {
        device_config_msix_enable(&device->config);
    } else if (set->index == DEVICE_IRQ_MSI) {
        device_msi_enable(device, set->start + set->count);
    }
}

/* Gives one vector its eventfd (given away; -1: takes the old one away). */
static int put_one(struct ferry_device *device, const struct ferry_irq_set *set,
                   uint32_t vector, int fd)
{
    const uint32_t action = set->flags & ACTION_FLAGS;

    if (action != FERRY_IRQ_SET_TRIGGER) {
        return device_mask_fd_put(device, mask_of(device, set->index, vector, action),
                                  fd);
    }
    device_irq_put_fd(slot_of(device, set->index, vector), fd);
    if (fd >= 0 && set->index == DEVICE_IRQ_MSIX) { /* as the kernel does */
        device_msix_act(device, vector, FERRY_IRQ_SET_UNMASK);
    }
    return FERRY_OK;
}

/* Takes eventfds into use; all of them or none. */
static int assign(struct ferry_device *device, const struct ferry_irq_set *set)
{
    int fresh[FERRY_REQUEST_FDS_MAX];
    uint32_t made = 0;
    int status = FERRY_OK;

    assert(set->fd_count <= FERRY_REQUEST_FDS_MAX);
    while (made < set->fd_count && status == FERRY_OK) {
        fresh[made] = -1;
        if (set->fds[made] >= 0) { /* -1 takes the vector's away, as in the uAPI */
            status = ferry_os_eventfd_adopt(set->fds[made]);
        }
        if (set->fds[made] >= 0 && status == FERRY_OK) {
            status = ferry_os_dup(set->fds[made], &fresh[made]);
        }
        made++;
    }
    if (status != FERRY_OK) {
        while (made > 0) {
            ferry_os_close(&fresh[--made]);
        }
        return status;
    }
    for (uint32_t i = 0; i < made; i++) {
        const int put = put_one(device, set, set->start + i, fresh[i]);

        status = put < 0 ? put : status;
    }
    if ((set->flags & FERRY_IRQ_SET_TRIGGER) != 0) {
        enable(device, set);
    }
    return status;
}

int device_irqs_set(struct ferry_device *device, struct ferry_request *request)
{
    const struct ferry_irq_set *set = &request->u.irq_set;
    int status = check_set(device, set, request->reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (set->count == 0) {
        disable(device, set->index);
    } else if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) == 0) {
        for (uint32_t i = 0; i < set->count; i++) {
            if ((set->flags & FERRY_IRQ_SET_DATA_BOOL) == 0 || set->bools[i] != 0) {
                device_irq_act(device, set->index, set->start + i,
                               set->flags & ACTION_FLAGS);
            }
        }
    } else if (set->fd_count == 0) {
        for (uint32_t i = 0; i < set->count; i++) {
            (void)put_one(device, set, set->start + i, -1);
        }
    } else {
        status = assign(device, set);
    }
    device_irqs_flush(device);
    return status;
}

static int tell(int fd)
{
    return fd >= 0 ? ferry_os_eventfd_signal(fd) : FERRY_E_NOT_FOUND;
}

int ferry_irq_error(struct ferry_device *device)
{
    return tell(device->irqs.error_fd);
}

int ferry_irq_request(struct ferry_device *device)
{
    return tell(device->irqs.request_fd);
}
