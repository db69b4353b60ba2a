/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/acc/acc_hw_private.h"

#include <linux/virtio_config.h>
#include <linux/virtio_crypto.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "models/le.h"

/* A slice ends after that many bytes; a small request counts as SLICE_REQUEST bytes. */
#define SLICE_BYTES (256u << 10)
#define SLICE_REQUEST 2048u

static void write_config(void *user, uint8_t *ret_config, size_t config_bytes)
{
    const struct acc_hw *hw = user;
    const struct virtio_crypto_config config = {
        .status = htole32(VIRTIO_CRYPTO_S_HW_READY),
        .max_dataqueues = htole32(hw->virtio.queue_count - 1),
        .crypto_services = htole32(1u << VIRTIO_CRYPTO_SERVICE_CIPHER),
        .cipher_algo_l = htole32(1u << VIRTIO_CRYPTO_CIPHER_AES_CBC),
        .max_cipher_key_len = htole32(ACC_KEY_BYTES_MAX),
        .max_size = htole64(ACC_REQUEST_MAX),
    };

    memcpy(ret_config, &config, config_bytes);
}

static void transport_reset(void *user)
{
    struct acc_hw *hw = user;

    acc_session_destroy_all(hw);
    hw->next_generation = 1;
    hw->next_data_queue = 0;
}

static const struct virtio_pci_ops transport_ops = {
    .struct_size = sizeof(transport_ops),
    .config = write_config,
    .reset = transport_reset,
};

static void prepare_transport(struct acc_hw *hw, uint32_t data_queues)
{
    struct virtio_pci *virtio = &hw->virtio;

    virtio->ops = &transport_ops;
    virtio->user = hw;
    virtio->features = 1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_F_ACCESS_PLATFORM |
                       1ull << VIRTIO_RING_F_INDIRECT_DESC | 1ull << VIRTIO_F_RING_RESET;
    virtio->config_bytes = sizeof(struct virtio_crypto_config);
    virtio->bar = ACC_BAR_VIRTIO;
    virtio->queue_count = data_queues + 1;
    virtio->vectors = data_queues + 2;
    for (uint32_t i = 0; i < data_queues; i++) {
        virtio->queue[i].size_max = ACC_DATA_QUEUE_SIZE;
    }
    virtio->queue[data_queues].size_max = ACC_CONTROL_QUEUE_SIZE;
    virtio_pci_init(virtio);
}

void acc_hw_offer_packed(struct acc_hw *hw)
{
    hw->virtio.features |= 1ull << VIRTIO_F_RING_PACKED;
}

int acc_hw_create(uint32_t data_queues, uint32_t sessions, struct acc_hw **ret_hw)
{
    static const char *const names[] = { "AES-128-CBC", "AES-192-CBC", "AES-256-CBC" };
    struct acc_hw *hw = calloc(1, sizeof(*hw));
    int status = FERRY_E_MEMORY;

    if (hw == NULL) {
        return FERRY_E_MEMORY;
    }
    hw->session_max = sessions;
    hw->session = calloc(sessions, sizeof(*hw->session));
    hw->chain = calloc(1, sizeof(*hw->chain));
    if (hw->session == NULL || hw->chain == NULL) {
        goto out;
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        hw->cipher[i] = EVP_CIPHER_fetch(NULL, names[i], NULL);
        if (hw->cipher[i] == NULL) {
            status = FERRY_E_UNSUPPORTED;
            goto out;
        }
    }
    prepare_transport(hw, data_queues);
    acc_hw_reset(hw);
    *ret_hw = hw;
    status = FERRY_OK;
out:
    if (status != FERRY_OK) {
        acc_hw_destroy(hw);
    }
    return status;
}

void acc_hw_destroy(struct acc_hw *hw)
{
    if (hw == NULL) {
        return;
    }
    if (hw->session != NULL) {
        acc_session_destroy_all(hw);
    }
    for (size_t i = 0; i < sizeof(hw->cipher) / sizeof(hw->cipher[0]); i++) {
        EVP_CIPHER_free(hw->cipher[i]);
    }
    free(hw->session);
    free(hw->chain);
    OPENSSL_cleanse(hw, sizeof(*hw));
    free(hw);
}

struct virtio_pci *acc_hw_virtio(struct acc_hw *hw)
{
    return &hw->virtio;
}

void acc_hw_reset(struct acc_hw *hw)
{
    transport_reset(hw);
    virtio_pci_reset(&hw->virtio);
    OPENSSL_cleanse(hw->session_key, sizeof(hw->session_key));
    OPENSSL_cleanse(hw->bounce, sizeof(hw->bounce));
    hw->queue_index = 0;
    hw->session_index = 0;
    hw->session_generation = 0;
    hw->paused = 0;
}

