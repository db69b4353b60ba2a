/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/nic_driver.h"

#include <linux/virtio_config.h>
#include <stddef.h>
#include <string.h>

#include "drivers/virtio/virtio_pci.h"

#define CONTROL_QUEUE_SIZE 16u
#define CONTROL_PIECES 3

#define BIT(n) (1ull << (n))

/* Where things lie, as offsets from the setup's iova. */
struct plan {
    uint64_t ring_bytes; /* of a queue of a pair */
    uint64_t rings_off, command_off, buffers_off, buffers_bytes, end;
};

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES;
}

static struct plan make_plan(const struct nic_setup *setup)
{
    struct plan plan = { .ring_bytes = virtqueue_need((uint16_t)setup->queue_size) };

    plan.rings_off = virtqueue_need(CONTROL_QUEUE_SIZE);
    plan.command_off = plan.rings_off + 2u * setup->pairs * plan.ring_bytes;
    plan.buffers_off = plan.command_off + whole_pages(NIC_DRIVER_COMMAND_BYTES + 8u);
    plan.buffers_bytes = whole_pages((uint64_t)setup->queue_size * setup->buffer_bytes);
    plan.end = plan.buffers_off + 2u * setup->pairs * plan.buffers_bytes;
    return plan;
}

uint64_t nic_driver_need(const struct nic_setup *setup)
{
    return make_plan(setup).end;
}

static int setup_fits(const struct nic_setup *setup)
{
    return setup->pairs > 0 && setup->pairs <= NIC_DRIVER_PAIRS_MAX &&
           setup->queue_size > 1 && setup->queue_size <= NIC_DRIVER_QUEUE_MAX &&
           (setup->queue_size & (setup->queue_size - 1)) == 0 &&
           setup->buffer_bytes >= NIC_DRIVER_BUFFER_MIN &&
           setup->buffer_bytes <= NIC_DRIVER_BUFFER_MAX && setup->buffer_bytes % 16 == 0;
}

static uint64_t config_read(const struct pci_function *pci, const struct nic_driver *nic,
                            uint64_t off, size_t bytes, int *failed)
{
    return pci_read(pci, nic->config_region, nic->config_off + off, bytes, failed);
}

static int read_config(const struct pci_function *pci, struct nic_driver *nic)
{
    int failed = FERRY_OK;

    for (uint32_t i = 0; i < NIC_DRIVER_MAC_BYTES; i++) {
        nic->mac[i] = (uint8_t)config_read(
            pci, nic, offsetof(struct virtio_net_config, mac) + i, 1, &failed);
    }
    nic->pairs_most = 1;
    if ((nic->features & BIT(VIRTIO_NET_F_MQ)) != 0) {
        nic->pairs_most = (uint32_t)config_read(
            pci, nic, offsetof(struct virtio_net_config, max_virtqueue_pairs), 2,
            &failed);
    }
    return failed;
}

static int enable(struct virtio_pci *virtio, const struct guest_ram *ram,
                  struct virtqueue *ring, uint32_t index, uint32_t most, uint64_t iova,
                  uint32_t vector)
{
    const int size = virtio_pci_queue_size(virtio, (uint16_t)index);
    uint16_t packed = (uint16_t)(virtio->features >> VIRTIO_F_RING_PACKED & 1);

    if (size <= 0) {
        return size < 0 ? size : FERRY_E_NOT_FOUND;
    }
    virtqueue_init(ram, ring, (uint16_t)index,
                   (uint16_t)((uint32_t)size < most ? (uint32_t)size : most), iova,
                   packed);
    return virtio_pci_enable_queue(virtio, ram, ring, (uint16_t)vector);
}

