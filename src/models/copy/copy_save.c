/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_private.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "models/le.h"

/* Pages that one call looks at in pre-copy when it finds nothing to send. */
#define BUDGET_MIN 256u
#define BUDGET_MAX 2048u
/*
 * After it found nothing (or came around) it looks again after this time: a reader who
 * asks without a pause gets FERRY_E_DRY and does not keep the device busy with comparing.
 */
#define REST_NS 500000u
/* Bytes that one call gives at most, so that other messages are served between. */
#define CALL_BYTES (1u << 20)

int copy_save_begin(struct copy *copy, int precopy)
{
    struct copy_save *save = &copy->save;

    copy_save_end(copy);
    save->chunk = malloc(COPY_RECORD_MAX);
    save->hash = XXH3_createState();
    if (save->chunk == NULL || save->hash == NULL ||
        (precopy && copy_pages_begin(copy) != FERRY_OK)) {
        copy_save_end(copy);
        return FERRY_E_MEMORY;
    }
    (void)XXH3_64bits_reset(save->hash);
    save->phase = COPY_SAVE_MATCH;
    save->final = !precopy;
    return FERRY_OK;
}

void copy_save_freeze(struct copy *copy)
{
    struct copy_save *save = &copy->save;

    save->final = 1;
    if (save->phase != COPY_SAVE_MATCH) {
        save->phase = COPY_SAVE_FINAL;
    }
}

void copy_save_end(struct copy *copy)
{
    struct copy_save *save = &copy->save;

    copy_pages_end(&save->pages);
    (void)XXH3_freeState(save->hash);
    free(save->chunk);
    memset(save, 0, sizeof(*save));
}

static uint64_t now_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void put_record(uint8_t *out, uint32_t type, uint32_t count, uint64_t value)
{
    le_put32(out, type);
    le_put32(out + 4, count);
    le_put64(out + 8, value);
}

static uint32_t put_match(const struct copy *copy, uint8_t *out)
{
    uint8_t *payload = out + COPY_RECORD_BYTES;

    put_record(out, COPY_REC_MATCH, COPY_MATCH_BYTES, COPY_MATCH_MAGIC);
    le_put32(payload, COPY_STREAM_VERSION);
    le_put32(payload + 4, COPY_PAGE_BYTES);
    le_put64(payload + 8, copy->memory_bytes);
    le_put32(payload + 16, copy->channel_count);
    le_put32(payload + 20, COPY_ENTRIES_MAX);
    le_put64(payload + 24, XXH3_64bits(out, COPY_RECORD_BYTES + 24));
    return COPY_RECORD_BYTES + COPY_MATCH_BYTES;
}

static uint32_t put_state(const struct copy *copy, uint8_t *out)
{
    uint8_t *at = out + COPY_RECORD_BYTES;

    put_record(out, COPY_REC_STATE, copy->channel_count * COPY_CHANNEL_BYTES,
               copy->channel_count);
    for (uint32_t i = 0; i < copy->channel_count; i++, at += COPY_CHANNEL_BYTES) {
        const struct copy_channel *channel = &copy->channel[i];

        le_put64(at, channel->ring);
        le_put64(at + 8, channel->done_ring);
        le_put32(at + 16, channel->entries);
        le_put32(at + 20, channel->control);
        le_put32(at + 24, channel->vector);
        le_put32(at + 28, channel->error);
        le_put32(at + 32, channel->head);
        le_put32(at + 36, channel->tail);
        le_put32(at + 40, channel->done);
        le_put32(at + 44, channel->busy);
        le_put32(at + 48, channel->current.op);
        le_put32(at + 52, channel->current.id);
        le_put64(at + 56, channel->current.src);
        le_put64(at + 64, channel->current.dst);
        le_put64(at + 72, channel->current.len);
        le_put64(at + 80, channel->progress);
    }
    return (uint32_t)(at - out);
}

static uint32_t put_end(const struct copy *copy, uint8_t *out)
{
    put_record(out, COPY_REC_END, COPY_END_BYTES, copy->save.bytes);
    (void)XXH3_64bits_update(copy->save.hash, out, COPY_RECORD_BYTES);
    le_put64(out + COPY_RECORD_BYTES, XXH3_64bits_digest(copy->save.hash));
    return COPY_RECORD_BYTES + COPY_END_BYTES;
}

/*
 * Writes the run of pages of one kind that begins at `first`, whose kind is known.
 * dirty_only: 1 when it ends with the pages that the engine wrote.
 * ret_bytes: of the record that are at out: while lending, pages stay where they are.
 * Return: pages.
 */
