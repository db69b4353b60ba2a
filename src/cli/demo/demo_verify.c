/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/demo/demo.h"
#include "drivers/guest/storage.h"

#define WORKERS 2
#define CHUNK_BYTES (256u << 10)
#define WAIT_MS 20000

extern char **environ;

/* A whole file, mapped. */
struct file {
    const uint8_t *data;
    uint64_t bytes;
};

/* One pass that the workers share. */
struct pass {
    const struct demo *demo;
    struct file input, result;
    uint32_t number;
    atomic_uint next_lane;
    atomic_uint failed;   /* 1: error is set */
    pthread_mutex_t lock; /* around making pipes and processes, and error */
    struct ferry_error error;
};

/* One openssl process with its ends of the pipes; -1 when closed. */
struct filter {
    pid_t pid;
    int in, out;
};

static int map_file(const char *path, struct file *ret_file)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    void *data = MAP_FAILED;

    if (fd >= 0 && fstat(fd, &about) == 0 && about.st_size > 0) {
        data = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    if (data == MAP_FAILED) {
        return FERRY_E_IO;
    }
    ret_file->data = data;
    ret_file->bytes = (uint64_t)about.st_size;
    return FERRY_OK;
}

static void unmap_file(struct file *file)
{
    if (file->data != NULL) {
        munmap((void *)(uintptr_t)file->data, file->bytes);
    }
    file->data = NULL;
}

static void close_end(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
    }
    *fd = -1;
}

