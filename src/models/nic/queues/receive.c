/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>

#include "models/nic/queues/queues_private.h"

/* What became of a frame that was to be given to the driver. */
enum given {
    GIVEN = 1, /* or dropped: there is nothing more to do about it */
    NO_BUFFER = 0
};

/* Buffers that were gathered for a frame. */
struct gathered {
    uint32_t buffers, segments, slots;
    uint64_t bytes;
};

/*
 * Takes buffers until they hold `need` bytes. Return: 1; 0: there are not enough now;
 * negative: the ring is malformed.
 */
static int gather(struct nic *nic, struct virtqueue *queue, uint32_t need,
                  struct gathered *got)
{
    struct nic_queues *queues = nic->queues;
    const uint32_t most = nic_has(nic, VIRTIO_NET_F_MRG_RXBUF) ? VIRTQUEUE_BATCH : 1;

    while (got->bytes < need && got->buffers < most) {
        const struct virtqueue_chain *chain = &queues->chain;
        const struct virtqueue_segment *in;
        const int status = virtqueue_pop(queue, nic->device, &queues->chain);

        if (status != 1) {
            return status;
        }
        if (chain->in_bytes < (got->buffers == 0 ? NIC_HEADER_BYTES : 1) ||
            got->segments + chain->in_count > VIRTQUEUE_CHAIN_MAX) {
            virtqueue_unpop(queue);
            return FERRY_E_PROTOCOL;
        }
        in = &chain->segment[chain->out_count];
        memcpy(&queues->in[got->segments], in, chain->in_count * sizeof(*in));
        queues->buffer[got->buffers].head = chain->head;
        queues->buffer[got->buffers].slots = chain->slots;
        queues->buffer[got->buffers].bytes =
            chain->in_bytes < NIC_SLOT_BYTES ? (uint32_t)chain->in_bytes : NIC_SLOT_BYTES;
        got->segments += chain->in_count;
        got->slots += chain->slots;
        got->bytes += queues->buffer[got->buffers].bytes;
        got->buffers++;
    }
    return 1;
}

/* A place in the segments that were gathered. */
struct place {
    uint32_t segment;
    uint64_t off;
};

/* Writes to the driver's memory from a place on, which moves. */
static int put(struct nic *nic, struct place *place, const uint8_t *from, uint32_t bytes)
{
    int status = FERRY_OK;

    while (bytes != 0 && status == FERRY_OK) {
        const struct virtqueue_segment *in = &nic->queues->in[place->segment];
        const uint64_t left = in->size - place->off;
        const uint32_t here = left < bytes ? (uint32_t)left : bytes;

        status = ferry_dma_write(nic->device, in->iova + place->off, from, here);
        from += here;
        bytes -= here;
        place->off += here;
        if (place->off == in->size) {
            place->segment++;
            place->off = 0;
        }
    }
    return status;
}

/* Shows the driver the buffers that a frame fills, all at once. */
static int show(struct nic *nic, struct virtqueue *queue, const struct gathered *got,
                uint32_t need)
{
    int status = FERRY_OK;

    if (virtqueue_room(queue) < got->buffers) {
        status = virtqueue_flush(queue, nic->device);
    }
    for (uint32_t i = 0; i < got->buffers && status == FERRY_OK; i++) {
        const uint32_t room = nic->queues->buffer[i].bytes;
        const uint32_t filled = need < room ? need : room;

        status = virtqueue_push_buffer(queue, nic->device, nic->queues->buffer[i].head,
                                       nic->queues->buffer[i].slots, filled);
        need -= filled;
    }
    return status;
}

