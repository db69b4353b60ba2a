/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the map of dirty pages: operations on it and on an array of one byte per page,
 * which must always agree. The first byte chooses the number of pages.
 */
#include <string.h>

#include "base/reader.h"
#include "core/dirty.h"
#include "must.h"

#define PAGES_MAX 9000u
#define SHIFT 12u
#define PAGE (1u << SHIFT)
#define BITMAP_BYTES 1024u

struct pair {
    struct ferry_dirty map;
    uint64_t pages;
    uint8_t model[PAGES_MAX];
};

static struct pair pair;
static uint64_t memory[4096];

static void set(uint64_t off, uint64_t size)
{
    ferry_dirty_set(&pair.map, off, size);
    for (uint64_t page = 0; size > 0 && page < pair.pages; page++) {
        if (page * PAGE < off + size && (page + 1) * PAGE > off) {
            pair.model[page] = 1;
        }
    }
}

static void merge(uint64_t first, uint64_t count, uint8_t pattern)
{
    uint8_t bitmap[BITMAP_BYTES];

    count %= BITMAP_BYTES * 8;
    memset(bitmap, pattern, sizeof(bitmap));
    if (first > pair.pages || count > pair.pages - first) {
        return;
    }
    ferry_dirty_merge(&pair.map, first, count, bitmap);
    for (uint64_t i = 0; i < count; i++) {
        pair.model[first + i] |= pattern >> (i % 8) & 1;
    }
}

/* A run is dirty as a whole, nothing before it is, and it is as long as it can be. */
static void took(uint64_t *cursor, uint64_t end, uint64_t most, uint64_t first,
                 uint64_t count)
{
    must(first >= *cursor && count > 0 && count <= most && count <= end - first);
    for (uint64_t page = *cursor; page < first; page++) {
        must(!pair.model[page]);
    }
    for (uint64_t page = first; page < first + count; page++) {
        must(pair.model[page]);
        pair.model[page] = 0;
    }
    *cursor = first + count;
    must(count == most || *cursor == end || !pair.model[*cursor]);
}

static void take(uint64_t cursor, uint64_t most)
{
    uint64_t before = cursor, first, count;

    if (ferry_dirty_take_run(&pair.map, &cursor, most, &first, &count)) {
        took(&before, pair.pages, most, first, count);
        must(cursor == before);
        return;
    }
    for (uint64_t page = before; page < pair.pages; page++) {
        must(!pair.model[page]);
    }
}

/* A walk that may end early. */
static void walk(uint64_t from, uint64_t pages, uint64_t most, uint32_t runs)
{
    struct ferry_dirty_walk one;
    uint64_t end = from + pages < pair.pages ? from + pages : pair.pages, first, count;
    int more = 1;

    ferry_dirty_walk_begin(&one, &pair.map, from, pages);
    while (runs-- > 0 && more) {
        more = ferry_dirty_walk_next(&one, most, &first, &count);
        if (more) {
            took(&from, end, most, first, count);
        }
    }
    ferry_dirty_walk_end(&one);
    for (; !more && from < end; from++) {
        must(!pair.model[from]);
    }
}

static void report(uint64_t first, uint64_t count, uint32_t lead, uint32_t shift)
{
    uint8_t bitmap[BITMAP_BYTES * 8 + 64] = { 0 }, want[sizeof(bitmap)] = { 0 };

    if (first > pair.pages || count > pair.pages - first || count > 4096) {
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = (lead + i) * PAGE >> shift;
        uint64_t bits = shift < SHIFT ? 1u << (SHIFT - shift) : 1u;

        for (uint64_t b = at; pair.model[first + i] && b < at + bits; b++) {
            want[b / 8] |= (uint8_t)(1u << b % 8);
        }
        pair.model[first + i] = 0;
    }
    ferry_dirty_report(&pair.map, first, count, lead, shift, bitmap);
    must(memcmp(bitmap, want, sizeof(bitmap)) == 0);
}

static void compare(void)
{
    uint64_t count = 0;

    for (uint64_t page = 0; page < pair.pages; page++) {
        must(ferry_dirty_test(&pair.map, page) == pair.model[page]);
        count += pair.model[page];
    }
    must(ferry_dirty_count(&pair.map) == count);
}

static void operate(struct ferry_reader *reader)
{
    uint8_t op = ferry_reader_u8(reader), x = ferry_reader_u8(reader);
    uint16_t a = ferry_reader_u16(reader), b = ferry_reader_u16(reader);

    switch (op % 8) {
    case 0:
    case 1:
        set((uint64_t)a << (x % 14), (uint64_t)b << (x / 14));
        break;
    case 2:
        merge(a, b, x);
        break;
    case 3:
        take(a < pair.pages ? a : pair.pages, (uint64_t)x + 1);
        break;
    case 4:
        walk(a < pair.pages ? a : pair.pages, b, (uint64_t)x + 1, x % 5 ? x : UINT32_MAX);
        break;
    case 5:
        report(a, b, x % 8u, SHIFT - 1 + x / 8u % 4u);
        break;
    case 6:
        ferry_dirty_set_all(&pair.map);
        memset(pair.model, 1, sizeof(pair.model));
        break;
    default:
        ferry_dirty_clear_all(&pair.map);
        memset(pair.model, 0, sizeof(pair.model));
        break;
    }
    compare();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint16_t counts[] = { 1, 63, 64, 65, 640, 4095, 4096, PAGES_MAX };
    struct ferry_reader reader;

    ferry_reader_init(&reader, data, size);
    memset(&pair, 0, sizeof(pair));
    pair.pages = counts[ferry_reader_u8(&reader) % 8];
    must(ferry_dirty_need(pair.pages) <= sizeof(memory));
    ferry_dirty_init(&pair.map, pair.pages, SHIFT, memory);
    for (uint32_t i = 0; i < 64 && ferry_reader_remaining(&reader) >= 6; i++) {
        operate(&reader);
    }
    return 0;
}
