/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several devices in one process and one thread: each is a pad of 64 bytes, whose INTx
 * line is asserted while its first byte is not 0.
 *
 *   several /run/a.sock /run/b.sock ...
 *
 * serves one over each socket, until SIGTERM. A user that is slow, silent or hostile
 * holds up its own device only.
 */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE /* sigaction() */
#endif
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ferry/device.h"

#define PADS_MAX 8
#define PAD_BYTES 64u

struct pad {
    unsigned char byte[PAD_BYTES];
    struct ferry_device *device;
    struct ferry_server *server;
};

static int pad_read(void *state, struct ferry_device *device, uint32_t region,
                    uint64_t off, void *ret_data, size_t count)
{
    const struct pad *pad = state;

    (void)device;
    (void)region;
    memcpy(ret_data, pad->byte + off, count); /* off + count lies inside the region */
    return FERRY_OK;
}

static int pad_write(void *state, struct ferry_device *device, uint32_t region,
                     uint64_t off, const void *data, size_t count)
{
    struct pad *pad = state;

    (void)region;
    memcpy(pad->byte + off, data, count);
    return ferry_intx_set(device, pad->byte[0] != 0);
}

static void pad_reset(void *state, struct ferry_device *device,
                      enum ferry_reset_reason reason)
{
    struct pad *pad = state;

    (void)device;
    (void)reason;
    memset(pad->byte, 0, sizeof(pad->byte));
}

static const struct ferry_device_ops pad_ops = {
    .struct_size = sizeof(pad_ops),
    .region_read = pad_read,
    .region_write = pad_write,
    .reset = pad_reset,
};

static int pad_open(struct pad *pad, const char *path, uint64_t serial,
                    struct ferry_error *reterr)
{
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &pad_ops,
        .state = pad,
        .identity = { .model = "pad",
                      .pci_vendor = 0x1234,
                      .pci_device = 0x0a0d,
                      .pci_class = 0xff000001 },
        .region = { { .size_bytes = PAD_BYTES } },
        .intx_pin = 1,
        .serial = serial, /* tells one from the other */
    };
    const struct ferry_server_options options = { .struct_size = sizeof(options),
                                                  .path = path };
    const int status = ferry_device_create(&desc, &pad->device, reterr);

    return status != FERRY_OK
               ? status
               : ferry_server_create(pad->device, &options, &pad->server, reterr);
}

static int stop_pipe[2];

static void stop(int signal_number)
{
    (void)signal_number;
    (void)!write(stop_pipe[1], "", 1);
}

/* One server's descriptor is readable exactly when its dispatch has something to do. */
static int serve(struct pad *pad, int count)
{
    struct pollfd ready[PADS_MAX + 1] = { { .fd = stop_pipe[0], .events = POLLIN } };
    int status = FERRY_OK;

    for (int i = 0; i < count; i++) {
        ready[i + 1].fd = ferry_server_fd(pad[i].server);
        ready[i + 1].events = POLLIN;
    }
    while (ready[0].revents == 0 && status == FERRY_OK) {
        if (poll(ready, (nfds_t)count + 1, -1) < 0) {
            continue; /* a signal: the pipe tells of it */
        }
        for (int i = 0; i < count && status == FERRY_OK; i++) {
            if (ready[i + 1].revents != 0) {
                status = ferry_server_dispatch(pad[i].server, 0);
            }
        }
    }
    return status;
}

int main(int argc, char **argv)
{
    struct pad pad[PADS_MAX] = { 0 };
    struct sigaction action = { .sa_handler = stop };
    struct ferry_error error = { 0 };
    int status = FERRY_OK;

    if (argc < 2 || argc > PADS_MAX + 1) {
        fprintf(stderr, "usage: %s SOCKET... (at most %d)\n", argv[0], PADS_MAX);
        return 2;
    }
    if (pipe(stop_pipe) != 0) {
        perror("pipe");
        return 1;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    for (int i = 1; i < argc && status == FERRY_OK; i++) {
        status = pad_open(&pad[i - 1], argv[i], (uint64_t)i, &error);
    }
    if (status == FERRY_OK) {
        status = serve(pad, argc - 1);
    }
    if (status != FERRY_OK) {
        fprintf(stderr, "%s: %s\n", ferry_status_name(status), error.text);
    }
    for (int i = 0; i < argc - 1; i++) {
        ferry_server_destroy(pad[i].server);
        ferry_device_destroy(pad[i].device);
    }
    return status == FERRY_OK ? 0 : 1;
}
