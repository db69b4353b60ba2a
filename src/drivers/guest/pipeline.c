/* SPDX-License-Identifier: BSD-3-Clause */
#include "drivers/guest/pipeline.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "models/copy/copy_regs.h"

#define BUFFER_PLAIN 0u
#define BUFFER_CIPHER 1u
#define BUFFER_BACK 2u
/* A copy job's id: slot in the low half, the slot's generation in the high half. */
#define ID_SLOT_BITS 16u

static const char *const stage_name[GUEST_STAGES] = { "acc", "copy0", "copy1" };

static struct guest_lane *lane_at(const struct pipeline *pipeline, uint32_t lane)
{
    uint64_t iova = pipeline->header->lane_iova + lane * sizeof(struct guest_lane);

    return guest_at(&pipeline->ram, iova, sizeof(struct guest_lane));
}

static struct guest_slot *slot_at(const struct pipeline *pipeline, uint32_t slot)
{
    uint64_t iova = pipeline->header->slot_iova + slot * sizeof(struct guest_slot);

    return guest_at(&pipeline->ram, iova, sizeof(struct guest_slot));
}

static uint64_t buffer_iova(const struct pipeline *pipeline, uint32_t slot,
                            uint32_t which)
{
    const struct guest_header *header = pipeline->header;

    return header->buffer_iova +
           ((uint64_t)slot * GUEST_BUFFERS + which) * header->block_bytes;
}

static uint8_t *buffer_at(const struct pipeline *pipeline, uint32_t slot, uint32_t which)
{
    return guest_at(&pipeline->ram, buffer_iova(pipeline, slot, which),
                    pipeline->header->block_bytes);
}

static void lane_cut(const struct pipeline *pipeline, uint32_t lane,
                     struct storage_lane *ret_cut)
{
    storage_lane(pipeline->header->input_bytes, pipeline->header->lanes, lane, ret_cut);
}

static uint32_t lane_blocks(const struct pipeline *pipeline,
                            const struct storage_lane *cut)
{
    uint64_t block = pipeline->header->block_bytes;

    return (uint32_t)((cut->result_bytes + block - 1) / block);
}

/* Everything that a step may have changed in header, lanes and slots. */
static void wrote_state(struct pipeline *pipeline)
{
    const struct guest_header *header = pipeline->header;

    guest_wrote(&pipeline->ram, header, sizeof(*header));
    guest_wrote(&pipeline->ram, lane_at(pipeline, 0),
                header->lanes * sizeof(struct guest_lane));
    guest_wrote(&pipeline->ram, slot_at(pipeline, 0),
                header->slots * sizeof(struct guest_slot));
}

void pipeline_fail(struct pipeline *pipeline, const char *format, ...)
{
    struct guest_header *header = pipeline->header;
    va_list list;

    if (header->phase == GUEST_FAILED) {
        return;
    }
    header->phase = GUEST_FAILED;
    va_start(list, format);
    vsnprintf(header->error, sizeof(header->error), format, list);
    va_end(list);
    guest_wrote(&pipeline->ram, header, sizeof(*header));
}

static void hand_over(struct pipeline *pipeline, struct guest_slot *slot,
                      enum guest_stage stage)
{
    struct guest_header *header = pipeline->header;

    if (slot->stage < GUEST_STAGES) {
        header->completed[slot->stage]++;
        header->busy[slot->stage]--;
    }
    slot->stage = stage;
    if (stage < GUEST_STAGES) {
        header->submitted[stage]++;
        header->busy[stage]++;
        pipeline->kick |= 1u << stage;
    }
}

static void submit_copy(struct pipeline *pipeline, uint32_t index, enum guest_stage stage)
{
    struct guest_header *header = pipeline->header;
    struct guest_slot *slot = slot_at(pipeline, index);
    uint64_t local = (uint64_t)index * header->block_bytes;
    struct copy_job job = { .bytes = slot->bytes };

    slot->generation++;
    job.id = slot->generation << ID_SLOT_BITS | index;
    if (stage == GUEST_COPY_OUT) {
        job.from = buffer_iova(pipeline, index, BUFFER_CIPHER);
        job.to = header->peer_iova + local;
    } else {
        job.flags = COPY_F_SRC_LOCAL;
        job.from = local;
        job.to = buffer_iova(pipeline, index, BUFFER_BACK);
    }
    copy_driver_submit(&pipeline->ram, &header->copy[stage - GUEST_COPY_OUT], &job);
    hand_over(pipeline, slot, stage);
}

