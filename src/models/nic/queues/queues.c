/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/nic/queues/queues.h"

#include <stdlib.h>
#include <string.h>

#include "models/nic/queues/queues_private.h"

/* A slice ends after so many batches. */
#define SLICE_BATCHES 8u
/* With nobody to work for: batches that are put aside when the wire is ready. */
#define ASIDE_BATCHES 64u
/* A driver is interrupted for this part of a transmit ring at the latest. */
#define OWED_PART 4u

int nic_queue_empty(struct nic *nic, struct virtqueue *queue)
{
    if (queue->quiet == 0) {
        queue->kicked = 0;
        return FERRY_OK;
    }
    /* What came while the driver was asked not to notify is found now. */
    return virtqueue_set_quiet(queue, nic->device, 0);
}

/* The driver is there, and the device may reach its memory. */
static int can_work(const struct nic *nic)
{
    const uint32_t state = ferry_device_state(nic->device);

    return !nic->quiet && virtio_pci_alive(&nic->virtio) &&
           ferry_device_bus_master(nic->device) &&
           (state == FERRY_STATE_RUNNING || state == FERRY_STATE_PRE_COPY);
}

static void net_ready(void *user, uint32_t events);

/*
 * The wire is heard unless frames of it wait for the driver's buffers. He may have none
 * for as long as he likes: that there is room for what he sends is heard then, too.
 */
static void listen(struct nic *nic)
{
    struct nic_queues *queues = nic->queues;
    const uint32_t wait = can_work(nic) && nic_backlog_frames(nic->backlog) != 0;
    const uint32_t held = wait && queues->blocked && nic->net->ops->hold != NULL;
    const uint32_t wanted = nic->net->fd >= 0 && (!wait || held);

    if (held != queues->held) {
        queues->held = held;
        nic->net->ops->hold(nic->net, held);
    }

    if (wanted && !queues->watched) {
        queues->watched =
            ferry_device_watch(nic->device, nic->net->fd, FERRY_DEVICE_READABLE,
                               net_ready, nic) == FERRY_OK;
    } else if (!wanted && queues->watched) {
        ferry_device_unwatch(nic->device, nic->net->fd);
        queues->watched = 0;
    }
}

static void net_ready(void *user, uint32_t events)
{
    struct nic *nic = user;
    uint32_t batches = 0;

    (void)events;
    nic->queues->net_ready = 1;
    nic->queues->blocked = 0;
    if (can_work(nic)) {
        ferry_device_schedule(nic->device);
        return;
    }
    while (nic_receive_aside(nic) && ++batches < ASIDE_BATCHES) {
    }
}

int nic_queues_create(struct nic *nic)
{
    struct nic_queues *queues = calloc(1, sizeof(*queues));

    if (queues != NULL) {
        queues->slot = malloc((size_t)NIC_BATCH * NIC_SLOT_BYTES);
    }
    if (queues == NULL || queues->slot == NULL) {
        free(queues);
        return FERRY_E_MEMORY;
    }
    nic->queues = queues;
    nic_queues_reset(nic);
    if (nic->net->fd >= 0) {
        listen(nic);
        if (!queues->watched) {
            return FERRY_E_IO;
        }
    }
    return FERRY_OK;
}

void nic_queues_destroy(struct nic *nic)
{
    if (nic->queues != NULL) {
        free(nic->queues->slot);
        free(nic->queues);
        nic->queues = NULL;
    }
}

/* One batch of each pair. Return: 1: there is more; 0; negative. */
static int round_of_batches(struct nic *nic)
{
    /* Spec 5.1.6.5.6: of pairs that went out of use the driver waits for what he sent. */
    const uint32_t pairs = nic_has(nic, VIRTIO_NET_F_MQ) ? nic->config.pairs : 1;
    const uint32_t first = nic->queues->first_pair;
    int more = 0;

    for (uint32_t i = 0; i < pairs; i++) {
        const uint32_t pair = (first + i) % pairs;

        if (nic->virtio.queue[2 * pair + 1].kicked != 0 && !nic->queues->blocked) {
            const int status = nic_transmit(nic, pair);

            if (status < 0) {
                return status;
            }
            more |= status;
        }
    }
    nic->queues->first_pair = (first + 1) % pairs;
    nic->queues->net_ready |= nic->net->pending; /* of an echo, say */
    if (nic->queues->net_ready || nic_backlog_frames(nic->backlog) != 0) {
        const uint32_t blocked = nic->queues->blocked;
        const int status = nic_receive(nic);

        if (status < 0) {
            return status;
        }
        more |= status | (blocked && !nic->queues->blocked);
    }
    return more;
}

