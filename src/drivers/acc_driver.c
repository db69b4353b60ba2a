/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/acc_driver.h"

#include <assert.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "drivers/virtio/virtio_pci.h"

#define CONTROL_QUEUE_SIZE 16
#define CONTROL_PIECES 3

/* The session's control request in guest memory; used once. */
struct session_request {
    struct virtio_crypto_op_ctrl_req op;
    uint8_t key[ACC_KEY_BYTES];
    struct virtio_crypto_session_input input;
};

static uint64_t requests_off(void)
{
    return virtqueue_need(CONTROL_QUEUE_SIZE) + virtqueue_need(ACC_QUEUE_SIZE_MAX);
}

uint64_t acc_guest_need(uint32_t lanes)
{
    uint64_t end = requests_off() + (uint64_t)lanes * sizeof(struct acc_request) +
                   sizeof(struct session_request);

    return (end + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES;
}

/* Return: FERRY_OK when the eventfd fired in time. */
static int wait_interrupt(int eventfd, int timeout_ms)
{
    struct pollfd wait = { .fd = eventfd, .events = POLLIN };
    uint64_t count;
    int ready;

    do {
        ready = poll(&wait, 1, timeout_ms);
    } while (ready < 0 && errno == EINTR);
    if (ready == 0) {
        return FERRY_E_TIMEOUT;
    }
    return ready == 1 && read(eventfd, &count, sizeof(count)) == sizeof(count)
               ? FERRY_OK
               : FERRY_E_IO;
}

static int create_session(const struct pci_function *pci, const struct guest_ram *ram,
                          struct acc_driver *acc, const struct acc_setup *setup,
                          struct ferry_error *reterr)
{
    uint64_t at =
        setup->iova + requests_off() + setup->lanes * sizeof(struct acc_request);
    struct session_request *request = guest_at(ram, at, sizeof(*request));
    struct virtio_crypto_sym_create_session_req *sym = &request->op.u.sym_create_session;
    struct virtqueue_piece piece[CONTROL_PIECES] = {
        { at + offsetof(struct session_request, op), sizeof(request->op), 0 },
        { at + offsetof(struct session_request, key), sizeof(request->key), 0 },
        { at + offsetof(struct session_request, input), sizeof(request->input), 1 },
    };
    uint16_t head;
    uint32_t bytes;
    int status;

    memset(request, 0, sizeof(*request));
    request->op.header.opcode = VIRTIO_CRYPTO_CIPHER_CREATE_SESSION;
    request->op.header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    sym->op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
    sym->u.cipher.para.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    sym->u.cipher.para.keylen = ACC_KEY_BYTES;
    sym->u.cipher.para.op = VIRTIO_CRYPTO_OP_ENCRYPT;
    memcpy(request->key, setup->key, ACC_KEY_BYTES);
    request->input.status = VIRTIO_CRYPTO_ERR;
    guest_wrote(ram, request, sizeof(*request));
    virtqueue_put(ram, &acc->control, 0, piece, CONTROL_PIECES);
    status = virtqueue_ring(pci, &acc->control);
    if (status == FERRY_OK) {
        status = setup->wait != NULL
                     ? setup->wait(setup->user, setup->timeout_ms)
                     : wait_interrupt(setup->control_eventfd, setup->timeout_ms);
    }
    if (status < 0) {
        return ferry_error_set(reterr, status, "acc", NULL, 0,
                               "no answer to the session request: %s",
                               ferry_status_text(status));
    }
    if (virtqueue_take(ram, &acc->control, &head, &bytes) != 1 || head != 0 ||
        request->input.status != VIRTIO_CRYPTO_OK) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, "acc", NULL, 0,
                               "the device refused an AES-256-CBC session (status %u)",
                               request->input.status);
    }
    acc->session_id = request->input.session_id;
    guest_wrote(ram, acc, sizeof(*acc));
    return FERRY_OK;
}

/* Return: the size to use for a queue, or a negative code. */
static int usable_size(struct virtio_pci *virtio, uint16_t index, uint16_t most)
{
    int size = virtio_pci_queue_size(virtio, index);

    if (size == 0) {
        return FERRY_E_NOT_FOUND;
    }
    return size > most ? most : size;
}

static int setup_queues(struct virtio_pci *virtio, const struct guest_ram *ram,
                        struct acc_driver *acc, const struct acc_setup *setup,
                        struct ferry_error *reterr)
{
    int failed = FERRY_OK, data, control, status;
    uint16_t packed;
    uint16_t control_index = (uint16_t)pci_read(
        &virtio->pci, virtio->device_bar,
        virtio->device_off + offsetof(struct virtio_crypto_config, max_dataqueues), 4,
        &failed);

