/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench/rig.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/common.h"

static char folder[] = "/tmp/ferry-bench-XXXXXX";
static pid_t children[BENCH_CHILDREN_MAX];
static size_t child_count;
static pid_t owner;

static void clean(void)
{
    char path[64];

    if (getpid() != owner) {
        return;
    }
    for (size_t i = 0; i < child_count; i++) {
        kill(children[i], SIGTERM);
        waitpid(children[i], NULL, 0);
    }
    for (int i = 0; i < BENCH_SOCKETS_MAX; i++) {
        bench_rig_path(path, sizeof(path), i);
        unlink(path);
    }
    rmdir(folder);
}

void bench_rig_open(void)
{
    owner = getpid();
    if (!mkdtemp(folder) || atexit(clean) != 0) {
        bench_die("no folder for sockets");
    }
}

void bench_rig_path(char *ret_path, size_t size, int number)
{
    snprintf(ret_path, size, "%s/%d", folder, number);
}

pid_t bench_child(void)
{
    pid_t pid = fork();

    if (pid < 0 || child_count == BENCH_CHILDREN_MAX) {
        bench_die("fork failed");
    }
    if (pid > 0) {
        children[child_count++] = pid;
    } else {
        child_count = 0;
        prctl(PR_SET_PDEATHSIG, SIGTERM);
    }
    return pid;
}

size_t bench_children(const pid_t **ret_children)
{
    *ret_children = children;
    return child_count;
}
