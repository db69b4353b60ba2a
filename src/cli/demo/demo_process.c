/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/demo/demo.h"

#define START_TIMEOUT_MS 20000
#define QUIT_TIMEOUT_MS 2000
#define ARGS_MAX 32
#define ARG_BYTES 320
#define LOG_TAIL_BYTES 2000

/* A command line that is put together piece by piece. */
struct line {
    char text[ARGS_MAX][ARG_BYTES];
    char *argv[ARGS_MAX + 1];
    int count;
};

static void add(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct line *line, const char *format, ...)
{
    va_list list;

    if (line->count == ARGS_MAX) {
        return;
    }
    va_start(list, format);
    vsnprintf(line->text[line->count], ARG_BYTES, format, list);
    va_end(list);
    line->argv[line->count] = line->text[line->count];
    line->argv[++line->count] = NULL;
}

/* In the new process: its own group (a terminal's Ctrl-C is the demo's to handle), gone
 * with the demo in any case, output to its log. */
static void become(const struct demo *demo, const char *name, struct line *line,
                   int ready, pid_t parent)
{
    char log[DEMO_PATH_BYTES];
    sigset_t none;
    int fd;

    snprintf(log, sizeof(log), "%.200s/%s.log", demo->folder, name);
    fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setpgid(0, 0);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent && fd >= 0 &&
        dup2(fd, STDOUT_FILENO) >= 0 && dup2(fd, STDERR_FILENO) >= 0) {
        fcntl(ready, F_SETFD, 0);
        execv("/proc/self/exe", line->argv);
    }
    _exit(127);
}

static int wait_ready(const struct demo *demo, const char *name, int fd,
                      struct ferry_error *reterr)
{
    struct pollfd wait[2] = {
        { .fd = fd, .events = POLLIN },
        { .fd = demo->stop_fd, .events = POLLIN },
    };
    char line[16];
    int ready;

    do {
        ready = poll(wait, 2, START_TIMEOUT_MS);
    } while (ready < 0 && errno == EINTR);
    if (wait[1].revents != 0) {
        return ferry_error_set(reterr, FERRY_E_CANCELLED, "demo", NULL, 0, "interrupted");
    }
    if (ready <= 0 || read(fd, line, sizeof(line)) <= 0) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, "demo", NULL, 0,
                               "%s did not get ready", name);
    }
    return FERRY_OK;
}

static int start(struct demo *demo, const char *name, struct line *line,
                 struct ferry_error *reterr)
{
    struct demo_child *child = demo->child;
    pid_t parent = getpid();
    int ready[2], status;

    while (child->pid != 0) {
        child++;
    }
    if (pipe(ready) < 0) {
        return ferry_error_set(reterr, FERRY_E_IO, "demo", NULL, 0, "pipe: %s",
                               strerror(errno));
    }
    fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    fcntl(ready[1], F_SETFD, FD_CLOEXEC);
    add(line, "--ready-fd");
    add(line, "%d", ready[1]);
    snprintf(child->name, sizeof(child->name), "%s", name);
    child->pid = fork();
    if (child->pid == 0) {
        become(demo, name, line, ready[1], parent);
    }
    close(ready[1]);
    if (child->pid < 0) {
        child->pid = 0;
        close(ready[0]);
        return ferry_error_set(reterr, FERRY_E_IO, "demo", NULL, 0, "fork: %s",
                               strerror(errno));
    }
    status = wait_ready(demo, name, ready[0], reterr);
    close(ready[0]);
    return status;
}

static const char *const device[DEMO_DEVICES] = { "acc", "copy0", "copy1", "nic" };

static int start_device(struct demo *demo, const char *name, char side,
                        struct ferry_error *reterr)
{
    const struct work_options *work = &demo->args.work;
    uint64_t memory = (uint64_t)work->lanes * work->depth * work->block_bytes;
    uint64_t pow2 = 64u << 10;
    struct line line = { .count = 0 };
    char child[16];

    while (pow2 < memory) {
        pow2 *= 2;
    }
    add(&line, "ferry");
    add(&line, "serve");
    if (strcmp(name, "acc") == 0) {
        add(&line, demo->args.packed ? "acc,packed=on" : "acc");
    } else if (strcmp(name, "nic") == 0) {
        add(&line, "nic,net=echo%s", demo->args.packed ? ",packed=on" : "");
    } else {
        add(&line, "copy,memory=%llu", (unsigned long long)pow2);
    }
    add(&line, "--socket");
    add(&line, "%.200s/%s-%c.sock", demo->folder, name, side);
    snprintf(child, sizeof(child), "%s-%c", name, side);
    return start(demo, child, &line, reterr);
}

