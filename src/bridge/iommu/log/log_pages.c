/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "bridge/iommu/log/log_private.h"

/*
 * Written pages that a server has told of and the VMM has not asked for yet. They cost
 * what was written: chunks where single pages are marked, and spans for what
 * counts as written throughout. Whatever there is no room for is told too often, never
 * forgotten.
 */

#define PAGE_SHIFT 12u
#define CHUNK_BYTES (1ull << LOG_CHUNK_SHIFT)

/* --- spans */

/* Index of the first span that ends at or behind `first`. */
static uint32_t span_index(const struct log_pages *pages, uint64_t first)
{
    uint32_t i = 0;

    while (i < pages->span_count && pages->span[i].last < first) {
        i++;
    }
    return i;
}

static void drop_spans(struct log_pages *pages, uint32_t first, uint32_t end)
{
    memmove(&pages->span[first], &pages->span[end],
            (pages->span_count - end) * sizeof(pages->span[0]));
    pages->span_count -= end - first;
}

/* Joins the two neighbours with the smallest gap. */
static void make_room(struct log_pages *pages)
{
    uint32_t best = 1;

    for (uint32_t i = 2; i < pages->span_count; i++) {
        if (pages->span[i].first - pages->span[i - 1].last <
            pages->span[best].first - pages->span[best - 1].last) {
            best = i;
        }
    }
    pages->span[best - 1].last = pages->span[best].last;
    drop_spans(pages, best, best + 1);
}

void log_pages_add_span(struct log_pages *pages, uint64_t first, uint64_t last)
{
    /* Touching ones are joined: those from `first` - 1 to `last` + 1. */
    uint32_t at = span_index(pages, first == 0 ? 0 : first - 1);
    uint32_t end = at;

    while (end < pages->span_count &&
           (last == UINT64_MAX || pages->span[end].first <= last + 1)) {
        first = pages->span[end].first < first ? pages->span[end].first : first;
        last = pages->span[end].last > last ? pages->span[end].last : last;
        end++;
    }
    drop_spans(pages, at, end);
    if (pages->span_count == LOG_SPANS_MAX) {
        make_room(pages);
        log_pages_add_span(pages, first, last);
        return;
    }
    memmove(&pages->span[at + 1], &pages->span[at],
            (pages->span_count - at) * sizeof(pages->span[0]));
    pages->span[at] = (struct log_span){ .first = first, .last = last };
    pages->span_count++;
}

/* Takes [first, last] out. Return: 0 when that would make one too many: nothing done. */
static int cut_span(struct log_pages *pages, uint32_t i, uint64_t first, uint64_t last)
{
    struct log_span *span = &pages->span[i];

    if (span->first < first && span->last > last) {
        if (pages->span_count == LOG_SPANS_MAX) {
            return 0;
        }
        memmove(span + 1, span, (pages->span_count - i) * sizeof(*span));
        pages->span_count++;
        span[0].last = first - 1;
        span[1].first = last + 1;
    } else if (span->first < first) {
        span->last = first - 1;
    } else if (span->last > last) {
        span->first = last + 1;
    } else {
        drop_spans(pages, i, i + 1);
    }
    return 1;
}

static void visit_spans(struct log_pages *pages, uint64_t first, uint64_t last, int take,
                        log_visitor visit, void *user)
{
    uint32_t i = span_index(pages, first);

    while (i < pages->span_count && pages->span[i].first <= last) {
        const struct log_span span = pages->span[i];
        const uint64_t from = span.first > first ? span.first : first;
        const uint64_t to = span.last < last ? span.last : last;
        const uint32_t count = pages->span_count;

        visit(user, from, to - from + 1);
        /* One that went leaves the next one in its place. */
        if (!take || !cut_span(pages, i, from, to) || pages->span_count >= count) {
            i++;
        }
    }
}

/* --- chunks */

