/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/chain.h"

#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/rig.h"

#define CHUNK (512u << 10)
#define PAGE 4096u

static size_t next_chunk(size_t left)
{
    return left < CHUNK ? left : CHUNK;
}

/* Sends all of its memory each time a byte comes. */
static void source(int control, int out, size_t size)
{
    char *bytes = bench_memory(size), word;

    while (read(control, &word, 1) == 1) {
        for (size_t at = 0; at < size; at += CHUNK) {
            bench_write(out, bytes + at, next_chunk(size - at));
        }
    }
    _exit(0);
}

static void relay(int in, int out)
{
    char *bytes = bench_memory(CHUNK);
    ssize_t count;

    while ((count = read(in, bytes, CHUNK)) > 0) {
        bench_write(out, bytes, (size_t)count);
    }
    _exit(0);
}

static void sink(int in, int control, size_t size)
{
    char *bytes = bench_memory(size), sum = 0;

    for (;;) {
        for (size_t at = 0; at < size; at += CHUNK) {
            bench_read(in, bytes + at, next_chunk(size - at));
        }
        for (size_t at = 0; at < size; at += PAGE) {
            sum = (char)(sum + bytes[at]);
        }
        bench_write(control, &sum, 1);
    }
}

static void pair(int ret_fd[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fd) < 0) {
        bench_die("no sockets");
    }
}

int bench_chain_start(size_t bytes, enum bench_channel channel)
{
    int control[2], first[2], middle[2], last[2];

    pair(control);
    pair(first);
    pair(last);
    if (channel == BENCH_CHANNEL_TCP) {
        bench_tcp_pair(middle);
    } else {
        pair(middle);
    }
    if (bench_child() == 0) {
        source(control[1], first[0], bytes);
    }
    if (bench_child() == 0) {
        relay(first[1], middle[0]);
    }
    if (bench_child() == 0) {
        relay(middle[1], last[0]);
    }
    if (bench_child() == 0) {
        sink(last[1], control[1], bytes);
    }
    return control[0];
}

double bench_chain_run(int chain)
{
    uint64_t start = bench_now_ns();
    char byte = 0;

    bench_write(chain, &byte, 1);
    bench_read(chain, &byte, 1);
    return (double)(bench_now_ns() - start);
}
