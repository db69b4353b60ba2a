/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE /* memfd_create */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"
#include "device/device_private.h"
#include "link/client/client.h"
#include "link/server/server.h"

/*
 * DMA_MAP requests with a descriptor, from a client to a device in another process on the
 * same processor. Floor: a bare message of the same size with the descriptor, answered
 * after an mmap of the same pages. Both take turns. The maps are pieces of one file, in
 * no order; 65,536 of them are more than the system lets a process map one by one.
 */

#define PAGE 4096ull
#define MAPS 10000u
#define MAPS_MANY 65536u
#define ASK_BYTES 48
#define ANSWER_BYTES 16
#define BURSTS_MAX 15

struct subject {
    pid_t pid;
    int fd;                      /* the floor's socket */
    struct ferry_client *client; /* NULL: the floor */
};

struct ask {
    uint64_t offset; /* UINT64_MAX: unmap all */
    uint8_t rest[ASK_BYTES - 8];
};

static int save(void *state, struct ferry_device *device, void *data, size_t cap)
{
    (void)state, (void)device, (void)data, (void)cap;
    return 0;
}

static int load(void *state, struct ferry_device *device, const void *data, size_t count)
{
    (void)state, (void)device, (void)data, (void)count;
    return FERRY_OK;
}

static int data_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state, (void)device;
    *ret_bytes = 1;
    return FERRY_OK;
}

static void gone(void *user, const struct ferry_error *error)
{
    (void)user, (void)error;
    _exit(0);
}

static void serve_ferry(int fd)
{
    static const struct ferry_device_ops ops = {
        .struct_size = sizeof(ops), .save = save, .load = load, .data_size = data_size
    };
    struct ferry_device_desc desc = { .struct_size = sizeof(desc),
                                      .ops = &ops,
                                      .identity = { .model = "bench",
                                                    .state_version = 1,
                                                    .state_version_min = 1,
                                                    .migration_flags =
                                                        FERRY_MIG_STOP_COPY } };
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .closed = gone };
    struct ferry_link_server *server;
    struct ferry_device *device;
    struct ferry_loop *loop;

    if (ferry_device_create(&desc, &device, NULL) != FERRY_OK ||
        ferry_loop_create(&loop) != FERRY_OK ||
        ferry_link_server_from_fd(fd, ferry_device_endpoint(device), loop, &options,
                                  &server, NULL) != FERRY_OK) {
        _exit(1);
    }
    while (ferry_loop_dispatch(loop, -1) >= 0) {
    }
    _exit(1);
}

/* Return: 0 when the peer is gone. */
static int receive(int fd, struct ask *ask, int *ret_fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = ask, .iov_len = sizeof(*ask) };
    struct msghdr message = { .msg_iov = &iov,
                              .msg_iovlen = 1,
                              .msg_control = control.bytes,
                              .msg_controllen = sizeof(control) };
    struct cmsghdr *part;

    *ret_fd = -1;
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(*ask)) {
        return 0;
    }
    part = CMSG_FIRSTHDR(&message);
    if (part != NULL) {
        memcpy(ret_fd, CMSG_DATA(part), sizeof(*ret_fd));
    }
    return 1;
}

static void serve_floor(int fd)
{
    static void *map[MAPS];
    uint32_t count = 0;
    char answer[ANSWER_BYTES] = { 0 };
    struct ask ask;
    int file;

    while (receive(fd, &ask, &file)) {
        if (file < 0) {
            while (count > 0) {
                (void)munmap(map[--count], PAGE);
            }
        } else {
            map[count] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file,
                              (off_t)ask.offset);
            if (map[count++] == MAP_FAILED) {
                _exit(1);
            }
            close(file);
        }
        if (send(fd, answer, sizeof(answer), MSG_NOSIGNAL) != (ssize_t)sizeof(answer)) {
            break;
        }
    }
    _exit(0);
}

static void start(struct subject *subject, int ferry)
{
    int pair[2];

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
        if (ferry) {
            serve_ferry(pair[1]);
        } else {
            serve_floor(pair[1]);
        }
    }
    close(pair[1]);
    subject->fd = pair[0];
    subject->client = NULL;
    if (ferry &&
        ferry_client_from_fd(pair[0], NULL, &subject->client, NULL) != FERRY_OK) {
        bench_die("connect");
    }
}

