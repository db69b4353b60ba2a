/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "bench/rig.h"
#include "bench/state_device.h"
#include "ferry/host.h"

/*
 * One device, whichever FERRY_BENCH_DEVICE names (`ferry bench --device URI`): how long a
 * register's read takes, how long it takes to stop, and how fast its state is saved.
 * Without one, a device of 16 MiB of state that is served over vfio-user.
 */

#define STATE_BYTES (16u << 20)
#define BURSTS 21
#define READS 256
#define CONFIG_REGION 7u

static struct ferry_context *open_context(const char *uri)
{
    const struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_context *context;
    struct ferry_error error;

    if (ferry_context_create(&options, &context, &error) != FERRY_OK ||
        ferry_context_add_device(context, "device", uri, &error) < 0) {
        bench_die(error.text);
    }
    return context;
}

static double read_floor(int fd)
{
    const uint64_t begin = bench_now_ns();
    uint32_t value;

    for (int i = 0; i < READS; i++) {
        if (pread(fd, &value, sizeof(value), 0) != (ssize_t)sizeof(value)) {
            bench_die("/dev/zero cannot be read");
        }
    }
    return (double)(bench_now_ns() - begin) / READS;
}

static double read_device(struct ferry_context *context)
{
    const uint64_t begin = bench_now_ns();
    uint32_t value;

    for (int i = 0; i < READS; i++) {
        if (ferry_context_region_read(context, 0, CONFIG_REGION, 0, &value,
                                      sizeof(value)) != FERRY_OK) {
            bench_die("the device's config space cannot be read");
        }
    }
    return (double)(bench_now_ns() - begin) / READS;
}

static void measure_reads(struct bench_output *out, struct ferry_context *context)
{
    const int bursts = out->quick ? 5 : BURSTS;
    const int zero = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    double floor[BURSTS], figure[BURSTS], ratio[BURSTS];

    if (zero < 0) {
        bench_die("/dev/zero cannot be opened");
    }
    for (int i = 0; i < bursts; i++) {
        floor[i] = read_floor(zero);
        figure[i] = read_device(context);
        ratio[i] = figure[i] / floor[i];
    }
    close(zero);
    bench_row(out, &(struct bench_row){ .subject = "4-byte read of config space",
                                        .unit = "ns",
                                        .figure = bench_median(figure, (size_t)bursts),
                                        .floor_is = "pread of /dev/zero",
                                        .floor = bench_median(floor, (size_t)bursts),
                                        .ratio = bench_median(ratio, (size_t)bursts) });
}

/* Saves the device into memory; its figures go to ret_report. */
static void save(struct ferry_context *context, struct ferry_report *ret_report)
{
    const int fd = memfd_create("bench-device", MFD_CLOEXEC);
    struct ferry_error error;

    if (fd < 0) {
        bench_die("no memory for a file");
    }
    if (ferry_context_save_fd(context, fd, NULL, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    (void)ferry_context_wait(context, &error);
    ferry_context_report(context, ret_report);
    if (ret_report->outcome != FERRY_OUTCOME_SAVED) {
        bench_die(ret_report->error.text);
    }
}

static double copy_ns(void *to, const void *from, size_t bytes)
{
    const uint64_t begin = bench_now_ns();

    memcpy(to, from, bytes);
    return (double)(bench_now_ns() - begin);
}

static void measure_saves(struct bench_output *out, struct ferry_context *context)
{
    const int saves = out->quick ? 3 : BURSTS;
    double stop[BURSTS], rate[BURSTS], floor[BURSTS], ratio[BURSTS];
    struct ferry_report report;
    size_t bytes;
    void *from, *to;

    save(context, &report);
    bytes = (size_t)report.device[0].stop_bytes;
    if (bytes == 0) {
        bench_die("the device gives no state after its stop");
    }
    from = bench_memory(bytes);
    to = bench_memory(bytes);
    for (int i = 0; i < saves; i++) {
        save(context, &report);
        stop[i] = (double)(report.device[0].quiet_ns + report.device[0].stop_ns) / 1000;
        rate[i] = (double)report.device[0].stop_bytes / (1u << 20) * 1e9 /
                  (double)report.device[0].data_ns;
        floor[i] = (double)bytes / (1u << 20) * 1e9 / copy_ns(to, from, bytes);
        ratio[i] = rate[i] / floor[i];
    }
    munmap(from, bytes);
    munmap(to, bytes);
    bench_row(out, &(struct bench_row){ .subject = "arcs to STOP_COPY",
                                        .unit = "us",
                                        .figure = bench_median(stop, (size_t)saves) });
    bench_row(out,
              &(struct bench_row){ .subject = "its state, read and written to a file",
                                   .unit = "MiB/s",
                                   .figure = bench_median(rate, (size_t)saves),
                                   .floor_is = "memcpy of as much",
                                   .floor = bench_median(floor, (size_t)saves),
                                   .ratio = bench_median(ratio, (size_t)saves),
                                   .more = { { "bytes", (double)bytes } } });
}

int main(int argc, char **argv)
{
    const char *uri = getenv("FERRY_BENCH_DEVICE");
    struct ferry_device_view view;
    struct ferry_context *context;
    struct bench_output out;
    struct ferry_error error;
    char path[64];

    bench_open(&out, "device", "one device, any: ferry bench --device URI", argc, argv);
    if (uri == NULL) {
        bench_rig_open();
        bench_start_state_devices(1, STATE_BYTES, 0);
        bench_rig_path(path, sizeof(path), 0);
        uri = path;
    }
    context = open_context(uri);
    measure_reads(&out, context);
    if (ferry_context_device(context, 0, &view, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    if (view.migration_flags != 0) {
        measure_saves(&out, context);
    }
    ferry_context_destroy(context);
    return bench_close(&out);
}
