/* SPDX-License-Identifier: BSD-3-Clause */
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "os/uapi/precopy.h"

#define LINE_BYTES 192
#define REPEATED_MAX 16 /* different requests and answers between two changes */
#define DEVICES_MAX 16
#define LINES_MAX 2000 /* of a file: a VMM that spins does not fill the disk */

/* A request that is made again and again, with one of its answers. */
struct repeated {
    char text[LINE_BYTES];
    uint64_t count;
    uint64_t bytes;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *file_path;
static int file = -1;
static int lines;
static struct {
    struct repeated repeated[REPEATED_MAX];
    int count;
} device_of[DEVICES_MAX];

static const char *const state_names[] = { "ERROR",     "STOP",        "RUNNING",
                                           "STOP_COPY", "RESUMING",    "RUNNING_P2P",
                                           "PRE_COPY",  "PRE_COPY_P2P" };

static const struct {
    uint32_t number;
    uint32_t bytes; /* of the payload */
    const char *name;
    int repeats;
} features[] = {
    { UAPI_MIGRATION, sizeof(struct uapi_migration), "MIGRATION", 0 },
    { UAPI_MIG_STATE, sizeof(struct uapi_mig_state), "MIG_DEVICE_STATE", 0 },
    { UAPI_LOG_START, sizeof(struct uapi_log_start), "DMA_LOGGING_START", 0 },
    { UAPI_LOG_STOP, 0, "DMA_LOGGING_STOP", 0 },
    { UAPI_LOG_REPORT, sizeof(struct uapi_log_report), "DMA_LOGGING_REPORT", 1 },
    { UAPI_MIG_SIZE, sizeof(struct uapi_mig_size), "MIG_DATA_SIZE", 1 },
    { UAPI_PRECOPY_V2, 0, "MIG_PRECOPY_INFOv2", 0 },
};

/* Locked. dprintf() calls the C library's own write, which nobody stands in front of. */
static void put(const char *text)
{
    if (file < 0 && file_path != NULL) {
        file = open(file_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    }
    if (file < 0 || lines > LINES_MAX) {
        return;
    }
    dprintf(file, "%s\n",
            lines == LINES_MAX ? "fault: more lines than a record has" : text);
    lines++;
}

/* Locked. */
static void flush(int device)
{
    for (int i = 0; i < device_of[device].count; i++) {
        const struct repeated *one = &device_of[device].repeated[i];
        char text[LINE_BYTES + 64];

        snprintf(text, sizeof(text), "d%d . %s # %" PRIu64 " times, %" PRIu64 " bytes",
                 device, one->text, one->count, one->bytes);
        put(text);
    }
    device_of[device].count = 0;
}

static void __attribute__((format(printf, 2, 3))) say(int device, const char *format, ...)
{
    char text[LINE_BYTES];
    char line[LINE_BYTES + 16];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    snprintf(line, sizeof(line), "d%d %s", device, text);
    pthread_mutex_lock(&lock);
    flush(device);
    put(line);
    pthread_mutex_unlock(&lock);
}

static void __attribute__((format(printf, 3, 4)))
say_again(int device, uint64_t bytes, const char *format, ...)
{
    char text[LINE_BYTES];
    struct repeated *one;
    va_list args;
    int i = 0;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    while (i < device_of[device].count &&
           strcmp(device_of[device].repeated[i].text, text) != 0) {
        i++;
    }
    if (i == REPEATED_MAX) {
        flush(device);
        i = 0;
    }
    one = &device_of[device].repeated[i];
    if (i == device_of[device].count) {
        *one = (struct repeated){ .count = 0 };
        memcpy(one->text, text, sizeof(text));
        device_of[device].count++;
    }
    one->count++;
    one->bytes += bytes;
    pthread_mutex_unlock(&lock);
}

void record_begin(const char *path)
{
    file_path = path;
}

void record_end(void)
{
    pthread_mutex_lock(&lock);
    for (int i = 0; i < DEVICES_MAX; i++) {
        flush(i);
    }
    pthread_mutex_unlock(&lock);
}

void record_fault(const char *what)
{
    char text[LINE_BYTES];

    snprintf(text, sizeof(text), "fault: %s", what);
    pthread_mutex_lock(&lock);
    put(text);
    pthread_mutex_unlock(&lock);
}

static const char *answer(int error)
{
    const char *name = error != 0 ? strerrorname_np(error) : "ok";

    return name != NULL ? name : "an error without a name";
}

static const char *state_name(uint32_t state)
{
    return state < sizeof(state_names) / sizeof(state_names[0]) ? state_names[state]
                                                                : "no state";
}

/* Return: its row; NULL for what has nothing to do with a migration. */
static int row_of(uint32_t flags)
{
    for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        if (features[i].number == (flags & UAPI_FEATURE_NUMBER)) {
            return (int)i;
        }
    }
    return -1;
}

/* Is there a payload to look at? */
static int has_payload(const struct record_feature *asked)
{
    const int row = row_of(asked->flags);

    return row >= 0 && !(asked->flags & UAPI_FEATURE_PROBE) &&
           asked->argsz - sizeof(struct uapi_feature) >= features[row].bytes;
}

void record_ask(struct record_feature *asked, const struct uapi_feature *call)
{
    const void *payload = call + 1;

    if (!has_payload(asked)) {
        return;
    }
    if ((asked->flags & UAPI_FEATURE_NUMBER) == UAPI_MIG_STATE) {
        asked->state = ((const struct uapi_mig_state *)payload)->state;
    } else if ((asked->flags & UAPI_FEATURE_NUMBER) == UAPI_LOG_START) {
        asked->page_size = ((const struct uapi_log_start *)payload)->page_size;
        asked->ranges = ((const struct uapi_log_start *)payload)->ranges;
    }
}

/* Return: the data descriptor, or -1. */
static int say_state(int device, const struct record_feature *asked, const char *how,
                     const struct uapi_mig_state *now, int error)
{
    const int given = error == 0 ? now->data_fd : -1;
    const char *descriptor = now->data_fd == -1 ? "no descriptor"
                             : now->data_fd < 0 ? "no number of a descriptor"
                             : error != 0       ? "a number of a descriptor"
                                                : "a descriptor";

    if (asked->flags & UAPI_FEATURE_SET) {
        say(device, "%s MIG_DEVICE_STATE %s = %s, %s, %s", how, state_name(asked->state),
            answer(error), state_name(now->state), descriptor);
    } else {
        say(device, "%s MIG_DEVICE_STATE = %s, %s, %s", how, answer(error),
            state_name(now->state), descriptor);
    }
    return (asked->flags & UAPI_FEATURE_SET) && given >= 0 ? given : -1;
}

static void say_flags(int device, const char *how, uint64_t flags, int error)
{
    say(device, "%s MIGRATION = %s%s%s%s%s", how, answer(error),
        error == 0 && (flags & 1) ? ", STOP_COPY" : "",
        error == 0 && (flags & 2) ? ", P2P" : "",
        error == 0 && (flags & 4) ? ", PRE_COPY" : "",
        error == 0 && (flags & ~7ull) ? ", more" : "");
}

int record_answer(int device, const struct record_feature *asked,
                  const struct uapi_feature *call, int error)
{
    const int row = row_of(asked->flags);
    const void *payload = call + 1;
    char how[32];

    if (row < 0) {
        return -1;
    }
    snprintf(how, sizeof(how), "%s%s%s",
             asked->flags & UAPI_FEATURE_PROBE ? "PROBE " : "",
             asked->flags & UAPI_FEATURE_GET ? "GET" : "",
             asked->flags & UAPI_FEATURE_SET ? "SET" : "");
    if (how[0] != '\0' && how[strlen(how) - 1] == ' ') {
        how[strlen(how) - 1] = '\0';
    }
    if (!has_payload(asked)) {
        say(device, "%s %s = %s", how, features[row].name, answer(error));
    } else if (features[row].number == UAPI_MIGRATION) {
        say_flags(device, how, ((const struct uapi_migration *)payload)->flags, error);
    } else if (features[row].number == UAPI_MIG_STATE) {
        return say_state(device, asked, how, payload, error);
    } else if (features[row].number == UAPI_LOG_START) {
        say(device, "%s %s = %s # pages of %" PRIu64 " bytes, %" PRIu32 " ranges", how,
            features[row].name, answer(error), asked->page_size, asked->ranges);
    } else if (features[row].repeats) {
        say_again(device, 0, "%s %s = %s", how, features[row].name, answer(error));
    } else {
        say(device, "%s %s = %s", how, features[row].name, answer(error));
    }
    return -1;
}

void record_data_ioctl(int device, unsigned long request, const void *arg, int error)
{
    const struct uapi_precopy_info *info = arg;

    if (request == UAPI_MIG_GET_PRECOPY_INFO) {
        say_again(device, error == 0 ? info->initial_bytes + info->dirty_bytes : 0,
                  "PRECOPY_INFO = %s", answer(error));
    } else {
        say(device, "data ioctl 0x%lx = %s", request, answer(error));
    }
}

void record_read(int device, ssize_t result, int error)
{
    if (result == 0) {
        say(device, "read = end");
    } else {
        say_again(device, result > 0 ? (uint64_t)result : 0, "read = %s",
                  result > 0 ? "data" : answer(error));
    }
}

void record_write(int device, size_t count, ssize_t result, int error)
{
    say_again(device, result > 0 ? (uint64_t)result : 0, "write = %s",
              result < 0                ? answer(error)
              : (size_t)result == count ? "all"
                                        : "less");
}

void record_close(int device)
{
    say(device, "close");
}
