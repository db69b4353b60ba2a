/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/qemu/changing.h"

/*
 * Serves a device of much state (changing.h) at a socket until SIGTERM, to one user after
 * the other.
 *
 * usage: qemu_state_server SOCKET BYTES stop|precopy|p2p PERCENT_PER_S READY_FD
 */

static struct ferry_server *server;

static void stop(int signal_number)
{
    (void)signal_number;
    ferry_server_stop(server);
}

static void told(void *user, const struct ferry_error *detail)
{
    (void)user;
    fprintf(stderr, "qemu_state_server: %s\n", detail->text);
}

static uint32_t flags_of(const char *word)
{
    uint32_t flags = FERRY_MIG_STOP_COPY;

    if (strcmp(word, "p2p") == 0) {
        flags |= FERRY_MIG_PRE_COPY | FERRY_MIG_P2P;
    } else if (strcmp(word, "precopy") == 0) {
        flags |= FERRY_MIG_PRE_COPY;
    } else if (strcmp(word, "stop") != 0) {
        bench_die("stop, precopy or p2p");
    }
    return flags;
}

int main(int argc, char **argv)
{
    struct ferry_device_desc desc;
    struct ferry_server_options options = { .struct_size = sizeof(options), .log = told };
    struct ferry_device *device;
    struct ferry_error error;
    int ready;

    if (argc != 6 || strtoull(argv[2], NULL, 10) == 0) {
        bench_die(
            "usage: qemu_state_server SOCKET BYTES stop|precopy|p2p PERCENT READY_FD");
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    changing_describe(changing_create(strtoull(argv[2], NULL, 10),
                                      (uint32_t)strtoul(argv[4], NULL, 10),
                                      flags_of(argv[3])),
                      &desc);
    options.path = argv[1];
    if (ferry_device_create(&desc, &device, &error) != FERRY_OK ||
        ferry_server_create(device, &options, &server, &error) != FERRY_OK) {
        bench_die(error.text);
    }
    signal(SIGTERM, stop);
    ready = atoi(argv[5]);
    bench_write(ready, "ready\n", 6);
    close(ready);
    ferry_server_run(server);
    ferry_server_destroy(server);
    ferry_device_destroy(device);
    return 0;
}
