/* SPDX-License-Identifier: BSD-3-Clause */
#include "core/stream/record.h"

#include "core/stream/tags.h"

/* The state's size, so that it can live in the caller's memory: no allocation here. */
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>
#ifdef FERRY_XXH_DISPATCH
/* Makes XXH3_64bits_update and XXH3_128bits_update those of the best vector unit. */
#include <xxh_x86dispatch.h>
#endif

/* libxxhash uses aligned vector loads; malloc() aligns to 16 only. */
#define STATE_ALIGN 64u

_Static_assert(sizeof(struct ferry_stream_hash) >=
                   sizeof(XXH3_state_t) + STATE_ALIGN - sizeof(uint64_t),
               "the hash state fits, wherever it lies");
_Static_assert(_Alignof(XXH3_state_t) <= STATE_ALIGN, "the hash state is aligned");

static size_t padding_of(const struct ferry_stream_hash *hash)
{
    return (size_t)(-(uintptr_t)hash->state % STATE_ALIGN) / sizeof(uint64_t);
}

static XXH3_state_t *state_of(struct ferry_stream_hash *hash)
{
    return (XXH3_state_t *)(void *)(hash->state + padding_of(hash));
}

static const XXH3_state_t *const_state_of(const struct ferry_stream_hash *hash)
{
    return (const XXH3_state_t *)(const void *)(hash->state + padding_of(hash));
}

void ferry_record_sum_init(struct ferry_stream_hash *sum,
                           const struct ferry_record *record)
{
    /* A reset compares the old seed with the new one: it must not be left undefined. */
    state_of(sum)->seed = 0;
    (void)XXH3_64bits_reset_withSeed(state_of(sum), ferry_record_seed(record));
}

void ferry_record_sum_update(struct ferry_stream_hash *sum, const void *data,
                             size_t bytes)
{
    if (bytes > 0) {
        (void)XXH3_64bits_update(state_of(sum), data, bytes);
    }
}

uint64_t ferry_record_sum_digest(const struct ferry_stream_hash *sum)
{
    return XXH3_64bits_digest(const_state_of(sum));
}

void ferry_stream_hash_init(struct ferry_stream_hash *hash)
{
    state_of(hash)->seed = 0;
    (void)XXH3_128bits_reset(state_of(hash));
}

void ferry_stream_hash_update(struct ferry_stream_hash *hash, const void *data,
                              size_t bytes)
{
    if (bytes > 0) {
        (void)XXH3_128bits_update(state_of(hash), data, bytes);
    }
}

struct ferry_stream_digest ferry_stream_hash_digest(const struct ferry_stream_hash *hash)
{
    XXH128_hash_t value = XXH3_128bits_digest(const_state_of(hash));
    struct ferry_stream_digest digest = { value.low64, value.high64 };

    return digest;
}