/* One queue of a pair; which: 0 receive, 1 transmit. */
static int enable_pair_queue(struct virtio_pci *virtio, const struct guest_ram *ram,
                             struct nic_driver_queue *queue,
                             const struct nic_setup *setup, uint32_t pair, uint32_t which)
{
    const struct plan plan = make_plan(setup);
    const uint32_t n = 2 * pair + which;

    queue->buffer_iova = setup->iova + plan.buffers_off + n * plan.buffers_bytes;
    return enable(virtio, ram, &queue->ring, n, setup->queue_size,
                  setup->iova + plan.rings_off + n * plan.ring_bytes,
                  NIC_VECTOR_PAIR(pair));
}

static int setup_queues(struct virtio_pci *virtio, const struct guest_ram *ram,
                        struct nic_driver *nic, const struct nic_setup *setup)
{
    int status = virtio_pci_changes(virtio, NIC_VECTOR_CONFIG);

    for (uint32_t i = 0; i < nic->pairs && status == FERRY_OK; i++) {
        struct nic_driver_pair *pair = &nic->pair[i];

        status = enable_pair_queue(virtio, ram, &pair->receive, setup, i, 0);
        if (status == FERRY_OK) {
            status = enable_pair_queue(virtio, ram, &pair->transmit, setup, i, 1);
        }
        if (status < 0) {
            break;
        }
        /* That a frame has gone is seen when a buffer is wanted; nobody waits for it. */
        virtqueue_want_interrupts(ram, &pair->transmit.ring, 0);
        for (uint16_t j = 0; j < pair->transmit.ring.size; j++) {
            pair->spare[j] = j;
        }
        pair->spare_count = pair->transmit.ring.size;
    }
    if (status == FERRY_OK && (nic->features & BIT(VIRTIO_NET_F_CTRL_VQ)) != 0) {
        status = enable(virtio, ram, &nic->control, 2 * nic->pairs_most,
                        CONTROL_QUEUE_SIZE, setup->iova, NIC_VECTOR_CONTROL);
    }
    return status == FERRY_OK ? virtio_pci_ready(virtio) : status;
}

/* All receive buffers to the device. */
static int fill_receive(const struct pci_function *pci, const struct guest_ram *ram,
                        struct nic_driver *nic)
{
    struct nic_received all[NIC_DRIVER_QUEUE_MAX];
    int status = FERRY_OK;

    for (uint32_t i = 0; i < nic->pairs && status == FERRY_OK; i++) {
        struct nic_driver_queue *queue = &nic->pair[i].receive;

        for (uint16_t j = 0; j < queue->ring.size; j++) {
            all[j] = (struct nic_received){ .buffer = j };
        }
        nic_driver_give_back(ram, nic, i, all, queue->ring.size);
        status = virtqueue_ring(pci, &queue->ring);
    }
    return status;
}

static int find_and_negotiate(struct virtio_pci *virtio, const struct pci_function *pci,
                              struct nic_driver *nic, const struct nic_setup *setup)
{
    const uint64_t needed = BIT(VIRTIO_F_VERSION_1);
    uint64_t wanted = needed | BIT(VIRTIO_F_ACCESS_PLATFORM) | BIT(VIRTIO_NET_F_MAC) |
                      BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_STATUS) |
                      BIT(VIRTIO_NET_F_CTRL_VQ) | BIT(VIRTIO_NET_F_GUEST_ANNOUNCE) |
                      setup->wanted;
    int status = pci_enable(pci);

    wanted |= setup->pairs > 1 ? BIT(VIRTIO_NET_F_MQ) : 0;
    wanted |= setup->split == 0 ? BIT(VIRTIO_F_RING_PACKED) : 0;
    if (status == FERRY_OK) {
        status = virtio_pci_find(virtio, pci);
    }
    if (status == FERRY_OK) {
        status = virtio_pci_negotiate(virtio, wanted, needed);
    }
    if (status == FERRY_OK) {
        nic->features = virtio->features;
        nic->config_region = virtio->device_bar;
        nic->config_off = virtio->device_off;
        status = read_config(pci, nic);
    }
    return status;
}

