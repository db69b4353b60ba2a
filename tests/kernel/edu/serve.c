/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fixture of the checker's tests (tests/check/edu) over vfio-user, so that what runs
 * in the virtual machine with QEMU's edu also runs without one.
 *
 * usage: edu_serve SOCKET [OPTION...]   until its client has gone, or SIGTERM
 */
#include <signal.h>
#include <stdio.h>

#include "tests/check/edu/edu.h"

static struct ferry_server *server;

static void stop(int signal_number)
{
    (void)signal_number;
    ferry_server_stop(server);
}

int main(int argc, char **argv)
{
    const struct ferry_model_options wanted = { sizeof(wanted), (size_t)argc - 2,
                                                (const char *const *)argv + 2 };
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    struct ferry_device *device = NULL;
    struct ferry_error error = { 0 };
    void *state = NULL;
    int status;

    if (argc < 2) {
        fprintf(stderr, "usage: %s SOCKET [OPTION...]\n", argv[0]);
        return 2;
    }
    options.path = argv[1];
    status = edu_model.create(&wanted, &device, &state, &error);
    if (status == FERRY_OK) {
        status = ferry_server_create(device, &options, &server, &error);
    }
    if (status == FERRY_OK) {
        signal(SIGTERM, stop);
        status = ferry_server_run(server);
        signal(SIGTERM, SIG_DFL);
    }
    if (status != FERRY_OK) {
        fprintf(stderr, "edu_serve: %s: %s\n", ferry_status_text(status), error.text);
    }
    ferry_server_destroy(server);
    if (device != NULL) {
        edu_model.destroy(device, state);
    }
    return status == FERRY_OK ? 0 : 1;
}
