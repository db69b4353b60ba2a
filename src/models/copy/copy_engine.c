/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_private.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "models/le.h"

/* Bytes of one slice of work, and of one channel's turn in it. */
#define SLICE_BYTES (256u << 10)
#define TURN_BYTES (64u << 10)
#define SMALL_BYTES 1024u /* what a small descriptor counts as */
#define BOUNCE_BYTES 4096u

static_assert(TURN_BYTES % 8 == 0, "a pattern starts anew with each turn");

void copy_channel_reset(struct copy_channel *channel)
{
    memset(channel, 0, sizeof(*channel));
    channel->vector = COPY_NO_VECTOR;
}

int copy_channel_valid(const struct copy_channel *channel)
{
    const uint64_t last = UINT64_MAX - 32ull * COPY_ENTRIES_MAX;

    return channel->entries >= COPY_ENTRIES_MIN && channel->entries <= COPY_ENTRIES_MAX &&
           (channel->entries & (channel->entries - 1)) == 0 && channel->ring % 32 == 0 &&
           channel->done_ring % 32 == 0 && channel->ring < last &&
           channel->done_ring < last;
}

static int outside(uint64_t off, uint64_t len, uint64_t limit)
{
    return off > limit || len > limit - off;
}

uint32_t copy_descriptor_check(const struct copy *copy,
                               const struct copy_descriptor *descriptor)
{
    const uint32_t known =
        COPY_OP_MASK | COPY_F_SRC_LOCAL | COPY_F_DST_LOCAL | COPY_F_NO_IRQ;
    const uint32_t op = descriptor->op & COPY_OP_MASK;
    const uint32_t src_local = descriptor->op & COPY_F_SRC_LOCAL;
    const uint32_t dst_local = descriptor->op & COPY_F_DST_LOCAL;
    const uint64_t len = descriptor->len;

    if ((descriptor->op & ~known) != 0 || (op != COPY_OP_COPY && op != COPY_OP_FILL) ||
        (op == COPY_OP_FILL && src_local != 0) || len == 0 || len > COPY_LEN_MAX) {
        return COPY_BAD_DESCRIPTOR;
    }
    if (dst_local != 0 && outside(descriptor->dst, len, copy->memory_bytes)) {
        return COPY_BAD_LOCAL;
    }
    if (dst_local == 0 && outside(descriptor->dst, len, UINT64_MAX)) {
        return COPY_FAULT_DST;
    }
    if (op == COPY_OP_FILL) {
        return COPY_DONE;
    }
    if (src_local != 0 && outside(descriptor->src, len, copy->memory_bytes)) {
        return COPY_BAD_LOCAL;
    }
    if (src_local == 0 && outside(descriptor->src, len, UINT64_MAX)) {
        return COPY_FAULT_SRC;
    }
    /* A half-done copy onto itself could not be carried: its source is gone. */
    if ((src_local != 0) == (dst_local != 0) && descriptor->src < descriptor->dst + len &&
        descriptor->dst < descriptor->src + len) {
        return COPY_OVERLAP;
    }
    return COPY_DONE;
}

static void stop_channel(struct copy_channel *channel, enum copy_channel_error error)
{
    channel->error = error;
    channel->interrupt = 1;
}

/* Takes the next descriptor. Return: 1 when one is in hand. */
static int take(struct copy *copy, struct copy_channel *channel)
{
    const uint64_t slot = channel->head & (channel->entries - 1);
    uint8_t raw[sizeof(struct copy_descriptor)];

    if (channel->busy != 0) {
        return 1;
    }
    if (channel->head == channel->tail) {
        return 0;
    }
    if (channel->tail - channel->head > channel->entries) {
        stop_channel(channel, COPY_ERROR_TAIL);
        return 0;
    }
    /* One copy: the guest may change the ring while the descriptor is being judged. */
    if (ferry_dma_read(copy->device, channel->ring + slot * sizeof(raw), raw,
                       sizeof(raw)) != FERRY_OK) {
        stop_channel(channel, COPY_ERROR_RING);
        return 0;
    }
    channel->current.op = le_get32(raw);
    channel->current.id = le_get32(raw + 4);
    channel->current.src = le_get64(raw + 8);
    channel->current.dst = le_get64(raw + 16);
    channel->current.len = le_get64(raw + 24);
    channel->progress = 0;
    channel->busy = 1;
    channel->head++;
    return 1;
}

/* Writes the completion of the descriptor in hand. */
static void complete(struct copy *copy, struct copy_channel *channel, uint32_t status)
{
    const uint64_t entry = channel->done_ring + (channel->done & (channel->entries - 1)) *
                                                    sizeof(struct copy_completion);
    uint8_t raw[sizeof(struct copy_completion)] = { 0 };

    le_put32(raw, channel->current.id);
    le_put32(raw + 4, status);
    le_put64(raw + 8, channel->progress);
    le_put64(raw + 24, (uint64_t)channel->done + 1);
    if (ferry_dma_write(copy->device, entry, raw, 24) != FERRY_OK) {
        stop_channel(channel, COPY_ERROR_DONE_RING);
        return;
    }
    /* Who sees the sequence must see data and completion: it goes last and alone. */
    atomic_thread_fence(memory_order_release);
    if (ferry_dma_write(copy->device, entry + 24, raw + 24, 8) != FERRY_OK) {
        stop_channel(channel, COPY_ERROR_DONE_RING);
        return;
    }
    channel->done++;
    channel->busy = 0;
    if ((channel->current.op & COPY_F_NO_IRQ) == 0) {
        channel->interrupt = 1;
    }
    memset(&channel->current, 0, sizeof(channel->current));
    channel->progress = 0;
}

