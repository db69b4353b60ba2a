/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bitmap.h"
#include "bench/common.h"
#include "bench/output.h"
#include "device/device_private.h"
#include "link/endpoint.h"

/*
 * Dirty reports over 1 TiB of mapped address space, at several densities: as runs and as
 * a flat bitmap, by a device in this process. Floor: a scan of the same flat bitmap that
 * finds each dirty page (64 bits at a time). All memory is touched before.
 */

#define SPACE_BYTES (1ull << 40)
#define PAGE 4096u
#define PAGES (SPACE_BYTES / PAGE)
#define FLAT_BYTES (PAGES / 8)
#define RUNS 65536u
#define BURSTS_MAX 41

struct rig {
    struct ferry_device *device;
    struct ferry_endpoint *endpoint;
    uint64_t *pattern; /* what is dirty: the flat bitmap that is scanned */
    uint64_t *bitmap;  /* what is reported */
    struct ferry_range *run;
    uint64_t dirty; /* pages of the pattern */
};

static int save(void *state, struct ferry_device *device, void *data, size_t cap)
{
    (void)state, (void)device, (void)data, (void)cap;
    return 0;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    (void)state, (void)device, (void)data, (void)count;
    return FERRY_OK;
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state, (void)device;
    *ret_bytes = 1;
    return FERRY_OK;
}

static const struct ferry_device_ops ops = {
    .struct_size = sizeof(ops), .save = save, .load = load, .data_size = data_size
};

static void submit(struct rig *rig, struct ferry_request *request)
{
    if (rig->endpoint->ops->submit(rig->endpoint, request) != FERRY_OK) {
        bench_die("the device refused a request");
    }
}

static struct ferry_dirty *log_of(struct rig *rig)
{
    return &rig->device->dma.map[0]->log;
}

