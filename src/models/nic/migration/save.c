/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "models/le.h"
#include "models/nic/migration/migration_private.h"

/*
 * Increments begin so far apart while the reader does not ask how much there is: one who
 * reads until there is nothing comes to an end, whatever the traffic.
 */
#define REST_NS 500000u
/* Bytes that one call gives at most, so that other messages are served between. */
#define CALL_BYTES (1u << 20)
/* What a page costs at most: it may stand alone. */
#define PAGE_COST (NIC_RECORD_BYTES + NIC_FLOWS_BYTES + NIC_FLOWS_PAGE)
#define END_COST (NIC_RECORD_BYTES + NIC_END_BYTES)

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int nic_save_begin(struct nic_migration *migration, int precopy)
{
    struct nic_save *save = &migration->save;

    nic_save_end(migration);
    save->hash = XXH3_createState();
    if (save->hash == NULL || nic_buffers_init(&save->buffers) != FERRY_OK) {
        nic_save_end(migration);
        return FERRY_E_MEMORY;
    }
    (void)XXH3_64bits_reset(save->hash);
    save->tag = NIC_TAG_MATCH;
    save->image_open = 1;
    save->initial = 1;
    nic_flows_track(migration->nic->flows);
    if (precopy) {
        ferry_device_schedule(migration->nic->device);
        return FERRY_OK;
    }
    return nic_save_freeze(migration);
}

int nic_save_freeze(struct nic_migration *migration)
{
    struct nic_save *save = &migration->save;
    const uint64_t bytes = nic_backlog_image_bytes(migration->nic->backlog);

    save->backlog = malloc((size_t)bytes);
    if (save->backlog == NULL) {
        return FERRY_E_MEMORY;
    }
    nic_backlog_image_write(migration->nic->backlog, save->backlog);
    save->backlog_bytes = bytes;
    nic_flows_image(migration->nic->flows);
    save->image_open = 1;
    save->final = 1;
    return FERRY_OK;
}

void nic_save_end(struct nic_migration *migration)
{
    struct nic_save *save = &migration->save;

    nic_flows_track_end(migration->nic->flows);
    nic_buffers_end(&save->buffers);
    (void)XXH3_freeState(save->hash);
    free(save->backlog);
    memset(save, 0, sizeof(*save));
}

/* --- the hardware: it writes an image --- */

static void emit(struct nic_save *save, struct nic_chunk *chunk, const void *data,
                 size_t count)
{
    nic_dma_private(chunk, data, count);
    (void)XXH3_64bits_update(save->hash, data, count);
    save->bytes += count;
}

static uint32_t room(const struct nic_chunk *chunk)
{
    return NIC_CHUNK_BYTES - chunk->filled;
}

/* The rest of a payload, as far as it fits. */
static void write_more(struct nic_save *save, struct nic_chunk *chunk)
{
    const uint64_t left = save->more_bytes;
    const size_t part = left < room(chunk) ? (size_t)left : room(chunk);

    emit(save, chunk, save->more, part);
    save->more += part;
    save->more_bytes -= part;
}

/* A run of pages that fits as a whole: nothing changes in the middle of an entry. */
static void write_flows(struct nic_migration *migration, struct nic_chunk *chunk)
{
    struct nic_flows *flows = migration->nic->flows;
    const uint32_t fits =
        (room(chunk) - NIC_RECORD_BYTES - NIC_FLOWS_BYTES) / NIC_FLOWS_PAGE;
    uint8_t head[NIC_RECORD_BYTES + NIC_FLOWS_BYTES] = { 0 };
    uint64_t page = 0;
    const uint32_t count =
        nic_flows_take(flows, fits < NIC_FLOWS_RUN ? fits : NIC_FLOWS_RUN, &page);

    nic_record_put(head, NIC_TAG_FLOWS,
                   NIC_FLOWS_BYTES + (uint64_t)count * NIC_FLOWS_PAGE);
    le_put64(head + NIC_RECORD_BYTES, page);
    le_put32(head + NIC_RECORD_BYTES + 8, count);
    emit(&migration->save, chunk, head, sizeof(head));
    emit(&migration->save, chunk, nic_flows_page(flows, page),
         (size_t)count * NIC_FLOWS_PAGE);
}

static void write_end(struct nic_save *save, struct nic_chunk *chunk)
{
    uint8_t record[END_COST];

    nic_record_put(record, NIC_TAG_END, NIC_END_BYTES);
    le_put64(record + NIC_RECORD_BYTES, save->bytes);
    (void)XXH3_64bits_update(save->hash, record, END_COST - 8);
    le_put64(record + END_COST - 8, XXH3_64bits_digest(save->hash));
    nic_dma_private(chunk, record, sizeof(record));
}

static void write_fixed(struct nic_migration *migration, struct nic_chunk *chunk)
{
    struct nic_save *save = &migration->save;
    const uint32_t bytes = nic_image_bytes(migration->nic, save->tag);
    uint8_t record[NIC_RECORD_BYTES + NIC_SMALL_MAX];

    nic_record_put(record, save->tag, bytes);
    nic_image_write(migration->nic, save->tag, record + NIC_RECORD_BYTES);
    emit(save, chunk, record, NIC_RECORD_BYTES + bytes);
}