/* copy1 has brought the ciphertext back: out to the result file. */
static void write_result(struct pipeline *pipeline, uint32_t index)
{
    struct guest_header *header = pipeline->header;
    struct guest_slot *slot = slot_at(pipeline, index);
    struct storage_lane cut;
    uint64_t off;

    lane_cut(pipeline, slot->lane, &cut);
    off = cut.result_off + (uint64_t)slot->block * header->block_bytes;
    if (storage_write(pipeline->storage, slot->pass, off,
                      buffer_at(pipeline, index, BUFFER_BACK), slot->bytes) < 0) {
        pipeline_fail(pipeline, "cannot write the result of pass %u: is the disk full?",
                      slot->pass);
        return;
    }
    lane_at(pipeline, slot->lane)->written++;
    header->requests++;
    header->bytes += slot->bytes;
    hand_over(pipeline, slot, GUEST_FREE);
}

static void take_acc(struct pipeline *pipeline)
{
    struct guest_header *header = pipeline->header;
    uint32_t index = 0;
    uint8_t status = 0;
    int taken;

    while ((taken = acc_guest_take(&pipeline->ram, &header->acc, &index, &status)) == 1) {
        struct guest_lane *lane = lane_at(pipeline, index);
        uint32_t slot;

        if (lane->encrypting == 0) {
            header->twice++;
            pipeline_fail(pipeline, "acc completed a request of lane %u twice", index);
            return;
        }
        if (status != VIRTIO_CRYPTO_OK) {
            pipeline_fail(pipeline, "acc: request %llu of lane %u ended with status %u",
                          (unsigned long long)lane->sequence, index, status);
            return;
        }
        slot = lane->encrypting - 1;
        lane->encrypting = 0;
        memcpy(lane->iv,
               buffer_at(pipeline, slot, BUFFER_CIPHER) + slot_at(pipeline, slot)->bytes -
                   ACC_IV_BYTES,
               ACC_IV_BYTES);
        if (lane->block == 0) {
            storage_iv(lane->pass, index, lane->iv);
        }
        submit_copy(pipeline, slot, GUEST_COPY_OUT);
    }
    if (taken < 0) {
        pipeline_fail(pipeline, "acc completed a descriptor that no request has");
    }
}

static void take_copy(struct pipeline *pipeline, enum guest_stage stage)
{
    struct guest_header *header = pipeline->header;
    struct copy_driver *copy = &header->copy[stage - GUEST_COPY_OUT];
    struct copy_result result;

    while (header->phase != GUEST_FAILED &&
           copy_driver_take(&pipeline->ram, copy, &result) == 1) {
        uint32_t index = result.id & ((1u << ID_SLOT_BITS) - 1);
        uint32_t generation = result.id >> ID_SLOT_BITS;
        const struct guest_slot *slot;

        slot = index < header->slots ? slot_at(pipeline, index) : NULL;
        if (slot == NULL || slot->stage != stage ||
            (slot->generation & 0xffffu) != generation) {
            header->twice++;
            pipeline_fail(pipeline, "%s completed job 0x%x, which is not under way",
                          stage_name[stage], result.id);
            return;
        }
        if (result.status != COPY_DONE || result.bytes != slot->bytes) {
            pipeline_fail(pipeline,
                          "%s: job 0x%x ended with status %u after %llu of %u bytes",
                          stage_name[stage], result.id, result.status,
                          (unsigned long long)result.bytes, slot->bytes);
            return;
        }
        if (stage == GUEST_COPY_OUT) {
            submit_copy(pipeline, index, GUEST_COPY_BACK);
        } else {
            write_result(pipeline, index);
        }
    }
}

void pipeline_interrupt(struct pipeline *pipeline, enum guest_stage stage)
{
    struct guest_header *header = pipeline->header;

    if (header->phase != GUEST_WORKING && header->phase != GUEST_FINISHING) {
        return;
    }
    header->interrupts[stage]++;
    if (stage == GUEST_ACC) {
        take_acc(pipeline);
    } else {
        take_copy(pipeline, stage);
    }
}

