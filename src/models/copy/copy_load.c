/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_private.h"

#include <stdlib.h>
#include <string.h>

#include "models/le.h"

enum copy_load_phase {
    LOAD_NONE = 0,
    LOAD_HEADER,
    LOAD_PAYLOAD, /* a short payload, into the buffer */
    LOAD_PAGES,   /* a long one, straight into the device memory */
    LOAD_DONE
};

int copy_load_begin(struct copy *copy)
{
    struct copy_load *load = &copy->load;

    copy_load_end(copy);
    load->hash = XXH3_createState();
    load->touched = calloc((copy->page_count + 63) / 64, sizeof(*load->touched));
    if (load->hash == NULL || load->touched == NULL) {
        copy_load_end(copy);
        return FERRY_E_MEMORY;
    }
    (void)XXH3_64bits_reset(load->hash);
    load->phase = LOAD_HEADER;
    load->need = COPY_RECORD_BYTES;
    return FERRY_OK;
}

void copy_load_end(struct copy *copy)
{
    struct copy_load *load = &copy->load;

    (void)XXH3_freeState(load->hash);
    free(load->touched);
    memset(load, 0, sizeof(*load));
}

static void expect(struct copy_load *load, enum copy_load_phase phase, uint32_t need)
{
    load->phase = phase;
    load->need = need;
    load->have = 0;
}

/* 1 when a page record names pages of this device, in a place where it may come. */
static int pages_valid(const struct copy *copy)
{
    const struct copy_load *load = &copy->load;
    const struct copy_record *record = &load->record;
    const uint32_t most = record->type == COPY_REC_DATA ? COPY_RUN_DATA : COPY_RUN_OTHER;

    if (record->count == 0 || record->count > most || record->value >= copy->page_count ||
        record->count > copy->page_count - record->value) {
        return 0;
    }
    if (load->final == 0) {
        return record->type != COPY_REC_EQUAL;
    }
    return record->value == load->final_page;
}

static void clear_pages(struct copy *copy, uint64_t first, uint32_t count)
{
    struct copy_load *load = &copy->load;

    for (uint64_t page = first; page < first + count; page++) {
        const uint64_t bit = 1ull << page % 64;

        /* Untouched pages are zero and stay untouched: they need no memory. */
        if ((load->touched[page / 64] & bit) != 0) {
            load->touched[page / 64] &= ~bit;
            memset(copy->memory + page * COPY_PAGE_BYTES, 0, COPY_PAGE_BYTES);
        }
    }
}

static int page_record(struct copy *copy)
{
    struct copy_load *load = &copy->load;
    const struct copy_record *record = &load->record;

    if (!pages_valid(copy)) {
        return FERRY_E_CORRUPT;
    }
    load->final_page = record->value + record->count;
    if (record->type != COPY_REC_DATA) {
        if (record->type == COPY_REC_ZERO) {
            clear_pages(copy, record->value, record->count);
        }
        expect(load, LOAD_HEADER, COPY_RECORD_BYTES);
        return FERRY_OK;
    }
    for (uint64_t page = record->value; page < load->final_page; page++) {
        load->touched[page / 64] |= 1ull << page % 64;
    }
    load->page_off = record->value * COPY_PAGE_BYTES;
    load->page_left = (uint64_t)record->count * COPY_PAGE_BYTES;
    load->phase = LOAD_PAGES;
    return FERRY_OK;
}

static int final_record(struct copy *copy)
{
    struct copy_load *load = &copy->load;

    if (load->final != 0 || load->record.count != 0 || load->record.value != 0) {
        return FERRY_E_CORRUPT;
    }
    load->final = 1;
    load->final_page = 0;
    expect(load, LOAD_HEADER, COPY_RECORD_BYTES);
    return FERRY_OK;
}