static void stop(struct subject *subject)
{
    if (subject->client != NULL) {
        ferry_client_close(subject->client);
    } else {
        close(subject->fd);
    }
    kill(subject->pid, SIGTERM);
    waitpid(subject->pid, NULL, 0);
}

/* file -1: unmap all. */
static void one_floor(int fd, int file, uint64_t at)
{
    struct ask ask = { .offset = at * PAGE };
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = { .iov_base = &ask, .iov_len = sizeof(ask) };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
    char answer[ANSWER_BYTES];

    if (file >= 0) {
        memset(&control, 0, sizeof(control));
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof(control);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &file, sizeof(file));
    }
    if (sendmsg(fd, &message, MSG_NOSIGNAL) != (ssize_t)sizeof(ask) ||
        recv(fd, answer, sizeof(answer), 0) != (ssize_t)sizeof(answer)) {
        bench_die("floor");
    }
}

static void one_ferry(struct ferry_client *client, int file, uint64_t at)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP,
                                     .u.map = { .iova = 2 * at * PAGE,
                                                .size = PAGE,
                                                .offset = at * PAGE,
                                                .fd = file,
                                                .flags =
                                                    FERRY_DMA_READ | FERRY_DMA_WRITE } };

    if (file < 0) {
        request = (struct ferry_request){ .kind = FERRY_RQ_DMA_UNMAP,
                                          .u.unmap = { .flags = FERRY_UNMAP_ALL } };
    }
    if (ferry_client_call(client, &request) != FERRY_OK) {
        bench_die("DMA map");
    }
}

/* Maps count pieces in no order, then unmaps all. Return: maps per second. */
static double burst(const struct subject *subject, int file, uint32_t count)
{
    uint64_t begin = bench_now_ns(), end;

    /* The step is prime to both counts. */
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t at = i * 6367 % count;

        if (subject->client != NULL) {
            one_ferry(subject->client, file, at);
        } else {
            one_floor(subject->fd, file, at);
        }
    }
    end = bench_now_ns();
    if (subject->client != NULL) {
        one_ferry(subject->client, -1, 0);
    } else {
        one_floor(subject->fd, -1, 0);
    }
    return (double)count * 1e9 / (double)(end - begin);
}

int main(int argc, char **argv)
{
    static double floors[BURSTS_MAX], maps[BURSTS_MAX], ratio[BURSTS_MAX];
    struct bench_output out;
    struct subject floor, ferry;
    size_t bursts;
    double many;
    int file;

    bench_open(&out, "dma_map", "DMA maps against a bare message and mmap", argc, argv);
    bursts = out.quick ? 3 : BURSTS_MAX;
    file = memfd_create("bench", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (file < 0 || ftruncate(file, (off_t)(MAPS_MANY * PAGE)) < 0 ||
        fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK) < 0) {
        bench_die("no memfd");
    }
    bench_pin(0);
    start(&floor, 0);
    start(&ferry, 1);
    burst(&floor, file, MAPS);
    burst(&ferry, file, MAPS);
    for (size_t i = 0; i < bursts; i++) {
        floors[i] = burst(&floor, file, MAPS);
        maps[i] = burst(&ferry, file, MAPS);
        ratio[i] = maps[i] / floors[i];
    }
    bench_row(&out, &(struct bench_row){ .subject = "10,000 maps of one file",
                                         .unit = "1/s",
                                         .figure = bench_median(maps, bursts),
                                         .floor_is = "bare message and mmap",
                                         .floor = bench_median(floors, bursts),
                                         .ratio = bench_median(ratio, bursts),
                                         .aim = 0.8 });
    many = burst(&ferry, file, MAPS_MANY);
    bench_row(&out, &(struct bench_row){ .subject = "65,536 maps of one file",
                                         .unit = "1/s",
                                         .figure = many });
    stop(&ferry);
    stop(&floor);
    close(file);
    return bench_close(&out);
}
