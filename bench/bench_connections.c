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
 * A context's memory moved from host to host over 1, 2 and 4 TCP connections on loopback,
 * there and back. Floor: the same over one connection. There is no aim: what several
 * connections gain depends on the network and on free processors; loopback is bound by
 * the processors alone.
 */
#define STATE_BYTES (64u << 10)
#define ADDRESS_BYTES 64
#define ROUNDS_MAX 32
#define KINDS 3

static const uint32_t connections[KINDS] = { 1, 2, 4 };
/* A move may be over before all are there. */
static uint32_t least_used[KINDS] = { 1, 2, 4 };
static size_t memory_bytes = (size_t)256 << 20;
static int rounds = 5;

static struct ferry_context *open_context(int side)
{
    struct ferry_context_options options = { .struct_size = sizeof(options) };
    struct ferry_memory memory = { .size = memory_bytes, .fd = -1, .writable = 1 };
    struct ferry_context *context;
    struct ferry_error error;
    char path[64];

    memory.fd = bench_memfd(memory_bytes, &memory.address);
    memset(memory.address, 0xa5, memory_bytes); /* no page is zero, all are there */
    bench_rig_path(path, sizeof(path), side);
    if (ferry_context_create(&options, &context, &error) != FERRY_OK ||
        ferry_context_add_memory(context, &memory, &error) < 0 ||
        ferry_context_add_device(context, "state", path, &error) < 0) {
        bench_die(error.text);
    }
    return context;
}

/* Both hosts count the turns: the first way there, the second one back, of each kind. */
static struct ferry_migrate_options options_of(int turn)
{
    return (struct ferry_migrate_options){ .struct_size =
                                               sizeof(struct ferry_migrate_options),
                                           .max_downtime_ms = 60000,
                                           .connections = connections[turn / 2 % KINDS] };
}

/* One move as source or target. Return: nanoseconds, of a source. */
static double move(struct ferry_context *context, int control, int turn, int send)
{
    struct ferry_migrate_options options = options_of(turn);
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_report report;
    char address[ADDRESS_BYTES] = "";
    int status;

    if (send) {
        bench_read(control, address, sizeof(address));
        status = ferry_context_send(context, address, &options, &error);
    } else {
        status = ferry_context_listen(context, "tcp:127.0.0.1:0", &options, &error);
        snprintf(address, sizeof(address), "%s", ferry_context_address(context));
        bench_write(control, address, sizeof(address));
    }
    if (status != FERRY_OK || ferry_context_wait(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    ferry_context_report(context, &report);
    if (send && report.connections < least_used[turn / 2 % KINDS]) {
        least_used[turn / 2 % KINDS] = report.connections;
    }
    if (send && ferry_context_reopen(context, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    return (double)report.total_ns;
}

static void other_host(int control)
{
    struct ferry_context *context = open_context(1);

    for (int turn = 0; turn < 2 * KINDS * (rounds + 1); turn++) {
        double ns = move(context, control, turn, turn % 2);

        if (turn % 2) {
            bench_write(control, &ns, sizeof(ns));
        }
    }
    ferry_context_destroy(context);
    _exit(0);
}

/* There and back with one kind: the mean of both. */
static double there_and_back(struct ferry_context *context, int control, int turn)
{
    double there = move(context, control, turn, 1), back;

    (void)move(context, control, turn + 1, 0);
    bench_read(control, &back, sizeof(back));
    return (there + back) / 2;
}

int main(int argc, char **argv)
{
    static const char *const subjects[KINDS] = { "memory over 1 connection",
                                                 "memory over 2 connections",
                                                 "memory over 4 connections" };
    static double times[KINDS][ROUNDS_MAX], ratios[KINDS][ROUNDS_MAX];
    struct bench_output out;
    struct ferry_context *context;
    double rate[KINDS];
    int control[2];

    bench_open(&out, "connections", "memory moved over several TCP connections", argc,
               argv);
    if (out.quick) {
        memory_bytes = (size_t)64 << 20;
        rounds = 2;
    }
    signal(SIGPIPE, SIG_IGN);
    bench_rig_open();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) < 0) {
        bench_die("cannot prepare");
    }
    bench_start_state_devices(2, STATE_BYTES, 0);
    if (bench_child() == 0) {
        other_host(control[1]);
    }
    context = open_context(0);
    for (int round = -1; round < rounds; round++) {
        for (int kind = 0; kind < KINDS; kind++) {
            int turn = 2 * (KINDS * (round + 1) + kind);
            double ns = there_and_back(context, control[0], turn);

            if (round >= 0) {
                times[kind][round] = ns;
                ratios[kind][round] = times[0][round] / ns;
            }
        }
    }
    for (int kind = 0; kind < KINDS; kind++) {
        rate[kind] = (double)memory_bytes * 1e9 / (double)(1u << 20) /
                     bench_median(times[kind], (size_t)rounds);
        bench_row(&out,
                  &(struct bench_row){
                      .subject = subjects[kind],
                      .unit = "MiB/s",
                      .figure = rate[kind],
                      .floor_is = kind > 0 ? "one connection" : NULL,
                      .floor = kind > 0 ? rate[0] : 0,
                      .ratio = kind > 0 ? bench_median(ratios[kind], (size_t)rounds) : 0,
                      .more = { { "connections", least_used[kind] } } });
    }
    ferry_context_destroy(context);
    return bench_close(&out);
}
