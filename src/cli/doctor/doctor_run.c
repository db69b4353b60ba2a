/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor/doctor.h"

#define RUN_LIMIT_MS 5000

static long now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Reads until the end or the time limit; drops what the buffer does not hold. Return: 1
 * when it came to the end. */
static int read_all(int fd, char *ret_text, size_t size)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    long until = now_ms() + RUN_LIMIT_MS;
    size_t at = 0;
    char rest[256];

    for (;;) {
        long left = until - now_ms();
        ssize_t n;

        if (left <= 0 || poll(&wait, 1, (int)left) <= 0) {
            break;
        }
        n = at < size - 1 ? read(fd, ret_text + at, size - 1 - at)
                          : read(fd, rest, sizeof(rest));
        if (n <= 0) {
            ret_text[at] = '\0';
            return n == 0;
        }
        at += at < size - 1 ? (size_t)n : 0;
    }
    ret_text[at] = '\0';
    return 0;
}

/* In the new process. It leads a group, so that all that it starts can be ended too. */
static void become(const char *const *argv, int in, int out)
{
    char *copy[DOCTOR_ARGS_MAX + 1] = { NULL };

    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(out, STDERR_FILENO);
    close(in);
    close(out);
    /* execv() does not write to them, but its type says so. */
    for (size_t i = 0; i < DOCTOR_ARGS_MAX && argv[i] != NULL; i++) {
        memcpy(&copy[i], &argv[i], sizeof(copy[i]));
    }
    execv(copy[0], copy);
    _exit(127);
}

/* Its standard input stays open while it works: some end where that ends. */
static int attend(const char *const *argv, const char *input, int in[2], int out[2],
                  char *ret_text, size_t size)
{
    int status = -1, ended;
    pid_t pid = fork();

    if (pid == 0) {
        become(argv, in[0], out[1]);
    }
    close(in[0]);
    close(out[1]);
    in[0] = out[1] = -1;
    if (pid < 0) {
        return -1;
    }
    /* Not more than a pipe holds, so it never waits; it may have ended already. */
    ended = input[0] == '\0' || write(in[1], input, strlen(input)) > 0;
    ended = read_all(out[0], ret_text, size) && ended;
    if (!ended) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
    }
    waitpid(pid, &status, 0);
    return ended && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int doctor_run(const char *const *argv, const char *input, char *ret_text, size_t size)
{
    void (*old)(int) = signal(SIGPIPE, SIG_IGN);
    int in[2] = { -1, -1 }, out[2] = { -1, -1 };
    int status = -1;

    ret_text[0] = '\0';
    if (pipe(in) == 0 && pipe(out) == 0) {
        /* Or the program would hold its own standard input open. */
        fcntl(in[1], F_SETFD, FD_CLOEXEC);
        fcntl(out[0], F_SETFD, FD_CLOEXEC);
        status = attend(argv, input, in, out, ret_text, size);
    }
    for (int i = 0; i < 2; i++) {
        if (in[i] >= 0) {
            close(in[i]);
        }
        if (out[i] >= 0) {
            close(out[i]);
        }
    }
    signal(SIGPIPE, old);
    return status;
}
