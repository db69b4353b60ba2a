/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/virtio/virtio_pci.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>

/* A reset is over when the status reads 0; one read has always been enough so far. */
#define RESET_READS_MAX 1000
#define VENDOR_CAPS_MAX 16

static uint64_t common_read(struct virtio_pci *virtio, uint64_t off, size_t bytes,
                            int *failed)
{
    return pci_read(&virtio->pci, virtio->common_bar, virtio->common_off + off, bytes,
                    failed);
}

static void common_write(struct virtio_pci *virtio, uint64_t off, uint64_t value,
                         size_t bytes, int *failed)
{
    pci_write(&virtio->pci, virtio->common_bar, virtio->common_off + off, value, bytes,
              failed);
}

int virtio_pci_find(struct virtio_pci *virtio, const struct pci_function *pci)
{
    unsigned seen = 0;
    int failed = FERRY_OK, at = 0;
    unsigned caps = 0;

    *virtio = (struct virtio_pci){ .pci = *pci };
    /* A list that loops would keep us here for ever. */
    while ((at = pci_next_cap(pci, PCI_CAP_ID_VENDOR, (uint32_t)at)) > 0 &&
           caps++ < VENDOR_CAPS_MAX) {
        uint64_t cap = (uint64_t)at;
        uint64_t type =
            pci_read(pci, PCI_REGION_CONFIG, cap + VIRTIO_PCI_CAP_CFG_TYPE, 1, &failed);
        uint32_t bar = (uint32_t)pci_read(pci, PCI_REGION_CONFIG,
                                          cap + VIRTIO_PCI_CAP_BAR, 1, &failed);
        uint64_t off =
            pci_read(pci, PCI_REGION_CONFIG, cap + VIRTIO_PCI_CAP_OFFSET, 4, &failed);

        if (type == VIRTIO_PCI_CAP_COMMON_CFG) {
            virtio->common_bar = bar;
            virtio->common_off = off;
            seen |= 1u;
        } else if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
            virtio->notify_bar = bar;
            virtio->notify_off = off;
            virtio->notify_multiplier = (uint32_t)pci_read(
                pci, PCI_REGION_CONFIG, cap + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, &failed);
            seen |= 2u;
        } else if (type == VIRTIO_PCI_CAP_DEVICE_CFG) {
            virtio->device_bar = bar;
            virtio->device_off = off;
            seen |= 4u;
        }
    }
    if (failed < 0) {
        return failed;
    }
    if (at != FERRY_E_NOT_FOUND) {
        return at;
    }
    return seen == 7u ? FERRY_OK : FERRY_E_NOT_FOUND;
}

static int reset_device(struct virtio_pci *virtio)
{
    int failed = FERRY_OK;

    common_write(virtio, VIRTIO_PCI_COMMON_STATUS, 0, 1, &failed);
    for (unsigned i = 0; i < RESET_READS_MAX; i++) {
        if (common_read(virtio, VIRTIO_PCI_COMMON_STATUS, 1, &failed) == 0) {
            return failed;
        }
    }
    return FERRY_E_TIMEOUT;
}

int virtio_pci_negotiate(struct virtio_pci *virtio, uint64_t wanted, uint64_t needed)
{
    uint64_t offered = 0, chosen, status = VIRTIO_CONFIG_S_ACKNOWLEDGE;
    int failed = reset_device(virtio);

    common_write(virtio, VIRTIO_PCI_COMMON_STATUS, status, 1, &failed);
    status |= VIRTIO_CONFIG_S_DRIVER;
    common_write(virtio, VIRTIO_PCI_COMMON_STATUS, status, 1, &failed);
    for (unsigned half = 0; half < 2; half++) {
        common_write(virtio, VIRTIO_PCI_COMMON_DFSELECT, half, 4, &failed);
        offered |= common_read(virtio, VIRTIO_PCI_COMMON_DF, 4, &failed) << (32 * half);
    }
    if (failed < 0) {
        return failed;
    }
    chosen = offered & wanted;
    virtio->features = chosen;
    if ((chosen & needed) != needed) {
        return FERRY_E_UNSUPPORTED;
    }
    for (unsigned half = 0; half < 2; half++) {
        common_write(virtio, VIRTIO_PCI_COMMON_GFSELECT, half, 4, &failed);
        common_write(virtio, VIRTIO_PCI_COMMON_GF, chosen >> (32 * half) & 0xffffffffu, 4,
                     &failed);
    }
    status |= VIRTIO_CONFIG_S_FEATURES_OK;
    common_write(virtio, VIRTIO_PCI_COMMON_STATUS, status, 1, &failed);
    if (common_read(virtio, VIRTIO_PCI_COMMON_STATUS, 1, &failed) != status &&
        failed >= 0) {
        return FERRY_E_UNSUPPORTED;
    }
    return failed;
}

