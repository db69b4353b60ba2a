/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One `copy` device, request by request: the pages that its log names are those that it
 * wrote, over several maps, holes and an unmap.
 *
 * usage: kernel_requests URI log|none
 * Exit: 0; 1 with what did not hold on standard error.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bitmap.h"
#include "host/backend/backend.h"
#include "models/copy/copy_regs.h"
#include "os/memory.h"

#define PAGE 4096ull
#define MIB (1ull << 20)
#define PAGES (16 * MIB / PAGE) /* that are asked for, from address 0 */
#define RING (1 * MIB)
#define DONE_RING (RING + PAGE)
#define ENTRIES 32u
#define END 0u      /* of a list of pages */
#define TURNS 20000 /* looks at a completion, a tenth of a millisecond each */

/* What is mapped; there are holes between them. */
static struct map {
    uint64_t iova, bytes;
    uint8_t *address;
    int fd;
} maps[] = {
    { .iova = RING, .bytes = 2 * PAGE },
    { .iova = 4 * MIB, .bytes = MIB },
    { .iova = 5 * MIB, .bytes = 3 * PAGE }, /* directly behind */
    { .iova = 15 * MIB, .bytes = MIB },
};
#define MAPS (sizeof(maps) / sizeof(maps[0]))

static struct ferry_backend *backend;
static struct ferry_error error;
static uint64_t bitmap[PAGES / 64];
static uint32_t tail;

#define CHECK(condition) check((condition) != 0, #condition, __LINE__)

static void check(int holds, const char *what, int line)
{
    if (!holds) {
        fprintf(stderr, "requests.c:%d: does not hold: %s (%s)\n", line, what,
                error.text);
        exit(1);
    }
}

static int call(struct ferry_request *request)
{
    request->reterr = &error;
    return backend->ops->call(backend, request);
}

/* --- memory and device */

static void *at(uint64_t iova)
{
    for (size_t i = 0; i < MAPS; i++) {
        if (iova >= maps[i].iova && iova - maps[i].iova < maps[i].bytes) {
            return maps[i].address + (iova - maps[i].iova);
        }
    }
    CHECK(iova == 0); /* none is mapped there */
    return NULL;
}

static void map_all(void)
{
    for (size_t i = 0; i < MAPS; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP };

        CHECK(ferry_os_memfd_create("memory", maps[i].bytes, &maps[i].fd) == FERRY_OK);
        maps[i].address =
            mmap(NULL, maps[i].bytes, PROT_READ | PROT_WRITE, MAP_SHARED, maps[i].fd, 0);
        CHECK(maps[i].address != MAP_FAILED);
        request.u.map =
            (struct ferry_dma_map){ .iova = maps[i].iova,
                                    .size = maps[i].bytes,
                                    .fd = maps[i].fd,
                                    .address = maps[i].address,
                                    .flags = FERRY_DMA_READ | FERRY_DMA_WRITE };
        CHECK(call(&request) == FERRY_OK);
    }
}

static int unmap(size_t map, void *bits)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    request.u.unmap =
        (struct ferry_dma_unmap){ .iova = maps[map].iova,
                                  .size = maps[map].bytes,
                                  .flags = bits != NULL ? FERRY_UNMAP_BITMAP : 0,
                                  .page_size = PAGE,
                                  .bitmap = bits,
                                  .bitmap_bytes =
                                      (maps[map].bytes / PAGE + 63) / 64 * 8 };
    return call(&request);
}

static void set(uint32_t region, uint64_t off, uint64_t value, uint32_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io = (struct ferry_region_io){
        .index = region, .count = bytes, .off = off, .data = &value
    };
    CHECK(call(&request) == FERRY_OK);
}

static void start_channel(void)
{
    set(7, 4, 6, 2); /* memory and bus master */
    set(COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_RING, RING, 8);
    set(COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_DONE_RING, DONE_RING, 8);
    set(COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_ENTRIES, ENTRIES, 4);
    set(COPY_BAR_REGS, COPY_CHANNEL_OFF + COPY_CH_CONTROL, COPY_CONTROL_ENABLE, 4);
}

/* The device writes there; its completion is in the page of the done ring. Return: its
 * status. */
static uint32_t fill(uint64_t iova, uint64_t bytes)
{
    const struct copy_descriptor descriptor = {
        .op = COPY_OP_FILL, .src = 0x1122334455667788, .dst = iova, .len = bytes
    };
    const struct copy_completion *done =
        at(DONE_RING + tail % ENTRIES * sizeof(struct copy_completion));

    memcpy(at(RING + tail % ENTRIES * sizeof(descriptor)), &descriptor,
           sizeof(descriptor));
    tail++;
    set(COPY_BAR_REGS, COPY_DOORBELL_OFF, tail, 4);
    for (int i = 0; __atomic_load_n(&done->sequence, __ATOMIC_ACQUIRE) != tail; i++) {
        CHECK(i < TURNS);
        usleep(100);
    }
    return done->status;
}

/* --- the log */

static int log_start(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START };
    struct ferry_range range[MAPS];

    for (size_t i = 0; i < MAPS; i++) {
        range[i] = (struct ferry_range){ .off = maps[i].iova, .size = maps[i].bytes };
    }
    request.u.log_start.page_size = PAGE;
    request.u.log_start.range = range;
    request.u.log_start.range_count = MAPS;
    return call(&request);
}

