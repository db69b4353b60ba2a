/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_DRIVERS_NIC_DRIVER_H
#define FERRY_DRIVERS_NIC_DRIVER_H

#include <linux/virtio_net.h>
#include <stdint.h>

#include "drivers/virtio/pci.h"
#include "drivers/virtio/virtqueue_batch.h"

/*
 * Driver of `nic` (virtio-net): queue pairs with a buffer of its own for each descriptor,
 * the control queue, and the announcement after a move. Frames are filled in and read
 * where they lie.
 */
#define NIC_DRIVER_PAIRS_MAX 8u
#define NIC_DRIVER_QUEUE_MAX 256u /* buffers of a queue */
#define NIC_DRIVER_MAC_BYTES 6u
#define NIC_DRIVER_HEADER_BYTES sizeof(struct virtio_net_hdr_v1)
#define NIC_DRIVER_BUFFER_MIN 1600u /* an Ethernet frame and its header */
#define NIC_DRIVER_BUFFER_MAX (128u << 10)
#define NIC_DRIVER_COMMAND_BYTES 1024u /* of a command's data */
#define NIC_DRIVER_ACK_NONE 0xffu      /* no answer yet; none of virtio-net's */

/* MSI-X vectors: changes, control queue, then one for each pair. */
#define NIC_VECTOR_CONFIG 0u
#define NIC_VECTOR_CONTROL 1u
#define NIC_VECTOR_PAIR(pair) (2u + (pair))
#define NIC_VECTORS(pairs) (2u + (pairs))

struct nic_driver_queue {
    struct virtqueue ring;
    uint64_t buffer_iova;
    uint64_t lent[NIC_DRIVER_QUEUE_MAX / 64]; /* bit: the device has the buffer */
    uint64_t frames, bytes;                   /* that went through; of the frames */
};

struct nic_driver_pair {
    struct nic_driver_queue receive, transmit;
    /* Transmit buffers that are free, in turn: count of them from `first` on. */
    uint16_t spare[NIC_DRIVER_QUEUE_MAX];
    uint16_t spare_first, spare_count;
    uint16_t rest; /* buffers of the frame that is being received still to come */
    uint16_t pad;
};

/* What the driver remembers, in guest memory. */
struct nic_driver {
    struct virtqueue control;
    uint64_t command_iova;
    uint64_t features; /* as negotiated: VIRTIO_NET_F_* and transport */
    uint64_t config_off;
    uint32_t config_region;
    uint32_t pairs, pairs_most; /* in use; the device's */
    uint32_t buffer_bytes;
    uint32_t command_under_way;
    uint32_t announced; /* announcements that were asked for and acknowledged */
    uint8_t mac[NIC_DRIVER_MAC_BYTES];
    uint8_t pad[2];
    struct nic_driver_pair pair[NIC_DRIVER_PAIRS_MAX];
};

/* Choices; the same for whoever looks at a driver that arrived. */
struct nic_setup {
    uint64_t iova; /* nic_driver_need() bytes, page aligned */
    uint32_t pairs;
    uint32_t queue_size;   /* buffers of each queue; a power of two; the device may have
                              less room, then as many as it has */
    uint32_t buffer_bytes; /* with header; a multiple of 16 */
    uint32_t split;        /* 1: no packed rings, even if they are offered */
    uint32_t rings_only;   /* 1: the pairs' queues are for requests of the caller's own,
                              not for nic_driver_send(), _receive() and their like */
    uint32_t pad;
    uint64_t wanted; /* VIRTIO_NET_F_* to take beyond what the driver itself needs */
    /* Waits for NIC_VECTOR_CONTROL. Return: FERRY_OK, FERRY_E_TIMEOUT, FERRY_E_IO. */
    int (*wait)(void *user, int timeout_ms);
    void *user;
    int timeout_ms;
};

/* Bytes of guest memory for rings and buffers. */
uint64_t nic_driver_need(const struct nic_setup *setup);

/*
 * Resets the device, negotiates, sets all queues up with receive buffers in them and
 * switches the pairs on. The rest of *setup, and interrupts, are the caller's before.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (a feature or queue that is needed is missing),
 *   FERRY_E_LIMIT (fewer pairs than wanted, sizes out of their limits), FERRY_E_TIMEOUT,
 *   FERRY_E_DEVICE (the control queue refused), or what an access returned; reterr says
 *   where.
 */