/* The next record of the image, or its first part. Return: 1; 0: the image ends here. */
static int write_record(struct nic_migration *migration, struct nic_chunk *chunk)
{
    struct nic_save *save = &migration->save;
    uint8_t head[NIC_RECORD_BYTES];

    switch (save->tag) {
    case NIC_TAG_FLOWS:
        if (nic_flows_left(migration->nic->flows) != 0) {
            write_flows(migration, chunk);
            return 1;
        }
        if (save->final == 0) {
            return 0;
        }
        break;
    case NIC_TAG_BACKLOG:
        nic_record_put(head, NIC_TAG_BACKLOG, save->backlog_bytes);
        emit(save, chunk, head, sizeof(head));
        save->more = save->backlog;
        save->more_bytes = save->backlog_bytes;
        break;
    case NIC_TAG_END:
        write_end(save, chunk);
        break;
    case NIC_TAGS:
        return 0;
    default:
        write_fixed(migration, chunk);
        break;
    }
    save->tag++;
    return 1;
}

int nic_save_hardware(struct nic_migration *migration)
{
    struct nic_save *save = &migration->save;
    struct nic_chunk *chunk =
        save->image_open != 0 ? nic_buffers_free(&save->buffers) : NULL;

    if (chunk == NULL) {
        return 0;
    }
    while (save->image_open != 0 && room(chunk) >= NIC_RECORD_BYTES + PAGE_COST) {
        if (save->more_bytes != 0) {
            write_more(save, chunk);
        } else {
            save->image_open = (uint32_t)write_record(migration, chunk);
        }
    }
    chunk->ready = chunk->filled != 0;
    return save->image_open != 0 && nic_buffers_free(&save->buffers) != NULL;
}

/* --- the driver: it reads the buffers --- */

/* What waits was all read: may another increment begin? */
static void next_image(struct nic_migration *migration)
{
    struct nic_save *save = &migration->save;
    struct nic_flows *flows = migration->nic->flows;
    uint64_t now;

    if (save->final != 0 || save->image_open != 0 || nic_flows_changed(flows) == 0) {
        return;
    }
    now = now_ns();
    if (save->promised != 0 || now - save->begun_ns >= REST_NS) {
        nic_flows_image(flows);
        save->image_open = 1;
        save->promised = 0;
        save->begun_ns = now;
    }
}

int nic_migration_save(struct nic_migration *migration, void *ret_data, size_t cap)
{
    struct nic_save *save = &migration->save;
    uint8_t *out = ret_data;
    size_t done = 0;

    if (save->hash == NULL) {
        return FERRY_E_STATE;
    }
    cap = cap < CALL_BYTES ? cap : CALL_BYTES;
    while (done < cap) {
        const uint8_t *from = NULL;
        const size_t part = nic_buffers_peek(&save->buffers, cap - done, &from);

        if (part != 0) {
            memcpy(out + done, from, part);
            nic_buffers_drop(&save->buffers, part);
            done += part;
            continue;
        }
        if (save->image_open == 0) {
            save->initial = 0;
            next_image(migration);
        }
        (void)nic_save_hardware(migration);
        if (nic_buffers_waiting(&save->buffers) == 0) {
            break;
        }
    }
    if (save->image_open == 0 && nic_buffers_waiting(&save->buffers) == 0) {
        save->initial = 0;
    } else if (save->final == 0) {
        ferry_device_schedule(migration->nic->device); /* a buffer may be free */
    }
    return done != 0 ? (int)done : save->final ? 0 : FERRY_E_DRY;
}

/* Records of a fixed length from `tag` on, below `end`. */
static uint64_t fixed_cost(const struct nic *nic, uint32_t tag, uint32_t end)
{
    uint64_t bytes = 0;

    for (; tag < end; tag++) {
        if (tag != NIC_TAG_FLOWS) {
            bytes += NIC_RECORD_BYTES + nic_image_bytes(nic, tag);
        }
    }
    return bytes;
}

int nic_migration_precopy_info(struct nic_migration *migration,
                               struct ferry_device_precopy *ret_info)
{
    struct nic_save *save = &migration->save;
    const struct nic *nic = migration->nic;
    const uint64_t waiting = nic_buffers_waiting(&save->buffers) +
                             fixed_cost(nic, save->tag, NIC_TAG_FLOWS) +
                             nic_flows_left(nic->flows) * PAGE_COST;

    ret_info->initial_bytes = save->initial != 0 ? waiting : 0;
    ret_info->dirty_bytes =
        nic_flows_changed(nic->flows) * PAGE_COST + (save->initial != 0 ? 0 : waiting);
    save->promised = ret_info->dirty_bytes != 0;
    return FERRY_OK;
}

int nic_migration_data_size(struct nic_migration *migration, uint64_t *ret_bytes)
{
    const struct nic_save *save = &migration->save;
    const struct nic *nic = migration->nic;
    const uint32_t tag = save->hash != NULL ? save->tag : NIC_TAG_MATCH;
    uint64_t pages = nic_flows_used(nic->flows);
    uint64_t bytes = nic_buffers_waiting(&save->buffers) + save->more_bytes;

    if (save->hash != NULL) {
        pages = nic_flows_left(nic->flows) + nic_flows_changed(nic->flows);
    }
    bytes += fixed_cost(nic, tag, NIC_TAG_BACKLOG) + pages * PAGE_COST;
    if (tag <= NIC_TAG_BACKLOG) {
        bytes +=
            NIC_RECORD_BYTES + (save->final != 0 ? save->backlog_bytes
                                                 : nic_backlog_image_bytes(nic->backlog));
    }
    if (tag <= NIC_TAG_END) {
        bytes += END_COST;
    }
    *ret_bytes = bytes != 0 ? bytes : 1;
    return FERRY_OK;
}
