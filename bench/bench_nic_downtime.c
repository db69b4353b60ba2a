/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/nic_rig.h"
#include "bench/output.h"
#include "bench/rig.h"
#include "bench/state_device.h"
#include "ferry/host.h"

/*
 * Downtime of a guest whose nic has a table of flows of 256 MiB, all of it used, of which
 * frames change one per cent a second; over TCP on loopback, with two device processes
 * and two host processes. Floor: the same guest and the same frames with a table of
 * 1 MiB. Aim: below 1.5 times.
 */
#define FRAME_BYTES 64u
#define MOVES 22 /* there and back in turn; every second one is measured here */
#define QUICK_MOVES 2
#define MEASURED ((MOVES + 1) / 2)
#define QUICK_BIG_BYTES (32ull << 20)
#define BIG_BYTES (256ull << 20)
#define SMALL_BYTES (1ull << 20)
#define TABLES 2 /* small, big */
/* Before each move: a device that was left frees its table, which takes a processor. */
#define REST_NS 150000000u

/* One side's guest with one of the tables. */
struct guest {
    struct bench_nic nic; /* first: it is what the callbacks are given */
    struct ferry_report report;
    uint64_t sent_until_ns; /* frames are due since then */
    uint32_t runs, finished;
};

static uint64_t frames_per_s;

static int pause_cpus(void *user, struct ferry_context *context)
{
    struct guest *guest = user;

    (void)context;
    guest->runs = 0;
    return FERRY_OK;
}

static int resume_cpus(void *user, struct ferry_context *context)
{
    struct guest *guest = user;

    (void)context;
    guest->runs = 1;
    guest->sent_until_ns = bench_now_ns();
    guest->nic.in_flight = 0; /* the other side counted what still comes */
    return FERRY_OK;
}

/* The driver tells of every write. */
static void track_cpus(void *user, struct ferry_context *context, int start)
{
    (void)user, (void)context, (void)start;
}

static void on_event(void *user, struct ferry_context *context,
                     const struct ferry_host_event *event)
{
    struct guest *guest = user;

    (void)context;
    if (event->kind == FERRY_HOST_FINISHED) {
        guest->report = *event->report;
        guest->finished = 1;
    }
}

static const struct ferry_context_ops context_ops = { .struct_size = sizeof(context_ops),
                                                      .pause_cpus = pause_cpus,
                                                      .resume_cpus = resume_cpus,
                                                      .track_cpus = track_cpus,
                                                      .event = on_event };

static void open_guest(struct guest *guest, int side, int table)
{
    char path[64];

    memset(guest, 0, sizeof(*guest));
    bench_rig_path(path, sizeof(path), side * TABLES + table);
    bench_nic_open(&guest->nic, path, NULL, &context_ops);
    guest->nic.ram.context = guest->nic.context;
}

/* Frames that are due by now. */
static void work(struct guest *guest)
{
    const uint64_t now = bench_now_ns();
    const uint64_t due = (now - guest->sent_until_ns) * frames_per_s / 1000000000u;

    bench_nic_turn(&guest->nic, (uint32_t)due, FRAME_BYTES);
    guest->sent_until_ns += due * 1000000000u / frames_per_s;
}

/* The guest works for a while, if it is here. */
static void rest(struct guest *guest)
{
    const uint64_t until = bench_now_ns() + REST_NS;

    while (bench_now_ns() < until) {
        if (ferry_context_dispatch(guest->nic.context, 1) != FERRY_OK) {
            bench_die("dispatch");
        }
        if (guest->runs) {
            work(guest);
        }
    }
}

/* One move, at work until the stop and after it; reports are the sender's. */
static void move(struct guest *guest, int fd, int send)
{
    struct ferry_context *context = guest->nic.context;
    struct ferry_error error = { 0 };
    int status = send ? ferry_context_send_fd(context, fd, NULL, &error)
                      : ferry_context_receive_fd(context, fd, NULL, &error);

    if (status != FERRY_OK) {
        bench_die(error.text);
    }
    guest->finished = 0;
    while (!guest->finished) {
        if (ferry_context_dispatch(context, guest->runs ? 1 : -1) != FERRY_OK) {
            bench_die("dispatch");
        }
        if (guest->runs) {
            work(guest);
        }
    }
    if (guest->report.outcome != FERRY_OUTCOME_MOVED) {
        bench_die(guest->report.error.text);
    }
    if (send) {
        if (ferry_context_reopen(context, &error) != FERRY_OK) {
            bench_die(error.text);
        }
        bench_nic_attach(&guest->nic);
    }
}

static int moves_of(const struct bench_output *out)
{
    return out->quick ? QUICK_MOVES : MOVES;
}