/* A whole header is there: what follows it? */
static int take_header(struct copy *copy)
{
    struct copy_load *load = &copy->load;
    struct copy_record *record = &load->record;
    const int first = load->bytes == COPY_RECORD_BYTES;

    record->type = le_get32(load->buffer);
    record->count = le_get32(load->buffer + 4);
    record->value = le_get64(load->buffer + 8);
    if (first != (record->type == COPY_REC_MATCH)) {
        return first ? FERRY_E_FOREIGN : FERRY_E_CORRUPT;
    }
    switch (record->type) {
    case COPY_REC_MATCH:
        if (record->value != COPY_MATCH_MAGIC || record->count != COPY_MATCH_BYTES) {
            return FERRY_E_FOREIGN;
        }
        break;
    case COPY_REC_DATA:
    case COPY_REC_ZERO:
    case COPY_REC_EQUAL:
        return page_record(copy);
    case COPY_REC_FINAL:
        return final_record(copy);
    case COPY_REC_STATE:
        if (load->final != 1 || load->final_page != copy->page_count ||
            record->value != copy->channel_count ||
            record->count != copy->channel_count * COPY_CHANNEL_BYTES) {
            return FERRY_E_CORRUPT;
        }
        break;
    case COPY_REC_END:
        if (load->final != 2 || record->count != COPY_END_BYTES ||
            record->value != load->bytes - COPY_RECORD_BYTES) {
            return FERRY_E_CORRUPT;
        }
        break;
    default:
        return FERRY_E_CORRUPT;
    }
    expect(load, LOAD_PAYLOAD, record->count);
    return FERRY_OK;
}

static int take_match(const struct copy *copy)
{
    const uint8_t *payload = copy->load.buffer;
    uint8_t whole[COPY_RECORD_BYTES + COPY_MATCH_BYTES];

    le_put32(whole, copy->load.record.type);
    le_put32(whole + 4, copy->load.record.count);
    le_put64(whole + 8, copy->load.record.value);
    memcpy(whole + COPY_RECORD_BYTES, payload, COPY_MATCH_BYTES);
    if (le_get64(payload + 24) != XXH3_64bits(whole, COPY_RECORD_BYTES + 24)) {
        return FERRY_E_CORRUPT;
    }
    if (le_get32(payload) != COPY_STREAM_VERSION) {
        return FERRY_E_VERSION;
    }
    if (le_get32(payload + 4) != COPY_PAGE_BYTES ||
        le_get64(payload + 8) != copy->memory_bytes ||
        le_get32(payload + 16) != copy->channel_count ||
        le_get32(payload + 20) > COPY_ENTRIES_MAX) {
        return FERRY_E_INCOMPATIBLE;
    }
    return FERRY_OK;
}

/* 1 when a channel can have come to this state by itself. */
static int channel_state_valid(const struct copy *copy,
                               const struct copy_channel *channel)
{
    const struct copy_descriptor *d = &channel->current;

    if (channel->control > COPY_CONTROL_ENABLE || channel->busy > 1 ||
        channel->error > COPY_ERROR_TAIL ||
        (channel->vector >= copy->channel_count && channel->vector != COPY_NO_VECTOR)) {
        return 0;
    }
    if (channel->control == 0) {
        return channel->busy == 0 && channel->error == COPY_ERROR_NONE &&
               channel->head == 0 && channel->tail == 0 && channel->done == 0;
    }
    if (!copy_channel_valid(channel) || channel->head - channel->done != channel->busy) {
        return 0;
    }
    if (channel->busy == 0) {
        return channel->progress == 0;
    }
    /* In hand: half done, or complete but for a completion that could not be written. */
    if (channel->error != COPY_ERROR_NONE) {
        return channel->error == COPY_ERROR_DONE_RING && channel->progress <= d->len;
    }
    return channel->progress < d->len && channel->progress % 8 == 0 &&
           copy_descriptor_check(copy, d) == COPY_DONE;
}

static int take_state(struct copy *copy)
{
    struct copy_load *load = &copy->load;
    const uint8_t *at = load->buffer;

    for (uint32_t i = 0; i < copy->channel_count; i++, at += COPY_CHANNEL_BYTES) {
        struct copy_channel *channel = &load->channel[i];

        memset(channel, 0, sizeof(*channel));
        channel->ring = le_get64(at);
        channel->done_ring = le_get64(at + 8);
        channel->entries = le_get32(at + 16);
        channel->control = le_get32(at + 20);
        channel->vector = le_get32(at + 24);
        channel->error = le_get32(at + 28);
        channel->head = le_get32(at + 32);
        channel->tail = le_get32(at + 36);
        channel->done = le_get32(at + 40);
        channel->busy = le_get32(at + 44);
        channel->current.op = le_get32(at + 48);
        channel->current.id = le_get32(at + 52);
        channel->current.src = le_get64(at + 56);
        channel->current.dst = le_get64(at + 64);
        channel->current.len = le_get64(at + 72);
        channel->progress = le_get64(at + 80);
        if (!channel_state_valid(copy, channel)) {
            return FERRY_E_CORRUPT;
        }
    }
    load->final = 2; /* only the end may follow */
    return FERRY_OK;
}