static uint32_t put_run(struct copy *copy, uint8_t *out, uint64_t first, uint32_t kind,
                        int dirty_only, uint32_t *ret_bytes)
{
    const uint32_t most = kind == COPY_REC_DATA ? COPY_RUN_DATA : COPY_RUN_OTHER;
    const int lent = kind == COPY_REC_DATA && copy->save.lending;
    uint8_t *at = out + COPY_RECORD_BYTES;
    uint32_t count = 0;

    do {
        copy_pages_take(copy, first + count, kind, lent ? NULL : at);
        count++;
        if (kind == COPY_REC_DATA && !lent) {
            at += COPY_PAGE_BYTES;
        }
    } while (
        count < most && first + count < copy->page_count &&
        (!dirty_only || copy_pages_next_dirty(copy, first + count) == first + count) &&
        copy_pages_peek(copy, first + count) == kind);
    put_record(out, kind, count, first);
    if (lent) {
        copy->save.lent = copy->memory + first * COPY_PAGE_BYTES;
        copy->save.lent_bytes = (uint64_t)count * COPY_PAGE_BYTES;
    }
    *ret_bytes = (uint32_t)(at - out);
    return count;
}

/* The next run of a pass over all pages. Return: bytes of the record. */
static uint32_t put_pass(struct copy *copy, uint8_t *out)
{
    struct copy_save *save = &copy->save;
    const uint32_t kind = copy_pages_peek(copy, save->cursor);
    uint32_t bytes = 0;

    save->cursor += put_run(copy, out, save->cursor, kind, 0, &bytes);
    return bytes;
}

/*
 * Looks for pages that changed since they were sent: first those that the engine wrote,
 * then a slice of all, since peers and CPUs write to the memory unseen. Return: bytes of
 * a record; 0 when this call has looked at enough.
 */
static uint32_t put_changed(struct copy *copy, uint8_t *out)
{
    struct copy_save *save = &copy->save;

    if (now_ns() < save->rest_ns) {
        return 0;
    }
    while (save->budget != 0) {
        const int dirty_only = save->phase == COPY_SAVE_DIRTY;
        uint64_t *cursor = dirty_only ? &save->cursor : &save->hash_cursor;
        uint32_t bytes = 0;
        uint32_t kind;

        if (dirty_only) {
            *cursor = copy_pages_next_dirty(copy, *cursor);
        }
        if (*cursor == copy->page_count) {
            *cursor = 0;
            save->phase = dirty_only ? COPY_SAVE_HASH : COPY_SAVE_DIRTY;
            if (dirty_only) {
                continue;
            }
            break; /* once around: memory that always changes must not keep us here */
        }
        kind = copy_pages_peek(copy, *cursor);
        save->budget--;
        if (kind != COPY_REC_EQUAL) {
            *cursor += put_run(copy, out, *cursor, kind, dirty_only, &bytes);
            return bytes;
        }
        copy_pages_take(copy, *cursor, kind, out);
        ++*cursor;
    }
    save->phase = COPY_SAVE_DIRTY;
    save->cursor = 0;
    save->rest_ns = now_ns() + REST_NS;
    return 0;
}

/* Makes the next record. Return: its bytes; 0 at the end or when nothing is there now. */
static uint32_t next_record(struct copy *copy, uint8_t *out)
{
    struct copy_save *save = &copy->save;
    uint32_t bytes = 0;

    switch ((enum copy_save_phase)save->phase) {
    case COPY_SAVE_MATCH:
        save->phase = save->final ? COPY_SAVE_FINAL : COPY_SAVE_INITIAL;
        return put_match(copy, out);
    case COPY_SAVE_INITIAL:
        bytes = put_pass(copy, out);
        save->pages.known = save->cursor;
        if (save->cursor == copy->page_count) {
            save->phase = COPY_SAVE_DIRTY;
            save->cursor = 0;
        }
        return bytes;
    case COPY_SAVE_DIRTY:
    case COPY_SAVE_HASH:
        return put_changed(copy, out);
    case COPY_SAVE_FINAL:
        put_record(out, COPY_REC_FINAL, 0, 0);
        save->phase = COPY_SAVE_PAGES;
        save->cursor = 0;
        return COPY_RECORD_BYTES;
    case COPY_SAVE_PAGES:
        bytes = put_pass(copy, out);
        if (save->cursor == copy->page_count) {
            save->phase = COPY_SAVE_STATE;
        }
        return bytes;
    case COPY_SAVE_STATE:
        save->phase = COPY_SAVE_END;
        return put_state(copy, out);
    case COPY_SAVE_END:
        save->phase = COPY_SAVE_DONE;
        return put_end(copy, out);
    case COPY_SAVE_NONE:
    case COPY_SAVE_DONE:
        break;
    }
    return 0;
}

/* Makes the next record and counts it. Return: its bytes at out. */
static uint32_t make_record(struct copy *copy, uint8_t *out)
{
    struct copy_save *save = &copy->save;
    const uint32_t bytes = next_record(copy, out);

    if (bytes != 0 && save->phase != COPY_SAVE_DONE) {
        (void)XXH3_64bits_update(save->hash, out, bytes);
        if (save->lent_bytes != 0) {
            (void)XXH3_64bits_update(save->hash, save->lent, save->lent_bytes);
        }
    }
    save->bytes += bytes + save->lent_bytes;
    return bytes;
}