static void open_rig(struct rig *rig)
{
    static const struct ferry_client_port port = { .struct_size = sizeof(port) };
    struct ferry_device_desc desc = { .struct_size = sizeof(desc),
                                      .ops = &ops,
                                      .identity = { .model = "bench",
                                                    .state_version = 1,
                                                    .state_version_min = 1,
                                                    .migration_flags =
                                                        FERRY_MIG_STOP_COPY } };
    struct ferry_request map = {
        .kind = FERRY_RQ_DMA_MAP,
        .u.map = { .size = SPACE_BYTES, .fd = -1, .flags = FERRY_DMA_WRITE }
    };
    struct ferry_request start = { .kind = FERRY_RQ_LOG_START,
                                   .u.log_start = { .page_size = PAGE } };
    struct ferry_error error;

    if (ferry_device_create(&desc, &rig->device, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    rig->endpoint = ferry_device_endpoint(rig->device);
    if (rig->endpoint->ops->attach(rig->endpoint, &port) != FERRY_OK) {
        bench_die("attach failed");
    }
    submit(rig, &map);
    submit(rig, &start);
    rig->pattern = bench_memory(FLAT_BYTES);
    rig->bitmap = bench_memory(FLAT_BYTES);
    rig->run = bench_memory(RUNS * sizeof(rig->run[0]));
    /* Every page of the log has been there once. */
    ferry_dirty_set_all(log_of(rig));
    ferry_dirty_clear_all(log_of(rig));
}

static void close_rig(struct rig *rig)
{
    rig->endpoint->ops->detach(rig->endpoint);
    ferry_device_destroy(rig->device);
}

/* Single pages anywhere. */
static void scatter(struct rig *rig, double density)
{
    uint64_t count = (uint64_t)((double)PAGES * density), seed = 88172645463325252ull;

    memset(rig->pattern, 0, FLAT_BYTES);
    for (uint64_t i = 0; i < count; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        ferry_bitmap_set(rig->pattern, seed % PAGES);
    }
    rig->dirty = ferry_bitmap_count(rig->pattern, PAGES);
}

/* Runs of 512 pages (2 MiB), at every tenth place. */
static void scatter_runs(struct rig *rig)
{
    memset(rig->pattern, 0, FLAT_BYTES);
    for (uint64_t i = 0; i + 512 <= PAGES; i += 5120) {
        ferry_bitmap_set_range(rig->pattern, i, 512);
    }
    rig->dirty = ferry_bitmap_count(rig->pattern, PAGES);
}

static double scan(struct rig *rig)
{
    uint64_t begin = bench_now_ns(), found = 0, sum = 0, w;

    for (w = 0; w < PAGES / 64; w++) {
        uint64_t bits = rig->pattern[w];

        for (; bits; bits &= bits - 1) {
            sum += w * 64 + (uint64_t)__builtin_ctzll(bits);
            found++;
        }
    }
    if (found != rig->dirty || (found > 0 && sum == 0)) {
        bench_die("the scan miscounted");
    }
    return (double)(bench_now_ns() - begin) / 1e3;
}

static void mark(struct rig *rig)
{
    if (rig->dirty > 0) {
        ferry_dirty_merge(log_of(rig), 0, PAGES, rig->pattern);
    }
}

static double sparse(struct rig *rig)
{
    uint64_t iova = 0, found = 0, begin;

    mark(rig);
    begin = bench_now_ns();
    while (iova < SPACE_BYTES) {
        struct ferry_request ask = { .kind = FERRY_RQ_LOG_RUNS,
                                     .u.log_runs = { .iova = iova,
                                                     .length = SPACE_BYTES - iova,
                                                     .page_size = PAGE,
                                                     .run = rig->run,
                                                     .cap = RUNS } };

        submit(rig, &ask);
        for (uint32_t i = 0; i < ask.u.log_runs.count; i++) {
            found += rig->run[i].size / PAGE;
        }
        iova = ask.u.log_runs.next_iova;
    }
    if (found != rig->dirty) {
        bench_die("the sparse report is wrong");
    }
    return (double)(bench_now_ns() - begin) / 1e3;
}

static double flat(struct rig *rig)
{
    struct ferry_request ask = { .kind = FERRY_RQ_LOG_REPORT,
                                 .u.log_report = { .length = SPACE_BYTES,
                                                   .page_size = PAGE,
                                                   .bitmap = rig->bitmap,
                                                   .bitmap_bytes = FLAT_BYTES } };
    uint64_t begin, end;

    mark(rig);
    memset(rig->bitmap, 0, FLAT_BYTES);
    begin = bench_now_ns();
    submit(rig, &ask);
    end = bench_now_ns();
    if (memcmp(rig->bitmap, rig->pattern, FLAT_BYTES) != 0) {
        bench_die("the flat report is wrong");
    }
    return (double)(end - begin) / 1e3;
}

static void measure(struct bench_output *out, struct rig *rig, const char *density,
                    int bursts, double sparse_aim)
{
    static double floors[BURSTS_MAX], runs[BURSTS_MAX], maps[BURSTS_MAX];
    static double runs_ratio[BURSTS_MAX], maps_ratio[BURSTS_MAX];
    static char text[2][5][80];
    static int next;
    char *sparse_text = text[0][next % 5], *flat_text = text[1][next % 5];

    next++;
    for (int i = 0; i < bursts; i++) {
        floors[i] = scan(rig);
        runs[i] = sparse(rig);
        maps[i] = flat(rig);
        runs_ratio[i] = runs[i] / floors[i];
        maps_ratio[i] = maps[i] / floors[i];
    }
    (void)snprintf(sparse_text, sizeof(text[0][0]), "1 TiB, %s dirty, as runs", density);
    (void)snprintf(flat_text, sizeof(text[0][0]), "1 TiB, %s dirty, as a bitmap",
                   density);
    bench_row(out, &(struct bench_row){ .subject = sparse_text,
                                        .unit = "us",
                                        .figure = bench_median(runs, (size_t)bursts),
                                        .floor_is = "flat scan",
                                        .floor = bench_median(floors, (size_t)bursts),
                                        .ratio = bench_median(runs_ratio, (size_t)bursts),
                                        .aim = sparse_aim,
                                        .aim_is_most = 1 });
    bench_row(out, &(struct bench_row){ .subject = flat_text,
                                        .unit = "us",
                                        .figure = bench_median(maps, (size_t)bursts),
                                        .floor_is = "flat scan",
                                        .floor = bench_median(floors, (size_t)bursts),
                                        .ratio = bench_median(maps_ratio, (size_t)bursts),
                                        .aim = 1.3,
                                        .aim_is_most = 1 });
}

int main(int argc, char **argv)
{
    struct bench_output out;
    struct rig rig = { 0 };

    bench_open(&out, "dirty_report", "dirty reports over 1 TiB, as runs and as a bitmap",
               argc, argv);
    open_rig(&rig);
    scatter(&rig, 0);
    measure(&out, &rig, "nothing", out.quick ? 3 : 41, 0.01);
    scatter(&rig, 1e-5);
    measure(&out, &rig, "1e-5", out.quick ? 3 : 21, 0);
    scatter(&rig, 1e-3);
    measure(&out, &rig, "1e-3", out.quick ? 3 : 21, 0);
    if (!out.quick) {
        scatter(&rig, 1e-1);
        measure(&out, &rig, "1e-1", 7, 0);
        scatter_runs(&rig);
        measure(&out, &rig, "1e-1 in runs of 2 MiB", 7, 0);
    }
    close_rig(&rig);
    return bench_close(&out);
}
