/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "check/data/data.h"

#define EARLY_PIECE_BYTES 64u
#define EARLY_BYTES (64u << 10) /* by then a target must have looked at them */

/* The state of another device. Return: 1 with at least one byte. */
static int saved_of(struct check_run *run, struct check_device *device,
                    struct check_stream *ret_stream)
{
    int done;

    run->at = device;
    done = data_own(run, ret_stream);
    run->at = &run->device;
    return done;
}

static void run_foreign(struct check_run *run, uint32_t at)
{
    struct check_stream own = { 0 }, foreign = { 0 };

    (void)at;
    if (data_own(run, &own) && saved_of(run, &run->foreign, &foreign) &&
        data_refused(run, foreign.data, foreign.bytes,
                     "the state of another device (%llu bytes)",
                     (unsigned long long)foreign.bytes)) {
        data_recovers(run, &own);
    }
    check_stream_free(&own);
    check_stream_free(&foreign);
}

/* Is it refused by a write, within the first bytes, and not by SET_STATE only? */
static int refused_early(struct check_run *run, const struct check_stream *stream,
                         const char *what)
{
    const uint64_t most = stream->bytes < EARLY_BYTES ? stream->bytes : EARLY_BYTES;
    uint64_t written = 0;
    int rc = FERRY_OK;

    if (!data_begin_load(run)) {
        return 0;
    }
    while (rc == FERRY_OK && written < most) {
        const uint64_t left = most - written;
        const uint64_t piece = left < EARLY_PIECE_BYTES ? left : EARLY_PIECE_BYTES;

        rc = check_write(run, stream->data + written, piece);
        written += piece;
    }
    return check_that(run, rc != FERRY_OK, what, "%llu bytes of %llu were taken",
                      (unsigned long long)written, (unsigned long long)stream->bytes) &&
           check_refused(run, rc, what);
}

static void run_early(struct check_run *run, uint32_t at)
{
    struct check_stream own = { 0 }, foreign = { 0 };

    (void)at;
    if (data_own(run, &own) && saved_of(run, &run->foreign, &foreign) &&
        refused_early(run, &foreign,
                      "one of the first writes of another device's state")) {
        data_recovers(run, &own);
    }
    check_stream_free(&own);
    check_stream_free(&foreign);
}

enum { OTHER_REFUSED, OTHER_EARLY };
static const char *const other_names[] = { "refused", "early", NULL };

static void run_incompatible(struct check_run *run, uint32_t at)
{
    const int here = data_fits(&run->partner, &run->device) == 0;
    struct check_device *from = here ? &run->partner : &run->device;
    struct check_device *to = here ? &run->device : &run->partner;
    struct check_stream own = { 0 }, other = { 0 };

    if (data_fits(from, to) != 0) {
        check_skip(run, "the second device fits, or does not say what it is");
        return;
    }
    if (saved_of(run, to, &own) && saved_of(run, from, &other)) {
        int refused;

        run->at = to;
        refused = at == OTHER_REFUSED
                      ? data_refused(run, other.data, other.bytes,
                                     "the state of a device with other limits")
                      : refused_early(run, &other,
                                      "one of the first writes of a state of a device "
                                      "with other limits");
        if (refused) {
            data_recovers(run, &own);
        }
        run->at = &run->device;
    }
    check_stream_free(&own);
    check_stream_free(&other);
}

/* The partner's state into the device, and the other way round. */
enum { PARTNER_HERE, PARTNER_THERE };
static const char *const partner_names[] = { "from-the-partner", "to-the-partner", NULL };

static void run_partner(struct check_run *run, uint32_t at)
{
    struct check_device *from = at == PARTNER_HERE ? &run->partner : &run->device;
    struct check_device *to = at == PARTNER_HERE ? &run->device : &run->partner;
    struct check_stream stream = { 0 };

    if (data_fits(from, to) == 0) {
        check_skip(run, "the second device does not fit");
        return;
    }
    if (saved_of(run, from, &stream)) {
        run->at = to;
        data_loads(run, stream.data, stream.bytes, "the state of its partner");
        run->at = &run->device;
    }
    check_stream_free(&stream);
}

const struct data_cases data_cases_origin[] = {
    { "data.incompatible", other_names },
    { "data.partner", partner_names },
    { NULL, NULL },
};

const struct check check_data_origin[] = {
    { .info = { "data.foreign", "MIG-DATA-8",
                "the state of a device of another kind is refused", FERRY_CHECK_REQUIRED,
                FERRY_CHECK_NEEDS_FOREIGN },
      .run = run_foreign },
    { .info = { "data.early", "MIG-PRE-8",
                "another kind's state is refused by a write of its first 64 KiB",
                FERRY_CHECK_RECOMMENDED,
                FERRY_CHECK_NEEDS_FOREIGN | FERRY_CHECK_NEEDS_PRE_COPY },
      .run = run_early },
    { .info = { "data.incompatible", "MIG-COMPAT-4",
                "the state of a device with other limits is refused, and soon",
                FERRY_CHECK_RECOMMENDED, FERRY_CHECK_NEEDS_PARTNER },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_incompatible },
    { .info = { "data.partner", "MIG-DATA-21",
                "a state loads into a second device of the same kind",
                FERRY_CHECK_REQUIRED, FERRY_CHECK_NEEDS_PARTNER },
      .cases = data_cases,
      .name = data_case_name,
      .run = run_partner },
    { .info = { 0 } },
};
