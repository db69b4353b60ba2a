/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_ACC_ACC_HW_H
#define FERRY_MODELS_ACC_ACC_HW_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/device.h"
#include "models/virtio/virtio_pci.h"

/*
 * The hardware of `acc`: the virtio device, its sessions, its cipher engine and the
 * register window in the second half of BAR2. The variant driver (acc_driver.h) reaches
 * it through acc_hw_read() and acc_hw_write() alone, as the kernel's variant driver
 * reaches a VF.
 *
 * Thread: the device's.
 */
struct acc_hw;

/* The variant driver's window: offsets in BAR2; 32-bit registers. */
#define ACC_WINDOW 0x8000u
#define ACC_W_ID 0x8000u          /* RO: ACC_ID */
#define ACC_W_VERSION 0x8004u     /* RO: ACC_HW_VERSION */
#define ACC_W_DEVICE 0x8008u      /* RO: vendor << 16 | device */
#define ACC_W_QUEUES 0x800cu      /* RO: queues, the control queue included */
#define ACC_W_SESSIONS 0x8010u    /* RO: sessions at most */
#define ACC_W_ALGORITHMS 0x8014u  /* RO: ACC_ALGORITHM_* */
#define ACC_W_FEATURES_LO 0x8018u /* RO: virtio features offered */
#define ACC_W_FEATURES_HI 0x801cu
#define ACC_W_CONTROL 0x8020u /* RW: ACC_CONTROL_PAUSE */
#define ACC_W_STATE 0x8024u   /* RO: ACC_STATE_* */
#define ACC_W_FLUSH 0x8028u   /* write 1: publish what is cached; reads 0 when done */
#define ACC_W_RESET 0x802cu   /* write 1: power-on state, paused */
/* What follows can be accessed while paused only. */
#define ACC_W_DRIVER_FEATURES_LO 0x8040u
#define ACC_W_DRIVER_FEATURES_HI 0x8044u
#define ACC_W_STATUS 0x8048u /* after the features */
#define ACC_W_CONFIG_VECTOR 0x804cu
#define ACC_W_ISR 0x8050u
#define ACC_W_DEVICE_SELECT 0x8054u
#define ACC_W_DRIVER_SELECT 0x8058u
#define ACC_W_QUEUE_SELECT 0x805cu
#define ACC_W_Q_INDEX 0x8080u /* which queue the next registers are */
#define ACC_W_Q_SIZE 0x8084u
#define ACC_W_Q_VECTOR 0x8088u
#define ACC_W_Q_ENABLE 0x808cu /* written last */
#define ACC_W_Q_DESC_LO 0x8090u
#define ACC_W_Q_DESC_HI 0x8094u
#define ACC_W_Q_AVAIL_LO 0x8098u
#define ACC_W_Q_AVAIL_HI 0x809cu
#define ACC_W_Q_USED_LO 0x80a0u
#define ACC_W_Q_USED_HI 0x80a4u
#define ACC_W_Q_TAKEN 0x80a8u     /* next available index */
#define ACC_W_Q_PUBLISHED 0x80acu /* next used index */
#define ACC_W_S_INDEX 0x80c0u     /* which session the next registers are */
#define ACC_W_S_INFO 0x80c4u      /* ACC_S_INFO_*; writing it makes the session */
#define ACC_W_S_GENERATION 0x80c8u
#define ACC_W_S_COUNT 0x80ccu /* RO: sessions in use */
#define ACC_W_S_NEXT 0x80d0u  /* generation of the next new session */
#define ACC_W_S_KEY 0x80e0u   /* 32 bytes */
#define ACC_W_END 0x8100u

#define ACC_HW_VERSION 1u
#define ACC_ALGORITHM_CBC_128 1u
#define ACC_ALGORITHM_CBC_192 2u
#define ACC_ALGORITHM_CBC_256 4u
#define ACC_CONTROL_PAUSE 1u
#define ACC_STATE_PAUSED 1u
#define ACC_STATE_IDLE 2u /* no request is in hand */
#define ACC_S_INFO_USED 0x10000u
#define ACC_S_INFO_OP(info) ((info)&0xffu)
#define ACC_S_INFO_KEY_BYTES(info) ((info) >> 8 & 0xffu)

/*
 * data_queues: 1 to ACC_DATA_QUEUES_MAX; sessions: 1 to ACC_SESSIONS_MAX.
 * Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_UNSUPPORTED (OpenSSL lacks AES-CBC).
 */
int acc_hw_create(uint32_t data_queues, uint32_t sessions, struct acc_hw **ret_hw);
/* Offers packed virtqueues; before anybody uses it. */
void acc_hw_offer_packed(struct acc_hw *hw);
void acc_hw_destroy(struct acc_hw *hw);

/* The hardware's virtio transport, for the device's description. */
struct virtio_pci *acc_hw_virtio(struct acc_hw *hw);

/* Power-on state, running. Keys are wiped. */
void acc_hw_reset(struct acc_hw *hw);

/* A slice of work. Return: 1 when there is more. */
int acc_hw_work(struct acc_hw *hw);

/* A guest's access to its half of BAR2. Return: FERRY_OK, FERRY_E_PERMISSION. */
int acc_hw_guest_read(const struct acc_hw *hw, uint64_t off, void *ret_data,
                      size_t count);
int acc_hw_guest_write(const struct acc_hw *hw, uint64_t off, size_t count);

/* A register of the window; 0 for one that is not there or cannot be read now. */
uint32_t acc_hw_read(struct acc_hw *hw, uint32_t off);

/*
 * Writes a register of the window.
 * Return: FERRY_OK; FERRY_E_STATE (not paused); FERRY_E_ARGUMENT (no such register, or a
 *   value that the hardware cannot be in: it is unchanged); FERRY_E_MEMORY.
 */
int acc_hw_write(struct acc_hw *hw, uint32_t off, uint32_t value);

#endif