/* Return: enum given, or negative: the device needs a reset. */
static int give(struct nic *nic, uint32_t pair, const struct nic_frame *frame)
{
    struct virtqueue *queue = &nic->virtio.queue[2 * pair];
    struct nic_counters *counters = &nic->receive[pair];
    const uint8_t *bytes = frame->part->iov_base;
    const uint32_t need = NIC_HEADER_BYTES + frame->bytes;
    struct virtio_net_hdr_v1 header = frame->header;
    struct gathered got = { 0 };
    struct place place = { 0 };
    int status;

    if (queue->enabled == 0) {
        counters->dropped++;
        return GIVEN;
    }
    status = gather(nic, queue, need, &got);
    if (status != 1 || got.bytes < need) {
        virtqueue_unpop_many(queue, got.buffers, got.slots);
        if (status == 1 || (status == 0 && got.slots >= queue->size)) {
            counters->dropped++; /* these buffers will never hold it */
            return GIVEN;
        }
        return status;
    }
    header.num_buffers = htole16((uint16_t)got.buffers);
    status = put(nic, &place, (const uint8_t *)&header, NIC_HEADER_BYTES);
    if (status == FERRY_OK) {
        status = put(nic, &place, bytes, frame->bytes);
    }
    if (status != FERRY_OK) {
        virtqueue_unpop_many(queue, got.buffers, got.slots);
        return status;
    }
    status = show(nic, queue, &got, need);
    counters->frames++;
    counters->bytes += frame->bytes;
    nic_flows_count(nic->flows, bytes,
                    frame->bytes < NIC_PEEK_BYTES ? frame->bytes : NIC_PEEK_BYTES,
                    frame->bytes, 0);
    return status == FERRY_OK ? GIVEN : status;
}

/* Gives a frame to the driver, behind those that wait; else it waits as well. */
static int give_or_keep(struct nic *nic, uint32_t pair, const struct nic_frame *frame)
{
    int status = NO_BUFFER;

    if (!nic->queues->aside && nic_backlog_waiting(nic->backlog, pair) == 0) {
        status = give(nic, pair, frame);
    }
    if (status == NO_BUFFER) {
        (void)nic_backlog_put(nic->backlog, pair, frame);
    }
    return status < 0 ? status : FERRY_OK;
}

/* Cuts a frame that the driver does not take whole. */
static int give_segments(struct nic *nic, uint32_t pair, const struct nic_frame *frame)
{
    struct nic_segments *cut = &nic->queues->segments;
    uint8_t bytes[NIC_SEGMENT_HEADER_MAX + NIC_MTU_MAX];
    struct iovec part = { .iov_base = bytes };
    struct nic_frame piece = { .part = &part, .part_count = 1 };
    int status =
        nic_segments_begin(cut, frame->part->iov_base, frame->bytes, &frame->header);

    if (status != FERRY_OK) {
        nic->receive[pair].dropped++;
        return FERRY_OK;
    }
    for (uint32_t i = 0; i < cut->count && status == FERRY_OK; i++) {
        const uint8_t *payload;
        const uint32_t count = nic_segments_get(cut, i, bytes, &payload);

        memcpy(bytes + cut->header_bytes, payload, count);
        piece.bytes = cut->header_bytes + count;
        part.iov_len = piece.bytes;
        status = give_or_keep(nic, pair, &piece);
    }
    return status;
}

