/* SPDX-License-Identifier: BSD-3-Clause */
#include <endian.h>
#include <string.h>
#include <time.h>

#include "models/nic/queues/queues_private.h"

#define LINGER_NS 50000u

static uint64_t now_ns(void)
{
    struct timespec now = { 0 };

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Borrows the memory of one segment of the chain; it may lie in several mappings. */
static int borrow(struct nic *nic, uint64_t iova, uint64_t size, struct nic_frame *frame)
{
    struct nic_batch *batch = &nic->queues->batch;

    while (size != 0) {
        struct ferry_dma_segment *lent = &batch->lent[batch->lent_count];
        int status;

        if (batch->lent_count == NIC_LENT_MAX ||
            frame->part_count == NIC_FRAME_PARTS_MAX) {
            return FERRY_E_UNSUPPORTED;
        }
        status = ferry_dma_get(nic->device, iova, size, 0, lent);
        if (status != FERRY_OK) {
            return status;
        }
        frame->part[frame->part_count++] =
            (struct iovec){ .iov_base = lent->address, .iov_len = (size_t)lent->size };
        batch->lent_count++;
        iova += lent->size;
        size -= lent->size;
    }
    return FERRY_OK;
}

static void give_back(struct nic *nic, uint32_t from)
{
    struct nic_batch *batch = &nic->queues->batch;

    for (uint32_t i = from; i < batch->lent_count; i++) {
        ferry_dma_put(nic->device, &batch->lent[i], 0);
    }
    batch->lent_count = from;
}

/* Memory that cannot be lent, or in too many pieces: a copy of it, header included. */
static int copy(struct nic *nic, uint32_t i, struct nic_frame *frame)
{
    const struct virtqueue_chain *chain = &nic->queues->chain;
    uint8_t *to = nic_slot(nic, i) - NIC_HEADER_BYTES;
    uint32_t done = 0;
    int status = FERRY_OK;

    for (uint32_t k = 0; k < chain->out_count && status == FERRY_OK; k++) {
        status = ferry_dma_read(nic->device, chain->segment[k].iova, to + done,
                                (size_t)chain->segment[k].size);
        done += (uint32_t)chain->segment[k].size;
    }
    frame->part[0] = (struct iovec){ .iov_base = to, .iov_len = done };
    frame->part_count = 1;
    return status;
}

/* Takes bytes off the start of a frame. */
static void skip(struct nic_frame *frame, uint32_t bytes)
{
    while (bytes != 0) {
        struct iovec *part = &frame->part[0];
        const uint32_t here = bytes < part->iov_len ? bytes : (uint32_t)part->iov_len;

        part->iov_base = (uint8_t *)part->iov_base + here;
        part->iov_len -= here;
        bytes -= here;
        if (part->iov_len == 0) {
            frame->part++;
            frame->part_count--;
        }
    }
}

/*
 * Copies the first bytes of a frame. Return: how many. Not inlined: where gcc knows the
 * room it copies by `rep movs`, which is slow for so few bytes.
 */
static __attribute__((noinline)) uint32_t peek(const struct nic_frame *frame, uint8_t *to,
                                               uint32_t room)
{
    uint32_t done = 0;

    for (uint32_t i = 0; i < frame->part_count && done < room; i++) {
        const size_t here =
            frame->part[i].iov_len < room - done ? frame->part[i].iov_len : room - done;

        memcpy(to + done, frame->part[i].iov_base, here);
        done += (uint32_t)here;
    }
    return done;
}

/* What becomes of a frame whose header says this. */
static enum nic_sent_kind judge(const struct nic *nic, const struct nic_frame *frame)
{
    const struct virtio_net_hdr_v1 *header = &frame->header;
    const struct nic_offloads *takes = &nic->net->takes;
    const uint32_t v6 = (header->gso_type & (uint32_t)~VIRTIO_NET_HDR_GSO_ECN) ==
                        VIRTIO_NET_HDR_GSO_TCPV6;
    uint32_t taken;

    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE &&
        (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0) {
        return NIC_SENT_WHOLE;
    }
    if (!nic_offload_valid(header, frame->bytes) || !nic_has(nic, VIRTIO_NET_F_CSUM)) {
        return NIC_SENT_DROP;
    }
    if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
        return takes->checksum ? NIC_SENT_WHOLE : NIC_SENT_SOFTWARE;
    }
    if (!nic_has(nic, v6 ? VIRTIO_NET_F_HOST_TSO6 : VIRTIO_NET_F_HOST_TSO4)) {
        return NIC_SENT_DROP;
    }
    taken = v6 ? takes->tso6 : takes->tso4;
    if ((header->gso_type & VIRTIO_NET_HDR_GSO_ECN) != 0) {
        taken = taken && takes->ecn;
    }
    return taken && takes->checksum ? NIC_SENT_WHOLE : NIC_SENT_SOFTWARE;
}

