/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/chain.h"
#include "bench/common.h"
#include "bench/output.h"
#include "bench/rig.h"
#include "bench/state_device.h"
#include "ferry/host.h"

/*
 * The state of one large device, moved after the stop from server to server: device
 * server, source host, target host, device server, over AF_UNIX, TCP on loopback,
 * AF_UNIX. Floor: bench/chain.h. Aim: at least 0.8 of the floor with the data
 * descriptor, at least 0.5 without. All memory is touched before.
 */

#define MEMORY_BYTES (1u << 20)
#define ROUNDS_MAX 32

/* What is moved how often: both hosts know it. */
static size_t state_bytes = (size_t)1 << 30;
static int rounds = 5;

/* Time on a processor of all processes of this benchmark: what a busy machine does not
 * distort as much. */
static double cpu_ns(void)
{
    const pid_t *children;
    size_t count = bench_children(&children);
    double sum = 0;

    for (size_t i = 0; i <= count; i++) {
        pid_t pid = i < count ? children[i] : getpid();
        unsigned long long ns = 0;
        char path[64];
        FILE *file;

        snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)pid);
        file = fopen(path, "r");
        if (file && fscanf(file, "%llu", &ns) == 1) {
            sum += (double)ns;
        }
        if (file) {
            fclose(file);
        }
    }
    return sum;
}

static struct ferry_context *open_context(int side)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_memory memory = { .size = MEMORY_BYTES, .fd = -1, .writable = 1 };
    struct ferry_context *context;
    struct ferry_error error;
    char path[64];

    memory.fd = bench_memfd(MEMORY_BYTES, &memory.address);
    bench_rig_path(path, sizeof(path), side);
    if (ferry_context_create(&options, &context, &error) != FERRY_OK ||
        ferry_context_add_memory(context, &memory, &error) < 0 ||
        ferry_context_add_device(context, "bulk", path, &error) < 0) {
        bench_die(error.text);
    }
    return context;
}

/* One move. Return: nanoseconds from the device's stop to a loaded, checked device. */
static double move(struct ferry_context *context, int fd, int send, int messages)
{
    struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                             .max_downtime_ms = 60000,
                                             .stop_deadline_ms = 60000,
                                             .no_data_fd = (uint32_t)messages };
    struct ferry_error error = { 0 };
    struct ferry_report report;
    int status = send ? ferry_context_send_fd(context, fd, &options, &error)
                      : ferry_context_receive_fd(context, fd, &options, &error);

    if (status != FERRY_OK || ferry_context_wait(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    ferry_context_report(context, &report);
    if (send && ferry_context_reopen(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    return (double)(report.transfer_ns + report.prepare_ns);
}

/* Each round has a move with and one without the data descriptor, there and back. */
static int is_sender(int turn, int side)
{
    return turn % 2 == side;
}

static void other_host(int control)
{
    struct ferry_context *context = open_context(1);
    char byte = 0;

    bench_write(control, &byte, 1);
    for (int turn = 0; turn < 2 * rounds + 2; turn++) {
        int fd = bench_receive_fd(control);
        int send = is_sender(turn, 1);
        double ns = move(context, fd, send, turn / 2 % 2);

        bench_write(control, &ns, sizeof(ns));
    }
    ferry_context_destroy(context);
    _exit(0);
}

static double moved(struct ferry_context *context, int control, int turn)
{
    int pair[2];
    double mine, theirs;

    bench_tcp_pair(pair);
    bench_send_fd(control, pair[1]);
    mine = move(context, pair[0], is_sender(turn, 0), turn / 2 % 2);
    bench_read(control, &theirs, sizeof(theirs));
    return is_sender(turn, 0) ? mine : theirs;
}

struct series {
    double floors[ROUNDS_MAX], ratios[ROUNDS_MAX], times[ROUNDS_MAX], cpus[ROUNDS_MAX],
        best;
    size_t count;
};

static double rate(double *times, size_t count)
{
    return (double)state_bytes * 1e9 / (double)(1u << 20) / bench_median(times, count);
}

static void tell(struct bench_output *out, struct series *series, const char *subject,
                 double aim)
{
    bench_row(out, &(struct bench_row){
                       .subject = subject,
                       .unit = "MiB/s",
                       .figure = rate(series->times, series->count),
                       .floor_is = "a bare chain of four processes",
                       .floor = rate(series->floors, series->count),
                       .ratio = bench_median(series->ratios, series->count),
                       .best = series->best,
                       .aim = aim,
                       .more = { { "processor time",
                                   bench_median(series->cpus, series->count) } } });
}

/* FERRY_BENCH_MIB, FERRY_BENCH_ROUNDS: less on a small machine, more for steady figures.
 */
static void take_sizes(int quick)
{
    const char *mib = getenv("FERRY_BENCH_MIB"), *count = getenv("FERRY_BENCH_ROUNDS");
    long number;

    if (quick) {
        state_bytes = 64u << 20;
        rounds = 2;
    }
    number = mib ? strtol(mib, NULL, 10) : 0;
    if (number > 0 && number <= 16384) {
        state_bytes = (size_t)number << 20;
    }
    number = count ? strtol(count, NULL, 10) : 0;
    if (number > 1 && number <= ROUNDS_MAX) {
        rounds = (int)number;
    }
}

int main(int argc, char **argv)
{
    static struct series series[2];
    struct bench_output out;
    struct ferry_context *context;
    int control[2], chain;
    char byte;

    bench_open(&out, "bulk", "a large device's state moved from server to server", argc,
               argv);
    take_sizes(out.quick);
    signal(SIGPIPE, SIG_IGN);
    bench_rig_open();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) < 0) {
        bench_die("cannot prepare");
    }
    bench_start_state_devices(2, state_bytes, 0);
    if (bench_child() == 0) {
        other_host(control[1]);
    }
    chain = bench_chain_start(state_bytes, BENCH_CHANNEL_TCP);
    context = open_context(0);
    bench_read(control[0], &byte, 1);
    bench_chain_run(chain);
    moved(context, control[0], 0);
    moved(context, control[0], 1);
    for (int turn = 2; turn < 2 * rounds + 2; turn++) {
        struct series *own = &series[turn / 2 % 2];
        double begun = cpu_ns(), least = bench_chain_run(chain), middle = cpu_ns();
        double time = moved(context, control[0], turn);

        own->floors[own->count] = least;
        own->times[own->count] = time;
        own->cpus[own->count] = (middle - begun) / (cpu_ns() - middle);
        own->ratios[own->count++] = least / time;
        own->best = least / time > own->best ? least / time : own->best;
    }
    tell(&out, &series[0], "device state after the stop, over its own descriptor", 0.8);
    tell(&out, &series[1], "the same by messages", 0.5);
    ferry_context_destroy(context);
    return bench_close(&out);
}