/* What has been made and not yet been given. */
static uint64_t waiting(const struct copy_save *save)
{
    return save->chunk_bytes - save->chunk_off + save->lent_bytes;
}

/* The next bytes of what waits, at most cap. Return: how many. */
static size_t take_waiting(struct copy_save *save, size_t cap, const uint8_t **ret_data)
{
    const size_t left = save->chunk_bytes - save->chunk_off;

    if (left != 0) {
        cap = cap < left ? cap : left;
        *ret_data = save->chunk + save->chunk_off;
        save->chunk_off += (uint32_t)cap;
        return cap;
    }
    if (save->lent_bytes == 0) {
        return 0; /* nothing waits: lent may be NULL, to which nothing is added */
    }
    cap = cap < save->lent_bytes ? cap : (size_t)save->lent_bytes;
    *ret_data = save->lent;
    save->lent += cap;
    save->lent_bytes -= cap;
    return cap;
}

int copy_save_lend(struct copy *copy, void *buffer, size_t cap, const void **ret_data)
{
    struct copy_save *save = &copy->save;
    const uint8_t *from = NULL;
    size_t count;
    int lent;

    if (waiting(save) == 0) {
        save->lending = 1;
        save->chunk_off = 0;
        save->chunk_bytes = make_record(copy, save->chunk);
        save->lending = 0;
    }
    lent = save->chunk_off == save->chunk_bytes;
    count = take_waiting(save, cap, &from);
    *ret_data = from;
    if (!lent && count != 0) {
        memcpy(buffer, from, count); /* the next record comes in its place */
        *ret_data = buffer;
    }
    return (int)count;
}

int copy_save_read(struct copy *copy, void *ret_data, size_t cap)
{
    struct copy_save *save = &copy->save;
    const uint64_t sixteenth = copy->page_count / 16;
    uint8_t *out = ret_data;
    size_t done = 0;

    cap = cap < CALL_BYTES ? cap : CALL_BYTES;
    save->budget = sixteenth < BUDGET_MIN   ? BUDGET_MIN
                   : sixteenth > BUDGET_MAX ? BUDGET_MAX
                                            : (uint32_t)sixteenth;
    while (done < cap) {
        uint32_t bytes;

        if (waiting(save) != 0) {
            const uint8_t *from = NULL;
            const size_t part = take_waiting(save, cap - done, &from);

            memcpy(out + done, from, part);
            done += part;
            continue;
        }
        if (cap - done >= COPY_RECORD_MAX) {
            bytes = make_record(copy, out + done);
            done += bytes;
        } else if (done == 0) {
            bytes = make_record(copy, save->chunk);
            save->chunk_bytes = bytes;
            save->chunk_off = 0;
        } else {
            break;
        }
        if (bytes == 0) {
            break;
        }
    }
    return done != 0 ? (int)done : save->final ? 0 : FERRY_E_DRY;
}

/* What the rest of the stream needs apart from pages. */
static uint64_t frame_bytes(const struct copy *copy)
{
    return 6 * COPY_RECORD_BYTES + COPY_MATCH_BYTES + COPY_END_BYTES +
           (uint64_t)copy->channel_count * COPY_CHANNEL_BYTES +
           (copy->page_count / COPY_RUN_OTHER + 1) * COPY_RECORD_BYTES;
}

void copy_save_info(const struct copy *copy, struct ferry_device_precopy *ret_info)
{
    const struct copy_save *save = &copy->save;
    const uint64_t left = waiting(save);
    const uint64_t first = copy->page_count - save->pages.known;
    const uint64_t page = COPY_PAGE_BYTES + COPY_RECORD_BYTES;

    ret_info->initial_bytes = 0;
    ret_info->dirty_bytes = copy_pages_dirty(copy) * page;
    if (save->phase == COPY_SAVE_MATCH) {
        ret_info->initial_bytes = COPY_RECORD_BYTES + COPY_MATCH_BYTES + first * page;
    } else if (save->phase == COPY_SAVE_INITIAL || first != 0) {
        ret_info->initial_bytes = left + first * page;
    } else {
        ret_info->dirty_bytes += left;
    }
}

uint64_t copy_save_size(const struct copy *copy)
{
    const struct copy_save *save = &copy->save;
    const uint64_t left = waiting(save);
    /* A page that stands alone costs its record and may split a run of others. */
    const uint64_t page = COPY_PAGE_BYTES + 2 * COPY_RECORD_BYTES;
    const uint64_t from = save->phase == COPY_SAVE_PAGES   ? save->cursor
                          : save->phase >= COPY_SAVE_STATE ? copy->page_count
                                                           : 0;

    if (save->phase == COPY_SAVE_DONE) {
        return left != 0 ? left : 1;
    }
    return left + frame_bytes(copy) + copy_pages_unsure(copy, from) * page;
}