static int switch_on(const struct pci_function *pci, const struct guest_ram *ram,
                     struct nic_driver *nic, const struct nic_setup *setup,
                     struct ferry_error *reterr)
{
    const uint8_t pairs[2] = { (uint8_t)nic->pairs, 0 };
    int status = setup->rings_only == 0 ? fill_receive(pci, ram, nic) : FERRY_OK;

    if (status == FERRY_OK && nic->pairs > 1) {
        status = nic_driver_ask(pci, ram, nic, setup, VIRTIO_NET_CTRL_MQ,
                                VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, sizeof(pairs));
    }
    guest_wrote(ram, nic, sizeof(*nic));
    return status == FERRY_OK ? FERRY_OK
                              : ferry_error_set(reterr, status, "nic", NULL, 0,
                                                "cannot switch %u queue pairs on: %s",
                                                nic->pairs, ferry_status_text(status));
}

int nic_driver_init(const struct pci_function *pci, const struct guest_ram *ram,
                    struct nic_driver *nic, const struct nic_setup *setup,
                    struct ferry_error *reterr)
{
    struct virtio_pci virtio;
    int status;

    memset(nic, 0, sizeof(*nic));
    if (!setup_fits(setup)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "nic", NULL, 0,
                               "%u pairs, %u buffers of %u bytes", setup->pairs,
                               setup->queue_size, setup->buffer_bytes);
    }
    nic->pairs = setup->pairs;
    nic->buffer_bytes = setup->buffer_bytes;
    nic->command_iova = setup->iova + make_plan(setup).command_off;
    status = find_and_negotiate(&virtio, pci, nic, setup);
    if (status < 0) {
        return ferry_error_set(reterr, status, "nic", NULL, 0,
                               "cannot start the virtio device: %s",
                               ferry_status_text(status));
    }
    if (nic->pairs > nic->pairs_most) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "nic", NULL, 0,
                               "%u queue pairs are wanted, the device has %u", nic->pairs,
                               nic->pairs_most);
    }
    status = setup_queues(&virtio, ram, nic, setup);
    guest_wrote(ram, nic, sizeof(*nic));
    if (status < 0) {
        return ferry_error_set(reterr, status, "nic", NULL, 0,
                               "cannot set the queues up: %s", ferry_status_text(status));
    }
    return switch_on(pci, ram, nic, setup, reterr);
}

static int queue_laid_out(const struct nic_driver_queue *queue,
                          const struct nic_setup *setup, uint32_t n)
{
    const struct plan plan = make_plan(setup);

    return queue->ring.size <= setup->queue_size && queue->ring.index == n &&
           (queue->ring.size & (queue->ring.size - 1)) == 0 &&
           virtqueue_check(&queue->ring,
                           setup->iova + plan.rings_off + n * plan.ring_bytes) &&
           queue->buffer_iova == setup->iova + plan.buffers_off + n * plan.buffers_bytes;
}

int nic_driver_check(const struct nic_driver *nic, const struct nic_setup *setup)
{
    int good = nic->pairs == setup->pairs && nic->buffer_bytes == setup->buffer_bytes &&
               nic->command_iova == setup->iova + make_plan(setup).command_off;

    if ((nic->features & BIT(VIRTIO_NET_F_CTRL_VQ)) != 0) {
        good = good && nic->control.size <= CONTROL_QUEUE_SIZE &&
               nic->control.size >= CONTROL_PIECES &&
               virtqueue_check(&nic->control, setup->iova);
    }
    for (uint32_t i = 0; i < setup->pairs && good; i++) {
        const struct nic_driver_pair *pair = &nic->pair[i];
        const uint16_t size = pair->transmit.ring.size;

        good = queue_laid_out(&pair->receive, setup, 2 * i) &&
               queue_laid_out(&pair->transmit, setup, 2 * i + 1) &&
               pair->spare_count <= size && pair->spare_first < size;
        for (uint16_t j = 0; j < size && good; j++) {
            good = pair->spare[j] < size;
        }
    }
    return good;
}