static int take_payload(struct copy *copy)
{
    struct copy_load *load = &copy->load;
    int status = FERRY_OK;

    if (load->record.type == COPY_REC_END) {
        load->phase = LOAD_DONE;
        return le_get64(load->buffer) == XXH3_64bits_digest(load->hash) ? FERRY_OK
                                                                        : FERRY_E_CORRUPT;
    }
    status = load->record.type == COPY_REC_MATCH ? take_match(copy) : take_state(copy);
    expect(load, LOAD_HEADER, COPY_RECORD_BYTES);
    return status;
}

/* Takes bytes into the buffer, then judges them. Return: bytes used, or negative. */
static int64_t take_small(struct copy *copy, const uint8_t *from, size_t count)
{
    struct copy_load *load = &copy->load;
    const uint32_t left = load->need - load->have;
    const size_t part = count < left ? count : left;
    int status = FERRY_OK;

    if (from != load->buffer + load->have) { /* else it was put there at once */
        memcpy(load->buffer + load->have, from, part);
    }
    load->have += (uint32_t)part;
    load->bytes += part;
    if (load->phase != LOAD_PAYLOAD || load->record.type != COPY_REC_END) {
        (void)XXH3_64bits_update(load->hash, from, part);
    }
    if (load->have == load->need) {
        status = load->phase == LOAD_HEADER ? take_header(copy) : take_payload(copy);
    }
    return status == FERRY_OK ? (int64_t)part : status;
}

static size_t take_pages(struct copy *copy, const uint8_t *from, size_t count)
{
    struct copy_load *load = &copy->load;
    const size_t part = count < load->page_left ? count : (size_t)load->page_left;

    if (from != copy->memory + load->page_off) {
        memcpy(copy->memory + load->page_off, from, part);
    }
    (void)XXH3_64bits_update(load->hash, from, part);
    load->bytes += part;
    load->page_off += part;
    load->page_left -= part;
    if (load->page_left == 0) {
        expect(load, LOAD_HEADER, COPY_RECORD_BYTES);
    }
    return part;
}

int copy_load_write(struct copy *copy, const void *data, size_t count)
{
    struct copy_load *load = &copy->load;
    const uint8_t *from = data;

    if (load->phase == LOAD_NONE) {
        return FERRY_E_STATE;
    }
    while (count != 0 && load->status == FERRY_OK) {
        int64_t used;

        if (load->phase == LOAD_DONE) {
            load->status = FERRY_E_LONG;
            break;
        }
        used = load->phase == LOAD_PAGES ? (int64_t)take_pages(copy, from, count)
                                         : take_small(copy, from, count);
        if (used < 0) {
            load->status = (int32_t)used;
            break;
        }
        from += used;
        count -= (size_t)used;
    }
    return load->status;
}

size_t copy_load_place(struct copy *copy, size_t most, uint8_t **ret_place)
{
    struct copy_load *load = &copy->load;
    uint64_t room = 0;

    if (load->status != FERRY_OK) {
        return 0; /* the write hears why */
    }
    if (load->phase == LOAD_PAGES) {
        room = load->page_left;
        *ret_place = copy->memory + load->page_off;
    } else if (load->phase == LOAD_HEADER || load->phase == LOAD_PAYLOAD) {
        room = load->need - load->have;
        *ret_place = load->buffer + load->have;
    }
    return most < room ? most : (size_t)room;
}

int copy_load_finish(struct copy *copy)
{
    struct copy_load *load = &copy->load;

    if (load->status == FERRY_OK && load->phase != LOAD_DONE) {
        load->status = FERRY_E_SHORT;
    }
    if (load->status != FERRY_OK) {
        return load->status;
    }
    memcpy(copy->channel, load->channel, copy->channel_count * sizeof(copy->channel[0]));
    copy_load_end(copy);
    return FERRY_OK;
}
