/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DEVICE_PCI_IRQ_H
#define FERRY_DEVICE_PCI_IRQ_H

#include <stdint.h>

#include "ferry/device.h"
#include "link/request.h"
#include "os/loop.h"

/*
 * The interrupts of a device by index, as in the uAPI: what SET_IRQS may do to which, and
 * INTx, MSI, ERR and REQ themselves (MSI-X: msix.h). At most one of INTx, MSI and MSI-X
 * is in use: the one that the user gave eventfds last. Thread: the device's.
 */
enum device_irq_index {
    DEVICE_IRQ_INTX = 0,
    DEVICE_IRQ_MSI,
    DEVICE_IRQ_MSIX,
    DEVICE_IRQ_ERR,
    DEVICE_IRQ_REQ,
    DEVICE_IRQ_INDEXES
};
#define DEVICE_IRQ_NONE DEVICE_IRQ_INDEXES

/* Numbers of what is pending in a device's stream (migration/stream.h): MSI-X vectors are
 * themselves. */
#define DEVICE_PENDING_MSI 0x10000u
#define DEVICE_PENDING_INTX 0x20000u
#define DEVICE_PENDING_MAX (FERRY_DEVICE_MSIX_MAX + FERRY_DEVICE_MSI_MAX + 1u)

/* An eventfd of the user's that masks or unmasks a vector; watch.fd -1: none. */
struct device_mask_fd {
    struct ferry_watch watch;
    struct ferry_device *device;
    uint32_t index, vector;
    uint32_t action; /* FERRY_IRQ_SET_MASK or _UNMASK */
    uint32_t pad;
};

/* What one vector is masked and unmasked by. */
struct device_mask_pair {
    struct device_mask_fd mask, unmask;
};

struct device_intx {
    uint32_t pin;      /* 0: none */
    uint32_t asserted; /* the line */
    uint32_t masked;   /* by the user, or because it fired */
    int fd;
    struct device_mask_pair by;
};

struct device_msi {
    uint32_t count;
    uint32_t pending; /* bit n: vector n */
    int fd[FERRY_DEVICE_MSI_MAX];
    struct device_mask_pair by[FERRY_DEVICE_MSI_MAX];
};

struct device_irqs {
    uint32_t in_use; /* INTx, MSI or MSI-X, or DEVICE_IRQ_NONE */
    int error_fd, request_fd;
    struct device_intx intx;
    struct device_msi msi;
};

void device_irqs_init(struct ferry_device *device, const struct ferry_device_desc *desc);
void device_irqs_free(struct ferry_device *device);

/* FERRY_RQ_SET_IRQS and _GET_IRQ_INFO. */
int device_irqs_set(struct ferry_device *device, struct ferry_request *request);
int device_irqs_info(struct ferry_device *device, struct ferry_request *request);

/* Fires what is pending and no longer held back, of every index. */
void device_irqs_flush(struct ferry_device *device);
/* Nothing is pending and no line asserted any more (a reset of the function). */
void device_irqs_clear_pending(struct ferry_device *device);
/* The user is gone: every eventfd goes. */
void device_irqs_drop(struct ferry_device *device);

/* What is pending, for a device's stream: how many, the first number from `from` on
 * (UINT32_MAX: none), one more. set: FERRY_OK, FERRY_E_RANGE (no such interrupt). */
uint32_t device_irqs_pending_count(const struct ferry_device *device);
uint32_t device_irqs_next_pending(const struct ferry_device *device, uint32_t from);
int device_irqs_set_pending(struct ferry_device *device, uint32_t number);

/* Takes fd (given away; -1: none) as what masks or unmasks. Return: FERRY_OK or why the
 * loop did not take it (fd is closed then). */
int device_mask_fd_put(struct ferry_device *device, struct device_mask_fd *by, int fd);
void device_mask_pair_init(struct ferry_device *device, struct device_mask_pair *by,
                           uint32_t index, uint32_t vector);
void device_mask_pair_drop(struct ferry_device *device, struct device_mask_pair *by);

/* FERRY_IRQ_SET_MASK, _UNMASK or _TRIGGER of one vector that exists. */
void device_irq_act(struct ferry_device *device, uint32_t index, uint32_t vector,
                    uint32_t action);

/* Closes *slot and puts fd (given away) there. */
void device_irq_put_fd(int *slot, int fd);

/* intx.c. act: FERRY_IRQ_SET_MASK, _UNMASK or _TRIGGER (loopback). */
void device_intx_act(struct ferry_device *device, uint32_t action);
void device_intx_flush(struct ferry_device *device);
void device_intx_level(struct ferry_device *device, uint32_t level);

/* msi.c */
void device_msi_act(struct ferry_device *device, uint32_t vector, uint32_t action);
void device_msi_flush(struct ferry_device *device);
void device_msi_raise(struct ferry_device *device, uint32_t vector);
void device_msi_set_pending(struct ferry_device *device, uint32_t pending);
/* 1 while MSI is enabled in config space. */
int device_msi_on(const struct ferry_device *device);
/* Enables MSI for at least `vectors` vectors, for a user of SET_IRQS. */
void device_msi_enable(struct ferry_device *device, uint32_t vectors);

#endif
