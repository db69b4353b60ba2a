/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memfd_create */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "ferry/device.h"
#include "link/endpoint.h"

/*
 * DMA writes of 4 KiB by a device, with dirty logging on against the same with it off.
 * Floor: memcpy of the same pages. Target: at least 0.95 of the rate with logging off.
 */

#define MEMORY_BYTES (64u << 20)
#define PAGE 4096u
#define BURSTS 21
#define WRITES_PER_BURST 65536u

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

static void submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    if (endpoint->ops->submit(endpoint, request) != FERRY_OK) {
        bench_die("the device refused a request");
    }
}

static struct ferry_device *open_device(int fd)
{
    static const struct ferry_client_port port = { .struct_size = sizeof(port) };
    struct ferry_device_desc desc = { .struct_size = sizeof(desc),
                                      .ops = &ops,
                                      .identity = { .model = "bench",
                                                    .state_version = 1,
                                                    .state_version_min = 1,
                                                    .migration_flags =
                                                        FERRY_MIG_STOP_COPY } };
    struct ferry_device *device;
    struct ferry_endpoint *endpoint;
    struct ferry_error error;
    uint8_t command[2] = { 6, 0 }; /* memory space, bus master */
    struct ferry_request map = { .kind = FERRY_RQ_DMA_MAP,
                                 .u.map = { .size = MEMORY_BYTES,
                                            .fd = fd,
                                            .flags = FERRY_DMA_READ | FERRY_DMA_WRITE } };
    struct ferry_request master = {
        .kind = FERRY_RQ_REGION_WRITE,
        .u.io = { .index = FERRY_REGION_CONFIG, .count = 2, .off = 4, .data = command }
    };

    if (ferry_device_create(&desc, &device, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    endpoint = ferry_device_endpoint(device);
    if (endpoint->ops->attach(endpoint, &port) != FERRY_OK) {
        bench_die("attach failed");
    }
    submit(endpoint, &map);
    submit(endpoint, &master);
    return device;
}

/* Pages in an order that no prefetcher likes more than another. */
static uint64_t page_of(uint32_t i)
{
    return (uint64_t)((i * 2654435761u) >> 18) % (MEMORY_BYTES / PAGE) * PAGE;
}

static double burst_dma(struct ferry_device *device, const void *page)
{
    uint64_t start = bench_now_ns();

    for (uint32_t i = 0; i < WRITES_PER_BURST; i++) {
        if (ferry_dma_write(device, page_of(i), page, PAGE) != FERRY_OK) {
            bench_die("DMA write failed");
        }
    }
    return (double)(bench_now_ns() - start) / WRITES_PER_BURST;
}

static double burst_memcpy(char *memory, const void *page)
{
    uint64_t start = bench_now_ns();

    for (uint32_t i = 0; i < WRITES_PER_BURST; i++) {
        memcpy(memory + page_of(i), page, PAGE);
    }
    return (double)(bench_now_ns() - start) / WRITES_PER_BURST;
}

static double burst_logged(struct ferry_device *device, const void *page)
{
    struct ferry_endpoint *endpoint = ferry_device_endpoint(device);
    struct ferry_request start = { .kind = FERRY_RQ_LOG_START,
                                   .u.log_start = { .page_size = PAGE } };
    struct ferry_request stop = { .kind = FERRY_RQ_LOG_STOP };
    double ns;

    submit(endpoint, &start);
    ns = burst_dma(device, page);
    submit(endpoint, &stop);
    return ns;
}

int main(int argc, char **argv)
{
    static double off[BURSTS], on[BURSTS], bare[BURSTS], ratio[BURSTS];
    int fd = memfd_create("bench", MFD_CLOEXEC);
    struct ferry_device *device;
    void *page = bench_memory(PAGE);
    struct bench_output out;
    size_t bursts;
    char *memory;

    bench_open(&out, "dma_log", "DMA writes with the dirty log on against off", argc,
               argv);
    bursts = out.quick ? 3 : BURSTS;
    if (fd < 0 || ftruncate(fd, MEMORY_BYTES) < 0) {
        bench_die("no memfd");
    }
    memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
                  fd, 0);
    if (memory == MAP_FAILED) {
        bench_die("no memory");
    }
    device = open_device(fd);
    burst_dma(device, page);
    burst_logged(device, page);
    for (size_t i = 0; i < bursts; i++) {
        bare[i] = burst_memcpy(memory, page);
        off[i] = burst_dma(device, page);
        on[i] = burst_logged(device, page);
        ratio[i] = off[i] / on[i];
    }
    bench_row(&out, &(struct bench_row){
                        .subject = "4 KiB DMA write with the log on",
                        .unit = "ns",
                        .figure = bench_median(on, bursts),
                        .floor_is = "with the log off",
                        .floor = bench_median(off, bursts),
                        .ratio = bench_median(ratio, bursts),
                        .aim = 0.95,
                        .more = { { "memcpy_ns", bench_median(bare, bursts) } } });
    ferry_device_endpoint(device)->ops->detach(ferry_device_endpoint(device));
    ferry_device_destroy(device);
    return bench_close(&out);
}
