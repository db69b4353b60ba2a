/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/output.h"
#include "cli/qemu/keeper.h"
#include "models/models.h"

/* What a server would refuse is said here, where it is read. */
static int check_model(const struct qemu_device *device)
{
    const struct ferry_model_options options = { .struct_size = sizeof(options),
                                                 .count = device->model_options,
                                                 .option = device->model_option };
    const struct ferry_model *kind = ferry_model_find(device->model);
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_device *made = NULL;
    void *state = NULL;

    if (kind == NULL) {
        print_error("qemu", NULL, "there is no model '%s'; see ferry serve --help",
                    device->model);
        return EXIT_USAGE;
    }
    if (kind->create(&options, &made, &state, &error) < 0) {
        print_error("qemu", &error, "cannot make a device of model '%s'", device->model);
        return error.code == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    kind->destroy(made, state);
    return EXIT_OK;
}

/* Where sockets can be. Return: enum exit_code. */
static int name_folder(struct qemu_keeper *keeper)
{
    const char *tmp = getenv("TMPDIR");
    int n = snprintf(keeper->folder, sizeof(keeper->folder), "%s/ferry-qemu-XXXXXX",
                     tmp != NULL && tmp[0] == '/' ? tmp : "/tmp");

    /* "/NN.sock" is to come. */
    if (n < 0 || n + 9 > QEMU_SOCKET_BYTES) {
        print_error("qemu", NULL, "TMPDIR is too long for sockets in it: %s", tmp);
        keeper->folder[0] = '\0';
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

/* What the keeper tells. Return: 1 when all of it came. */
static int hear(int fd, char *ret_data, size_t size)
{
    size_t got = 0;

    while (got < size) {
        ssize_t n = read(fd, ret_data + got, size - got);

        if (n == 0 || (n < 0 && errno != EINTR)) {
            return 0;
        }
        got += n > 0 ? (size_t)n : 0;
    }
    return 1;
}

/* Return: enum exit_code that the keeper told. */
static int hear_result(int fd)
{
    char result;

    return hear(fd, &result, 1) ? result : EXIT_FAILED;
}

/* Starts a process that is not QEMU's child: QEMU knows nothing of it. */
static void start_keeper(struct keeper *own, int alive, int told, const char *log,
                         int daemonize)
{
    pid_t pid = fork();

    if (pid == 0) {
        close(alive);
        close(told);
        if (fork() == 0) {
            keeper_live(own, log, daemonize);
        }
        _exit(0);
    }
    if (pid > 0) {
        waitpid(pid, NULL, 0);
    }
}

/* Return: enum exit_code; with the folder. */
static int open_keeper(struct qemu_keeper *keeper, const struct qemu_args *args,
                       const char *log, int daemonize)
{
    struct keeper own = { .args = args, .folder = keeper->folder };
    int alive[2] = { -1, -1 }, told[2] = { -1, -1 }, result;

    if (pipe(alive) < 0 || pipe(told) < 0) {
        print_error("qemu", NULL, "pipe: %s", strerror(errno));
        return EXIT_FAILED;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(alive[i], F_SETFD, FD_CLOEXEC);
        fcntl(told[i], F_SETFD, FD_CLOEXEC);
    }
    own.alive = alive[0];
    own.told = told[1];
    own.owner = (int)syscall(SYS_pidfd_open, getpid(), 0);
    start_keeper(&own, alive[1], told[0], log, daemonize);
    close(alive[0]);
    close(told[1]);
    if (own.owner >= 0) {
        close(own.owner);
    }
    keeper->alive = alive[1];
    keeper->told = told[0];
    result = hear_result(keeper->told);
    if (result == EXIT_OK &&
        !hear(keeper->told, keeper->folder, sizeof(keeper->folder))) {
        result = EXIT_FAILED;
    }
    return result;
}

int qemu_keeper_prepare(struct qemu_keeper *ret_keeper, struct qemu_args *args,
                        int daemonize)
{
    struct qemu_keeper *keeper = ret_keeper;
    size_t models = 0;
    int result = EXIT_OK;

    keeper->alive = keeper->told = -1;
    for (size_t i = 0; i < args->devices && result == EXIT_OK; i++) {
        if (args->device[i].model != NULL) {
            models++;
            result = check_model(&args->device[i]);
        }
    }
    if ((models == 0 && !args->groups) || result != EXIT_OK) {
        return result;
    }
    memset(keeper->folder, 0, sizeof(keeper->folder));
    result = name_folder(keeper);
    if (result == EXIT_OK && !args->print) {
        result = open_keeper(keeper, args, args->log, daemonize);
    }
    args->folder = keeper->folder;
    for (size_t i = 0; i < args->devices && result == EXIT_OK; i++) {
        if (args->device[i].model != NULL) {
            snprintf(args->device[i].socket, sizeof(args->device[i].socket),
                     "%.96s/%zu.sock", keeper->folder, i);
        }
    }
    return result;
}

int qemu_keeper_start(struct qemu_keeper *keeper)
{
    int result;

    if (keeper->alive < 0) {
        return EXIT_OK;
    }
    result = write(keeper->alive, "+", 1) == 1 ? hear_result(keeper->told) : EXIT_FAILED;
    if (result == EXIT_OK) {
        int high = fcntl(keeper->alive, F_DUPFD_CLOEXEC, QEMU_FD_FIRST);

        if (high >= 0) {
            close(keeper->alive);
            keeper->alive = high;
        }
    }
    return result;
}

void qemu_keeper_drop(struct qemu_keeper *keeper)
{
    char rest;

    if (keeper->alive >= 0) {
        close(keeper->alive);
        keeper->alive = -1;
        /* Its end of the pipe is closed when all is clean. */
        while (read(keeper->told, &rest, 1) < 0 && errno == EINTR) {
        }
        close(keeper->told);
    }
}