/* Makes the chain that was popped the batch's next frame. Return: FERRY_OK or negative.
 */
static int add(struct nic *nic, uint32_t pair)
{
    struct nic_batch *batch = &nic->queues->batch;
    const struct virtqueue_chain *chain = &nic->queues->chain;
    const uint32_t at = batch->count;
    const uint32_t lent = batch->lent_count;
    struct nic_sent *sent = &batch->sent[at];
    struct nic_frame *frame = &batch->frame[at];
    int status = FERRY_OK;

    *sent = (struct nic_sent){ chain->head, chain->slots, NIC_SENT_DROP };
    batch->count++;
    if (chain->out_bytes < NIC_HEADER_BYTES + NIC_FRAME_MIN ||
        chain->out_bytes > NIC_HEADER_BYTES + NIC_FRAME_MAX) {
        return FERRY_OK;
    }
    frame->part = batch->part[at];
    frame->part_count = 0;
    for (uint32_t i = 0; i < chain->out_count && status == FERRY_OK; i++) {
        status = borrow(nic, chain->segment[i].iova, chain->segment[i].size, frame);
    }
    if (status == FERRY_E_UNSUPPORTED) {
        give_back(nic, lent);
        status = copy(nic, at, frame);
    }
    if (status != FERRY_OK) {
        /* What came before it goes out; the device asks for a reset then. */
        give_back(nic, lent);
        batch->count--;
        virtqueue_unpop(&nic->virtio.queue[2 * pair + 1]);
        return status;
    }
    (void)peek(frame, (uint8_t *)&frame->header, NIC_HEADER_BYTES);
    skip(frame, NIC_HEADER_BYTES);
    frame->bytes = (uint32_t)chain->out_bytes - NIC_HEADER_BYTES;
    frame->header.flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
    frame->header.num_buffers = 0;
    sent->kind = judge(nic, frame);
    return FERRY_OK;
}

/*
 * Sends the segments of a frame that were not sent yet. frame: in one piece. Return: 1:
 * all are gone; 0: the wire is full; FERRY_E_PROTOCOL.
 */
static int send_segments(struct nic *nic, uint32_t pair, const struct nic_frame *frame)
{
    struct nic_queues *queues = nic->queues;
    struct nic_segments *cut = &queues->segments;
    uint8_t header[NIC_BATCH][NIC_SEGMENT_HEADER_MAX];
    struct nic_frame out[NIC_BATCH];
    struct iovec part[NIC_BATCH][2];
    /* What went out before the wire was full; a reset of the queue forgets it. */
    uint32_t *done = &nic->virtio.queue[2 * pair + 1].part_done;

    if (nic_segments_begin(cut, frame->part->iov_base, frame->bytes, &frame->header) !=
        FERRY_OK) {
        return FERRY_E_PROTOCOL;
    }
    while (*done < cut->count) {
        const uint32_t left = cut->count - *done;
        const uint32_t count = left < NIC_BATCH ? left : NIC_BATCH;
        int sent;

        memset(out, 0, count * sizeof(out[0]));
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *payload;
            const uint32_t bytes = nic_segments_get(cut, *done + i, header[i], &payload);

            part[i][0] = (struct iovec){ header[i], cut->header_bytes };
            /* The payload lies in the copy, which is ours. */
            part[i][1] =
                (struct iovec){ (uint8_t *)frame->part->iov_base + (payload - cut->frame),
                                bytes };
            out[i].part = part[i];
            out[i].part_count = 2;
            out[i].bytes = cut->header_bytes + bytes;
        }
        sent = nic->net->ops->send(nic->net, out, count);
        *done += sent > 0 ? (uint32_t)sent : 0;
        if (sent < (int)count) {
            return 0;
        }
    }
    *done = 0;
    return 1;
}

/* A frame that is to be worked on, in one piece of our own. */
static void own(struct nic *nic, uint32_t i)
{
    struct nic_batch *batch = &nic->queues->batch;
    struct nic_frame *frame = &batch->frame[i];
    uint8_t *bytes = nic_slot(nic, i);

    /* A copy made before is there already. */
    if (frame->part->iov_base != bytes) {
        (void)peek(frame, bytes, frame->bytes);
    }
    frame->part = batch->part[i];
    frame->part[0] = (struct iovec){ .iov_base = bytes, .iov_len = frame->bytes };
    frame->part_count = 1;
}

/*
 * Frames that lack no more than a checksum get it before the first is sent: the wire then
 * takes all of them in one call.
 */
