/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "bench/served.h"

/*
 * 4-byte region reads of which 64 are under way, and posted writes of 4 bytes in groups
 * of 64, against a bare socket that carries as many messages of the same sizes: a send
 * for each question, answers to what is there together. Bursts of both take turns.
 */

#define ASK_BYTES 32
#define ANSWER_BYTES 36
#define POSTED_BYTES 36
#define DEPTH 64
#define BURSTS 41
#define BURST_NS 20000000u

struct subject {
    struct bench_served served;
    int posted;
    struct pollfd ready;
    struct ferry_request request[DEPTH];
    uint32_t value[DEPTH];
    int left;
};

/* Posted: takes DEPTH writes, then a question, which alone is answered. */
static void serve_floor(int fd, uint32_t posted)
{
    static const char answer[DEPTH * ANSWER_BYTES];
    const size_t ask = posted ? DEPTH * POSTED_BYTES + ASK_BYTES : ASK_BYTES;
    char bytes[8192];
    size_t have = 0;

    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof(bytes), 0);
        size_t whole;

        if (got <= 0) {
            _exit(0);
        }
        have += (size_t)got;
        whole = have / ask;
        have %= ask;
        if (whole > 0) {
            bench_write(fd, answer, whole * ANSWER_BYTES);
        }
    }
}

static void start(struct subject *subject, int ferry, int cpu, int posted)
{
    memset(subject, 0, sizeof(*subject));
    subject->posted = posted;
    if (!ferry) {
        bench_serve_floor(&subject->served, cpu, serve_floor, (uint32_t)posted);
        return;
    }
    bench_serve_ferry(&subject->served, cpu, 0);
    subject->ready.fd = ferry_client_fd(subject->served.client);
    subject->ready.events = POLLIN;
}

static void round_floor(const struct subject *subject)
{
    static const char ask[POSTED_BYTES];
    char answer[DEPTH * ANSWER_BYTES];

    for (int i = 0; i < DEPTH; i++) {
        bench_write(subject->served.fd, ask, subject->posted ? POSTED_BYTES : ASK_BYTES);
    }
    if (subject->posted) {
        bench_write(subject->served.fd, ask, ASK_BYTES);
        bench_read(subject->served.fd, answer, ANSWER_BYTES);
    } else {
        bench_read(subject->served.fd, answer, sizeof(answer));
    }
}

static void on_done(struct ferry_request *request)
{
    struct subject *subject = request->user;

    if (request->status != FERRY_OK) {
        bench_die("region read");
    }
    subject->left--;
}

static void round_reads(struct subject *subject)
{
    for (int i = 0; i < DEPTH; i++) {
        struct ferry_request *request = &subject->request[i];

        request->kind = FERRY_RQ_REGION_READ;
        request->u.io.off = 16;
        request->u.io.count = sizeof(subject->value[i]);
        request->u.io.data = &subject->value[i];
        request->done = on_done;
        request->user = subject;
        if (ferry_client_submit(subject->served.client, request) != FERRY_PENDING) {
            bench_die("submit");
        }
        subject->left++;
    }
    while (subject->left > 0) {
        if (poll(&subject->ready, 1, -1) < 0 ||
            ferry_client_dispatch(subject->served.client) < 0) {
            bench_die("dispatch");
        }
    }
}

static void round_posted(struct subject *subject)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io.count = sizeof(subject->value[0]);
    request.u.io.data = &subject->value[0];
    request.u.io.posted = 1;
    for (int i = 0; i < DEPTH; i++) {
        int rc = ferry_client_submit(subject->served.client, &request);

        if (rc != FERRY_OK) {
            bench_die("posted write");
        }
    }
    request.kind = FERRY_RQ_REGION_READ;
    request.u.io.posted = 0;
    if (ferry_client_call(subject->served.client, &request) != FERRY_OK) {
        bench_die("region read");
    }
}

/* Messages per second. */
static double burst(struct subject *subject, uint64_t length_ns)
{
    uint64_t begin = bench_now_ns();
    uint64_t now = begin;
    uint64_t count = 0;

    while (now - begin < length_ns) {
        if (!subject->served.client) {
            round_floor(subject);
        } else if (subject->posted) {
            round_posted(subject);
        } else {
            round_reads(subject);
        }
        count += DEPTH;
        now = bench_now_ns();
    }
    return (double)count * 1e9 / (double)(now - begin);
}

static void measure(struct bench_output *out, const char *text, int server_cpu,
                    int posted)
{
    struct subject floor, ferry;
    double rate[2][BURSTS];
    double ratio[BURSTS];
    int bursts = out->quick ? 5 : BURSTS;

    bench_pin(0);
    start(&floor, 0, server_cpu, posted);
    start(&ferry, 1, server_cpu, posted);
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
                                        .unit = "1/s",
                                        .figure = bench_median(rate[1], (size_t)bursts),
                                        .floor_is = "bare socket",
                                        .floor = bench_median(rate[0], (size_t)bursts),
                                        .ratio = bench_median(ratio, (size_t)bursts) });
}

int main(int argc, char **argv)
{
    struct bench_output out;

    bench_open(&out, "region_many", "small region accesses, 64 under way", argc, argv);
    measure(&out, "4-byte region read, 64 under way, one core", 0, 0);
    measure(&out, "posted 4-byte region write, one core", 0, 1);
    if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
        measure(&out, "4-byte region read, 64 under way, two cores", 1, 0);
        measure(&out, "posted 4-byte region write, two cores", 1, 1);
    }
    return bench_close(&out);
}