/*
 * Publishes a queue's completions. poll: the device looks at it again without being told.
 */
static int end_queue(struct nic *nic, struct virtqueue *queue, uint8_t poll)
{
    int status = virtqueue_flush(queue, nic->device);

    if (status == FERRY_OK && queue->quiet != poll) {
        status = virtqueue_set_quiet(queue, nic->device, poll);
    }
    return status;
}

/* The driver hears of frames that were sent when no more come, or many are. */
static void interrupt(struct nic *nic, uint32_t i)
{
    struct virtqueue *queue = &nic->virtio.queue[i];

    if (i % 2 != 0) {
        uint32_t *owed = &nic->queues->owed[i / 2];

        if (*owed < queue->size / OWED_PART && nic_transmit_lingers(nic, i / 2)) {
            return;
        }
        *owed = 0;
    }
    virtio_pci_interrupt(&nic->virtio, queue);
}

/*
 * Of a receive queue the device wants to hear only when frames wait for buffers; of the
 * others whenever they were found empty. Return: 1: look once more; 0; negative.
 */
static int end_slice(struct nic *nic)
{
    const uint32_t control = nic_control_queue(nic);
    int status = FERRY_OK;
    int again = 0;

    /* All of them, also when one fails: a device that wants a reset can still move. */
    for (uint32_t i = 0; i < nic->virtio.queue_count; i++) {
        struct virtqueue *queue = &nic->virtio.queue[i];
        uint8_t poll = queue->kicked;
        int ended;

        if (queue->enabled == 0) {
            continue;
        }
        if (i % 2 == 0 && i != control) {
            poll = nic_backlog_waiting(nic->backlog, i / 2) == 0;
            /* It may have been filled before the driver knows. */
            again |= !poll && queue->quiet != 0;
        }
        ended = end_queue(nic, queue, poll);
        status = status < 0 ? status : ended;
        interrupt(nic, i);
    }
    return status < 0 ? status : again;
}

int nic_queues_work(struct nic *nic)
{
    int more = 1;
    int status, ended, commands;

    if (!can_work(nic)) {
        return 0;
    }
    nic_offloads_tell(nic);
    nic_link_look(nic);
    nic_announce(nic); /* before frames go out: the switch learns where we are now */
    commands = nic_control_work(nic);
    status = commands;
    for (uint32_t i = 0; i < SLICE_BATCHES && more > 0 && status >= 0; i++) {
        status = round_of_batches(nic);
        more = status;
    }
    ended = end_slice(nic);
    if (status < 0 || ended < 0) {
        virtio_pci_needs_reset(&nic->virtio);
    }
    listen(nic);
    return (more > 0 || ended > 0 || commands > 0) && virtio_pci_alive(&nic->virtio);
}

void nic_queues_reset(struct nic *nic)
{
    struct nic_queues *queues = nic->queues;

    nic_filter_reset(nic);
    nic->pairs_used = 1;
    nic->offloads_off = 0;
    nic->status = nic->net->link_up ? VIRTIO_NET_S_LINK_UP : 0;
    nic_backlog_clear(nic->backlog);
    if (queues == NULL) {
        return;
    }
    queues->first_pair = 0;
    queues->announce_due = 0;
    queues->rarp_due = 0;
    queues->offloads = 0;
    memset(queues->steer, 0, sizeof(queues->steer));
    if (nic->net->ops->set_offloads != NULL) {
        nic->net->ops->set_offloads(nic->net, &(struct nic_offloads){ 0 });
    }
    listen(nic);
}

void nic_queues_quiet(struct nic *nic)
{
    /* Between two slices no request is in hand, and every used entry is published. */
    for (uint32_t i = 0; i < nic->virtio.queue_count; i++) {
        virtio_pci_interrupt(&nic->virtio, &nic->virtio.queue[i]);
    }
    nic->quiet = 1;
    listen(nic);
}

void nic_queues_resume(struct nic *nic)
{
    nic->quiet = 0;
    nic->queues->net_ready = 1;
    nic->queues->blocked = 0;
    virtio_pci_kick_all(&nic->virtio);
    ferry_device_schedule(nic->device);
}

void nic_queues_announce(struct nic *nic)
{
    nic->queues->announce_due = 1;
    nic->queues->rarp_due = 1;
}
