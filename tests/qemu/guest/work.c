/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define BEAT_EVERY_NS 1000000u
#define BEAT_ROOM_BYTES                                                                  \
    1024 /* more waits in the line: nobody reads it, a beat is lost                      \
          */
#define STOP_MS 10000
#define CHURN_BYTES ((size_t)8 << 20)
#define CHURN_STEP_BYTES 4096u
#define CHURN_PAUSE_NS 20000000

static _Atomic int *beat; /* shared with the workers */
static const char *beat_tty;

void *shared_memory(size_t bytes)
{
    void *memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

int work_init(const char *tty)
{
    beat_tty = tty;
    beat = shared_memory(sizeof(*beat));
    return beat == NULL ? fail("no memory") : 0;
}

int beat_is_on(void)
{
    return atomic_load(beat);
}

static void open_beat(struct work *work)
{
    struct termios terminal;

    work->beat_fd = beat_tty == NULL
                        ? -1
                        : open(beat_tty, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (work->beat_fd >= 0 && tcgetattr(work->beat_fd, &terminal) == 0) {
        cfmakeraw(&terminal);
        (void)cfsetspeed(&terminal, B115200);
        (void)tcsetattr(work->beat_fd, TCSANOW, &terminal);
    }
}

static void say_beat(struct work *work, uint64_t now)
{
    char line[32];
    int waiting = 0;

    if (work->beat_fd < 0 || now - work->beat_ns < BEAT_EVERY_NS ||
        ioctl(work->beat_fd, TIOCOUTQ, &waiting) != 0 || waiting > BEAT_ROOM_BYTES) {
        return;
    }
    work->beat_ns = now;
    snprintf(line, sizeof(line), "%c %llu\n", work->letter,
             (unsigned long long)atomic_load(&work->works));
    (void)!write(work->beat_fd, line, strlen(line));
}

void work_done(struct work *work, uint64_t works)
{
    const uint64_t now = monotonic_ns();
    const uint64_t gap = now - atomic_load(&work->last_ns);

    if (gap > atomic_load(&work->gap_ns)) {
        atomic_store(&work->gap_ns, gap);
    }
    atomic_store(&work->last_ns, now);
    atomic_fetch_add(&work->works, works);
    if (beat_is_on()) {
        say_beat(work, now);
    }
}

void work_error(struct work *work, const char *format, ...)
{
    va_list args;

    if (!atomic_load(&work->failed)) {
        va_start(args, format);
        vsnprintf(work->text, sizeof(work->text), format, args);
        va_end(args);
        atomic_store(&work->failed, 1);
    }
    atomic_fetch_add(&work->errors, 1);
}

int worker_start(struct worker *worker, const void *arg)
{
    if (worker->pid != 0) {
        return fail("%s is running", worker->name);
    }
    if (worker->shared == NULL) {
        worker->shared = shared_memory(sizeof(*worker->shared));
        if (worker->shared == NULL) {
            return fail("no memory");
        }
    }
    memset(worker->shared, 0, sizeof(*worker->shared));
    worker->shared->letter = worker->letter;
    atomic_store(&worker->shared->last_ns, monotonic_ns());
    fflush(stdout);
    worker->pid = fork();
    if (worker->pid < 0) {
        worker->pid = 0;
        return fail("fork: %s", strerror(errno));
    }
    if (worker->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        open_beat(worker->shared);
        worker->body(worker->shared, arg);
        _exit(0);
    }
    return 0;
}

static int is_running(struct worker *worker)
{
    int how = 0;

    if (worker->pid != 0 && waitpid(worker->pid, &how, WNOHANG) == worker->pid) {
        worker->pid = 0;
        if (!WIFEXITED(how)) {
            work_error(worker->shared, "its process died, status 0x%x", (unsigned)how);
        }
    }
    return worker->pid != 0;
}

int worker_stop(struct worker *worker)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    if (worker->shared == NULL) {
        return 0;
    }
    atomic_store(&worker->shared->stop, 1);
    for (int i = 0; i < STOP_MS; i++) {
        if (!is_running(worker)) {
            return 0;
        }
        (void)nanosleep(&pause, NULL);
    }
    return fail("%s does not end: a request is not answered", worker->name);
}

static void say_status(struct worker *worker, const void *arg)
{
    struct work *work = worker->shared;
    const int running = is_running(worker);
    const uint64_t age = monotonic_ns() - atomic_load(&work->last_ns);

    printf("= %s running=%d works=%llu errors=%llu gap_us=%llu age_us=%llu", worker->name,
           running, (unsigned long long)atomic_load(&work->works),
           (unsigned long long)atomic_load(&work->errors),
           (unsigned long long)atomic_exchange(&work->gap_ns, 0) / 1000,
           (unsigned long long)age / 1000);
    if (worker->more != NULL) {
        worker->more(arg);
    }
    putchar('\n');
    if (atomic_load(&work->failed)) {
        printf("= %s error %s\n", worker->name, work->text);
    }
}

int worker_command(struct worker *worker, const char *verb, const void *arg)
{
    if (strcmp(verb, "start") == 0) {
        return worker_start(worker, arg);
    }
    if (worker->shared == NULL) {
        return fail("%s was never started", worker->name);
    }
    if (strcmp(verb, "status") == 0) {
        say_status(worker, arg);
        return 0;
    }
    if (strcmp(verb, "stop") == 0) {
        const int result = worker_stop(worker);

        if (result == 0) {
            say_status(worker, arg);
        }
        return result;
    }
    return fail("start, status or stop, not '%s'", verb);
}

static void tick(struct work *work, const void *arg)
{
    const struct timespec pause = { .tv_nsec = 1000000 };

    (void)arg;
    while (!atomic_load(&work->stop)) {
        (void)nanosleep(&pause, NULL);
        work_done(work, 1);
    }
}

int command_tick(const char *const words[WORDS_MAX])
{
    static struct worker worker = { .name = "tick", .letter = 't', .body = tick };

    return worker_command(&worker, words[1], NULL);
}

/* Memory that is written faster than it can be sent. */
static void churn(struct work *work, const void *arg)
{
    const struct timespec pause = { .tv_nsec = CHURN_PAUSE_NS };
    volatile uint8_t *memory = shared_memory(CHURN_BYTES);
    size_t i;

    (void)arg;
    if (memory == NULL) {
        work_error(work, "no memory");
        return;
    }
    while (!atomic_load(&work->stop)) {
        for (i = 0; i < CHURN_BYTES; i += CHURN_STEP_BYTES) {
            memory[i]++;
        }
        (void)nanosleep(&pause, NULL);
        work_done(work, 1);
    }
}

int command_churn(const char *const words[WORDS_MAX])
{
    static struct worker worker = { .name = "churn", .letter = 'm', .body = churn };

    return worker_command(&worker, words[1], NULL);
}

int command_beat(const char *const words[WORDS_MAX])
{
    const int on = strcmp(words[1], "on") == 0;
    struct termios terminal;
    int fd;

    if (!on && strcmp(words[1], "off") != 0) {
        return fail("on or off, not '%s'", words[1]);
    }
    /* A port that is not there can be opened, but has no settings. */
    fd = open(beat_tty, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || tcgetattr(fd, &terminal) != 0) {
        const int kept = errno;

        if (fd >= 0) {
            close(fd);
        }
        return fail("%s: %s", beat_tty, strerror(kept));
    }
    close(fd);
    atomic_store(beat, on);
    return 0;
}

int command_time(const char *const words[WORDS_MAX])
{
    struct timespec now;

    (void)words;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    printf("= monotonic_ns=%llu realtime_ns=%llu\n", (unsigned long long)monotonic_ns(),
           (unsigned long long)now.tv_sec * 1000000000u +
               (unsigned long long)now.tv_nsec);
    return 0;
}
