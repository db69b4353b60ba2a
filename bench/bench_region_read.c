/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "bench/served.h"

/*
 * Round trips of a 4-byte region read against a bare AF_UNIX ping-pong of the same sizes,
 * the servers in processes of their own, blocking or ("spinning") looking for messages
 * without waiting, at both ends. Bursts of both take turns.
 */

#define ASK_BYTES 32
#define ANSWER_BYTES 36
#define BURSTS 81
#define BURST_NS 20000000u
#define SLICES 25
#define CHUNK 16

struct subject {
    struct bench_served served;
    int spin; /* the floor's client looks without waiting */
};

/* Waits for a message, or looks for it until it is there. */
static ssize_t await(int fd, void *bytes, size_t size, int spin)
{
    ssize_t got;

    do {
        got = recv(fd, bytes, size, spin ? MSG_DONTWAIT : 0);
    } while (got < 0 && errno == EAGAIN);
    return got;
}

static void serve_floor(int fd, uint32_t spin)
{
    char ask[ASK_BYTES];
    char answer[ANSWER_BYTES] = { 0 };

    while (await(fd, ask, sizeof(ask), spin != 0) == (ssize_t)sizeof(ask)) {
        if (send(fd, answer, sizeof(answer), MSG_NOSIGNAL) != (ssize_t)sizeof(answer)) {
            break;
        }
    }
    _exit(0);
}

static void start(struct subject *subject, int ferry, int cpu, int spin)
{
    subject->spin = spin;
    if (ferry) {
        bench_serve_ferry(&subject->served, cpu, spin ? UINT32_MAX : 0);
    } else {
        bench_serve_floor(&subject->served, cpu, serve_floor, (uint32_t)spin);
    }
}

static void one_floor(int fd, int spin)
{
    char ask[ASK_BYTES] = { 0 };
    char answer[ANSWER_BYTES];

    if (send(fd, ask, sizeof(ask), MSG_NOSIGNAL) != (ssize_t)sizeof(ask) ||
        await(fd, answer, sizeof(answer), spin) != (ssize_t)sizeof(answer)) {
        bench_die("floor");
    }
}

static void one_ferry(struct ferry_client *client)
{
    static struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };
    uint32_t value = 0;

    request.u.io.off = 16;
    request.u.io.count = sizeof(value);
    request.u.io.data = &value;
    if (ferry_client_call(client, &request) != FERRY_OK || value != 0x12345678) {
        bench_die("region read");
    }
}

/* Round trips per second. */
static double burst(const struct subject *subject, uint64_t length_ns)
{
    uint64_t begin = bench_now_ns();
    uint64_t now = begin;
    uint64_t count = 0;
    int i;

    while (now - begin < length_ns) {
        for (i = 0; i < CHUNK; i++) {
            if (subject->served.client) {
                one_ferry(subject->served.client);
            } else {
                one_floor(subject->served.fd, subject->spin);
            }
        }
        count += CHUNK;
        now = bench_now_ns();
    }
    return (double)count * 1e9 / (double)(now - begin);
}

struct result {
    double floor, ferry; /* medians */
    double median, best; /* ratios: of pairs of bursts, of the best bursts */
};

/*
 * Two servers that spin would share the processor: each burst has its own server. It is
 * the median of slices, most of them shorter than what the scheduler gives to others.
 */
static double alone(int ferry, int server_cpu, double *best)
{
    struct subject subject;
    double rate[SLICES];

    start(&subject, ferry, server_cpu, 1);
    burst(&subject, BURST_NS / 4);
    for (int i = 0; i < SLICES; i++) {
        rate[i] = burst(&subject, BURST_NS / SLICES);
        *best = rate[i] > *best ? rate[i] : *best;
    }
    bench_served_end(&subject.served);
    return bench_median(rate, SLICES);
}

static void measure(int client_cpu, int server_cpu, int spin, int bursts,
                    struct result *ret_result)
{
    struct subject floor;
    struct subject ferry;
    double rate[2][BURSTS];
    double ratio[BURSTS];
    double best[2] = { 0, 0 };
    int i;

    bench_pin(client_cpu);
    if (!spin) {
        start(&floor, 0, server_cpu, 0);
        start(&ferry, 1, server_cpu, 0);
        burst(&floor, BURST_NS * 2);
        burst(&ferry, BURST_NS * 2);
    }
    for (i = 0; i < bursts; i++) {
        rate[0][i] = spin ? alone(0, server_cpu, &best[0]) : burst(&floor, BURST_NS);
        rate[1][i] = spin ? alone(1, server_cpu, &best[1]) : burst(&ferry, BURST_NS);
        ratio[i] = rate[1][i] / rate[0][i];
        best[0] = rate[0][i] > best[0] ? rate[0][i] : best[0];
        best[1] = rate[1][i] > best[1] ? rate[1][i] : best[1];
    }
    if (!spin) {
        bench_served_end(&floor.served);
        bench_served_end(&ferry.served);
    }
    ret_result->floor = bench_median(rate[0], (size_t)bursts);
    ret_result->ferry = bench_median(rate[1], (size_t)bursts);
    ret_result->median = bench_median(ratio, (size_t)bursts);
    ret_result->best = best[1] / best[0];
}

static void tell(struct bench_output *out, const char *subject, double aim,
                 const struct result *result)
{
    bench_row(out, &(struct bench_row){ .subject = subject,
                                        .unit = "1/s",
                                        .figure = result->ferry,
                                        .floor_is = "bare socket",
                                        .floor = result->floor,
                                        .ratio = result->median,
                                        .best = result->best,
                                        .aim = aim });
}

int main(int argc, char **argv)
{
    struct bench_output out;
    struct result result;
    int bursts;

    bench_open(&out, "region_read", "round trips of a 4-byte region read", argc, argv);
    bursts = out.quick ? 5 : BURSTS;
    measure(0, 0, 0, bursts, &result);
    tell(&out, "4-byte region read, one core", 0.8, &result);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        measure(0, 1, 0, bursts, &result);
        tell(&out, "4-byte region read, two cores", 0.95, &result);
        measure(0, 1, 1, bursts, &result);
        tell(&out, "4-byte region read, two cores, both ends spin", 0.81, &result);
    }
    return bench_close(&out);
}
