/* SPDX-License-Identifier: BSD-3-Clause */
#include <stddef.h>
#include <string.h>

#include "drivers/nic_driver.h"
#include "drivers/virtio/virtio_pci.h"

#define ARP_FRAME_BYTES 60u
#define ARP_OFF 14u

/* The command's block in guest memory: one at a time. */
struct command_block {
    struct virtio_net_ctrl_hdr header;
    uint8_t ack;
    uint8_t pad[5];
    uint8_t data[NIC_DRIVER_COMMAND_BYTES];
};

int nic_driver_command(const struct pci_function *pci, const struct guest_ram *ram,
                       struct nic_driver *nic, uint8_t class, uint8_t command,
                       const void *data, uint32_t bytes)
{
    const uint64_t at = nic->command_iova;
    struct command_block *block = guest_at(ram, at, sizeof(*block));
    struct virtqueue_piece piece[3] = { { at, sizeof(block->header), 0 } };
    uint16_t pieces = 1;

    if ((nic->features & 1ull << VIRTIO_NET_F_CTRL_VQ) == 0) {
        return FERRY_E_UNSUPPORTED;
    }
    if (nic->command_under_way != 0) {
        return FERRY_E_BUSY;
    }
    if (bytes > sizeof(block->data)) {
        return FERRY_E_LIMIT;
    }
    block->header.class = class;
    block->header.cmd = command;
    block->ack = NIC_DRIVER_ACK_NONE;
    if (bytes > 0) {
        memcpy(block->data, data, bytes);
        piece[pieces++] =
            (struct virtqueue_piece){ at + offsetof(struct command_block, data), bytes,
                                      0 };
    }
    piece[pieces++] =
        (struct virtqueue_piece){ at + offsetof(struct command_block, ack), 1, 1 };
    guest_wrote(ram, block, sizeof(*block));
    nic->command_under_way = 1;
    virtqueue_put(ram, &nic->control, 0, piece, pieces);
    guest_wrote(ram, nic, offsetof(struct nic_driver, pair));
    return virtqueue_ring(pci, &nic->control);
}

int nic_driver_answer(const struct guest_ram *ram, struct nic_driver *nic,
                      uint8_t *ret_ack)
{
    const struct command_block *block = guest_at(ram, nic->command_iova, sizeof(*block));
    uint16_t head;
    uint32_t bytes;
    int taken;

    if (nic->command_under_way == 0) {
        return 0;
    }
    taken = virtqueue_take(ram, &nic->control, &head, &bytes);
    if (taken != 1) {
        return taken;
    }
    if (head != 0) {
        return FERRY_E_PROTOCOL;
    }
    nic->command_under_way = 0;
    guest_wrote(ram, nic, offsetof(struct nic_driver, pair));
    *ret_ack = block->ack;
    return 1;
}

int nic_driver_ask(const struct pci_function *pci, const struct guest_ram *ram,
                   struct nic_driver *nic, const struct nic_setup *setup, uint8_t class,
                   uint8_t command, const void *data, uint32_t bytes)
{
    uint8_t ack = NIC_DRIVER_ACK_NONE;
    int status = nic_driver_command(pci, ram, nic, class, command, data, bytes);
    int taken = 0;

    if (status == FERRY_OK) {
        status = setup->wait(setup->user, setup->timeout_ms);
    }
    if (status == FERRY_OK) {
        taken = nic_driver_answer(ram, nic, &ack);
        status = taken < 0 ? taken : taken == 0 ? FERRY_E_PROTOCOL : FERRY_OK;
    }
    return status == FERRY_OK && ack != VIRTIO_NET_OK ? FERRY_E_DEVICE : status;
}

/* ARP says where this address is now; without one of IP's it still teaches switches. */
static void gratuitous_arp(const struct nic_driver *nic, uint8_t *ret_frame)
{
    static const uint8_t request[] = { 0, 1, 8, 0, 6, 4, 0, 1 };

    memset(ret_frame, 0, ARP_FRAME_BYTES);
    memset(ret_frame, 0xff, NIC_DRIVER_MAC_BYTES);
    memcpy(ret_frame + NIC_DRIVER_MAC_BYTES, nic->mac, NIC_DRIVER_MAC_BYTES);
    ret_frame[12] = 0x08;
    ret_frame[13] = 0x06;
    memcpy(ret_frame + ARP_OFF, request, sizeof(request));
    memcpy(ret_frame + ARP_OFF + sizeof(request), nic->mac, NIC_DRIVER_MAC_BYTES);
}

static int announce(const struct pci_function *pci, const struct guest_ram *ram,
                    struct nic_driver *nic)
{
    const uint32_t bytes = ARP_FRAME_BYTES;
    uint8_t *buffer;
    int status;

    if (nic->command_under_way != 0 || nic_driver_free(nic, 0) == 0) {
        return FERRY_E_BUSY;
    }
    buffer = nic_driver_fill(ram, nic, 0, 0);
    memset(buffer, 0, NIC_DRIVER_HEADER_BYTES);
    gratuitous_arp(nic, buffer + NIC_DRIVER_HEADER_BYTES);
    nic_driver_send(ram, nic, 0, &bytes, 1);
    status = nic_driver_kick(pci, ram, &nic->pair[0].transmit);
    if (status == FERRY_OK) {
        status = nic_driver_command(pci, ram, nic, VIRTIO_NET_CTRL_ANNOUNCE,
                                    VIRTIO_NET_CTRL_ANNOUNCE_ACK, NULL, 0);
    }
    if (status == FERRY_OK) {
        nic->announced++;
        guest_wrote(ram, nic, offsetof(struct nic_driver, pair));
    }
    return status == FERRY_OK ? 1 : status;
}

/* Return: VIRTIO_NET_S_*; what an access returned. */
static int read_status(const struct pci_function *pci, const struct nic_driver *nic)
{
    int failed = FERRY_OK;
    uint64_t status = VIRTIO_NET_S_LINK_UP;

    if ((nic->features & 1ull << VIRTIO_NET_F_STATUS) != 0) {
        status = pci_read(pci, nic->config_region,
                          nic->config_off + offsetof(struct virtio_net_config, status), 2,
                          &failed);
    }
    return failed < 0 ? failed : (int)status;
}

int nic_driver_link(const struct pci_function *pci, const struct nic_driver *nic)
{
    const int status = read_status(pci, nic);

    return status < 0 ? status : (status & VIRTIO_NET_S_LINK_UP) != 0;
}

int nic_driver_changed(const struct pci_function *pci, const struct guest_ram *ram,
                       struct nic_driver *nic)
{
    const int status = read_status(pci, nic);

    if (status < 0 || (status & VIRTIO_NET_S_ANNOUNCE) == 0 ||
        (nic->features & 1ull << VIRTIO_NET_F_GUEST_ANNOUNCE) == 0) {
        return status < 0 ? status : 0;
    }
    return announce(pci, ram, nic);
}
