/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_private.h"

#include <stdlib.h>
#include <string.h>

static uint64_t word_count(const struct copy *copy)
{
    return (copy->page_count + 63) / 64;
}

int copy_pages_begin(struct copy *copy)
{
    static const uint8_t zero[COPY_PAGE_BYTES];
    struct copy_pages *pages = &copy->save.pages;

    pages->hash = calloc(copy->page_count, sizeof(*pages->hash));
    pages->dirty = calloc(word_count(copy), sizeof(*pages->dirty));
    pages->unsure = calloc(word_count(copy), sizeof(*pages->unsure));
    pages->zero_hash = XXH3_128bits(zero, sizeof(zero));
    pages->known = 0;
    if (pages->hash == NULL || pages->dirty == NULL || pages->unsure == NULL) {
        copy_pages_end(pages);
        return FERRY_E_MEMORY;
    }
    return FERRY_OK;
}

void copy_pages_end(struct copy_pages *pages)
{
    free(pages->hash);
    free(pages->dirty);
    free(pages->unsure);
    memset(pages, 0, sizeof(*pages));
}

void copy_pages_mark(struct copy *copy, uint64_t off, uint64_t size)
{
    struct copy_pages *pages = &copy->save.pages;
    uint64_t last;

    if (pages->dirty == NULL || size == 0) {
        return;
    }
    last = (off + size - 1) / COPY_PAGE_BYTES;
    /* Pages that the first pass has not reached are sent anyway. */
    for (uint64_t page = off / COPY_PAGE_BYTES; page <= last && page < pages->known;
         page++) {
        pages->dirty[page / 64] |= 1ull << page % 64;
    }
}

/* One load and one branch per 64 bytes: the compiler makes vectors of it. */
static int is_zero(const uint8_t *page)
{
    for (size_t at = 0; at < COPY_PAGE_BYTES; at += 64) {
        uint64_t word[8];

        memcpy(word, page + at, sizeof(word));
        if ((word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] |
             word[7]) != 0) {
            return 0;
        }
    }
    return 1;
}

uint32_t copy_pages_peek(const struct copy *copy, uint64_t page)
{
    const struct copy_pages *pages = &copy->save.pages;
    const uint8_t *memory = copy->memory + page * COPY_PAGE_BYTES;

    if (page < pages->known &&
        XXH128_isEqual(XXH3_128bits(memory, COPY_PAGE_BYTES), pages->hash[page])) {
        return COPY_REC_EQUAL;
    }
    return is_zero(memory) ? COPY_REC_ZERO : COPY_REC_DATA;
}

void copy_pages_take(struct copy *copy, uint64_t page, uint32_t kind, uint8_t *ret_page)
{
    struct copy_pages *pages = &copy->save.pages;
    const uint64_t bit = 1ull << page % 64;

    if (kind == COPY_REC_DATA && ret_page != NULL) {
        memcpy(ret_page, copy->memory + page * COPY_PAGE_BYTES, COPY_PAGE_BYTES);
    }
    if (pages->hash == NULL) {
        return; /* stopped from the start: nothing is compared later */
    }
    pages->dirty[page / 64] &= ~bit;
    if (kind == COPY_REC_EQUAL) {
        pages->unsure[page / 64] &= ~bit;
        return;
    }
    if (ret_page == NULL) {
        return; /* the last pass: nothing is compared later */
    }
    /* The hash is that of the copy, since others may write to the memory meanwhile. */
    pages->hash[page] = kind == COPY_REC_DATA ? XXH3_128bits(ret_page, COPY_PAGE_BYTES)
                                              : pages->zero_hash;
    pages->unsure[page / 64] |= bit;
}

uint64_t copy_pages_next_dirty(const struct copy *copy, uint64_t page)
{
    const struct copy_pages *pages = &copy->save.pages;
    uint64_t index = page / 64;
    uint64_t word;

    if (page >= copy->page_count) {
        return copy->page_count;
    }
    word = pages->dirty[index] & ~0ull << page % 64;
    while (word == 0) {
        if (++index == word_count(copy)) {
            return copy->page_count;
        }
        word = pages->dirty[index];
    }
    return index * 64 + (uint64_t)__builtin_ctzll(word);
}

uint64_t copy_pages_unsure(const struct copy *copy, uint64_t from)
{
    const struct copy_pages *pages = &copy->save.pages;
    uint64_t count = copy->page_count - (from > pages->known ? from : pages->known);

    if (pages->dirty == NULL) {
        return count;
    }
    for (uint64_t i = from / 64; i < word_count(copy); i++) {
        const uint64_t mask = i == from / 64 ? ~0ull << from % 64 : ~0ull;

        count +=
            (uint64_t)__builtin_popcountll((pages->dirty[i] | pages->unsure[i]) & mask);
    }
    return count;
}

uint64_t copy_pages_dirty(const struct copy *copy)
{
    const struct copy_pages *pages = &copy->save.pages;
    uint64_t count = 0;

    for (uint64_t i = 0; pages->dirty != NULL && i < word_count(copy); i++) {
        count += (uint64_t)__builtin_popcountll(pages->dirty[i]);
    }
    return count;
}