static uint32_t chunk_index(const struct log_pages *pages, uint64_t index)
{
    uint32_t low = 0;
    uint32_t high = pages->count;

    while (low < high) {
        const uint32_t mid = low + (high - low) / 2;

        if (pages->chunk[mid]->index < index) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static int grow(struct log_pages *pages)
{
    const uint32_t cap = pages->cap == 0 ? 8 : pages->cap * 2;
    struct log_chunk **chunk;

    if (pages->count < pages->cap) {
        return 1;
    }
    if (pages->count == LOG_CHUNKS_MAX) {
        return 0;
    }
    chunk = realloc(pages->chunk, cap * sizeof(struct log_chunk *));
    if (chunk == NULL) {
        return 0;
    }
    pages->chunk = chunk;
    pages->cap = cap;
    return 1;
}

/* NULL when there is no room. */
static struct log_chunk *chunk_of(struct log_pages *pages, uint64_t index)
{
    const uint32_t at = chunk_index(pages, index);
    struct log_chunk *chunk;

    if (at < pages->count && pages->chunk[at]->index == index) {
        return pages->chunk[at];
    }
    if (!grow(pages)) {
        return NULL;
    }
    chunk = calloc(1, sizeof(*chunk) + ferry_dirty_need(LOG_CHUNK_PAGES));
    if (chunk == NULL) {
        return NULL;
    }
    chunk->index = index;
    ferry_dirty_init_zeroed(&chunk->dirty, LOG_CHUNK_PAGES, PAGE_SHIFT, chunk + 1);
    memmove(&pages->chunk[at + 1], &pages->chunk[at],
            (pages->count - at) * sizeof(struct log_chunk *));
    pages->chunk[at] = chunk;
    pages->count++;
    return chunk;
}

void log_pages_add(struct log_pages *pages, uint64_t iova, uint64_t size)
{
    while (size > 0) {
        const uint64_t inside = iova & (CHUNK_BYTES - 1);
        const uint64_t left = CHUNK_BYTES - inside;
        const uint64_t piece = size < left ? size : left;
        struct log_chunk *chunk = chunk_of(pages, iova >> LOG_CHUNK_SHIFT);

        if (chunk == NULL) {
            log_pages_add_span(pages, iova, iova + size - 1);
            return;
        }
        ferry_dirty_set(&chunk->dirty, inside, piece);
        iova += piece;
        size -= piece;
    }
}

static void visit_chunk(struct log_chunk *chunk, uint64_t first, uint64_t end, int take,
                        log_visitor visit, void *user)
{
    const uint64_t base = chunk->index << LOG_CHUNK_SHIFT;
    int found = 1;

    /* A walk of its own for each run: one that stays is put back behind it. */
    while (found && first < end) {
        struct ferry_dirty_walk walk;
        uint64_t from;
        uint64_t count;

        ferry_dirty_walk_begin(&walk, &chunk->dirty, first, end - first);
        found = ferry_dirty_walk_next(&walk, UINT64_MAX, &from, &count);
        ferry_dirty_walk_end(&walk);
        if (found) {
            if (!take) {
                ferry_dirty_set(&chunk->dirty, from << PAGE_SHIFT, count << PAGE_SHIFT);
            }
            visit(user, base + (from << PAGE_SHIFT), count << PAGE_SHIFT);
            first = from + count;
        }
    }
}

void log_pages_visit(struct log_pages *pages, uint64_t iova, uint64_t size, int take,
                     log_visitor visit, void *user)
{
    const uint64_t last = iova + size - 1;

    for (uint32_t i = chunk_index(pages, iova >> LOG_CHUNK_SHIFT); i < pages->count;
         i++) {
        struct log_chunk *chunk = pages->chunk[i];
        const uint64_t base = chunk->index << LOG_CHUNK_SHIFT;
        const uint64_t from = base < iova ? iova - base : 0;
        const uint64_t to = last - base < CHUNK_BYTES ? last - base + 1 : CHUNK_BYTES;

        if (base > last) {
            break;
        }
        visit_chunk(chunk, from >> PAGE_SHIFT, to >> PAGE_SHIFT, take, visit, user);
    }
    visit_spans(pages, iova, last, take, visit, user);
}

void log_pages_clear(struct log_pages *pages)
{
    for (uint32_t i = 0; i < pages->count; i++) {
        free(pages->chunk[i]);
    }
    free(pages->chunk);
    memset(pages, 0, sizeof(*pages));
}
