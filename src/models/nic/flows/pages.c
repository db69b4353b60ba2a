/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "models/nic/flows/flows_private.h"

int nic_page_set_init(struct nic_page_set *set, uint64_t pages)
{
    memset(set, 0, sizeof(*set));
    set->words = (pages + 63) / 64;
    set->word = calloc(set->words + (set->words + 63) / 64, sizeof(*set->word));
    if (set->word == NULL) {
        return FERRY_E_MEMORY;
    }
    set->summary = set->word + set->words;
    return FERRY_OK;
}

void nic_page_set_end(struct nic_page_set *set)
{
    free(set->word);
    memset(set, 0, sizeof(*set));
}

void nic_page_set_clear(struct nic_page_set *set)
{
    for (uint64_t i = 0; i < (set->words + 63) / 64; i++) {
        while (set->summary[i] != 0) {
            const uint64_t bit = (uint64_t)__builtin_ctzll(set->summary[i]);

            set->word[i * 64 + bit] = 0;
            set->summary[i] &= set->summary[i] - 1;
        }
    }
    set->count = 0;
}

void nic_page_set_copy(struct nic_page_set *to, const struct nic_page_set *from)
{
    memcpy(to->word, from->word,
           (from->words + (from->words + 63) / 64) * sizeof(*from->word));
    to->count = from->count;
}

void nic_page_set_add(struct nic_page_set *set, uint64_t page)
{
    const uint64_t at = page / 64;
    const uint64_t bit = 1ull << page % 64;

    if ((set->word[at] & bit) == 0) {
        set->word[at] |= bit;
        set->summary[at / 64] |= 1ull << at % 64;
        set->count++;
    }
}

void nic_page_set_remove(struct nic_page_set *set, uint64_t page)
{
    const uint64_t at = page / 64;
    const uint64_t bit = 1ull << page % 64;

    if ((set->word[at] & bit) != 0) {
        set->word[at] &= ~bit;
        if (set->word[at] == 0) {
            set->summary[at / 64] &= ~(1ull << at % 64);
        }
        set->count--;
    }
}

uint64_t nic_page_set_next(const struct nic_page_set *set, uint64_t from)
{
    uint64_t at = from / 64;
    uint64_t word;

    if (at >= set->words) {
        return UINT64_MAX;
    }
    word = set->word[at] & ~0ull << from % 64;
    if (word != 0) {
        return at * 64 + (uint64_t)__builtin_ctzll(word);
    }
    at++;
    for (uint64_t i = at / 64; i < (set->words + 63) / 64; i++) {
        word = set->summary[i] & (i == at / 64 ? ~0ull << at % 64 : ~0ull);
        if (word != 0) {
            at = i * 64 + (uint64_t)__builtin_ctzll(word);
            return at * 64 + (uint64_t)__builtin_ctzll(set->word[at]);
        }
    }
    return UINT64_MAX;
}
