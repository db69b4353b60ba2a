/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/output.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_CELLS 24

void tell_ready(const char *command, int fd)
{
    static const char line[] = "ready\n";

    if (fd < 0) {
        return;
    }
    if (write(fd, line, sizeof(line) - 1) < 0) {
        print_error(command, NULL, "--ready-fd %d: %s", fd, strerror(errno));
    }
    close(fd);
}

void print_error(const char *command, const struct ferry_error *error, const char *format,
                 ...)
{
    va_list list;

    fprintf(stderr, "ferry %s: ", command);
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    if (error != NULL && error->code != FERRY_OK) {
        fprintf(stderr, ": %s",
                error->text[0] != '\0' ? error->text : ferry_status_text(error->code));
        if (error->rule[0] != '\0') {
            fprintf(stderr, " [%s]", error->rule);
        }
    }
    fputc('\n', stderr);
}

/* A device of the kernel's: its sentences say themselves what would help. */
static int is_kernel_device(const char *text)
{
    return strstr(text, "vfio:") != NULL || strstr(text, "vfio-group:") != NULL;
}

void print_open_error(const char *command, const struct ferry_error *error)
{
    const char *hint = "";

    if (is_kernel_device(error->text)) {
        hint = "";
    } else if (error->code == FERRY_E_BUSY) {
        hint = "; a device has one user at a time, and it has one already";
    } else if (error->code == FERRY_E_NOT_FOUND) {
        hint = "; is its `ferry serve MODEL --socket PATH' running?";
    } else if (error->code == FERRY_E_PERMISSION) {
        hint = "; a device's socket is open to its owner only";
    }
    print_error(command, NULL, "%s%s%s%s%s",
                error->text[0] != '\0' ? error->text : ferry_status_text(error->code),
                hint, error->rule[0] != '\0' ? " [" : "", error->rule,
                error->rule[0] != '\0' ? "]" : "");
}

const char *text_bytes(uint64_t bytes, char ret_text[TEXT_BYTES])
{
    static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)bytes;
    unsigned i = 0;

    while (value >= 1024.0 && i < 4) {
        value /= 1024.0;
        i++;
    }
    snprintf(ret_text, TEXT_BYTES, i == 0 ? "%.0f %s" : "%.1f %s", value, unit[i]);
    return ret_text;
}

const char *text_rate(uint64_t bytes_per_s, char ret_text[TEXT_BYTES])
{
    snprintf(ret_text, TEXT_BYTES, "%.0f MB/s", (double)bytes_per_s / 1e6);
    return ret_text;
}

const char *text_time(uint64_t ns, char ret_text[TEXT_BYTES])
{
    if (ns < 1000000) {
        snprintf(ret_text, TEXT_BYTES, "%.0f us", (double)ns / 1e3);
    } else if (ns < 10000000000) {
        snprintf(ret_text, TEXT_BYTES, "%.2f ms", (double)ns / 1e6);
    } else {
        snprintf(ret_text, TEXT_BYTES, "%.2f s", (double)ns / 1e9);
    }
    return ret_text;
}

uint64_t json_get_u64(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(object, json_type_object)) {
        return 0;
    }
    json_object_object_get_ex(object, name, &member);
    return json_object_get_uint64(member);
}

uint32_t json_get_u32(struct json_object *object, const char *name)
{
    uint64_t value = json_get_u64(object, name);

    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

const char *json_get_text(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_is_type(object, json_type_object)) {
        return "";
    }
    json_object_object_get_ex(object, name, &member);
    return json_object_is_type(member, json_type_string) ? json_object_get_string(member)
                                                         : "";
}

void print_json(struct json_object *object, int pretty)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE;

    flags |= pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : 0;
    puts(json_object_to_json_string_ext(object, flags));
    fflush(stdout);
}

void progress_init(struct progress_line *line, const char *title, int quiet)
{
    memset(line, 0, sizeof(*line));
    line->quiet = quiet;
    line->tty = isatty(STDOUT_FILENO);
    snprintf(line->title, sizeof(line->title), "%s", title);
}

static void draw_bar(struct progress_line *line, const char *phase,
                     struct json_object *event)
{
    uint64_t sent =
        json_get_u64(event, "ram_bytes_sent") + json_get_u64(event, "device_bytes_sent");
    uint64_t left = json_get_u64(event, "bytes_left");
    uint64_t predicted = json_get_u64(event, "predicted_downtime_ns");
    unsigned cells = sent + left > 0 ? (unsigned)(sent * BAR_CELLS / (sent + left)) : 0;
    char bytes[TEXT_BYTES], rate[TEXT_BYTES], downtime[TEXT_BYTES];
    char bar[BAR_CELLS + 1];

    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', cells);
    bar[BAR_CELLS] = '\0';
    printf("\r%s [%s] %-12s %10s %10s  predicted downtime %s\033[K", line->title, bar,
           phase, text_bytes(sent, bytes),
           text_rate(json_get_u64(event, "rate_bytes_per_s"), rate),
           predicted > 0 ? text_time(predicted, downtime) : "not known yet");
    fflush(stdout);
    line->drawn = 1;
}

void progress_show(struct progress_line *line, struct json_object *event)
{
    const char *phase = json_get_text(event, "phase");

    if (line->quiet) {
        return;
    }
    if (line->tty) {
        draw_bar(line, phase, event);
        return;
    }
    if (strncmp(line->last_phase, phase, sizeof(line->last_phase) - 1) != 0) {
        char bytes[TEXT_BYTES];

        snprintf(line->last_phase, sizeof(line->last_phase), "%s", phase);
        printf("%s %s (%s sent)\n", line->title, phase,
               text_bytes(json_get_u64(event, "ram_bytes_sent") +
                              json_get_u64(event, "device_bytes_sent"),
                          bytes));
        fflush(stdout);
    }
}

void progress_end(struct progress_line *line)
{
    if (line->drawn) {
        fputs("\r\033[K", stdout);
        line->drawn = 0;
    }
    fflush(stdout);
}
