/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "bench/served.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"
#include "link/server/server.h"

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

static void serve(int fd, uint32_t spin_us)
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
                                                 .closed = gone,
                                                 .spin_us = spin_us };
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

static void start(struct bench_served *served, int cpu,
                  void (*body)(int fd, uint32_t arg), uint32_t arg)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        bench_die("socketpair");
    }
    served->pid = fork();
    if (served->pid < 0) {
        bench_die("fork");
    }
    if (served->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(pair[0]);
        bench_pin(cpu);
        body(pair[1], arg);
        _exit(1);
    }
    close(pair[1]);
    served->fd = pair[0];
    served->client = NULL;
}

void bench_serve_ferry(struct bench_served *served, int cpu, uint32_t spin_us)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .spin_us = spin_us };

    start(served, cpu, serve, spin_us);
    if (ferry_client_from_fd(served->fd, &options, &served->client, NULL) != FERRY_OK) {
        bench_die("connect");
    }
}

void bench_serve_floor(struct bench_served *served, int cpu,
                       void (*floor)(int fd, uint32_t arg), uint32_t arg)
{
    start(served, cpu, floor, arg);
}

void bench_served_end(struct bench_served *served)
{
    if (served->client) {
        ferry_client_close(served->client);
    } else {
        close(served->fd);
    }
    /* The other child may still hold a copy of the socket. */
    kill(served->pid, SIGTERM);
    waitpid(served->pid, NULL, 0);
}