/* Does the driver take a frame with this much left to do? */
static int driver_takes(const struct nic *nic, const struct virtio_net_hdr_v1 *header)
{
    const uint64_t now = nic_offloads_now(nic);
    const uint32_t kind = header->gso_type & (uint32_t)~VIRTIO_NET_HDR_GSO_ECN;

    if (kind == VIRTIO_NET_HDR_GSO_NONE) {
        return 1;
    }
    if ((header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0 &&
        (now >> VIRTIO_NET_F_GUEST_ECN & 1) == 0) {
        return 0;
    }
    return (now >> (kind == VIRTIO_NET_HDR_GSO_TCPV6 ? VIRTIO_NET_F_GUEST_TSO6
                                                     : VIRTIO_NET_F_GUEST_TSO4) &
            1) != 0;
}

/* A frame from the wire, in one piece that is ours to change. */
static int arrived(struct nic *nic, struct nic_frame *frame)
{
    uint8_t *bytes = frame->part->iov_base;
    const uint32_t present =
        frame->bytes < NIC_PEEK_BYTES ? frame->bytes : NIC_PEEK_BYTES;
    struct virtio_net_hdr_v1 *header = &frame->header;
    uint32_t pair;

    if (frame->bytes < NIC_FRAME_MIN || frame->bytes > NIC_FRAME_MAX ||
        !nic_offload_valid(header, frame->bytes)) {
        nic->receive[0].dropped++;
        return FERRY_OK;
    }
    pair = nic_steer(nic, bytes, present);
    if (!nic_filter_wants(nic, bytes, present)) {
        nic->receive[pair].filtered++;
        return FERRY_OK;
    }
    if (!driver_takes(nic, header)) {
        return give_segments(nic, pair, frame);
    }
    if ((nic_offloads_now(nic) >> VIRTIO_NET_F_GUEST_CSUM & 1) == 0) {
        if ((header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) != 0) {
            nic_offload_checksum(bytes, frame->bytes, header);
        }
        memset(header, 0, sizeof(*header));
    }
    header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
    return give_or_keep(nic, pair, frame);
}

/* What waits for this pair, as far as there are buffers. */
static int give_waiting(struct nic *nic, uint32_t pair)
{
    struct nic_frame frame;
    int status = GIVEN;

    while (status == GIVEN && nic_backlog_peek(nic->backlog, pair, &frame)) {
        status = give(nic, pair, &frame);
        if (status == GIVEN) {
            nic_backlog_drop(nic->backlog, pair);
        }
    }
    return status < 0 ? status : FERRY_OK;
}

/* Reads a batch into the slots. Return: how many came. */
static uint32_t read_wire(struct nic *nic, struct nic_frame *frame, struct iovec *part)
{
    const uint32_t kept = nic->config.backlog_frames;
    /* No more than can be kept if there are no buffers; with no backlog they are lost. */
    const uint32_t most = kept != 0 && kept < NIC_BATCH ? kept : NIC_BATCH;
    int came;

    for (uint32_t i = 0; i < most; i++) {
        part[i] =
            (struct iovec){ .iov_base = nic_slot(nic, i), .iov_len = NIC_FRAME_MAX };
        frame[i].part = &part[i];
        frame[i].part_count = 1;
        frame[i].bytes = NIC_FRAME_MAX;
        memset(&frame[i].header, 0, NIC_HEADER_BYTES);
    }
    came = nic->net->ops->receive(nic->net, frame, most);
    if (came < (int)most && !nic->net->pending) {
        nic->queues->net_ready = 0;
    }
    /* The wire says no more when it has room: who waits for that asks again. */
    nic->queues->blocked = 0;
    return came > 0 ? (uint32_t)came : 0;
}

int nic_receive(struct nic *nic)
{
    struct nic_frame frame[NIC_BATCH];
    struct iovec part[NIC_BATCH];
    int status = FERRY_OK;
    uint32_t came;

    for (uint32_t pair = 0; pair < nic->config.pairs && status == FERRY_OK; pair++) {
        status = give_waiting(nic, pair);
    }
    /* While frames wait for buffers the wire is left alone: whoever sends notices. */
    if (status != FERRY_OK || !nic->queues->net_ready ||
        nic_backlog_frames(nic->backlog) != 0) {
        return status;
    }
    came = read_wire(nic, frame, part);
    for (uint32_t i = 0; i < came && status == FERRY_OK; i++) {
        status = arrived(nic, &frame[i]);
    }
    return status < 0 ? status
                      : nic->queues->net_ready && nic_backlog_frames(nic->backlog) == 0;
}

int nic_receive_aside(struct nic *nic)
{
    struct nic_frame frame[NIC_BATCH];
    struct iovec part[NIC_BATCH];
    const uint32_t came = read_wire(nic, frame, part);
    const uint32_t state = ferry_device_state(nic->device);
    const int stopped =
        nic->quiet || (state != FERRY_STATE_RUNNING && state != FERRY_STATE_PRE_COPY);

    nic->queues->aside = 1;
    for (uint32_t i = 0; i < came; i++) {
        if (nic->frozen) {
            /* The backlog is sealed: counted as lost, and nothing else may change. */
            (void)nic_backlog_put(nic->backlog, 0, &frame[i]);
        } else if (stopped && virtio_pci_alive(&nic->virtio)) {
            (void)arrived(nic, &frame[i]);
        } else {
            nic->receive[0].dropped++;
        }
    }
    nic->queues->aside = 0;
    return nic->queues->net_ready != 0;
}
