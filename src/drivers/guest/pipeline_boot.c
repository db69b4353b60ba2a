/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "drivers/guest/pipeline.h"

#define COPY_STAGES 2

/* Where things lie, as offsets from the memory's start; each begins on a page. */
struct plan {
    uint64_t lane_off, slot_off, acc_off, copy_off[COPY_STAGES];
    uint64_t stream_off, buffer_off, end;
    uint32_t copy_entries;
};

static uint64_t whole_pages(uint64_t bytes)
{
    return (bytes + FERRY_PAGE_BYTES - 1) / FERRY_PAGE_BYTES * FERRY_PAGE_BYTES;
}

static struct plan make_plan(uint32_t lanes, uint32_t slots, uint32_t block_bytes,
                             int has_stream)
{
    struct plan plan = { .copy_entries = 2 };

    while (plan.copy_entries < slots) {
        plan.copy_entries *= 2;
    }
    plan.lane_off = whole_pages(sizeof(struct guest_header));
    plan.slot_off = plan.lane_off + whole_pages(lanes * sizeof(struct guest_lane));
    plan.acc_off = plan.slot_off + whole_pages(slots * sizeof(struct guest_slot));
    plan.copy_off[0] = plan.acc_off + acc_guest_need(lanes);
    plan.copy_off[1] = plan.copy_off[0] + copy_driver_need(plan.copy_entries);
    plan.stream_off = plan.copy_off[1] + copy_driver_need(plan.copy_entries);
    plan.buffer_off = plan.stream_off + (has_stream ? stream_need() : 0);
    plan.end = plan.buffer_off + (uint64_t)slots * GUEST_BUFFERS * block_bytes;
    return plan;
}

uint64_t pipeline_need(uint32_t lanes, uint32_t slots_per_lane, uint32_t block_bytes)
{
    return make_plan(lanes, lanes * slots_per_lane, block_bytes, 0).end;
}

static int check_choices(const struct pipeline *pipeline,
                         const struct pipeline_boot *boot, struct ferry_error *reterr)
{
    uint64_t slots = (uint64_t)boot->lanes * boot->slots_per_lane;
    uint64_t need;

    if (boot->lanes == 0 || boot->lanes > PIPELINE_LANES_MAX || slots == 0 ||
        slots > PIPELINE_SLOTS_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "guest", NULL, 0,
                               "%u lanes with %u requests each: at most %u lanes and %u "
                               "requests",
                               boot->lanes, boot->slots_per_lane, PIPELINE_LANES_MAX,
                               PIPELINE_SLOTS_MAX);
    }
    if (boot->block_bytes < PIPELINE_BLOCK_MIN ||
        boot->block_bytes > PIPELINE_BLOCK_MAX ||
        boot->block_bytes % FERRY_PAGE_BYTES != 0) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "guest", NULL, 0,
                               "a block of %u bytes: whole pages, %u to %u bytes",
                               boot->block_bytes, PIPELINE_BLOCK_MIN, PIPELINE_BLOCK_MAX);
    }
    need = make_plan(boot->lanes, (uint32_t)slots, boot->block_bytes,
                     pipeline->stream != NULL)
               .end;
    if (need > pipeline->ram.size) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "guest", NULL, 0,
                               "the guest needs %llu KiB of memory, there are %llu",
                               (unsigned long long)need >> 10,
                               (unsigned long long)pipeline->ram.size >> 10);
    }
    if (slots * boot->block_bytes > boot->peer_bytes) {
        return ferry_error_set(
            reterr, FERRY_E_LIMIT, "guest", NULL, 0,
            "%llu KiB of copy1's memory are needed, %llu are mapped for "
            "copy0",
            (unsigned long long)(slots * boot->block_bytes) >> 10,
            (unsigned long long)boot->peer_bytes >> 10);
    }
    return FERRY_OK;
}

static void lay_out(struct pipeline *pipeline, const struct pipeline_boot *boot,
                    const struct plan *plan)
{
    struct guest_header *header = pipeline->header;
    uint64_t input = pipeline->storage->input_bytes;
    struct guest_lane *lane;
    struct guest_slot *slot;

    memset(pipeline->ram.address, 0, plan->buffer_off);
    header->lanes = boot->lanes;
    header->slots = boot->lanes * boot->slots_per_lane;
    header->block_bytes = boot->block_bytes;
    header->input_bytes = input;
    header->lane_bytes = storage_lane_bytes(input, boot->lanes);
    header->lane_iova = pipeline->ram.iova + plan->lane_off;
    header->slot_iova = pipeline->ram.iova + plan->slot_off;
    header->buffer_iova = pipeline->ram.iova + plan->buffer_off;
    header->peer_iova = boot->peer_iova;
    memcpy(header->key, boot->key, ACC_KEY_BYTES);
    if (pipeline->stream != NULL) {
        header->stream_iova = pipeline->ram.iova + plan->stream_off;
        stream_place(pipeline->stream, header->stream_iova);
    }
    lane = guest_at(&pipeline->ram, header->lane_iova, header->lanes * sizeof(*lane));
    slot = guest_at(&pipeline->ram, header->slot_iova, header->slots * sizeof(*slot));
    for (uint32_t i = 0; i < header->lanes; i++) {
        storage_iv(0, i, lane[i].iv);
    }
    for (uint32_t i = 0; i < header->slots; i++) {
        slot[i].stage = GUEST_FREE;
        slot[i].lane = i % header->lanes;
    }
    guest_wrote(&pipeline->ram, pipeline->ram.address, plan->buffer_off);
}

