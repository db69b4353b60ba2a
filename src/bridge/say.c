/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/say.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bridge/device/device.h"
#include "os/append.h"
#include "os/clock.h"

#define LINE_BYTES 1024u
#define LINES_PER_S 200u
#define LOGS_MAX 64u /* files; devices beyond them speak on standard error */

struct log {
    char path[sizeof(((struct bridge_token *)0)->log)];
    int fd;
};

static struct {
    pthread_mutex_t lock;
    uint64_t second; /* in which `lines` were said */
    uint32_t lines;
    uint32_t left_out;
    uint32_t log_count;
    struct log log[LOGS_MAX];
} said = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Adds text at *at; what does not fit is cut. */
__attribute__((format(printf, 3, 0))) static void add(char *line, size_t *at,
                                                      const char *format, va_list args)
{
    int bytes = vsnprintf(line + *at, LINE_BYTES - *at, format, args);

    if (bytes > 0) {
        *at += (size_t)bytes;
    }
    if (*at > LINE_BYTES - 1) {
        *at = LINE_BYTES - 1;
    }
}

__attribute__((format(printf, 3, 4))) static void add_text(char *line, size_t *at,
                                                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(line, at, format, args);
    va_end(args);
}

/* One line, whatever the text has in it: it may quote a server. */
static void end_line(char *line, size_t *at)
{
    size_t i;

    for (i = 0; i < *at; i++) {
        if ((unsigned char)line[i] < ' ') {
            line[i] = ' ';
        }
    }
    line[(*at)++] = '\n';
}

/* With the lock. Opened once for each path, since QEMU may lose its rights later. */
static int log_of(const struct bridge_device *device)
{
    struct log *log;
    uint32_t i;

    if (device == NULL || device->token.log[0] == '\0') {
        return STDERR_FILENO;
    }
    for (i = 0; i < said.log_count; i++) {
        if (strcmp(said.log[i].path, device->token.log) == 0) {
            return said.log[i].fd;
        }
    }
    if (said.log_count == LOGS_MAX) {
        return STDERR_FILENO;
    }
    log = &said.log[said.log_count++];
    memcpy(log->path, device->token.log, sizeof(log->path));
    log->fd = STDERR_FILENO;
    if (ferry_os_append_open(log->path, &log->fd, NULL) != FERRY_OK) {
        char line[LINE_BYTES + 1];
        size_t bytes = 0;

        log->fd = STDERR_FILENO;
        add_text(line, &bytes, "ferry-bridge: cannot open the log %s", log->path);
        end_line(line, &bytes);
        ferry_os_append(STDERR_FILENO, line, bytes);
    }
    return log->fd;
}

/* With the lock. Return: 1 when a line may be said now. */
static int may_speak(uint32_t *ret_left_out)
{
    uint64_t second = ferry_os_now_ns() / FERRY_NS_PER_S;

    *ret_left_out = 0;
    if (second != said.second) {
        *ret_left_out = said.left_out;
        said.second = second;
        said.lines = 0;
        said.left_out = 0;
    }
    if (said.lines == LINES_PER_S) {
        said.left_out++;
        return 0;
    }
    said.lines++;
    return 1;
}

static void begin_line(char *line, size_t *at, const struct bridge_device *device)
{
    add_text(line, at, "ferry-bridge: %s%s", device ? device->token.name : "",
             device ? ": " : "");
}

void bridge_say(const struct bridge_device *device, const char *format, ...)
{
    char line[LINE_BYTES + 1];
    uint32_t left_out;
    size_t bytes = 0;
    int err = errno;
    va_list args;

    begin_line(line, &bytes, device);
    va_start(args, format);
    add(line, &bytes, format, args);
    va_end(args);
    end_line(line, &bytes);
    pthread_mutex_lock(&said.lock);
    if (may_speak(&left_out)) {
        int fd = log_of(device);

        if (left_out > 0) {
            char note[LINE_BYTES + 1];
            size_t note_bytes = 0;

            add_text(note, &note_bytes, "ferry-bridge: %u lines were left out", left_out);
            end_line(note, &note_bytes);
            ferry_os_append(fd, note, note_bytes);
        }
        ferry_os_append(fd, line, bytes);
    }
    pthread_mutex_unlock(&said.lock);
    errno = err;
}

void bridge_trace(const struct bridge_device *device, const char *format, ...)
{
    char line[LINE_BYTES + 1];
    size_t bytes = 0;
    uint64_t now;
    va_list args;
    int err;
    int fd;

    if (device == NULL || !device->token.trace) {
        return;
    }
    err = errno;
    now = ferry_os_wall_ns();
    begin_line(line, &bytes, device);
    add_text(line, &bytes, "%llu.%06llu %d: ", (unsigned long long)(now / FERRY_NS_PER_S),
             (unsigned long long)(now % FERRY_NS_PER_S / 1000), (int)gettid());
    va_start(args, format);
    add(line, &bytes, format, args);
    va_end(args);
    end_line(line, &bytes);
    pthread_mutex_lock(&said.lock);
    fd = log_of(device);
    pthread_mutex_unlock(&said.lock);
    ferry_os_append(fd, line, bytes);
    errno = err;
}

int bridge_errno(int status)
{
    static const struct {
        int status;
        int err;
    } table[] = {
        { FERRY_OK, 0 },
        { FERRY_E_ARGUMENT, EINVAL },
        { FERRY_E_MEMORY, ENOMEM },
        { FERRY_E_AGAIN, EAGAIN },
        { FERRY_E_LIMIT, ENOSPC },
        { FERRY_E_UNSUPPORTED, ENOTTY },
        { FERRY_E_STATE, EBUSY },
        { FERRY_E_ARC, EINVAL },
        { FERRY_E_BUSY, EBUSY },
        { FERRY_E_EXISTS, EEXIST },
        { FERRY_E_NOT_FOUND, ENOENT },
        { FERRY_E_RANGE, EINVAL },
        { FERRY_E_OVERLAP, EEXIST },
        { FERRY_E_ALIGN, EINVAL },
        { FERRY_E_PERMISSION, EPERM },
        { FERRY_E_DRY, ENOMSG },
        { FERRY_E_CAPACITY, E2BIG },
    };
    size_t i;

    for (i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status) {
            return -table[i].err;
        }
    }
    return status > 0 ? 0 : -EIO;
}

void bridge_say_fork_prepare(void)
{
    pthread_mutex_lock(&said.lock);
}

void bridge_say_fork_done(void)
{
    pthread_mutex_unlock(&said.lock);
}
