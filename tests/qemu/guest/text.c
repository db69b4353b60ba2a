/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

#define LINE_BYTES 160

int fail(const char *format, ...)
{
    va_list args;

    fputs("error ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    return -1;
}

ssize_t slurp(const char *path, char *ret_text, size_t cap)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t count;

    if (fd < 0) {
        return -1;
    }
    count = read(fd, ret_text, cap - 1);
    close(fd);
    if (count >= 0) {
        ret_text[count] = '\0';
    }
    return count;
}

int put(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    int result = 0;

    if (fd < 0) {
        return fail("%s: %s", path, strerror(errno));
    }
    if (write(fd, text, strlen(text)) < 0) {
        result = fail("%s: %s", path, strerror(errno));
    }
    close(fd);
    return result;
}

int run_line(const struct command_row *rows, size_t count, char *line)
{
    char *rest;
    const char *words[WORDS_MAX] = { "", "", "", "", "", "", "", "" };
    char *token = strtok_r(line, " \r\n", &rest);

    for (int i = 0; i < WORDS_MAX && token != NULL; i++) {
        words[i] = token;
        token = strtok_r(NULL, " \r\n", &rest);
    }
    for (size_t i = 0; i < count; i++) {
        if (strcmp(words[0], rows[i].name) == 0) {
            return rows[i].run(words);
        }
    }
    return fail("no command '%s'", words[0]);
}

int run_words(const struct command_row *rows, size_t count, const char *format, ...)
{
    char line[LINE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    return run_line(rows, count, line);
}

void say_hex(const uint8_t *bytes, size_t count)
{
    fputs("= ", stdout);
    for (size_t i = 0; i < count; i++) {
        printf("%02x", bytes[i]);
    }
    putchar('\n');
}

int from_hex(const char *text, uint8_t *ret_bytes, size_t cap)
{
    const size_t count = strlen(text) / 2;

    if (strlen(text) % 2 != 0 || count > cap) {
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        unsigned int byte;

        if (sscanf(text + 2 * i, "%2x", &byte) != 1) {
            return -1;
        }
        ret_bytes[i] = (uint8_t)byte;
    }
    return (int)count;
}

uint64_t monotonic_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
