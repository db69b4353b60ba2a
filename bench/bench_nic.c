/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/common.h"
#include "bench/nic_rig.h"
#include "bench/output.h"
#include "bench/rig.h"
#include "link/endpoint.h"

/*
 * Frames through nic and back (the wire is an echo), driven from userspace: a frame
 * counts when it has gone out and come back. Floor: the same bytes copied out and in by
 * memcpy, from buffers and into buffers that lie as the driver's do. Served, the device
 * has a processor of its own, and what counts is the time on both. With the DMA log on:
 * at least 0.95 of the rate without.
 */
#define BURSTS 21
#define QUICK_BURSTS 3
#define SPIN_US 0u
#define BUFFERS NIC_DRIVER_QUEUE_MAX

static const char *const nic_options[] = { "net=echo", NULL };

struct series {
    double nic[BURSTS], floor[BURSTS], ratio[BURSTS], wall[BURSTS];
};

static double process_ns(clockid_t clock)
{
    struct timespec now;

    if (clock_gettime(clock, &now) < 0) {
        bench_die("no processor time");
    }
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* Processor time of both sides for so many frames. */
static double burst_nic(struct bench_nic *nic, clockid_t server, uint64_t frames,
                        uint32_t frame_bytes, double *ret_wall)
{
    const double begun = process_ns(CLOCK_PROCESS_CPUTIME_ID);
    const double served = nic->device == NULL ? process_ns(server) : 0;
    double all;

    *ret_wall = bench_nic_run(nic, frames, frame_bytes) / (double)frames;
    all = process_ns(CLOCK_PROCESS_CPUTIME_ID) - begun;
    all += nic->device == NULL ? process_ns(server) - served : 0;
    return all / (double)frames;
}

static double burst_memcpy(uint8_t *from, uint8_t *store, uint8_t *to, uint64_t frames,
                           uint32_t frame_bytes)
{
    const double begun = process_ns(CLOCK_PROCESS_CPUTIME_ID);

    for (uint64_t i = 0; i < frames; i++) {
        const uint64_t at = i % BUFFERS * NIC_DRIVER_BUFFER_MIN;

        memcpy(store + i % BENCH_NIC_IN_FLIGHT * NIC_DRIVER_BUFFER_MIN, from + at,
               frame_bytes);
        memcpy(to + at, store + i % BENCH_NIC_IN_FLIGHT * NIC_DRIVER_BUFFER_MIN,
               frame_bytes);
        /* Each frame is a copy of its own. */
        __asm__ volatile("" : : "r"(to) : "memory");
    }
    return (process_ns(CLOCK_PROCESS_CPUTIME_ID) - begun) / (double)frames;
}

static void tell(struct bench_output *out, struct series *series, size_t bursts,
                 const char *subject)
{
    const double ns = bench_median(series->nic, bursts);

    bench_row(out, &(struct bench_row){
                       .subject = subject,
                       .unit = "1/s",
                       .figure = 1e9 / ns,
                       .floor_is = "memcpy of the same frames",
                       .floor = 1e9 / bench_median(series->floor, bursts),
                       .ratio = bench_median(series->ratio, bursts),
                       .more = { { "cpu_ns", ns },
                                 { "wall_ns", bench_median(series->wall, bursts) } } });
}

static void measure(struct bench_output *out, const char *uri, pid_t server,
                    uint32_t frame_bytes, const char *subject)
{
    const uint64_t frames = out->quick ? 20000 : 100000;
    const size_t bursts = out->quick ? QUICK_BURSTS : BURSTS;
    const size_t size = (size_t)BUFFERS * NIC_DRIVER_BUFFER_MIN;
    uint8_t *from = bench_memory(size), *store = bench_memory(size),
            *to = bench_memory(size);
    struct series series;
    clockid_t clock = 0;
    struct bench_nic nic;

    if (server > 0 && clock_getcpuclockid(server, &clock) != 0) {
        bench_die("no clock of the server");
    }
    bench_nic_open(&nic, uri, nic_options, NULL);
    bench_nic_start(&nic, frame_bytes);
    (void)bench_nic_run(&nic, frames / 4, frame_bytes);
    for (size_t i = 0; i < bursts; i++) {
        series.floor[i] = burst_memcpy(from, store, to, frames, frame_bytes);
        series.nic[i] = burst_nic(&nic, clock, frames, frame_bytes, &series.wall[i]);
        series.ratio[i] = series.floor[i] / series.nic[i];
    }
    tell(out, &series, bursts, subject);
    bench_nic_close(&nic);
}

static void log_dma(struct bench_nic *nic, int on)
{
    struct ferry_endpoint *endpoint = ferry_device_endpoint(nic->device);
    struct ferry_request start = { .kind = FERRY_RQ_LOG_START,
                                   .u.log_start = { .page_size = FERRY_PAGE_BYTES } };
    struct ferry_request stop = { .kind = FERRY_RQ_LOG_STOP };

    if (endpoint->ops->submit(endpoint, on ? &start : &stop) != FERRY_OK) {
        bench_die("the device's log");
    }
}

static void measure_log(struct bench_output *out, uint32_t frame_bytes)
{
    const uint64_t frames = out->quick ? 20000 : 100000;
    const size_t bursts = out->quick ? QUICK_BURSTS : BURSTS;
    double on[BURSTS], off[BURSTS], ratio[BURSTS];
    struct bench_nic nic;

    bench_nic_open(&nic, NULL, nic_options, NULL);
    bench_nic_start(&nic, frame_bytes);
    (void)bench_nic_run(&nic, frames / 4, frame_bytes);
    for (size_t i = 0; i < bursts; i++) {
        off[i] = bench_nic_run(&nic, frames, frame_bytes) / (double)frames;
        log_dma(&nic, 1);
        on[i] = bench_nic_run(&nic, frames, frame_bytes) / (double)frames;
        log_dma(&nic, 0);
        ratio[i] = off[i] / on[i];
    }
    bench_row(out, &(struct bench_row){ .subject = "1500-byte frames with the log on",
                                        .unit = "1/s",
                                        .figure = 1e9 / bench_median(on, bursts),
                                        .floor_is = "with the log off",
                                        .floor = 1e9 / bench_median(off, bursts),
                                        .ratio = bench_median(ratio, bursts),
                                        .aim = 0.95 });
    bench_nic_close(&nic);
}

int main(int argc, char **argv)
{
    struct bench_output out;
    char path[64];
    pid_t server;

    bench_open(&out, "nic", "packets per second and core through nic, out and back", argc,
               argv);
    bench_rig_open();
    bench_rig_path(path, sizeof(path), 0);
    server = bench_nic_serve(path, nic_options, SPIN_US, 1);
    bench_pin(0);
    measure(&out, NULL, 0, 64, "64-byte frames, in this process");
    measure(&out, NULL, 0, 1500, "1500-byte frames, in this process");
    measure(&out, path, server, 64, "64-byte frames, served by a process");
    measure(&out, path, server, 1500, "1500-byte frames, served by a process");
    measure_log(&out, 1500);
    return bench_close(&out);
}