/* Plain text of one request into the slot's buffer, padded at the lane's end. */
static int read_block(struct pipeline *pipeline, uint32_t index,
                      const struct storage_lane *cut)
{
    const struct guest_slot *slot = slot_at(pipeline, index);
    uint64_t off = (uint64_t)slot->block * pipeline->header->block_bytes;
    uint64_t plain = off < cut->bytes ? cut->bytes - off : 0;
    uint8_t *buffer = buffer_at(pipeline, index, BUFFER_PLAIN);
    int status;

    plain = plain < slot->bytes ? plain : slot->bytes;
    status = storage_read(pipeline->storage, cut->off + off, buffer, plain);
    memset(buffer + plain, (int)(cut->result_bytes - cut->bytes), slot->bytes - plain);
    guest_wrote(&pipeline->ram, buffer, slot->bytes);
    return status;
}

/* Return: bytes begun, 0 when the read failed. */
static uint64_t begin(struct pipeline *pipeline, uint32_t lane_index, uint32_t index)
{
    struct guest_header *header = pipeline->header;
    struct guest_lane *lane = lane_at(pipeline, lane_index);
    struct guest_slot *slot = slot_at(pipeline, index);
    struct storage_lane cut;
    uint64_t left;

    lane_cut(pipeline, lane_index, &cut);
    left = cut.result_bytes - (uint64_t)lane->block * header->block_bytes;
    slot->sequence = lane->sequence++;
    slot->pass = lane->pass;
    slot->block = lane->block;
    slot->bytes = (uint32_t)(left < header->block_bytes ? left : header->block_bytes);
    if (read_block(pipeline, index, &cut) < 0) {
        pipeline_fail(pipeline, "cannot read the input: has the file become shorter?");
        return 0;
    }
    acc_guest_encrypt(&pipeline->ram, &header->acc, lane_index, lane->iv,
                      buffer_iova(pipeline, index, BUFFER_PLAIN),
                      buffer_iova(pipeline, index, BUFFER_CIPHER), slot->bytes);
    lane->encrypting = index + 1;
    lane->block++;
    if (lane->block == lane_blocks(pipeline, &cut)) {
        lane->block = 0;
        lane->pass++;
    }
    hand_over(pipeline, slot, GUEST_ACC);
    return slot->bytes;
}

static void ring_doorbells(struct pipeline *pipeline)
{
    const struct guest_header *header = pipeline->header;

    for (uint32_t stage = 0; stage < GUEST_STAGES; stage++) {
        const struct pci_function *pci = &pipeline->pci[stage];
        int status;

        if ((pipeline->kick & 1u << stage) == 0) {
            continue;
        }
        status = stage == GUEST_ACC
                     ? acc_guest_kick(pci, &header->acc)
                     : copy_driver_kick(pci, &header->copy[stage - GUEST_COPY_OUT]);
        if (status < 0) {
            pipeline_fail(pipeline, "%s takes no doorbell: %s", stage_name[stage],
                          ferry_status_text(status));
        }
    }
    pipeline->kick = 0;
}

uint64_t pipeline_feed(struct pipeline *pipeline, uint64_t budget_bytes)
{
    struct guest_header *header = pipeline->header;
    uint32_t per_lane = header->slots / header->lanes;
    uint64_t begun = 0;

    for (uint32_t n = 0; n < header->lanes && begun < budget_bytes; n++) {
        /* With a short budget no lane shall starve. */
        uint32_t i = header->next_lane;
        const struct guest_lane *lane = lane_at(pipeline, i);

        header->next_lane = (i + 1) % header->lanes;
        if (header->phase == GUEST_FAILED || header->phase == GUEST_DONE) {
            break;
        }
        if (lane->encrypting != 0 ||
            (header->phase == GUEST_FINISHING && lane->pass > header->final_pass)) {
            continue;
        }
        for (uint32_t j = 0; j < per_lane; j++) {
            if (slot_at(pipeline, i + j * header->lanes)->stage == GUEST_FREE) {
                begun += begin(pipeline, i, i + j * header->lanes);
                break;
            }
        }
    }
    ring_doorbells(pipeline);
    if (header->phase == GUEST_FINISHING && pipeline_in_flight(pipeline) == 0 &&
        (pipeline->stream == NULL || stream_idle(pipeline->stream)) &&
        pipeline_passes(pipeline) > header->final_pass) {
        header->phase = GUEST_DONE;
    }
    wrote_state(pipeline);
    return begun;
}

