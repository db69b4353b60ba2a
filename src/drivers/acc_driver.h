/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_ACC_DRIVER_H
#define FERRY_DRIVERS_ACC_DRIVER_H

#include <linux/virtio_crypto.h>
#include <stdint.h>

#include "drivers/virtio/pci.h"
#include "drivers/virtio/virtqueue.h"

/*
 * Driver of `acc` (virtio-crypto): one AES-256-CBC session, encryption requests in data
 * queue 0, one request per lane at a time. Queues are packed when the device offers it.
 */

#define ACC_KEY_BYTES 32 /* AES-256 */
#define ACC_IV_BYTES 16
#define ACC_QUEUE_SIZE_MAX 1024
/* Descriptors of a request: header, IV, source, destination, status; as Linux does. */
#define ACC_CHAIN 5
/* The status byte before the device has answered; no status of virtio-crypto's. */
#define ACC_STATUS_NONE 0xff

/* A lane's request block in guest memory. */
struct acc_request {
    struct virtio_crypto_op_data_req op;
    uint8_t iv[ACC_IV_BYTES];
    uint8_t status;
    uint8_t pad[7];
};

/* What the driver remembers, in guest memory. */
struct acc_driver {
    struct virtqueue control, data;
    uint64_t session_id;
    uint64_t request_iova; /* acc_request[lanes] */
    uint32_t lanes;
    uint32_t data_vector, control_vector;
    uint32_t pad;
};

/* Bytes of guest memory for rings and requests of this many lanes. */
uint64_t acc_guest_need(uint32_t lanes);

/*
 * Resets the device, negotiates, sets both queues up and makes the session. Waits for the
 * control queue's interrupt in control_eventfd, at most timeout_ms.
 * iova: acc_guest_need() bytes, page aligned.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED, FERRY_E_LIMIT (too many lanes for the queue),
 *   FERRY_E_TIMEOUT (no interrupt), FERRY_E_DEVICE (session refused), or what an access
 *   returned; reterr says where.
 */
struct acc_setup {
    const uint8_t *key; /* ACC_KEY_BYTES */
    uint64_t iova;
    uint32_t lanes;
    int control_eventfd;
    int timeout_ms;
    /* In place of control_eventfd: waits for the control queue's interrupt. Return:
     * FERRY_OK, FERRY_E_TIMEOUT. NULL: none. */
    int (*wait)(void *user, int timeout_ms);
    void *user;
};
#define ACC_VECTOR_CONFIG 0
#define ACC_VECTOR_DATA 1
#define ACC_VECTOR_CONTROL 2
#define ACC_VECTORS 3
int acc_guest_init(const struct pci_function *pci, const struct guest_ram *ram,
                   struct acc_driver *acc, const struct acc_setup *setup,
                   struct ferry_error *reterr);

/*
 * 1 when memory that came from elsewhere holds a driver as acc_guest_init() makes it
 * with this setup (iova and lanes are looked at), so that using it stays inside the
 * memory.
 */
int acc_guest_check(const struct acc_driver *acc, const struct acc_setup *setup);

/* Queues one encryption; acc_guest_kick() tells the device. */
void acc_guest_encrypt(const struct guest_ram *ram, struct acc_driver *acc, uint32_t lane,
                       const uint8_t *iv, uint64_t from_iova, uint64_t to_iova,
                       uint32_t bytes);
int acc_guest_kick(const struct pci_function *pci, const struct acc_driver *acc);

/*
 * Takes one completion. Return: 1 with the lane and the device's status
 *   (VIRTIO_CRYPTO_*, ACC_STATUS_NONE when it never answered); 0: none; FERRY_E_PROTOCOL.
 */
int acc_guest_take(const struct guest_ram *ram, struct acc_driver *acc,
                   uint32_t *ret_lane, uint8_t *ret_status);

#endif