static int log_stop(void)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    return call(&request);
}

static int report(uint64_t iova, uint64_t bytes)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };

    memset(bitmap, 0, sizeof(bitmap));
    request.u.log_report = (struct ferry_log_report){ .iova = iova,
                                                      .length = bytes,
                                                      .page_size = PAGE,
                                                      .bitmap = bitmap,
                                                      .bitmap_bytes = sizeof(bitmap) };
    return call(&request);
}

/* Exactly these pages and no other are in the report that starts at iova; END is the
 * last. */
static int named(uint64_t iova, const uint64_t *page)
{
    for (; *page != END; page++) {
        const uint64_t number = *page - iova / PAGE;

        if ((bitmap[number / 64] >> (number % 64) & 1) == 0) {
            snprintf(error.text, sizeof(error.text), "page %llu is not named",
                     (unsigned long long)*page);
            return 0;
        }
        bitmap[number / 64] &= ~(1ull << (number % 64));
    }
    for (uint64_t number = 0; number < PAGES; number++) {
        if ((bitmap[number / 64] >> (number % 64) & 1) != 0) {
            snprintf(error.text, sizeof(error.text), "page %llu is named",
                     (unsigned long long)(number + iova / PAGE));
            return 0;
        }
    }
    return 1;
}

#define NAMED(iova, ...) named(iova, (const uint64_t[]){ __VA_ARGS__ })
#define DONE_PAGE (DONE_RING / PAGE)
#define P(iova) ((iova) / PAGE)

static void pages_that_were_written_are_named_once(void)
{
    CHECK(fill(4 * MIB, 100) == COPY_DONE); /* before: of no interest */
    CHECK(log_start() == FERRY_OK);
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, END));
    CHECK(fill(4 * MIB + 9 * PAGE - 1, 2) == COPY_DONE); /* across two pages */
    CHECK(fill(16 * MIB - 8, 8) == COPY_DONE);
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, DONE_PAGE, P(4 * MIB) + 8, P(4 * MIB) + 9, PAGES - 1, END));
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, END));
    CHECK(log_stop() == FERRY_OK);
}

/* What a part of the memory is asked for is said of that part, and stays for the rest. */
static void a_part_is_asked_for(void)
{
    CHECK(log_start() == FERRY_OK);
    CHECK(fill(5 * MIB - 4, 8) == COPY_DONE); /* across two maps */
    CHECK(fill(15 * MIB + PAGE, PAGE) == COPY_DONE);
    CHECK(report(5 * MIB, 3 * PAGE) == FERRY_OK);
    CHECK(NAMED(5 * MIB, P(5 * MIB), END));
    CHECK(report(15 * MIB + PAGE, PAGE) == FERRY_OK);
    CHECK(NAMED(15 * MIB + PAGE, P(15 * MIB) + 1, END));
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, DONE_PAGE, P(5 * MIB) - 1, END));
    CHECK(log_stop() == FERRY_OK);
    CHECK(log_start() == FERRY_OK); /* anew */
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, END));
    CHECK(log_stop() == FERRY_OK);
}

/* What was written where memory is taken away is said then, and of nothing else. */
static void an_unmap_tells_what_was_written(void)
{
    uint64_t bits[MIB / PAGE / 64] = { 0 };

    CHECK(log_start() == FERRY_OK);
    CHECK(fill(15 * MIB + 70 * PAGE, 3 * PAGE) == COPY_DONE);
    CHECK(unmap(3, bits) == FERRY_OK);
    CHECK(bits[0] == 0 && bits[1] == 7ull << 6 && bits[2] == 0 && bits[3] == 0);
    CHECK(fill(15 * MIB, 1) == COPY_FAULT_DST);
    CHECK(report(0, PAGES * PAGE) == FERRY_OK);
    CHECK(NAMED(0, DONE_PAGE, END));
    CHECK(log_stop() == FERRY_OK);
}

static void test_log(void)
{
    pages_that_were_written_are_named_once();
    a_part_is_asked_for();
    an_unmap_tells_what_was_written();
}

static void test_none(void)
{
    CHECK(log_start() == FERRY_E_UNSUPPORTED);
    CHECK(fill(4 * MIB, 100) == COPY_DONE);
    CHECK(report(0, PAGES * PAGE) < 0);
    CHECK(unmap(3, NULL) == FERRY_OK);
    CHECK(fill(15 * MIB, 1) == COPY_FAULT_DST);
}

int main(int argc, char **argv)
{
    const struct ferry_backend_options options = { .struct_size = sizeof(options),
                                                   .timeout_ms = 5000 };
    const int none = argc == 3 && strcmp(argv[2], "none") == 0;

    if (argc != 3 || (!none && strcmp(argv[2], "log") != 0)) {
        fprintf(stderr, "usage: %s URI log|none\n", argv[0]);
        return 2;
    }
    CHECK(ferry_backend_open(argv[1], &options, &backend, &error) == FERRY_OK);
    map_all();
    start_channel();
    if (none) {
        test_none();
    } else {
        test_log();
    }
    backend->ops->close(backend);
    for (size_t i = 0; i < MAPS; i++) {
        (void)munmap(maps[i].address, maps[i].bytes);
        close(maps[i].fd);
    }
    return 0;
}