int virtio_pci_queue_size(struct virtio_pci *virtio, uint16_t index)
{
    int failed = FERRY_OK;
    int size;

    common_write(virtio, VIRTIO_PCI_COMMON_Q_SELECT, index, 2, &failed);
    size = (int)common_read(virtio, VIRTIO_PCI_COMMON_Q_SIZE, 2, &failed);
    return failed < 0 ? failed : size;
}

static void write_address(struct virtio_pci *virtio, uint64_t off, uint64_t iova,
                          int *failed)
{
    common_write(virtio, off, iova & 0xffffffffu, 4, failed);
    common_write(virtio, off + 4, iova >> 32, 4, failed);
}

int virtio_pci_enable_queue(struct virtio_pci *virtio, const struct guest_ram *ram,
                            struct virtqueue *queue, uint16_t vector)
{
    int failed = FERRY_OK;
    uint64_t notify;

    common_write(virtio, VIRTIO_PCI_COMMON_Q_SELECT, queue->index, 2, &failed);
    common_write(virtio, VIRTIO_PCI_COMMON_Q_SIZE, queue->size, 2, &failed);
    write_address(virtio, VIRTIO_PCI_COMMON_Q_DESCLO, queue->desc_iova, &failed);
    write_address(virtio, VIRTIO_PCI_COMMON_Q_AVAILLO, queue->avail_iova, &failed);
    write_address(virtio, VIRTIO_PCI_COMMON_Q_USEDLO, queue->used_iova, &failed);
    common_write(virtio, VIRTIO_PCI_COMMON_Q_MSIX, vector, 2, &failed);
    if (common_read(virtio, VIRTIO_PCI_COMMON_Q_MSIX, 2, &failed) != vector &&
        failed >= 0) {
        return FERRY_E_UNSUPPORTED;
    }
    notify = common_read(virtio, VIRTIO_PCI_COMMON_Q_NOFF, 2, &failed);
    common_write(virtio, VIRTIO_PCI_COMMON_Q_ENABLE, 1, 2, &failed);
    queue->doorbell_region = virtio->notify_bar;
    queue->doorbell_off = virtio->notify_off + notify * virtio->notify_multiplier;
    guest_wrote(ram, queue, sizeof(*queue));
    return failed;
}

int virtio_pci_changes(struct virtio_pci *virtio, uint16_t vector)
{
    int failed = FERRY_OK;

    common_write(virtio, VIRTIO_PCI_COMMON_MSIX, vector, 2, &failed);
    if (common_read(virtio, VIRTIO_PCI_COMMON_MSIX, 2, &failed) != vector &&
        failed >= 0) {
        return FERRY_E_UNSUPPORTED;
    }
    return failed;
}

int virtio_pci_ready(struct virtio_pci *virtio)
{
    int failed = FERRY_OK;
    uint64_t status = common_read(virtio, VIRTIO_PCI_COMMON_STATUS, 1, &failed);

    common_write(virtio, VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK, 1,
                 &failed);
    return failed;
}

int virtqueue_ring(const struct pci_function *pci, const struct virtqueue *queue)
{
    return pci_doorbell(pci, queue->doorbell_region, queue->doorbell_off, queue->index,
                        2);
}
