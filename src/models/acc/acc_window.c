/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_hw_private.h"

#include <linux/virtio_config.h>
#include <openssl/crypto.h>

#include "models/le.h"

/* The register window of the variant driver: the second half of BAR2. */

#define STATUS_BITS                                                                      \
    (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |                              \
     VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |                           \
     VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)

static uint32_t read_identity(const struct acc_hw *hw, uint32_t off)
{
    switch (off) {
    case ACC_W_ID:
        return ACC_ID;
    case ACC_W_VERSION:
        return ACC_HW_VERSION;
    case ACC_W_DEVICE:
        return ACC_PCI_VENDOR << 16 | ACC_PCI_DEVICE;
    case ACC_W_QUEUES:
        return hw->virtio.queue_count;
    case ACC_W_SESSIONS:
        return hw->session_max;
    case ACC_W_ALGORITHMS:
        return ACC_ALGORITHM_CBC_128 | ACC_ALGORITHM_CBC_192 | ACC_ALGORITHM_CBC_256;
    case ACC_W_FEATURES_LO:
    case ACC_W_FEATURES_HI:
        return le_half(hw->virtio.features, off == ACC_W_FEATURES_HI);
    case ACC_W_CONTROL:
        return hw->paused != 0 ? ACC_CONTROL_PAUSE : 0;
    case ACC_W_STATE:
        /* A request is taken and completed within one slice: none is in hand here. */
        return hw->paused != 0 ? ACC_STATE_PAUSED | ACC_STATE_IDLE : ACC_STATE_IDLE;
    case ACC_W_S_COUNT:
        return hw->session_count;
    default:
        return 0;
    }
}

static uint32_t read_transport(const struct virtio_pci *virtio, uint32_t off)
{
    switch (off) {
    case ACC_W_DRIVER_FEATURES_LO:
    case ACC_W_DRIVER_FEATURES_HI:
        return le_half(virtio->driver_features, off == ACC_W_DRIVER_FEATURES_HI);
    case ACC_W_STATUS:
        return virtio->status;
    case ACC_W_CONFIG_VECTOR:
        return virtio->config_vector;
    case ACC_W_ISR:
        return virtio->isr;
    case ACC_W_DEVICE_SELECT:
        return virtio->device_select;
    case ACC_W_DRIVER_SELECT:
        return virtio->driver_select;
    case ACC_W_QUEUE_SELECT:
        return virtio->queue_select;
    default:
        return 0;
    }
}

static uint32_t read_queue(const struct virtqueue *queue, uint32_t off)
{
    switch (off) {
    case ACC_W_Q_SIZE:
        return queue->size;
    case ACC_W_Q_VECTOR:
        return queue->vector;
    case ACC_W_Q_ENABLE:
        return queue->enabled;
    case ACC_W_Q_DESC_LO:
    case ACC_W_Q_DESC_HI:
        return le_half(queue->desc_iova, off == ACC_W_Q_DESC_HI);
    case ACC_W_Q_AVAIL_LO:
    case ACC_W_Q_AVAIL_HI:
        return le_half(queue->avail_iova, off == ACC_W_Q_AVAIL_HI);
    case ACC_W_Q_USED_LO:
    case ACC_W_Q_USED_HI:
        return le_half(queue->used_iova, off == ACC_W_Q_USED_HI);
    case ACC_W_Q_TAKEN:
        return queue->avail_taken;
    case ACC_W_Q_PUBLISHED:
        return queue->used_published;
    default:
        return 0;
    }
}

static uint32_t read_session(const struct acc_hw *hw, uint32_t off)
{
    const struct acc_session *session;

    if (off == ACC_W_S_INDEX) {
        return hw->session_index;
    }
    if (off == ACC_W_S_NEXT) {
        return hw->next_generation;
    }
    session = &hw->session[hw->session_index];
    if (session->used == 0) {
        return 0;
    }
    if (off == ACC_W_S_INFO) {
        return ACC_S_INFO_USED | (uint32_t)session->key_bytes << 8 | session->op;
    }
    if (off == ACC_W_S_GENERATION) {
        return session->generation;
    }
    return off >= ACC_W_S_KEY ? le_get32(session->key + (off - ACC_W_S_KEY)) : 0;
}

