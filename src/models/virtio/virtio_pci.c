/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/virtio/virtio_pci.h"

#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "models/le.h"

/* The common structure with the two members behind that uapi headers of 2022 lack. */
#define COMMON_BYTES 60u
#define CONFIG_BYTES_MAX 64u
#define CAP_PCI_CFG 4u /* index of the configuration access capability */
#define STATUS_DRIVER_BITS                                                               \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |                              \
     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

static void fill_cap(struct virtio_pci *virtio, uint32_t index, uint8_t type,
                     uint8_t length, uint32_t off, uint32_t bytes)
{
    uint8_t *cap = virtio->cap_bytes[index];

    memset(cap, 0, sizeof(virtio->cap_bytes[index]));
    cap[VIRTIO_PCI_CAP_LEN] = length;
    cap[VIRTIO_PCI_CAP_CFG_TYPE] = type;
    if (type != VIRTIO_PCI_CAP_PCI_CFG) {
        cap[VIRTIO_PCI_CAP_BAR] = (uint8_t)virtio->bar;
        le_put32(cap + VIRTIO_PCI_CAP_OFFSET, off);
        le_put32(cap + VIRTIO_PCI_CAP_LENGTH, bytes);
    }
    if (type == VIRTIO_PCI_CAP_NOTIFY_CFG) {
        le_put32(cap + VIRTIO_PCI_NOTIFY_CAP_MULT, VIRTIO_PCI_NOTIFY_STEP);
    }
}

void virtio_pci_init(struct virtio_pci *virtio)
{
    fill_cap(virtio, 0, VIRTIO_PCI_CAP_COMMON_CFG, 16, VIRTIO_PCI_COMMON_OFF,
             COMMON_BYTES);
    fill_cap(virtio, 1, VIRTIO_PCI_CAP_NOTIFY_CFG, 20, VIRTIO_PCI_NOTIFY_OFF,
             virtio->queue_count * VIRTIO_PCI_NOTIFY_STEP);
    fill_cap(virtio, 2, VIRTIO_PCI_CAP_ISR_CFG, 16, VIRTIO_PCI_ISR_OFF, 1);
    fill_cap(virtio, 3, VIRTIO_PCI_CAP_DEVICE_CFG, 16, VIRTIO_PCI_DEVICE_OFF,
             virtio->config_bytes);
    fill_cap(virtio, CAP_PCI_CFG, VIRTIO_PCI_CAP_PCI_CFG, 20, 0, 0);
    virtio_pci_reset(virtio);
}

void virtio_pci_caps(struct virtio_pci *virtio, struct ferry_device_desc *ret_desc)
{
    ret_desc->cap_count = VIRTIO_PCI_CAPS;
    for (uint32_t i = 0; i < VIRTIO_PCI_CAPS; i++) {
        ret_desc->cap[i].bytes = virtio->cap_bytes[i] + VIRTIO_PCI_CAP_CFG_TYPE;
        ret_desc->cap[i].length = virtio->cap_bytes[i][VIRTIO_PCI_CAP_LEN];
        ret_desc->cap[i].writable = i == CAP_PCI_CFG;
        ret_desc->cap[i].trapped = i == CAP_PCI_CFG;
    }
}

void virtio_pci_doorbells(const struct virtio_pci *virtio,
                          struct ferry_device_doorbell *ret_bell,
                          struct ferry_device_desc *ret_desc)
{
    for (uint32_t i = 0; i < virtio->queue_count; i++) {
        ret_bell[i] = (struct ferry_device_doorbell){
            .region = virtio->bar,
            .off = VIRTIO_PCI_NOTIFY_OFF + i * VIRTIO_PCI_NOTIFY_STEP,
            .size = 2,
            .value = i,
        };
    }
    ret_desc->doorbell = ret_bell;
    ret_desc->doorbell_count = virtio->queue_count;
}

void virtio_pci_reset(struct virtio_pci *virtio)
{
    virtio->driver_features = 0;
    virtio->device_select = 0;
    virtio->driver_select = 0;
    virtio->config_vector = VIRTIO_MSI_NO_VECTOR;
    virtio->queue_select = 0;
    virtio->status = 0;
    virtio->isr = 0;
    memcpy(virtio->window, virtio->cap_bytes[CAP_PCI_CFG], sizeof(virtio->window));
    for (uint32_t i = 0; i < virtio->queue_count; i++) {
        virtqueue_reset(&virtio->queue[i]);
    }
}