/* Fills with a pattern that starts at a multiple of 8 bytes of progress. */
static uint32_t fill(struct copy *copy, const struct copy_channel *channel,
                     uint64_t bytes)
{
    const struct copy_descriptor *d = &channel->current;
    uint8_t pattern[BOUNCE_BYTES];
    uint64_t done = 0;

    for (size_t i = 0; i < sizeof(pattern); i += 8) {
        le_put64(pattern + i, d->src);
    }
    while (done < bytes) {
        const uint64_t to = d->dst + channel->progress + done;
        const uint64_t left = bytes - done;
        const size_t part = left < sizeof(pattern) ? (size_t)left : sizeof(pattern);

        if ((d->op & COPY_F_DST_LOCAL) != 0) {
            memcpy(copy->memory + to, pattern, part);
        } else if (ferry_dma_write(copy->device, to, pattern, part) != FERRY_OK) {
            return COPY_FAULT_DST;
        }
        done += part;
    }
    return COPY_DONE;
}

/* From the user's memory to the user's (or a peer's) memory. */
static uint32_t copy_across(struct copy *copy, uint64_t src, uint64_t dst, uint64_t bytes)
{
    uint8_t bounce[BOUNCE_BYTES];

    while (bytes != 0) {
        struct ferry_dma_segment from;
        uint64_t part = bytes;
        int status = ferry_dma_get(copy->device, src, bytes, 0, &from);

        if (status == FERRY_OK) {
            part = from.size < bytes ? from.size : bytes;
            status = ferry_dma_write(copy->device, dst, from.address, (size_t)part);
            ferry_dma_put(copy->device, &from, 0);
        } else if (status == FERRY_E_UNSUPPORTED) {
            part = bytes < sizeof(bounce) ? bytes : sizeof(bounce);
            if (ferry_dma_read(copy->device, src, bounce, (size_t)part) != FERRY_OK) {
                return COPY_FAULT_SRC;
            }
            status = ferry_dma_write(copy->device, dst, bounce, (size_t)part);
        } else {
            return COPY_FAULT_SRC;
        }
        if (status != FERRY_OK) {
            return COPY_FAULT_DST;
        }
        src += part;
        dst += part;
        bytes -= part;
    }
    return COPY_DONE;
}

/* Moves the next bytes of the descriptor in hand. Return: enum copy_status. */
static uint32_t move(struct copy *copy, const struct copy_channel *channel,
                     uint64_t bytes)
{
    const struct copy_descriptor *d = &channel->current;
    const uint64_t src = d->src + channel->progress;
    const uint64_t dst = d->dst + channel->progress;
    const int src_local = (d->op & COPY_F_SRC_LOCAL) != 0;
    const int dst_local = (d->op & COPY_F_DST_LOCAL) != 0;
    uint32_t status = COPY_DONE;

    if ((d->op & COPY_OP_MASK) == COPY_OP_FILL) {
        status = fill(copy, channel, bytes);
    } else if (src_local && dst_local) {
        memcpy(copy->memory + dst, copy->memory + src, (size_t)bytes);
    } else if (src_local) {
        if (ferry_dma_write(copy->device, dst, copy->memory + src, (size_t)bytes) !=
            FERRY_OK) {
            status = COPY_FAULT_DST;
        }
    } else if (dst_local) {
        if (ferry_dma_read(copy->device, src, copy->memory + dst, (size_t)bytes) !=
            FERRY_OK) {
            status = COPY_FAULT_SRC;
        }
    } else {
        status = copy_across(copy, src, dst, bytes);
    }
    if (dst_local) {
        copy_pages_mark(copy, dst, bytes); /* also after a fault: part of it is written */
    }
    return status;
}

/* One turn of a channel. Return: bytes that it counts for, 0 when it has nothing to do.
 */
static uint32_t serve(struct copy *copy, struct copy_channel *channel)
{
    uint32_t used = 0;

    if ((channel->control & COPY_CONTROL_ENABLE) == 0) {
        return 0;
    }
    while (used < TURN_BYTES && channel->error == COPY_ERROR_NONE &&
           take(copy, channel)) {
        uint32_t status = COPY_DONE;
        uint64_t part = 0;

        if (channel->progress == 0) {
            status = copy_descriptor_check(copy, &channel->current);
        }
        if (status == COPY_DONE) {
            part = channel->current.len - channel->progress;
            part = part < TURN_BYTES ? part : TURN_BYTES;
            status = move(copy, channel, part);
        }
        if (status == COPY_DONE) {
            channel->progress += part;
        }
        used += part > SMALL_BYTES ? (uint32_t)part : SMALL_BYTES;
        if (status != COPY_DONE || channel->progress == channel->current.len) {
            complete(copy, channel, status);
        }
    }
    return used;
}

int copy_engine_work(struct copy *copy)
{
    const uint32_t state = ferry_device_state(copy->device);
    uint32_t used = 0;
    uint32_t idle = 0;

    /* Without bus mastering descriptors stay in the ring until the next doorbell. */
    if ((state != FERRY_STATE_RUNNING && state != FERRY_STATE_PRE_COPY) ||
        !ferry_device_bus_master(copy->device)) {
        return 0;
    }
    while (used < SLICE_BYTES && idle < copy->channel_count) {
        const uint32_t part = serve(copy, &copy->channel[copy->next_channel]);

        copy->next_channel = (copy->next_channel + 1) % copy->channel_count;
        idle = part == 0 ? idle + 1 : 0;
        used += part;
    }
    for (uint32_t i = 0; i < copy->channel_count; i++) {
        struct copy_channel *channel = &copy->channel[i];

        if (channel->interrupt != 0) {
            channel->interrupt = 0;
            if (channel->vector != COPY_NO_VECTOR) {
                (void)ferry_irq_raise(copy->device, channel->vector);
            }
        }
    }
    return idle < copy->channel_count;
}