uint32_t acc_hw_read(struct acc_hw *hw, uint32_t off)
{
    if (off < ACC_WINDOW || off % 4 != 0 || off >= ACC_W_END) {
        return 0;
    }
    if (off < ACC_W_DRIVER_FEATURES_LO || off == ACC_W_S_COUNT) {
        return read_identity(hw, off);
    }
    if (hw->paused == 0) {
        return 0;
    }
    if (off < ACC_W_Q_INDEX) {
        return read_transport(&hw->virtio, off);
    }
    if (off == ACC_W_Q_INDEX) {
        return hw->queue_index;
    }
    return off < ACC_W_S_INDEX ? read_queue(&hw->virtio.queue[hw->queue_index], off)
                               : read_session(hw, off);
}

/* Publishes completions that are still cached. Return: FERRY_OK. */
static int flush(struct acc_hw *hw)
{
    for (uint32_t i = 0; i < hw->virtio.queue_count; i++) {
        struct virtqueue *queue = &hw->virtio.queue[i];

        if (queue->enabled != 0 &&
            virtqueue_flush(queue, hw->virtio.device) != FERRY_OK) {
            virtio_pci_needs_reset(&hw->virtio);
        }
        virtio_pci_interrupt(&hw->virtio, queue);
    }
    return FERRY_OK;
}

static int write_control(struct acc_hw *hw, uint32_t off, uint32_t value)
{
    if (off == ACC_W_CONTROL && (value & ~ACC_CONTROL_PAUSE) == 0) {
        hw->paused = value;
        if (hw->paused == 0) {
            /* Requests that came before the pause are in the rings, their notifications
             * are not: look at every queue. */
            virtio_pci_kick_all(&hw->virtio);
        }
        return FERRY_OK;
    }
    if (off == ACC_W_FLUSH && value == 1) {
        return flush(hw);
    }
    if (off == ACC_W_RESET && value == 1) {
        acc_hw_reset(hw);
        hw->paused = 1;
        return FERRY_OK;
    }
    return FERRY_E_ARGUMENT;
}

static int write_status(struct virtio_pci *virtio, uint32_t value)
{
    const uint32_t ready = VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FEATURES_OK;

    if ((value & ~(uint32_t)STATUS_BITS) != 0) {
        return FERRY_E_ARGUMENT;
    }
    if ((value & ready) == VIRTIO_CONFIG_S_DRIVER_OK) {
        return FERRY_E_ARGUMENT;
    }
    if ((value & VIRTIO_CONFIG_S_FEATURES_OK) != 0 &&
        !virtio_pci_features_valid(virtio, virtio->driver_features)) {
        return FERRY_E_ARGUMENT;
    }
    virtio->status = (uint8_t)value;
    return FERRY_OK;
}

static int vector_valid(const struct virtio_pci *virtio, uint32_t value)
{
    return value < virtio->vectors || value == UINT16_MAX;
}

static int write_transport(struct virtio_pci *virtio, uint32_t off, uint32_t value)
{
    switch (off) {
    case ACC_W_DRIVER_FEATURES_LO:
    case ACC_W_DRIVER_FEATURES_HI:
        le_set_half(&virtio->driver_features, off == ACC_W_DRIVER_FEATURES_HI, value);
        return FERRY_OK;
    case ACC_W_STATUS:
        return write_status(virtio, value);
    case ACC_W_CONFIG_VECTOR:
        if (!vector_valid(virtio, value)) {
            return FERRY_E_ARGUMENT;
        }
        virtio->config_vector = (uint16_t)value;
        return FERRY_OK;
    case ACC_W_ISR:
        if (value > 3) {
            return FERRY_E_ARGUMENT;
        }
        virtio->isr = (uint8_t)value;
        return FERRY_OK;
    case ACC_W_DEVICE_SELECT:
        virtio->device_select = value;
        return FERRY_OK;
    case ACC_W_DRIVER_SELECT:
        virtio->driver_select = value;
        return FERRY_OK;
    case ACC_W_QUEUE_SELECT:
        if (value > UINT16_MAX) {
            return FERRY_E_ARGUMENT;
        }
        virtio->queue_select = (uint16_t)value;
        return FERRY_OK;
    default:
        return FERRY_E_ARGUMENT;
    }
}

/* Makes an imported queue live. */
static int enable_queue(const struct virtio_pci *virtio, struct virtqueue *queue,
                        uint32_t value)
{
    if (value > 1) {
        return FERRY_E_ARGUMENT;
    }
    if (value == 1) {
        return virtqueue_import(queue, virtio->driver_features);
    }
    queue->enabled = 0;
    return FERRY_OK;
}

