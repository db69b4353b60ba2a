/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"

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

int main(int argc, char **argv)
{
    static const char *const models[] = { "acc", "copy" };
    const char *program = getenv("FERRY");
    char beside[4096];
    long idle, beside_kib;

    if (!program) {
        ssize_t n = readlink("/proc/self/exe", beside, sizeof(beside) - 64);
        char *slash;

        if (n < 0) {
            bench_die("no /proc");
        }
        beside[n] = 0;
        slash = strrchr(beside, '/');
        strcpy(slash, "/../src/cli/ferry");
        program = beside;
    }
    idle = measure(program, NULL, &beside_kib);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        long kib = measure(program, models[i], &beside_kib);

        if (kib <= 0) {
            bench_die("the server did not start");
        }
        if (bench_json(argc, argv)) {
            printf("{\"bench\":\"memory\",\"model\":\"%s\",\"private_kib\":%ld,"
                   "\"alone_kib\":%ld,\"idle_process_kib\":%ld}\n",
                   models[i], beside_kib, kib, idle);
        } else {
            printf("idle server of %-5s %5ld KiB private, %ld KiB when it is the only "
                   "one (a "
                   "process that only waits: %ld KiB; aim: below 4096)\n",
                   models[i], beside_kib, kib, idle);
        }
    }
    return 0;
}
