/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the reader of timelines: an input is a file. What it takes can be put on one
 * clock, joined with itself, written, and read again.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/trace/trace.h"
#include "must.h"

static char path[2][64];
static FILE *file[2];

static void open_files(void)
{
    for (int i = 0; i < 2; i++) {
        file[i] = tmpfile();
        must(file[i] != NULL);
        (void)snprintf(path[i], sizeof(path[i]), "/proc/self/fd/%d", fileno(file[i]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *first = NULL, *more = NULL, *again = NULL;
    struct ferry_error error = { 0 };
    int rc;

    if (file[0] == NULL) {
        open_files();
    }
    must(ftruncate(fileno(file[0]), 0) == 0);
    must(pwrite(fileno(file[0]), data, size, 0) == (ssize_t)size);
    rc = trace_file_read(path[0], &first, &error);
    if (rc != FERRY_OK) {
        must(first == NULL && error.code == rc && error.text[0] != '\0');
        return 0;
    }
    must(trace_file_sides(first) != NULL);
    must(trace_file_read(path[0], &more, &error) == FERRY_OK);
    rc = trace_file_merge(first, more, &error);
    must(rc == FERRY_OK || error.code == rc);
    trace_file_align(first);
    must(trace_file_write(first, path[1], &error) == FERRY_OK);
    must(trace_file_read(path[1], &again, &error) == FERRY_OK);
    (void)json_object_put(first);
    (void)json_object_put(more);
    (void)json_object_put(again);
    return 0;
}