static int write_queue(const struct virtio_pci *virtio, struct virtqueue *queue,
                       uint32_t off, uint32_t value)
{
    switch (off) {
    case ACC_W_Q_SIZE:
        if (!virtqueue_size_valid(queue, virtio->driver_features, value)) {
            return FERRY_E_ARGUMENT;
        }
        queue->size = (uint16_t)value;
        return FERRY_OK;
    case ACC_W_Q_VECTOR:
        if (!vector_valid(virtio, value)) {
            return FERRY_E_ARGUMENT;
        }
        queue->vector = (uint16_t)value;
        return FERRY_OK;
    case ACC_W_Q_ENABLE:
        return enable_queue(virtio, queue, value);
    case ACC_W_Q_DESC_LO:
    case ACC_W_Q_DESC_HI:
        le_set_half(&queue->desc_iova, off == ACC_W_Q_DESC_HI, value);
        return FERRY_OK;
    case ACC_W_Q_AVAIL_LO:
    case ACC_W_Q_AVAIL_HI:
        le_set_half(&queue->avail_iova, off == ACC_W_Q_AVAIL_HI, value);
        return FERRY_OK;
    case ACC_W_Q_USED_LO:
    case ACC_W_Q_USED_HI:
        le_set_half(&queue->used_iova, off == ACC_W_Q_USED_HI, value);
        return FERRY_OK;
    case ACC_W_Q_TAKEN:
    case ACC_W_Q_PUBLISHED:
        if (value > UINT16_MAX) {
            return FERRY_E_ARGUMENT;
        }
        *(off == ACC_W_Q_TAKEN ? &queue->avail_taken : &queue->used_published) =
            (uint16_t)value;
        return FERRY_OK;
    default:
        return FERRY_E_ARGUMENT;
    }
}

/* Makes the session whose key and generation were written before. */
static int import_session(struct acc_hw *hw, uint32_t info)
{
    struct acc_session *session = &hw->session[hw->session_index];
    const uint32_t op = ACC_S_INFO_OP(info);
    const uint32_t key_bytes = ACC_S_INFO_KEY_BYTES(info);

    if ((info & ~0xffffu) != ACC_S_INFO_USED || session->used != 0 ||
        !acc_session_valid(op, key_bytes)) {
        return FERRY_E_ARGUMENT;
    }
    session->generation = hw->session_generation;
    session->used = 1;
    session->op = (uint8_t)op;
    session->key_bytes = (uint8_t)key_bytes;
    memcpy(session->key, hw->session_key, key_bytes);
    hw->session_count++;
    OPENSSL_cleanse(hw->session_key, sizeof(hw->session_key));
    return FERRY_OK;
}

static int write_session(struct acc_hw *hw, uint32_t off, uint32_t value)
{
    switch (off) {
    case ACC_W_S_INDEX:
        if (value >= hw->session_max) {
            return FERRY_E_ARGUMENT;
        }
        hw->session_index = value;
        return FERRY_OK;
    case ACC_W_S_GENERATION:
        hw->session_generation = value;
        return FERRY_OK;
    case ACC_W_S_NEXT:
        hw->next_generation = value;
        return FERRY_OK;
    case ACC_W_S_INFO:
        return import_session(hw, value);
    default:
        if (off < ACC_W_S_KEY) {
            return FERRY_E_ARGUMENT;
        }
        le_put32(hw->session_key + (off - ACC_W_S_KEY), value);
        return FERRY_OK;
    }
}

int acc_hw_write(struct acc_hw *hw, uint32_t off, uint32_t value)
{
    if (off < ACC_WINDOW || off % 4 != 0 || off >= ACC_W_END) {
        return FERRY_E_ARGUMENT;
    }
    if (off < ACC_W_DRIVER_FEATURES_LO) {
        return write_control(hw, off, value);
    }
    if (hw->paused == 0) {
        return FERRY_E_STATE;
    }
    if (off < ACC_W_Q_INDEX) {
        return write_transport(&hw->virtio, off, value);
    }
    if (off == ACC_W_Q_INDEX) {
        if (value >= hw->virtio.queue_count) {
            return FERRY_E_ARGUMENT;
        }
        hw->queue_index = value;
        return FERRY_OK;
    }
    return off < ACC_W_S_INDEX
               ? write_queue(&hw->virtio, &hw->virtio.queue[hw->queue_index], off, value)
               : write_session(hw, off, value);
}