/* The other host: takes part in every move from its own process. */
static void other_host(int control, int moves)
{
    struct guest guest[TABLES];
    char byte = 0;

    for (int i = 0; i < TABLES; i++) {
        open_guest(&guest[i], 1, i);
    }
    bench_write(control, &byte, 1);
    for (int i = 0; i < moves; i++) {
        for (int table = 0; table < TABLES; table++) {
            move(&guest[table], bench_receive_fd(control), i % 2);
            bench_write(control, &byte, 1);
        }
    }
    _exit(0);
}

static void start_guest(struct guest *guest, int side, int table, uint64_t pages)
{
    open_guest(guest, side, table);
    bench_nic_start(&guest->nic, FRAME_BYTES);
    guest->nic.new_flows = 1;
    /* Flows fall on pages by chance; with so many frames hardly a page is left out. */
    (void)bench_nic_run(&guest->nic, pages * 16, FRAME_BYTES);
    guest->runs = 1;
    guest->sent_until_ns = bench_now_ns();
}

static double part(const struct ferry_report *reports, size_t count, size_t offset)
{
    double values[MEASURED];

    for (size_t i = 0; i < count; i++) {
        uint64_t ns;

        memcpy(&ns, (const char *)&reports[i] + offset, sizeof(ns));
        values[i] = (double)ns;
    }
    return bench_median(values, count);
}

#define PART(table, name) part(reports[table], count, offsetof(struct ferry_report, name))
#define DEVICE(name) PART(1, device[0].name)

static void tell(struct bench_output *out, struct ferry_report reports[TABLES][MEASURED],
                 size_t count)
{
    double ratios[MEASURED];

    for (size_t i = 0; i < count; i++) {
        ratios[i] = (double)reports[1][i].downtime_ns / (double)reports[0][i].downtime_ns;
    }
    bench_row(
        out,
        &(struct bench_row){
            .subject = "downtime of a nic with a large table of flows, 1 % new a second",
            .unit = "us",
            .figure = PART(1, downtime_ns) / 1e3,
            .floor_is = "with a table of 1 MiB",
            .floor = PART(0, downtime_ns) / 1e3,
            .ratio = bench_median(ratios, count),
            .best = bench_least(ratios, count),
            .aim = 1.5,
            .aim_is_most = 1,
            .more = { { "total_ms", PART(1, total_ns) / 1e6 },
                      { "precopy_MiB", DEVICE(precopy_bytes) / (double)(1u << 20) },
                      { "stop_KiB", DEVICE(stop_bytes) / 1024 },
                      { "quiet_us", PART(1, quiet_ns) / 1e3 },
                      { "stop_us", PART(1, stop_ns) / 1e3 },
                      { "transfer_us", PART(1, transfer_ns) / 1e3 },
                      { "prepare_us", PART(1, prepare_ns) / 1e3 },
                      { "commit_us", PART(1, commit_ns) / 1e3 } } });
}

static void start_devices(uint64_t big_bytes)
{
    char small[32], big[32], path[64];

    snprintf(small, sizeof(small), "flows=%llu", (unsigned long long)SMALL_BYTES);
    snprintf(big, sizeof(big), "flows=%llu", (unsigned long long)big_bytes);
    for (int i = 0; i < 2 * TABLES; i++) {
        const char *const options[] = { "net=echo", i % TABLES == 0 ? small : big, NULL };

        bench_rig_path(path, sizeof(path), i);
        (void)bench_nic_serve(path, options, 0, -1);
    }
}

int main(int argc, char **argv)
{
    static struct ferry_report reports[TABLES][MEASURED];
    static struct guest guest[TABLES];
    struct bench_output out;
    uint64_t big_bytes;
    int control[2];
    size_t measured = 0;
    char byte;

    bench_open(&out, "nic_downtime", "downtime of a nic with a large table of flows",
               argc, argv);
    big_bytes = out.quick ? QUICK_BIG_BYTES : BIG_BYTES;
    frames_per_s = big_bytes / FERRY_PAGE_BYTES / 100;
    signal(SIGPIPE, SIG_IGN);
    bench_rig_open();
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, control) < 0) {
        bench_die("cannot prepare");
    }
    start_devices(big_bytes);
    if (bench_child() == 0) {
        other_host(control[1], moves_of(&out));
    }
    for (int i = 0; i < TABLES; i++) {
        start_guest(&guest[i], 0, i,
                    (i == 0 ? SMALL_BYTES : big_bytes) / FERRY_PAGE_BYTES);
    }
    bench_read(control[0], &byte, 1);
    for (int i = 0; i < moves_of(&out); i++) {
        for (int table = 0; table < TABLES; table++) {
            int pair[2];

            rest(&guest[table]);
            bench_tcp_pair(pair);
            bench_send_fd(control[0], pair[1]);
            move(&guest[table], pair[0], i % 2 == 0);
            bench_read(control[0], &byte, 1);
            if (i % 2 == 0) {
                reports[table][measured] = guest[table].report;
            }
        }
        measured += i % 2 == 0;
    }
    tell(&out, reports, measured);
    return bench_close(&out);
}
