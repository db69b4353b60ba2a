/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"
#include "bench/output.h"

/*
 * Private memory of an idle device server, from smaps_rollup: alone on the machine (then
 * the pages of program and libraries count as its own) and beside another of its kind
 * (what one more device costs). Floor: a process that only waits. Aim: below 4 MiB.
 */

static long private_kib(pid_t pid)
{
    char path[64], line[256];
    long sum = 0, value;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
    file = fopen(path, "r");
    if (!file) {
        return -1;
    }
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, "Private_Clean: %ld", &value) == 1 ||
            sscanf(line, "Private_Dirty: %ld", &value) == 1) {
            sum += value;
        }
    }
    fclose(file);
    return sum;
}

static void socket_path(char *path, size_t size, int number)
{
    snprintf(path, size, "/tmp/ferry-bench-%d-%d.sock", (int)getpid(), number);
}

static pid_t start(const char *program, const char *model, int number)
{
    char path[64];
    pid_t pid;

    socket_path(path, sizeof(path), number);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (model) {
            execl(program, program, "serve", model, "--socket", path, (char *)NULL);
        } else {
            execl("/bin/sleep", "sleep", "60", (char *)NULL);
        }
        _exit(127);
    }
    /* It listens, or has nothing more to do. */
    for (int i = 0; model && i < 200 && access(path, F_OK) != 0; i++) {
        usleep(10000);
    }
    usleep(200000);
    return pid;
}

static void stop(pid_t pid, int number)
{
    char path[64];

    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    socket_path(path, sizeof(path), number);
    unlink(path);
}

static long measure(const char *program, const char *model, long *ret_beside)
{
    pid_t pid = start(program, model, 0), other;
    long kib = private_kib(pid);

    other = start(program, model, 1);
    *ret_beside = private_kib(pid);
    stop(other, 1);
    stop(pid, 0);
    return kib;
}

/* The command, when nobody says which: that of the build folder of this program. */
static const char *find_ferry(char *ret_path, size_t size)
{
    const char *told = getenv("FERRY");
    ssize_t n;

    if (told) {
        return told;
    }
    n = readlink("/proc/self/exe", ret_path, size - 64);
    if (n < 0) {
        bench_die("no /proc");
    }
    ret_path[n] = 0;
    strcpy(strrchr(ret_path, '/'), "/../src/cli/ferry");
    return ret_path;
}

int main(int argc, char **argv)
{
    static const char *const models[] = { "acc", "copy" };
    static const char *const subjects[] = { "idle server of acc, beside another",
                                            "idle server of copy, beside another" };
    struct bench_output out;
    const char *program;
    char path[4096];
    long idle, beside;

    bench_open(&out, "memory", "private memory of an idle device server", argc, argv);
    program = find_ferry(path, sizeof(path));
    idle = measure(program, NULL, &beside);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        long alone = measure(program, models[i], &beside);

        if (alone <= 0) {
            bench_die("the server did not start");
        }
        bench_row(&out,
                  &(struct bench_row){ .subject = subjects[i],
                                       .unit = "KiB",
                                       .figure = (double)beside,
                                       .floor_is = "a process that only waits",
                                       .floor = (double)idle,
                                       .aim = 4096,
                                       .aim_is_most = 1,
                                       .more = { { "alone_kib", (double)alone } } });
    }
    return bench_close(&out);
}
