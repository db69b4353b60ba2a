/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "test_device_toy.h"

#define RW (FERRY_DMA_READ | FERRY_DMA_WRITE)
#define PAGE 4096ull
#define SPACE_PAGES 512u /* the model's address space */

static int setup(void **state)
{
    struct toy *toy = toy_new(FERRY_MIG_STOP_COPY, 0);

    toy_bus_master(toy);
    *state = toy;
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static int start(struct toy *toy, uint64_t page_size, const struct ferry_range *range,
                 uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START };
    int status;

    request.u.log_start = (struct ferry_log_start){ .page_size = page_size,
                                                    .range_count = count,
                                                    .range = range };
    status = toy_ask(toy, &request);
    if (status == FERRY_OK) {
        assert_int_equal(request.u.log_start.page_size, PAGE);
    }
    return status;
}

static int stop(struct toy *toy)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    return toy_ask(toy, &request);
}

static int report(struct toy *toy, uint64_t iova, uint64_t length, uint64_t page_size,
                  void *bitmap, uint64_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };

    request.u.log_report = (struct ferry_log_report){ .iova = iova,
                                                      .length = length,
                                                      .page_size = page_size,
                                                      .bitmap = bitmap,
                                                      .bitmap_bytes = bytes };
    return toy_ask(toy, &request);
}

/* Return: the status; *ret_runs: what the request has become. */
static int ask_runs(struct toy *toy, uint64_t iova, uint64_t length, uint64_t page_size,
                    struct ferry_range *run, uint32_t cap,
                    struct ferry_log_runs *ret_runs)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_RUNS };
    int status;

    request.u.log_runs = (struct ferry_log_runs){
        .iova = iova, .length = length, .page_size = page_size, .run = run, .cap = cap
    };
    status = toy_ask(toy, &request);
    *ret_runs = request.u.log_runs;
    return status;
}

/* Number of pages of 4096 bytes that a report of the whole space names. */
static uint64_t dirty_now(struct toy *toy)
{
    uint8_t bitmap[SPACE_PAGES / 8] = { 0 };

    assert_int_equal(report(toy, 0, SPACE_PAGES * PAGE, PAGE, bitmap, sizeof(bitmap)),
                     FERRY_OK);
    return ferry_bitmap_count(bitmap, SPACE_PAGES);
}

