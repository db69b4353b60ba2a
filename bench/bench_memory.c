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
 * Private memory of an idle device server, from smaps_rollup: what one more device costs a
 * host. Floor: a process that only waits. Aim: below 4 MiB.
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

static long measure(const char *program, const char *model)
{
    char path[64];
    pid_t pid;
    long kib;

    snprintf(path, sizeof(path), "/tmp/ferry-bench-%d.sock", (int)getpid());
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
    kib = private_kib(pid);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
    unlink(path);
    return kib;
}

int main(int argc, char **argv)
{
    static const char *const models[] = { "acc", "copy" };
    const char *program = getenv("FERRY");
    char beside[4096];
    long idle;

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
    idle = measure(program, NULL);
    for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
        long kib = measure(program, models[i]);

        if (kib <= 0) {
            bench_die("the server did not start");
        }
        if (bench_json(argc, argv)) {
            printf("{\"bench\":\"memory\",\"model\":\"%s\",\"private_kib\":%ld,"
                   "\"idle_process_kib\":%ld}\n",
                   models[i], kib, idle);
        } else {
            printf("idle server of %-5s %6ld KiB private (a process that only waits: %ld KiB; "
                   "aim: below 4096)\n",
                   models[i], kib, idle);
        }
    }
    return 0;
}