    if (failed < 0) {
        return ferry_error_set(reterr, failed, "acc", NULL, 0,
                               "cannot read the device's config");
    }
    data = usable_size(virtio, 0, ACC_QUEUE_SIZE_MAX);
    control = usable_size(virtio, control_index, CONTROL_QUEUE_SIZE);
    if (data < 0 || control < CONTROL_PIECES) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "acc", NULL, 0,
                               "data queue 0 or control queue %u is not there",
                               control_index);
    }
    if ((uint32_t)data < setup->lanes * ACC_CHAIN) {
        return ferry_error_set(
            reterr, FERRY_E_LIMIT, "acc", NULL, 0,
            "%u lanes need %u descriptors, the queue has %d; use fewer", setup->lanes,
            setup->lanes * ACC_CHAIN, data);
    }
    packed = (uint16_t)(virtio->features >> VIRTIO_F_RING_PACKED & 1);
    if (packed != 0 && (uint32_t)data > setup->lanes * ACC_CHAIN + 1) {
        /* As small as it can be, since any size will do: descriptors stay in the cache.
         * The odd place lets chains lie across the end of the ring. */
        data = (int)(setup->lanes * ACC_CHAIN + 1);
    }
    virtqueue_init(ram, &acc->control, control_index, (uint16_t)control, setup->iova,
                   packed);
    virtqueue_init(ram, &acc->data, 0, (uint16_t)data,
                   setup->iova + virtqueue_need(CONTROL_QUEUE_SIZE), packed);
    status = virtio_pci_enable_queue(virtio, ram, &acc->data, ACC_VECTOR_DATA);
    if (status == FERRY_OK) {
        status = virtio_pci_enable_queue(virtio, ram, &acc->control, ACC_VECTOR_CONTROL);
    }
    if (status == FERRY_OK) {
        status = virtio_pci_ready(virtio);
    }
    return status == FERRY_OK ? FERRY_OK
                              : ferry_error_set(reterr, status, "acc", NULL, 0,
                                                "cannot set the queues up: %s",
                                                ferry_status_text(status));
}

int acc_guest_init(const struct pci_function *pci, const struct guest_ram *ram,
                   struct acc_driver *acc, const struct acc_setup *setup,
                   struct ferry_error *reterr)
{
    uint64_t features = 1ull << VIRTIO_F_VERSION_1;
    struct virtio_pci virtio;
    int status = pci_enable(pci);

    memset(acc, 0, sizeof(*acc));
    acc->lanes = setup->lanes;
    acc->request_iova = setup->iova + requests_off();
    if (status == FERRY_OK) {
        status = virtio_pci_find(&virtio, pci);
    }
    if (status == FERRY_OK) {
        status = virtio_pci_negotiate(&virtio,
                                      features | 1ull << VIRTIO_F_ACCESS_PLATFORM |
                                          1ull << VIRTIO_F_RING_PACKED,
                                      features);
    }
    if (status < 0) {
        return ferry_error_set(reterr, status, "acc", NULL, 0,
                               "cannot start the virtio device: %s",
                               ferry_status_text(status));
    }
    status = setup_queues(&virtio, ram, acc, setup, reterr);
    guest_wrote(ram, acc, sizeof(*acc));
    return status == FERRY_OK ? create_session(pci, ram, acc, setup, reterr) : status;
}

int acc_guest_check(const struct acc_driver *acc, const struct acc_setup *setup)
{
    uint64_t data = setup->iova + virtqueue_need(CONTROL_QUEUE_SIZE);

    return acc->lanes == setup->lanes &&
           acc->request_iova == setup->iova + requests_off() &&
           acc->data.size >= setup->lanes * ACC_CHAIN &&
           acc->data.size <= ACC_QUEUE_SIZE_MAX && virtqueue_check(&acc->data, data) &&
           acc->control.size <= CONTROL_QUEUE_SIZE &&
           virtqueue_check(&acc->control, setup->iova);
}

static struct acc_request *lane_request(const struct guest_ram *ram,
                                        const struct acc_driver *acc, uint32_t lane)
{
    return guest_at(ram, acc->request_iova + lane * sizeof(struct acc_request),
                    sizeof(struct acc_request));
}

void acc_guest_encrypt(const struct guest_ram *ram, struct acc_driver *acc, uint32_t lane,
                       const uint8_t *iv, uint64_t from_iova, uint64_t to_iova,
                       uint32_t bytes)
{
    struct acc_request *request = lane_request(ram, acc, lane);
    struct virtio_crypto_cipher_para *para = &request->op.u.sym_req.u.cipher.para;
    uint64_t at = guest_iova(ram, request);
    struct virtqueue_piece piece[ACC_CHAIN] = {
        { at + offsetof(struct acc_request, op), sizeof(request->op), 0 },
        { at + offsetof(struct acc_request, iv), ACC_IV_BYTES, 0 },
        { from_iova, bytes, 0 },
        { to_iova, bytes, 1 },
        { at + offsetof(struct acc_request, status), 1, 1 },
    };

    assert(lane < acc->lanes);
    memset(request, 0, sizeof(*request));
    request->op.header.opcode = VIRTIO_CRYPTO_CIPHER_ENCRYPT;
    request->op.header.algo = VIRTIO_CRYPTO_CIPHER_AES_CBC;
    request->op.header.session_id = acc->session_id;
    request->op.u.sym_req.op_type = VIRTIO_CRYPTO_SYM_OP_CIPHER;
    para->iv_len = ACC_IV_BYTES;
    para->src_data_len = bytes;
    para->dst_data_len = bytes;
    memcpy(request->iv, iv, ACC_IV_BYTES);
    request->status = ACC_STATUS_NONE;
    guest_wrote(ram, request, sizeof(*request));
    virtqueue_put(ram, &acc->data, (uint16_t)(lane * ACC_CHAIN), piece, ACC_CHAIN);
}

int acc_guest_kick(const struct pci_function *pci, const struct acc_driver *acc)
{
    return virtqueue_ring(pci, &acc->data);
}

int acc_guest_take(const struct guest_ram *ram, struct acc_driver *acc,
                   uint32_t *ret_lane, uint8_t *ret_status)
{
    uint16_t head;
    uint32_t bytes;
    int taken = virtqueue_take(ram, &acc->data, &head, &bytes);

    if (taken != 1) {
        return taken;
    }
    if (head % ACC_CHAIN != 0 || head / ACC_CHAIN >= acc->lanes) {
        return FERRY_E_PROTOCOL;
    }
    *ret_lane = head / ACC_CHAIN;
    *ret_status = lane_request(ram, acc, *ret_lane)->status;
    return 1;
}
