/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "bench/rig.h"
#include "bench/state_device.h"
#include "ferry/host.h"

/*
 * Downtime of a context of three devices with 1 MiB of state each, everything else copied
 * before the stop, over TCP on loopback; six device processes and two host processes.
 * Floor: the bare socket time for the same bytes over the same three hops (device to
 * host, host to host, host to device), one after the other, plus a bare round trip for
 * each arc and each exchange of the hosts. Aim: below 3 times that sum.
 */

#define DEVICES 3
#define STATE_BYTES (1u << 20)
#define ALL_BYTES (DEVICES * STATE_BYTES)
#define CHUNK (512u << 10)
#define MEMORY_BYTES (16u << 20)
#define MOVES 21 /* there and back in turn; every second one is measured here */
#define MEASURED ((MOVES + 1) / 2)
#define ARCS 5      /* quiet, stop; load, quiet, run: each a barrier of all devices */
#define EXCHANGES 2 /* ALL_SENT to PREPARED, COMMIT to RUNNING */

/* No CPU writes while it moves, so nothing is ever dirty after the first round. */
static void track_cpus(void *user, struct ferry_context *context, int start)
{
    (void)user, (void)context, (void)start;
}

static const struct ferry_context_ops context_ops = { .struct_size = sizeof(context_ops),
                                                      .track_cpus = track_cpus };

static struct ferry_context *open_context(int side)
{
    struct ferry_context_options options = { .struct_size = sizeof(options),
                                             .ops = &context_ops };
    struct ferry_memory memory = { .size = MEMORY_BYTES, .fd = -1, .writable = 1 };
    struct ferry_context *context;
    struct ferry_error error;

    memory.fd = bench_memfd(MEMORY_BYTES, &memory.address);
    if (ferry_context_create(&options, &context, &error) != FERRY_OK ||
        ferry_context_add_memory(context, &memory, &error) < 0) {
        bench_die(error.text);
    }
    for (int i = 0; i < DEVICES; i++) {
        char path[64], name[8];

        bench_rig_path(path, sizeof(path), side * DEVICES + i);
        snprintf(name, sizeof(name), "dev%d", i);
        if (ferry_context_add_device(context, name, path, &error) < 0) {
            bench_die(error.text);
        }
    }
    return context;
}

/* One move; the sender's figures go to ret_report. */
static void move(struct ferry_context *context, int fd, int send,
                 struct ferry_report *ret_report)
{
    struct ferry_error error = { 0 };
    int status = send ? ferry_context_send_fd(context, fd, NULL, &error)
                      : ferry_context_receive_fd(context, fd, NULL, &error);

