/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "bench/served.h"

/*
 * Region writes of many bytes, each answered, against a bare socket that carries as much,
 * the servers in processes of their own. Neither does anything with the data;
 * both receive it into one buffer. Bursts of both take turns.
 */

#define ASK_BYTES 32
#define ANSWER_BYTES 32
#define BURSTS 41
#define BURST_NS 20000000u

struct subject {
    struct bench_served served;
    uint32_t size;
    uint8_t *data;
};

static void serve_floor(int fd, uint32_t size)
{
    char answer[ANSWER_BYTES] = { 0 };
    uint8_t *buffer = bench_memory(ASK_BYTES + size);

    for (;;) {
        size_t have = 0;

        while (have < ASK_BYTES + size) {
            ssize_t got = recv(fd, buffer + have, ASK_BYTES + size - have, 0);

            if (got <= 0) {
                _exit(0);
            }
            have += (size_t)got;
        }
        bench_write(fd, answer, sizeof(answer));
    }
}

static void start(struct subject *subject, int ferry, int cpu, uint32_t size)
{
    subject->size = size;
    if (ferry) {
        bench_serve_ferry(&subject->served, cpu, 0);
    } else {
        bench_serve_floor(&subject->served, cpu, serve_floor, size);
    }
    subject->data = bench_memory(ASK_BYTES + size);
}

static void one(const struct subject *subject)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };
    char answer[ANSWER_BYTES];

    if (!subject->served.client) {
        bench_write(subject->served.fd, subject->data, ASK_BYTES + subject->size);
        bench_read(subject->served.fd, answer, sizeof(answer));
        return;
    }
    request.u.io.count = subject->size;
    request.u.io.data = subject->data;
    if (ferry_client_call(subject->served.client, &request) != FERRY_OK) {
        bench_die("region write");
    }
}

/* MiB per second. */
static double burst(const struct subject *subject, uint64_t length_ns)
{
    uint64_t begin = bench_now_ns();
    uint64_t now = begin;
    uint64_t count = 0;

    while (now - begin < length_ns) {
        one(subject);
        count++;
        now = bench_now_ns();
    }
    return (double)count * subject->size / 1048576.0 * 1e9 / (double)(now - begin);
}

static void measure(struct bench_output *out, const char *text, int server_cpu,
                    uint32_t size)
{
    struct subject floor, ferry;
    double rate[2][BURSTS];
    double ratio[BURSTS];
    int bursts = out->quick ? 5 : BURSTS;

    bench_pin(0);
    start(&floor, 0, server_cpu, size);
    start(&ferry, 1, server_cpu, size);
    burst(&floor, BURST_NS);
    burst(&ferry, BURST_NS);
    for (int i = 0; i < bursts; i++) {
        rate[0][i] = burst(&floor, BURST_NS);
        rate[1][i] = burst(&ferry, BURST_NS);
        ratio[i] = rate[1][i] / rate[0][i];
    }
    bench_served_end(&floor.served);
    bench_served_end(&ferry.served);
    bench_row(out, &(struct bench_row){ .subject = text,
                                        .unit = "MiB/s",
                                        .figure = bench_median(rate[1], (size_t)bursts),
                                        .floor_is = "bare socket",
                                        .floor = bench_median(rate[0], (size_t)bursts),
                                        .ratio = bench_median(ratio, (size_t)bursts),
                                        .aim = 0.85 });
}

int main(int argc, char **argv)
{
    struct bench_output out;

    bench_open(&out, "region_write", "region writes of 64 KiB and 1 MiB", argc, argv);
    measure(&out, "region write of 64 KiB, one core", 0, 64u << 10);
    measure(&out, "region write of 1 MiB, one core", 0, 1u << 20);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        measure(&out, "region write of 64 KiB, two cores", 1, 64u << 10);
        measure(&out, "region write of 1 MiB, two cores", 1, 1u << 20);
    }
    return bench_close(&out);
}
