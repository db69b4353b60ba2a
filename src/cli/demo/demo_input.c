/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/demo/demo.h"

#define INPUT_BYTES (256ull << 20)
#define COPY_BYTES (1u << 20)

static int by_name(const FTSENT **left, const FTSENT **right)
{
    return strcmp((*left)->fts_name, (*right)->fts_name);
}

static int write_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t put = write(fd, data, bytes);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return FERRY_E_IO;
        }
        data += put;
        bytes -= (size_t)put;
    }
    return FERRY_OK;
}

/* Appends one file; one that cannot be read is left out. Return: FERRY_OK, FERRY_E_IO. */
static int append(int to, const char *path, char *buffer, uint64_t *total)
{
    int status = FERRY_OK, from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    while (from >= 0 && status == FERRY_OK) {
        ssize_t got = read(from, buffer, COPY_BYTES);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        status = write_all(to, buffer, (size_t)got);
        *total += (uint64_t)got;
    }
    if (from >= 0) {
        close(from);
    }
    return status;
}

/* One walk over /usr. Return: FERRY_OK, FERRY_E_IO, FERRY_E_CANCELLED. */
static int append_machine(const struct demo *demo, int to, char *buffer, uint64_t *total)
{
    static char root[] = "/usr";
    char *const roots[] = { root, NULL };
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
    FTSENT *entry;
    int status = walk != NULL ? FERRY_OK : FERRY_E_IO;

    while (status == FERRY_OK && *total < INPUT_BYTES &&
           (entry = fts_read(walk)) != NULL) {
        if (entry->fts_info == FTS_F && entry->fts_statp->st_size > 0) {
            status = append(to, entry->fts_accpath, buffer, total);
            if (status == FERRY_OK && demo_interrupted(demo)) {
                status = FERRY_E_CANCELLED;
            }
        }
    }
    if (walk != NULL) {
        fts_close(walk);
    }
    return status;
}

/* All of a file again and again. Return: FERRY_OK, FERRY_E_IO, FERRY_E_MEMORY. */
static int append_again(int to, const char *path, uint64_t bytes, uint64_t *total)
{
    char *data = malloc(bytes + COPY_BYTES);
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int status = data != NULL ? FERRY_E_IO : FERRY_E_MEMORY;
    uint64_t used = bytes;

    if (data != NULL && from >= 0 && pread(from, data, bytes, 0) == (ssize_t)bytes) {
        while (used <= COPY_BYTES) {
            memcpy(data + used, data, bytes);
            used += bytes;
        }
        status = FERRY_OK;
    }
    while (status == FERRY_OK && *total < DEMO_INPUT_LEAST) {
        status = write_all(to, data, used);
        *total += used;
    }
    if (from >= 0) {
        close(from);
    }
    free(data);
    return status;
}

/* Return: FERRY_OK; an error, with errno when it is FERRY_E_IO. */
static int fill(const struct demo *demo, int to, uint64_t *total)
{
    char *buffer = malloc(COPY_BYTES);
    int status = buffer != NULL ? FERRY_OK : FERRY_E_MEMORY;

    while (status == FERRY_OK && *total < INPUT_BYTES) {
        uint64_t before = *total;

        status = append_machine(demo, to, buffer, total);
        if (status == FERRY_OK && *total == before) {
            status = FERRY_E_NOT_FOUND;
        }
    }
    free(buffer);
    return status;
}

int demo_make_input(struct demo *demo, struct ferry_error *reterr)
{
    char file[DEMO_PATH_BYTES];
    uint64_t total = 0;
    int status = FERRY_E_IO, to;

    memcpy(file, demo->input, sizeof(file));
    snprintf(demo->input, sizeof(demo->input), "%.200s/input.bin", demo->folder);
    to = open(demo->input, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to >= 0 && demo->args.input != NULL) {
        status = append_again(to, file, demo->input_bytes, &total);
    } else if (to >= 0) {
        status = fill(demo, to, &total);
    }
    if (to >= 0) {
        close(to);
    }
    demo->input_bytes = total;
    if (status == FERRY_E_CANCELLED) {
        return ferry_error_set(reterr, status, "demo", NULL, 0, "interrupted");
    }
    return status == FERRY_OK
               ? FERRY_OK
               : ferry_error_set(
                     reterr, status, "demo", NULL, total,
                     "cannot make an input of %llu MiB at %s: %s; choose another "
                     "folder with TMPDIR, or another FILE",
                     (demo->args.input != NULL ? DEMO_INPUT_LEAST : INPUT_BYTES) >> 20,
                     demo->input,
                     status == FERRY_E_IO ? strerror(errno) : ferry_status_text(status));
}
