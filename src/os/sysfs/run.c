/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/errno.h"
#include "os/sysfs/sysfs.h"

extern char **environ;

/* How often a program that closed its output is asked whether it has ended. */
#define LOOK_NS 2000000
#define NS_PER_MS 1000000ull

/* Return: 0, or an errno; *ret_pid is the program's. */
static int start(const char *path, const char *const *argv, int output, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int err = posix_spawn_file_actions_init(&actions);

    if (err != 0) {
        return err;
    }
    err = posix_spawnattr_init(&attributes);
    if (err == 0) {
        sigemptyset(&none);
        /* What a library's user blocks is nothing to a program of ours. */
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY,
                                         0);
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
        /* It wants arguments that it might write to, and does not. */
        err = posix_spawnp(ret_pid, path, &actions, &attributes,
                           (char *const *)(uintptr_t)argv, environ);
        posix_spawnattr_destroy(&attributes);
    }
    posix_spawn_file_actions_destroy(&actions);
    return err;
}

/* A PATH without the folders of root's programs is common. */
static int start_somewhere(const char *const *argv, int output, pid_t *ret_pid)
{
    static const char *const folder[] = { "/sbin", "/usr/sbin" };
    int err = start(argv[0], argv, output, ret_pid);

    for (size_t i = 0; err == ENOENT && strchr(argv[0], '/') == NULL &&
                       i < sizeof(folder) / sizeof(folder[0]);
         i++) {
        char path[FERRY_OS_SYSFS_PATH_BYTES];

        ferry_os_path(path, sizeof(path), "%s/%s", folder[i], argv[0]);
        err = start(path, argv, output, ret_pid);
    }
    return err;
}

static int left_ms(uint64_t end_ns)
{
    uint64_t now = ferry_os_now_ns();

    return now < end_ns ? (int)((end_ns - now) / NS_PER_MS) + 1 : 0;
}

/* Reads until the program closes its output or the time is over. */
static void collect(int fd, uint64_t end_ns, char *ret_text, size_t size)
{
    size_t done = 0;
    char rest[256];

    for (;;) {
        struct pollfd wait = { .fd = fd, .events = POLLIN };
        int ready = poll(&wait, 1, left_ms(end_ns));
        size_t room = size - 1 - done;
        ssize_t got;

        if (ready == 0) {
            break;
        }
        if (ready < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        /* What does not fit is read and dropped, or the program would stand. */
        got = room > 0 ? read(fd, ret_text + done, room) : read(fd, rest, sizeof(rest));
        if (got == 0 || (got < 0 && errno != EINTR)) {
            break;
        }
        done += room > 0 && got > 0 ? (size_t)got : 0;
    }
    ret_text[done] = '\0';
    ret_text[strcspn(ret_text, "\n")] = '\0';
}

static int finish(pid_t pid, uint64_t end_ns)
{
    int killed = 0, state;

    for (;;) {
        pid_t got = waitpid(pid, &state, WNOHANG);

        if (got == pid) {
            break;
        }
        if (got < 0 && errno != EINTR) {
            /* Whoever uses this library waits for all children himself. */
            return ferry_os_status(errno);
        }
        if (!killed && left_ms(end_ns) == 0) {
            kill(pid, SIGKILL);
            killed = 1;
        }
        ferry_os_sleep_ns(LOOK_NS);
    }
    if (killed) {
        return FERRY_E_TIMEOUT;
    }
    return WIFEXITED(state) ? WEXITSTATUS(state) : 128;
}

int ferry_os_run(const char *const *argv, unsigned limit_ms, char *ret_text, size_t size)
{
    const uint64_t end_ns = ferry_os_now_ns() + limit_ms * NS_PER_MS;
    int output[2], err;
    pid_t pid = -1;

    ret_text[0] = '\0';
    if (pipe2(output, O_CLOEXEC) < 0) {
        return ferry_os_status(errno);
    }
    err = start_somewhere(argv, output[1], &pid);
    close(output[1]);
    if (err == 0) {
        collect(output[0], end_ns, ret_text, size);
    }
    close(output[0]);
    return err != 0 ? ferry_os_status(err) : finish(pid, end_ns);
}