int virtio_pci_alive(const struct virtio_pci *virtio)
{
    return (virtio->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0 &&
           (virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET) == 0;
}

int virtio_pci_features_valid(const struct virtio_pci *virtio, uint64_t features)
{
    return (features & ~virtio->features) == 0 &&
           (features & (1ull << VIRTIO_F_VERSION_1)) != 0;
}

static void raise_vector(struct virtio_pci *virtio, uint16_t vector)
{
    if (vector != VIRTIO_MSI_NO_VECTOR) {
        /* A state that forbids interrupts has no request in hand, so none is lost. */
        (void)ferry_irq_raise(virtio->device, vector);
    }
}

void virtio_pci_needs_reset(struct virtio_pci *virtio)
{
    if ((virtio->status & VIRTIO_CONFIG_S_NEEDS_RESET) != 0) {
        return;
    }
    virtio->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
    virtio_pci_config_changed(virtio);
}

void virtio_pci_config_changed(struct virtio_pci *virtio)
{
    if ((virtio->status & VIRTIO_CONFIG_S_DRIVER_OK) != 0) {
        virtio->isr |= VIRTIO_PCI_ISR_CONFIG;
        raise_vector(virtio, virtio->config_vector);
    }
}

void virtio_pci_interrupt(struct virtio_pci *virtio, struct virtqueue *queue)
{
    if (queue->interrupt != 0) {
        queue->interrupt = 0;
        virtio->isr |= 1;
        raise_vector(virtio, queue->vector);
    }
}

static void kick(struct virtio_pci *virtio, struct virtqueue *queue)
{
    if (queue->enabled != 0) {
        queue->kicked = 1;
        if (virtio_pci_alive(virtio)) {
            ferry_device_schedule(virtio->device);
        }
    }
}

void virtio_pci_kick_all(struct virtio_pci *virtio)
{
    for (uint32_t i = 0; i < virtio->queue_count; i++) {
        kick(virtio, &virtio->queue[i]);
    }
}

static struct virtqueue *selected(struct virtio_pci *virtio)
{
    return virtio->queue_select < virtio->queue_count
               ? &virtio->queue[virtio->queue_select]
               : NULL;
}

/* The common structure as the driver would read it now. */
static void common_image(struct virtio_pci *virtio, uint8_t *image)
{
    const struct virtqueue *queue = selected(virtio);

    memset(image, 0, COMMON_BYTES);
    le_put32(image + VIRTIO_PCI_COMMON_DFSELECT, virtio->device_select);
    if (virtio->device_select < 2) {
        le_put32(image + VIRTIO_PCI_COMMON_DF,
                 (uint32_t)(virtio->features >> (32 * virtio->device_select)));
    }
    le_put32(image + VIRTIO_PCI_COMMON_GFSELECT, virtio->driver_select);
    if (virtio->driver_select < 2) {
        le_put32(image + VIRTIO_PCI_COMMON_GF,
                 (uint32_t)(virtio->driver_features >> (32 * virtio->driver_select)));
    }
    le_put16(image + VIRTIO_PCI_COMMON_MSIX, virtio->config_vector);
    le_put16(image + VIRTIO_PCI_COMMON_NUMQ, (uint16_t)virtio->queue_count);
    image[VIRTIO_PCI_COMMON_STATUS] = virtio->status;
    le_put16(image + VIRTIO_PCI_COMMON_Q_SELECT, virtio->queue_select);
    if (queue == NULL) {
        return; /* size 0: there is no such queue */
    }
    le_put16(image + VIRTIO_PCI_COMMON_Q_SIZE, queue->size);
    le_put16(image + VIRTIO_PCI_COMMON_Q_MSIX, queue->vector);
    le_put16(image + VIRTIO_PCI_COMMON_Q_ENABLE, queue->enabled);
    le_put16(image + VIRTIO_PCI_COMMON_Q_NOFF, virtio->queue_select);
    le_put64(image + VIRTIO_PCI_COMMON_Q_DESCLO, queue->desc_iova);
    le_put64(image + VIRTIO_PCI_COMMON_Q_AVAILLO, queue->avail_iova);
    le_put64(image + VIRTIO_PCI_COMMON_Q_USEDLO, queue->used_iova);
}

static void write_status(struct virtio_pci *virtio, uint8_t value)
{
    uint8_t added;

    if (value == 0) {
        virtio->ops->reset(virtio->user);
        virtio_pci_reset(virtio);
        return;
    }
    /* Bits are only ever added; NEEDS_RESET is the device's own. */
    added = value & (uint8_t)(STATUS_DRIVER_BITS & ~virtio->status);
    if ((added & VIRTIO_CONFIG_S_FEATURES_OK) != 0 &&
        !virtio_pci_features_valid(virtio, virtio->driver_features)) {
        added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
    }
    if (((virtio->status | added) & VIRTIO_CONFIG_S_FEATURES_OK) == 0) {
        added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
    }
    virtio->status |= added;
    if ((added & VIRTIO_CONFIG_S_DRIVER_OK) != 0) {
        virtio_pci_kick_all(virtio);
    }
}

static void write_driver_features(struct virtio_pci *virtio, uint32_t value)
{
    const uint32_t shift = 32 * virtio->driver_select;

    if (virtio->driver_select < 2 &&
        (virtio->status & VIRTIO_CONFIG_S_FEATURES_OK) == 0) {
        virtio->driver_features &= ~(0xffffffffull << shift);
        virtio->driver_features |= (uint64_t)value << shift;
    }
}

static uint16_t checked_vector(const struct virtio_pci *virtio, uint16_t vector)
{
    return vector < virtio->vectors ? vector : (uint16_t)VIRTIO_MSI_NO_VECTOR;
}

static void write_queue(struct virtio_pci *virtio, struct virtqueue *queue, uint32_t off,
                        uint32_t value)
{
    if (off == VIRTIO_PCI_COMMON_Q_MSIX) {
        queue->vector = checked_vector(virtio, (uint16_t)value);
    } else if (off == VIRTIO_PCI_COMMON_Q_RESET) {
        if (value == 1 &&
            (virtio->driver_features & (1ull << VIRTIO_F_RING_RESET)) != 0) {
            virtqueue_reset(queue);
        }
    } else if (queue->enabled != 0) {
        return; /* a live queue's place does not change */
    } else if (off == VIRTIO_PCI_COMMON_Q_SIZE) {
        if (virtqueue_size_valid(queue, virtio->driver_features, value)) {
            queue->size = (uint16_t)value;
        }
    } else if (off == VIRTIO_PCI_COMMON_Q_ENABLE) {
        if (value == 1) {
            (void)virtqueue_enable(queue, virtio->driver_features);
        }
    } else if (off == VIRTIO_PCI_COMMON_Q_DESCLO || off == VIRTIO_PCI_COMMON_Q_DESCHI) {
        le_set_half(&queue->desc_iova, off == VIRTIO_PCI_COMMON_Q_DESCHI, value);
    } else if (off == VIRTIO_PCI_COMMON_Q_AVAILLO || off == VIRTIO_PCI_COMMON_Q_AVAILHI) {
        le_set_half(&queue->avail_iova, off == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
    } else if (off == VIRTIO_PCI_COMMON_Q_USEDLO || off == VIRTIO_PCI_COMMON_Q_USEDHI) {
        le_set_half(&queue->used_iova, off == VIRTIO_PCI_COMMON_Q_USEDHI, value);
    }
}

/* Bytes of the writable register at off; 0 for none. */
static uint32_t common_width(uint64_t off)
{
    switch (off) {
    case VIRTIO_PCI_COMMON_STATUS:
        return 1;
    case VIRTIO_PCI_COMMON_MSIX:
    case VIRTIO_PCI_COMMON_Q_SELECT:
    case VIRTIO_PCI_COMMON_Q_SIZE:
    case VIRTIO_PCI_COMMON_Q_MSIX:
    case VIRTIO_PCI_COMMON_Q_ENABLE:
    case VIRTIO_PCI_COMMON_Q_RESET:
        return 2;
    case VIRTIO_PCI_COMMON_DFSELECT:
    case VIRTIO_PCI_COMMON_GFSELECT:
    case VIRTIO_PCI_COMMON_GF:
    case VIRTIO_PCI_COMMON_Q_DESCLO:
    case VIRTIO_PCI_COMMON_Q_DESCHI:
    case VIRTIO_PCI_COMMON_Q_AVAILLO:
    case VIRTIO_PCI_COMMON_Q_AVAILHI:
    case VIRTIO_PCI_COMMON_Q_USEDLO:
    case VIRTIO_PCI_COMMON_Q_USEDHI:
        return 4;
    default:
        return 0;
    }
}

static void write_common(struct virtio_pci *virtio, uint32_t off, const uint8_t *data,
                         size_t count)
{
    const uint32_t width = common_width(off);
    uint32_t value;

    if (count == 8 && width == 4) {
        write_common(virtio, off, data, 4);
        write_common(virtio, off + 4, data + 4, 4);
        return;
    }
    if (width == 0 || count != width) {
        return;
    }
    value = width == 1 ? data[0] : width == 2 ? le_get16(data) : le_get32(data);
    if (off == VIRTIO_PCI_COMMON_STATUS) {
        write_status(virtio, (uint8_t)value);
    } else if (off == VIRTIO_PCI_COMMON_DFSELECT) {
        virtio->device_select = value;
    } else if (off == VIRTIO_PCI_COMMON_GFSELECT) {
        virtio->driver_select = value;
    } else if (off == VIRTIO_PCI_COMMON_GF) {
        write_driver_features(virtio, value);
    } else if (off == VIRTIO_PCI_COMMON_MSIX) {
        virtio->config_vector = checked_vector(virtio, (uint16_t)value);
    } else if (off == VIRTIO_PCI_COMMON_Q_SELECT) {
        virtio->queue_select = (uint16_t)value;
    } else if (selected(virtio) != NULL) {
        write_queue(virtio, selected(virtio), off, value);
    }
}

/* Copies what [off, off + count) and the image have in common; the rest stays. */
static void copy_image(const uint8_t *image, size_t image_bytes, uint64_t off,
                       void *ret_data, size_t count)
{
    if (off < image_bytes) {
        const size_t left = image_bytes - (size_t)off;

        memcpy(ret_data, image + off, count < left ? count : left);
    }
}

int virtio_pci_read(struct virtio_pci *virtio, uint64_t off, void *ret_data, size_t count)
{
    uint8_t image[CONFIG_BYTES_MAX];

    memset(ret_data, 0, count);
    if (off < VIRTIO_PCI_ISR_OFF) {
        common_image(virtio, image);
        copy_image(image, COMMON_BYTES, off - VIRTIO_PCI_COMMON_OFF, ret_data, count);
    } else if (off == VIRTIO_PCI_ISR_OFF) {
        copy_image(&virtio->isr, 1, 0, ret_data, count);
        virtio->isr = 0;
    } else if (off >= VIRTIO_PCI_DEVICE_OFF && off < VIRTIO_PCI_NOTIFY_OFF) {
        memset(image, 0, sizeof(image));
        virtio->ops->config(virtio->user, image, virtio->config_bytes);
        copy_image(image, virtio->config_bytes, off - VIRTIO_PCI_DEVICE_OFF, ret_data,
                   count);
    }
    return FERRY_OK;
}

int virtio_pci_write(struct virtio_pci *virtio, uint64_t off, const void *data,
                     size_t count)
{
    if (off < VIRTIO_PCI_ISR_OFF) {
        write_common(virtio, (uint32_t)off, data, count);
    } else if (off >= VIRTIO_PCI_NOTIFY_OFF) {
        const uint64_t index = (off - VIRTIO_PCI_NOTIFY_OFF) / VIRTIO_PCI_NOTIFY_STEP;

        if (index < virtio->queue_count) {
            kick(virtio, &virtio->queue[index]);
        }
    }
    return FERRY_OK;
}

/*
 * Where the configuration access capability points, when it points to something that can
 * be accessed now: config space works in every device state, the BAR does not.
 */
static int window_target(const struct virtio_pci *virtio, uint32_t *ret_off,
                         uint32_t *ret_count)
{
    const uint32_t state = ferry_device_state(virtio->device);
    const uint32_t off = le_get32(virtio->window + VIRTIO_PCI_CAP_OFFSET);
    const uint32_t count = le_get32(virtio->window + VIRTIO_PCI_CAP_LENGTH);

    if (state != FERRY_STATE_RUNNING && state != FERRY_STATE_PRE_COPY) {
        return 0;
    }
    if (virtio->window[VIRTIO_PCI_CAP_BAR] != virtio->bar ||
        (count != 1 && count != 2 && count != 4) || off % count != 0 ||
        off > VIRTIO_PCI_BAR_BYTES - count) {
        return 0;
    }
    *ret_off = off;
    *ret_count = count;
    return 1;
}

int virtio_pci_cap_read(struct virtio_pci *virtio, uint32_t cap, uint32_t off,
                        void *ret_data, size_t count)
{
    uint8_t *data = virtio->window + sizeof(struct virtio_pci_cap);
    uint32_t bar_off;
    uint32_t bar_count;

    if (cap != CAP_PCI_CFG || off >= sizeof(virtio->window) ||
        count > sizeof(virtio->window) - off) {
        return FERRY_E_RANGE;
    }
    if (off + count > sizeof(struct virtio_pci_cap)) {
        memset(data, 0, 4);
        if (window_target(virtio, &bar_off, &bar_count)) {
            (void)virtio_pci_read(virtio, bar_off, data, bar_count);
        }
    }
    memcpy(ret_data, virtio->window + off, count);
    return FERRY_OK;
}

int virtio_pci_cap_write(struct virtio_pci *virtio, uint32_t cap, uint32_t off,
                         const void *data, size_t count)
{
    const uint8_t *byte = data;
    uint32_t bar_off;
    uint32_t bar_count;

    if (cap != CAP_PCI_CFG || off >= sizeof(virtio->window) ||
        count > sizeof(virtio->window) - off) {
        return FERRY_E_RANGE;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = off + i;

        if (at == VIRTIO_PCI_CAP_BAR || at >= VIRTIO_PCI_CAP_OFFSET) {
            virtio->window[at] = byte[i];
        }
    }
    if (off + count > sizeof(struct virtio_pci_cap) &&
        window_target(virtio, &bar_off, &bar_count)) {
        (void)virtio_pci_write(virtio, bar_off,
                               virtio->window + sizeof(struct virtio_pci_cap), bar_count);
    }
    return FERRY_OK;
}