static int start_host(struct demo *demo, char side, struct ferry_error *reterr)
{
    const struct work_options *work = &demo->args.work;
    struct line line = { .count = 0 };
    char name[16];

    add(&line, "ferry");
    add(&line, "host");
    for (int i = 0; i < DEMO_DEVICES; i++) {
        add(&line, "--device");
        add(&line, "%s=vfio-user:%.200s/%s-%c.sock", device[i], demo->folder, device[i],
            side);
    }
    add(&line, "--peer");
    add(&line, "copy0:copy1");
    add(&line, "--memory=64M");
    add(&line, "--listen");
    add(&line, "tcp:127.0.0.1:0");
    add(&line, "--control");
    add(&line, "%.200s/host-%c.sock", demo->folder, side);
    add(&line, "--work");
    add(&line, "%s", demo->input);
    add(&line, "--result");
    add(&line, "%s", demo->folder);
    add(&line, "--lanes=%u", work->lanes);
    add(&line, "--block=%u", work->block_bytes);
    add(&line, "--depth=%u", work->depth);
    if (work->rate > 0) {
        add(&line, "--rate=%llu", (unsigned long long)work->rate);
    }
    snprintf(name, sizeof(name), "host-%c", side);
    return start(demo, name, &line, reterr);
}

int demo_start(struct demo *demo, struct ferry_error *reterr)
{
    int status = FERRY_OK;

    for (char side = 'A'; side <= 'B' && status == FERRY_OK; side++) {
        char control[DEMO_PATH_BYTES];

        for (int i = 0; i < DEMO_DEVICES && status == FERRY_OK; i++) {
            status = start_device(demo, device[i], side, reterr);
        }
        if (status == FERRY_OK) {
            status = start_host(demo, side, reterr);
        }
        if (status == FERRY_OK) {
            snprintf(control, sizeof(control), "%.200s/host-%c.sock", demo->folder, side);
            status = control_connect(&demo->control[side - 'A'], control, reterr);
        }
    }
    return status;
}

int demo_check_children(struct demo *demo, struct ferry_error *reterr)
{
    for (int i = 0; i < DEMO_CHILDREN_MAX; i++) {
        struct demo_child *child = &demo->child[i];
        int how = 0;

        if (child->pid > 0 && waitpid(child->pid, &how, WNOHANG) == child->pid) {
            child->pid = -1;
            return ferry_error_set(reterr, FERRY_E_CLOSED, "demo", NULL, 0,
                                   "%s died (%s %d)", child->name,
                                   WIFSIGNALED(how) ? "signal" : "exit status",
                                   WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
        }
    }
    return FERRY_OK;
}

/* Return: children that still run after at most timeout_ms. */
static int reap(struct demo *demo, int timeout_ms)
{
    int running = 1;

    for (int waited = 0; running > 0 && waited <= timeout_ms; waited += 10) {
        running = 0;
        for (int i = 0; i < DEMO_CHILDREN_MAX; i++) {
            struct demo_child *child = &demo->child[i];

            if (child->pid > 0 && waitpid(child->pid, NULL, WNOHANG) != 0) {
                child->pid = -1;
            }
            running += child->pid > 0;
        }
        if (running > 0) {
            poll(NULL, 0, 10);
        }
    }
    return running;
}

static void signal_all(const struct demo *demo, int number)
{
    for (int i = 0; i < DEMO_CHILDREN_MAX; i++) {
        if (demo->child[i].pid > 0) {
            kill(demo->child[i].pid, number);
        }
    }
}

void demo_kill(struct demo *demo)
{
    control_lines_close(&demo->control[0]);
    control_lines_close(&demo->control[1]);
    signal_all(demo, SIGTERM);
    if (reap(demo, QUIT_TIMEOUT_MS) > 0) {
        signal_all(demo, SIGKILL);
        reap(demo, QUIT_TIMEOUT_MS);
    }
}

void demo_print_logs(const struct demo *demo)
{
    for (int i = 0; i < DEMO_CHILDREN_MAX; i++) {
        char path[DEMO_PATH_BYTES], text[LOG_TAIL_BYTES];
        size_t got;
        FILE *log;

        snprintf(path, sizeof(path), "%.200s/%s.log", demo->folder, demo->child[i].name);
        log = demo->child[i].name[0] != '\0' ? fopen(path, "re") : NULL;
        if (log == NULL) {
            continue;
        }
        if (fseek(log, -LOG_TAIL_BYTES, SEEK_END) < 0) {
            rewind(log);
        }
        got = fread(text, 1, sizeof(text), log);
        if (got > 0) {
            fprintf(stderr, "--- log of %s ---\n%.*s", demo->child[i].name, (int)got,
                    text);
        }
        fclose(log);
    }
}

void demo_remove(const struct demo *demo)
{
    char root[DEMO_PATH_BYTES];
    char *const roots[] = { root, NULL };
    FTSENT *entry;
    FTS *walk;

    memcpy(root, demo->folder, sizeof(root));
    walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_NOSTAT, NULL);
    while (walk != NULL && (entry = fts_read(walk)) != NULL) {
        if (entry->fts_info != FTS_D) {
            remove(entry->fts_accpath);
        }
    }
    if (walk != NULL) {
        fts_close(walk);
    }
}
