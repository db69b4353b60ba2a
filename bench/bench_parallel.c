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
 * Devices that give their state at 400 MB/s: two in one context against one alone, each
 * moved after the stop over TCP on loopback between two host processes. Aim: at least 1.7
 * times the rate, since the devices work at the same time.
 */

#define CONTEXTS 2 /* the first has one device, the second two */
#define DEVICES 3
#define RATE 400000000u
#define MEMORY_BYTES (1u << 20)
#define ROUNDS_MAX 16

static size_t state_bytes = 64u << 20;
static int rounds = 6;

static struct ferry_context *open_context(int side, int first, int count)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_memory memory = { .size = MEMORY_BYTES, .fd = -1, .writable = 1 };
    struct ferry_context *context;
    struct ferry_error error;

    memory.fd = bench_memfd(MEMORY_BYTES, &memory.address);
    if (ferry_context_create(&options, &context, &error) != FERRY_OK ||
        ferry_context_add_memory(context, &memory, &error) < 0) {
        bench_die(error.text);
    }
    for (int i = first; i < first + count; i++) {
        char path[64], name[16];

        bench_rig_path(path, sizeof(path), side * DEVICES + i);
        snprintf(name, sizeof(name), "dev%d", i);
        if (ferry_context_add_device(context, name, path, &error) < 0) {
            bench_die(error.text);
        }
    }
    return context;
}

static void open_contexts(int side, struct ferry_context *ret_contexts[CONTEXTS])
{
    ret_contexts[0] = open_context(side, 0, 1);
    ret_contexts[1] = open_context(side, 1, 2);
}

/* One move. Return: nanoseconds from the stop until everything is loaded and checked. */
static double move(struct ferry_context *context, int fd, int send)
{
    struct ferry_migrate_options options = { .struct_size = sizeof(options),
                                             .max_downtime_ms = 60000,
                                             .stop_deadline_ms = 60000 };
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

/* Turns: each context there, then each back. */
static int sends(int turn, int side)
{
    return turn / CONTEXTS % 2 == side;
}

static void other_host(int control)
{
    struct ferry_context *contexts[CONTEXTS];
    char byte = 0;

    open_contexts(1, contexts);
    bench_write(control, &byte, 1);
    for (int turn = 0; turn < CONTEXTS * rounds; turn++) {
        int fd = bench_receive_fd(control);
        double ns = move(contexts[turn % CONTEXTS], fd, sends(turn, 1));

        bench_write(control, &ns, sizeof(ns));
    }
    ferry_context_destroy(contexts[0]);
    ferry_context_destroy(contexts[1]);
    _exit(0);
}

static double moved(struct ferry_context *context, int control, int turn)
{
    int pair[2];
    double mine, theirs;

    bench_tcp_pair(pair);
    bench_send_fd(control, pair[1]);
    mine = move(context, pair[0], sends(turn, 0));
    bench_read(control, &theirs, sizeof(theirs));
    return sends(turn, 0) ? mine : theirs;
}

int main(int argc, char **argv)
{
    double one[ROUNDS_MAX], two[ROUNDS_MAX], ratios[ROUNDS_MAX], best = 0;
    struct ferry_context *contexts[CONTEXTS];
    struct bench_output out;
    int control[2];
    char byte;

    bench_open(&out, "parallel", "two devices that give their state slowly, and one",
               argc, argv);
    if (out.quick) {
        state_bytes = 16u << 20;
        rounds = 4;
    }
    signal(SIGPIPE, SIG_IGN);
    bench_rig_open();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) < 0) {
        bench_die("cannot prepare");
    }
    bench_start_state_devices(2 * DEVICES, state_bytes, RATE);
    if (bench_child() == 0) {
        other_host(control[1]);
    }
    open_contexts(0, contexts);
    bench_read(control[0], &byte, 1);
    for (int i = 0; i < rounds; i++) {
        double bytes = (double)state_bytes / (double)(1u << 20) * 1e9;

        one[i] = bytes / moved(contexts[0], control[0], CONTEXTS * i);
        two[i] = 2 * bytes / moved(contexts[1], control[0], CONTEXTS * i + 1);
        ratios[i] = two[i] / one[i];
        best = ratios[i] > best ? ratios[i] : best;
    }
    bench_row(&out,
              &(struct bench_row){ .subject = "state of two devices of 400 MB/s each",
                                   .unit = "MiB/s",
                                   .figure = bench_median(two, (size_t)rounds),
                                   .floor_is = "one such device",
                                   .floor = bench_median(one, (size_t)rounds),
                                   .ratio = bench_median(ratios, (size_t)rounds),
                                   .best = best,
                                   .aim = 1.7 });
    ferry_context_destroy(contexts[0]);
    ferry_context_destroy(contexts[1]);
    return bench_close(&out);
}
