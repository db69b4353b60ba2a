/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "link/client/client.h"
#include "link/server/server.h"

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
    pid_t pid;
    int fd;                      /* the floor's socket */
    struct ferry_client *client; /* NULL: the floor */
    int posted;
    struct pollfd ready;
    struct ferry_request request[DEPTH];
    uint32_t value[DEPTH];
    int left;
};

static int submit(struct ferry_endpoint *endpoint, struct ferry_request *request)
{
    static const uint32_t value = 0x12345678;

    (void)endpoint;
    if (request->kind == FERRY_RQ_REGION_WRITE) {
        return FERRY_OK;
    }
    if (request->kind != FERRY_RQ_REGION_READ) {
        return FERRY_E_UNSUPPORTED;
    }
    memcpy(request->u.io.data, &value, sizeof(value));
    return FERRY_OK;
}

static int attach(struct ferry_endpoint *endpoint, const struct ferry_client_port *port)
{
    (void)endpoint;
    (void)port;
    return FERRY_OK;
}

static void detach(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
}

static int work(struct ferry_endpoint *endpoint)
{
    (void)endpoint;
    return 0;
}

static void gone(void *user, const struct ferry_error *error)
{
    (void)user;
    (void)error;
    _exit(0);
}

static void serve_ferry(int fd)
{
    static const struct ferry_endpoint_ops ops = {
        .struct_size = sizeof(ops),
        .attach = attach,
        .detach = detach,
        .submit = submit,
        .work = work,
    };
    struct ferry_endpoint endpoint = { .ops = &ops };
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .closed = gone };
    struct ferry_link_server *server;
    struct ferry_loop *loop;

    if (ferry_loop_create(&loop) != FERRY_OK ||
        ferry_link_server_from_fd(fd, &endpoint, loop, &options, &server, NULL) !=
            FERRY_OK) {
        _exit(1);
    }
    while (ferry_loop_dispatch(loop, -1) >= 0) {
    }
    _exit(1);
}

/* Posted: takes DEPTH writes, then a question, which alone is answered. */
static void serve_floor(int fd, int posted)
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
    int pair[2];

    memset(subject, 0, sizeof(*subject));
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        bench_die("socketpair");
    }
    subject->pid = fork();
    if (subject->pid < 0) {
        bench_die("fork");
    }
    if (subject->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        bench_pin(cpu);
        if (ferry) {
            serve_ferry(pair[1]);
        } else {
            serve_floor(pair[1], posted);
        }
    }
    close(pair[1]);
    subject->fd = pair[0];
    subject->posted = posted;
    if (!ferry) {
        return;
    }
    if (ferry_client_from_fd(pair[0], NULL, &subject->client, NULL) != FERRY_OK) {
        bench_die("connect");
    }
    subject->ready.fd = ferry_client_fd(subject->client);
    subject->ready.events = POLLIN;
}

static void stop(struct subject *subject)
{
    if (subject->client) {
        ferry_client_close(subject->client);
    } else {
        close(subject->fd);
    }
    kill(subject->pid, SIGTERM);
    waitpid(subject->pid, NULL, 0);
}

static void round_floor(const struct subject *subject)
{
    static const char ask[POSTED_BYTES];
    char answer[DEPTH * ANSWER_BYTES];

    for (int i = 0; i < DEPTH; i++) {
        bench_write(subject->fd, ask, subject->posted ? POSTED_BYTES : ASK_BYTES);
    }
    if (subject->posted) {
        bench_write(subject->fd, ask, ASK_BYTES);
        bench_read(subject->fd, answer, ANSWER_BYTES);
    } else {
        bench_read(subject->fd, answer, sizeof(answer));
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
        if (ferry_client_submit(subject->client, request) != FERRY_PENDING) {
            bench_die("submit");
        }
        subject->left++;
    }
    while (subject->left > 0) {
        if (poll(&subject->ready, 1, -1) < 0 ||
            ferry_client_dispatch(subject->client) < 0) {
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
        int rc = ferry_client_submit(subject->client, &request);

        if (rc != FERRY_OK) {
            bench_die("posted write");
        }
    }
    request.kind = FERRY_RQ_REGION_READ;
    request.u.io.posted = 0;
    if (ferry_client_call(subject->client, &request) != FERRY_OK) {
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
        if (!subject->client) {
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
    stop(&floor);
    stop(&ferry);
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