    if (status != FERRY_OK || ferry_context_wait(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    ferry_context_report(context, ret_report);
    if (send && ferry_context_reopen(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
}

/* The bare peer: 'p' answers a byte, 'r' sends all bytes, 'w' takes them and answers. */
static void bare_peer(int fd)
{
    char *bytes = bench_memory(ALL_BYTES), word;

    while (read(fd, &word, 1) == 1) {
        if (word == 'r') {
            for (size_t at = 0; at < ALL_BYTES; at += CHUNK) {
                bench_write(fd, bytes + at, CHUNK);
            }
        } else {
            if (word == 'w') {
                bench_read(fd, bytes, ALL_BYTES);
            }
            bench_write(fd, &word, 1);
        }
    }
    _exit(0);
}

static double bare(int fd, char word, char *bytes)
{
    uint64_t start = bench_now_ns();

    bench_write(fd, &word, 1);
    if (word == 'r') {
        bench_read(fd, bytes, ALL_BYTES);
    } else {
        if (word == 'w') {
            for (size_t at = 0; at < ALL_BYTES; at += CHUNK) {
                bench_write(fd, bytes + at, CHUNK);
            }
        }
        bench_read(fd, &word, 1);
    }
    return (double)(bench_now_ns() - start);
}

static double floor_ns(int local, int tcp, char *bytes)
{
    return bare(local, 'r', bytes) + bare(tcp, 'w', bytes) + bare(local, 'w', bytes) +
           ARCS * bare(local, 'p', bytes) + EXCHANGES * bare(tcp, 'p', bytes);
}

/* The other host: takes part in every move from its own process. */
static void other_host(int control, int moves)
{
    struct ferry_context *context = open_context(1);
    struct ferry_report report;
    char byte = 0;

    bench_write(control, &byte, 1);
    for (int i = 0; i < moves; i++) {
        int fd = bench_receive_fd(control);

        move(context, fd, i % 2, &report);
        bench_write(control, &byte, 1);
    }
    ferry_context_destroy(context);
    _exit(0);
}

static double part(const struct ferry_report *reports, size_t count, size_t offset)
{
    double values[MEASURED];

    for (size_t i = 0; i < count; i++) {
        uint64_t ns;

        memcpy(&ns, (const char *)&reports[i] + offset, sizeof(ns));
        values[i] = (double)ns / 1e3;
    }
    return bench_median(values, count);
}

#define PART(name) part(reports, count, offsetof(struct ferry_report, name))

static void tell(struct bench_output *out, const struct ferry_report *reports,
                 double *floors, double *ratios, size_t count)
{
    bench_row(out, &(struct bench_row){
                       .subject = "downtime of three devices of 1 MiB",
                       .unit = "us",
                       .figure = PART(downtime_ns),
                       .floor_is = "bare sockets",
                       .floor = bench_median(floors, count) / 1e3,
                       .ratio = bench_median(ratios, count),
                       .best = bench_least(ratios, count),
                       .aim = 3,
                       .aim_is_most = 1,
                       .more = { { "pause_us", PART(pause_ns) },
                                 { "quiet_us", PART(quiet_ns) },
                                 { "stop_us", PART(stop_ns) },
                                 { "transfer_us", PART(transfer_ns) },
                                 { "prepare_us", PART(prepare_ns) },
                                 { "commit_us", PART(commit_ns) },
                                 { "predicted_us", PART(predicted_downtime_ns) } } });
}

int main(int argc, char **argv)
{
    static struct ferry_report reports[MEASURED];
    double floors[MEASURED], ratios[MEASURED];
    char *bytes, byte;
    struct ferry_context *context;
    int control[2], local[2], tcp[2], moves;
    struct bench_output out;
    size_t measured = 0;

    bench_open(&out, "downtime", "downtime of a context of three devices over TCP", argc,
               argv);
    moves = out.quick ? 5 : MOVES;
    bytes = bench_memory(ALL_BYTES);
    signal(SIGPIPE, SIG_IGN);
    bench_rig_open();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, local) < 0) {
        bench_die("cannot prepare");
    }
    bench_tcp_pair(tcp);
    bench_start_state_devices(2 * DEVICES, STATE_BYTES, 0);
    if (bench_child() == 0) {
        other_host(control[1], moves);
    }
    if (bench_child() == 0) {
        close(local[0]);
        bare_peer(local[1]);
    }
    if (bench_child() == 0) {
        close(tcp[0]);
        bare_peer(tcp[1]);
    }
    context = open_context(0);
    bench_read(control[0], &byte, 1);
    floor_ns(local[0], tcp[0], bytes);
    for (int i = 0; i < moves; i++) {
        struct ferry_report report;
        int pair[2];

        bench_tcp_pair(pair);
        bench_send_fd(control[0], pair[1]);
        if (i % 2 == 0) {
            floors[measured] = floor_ns(local[0], tcp[0], bytes);
        }
        move(context, pair[0], i % 2 == 0, &report);
        bench_read(control[0], &byte, 1);
        if (i % 2 == 0) {
            reports[measured] = report;
            ratios[measured] = (double)report.downtime_ns / floors[measured];
            measured++;
        }
    }
    tell(&out, reports, floors, ratios, measured);
    ferry_context_destroy(context);
    return bench_close(&out);
}