int nic_driver_init(const struct pci_function *pci, const struct guest_ram *ram,
                    struct nic_driver *nic, const struct nic_setup *setup,
                    struct ferry_error *reterr);

/* 1 when memory that came from elsewhere holds a driver as nic_driver_init() makes it
 * with this setup, so that using it stays inside the memory. */
int nic_driver_check(const struct nic_driver *nic, const struct nic_setup *setup);

/* -- Sending: fill the free buffers 0, 1, ..., then send as many -- */

uint32_t nic_driver_free(const struct nic_driver *nic, uint32_t pair);
/* The i-th free buffer: a struct virtio_net_hdr_v1, and the frame behind it. */
uint8_t *nic_driver_fill(const struct guest_ram *ram, const struct nic_driver *nic,
                         uint32_t pair, uint32_t i);
/* frame_bytes: without headers. The doorbell is the caller's to ring. */
void nic_driver_send(const struct guest_ram *ram, struct nic_driver *nic, uint32_t pair,
                     const uint32_t *frame_bytes, uint32_t count);
/* Frees the buffers of frames that have gone. Return: how many; FERRY_E_PROTOCOL. */
int nic_driver_reclaim(const struct guest_ram *ram, struct nic_driver *nic,
                       uint32_t pair);

/* -- Receiving -- */

struct nic_received {
    const struct virtio_net_hdr_v1 *header; /* NULL: goes on with the frame before */
    const uint8_t *data;
    uint32_t bytes;
    uint16_t buffer;
    uint16_t rest; /* buffers with more of the same frame that come next */
};
/* Return: how many buffers; FERRY_E_PROTOCOL. They are the caller's until given back. */
int nic_driver_receive(const struct guest_ram *ram, struct nic_driver *nic, uint32_t pair,
                       struct nic_received *ret_received, uint32_t most);
void nic_driver_give_back(const struct guest_ram *ram, struct nic_driver *nic,
                          uint32_t pair, const struct nic_received *received,
                          uint32_t count);

/* Rings the doorbell of a pair's queue unless the device looks by itself. */
int nic_driver_kick(const struct pci_function *pci, const struct guest_ram *ram,
                    const struct nic_driver_queue *queue);

/* -- Control queue -- */

/*
 * Begins a command; VIRTIO_NET_CTRL_*. Return: FERRY_OK; FERRY_E_BUSY (one is under way),
 * FERRY_E_UNSUPPORTED (no control queue), FERRY_E_LIMIT, what the doorbell returned.
 */
int nic_driver_command(const struct pci_function *pci, const struct guest_ram *ram,
                       struct nic_driver *nic, uint8_t class, uint8_t command,
                       const void *data, uint32_t bytes);
/* Return: 1 with VIRTIO_NET_OK, VIRTIO_NET_ERR or NIC_DRIVER_ACK_NONE; 0: none yet, or
 * none was begun; FERRY_E_PROTOCOL. */
int nic_driver_answer(const struct guest_ram *ram, struct nic_driver *nic,
                      uint8_t *ret_ack);
/* Both, with the setup's wait. Return: FERRY_OK; FERRY_E_DEVICE (refused), as above. */
int nic_driver_ask(const struct pci_function *pci, const struct guest_ram *ram,
                   struct nic_driver *nic, const struct nic_setup *setup, uint8_t class,
                   uint8_t command, const void *data, uint32_t bytes);

/* Return: 1: the link is up; 0; what an access returned. */
int nic_driver_link(const struct pci_function *pci, const struct nic_driver *nic);

/*
 * After a change interrupt: when the device asks for an announcement, sends a gratuitous
 * ARP frame and begins the command that acknowledges it. Return: 1: it did; 0: nothing
 * was asked for; FERRY_E_BUSY (a command or all buffers are under way: call it again),
 * what an access returned.
 */
int nic_driver_changed(const struct pci_function *pci, const struct guest_ram *ram,
                       struct nic_driver *nic);

#endif
