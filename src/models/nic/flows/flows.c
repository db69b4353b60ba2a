/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "models/le.h"
#include "models/nic/flows/flows_private.h"

#define HUGE_BYTES (2ull << 20)
#define HUGE_PAGES (HUGE_BYTES / NIC_FLOWS_PAGE)
#define RUN_PAGES 128u /* that come in one run and are worth a huge page */
#define NO_PAGE UINT64_MAX
#define BUCKET_BYTES (NIC_FLOW_PROBES * NIC_FLOW_BYTES)

static_assert(NIC_FLOWS_PAGE % BUCKET_BYTES == 0, "a flow's entries lie in one page");

/*
 * A hole, at a bound of huge pages. It has small ones at first: most of the time of a
 * sparse table's load would go into zeroing huge ones. Return: NULL: there is no memory.
 */
static uint8_t *map_table(uint64_t bytes)
{
    const size_t wide = (size_t)(bytes + HUGE_BYTES);
    uint8_t *whole = mmap(NULL, wide, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    size_t front;

    if (whole == MAP_FAILED) {
        return NULL;
    }
    front = (size_t)(-(uintptr_t)whole & (HUGE_BYTES - 1));
    if (front != 0) {
        (void)munmap(whole, front);
    }
    (void)munmap(whole + front + bytes, wide - front - (size_t)bytes);
    (void)madvise(whole + front, (size_t)bytes, MADV_NOHUGEPAGE);
    return whole + front;
}

int nic_flows_create(uint64_t bytes, struct nic_flows **ret_flows)
{
    struct nic_flows *flows = calloc(1, sizeof(*flows));

    assert(bytes >= NIC_FLOWS_BYTES_MIN && bytes <= NIC_FLOWS_BYTES_MAX &&
           (bytes & (bytes - 1)) == 0);
    if (flows == NULL) {
        return FERRY_E_MEMORY;
    }
    flows->bytes = bytes;
    flows->pages = bytes / NIC_FLOWS_PAGE;
    flows->memory = map_table(bytes);
    if (flows->memory == NULL ||
        nic_page_set_init(&flows->used, flows->pages) != FERRY_OK ||
        nic_page_set_init(&flows->image, flows->pages) != FERRY_OK ||
        nic_page_set_init(&flows->changed, flows->pages) != FERRY_OK) {
        nic_flows_destroy(flows);
        return FERRY_E_MEMORY;
    }
    *ret_flows = flows;
    return FERRY_OK;
}

void nic_flows_destroy(struct nic_flows *flows)
{
    if (flows == NULL) {
        return;
    }
    if (flows->memory != NULL) {
        (void)munmap(flows->memory, (size_t)flows->bytes);
    }
    nic_page_set_end(&flows->used);
    nic_page_set_end(&flows->image);
    nic_page_set_end(&flows->changed);
    free(flows);
}

void nic_flows_clear(struct nic_flows *flows)
{
    nic_flows_track_end(flows);
    if (flows->used.count != 0 &&
        madvise(flows->memory, (size_t)flows->bytes, MADV_DONTNEED) != 0) {
        memset(flows->memory, 0, (size_t)flows->bytes);
    }
    if (flows->dense != 0) {
        (void)madvise(flows->memory, (size_t)flows->bytes, MADV_NOHUGEPAGE);
        flows->dense = 0;
    }
    nic_page_set_clear(&flows->used);
    memset(&flows->state, 0, sizeof(flows->state));
}

/* Huge pages from one page's on to another's: they are quicker to look up in. */
static void advise_huge(struct nic_flows *flows, uint64_t first, uint64_t last)
{
    const uint64_t from = first / HUGE_PAGES * HUGE_BYTES;
    const uint64_t to = (last / HUGE_PAGES + 1) * HUGE_BYTES;

    if (flows->bytes >= HUGE_BYTES) {
        (void)madvise(flows->memory + from, (size_t)(to - from), MADV_HUGEPAGE);
        flows->dense = 1;
    }
}

/* A page is used. When that makes half of a huge page, the kernel may make it one: in the
 * background, for to wait for it would hold up frames. */
static void use(struct nic_flows *flows, uint64_t page)
{
    const uint64_t first = page / HUGE_PAGES * HUGE_PAGES;
    uint32_t count = 0;

    if (nic_page_set_has(&flows->used, page)) {
        return;
    }
    nic_page_set_add(&flows->used, page);
    if (flows->bytes < HUGE_BYTES) {
        return;
    }
    for (uint64_t i = first / 64; i < (first + HUGE_PAGES) / 64; i++) {
        count += (uint32_t)__builtin_popcountll(flows->used.word[i]);
    }
    if (count == HUGE_PAGES / 2) {
        advise_huge(flows, page, page);
    }
}

void nic_flows_mark(struct nic_flows *flows, uint64_t page)
{
    use(flows, page);
    if (flows->tracked != 0 && !nic_page_set_has(&flows->image, page)) {
        nic_page_set_add(&flows->changed, page);
    }
}

/* The first of the entries that a flow may have. */
static uint64_t bucket_off(const struct nic_flows *flows, uint64_t hash)
{
    return (hash >> 32 & (flows->bytes / BUCKET_BYTES - 1)) * BUCKET_BYTES;
}

static void raise(uint8_t *counter, uint64_t by)
{
    le_put64(counter, le_get64(counter) + by);
}

void nic_flows_count_hash(struct nic_flows *flows, uint64_t hash, uint32_t frame_bytes,
                          uint32_t out)
{
    const uint64_t off = bucket_off(flows, hash);
    const uint64_t age = ++flows->state.frames;
    uint8_t *entry = flows->memory + off;
    uint64_t oldest = UINT64_MAX;

    for (uint32_t i = 0; i < NIC_FLOW_PROBES; i++) {
        uint8_t *probe = flows->memory + off + i * NIC_FLOW_BYTES;
        const uint64_t there = le_get64(probe + FLOW_HASH);

        if (there == hash || there == 0) {
            entry = probe;
            break;
        }
        if (le_get64(probe + FLOW_AGE) < oldest) {
            oldest = le_get64(probe + FLOW_AGE);
            entry = probe;
        }
    }
    nic_flows_mark(flows, off / NIC_FLOWS_PAGE);
    if (le_get64(entry + FLOW_HASH) != hash) {
        memset(entry, 0, NIC_FLOW_BYTES);
        le_put64(entry + FLOW_HASH, hash);
        le_put64(entry + FLOW_FIRST, age);
    }
    le_put64(entry + FLOW_AGE, age);
    raise(entry + (out != 0 ? FLOW_OUT : FLOW_IN), 1);
    raise(entry + (out != 0 ? FLOW_OUT_BYTES : FLOW_IN_BYTES), frame_bytes);
}

void nic_flows_count(struct nic_flows *flows, const uint8_t *start, uint32_t present,
                     uint32_t frame_bytes, uint32_t out)
{
    nic_flows_count_hash(flows, nic_flow_key_hash(start, present), frame_bytes, out);
}

void nic_flows_state_get(const struct nic_flows *flows, struct nic_flows_state *ret_state)
{
    *ret_state = flows->state;
}

void nic_flows_state_set(struct nic_flows *flows, const struct nic_flows_state *state)
{
    flows->state = *state;
}

uint64_t nic_flows_pages(const struct nic_flows *flows)
{
    return flows->pages;
}

uint64_t nic_flows_used(const struct nic_flows *flows)
{
    return flows->used.count;
}

void nic_flows_track(struct nic_flows *flows)
{
    nic_page_set_clear(&flows->changed);
    nic_page_set_copy(&flows->image, &flows->used);
    flows->cursor = 0;
    flows->tracked = 1;
}

void nic_flows_track_end(struct nic_flows *flows)
{
    nic_page_set_clear(&flows->changed);
    nic_page_set_clear(&flows->image);
    flows->tracked = 0;
}

void nic_flows_image(struct nic_flows *flows)
{
    if (flows->image.count == 0) {
        const struct nic_page_set empty = flows->image;

        flows->image = flows->changed;
        flows->changed = empty;
    } else {
        for (uint64_t page = 0; flows->changed.count != 0; page++) {
            page = nic_page_set_next(&flows->changed, page);
            nic_page_set_remove(&flows->changed, page);
            nic_page_set_add(&flows->image, page);
        }
    }
    flows->cursor = 0;
}

uint64_t nic_flows_left(const struct nic_flows *flows)
{
    return flows->image.count;
}

uint64_t nic_flows_changed(const struct nic_flows *flows)
{
    return flows->changed.count;
}

uint32_t nic_flows_take(struct nic_flows *flows, uint32_t most, uint64_t *ret_page)
{
    const uint64_t first = nic_page_set_next(&flows->image, flows->cursor);
    uint32_t count = 0;

    if (first == NO_PAGE) {
        return 0;
    }
    while (count < most && first + count < flows->pages &&
           nic_page_set_has(&flows->image, first + count)) {
        nic_page_set_remove(&flows->image, first + count);
        count++;
    }
    flows->cursor = first + count;
    *ret_page = first;
    return count;
}

const uint8_t *nic_flows_page(const struct nic_flows *flows, uint64_t page)
{
    return flows->memory + page * NIC_FLOWS_PAGE;
}

uint8_t *nic_flows_place(struct nic_flows *flows, uint64_t page, uint32_t count)
{
    if (count >= RUN_PAGES) {
        advise_huge(flows, page, page + count - 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        use(flows, page + i);
    }
    return flows->memory + page * NIC_FLOWS_PAGE;
}

static int is_zero(const uint8_t *entry)
{
    uint64_t bits = 0;

    for (uint32_t at = 0; at < NIC_FLOW_BYTES; at += 8) {
        bits |= le_get64(entry + at);
    }
    return bits == 0;
}

int nic_flows_page_valid(const struct nic_flows *flows, uint64_t page, uint64_t *max_age)
{
    const uint8_t *start = nic_flows_page(flows, page);

    for (uint32_t off = 0; off < NIC_FLOWS_PAGE; off += NIC_FLOW_BYTES) {
        const uint64_t hash = le_get64(start + off + FLOW_HASH);
        const uint64_t age = le_get64(start + off + FLOW_AGE);

        if (hash == 0) {
            if (!is_zero(start + off)) {
                return 0;
            }
            continue;
        }
        if (bucket_off(flows, hash) !=
                (page * NIC_FLOWS_PAGE + off) / BUCKET_BYTES * BUCKET_BYTES ||
            le_get64(start + off + FLOW_FIRST) > age || age == 0 ||
            le_get64(start + off + FLOW_ZERO) != 0) {
            return 0;
        }
        *max_age = age > *max_age ? age : *max_age;
    }
    return 1;
}