/* MIG-LOG-2, MIG-LOG-3, MIG-LOG-14 */
static void start_refuses_what_is_malformed(void **state)
{
    struct toy *toy = *state;
    struct ferry_range range[257] = { { 0, PAGE } };
    const struct ferry_range overlap[3] = { { 8 * PAGE, PAGE },
                                            { 0, 2 * PAGE },
                                            { PAGE, PAGE } };
    const struct ferry_range covering[2] = { { PAGE, PAGE }, { 0, 16 * PAGE } };
    const struct ferry_range empty = { PAGE, 0 }, odd = { PAGE, 2 * PAGE },
                             skew = { 512, PAGE }, over = { 0ull - PAGE, 2 * PAGE };

    assert_int_equal(start(toy, 0, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(start(toy, 3, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(start(toy, 2048, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(start(toy, 12288, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(start(toy, PAGE, range, 257), FERRY_E_LIMIT);
    assert_int_equal(start(toy, PAGE, overlap, 3), FERRY_E_OVERLAP);
    assert_int_equal(start(toy, PAGE, covering, 2), FERRY_E_OVERLAP);
    assert_int_equal(start(toy, PAGE, &empty, 1), FERRY_E_ARGUMENT);
    assert_int_equal(start(toy, 2 * PAGE, &odd, 1), FERRY_E_ALIGN);
    assert_int_equal(start(toy, PAGE, &skew, 1), FERRY_E_ALIGN);
    assert_int_equal(start(toy, PAGE, &over, 1), FERRY_E_RANGE);
    assert_int_equal(report(toy, 0, PAGE, PAGE, range, 8), FERRY_E_NOT_FOUND);
    assert_int_equal(stop(toy), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_E_BUSY);
}

/* MIG-LOG-4, MIG-LOG-15 */
static void report_refuses_what_is_malformed(void **state)
{
    struct toy *toy = *state;
    uint64_t bitmap[2];

    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(report(toy, 0, PAGE, 2048, bitmap, 16), FERRY_E_ARGUMENT);
    assert_int_equal(report(toy, 0, 3 * PAGE, 3 * PAGE, bitmap, 16), FERRY_E_ARGUMENT);
    assert_int_equal(report(toy, 0, 0, PAGE, bitmap, 16), FERRY_E_ARGUMENT);
    assert_int_equal(report(toy, 0, 3 * PAGE, 2 * PAGE, bitmap, 16), FERRY_E_ALIGN);
    assert_int_equal(report(toy, 100, PAGE, PAGE, bitmap, 16), FERRY_E_ALIGN);
    assert_int_equal(report(toy, 0ull - PAGE, 2 * PAGE, PAGE, bitmap, 16), FERRY_E_RANGE);
    assert_int_equal(report(toy, 0, 65 * PAGE, PAGE, bitmap, 8), FERRY_E_CAPACITY);
    assert_int_equal(report(toy, 0, 65 * PAGE, PAGE, NULL, 16), FERRY_E_CAPACITY);
    assert_int_equal(report(toy, 0, 65 * PAGE, PAGE, bitmap, 16), FERRY_OK);
}

static void runs_refuse_what_is_malformed(void **state)
{
    struct toy *toy = *state;
    struct ferry_log_runs runs;
    struct ferry_range run[1];

    assert_int_equal(ask_runs(toy, 0, PAGE, PAGE, run, 1, &runs), FERRY_E_NOT_FOUND);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(ask_runs(toy, 0, PAGE, 0, run, 1, &runs), FERRY_E_ARGUMENT);
    assert_int_equal(ask_runs(toy, 0, PAGE, 3, run, 1, &runs), FERRY_E_ARGUMENT);
    assert_int_equal(ask_runs(toy, 0, PAGE, 2048, run, 1, &runs), FERRY_E_ARGUMENT);
    assert_int_equal(ask_runs(toy, 0, 3 * PAGE, 3 * PAGE, run, 1, &runs),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ask_runs(toy, 0, 0, PAGE, run, 1, &runs), FERRY_E_ARGUMENT);
    assert_int_equal(ask_runs(toy, 0, 3 * PAGE, 2 * PAGE, run, 1, &runs), FERRY_E_ALIGN);
    assert_int_equal(ask_runs(toy, 100, PAGE, PAGE, run, 1, &runs), FERRY_E_ALIGN);
    assert_int_equal(ask_runs(toy, 0ull - PAGE, 2 * PAGE, PAGE, run, 1, &runs),
                     FERRY_E_RANGE);
    assert_int_equal(ask_runs(toy, PAGE, 1ull << 63, 1ull << 63, run, 1, &runs),
                     FERRY_OK);
    assert_int_equal(ask_runs(toy, 1ull << 63, 1ull << 63, 1ull << 63, run, 1, &runs),
                     FERRY_E_RANGE);
    assert_int_equal(ask_runs(toy, 0, PAGE, PAGE, run, 0, &runs), FERRY_E_CAPACITY);
    assert_int_equal(ask_runs(toy, 0, PAGE, PAGE, NULL, 1, &runs), FERRY_E_CAPACITY);
    /* Nothing is mapped: nothing is dirty, and that is all. */
    assert_int_equal(ask_runs(toy, 0, 0ull - PAGE, PAGE, run, 1, &runs), FERRY_OK);
    assert_int_equal(runs.count, 0);
    assert_int_equal(runs.next_iova, 0ull - PAGE);
}

/* Is the page mapped / logged in the model? */
struct model {
    uint8_t mapped[SPACE_PAGES];
    uint8_t logged[SPACE_PAGES];
    uint8_t dirty[SPACE_PAGES];
};

/* What a report must say, page by page; clears what it takes. */
static void model_report(struct model *model, uint64_t first, uint64_t pages,
                         uint64_t per_bit, uint8_t *bitmap)
{
    for (uint64_t i = 0; i < pages; i++) {
        if (model->dirty[first + i] && model->logged[first + i] &&
            model->mapped[first + i]) {
            bitmap[i / per_bit / 8] |= (uint8_t)(1u << (i / per_bit % 8));
            model->dirty[first + i] = 0;
        }
    }
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* Maps of many sizes, with and without holes, some without a descriptor. */
static void map_space(struct toy *toy, struct model *model, int fd)
{
    static const struct {
        uint32_t first, pages;
        int message;
    } maps[] = { { 0, 1, 0 },    { 1, 3, 0 },    { 8, 64, 0 },   { 72, 1, 0 },
                 { 73, 100, 0 }, { 200, 56, 1 }, { 256, 65, 0 }, { 400, 111, 0 } };

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        assert_int_equal(toy_map(toy, maps[i].first * PAGE, maps[i].pages * PAGE,
                                 maps[i].first * PAGE, maps[i].message ? -1 : fd, RW),
                         FERRY_OK);
        memset(model->mapped + maps[i].first, 1, maps[i].pages);
    }
}

static void write_somewhere(struct toy *toy, struct model *model, uint32_t *seed)
{
    static const uint8_t data[3 * 4096] = { 1 };
    const uint64_t iova = next_random(seed) % (SPACE_PAGES * PAGE - sizeof(data));
    const uint32_t size = 1 + next_random(seed) % sizeof(data);
    const uint64_t last = (iova + size - 1) / PAGE;

    for (uint64_t page = iova / PAGE; page <= last; page++) {
        if (!model->mapped[page]) {
            return;
        }
    }
    assert_int_equal(ferry_dma_write(toy->device, iova, data, size), FERRY_OK);
    memset(model->dirty + iova / PAGE, 1, (size_t)(last - iova / PAGE + 1));
}

static void compare_report(struct toy *toy, struct model *model, uint32_t *seed)
{
    const uint64_t per_bit = 1ull << (next_random(seed) % 7);
    const uint64_t first = next_random(seed) % SPACE_PAGES;
    const uint64_t bits = (SPACE_PAGES - first) / per_bit;
    uint8_t got[SPACE_PAGES / 8 + 16], want[SPACE_PAGES / 8 + 16];
    uint64_t pages;

    if (bits == 0) {
        return;
    }
    pages = (1 + next_random(seed) % bits) * per_bit;
    memset(got, 0, sizeof(got));
    memset(want, 0, sizeof(want));
    model_report(model, first, pages, per_bit, want);
    assert_int_equal(report(toy, first * PAGE, pages * PAGE, per_bit * PAGE, got,
                            ferry_bitmap_bytes(pages / per_bit)),
                     FERRY_OK);
    assert_memory_equal(got, want, sizeof(got));
}

/* What a request for runs must say: asks on until it is through. */
static void compare_runs(struct toy *toy, struct model *model, uint32_t *seed)
{
    const uint64_t per_bit = 1ull << (next_random(seed) % 7);
    const uint64_t first = next_random(seed) % SPACE_PAGES;
    const uint64_t bits = (SPACE_PAGES - first) / per_bit;
    const uint32_t cap = 1 + next_random(seed) % 40;
    const uint64_t page_size = per_bit * PAGE;
    uint8_t got[SPACE_PAGES / 8 + 16] = { 0 }, want[SPACE_PAGES / 8 + 16] = { 0 };
    uint64_t iova = first * PAGE, end, pages, told = 0;
    struct ferry_log_runs runs;
    struct ferry_range run[41];

    if (bits == 0) {
        return;
    }
    pages = (1 + next_random(seed) % bits) * per_bit;
    end = iova + pages * PAGE;
    model_report(model, first, pages, per_bit, want);
    while (iova < end) {
        memset(run, 0x5a, sizeof(run));
        assert_int_equal(ask_runs(toy, iova, end - iova, page_size, run, cap, &runs),
                         FERRY_OK);
        assert_true(runs.next_iova > iova && runs.next_iova <= end);
        assert_true(runs.count == cap || runs.next_iova == end);
        assert_int_equal(run[cap].off, 0x5a5a5a5a5a5a5a5a);
        for (uint32_t i = 0; i < runs.count; i++) {
            assert_true(run[i].size > 0 && run[i].off >= iova);
            /* Ascending, and apart: a run goes as far as it can. */
            assert_true(i == 0 || run[i].off > told);
            told = run[i].off + run[i].size;
            assert_true(told <= runs.next_iova);
            assert_int_equal((run[i].off - first * PAGE) % page_size, 0);
            assert_int_equal(run[i].size % page_size, 0);
            ferry_bitmap_set_range(got, (run[i].off - first * PAGE) / page_size,
                                   run[i].size / page_size);
        }
        iova = runs.next_iova;
    }
    assert_memory_equal(got, want, sizeof(got));
}

/* MIG-LOG-6, MIG-LOG-7, MIG-LOG-9 */
static void reports_agree_with_a_naive_model(void **state)
{
    static const struct ferry_range ranges[3] = { { 300 * PAGE, 150 * PAGE },
                                                  { 2 * PAGE, 68 * PAGE },
                                                  { 90 * PAGE, 130 * PAGE } };
    struct toy *toy = *state;
    struct model *model = calloc(1, sizeof(*model));
    const int fd = toy_memfd(SPACE_PAGES * PAGE);
    uint32_t seed = 20211201;

    toy->port_iova = 200 * PAGE;
    map_space(toy, model, fd);
    for (uint32_t count = 0; count <= 3; count += 3) {
        memset(model->dirty, 0, SPACE_PAGES);
        memset(model->logged, count == 0, SPACE_PAGES);
        for (uint32_t i = 0; i < count; i++) {
            memset(model->logged + ranges[i].off / PAGE, 1,
                   (size_t)(ranges[i].size / PAGE));
        }
        assert_int_equal(start(toy, PAGE, ranges, count), FERRY_OK);
        for (uint32_t round = 0; round < 3000; round++) {
            write_somewhere(toy, model, &seed);
            /* Many pages dirty, or few. */
            if (round % (round < 1500 ? 5 : 40) == 0) {
                compare_report(toy, model, &seed);
            } else if (round % (round < 1500 ? 7 : 30) == 0) {
                compare_runs(toy, model, &seed);
            }
        }
        assert_int_equal(stop(toy), FERRY_OK);
    }
    free(model);
    close(fd);
}

/* A run crosses maps; what did not fit stays marked. */
static void runs_that_do_not_fit_are_told_later(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(16 * PAGE);
    static const uint8_t data[2 * 4096] = { 1 };
    struct ferry_range run[2];
    struct ferry_log_runs runs;

    assert_int_equal(toy_map(toy, 0, 4 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 4 * PAGE, 12 * PAGE, 4 * PAGE, fd, RW), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 3 * PAGE, data, 2 * PAGE), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 7 * PAGE, data, PAGE), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 12 * PAGE, data, 2 * PAGE), FERRY_OK);
    assert_int_equal(ask_runs(toy, 0, 16 * PAGE, PAGE, run, 1, &runs), FERRY_OK);
    assert_true(runs.count == 1 && run[0].off == 3 * PAGE && run[0].size == 2 * PAGE);
    assert_int_equal(runs.next_iova, 7 * PAGE);
    assert_int_equal(ask_runs(toy, 0, 16 * PAGE, 8 * PAGE, run, 2, &runs), FERRY_OK);
    /* Two pages of 8 that touch are one run. */
    assert_true(runs.count == 1 && run[0].off == 0 && run[0].size == 16 * PAGE);
    assert_int_equal(runs.next_iova, 16 * PAGE);
    assert_int_equal(dirty_now(toy), 0);
    close(fd);
}

/* MIG-LOG-6 */
static void bits_are_only_set(void **state)
{
    struct toy *toy = *state;
    uint8_t bitmap[8];

    memset(bitmap, 0xff, sizeof(bitmap));
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(report(toy, 0, 64 * PAGE, PAGE, bitmap, 8), FERRY_OK);
    assert_int_equal(ferry_bitmap_count(bitmap, 64), 64);
}

static void a_map_made_later_is_logged(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(4 * PAGE);

    assert_int_equal(start(toy, 1ull << 21, NULL, 0), FERRY_OK);
    assert_int_equal(toy_map(toy, 4 * PAGE, 4 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 5 * PAGE, "x", 1), FERRY_OK);
    assert_int_equal(dirty_now(toy), 1);
    assert_int_equal(dirty_now(toy), 0); /* a report takes what it tells */
    assert_int_equal(stop(toy), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, 6 * PAGE, "x", 1), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(dirty_now(toy), 0);
    close(fd);
}

/* MIG-LOG-9, MIG-LOG-10: not before it is given back, and as soon as it is. */
static void only_what_was_written_of_a_segment_is_dirty(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8 * PAGE);
    struct ferry_dma_segment segment;

    assert_int_equal(toy_map(toy, 0, 8 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 2 * PAGE, 4 * PAGE, 1, &segment),
                     FERRY_OK);
    memset(segment.address, 1, PAGE + 1);
    assert_int_equal(dirty_now(toy), 0);
    ferry_dma_put(toy->device, &segment, PAGE + 1);
    assert_int_equal(dirty_now(toy), 2);
    assert_int_equal(ferry_dma_get(toy->device, 0, PAGE, 0, &segment), FERRY_OK);
    ferry_dma_put(toy->device, &segment, PAGE); /* read only: cannot have written */
    assert_int_equal(ferry_dma_get(toy->device, 7 * PAGE, 4 * PAGE, 1, &segment),
                     FERRY_OK);
    ferry_dma_put(toy->device, &segment, UINT64_MAX); /* never past the segment */
    assert_int_equal(dirty_now(toy), 1);
    close(fd);
}

static void a_segment_held_over_stop_and_start_is_logged(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(4 * PAGE);
    struct ferry_dma_segment segment;

    assert_int_equal(toy_map(toy, 0, 4 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 0, 2 * PAGE, 1, &segment), FERRY_OK);
    assert_int_equal(stop(toy), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    ferry_dma_put(toy->device, &segment, 2 * PAGE);
    assert_int_equal(dirty_now(toy), 2);
    close(fd);
}

static void an_unmap_takes_its_log_along(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_memfd(8 * PAGE);
    struct ferry_dma_segment segment;
    uint8_t bitmap[8] = { 0 };
    struct ferry_request unmap = { .kind = FERRY_RQ_DMA_UNMAP };

    unmap.u.unmap = (struct ferry_dma_unmap){ .iova = 8 * PAGE,
                                              .size = 8 * PAGE,
                                              .flags = FERRY_UNMAP_BITMAP,
                                              .page_size = 2 * PAGE,
                                              .bitmap = bitmap,
                                              .bitmap_bytes = 8 };
    assert_int_equal(toy_map(toy, 8 * PAGE, 8 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(toy_ask(toy, &unmap), FERRY_E_NOT_FOUND); /* the log is not on */
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    unmap.u.unmap.bitmap_bytes = 7;
    assert_int_equal(toy_ask(toy, &unmap), FERRY_E_CAPACITY);
    unmap.u.unmap.bitmap_bytes = 8;
    assert_int_equal(ferry_dma_write(toy->device, 9 * PAGE, "x", 1), FERRY_OK);
    assert_int_equal(ferry_dma_get(toy->device, 14 * PAGE, PAGE, 1, &segment), FERRY_OK);
    assert_int_equal(toy_start(toy, &unmap), FERRY_PENDING);
    /* What is marked while the unmap waits belongs to it. */
    ferry_dma_put(toy->device, &segment, 1);
    toy_work(toy);
    assert_true(toy_over(&unmap));
    assert_int_equal(unmap.status, FERRY_OK);
    assert_int_equal(bitmap[0], 0x09);
    /* The same range again, fresh: nothing of the old log. */
    assert_int_equal(toy_map(toy, 8 * PAGE, 8 * PAGE, 0, fd, RW), FERRY_OK);
    assert_int_equal(dirty_now(toy), 0);
    close(fd);
}

/* Maps without a descriptor cost the user nothing; their marks cost the device memory. */
static void more_pages_than_the_limit_are_not_logged(void **state)
{
    struct toy *toy = *state;
    const uint64_t tib = 1ull << 40;

    assert_int_equal(toy_map(toy, 0, 16 * tib, 0, -1, RW), FERRY_OK);
    assert_int_equal(toy_map(toy, 16 * tib, PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_E_LIMIT);
    assert_int_equal(toy_unmap(toy, 0, 16 * tib), FERRY_OK);
    assert_int_equal(start(toy, PAGE, NULL, 0), FERRY_OK);
    assert_int_equal(toy_map(toy, 0, 16 * tib, 0, -1, RW), FERRY_E_LIMIT);
    assert_int_equal(toy_map(toy, 0, PAGE, 0, -1, RW), FERRY_OK);
    assert_int_equal(stop(toy), FERRY_OK);
    assert_int_equal(toy_map(toy, PAGE, 15 * tib, 0, -1, RW), FERRY_OK);
}

static void two_ranges(struct ferry_device_desc *desc)
{
    desc->log_ranges_max = 2;
}

static int setup_two(void **state)
{
    struct toy *toy = toy_new_with(FERRY_MIG_STOP_COPY, 0, two_ranges);

    toy_bus_master(toy);
    *state = toy;
    return 0;
}

/* More ranges than the device can hold: the smallest gaps are logged as well. */
static void ranges_beyond_the_device_s_limit_are_combined(void **state)
{
    static const struct ferry_range ranges[] = { { 40 * PAGE, 2 * PAGE },
                                                 { 0, 2 * PAGE },
                                                 { 5 * PAGE, PAGE },
                                                 { 20 * PAGE, PAGE },
                                                 { 8 * PAGE, PAGE } };
    struct toy *toy = *state;
    const int fd = toy_memfd(64 * PAGE);
    uint64_t bitmap = 0;

    assert_int_equal(toy_map(toy, 0, 64 * PAGE, 0, fd, RW), FERRY_OK);
    for (uint32_t round = 0; round < 2; round++) { /* the limit outlasts a stop */
        bitmap = 0;
        assert_int_equal(start(toy, PAGE, ranges, 5), FERRY_OK);
        for (uint64_t page = 0; page < 64; page++) {
            assert_int_equal(ferry_dma_write(toy->device, page * PAGE, "x", 1), FERRY_OK);
        }
        assert_int_equal(report(toy, 0, 64 * PAGE, PAGE, &bitmap, sizeof(bitmap)),
                         FERRY_OK);
        assert_true(bitmap == (0x3ull << 40 | 0x1fffff));
        assert_int_equal(stop(toy), FERRY_OK);
    }
    bitmap = 0;
    assert_int_equal(start(toy, PAGE, ranges, 2), FERRY_OK); /* those it can hold */
    assert_int_equal(ferry_dma_write(toy->device, 3 * PAGE, "x", 1), FERRY_OK);
    assert_int_equal(ferry_dma_write(toy->device, PAGE, "x", 1), FERRY_OK);
    assert_int_equal(report(toy, 0, 64 * PAGE, PAGE, &bitmap, sizeof(bitmap)), FERRY_OK);
    assert_int_equal(bitmap, 2);
    close(fd);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(start_refuses_what_is_malformed),
        TEST(report_refuses_what_is_malformed),
        TEST(reports_agree_with_a_naive_model),
        TEST(runs_refuse_what_is_malformed),
        TEST(runs_that_do_not_fit_are_told_later),
        TEST(bits_are_only_set),
        TEST(a_map_made_later_is_logged),
        TEST(only_what_was_written_of_a_segment_is_dirty),
        TEST(a_segment_held_over_stop_and_start_is_logged),
        TEST(an_unmap_takes_its_log_along),
        TEST(more_pages_than_the_limit_are_not_logged),
        cmocka_unit_test_setup_teardown(ranges_beyond_the_device_s_limit_are_combined,
                                        setup_two, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
