/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_EDU_DRIVER_H
#define FERRY_DRIVERS_EDU_DRIVER_H

#include <stdint.h>

#include "drivers/virtio/pci.h"

/*
 * Driver of QEMU's `edu`, the device that driver authors learn with (its documentation:
 * QEMU's docs/specs/edu). It computes factorials, and moves bytes between memory and a
 * buffer of its own, which is reached by DMA only. It is slow on purpose: each transfer
 * takes 100 ms, whatever its size.
 *
 * All that has to be remembered is in the device, so that whoever moves the device moves
 * the driver. The functions do not wait but where they say so.
 */

#define EDU_PCI_VENDOR 0x1234u
#define EDU_PCI_DEVICE 0x11e8u

/* BAR0. Registers below 0x80 take accesses of 4 bytes, the others of 4 and 8. */
#define EDU_BAR 0u
#define EDU_BAR_BYTES (1u << 20)
#define EDU_REG_ID 0x00u     /* EDU_ID, with a version in the upper half */
#define EDU_REG_LIVE 0x04u   /* reads as the complement of what was written */
#define EDU_REG_FACT 0x08u   /* operand, and the result when it is computed */
#define EDU_REG_STATUS 0x20u /* EDU_STATUS_* */
#define EDU_REG_CAUSE 0x24u  /* EDU_CAUSE_*: why it interrupts; read only */
#define EDU_REG_RAISE 0x60u  /* adds causes, and interrupts */
#define EDU_REG_ACK 0x64u    /* takes causes away */
#define EDU_REG_SRC 0x80u    /* not taken while EDU_DMA_RUN is set, like the next */
#define EDU_REG_DST 0x88u
#define EDU_REG_COUNT 0x90u
#define EDU_REG_COMMAND 0x98u /* EDU_DMA_* */

#define EDU_ID 0x0000edu
#define EDU_ID_MASK 0xffffu
#define EDU_STATUS_BUSY 0x01u /* computes */
#define EDU_STATUS_IRQ 0x80u  /* shall interrupt when it has computed */
#define EDU_CAUSE_FACT 0x001u
#define EDU_CAUSE_DMA 0x100u
#define EDU_DMA_RUN 0x1u    /* set to begin; clear when done */
#define EDU_DMA_TO_RAM 0x2u /* else from memory to the buffer */
#define EDU_DMA_IRQ 0x4u    /* interrupts at the end */

#define EDU_BUFFER 0x40000u /* the device's address of its buffer */
#define EDU_BUFFER_BYTES 4096u
/* QEMU 7.2 ends itself at a transfer that reaches the buffer's last byte. */
#define EDU_MOVE_BYTES 4088u
#define EDU_DMA_MASK 0x0fffffffu /* of addresses in memory, unless QEMU was told else */

#define EDU_DRIVER_VECTORS 1u

/*
 * Switches it on, its MSI too (the user has to set its eventfd), and makes sure that it
 * is one.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (another device), FERRY_E_DEVICE (its first
 * register does not work), or what an access returned; reterr says where.
 */
int edu_driver_init(const struct pci_function *pci, struct ferry_error *reterr);

/* Takes all causes to interrupt away. ret_cause: what they were; may be NULL. */
int edu_driver_ack(const struct pci_function *pci, uint32_t *ret_cause);

/* Begins to compute n! modulo 2^32. flags: 0 or EDU_STATUS_IRQ. */
int edu_driver_compute(const struct pci_function *pci, uint32_t n, uint32_t flags);
/* Return: 1 with the result; 0 while it computes; what an access returned. */
int edu_driver_computed(const struct pci_function *pci, uint32_t *ret_result);
/* What it should be. */
uint32_t edu_driver_factorial(uint32_t n);

/*
 * Begins a transfer between memory at iova and the buffer at off. flags: EDU_DMA_TO_RAM,
 * EDU_DMA_IRQ. Return: FERRY_OK; FERRY_E_RANGE (it goes beyond EDU_MOVE_BYTES or
 * EDU_DMA_MASK), FERRY_E_STATE (one is under way), or what an access returned.
 */
struct edu_move {
    uint64_t iova;
    uint32_t off, bytes, flags, pad;
};
int edu_driver_move(const struct pci_function *pci, const struct edu_move *move);
/* Return: 1 when no transfer is under way, 0, or what an access returned. */
int edu_driver_idle(const struct pci_function *pci);

#endif