static void sum_up(struct nic *nic)
{
    struct nic_batch *batch = &nic->queues->batch;

    for (uint32_t i = 0; i < batch->count; i++) {
        struct nic_frame *frame = &batch->frame[i];

        if (batch->sent[i].kind == NIC_SENT_SOFTWARE &&
            frame->header.gso_type == VIRTIO_NET_HDR_GSO_NONE) {
            own(nic, i);
            nic_offload_checksum(frame->part->iov_base, frame->bytes, &frame->header);
            memset(&frame->header, 0, sizeof(frame->header));
            batch->sent[i].kind = NIC_SENT_WHOLE;
        }
    }
}

/* Sends the whole frames from i on. Return: how many there were; *ret_sent: how many the
 * wire took. */
static uint32_t send_run(struct nic *nic, uint32_t i, uint32_t *ret_sent)
{
    const struct nic_batch *batch = &nic->queues->batch;
    uint32_t count = 1;
    int sent;

    while (i + count < batch->count && batch->sent[i + count].kind == NIC_SENT_WHOLE) {
        count++;
    }
    sent = nic->net->ops->send(nic->net, &batch->frame[i], count);
    *ret_sent = sent > 0 ? (uint32_t)sent : 0;
    return count;
}

/* Return: how many frames of the batch are over. */
static uint32_t send_batch(struct nic *nic, uint32_t pair)
{
    struct nic_batch *batch = &nic->queues->batch;
    uint32_t done = 0;

    sum_up(nic);
    while (done < batch->count && !nic->queues->blocked) {
        if (batch->sent[done].kind == NIC_SENT_WHOLE) {
            uint32_t sent;
            const uint32_t run = send_run(nic, done, &sent);

            nic->queues->blocked = sent < run;
            done += sent;
        } else if (batch->sent[done].kind == NIC_SENT_DROP) {
            done++;
        } else {
            int status;

            own(nic, done);
            status = send_segments(nic, pair, &batch->frame[done]);
            if (status < 0) {
                batch->sent[done].kind = NIC_SENT_DROP;
            }
            nic->queues->blocked = status == 0;
            done += status != 0;
        }
    }
    return done;
}

/* Completes what is over and puts the rest back. Return: FERRY_OK or negative. */
static int complete(struct nic *nic, uint32_t pair, uint32_t done)
{
    struct nic_batch *batch = &nic->queues->batch;
    struct virtqueue *queue = &nic->virtio.queue[2 * pair + 1];
    struct nic_counters *counters = &nic->transmit[pair];
    uint32_t slots = 0;
    int status = FERRY_OK;

    for (uint32_t i = done; i < batch->count; i++) {
        slots += batch->sent[i].slots;
    }
    virtqueue_unpop_many(queue, batch->count - done, slots);
    nic->queues->owed[pair] += done;
    for (uint32_t i = 0; i < done && status == FERRY_OK; i++) {
        const struct nic_frame *frame = &batch->frame[i];
        uint8_t start[NIC_PEEK_BYTES];

        if (batch->sent[i].kind == NIC_SENT_DROP) {
            counters->dropped++;
        } else {
            const uint32_t present = peek(frame, start, sizeof(start));

            counters->frames++;
            counters->bytes += frame->bytes;
            nic_flows_count(nic->flows, start, present, frame->bytes, 1);
            nic_steer_learn(nic, pair, start, present);
        }
        status = virtqueue_push_buffer(queue, nic->device, batch->sent[i].head,
                                       batch->sent[i].slots, 0);
    }
    give_back(nic, 0);
    return status;
}

int nic_transmit_lingers(const struct nic *nic, uint32_t pair)
{
    return nic->virtio.queue[2 * pair + 1].quiet != 0 && !nic->queues->blocked &&
           now_ns() - nic->queues->sent_ns[pair] < LINGER_NS;
}

int nic_transmit(struct nic *nic, uint32_t pair)
{
    struct nic_batch *batch = &nic->queues->batch;
    struct virtqueue *queue = &nic->virtio.queue[2 * pair + 1];
    int status = FERRY_OK;
    int failed;

    batch->count = 0;
    while (batch->count < NIC_BATCH && queue->kicked != 0 && status == FERRY_OK) {
        status = virtqueue_pop(queue, nic->device, &nic->queues->chain);
        if (status == 1) {
            status = add(nic, pair);
        } else if (status == 0) {
            if (batch->count != 0) {
                break; /* these first: more may have come when they are gone */
            }
            if (nic_transmit_lingers(nic, pair)) {
                return 1;
            }
            status = nic_queue_empty(nic, queue);
        }
    }
    if (batch->count != 0 && status >= 0) {
        nic->queues->sent_ns[pair] = now_ns();
        if (queue->quiet == 0) {
            status = virtqueue_set_quiet(queue, nic->device, 1);
        }
    }
    failed = complete(nic, pair, send_batch(nic, pair));
    status = status < 0 ? status : failed;
    return status < 0 ? status : queue->kicked != 0 && !nic->queues->blocked;
}