static int spawn(const char *key, const char *iv, const int child_end[2], pid_t *ret_pid)
{
    char *argv[] = { (char *)(uintptr_t) "openssl",
                     (char *)(uintptr_t) "enc",
                     (char *)(uintptr_t) "-d",
                     (char *)(uintptr_t) "-aes-256-cbc",
                     (char *)(uintptr_t) "-K",
                     (char *)(uintptr_t)key,
                     (char *)(uintptr_t) "-iv",
                     (char *)(uintptr_t)iv,
                     NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, pipe_signal;
    int status;

    sigemptyset(&none);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, child_end[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, child_end[1], STDOUT_FILENO);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
    /* A group of its own: a terminal's Ctrl-C is the demo's to handle. */
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    status = posix_spawnp(ret_pid, "openssl", &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return status == 0 ? FERRY_OK : status == ENOENT ? FERRY_E_NOT_FOUND : FERRY_E_IO;
}

/* With the lock held: no other worker's process may inherit these pipes. */
static int open_filter(const char *key, const char *iv, struct filter *filter)
{
    int to[2] = { -1, -1 }, from[2] = { -1, -1 };
    int status = FERRY_E_IO;

    if (pipe(to) == 0 && pipe(from) == 0) {
        const int child_end[2] = { to[0], from[1] };

        for (int i = 0; i < 2; i++) {
            fcntl(to[i], F_SETFD, FD_CLOEXEC);
            fcntl(from[i], F_SETFD, FD_CLOEXEC);
        }
        fcntl(to[1], F_SETFL, O_NONBLOCK);
        status = spawn(key, iv, child_end, &filter->pid);
    }
    close_end(&to[0]);
    close_end(&from[1]);
    filter->in = to[1];
    filter->out = from[0];
    if (status < 0) {
        close_end(&filter->in);
        close_end(&filter->out);
    }
    return status;
}

/* Where a lane's comparison is. */
struct lane_check {
    const uint8_t *cipher, *plain;
    uint64_t cipher_left, plain_left;
};

static void feed(struct filter *filter, struct lane_check *check)
{
    uint64_t most = check->cipher_left < CHUNK_BYTES ? check->cipher_left : CHUNK_BYTES;
    ssize_t put = write(filter->in, check->cipher, most);

    if (put > 0) {
        check->cipher += put;
        check->cipher_left -= (uint64_t)put;
    }
    if (check->cipher_left == 0 || (put < 0 && errno == EPIPE)) {
        close_end(&filter->in);
    }
}

/* Return: 1 go on, 0 end of the output, FERRY_E_CORRUPT when it is not the input. */
static int compare(struct filter *filter, struct lane_check *check, uint8_t *buffer)
{
    ssize_t got = read(filter->out, buffer, CHUNK_BYTES);

    if (got <= 0) {
        return 0;
    }
    if ((uint64_t)got > check->plain_left ||
        memcmp(buffer, check->plain, (size_t)got) != 0) {
        return FERRY_E_CORRUPT;
    }
    check->plain += got;
    check->plain_left -= (uint64_t)got;
    return 1;
}

static int run_filter(struct filter *filter, struct lane_check *check, int stop_fd)
{
    uint8_t *buffer = malloc(CHUNK_BYTES);
    int status = buffer != NULL ? 1 : FERRY_E_MEMORY;

    while (status == 1) {
        struct pollfd wait[3] = {
            { .fd = filter->in, .events = POLLOUT },
            { .fd = filter->out, .events = POLLIN },
            { .fd = stop_fd, .events = POLLIN },
        };
        int ready = poll(wait, 3, WAIT_MS);

        if (ready < 0 && errno == EINTR) {
            continue;
        }
        if (ready <= 0) {
            status = FERRY_E_TIMEOUT;
        } else if (wait[2].revents != 0) {
            status = FERRY_E_CANCELLED;
        } else {
            if (filter->in >= 0 && wait[0].revents != 0) {
                feed(filter, check);
            }
            if (wait[1].revents != 0) {
                status = compare(filter, check, buffer);
            }
        }
    }
    free(buffer);
    return status;
}

static void hex(const uint8_t *bytes, size_t count, char *ret_text)
{
    for (size_t i = 0; i < count; i++) {
        snprintf(ret_text + 2 * i, 3, "%02x", bytes[i]);
    }
}

static int check_lane(struct pass *pass, uint32_t lane)
{
    const struct demo *demo = pass->demo;
    struct filter filter = { .in = -1, .out = -1 };
    struct storage_lane cut;
    struct lane_check check;
    uint8_t iv[ACC_IV_BYTES];
    char iv_text[2 * ACC_IV_BYTES + 1];
    int how = 0, status;

    storage_lane(pass->input.bytes, demo->args.work.lanes, lane, &cut);
    if (cut.result_off + cut.result_bytes > pass->result.bytes) {
        return FERRY_E_SHORT;
    }
    storage_iv(pass->number, lane, iv);
    hex(iv, sizeof(iv), iv_text);
    check.cipher = pass->result.data + cut.result_off;
    check.cipher_left = cut.result_bytes;
    check.plain = pass->input.data + cut.off;
    check.plain_left = cut.bytes;
    pthread_mutex_lock(&pass->lock);
    status = open_filter(demo->key, iv_text, &filter);
    pthread_mutex_unlock(&pass->lock);
    if (status < 0) {
        return status;
    }
    status = run_filter(&filter, &check, demo->stop_fd);
    close_end(&filter.in);
    close_end(&filter.out);
    if (status < 0) {
        kill(filter.pid, SIGKILL);
    }
    waitpid(filter.pid, &how, 0);
    if (status == 0 && (how != 0 || check.plain_left > 0)) {
        /* openssl found the padding wrong, or there was too little. */
        status = FERRY_E_CORRUPT;
    }
    return status;
}

/* With the lock held. */
static void set_failure(struct pass *pass, uint32_t lane, int status)
{
    if (status == FERRY_E_CANCELLED) {
        ferry_error_set(&pass->error, status, "demo", NULL, 0, "interrupted");
    } else if (status == FERRY_E_CORRUPT || status == FERRY_E_SHORT) {
        ferry_error_set(&pass->error, status, "demo", NULL, 0,
                        "pass %u, lane %u does not decrypt to the input", pass->number,
                        lane);
    } else {
        ferry_error_set(&pass->error, status, "demo", NULL, 0,
                        "cannot decrypt pass %u, lane %u with openssl(1): %s",
                        pass->number, lane,
                        status == FERRY_E_NOT_FOUND ? "it is not installed"
                                                    : ferry_status_text(status));
    }
}

static void *work(void *argument)
{
    struct pass *pass = argument;
    uint32_t lane;

    while (!atomic_load(&pass->failed) &&
           (lane = atomic_fetch_add(&pass->next_lane, 1)) < pass->demo->args.work.lanes) {
        int status = check_lane(pass, lane);

        if (status < 0 && !atomic_exchange(&pass->failed, 1)) {
            pthread_mutex_lock(&pass->lock);
            set_failure(pass, lane, status);
            pthread_mutex_unlock(&pass->lock);
        }
    }
    return NULL;
}

/* Nothing may stand behind the last lane, and nothing be missing. */
static int check_size(const struct pass *pass)
{
    struct storage_lane last;

    storage_lane(pass->input.bytes, pass->demo->args.work.lanes,
                 pass->demo->args.work.lanes - 1, &last);
    return pass->result.bytes == last.result_off + last.result_bytes;
}

static int verify_pass(struct pass *pass, struct ferry_error *reterr)
{
    char path[DEMO_PATH_BYTES], name[STORAGE_NAME_BYTES];
    pthread_t worker[WORKERS];
    int started = 0;

    storage_name(pass->number, name);
    snprintf(path, sizeof(path), "%.200s/%s", pass->demo->folder, name);
    if (map_file(path, &pass->result) < 0 || !check_size(pass)) {
        return ferry_error_set(reterr, FERRY_E_SHORT, "demo", NULL, pass->result.bytes,
                               "%s is missing or has the wrong size", path);
    }
    atomic_store(&pass->next_lane, 0);
    while (started < WORKERS && pthread_create(&worker[started], NULL, work, pass) == 0) {
        started++;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(worker[i], NULL);
    }
    unmap_file(&pass->result);
    if (started == 0) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "demo", NULL, 0, "no thread");
    }
    if (atomic_load(&pass->failed)) {
        *reterr = pass->error;
        return pass->error.code;
    }
    return FERRY_OK;
}

int demo_verify(struct demo *demo, uint32_t passes, struct ferry_error *reterr)
{
    struct pass pass = { .demo = demo };
    int status = FERRY_OK;

    if (passes == 0) {
        return ferry_error_set(reterr, FERRY_E_SHORT, "demo", NULL, 0,
                               "there is no whole pass to verify");
    }
    if (map_file(demo->input, &pass.input) < 0) {
        return ferry_error_set(reterr, FERRY_E_IO, "demo", NULL, 0, "cannot map %s",
                               demo->input);
    }
    pthread_mutex_init(&pass.lock, NULL);
    for (uint32_t i = 0; i < passes && status == FERRY_OK; i++) {
        pass.number = i;
        status = verify_pass(&pass, reterr);
        demo->lanes_verified += status == FERRY_OK ? demo->args.work.lanes : 0;
    }
    pthread_mutex_destroy(&pass.lock);
    unmap_file(&pass.result);
    unmap_file(&pass.input);
    demo->identical = status == FERRY_OK;
    return status;
}