int pipeline_boot(struct pipeline *pipeline, const struct pipeline_boot *boot,
                  struct ferry_error *reterr)
{
    struct plan plan = make_plan(boot->lanes, boot->lanes * boot->slots_per_lane,
                                 boot->block_bytes, pipeline->stream != NULL);
    struct guest_header *header = pipeline->header;
    struct acc_setup acc = {
        .key = boot->key,
        .iova = pipeline->ram.iova + plan.acc_off,
        .lanes = boot->lanes,
        .control_eventfd = boot->control_eventfd,
        .timeout_ms = boot->timeout_ms,
    };
    int status = check_choices(pipeline, boot, reterr);

    if (status < 0) {
        return status;
    }
    lay_out(pipeline, boot, &plan);
    status = acc_guest_init(&pipeline->pci[GUEST_ACC], &pipeline->ram, &header->acc, &acc,
                            reterr);
    for (uint32_t i = 0; i < COPY_STAGES && status == FERRY_OK; i++) {
        uint64_t local = (uint64_t)header->slots * header->block_bytes;

        status = copy_driver_init(&pipeline->pci[GUEST_COPY_OUT + i], &pipeline->ram,
                                  &header->copy[i], pipeline->ram.iova + plan.copy_off[i],
                                  plan.copy_entries, i == 1 ? local : 0, reterr);
    }
    if (status == FERRY_OK && pipeline->stream != NULL) {
        status = stream_boot(pipeline->stream, reterr);
    }
    if (status < 0) {
        return status;
    }
    pipeline->kick = 0;
    header->phase = GUEST_WORKING;
    header->magic = GUEST_MAGIC;
    guest_wrote(&pipeline->ram, header, sizeof(*header));
    return FERRY_OK;
}

static int same_rings(const struct pipeline *pipeline, const struct plan *plan)
{
    const struct guest_header *header = pipeline->header;
    uint64_t base = pipeline->ram.iova;
    struct acc_setup acc = { .iova = base + plan->acc_off, .lanes = header->lanes };
    int same = acc_guest_check(&header->acc, &acc);

    for (uint32_t i = 0; i < COPY_STAGES; i++) {
        same = same &&
               copy_driver_check(&header->copy[i], base + plan->copy_off[i],
                                 plan->copy_entries, header->busy[GUEST_COPY_OUT + i]);
    }
    return same;
}

/* Are lanes and slots within their limits, and do the counts of busy slots hold? */
static int same_slots(const struct pipeline *pipeline)
{
    const struct guest_header *header = pipeline->header;
    const struct guest_lane *lane =
        guest_at(&pipeline->ram, header->lane_iova, header->lanes * sizeof(*lane));
    const struct guest_slot *slot =
        guest_at(&pipeline->ram, header->slot_iova, header->slots * sizeof(*slot));
    uint32_t busy[GUEST_STAGES + 1] = { 0 };

    for (uint32_t i = 0; i < header->slots; i++) {
        if (slot[i].stage > GUEST_FREE || slot[i].lane != i % header->lanes ||
            slot[i].bytes > header->block_bytes ||
            (slot[i].stage != GUEST_FREE && slot[i].bytes < ACC_IV_BYTES)) {
            return 0;
        }
        busy[slot[i].stage]++;
    }
    for (uint32_t i = 0; i < header->lanes; i++) {
        uint32_t mine = lane[i].encrypting;

        if (mine > header->slots || (mine > 0 && (slot[mine - 1].lane != i ||
                                                  slot[mine - 1].stage != GUEST_ACC))) {
            return 0;
        }
    }
    return memcmp(busy, header->busy, sizeof(header->busy)) == 0;
}

static int same_stream(const struct pipeline *pipeline, const struct plan *plan)
{
    const uint64_t iova = pipeline->ram.iova + plan->stream_off;

    if (pipeline->stream == NULL) {
        return pipeline->header->stream_iova == 0;
    }
    if (pipeline->header->stream_iova != iova) {
        return 0;
    }
    stream_place(pipeline->stream, iova);
    return stream_check(pipeline->stream);
}

static int laid_out_here(const struct pipeline *pipeline)
{
    const struct guest_header *header = pipeline->header;
    uint64_t base = pipeline->ram.iova;
    struct plan plan;

    if (header->lanes == 0 || header->lanes > PIPELINE_LANES_MAX ||
        header->slots < header->lanes || header->slots > PIPELINE_SLOTS_MAX ||
        header->slots % header->lanes != 0 || header->block_bytes < PIPELINE_BLOCK_MIN ||
        header->block_bytes > PIPELINE_BLOCK_MAX || header->next_lane >= header->lanes) {
        return 0;
    }
    plan = make_plan(header->lanes, header->slots, header->block_bytes,
                     pipeline->stream != NULL);
    return plan.end <= pipeline->ram.size && header->lane_iova == base + plan.lane_off &&
           header->slot_iova == base + plan.slot_off &&
           header->buffer_iova == base + plan.buffer_off && same_rings(pipeline, &plan) &&
           same_slots(pipeline) && same_stream(pipeline, &plan);
}

int pipeline_check(const struct pipeline *pipeline, struct ferry_error *reterr)
{
    const struct guest_header *header = pipeline->header;

    if (header->magic != GUEST_MAGIC) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "guest", NULL, 0,
                               "there is no guest in the memory");
    }
    if (!laid_out_here(pipeline)) {
        return ferry_error_set(reterr, FERRY_E_CORRUPT, "guest", NULL, 0,
                               "what arrived in the memory is no guest of this program");
    }
    if (header->input_bytes != pipeline->storage->input_bytes) {
        return ferry_error_set(
            reterr, FERRY_E_INCOMPATIBLE, "guest", NULL, 0,
            "the guest works on an input of %llu bytes, the file here has "
            "%llu: give both hosts the same file",
            (unsigned long long)header->input_bytes,
            (unsigned long long)pipeline->storage->input_bytes);
    }
    return FERRY_OK;
}
