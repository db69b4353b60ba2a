/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/data/data.h"

/* So much of the device's own memory is written before a save. */
#define FILL_BYTES (256u << 10)

uint64_t data_noise(struct data_noise *noise)
{
    /* splitmix64 */
    uint64_t x = noise->state += 0x9e3779b97f4a7c15u;

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

int data_change(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!check_drive(run)) {
        return 0;
    }
    rc = driver->change(run->driver_state, &error);
    return rc == FERRY_OK
               ? 1
               : check_broken(run, "the driver '%s' cannot change its state: %s",
                              driver->name,
                              error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

int data_can_change(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;

    if (!driver || !driver->change) {
        check_skip(run, "no driver that changes what this device would save");
        return 0;
    }
    return 1;
}

/* Bytes into the device's own memory, where the driver knows of some. */
static int fill_memory(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct data_noise noise = { 11 };
    uint8_t page[4096];
    uint64_t off = 0, bytes = 0;
    uint32_t region = 0;
    int rc = FERRY_OK;

    if (driver->scratch) {
        driver->scratch(run->driver_state, &region, &off, &bytes);
    }
    bytes = bytes < FILL_BYTES ? bytes : FILL_BYTES;
    for (uint64_t at = 0; rc == FERRY_OK && at + sizeof(page) <= bytes;
         at += sizeof(page)) {
        for (size_t i = 0; i < sizeof(page); i += sizeof(uint64_t)) {
            const uint64_t word = data_noise(&noise);

            memcpy(page + i, &word, sizeof(word));
        }
        rc = check_region_write(run, region, off + at, page, sizeof(page));
    }
    return rc == FERRY_OK || check_broken(run, "the device's memory cannot be written");
}

int data_fill(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;

    if (!check_go(run, FERRY_STATE_RUNNING)) {
        return 0;
    }
    return !driver || !driver->change || run->at != &run->device ||
           (check_drive(run) && fill_memory(run) && data_change(run));
}

int data_saved(struct check_run *run, struct check_stream *ret_stream)
{
    memset(ret_stream, 0, sizeof(*ret_stream));
    return data_fill(run) && check_save(run, ret_stream);
}

int data_own(struct check_run *run, struct check_stream *ret_stream)
{
    if (!data_saved(run, ret_stream)) {
        return 0;
    }
    if (ret_stream->bytes == 0) {
        check_skip(run, "the device's state is empty");
    }
    return ret_stream->bytes > 0;
}

int data_saved_again(struct check_run *run, struct check_stream *ret_stream)
{
    memset(ret_stream, 0, sizeof(*ret_stream));
    return check_go(run, FERRY_STATE_STOP) && check_save(run, ret_stream);
}

uint64_t data_differs_at(const struct check_stream *a, const struct check_stream *b)
{
    const uint64_t bytes = a->bytes < b->bytes ? a->bytes : b->bytes;
    uint64_t at = 0;

    if (bytes > 0 && memcmp(a->data, b->data, bytes) == 0) {
        return bytes;
    }
    while (at < bytes && a->data[at] == b->data[at]) {
        at++;
    }
    return at;
}

int data_equal(struct check_run *run, const struct check_stream *expected,
               const struct check_stream *seen, const char *what)
{
    const uint64_t at = data_differs_at(expected, seen);
    char text[192];

    snprintf(text, sizeof(text), "%s has the same %llu bytes", what,
             (unsigned long long)expected->bytes);
    return check_that(run, expected->bytes == seen->bytes && at == seen->bytes, text,
                      "%llu bytes, the first difference at byte %llu",
                      (unsigned long long)seen->bytes, (unsigned long long)at);
}