static int has_stream(const struct pipeline *pipeline)
{
    return pipeline->stream != NULL && (pipeline->header->phase == GUEST_WORKING ||
                                        pipeline->header->phase == GUEST_FINISHING);
}

static void stream_done(struct pipeline *pipeline, int status)
{
    if (status < 0) {
        pipeline_fail(pipeline, "%s", pipeline->stream->error);
    }
}

void pipeline_stream_received(struct pipeline *pipeline, uint64_t now_ns)
{
    if (has_stream(pipeline)) {
        stream_done(pipeline, stream_received(pipeline->stream, now_ns));
    }
}

void pipeline_stream_changed(struct pipeline *pipeline)
{
    if (has_stream(pipeline)) {
        stream_done(pipeline, stream_changed(pipeline->stream));
    }
}

void pipeline_stream_feed(struct pipeline *pipeline, uint64_t now_ns)
{
    if (has_stream(pipeline)) {
        const int ends = pipeline->header->phase == GUEST_FINISHING;

        stream_done(pipeline, stream_feed(pipeline->stream, now_ns, !ends));
    }
}

void pipeline_finish(struct pipeline *pipeline)
{
    struct guest_header *header = pipeline->header;

    if (header->phase != GUEST_WORKING) {
        return;
    }
    for (uint32_t i = 0; i < header->lanes; i++) {
        const struct guest_lane *lane = lane_at(pipeline, i);
        /* A lane at block 0 has not begun that pass yet. */
        uint32_t begun = lane->block > 0 || lane->pass == 0 ? lane->pass : lane->pass - 1;

        header->final_pass = begun > header->final_pass ? begun : header->final_pass;
    }
    header->phase = GUEST_FINISHING;
    wrote_state(pipeline);
}

uint32_t pipeline_in_flight(const struct pipeline *pipeline)
{
    const uint32_t *busy = pipeline->header->busy;

    return busy[GUEST_ACC] + busy[GUEST_COPY_OUT] + busy[GUEST_COPY_BACK];
}

uint32_t pipeline_passes(const struct pipeline *pipeline)
{
    uint32_t passes = UINT32_MAX;

    for (uint32_t i = 0; i < pipeline->header->lanes; i++) {
        struct storage_lane cut;
        uint64_t whole;

        lane_cut(pipeline, i, &cut);
        whole = lane_at(pipeline, i)->written / lane_blocks(pipeline, &cut);
        passes = whole < passes ? (uint32_t)whole : passes;
    }
    return passes;
}

void pipeline_note_stop(struct pipeline *pipeline)
{
    struct guest_header *header = pipeline->header;
    struct guest_stop stop = { .in_flight = { 0 } };
    uint32_t ready = virtqueue_ready(&pipeline->ram, &header->acc.data);

    ready += copy_driver_ready(&pipeline->ram, &header->copy[0]);
    ready += copy_driver_ready(&pipeline->ram, &header->copy[1]);
    memcpy(stop.in_flight, header->busy, sizeof(stop.in_flight));
    stop.unfinished = pipeline_in_flight(pipeline) - ready;
    if (header->stop_count < GUEST_STOPS_MAX) {
        header->stop[header->stop_count] = stop;
    }
    header->stop_count++;
    guest_wrote(&pipeline->ram, header, sizeof(*header));
}

void pipeline_stalled(struct pipeline *pipeline, uint64_t waited_ms)
{
    struct guest_header *header = pipeline->header;
    uint32_t ready[GUEST_STAGES] = {
        virtqueue_ready(&pipeline->ram, &header->acc.data),
        copy_driver_ready(&pipeline->ram, &header->copy[0]),
        copy_driver_ready(&pipeline->ram, &header->copy[1]),
    };

    for (uint32_t stage = 0; stage < GUEST_STAGES; stage++) {
        if (ready[stage] > 0) {
            header->irq_lost++;
            pipeline_fail(pipeline,
                          "%s: interrupt lost: a completion lies there for %llu ms",
                          stage_name[stage], (unsigned long long)waited_ms);
        }
    }
    pipeline_fail(pipeline,
                  "no completion for %llu ms; in flight: acc %u, copy0 %u, copy1 %u",
                  (unsigned long long)waited_ms, header->busy[GUEST_ACC],
                  header->busy[GUEST_COPY_OUT], header->busy[GUEST_COPY_BACK]);
}