int acc_hw_guest_read(const struct acc_hw *hw, uint64_t off, void *ret_data, size_t count)
{
    uint8_t image[8];

    (void)hw;
    if (off >= ACC_WINDOW || count > ACC_WINDOW - off) {
        return FERRY_E_PERMISSION; /* the variant driver's half */
    }
    le_put32(image + ACC_REG_ID, ACC_ID);
    le_put32(image + ACC_REG_VERSION, ACC_HW_VERSION);
    memset(ret_data, 0, count);
    if (off < sizeof(image)) {
        const size_t left = sizeof(image) - (size_t)off;

        memcpy(ret_data, image + off, count < left ? count : left);
    }
    return FERRY_OK;
}

int acc_hw_guest_write(const struct acc_hw *hw, uint64_t off, size_t count)
{
    (void)hw;
    return off >= ACC_WINDOW || count > ACC_WINDOW - off ? FERRY_E_PERMISSION : FERRY_OK;
}

/*
 * Takes requests of one queue until it is empty or the budget is used up.
 * Return: FERRY_OK or negative: the device needs a reset.
 */
static int serve_queue(struct acc_hw *hw, uint32_t index, uint32_t *budget)
{
    struct virtqueue *queue = &hw->virtio.queue[index];
    const int control = index == hw->virtio.queue_count - 1;

    while (queue->kicked != 0 && *budget != 0) {
        uint32_t written = 0;
        uint32_t bytes = 0;
        uint32_t cost;
        int status = virtqueue_pop(queue, hw->virtio.device, hw->chain);

        if (status < 0) {
            return status;
        }
        if (status == 0) {
            if (queue->quiet == 0) {
                queue->kicked = 0;
                break;
            }
            /* What came while the driver was asked not to notify is found now. */
            status = virtqueue_set_quiet(queue, hw->virtio.device, 0);
            if (status != FERRY_OK) {
                return status;
            }
            continue;
        }
        status = control ? acc_request_control(hw, &written)
                         : acc_request_data(hw, &written, &bytes);
        if (status != FERRY_OK) {
            virtqueue_unpop(queue);
            return status;
        }
        status = virtqueue_push(queue, hw->virtio.device, hw->chain, written);
        if (status != FERRY_OK) {
            return status;
        }
        cost = bytes > SLICE_REQUEST ? bytes : SLICE_REQUEST;
        *budget -= cost < *budget ? cost : *budget;
    }
    return FERRY_OK;
}

/* Publishes a queue's completions; returns 1 when it has more to do. */
static int end_queue(struct acc_hw *hw, struct virtqueue *queue)
{
    int status = virtqueue_flush(queue, hw->virtio.device);

    if (status == FERRY_OK && queue->kicked != 0 && queue->quiet == 0 &&
        virtio_pci_alive(&hw->virtio)) {
        status = virtqueue_set_quiet(queue, hw->virtio.device, 1);
    }
    if (status != FERRY_OK) {
        virtio_pci_needs_reset(&hw->virtio);
    }
    virtio_pci_interrupt(&hw->virtio, queue);
    return queue->kicked != 0;
}

int acc_hw_work(struct acc_hw *hw)
{
    struct virtio_pci *virtio = &hw->virtio;
    const uint32_t state = ferry_device_state(virtio->device);
    const uint32_t data_queues = virtio->queue_count - 1;
    uint32_t budget = SLICE_BYTES;
    int more = 0;
    int status;

    /* Without bus mastering requests stay in the ring until the driver notifies again. */
    if (hw->paused != 0 || !virtio_pci_alive(virtio) ||
        !ferry_device_bus_master(virtio->device) ||
        (state != FERRY_STATE_RUNNING && state != FERRY_STATE_PRE_COPY)) {
        return 0;
    }
    status = serve_queue(hw, data_queues, &budget);
    for (uint32_t i = 0; i < data_queues && status == FERRY_OK; i++) {
        status = serve_queue(hw, (hw->next_data_queue + i) % data_queues, &budget);
    }
    hw->next_data_queue = (hw->next_data_queue + 1) % data_queues;
    if (status != FERRY_OK) {
        virtio_pci_needs_reset(virtio);
    }
    for (uint32_t i = 0; i < virtio->queue_count; i++) {
        if (virtio->queue[i].enabled != 0) {
            more |= end_queue(hw, &virtio->queue[i]);
        }
    }
    return more != 0 && virtio_pci_alive(virtio);
}
