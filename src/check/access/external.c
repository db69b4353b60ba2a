/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"
#include "check/classes.h"

/* Config space and MSI-X are the user's to carry: a load does not change them, and they
 * are no part of what is saved. */

enum { CONFIG, MSIX, PLACES };
static const char *const places[PLACES] = { "config", "msix" };

static int find(struct check_run *run, uint32_t which, struct access_place *ret_place)
{
    return which == CONFIG ? access_config_place(run, ret_place)
                           : access_msix_place(run, ret_place);
}

static uint32_t apart_cases(const struct check_run *run)
{
    (void)run;
    return PLACES;
}

static void apart_name(const struct check_run *run, uint32_t at,
                       char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s", places[at]);
}

/* Two saves that differ in nothing but what the user wrote in between. */
static void run_apart(struct check_run *run, uint32_t at)
{
    struct check_stream before = { 0 }, after = { 0 };
    struct access_place place;

    if (!find(run, at, &place) || !access_steady(run, &before)) {
        return;
    }
    if (check_ok(run, access_put(run, &place, place.fresh), "a write in STOP") &&
        access_snapshot(run, &after)) {
        access_same(run, &before, &after,
                    at == CONFIG ? "a write of config space" : "a write of a vector");
    }
    (void)access_put(run, &place, place.old);
    check_stream_free(&before);
    check_stream_free(&after);
}

/* -- Over a load -- */

enum { BEFORE, WHILE, TIMES };
static const char *const times[TIMES] = { "before", "RESUMING" };

static uint32_t kept_cases(const struct check_run *run)
{
    (void)run;
    return PLACES * TIMES;
}

static void kept_name(const struct check_run *run, uint32_t at,
                      char ret_name[FERRY_CHECK_CASE_BYTES])
{
    (void)run;
    snprintf(ret_name, FERRY_CHECK_CASE_BYTES, "%s@%s", places[at / TIMES],
             times[at % TIMES]);
}

/* That it works at all is looked at elsewhere. */
static int put_at(struct check_run *run, const struct access_place *place, int now)
{
    if (now && access_put(run, place, place->fresh) < 0) {
        check_skip(run, "a write is refused");
        return 0;
    }
    return 1;
}

static void run_kept(struct check_run *run, uint32_t at)
{
    struct check_stream stream = { 0 };
    struct access_place place;
    uint8_t seen = 0;
    int good;

    if (!find(run, at / TIMES, &place) || !access_own_stream(run, &stream)) {
        return;
    }
    good = put_at(run, &place, at % TIMES == BEFORE) &&
           check_go(run, FERRY_STATE_RESUMING) &&
           put_at(run, &place, at % TIMES == WHILE) &&
           check_ok(run, check_write_all(run, stream.data, stream.bytes, 0),
                    "the load of its own state") &&
           check_ok(run, check_set_state(run, FERRY_STATE_STOP), "RESUMING to STOP") &&
           check_ok(run, access_look(run, &place, &seen), "a read in STOP");
    if (good) {
        check_that(run, seen == place.fresh, "a load changes nothing that the user wrote",
                   "0x%02x was written to %s %s, 0x%02x is there after the load",
                   place.fresh, places[at / TIMES],
                   at % TIMES == BEFORE ? "before" : "in RESUMING", seen);
        (void)access_put(run, &place, place.old);
    }
    check_stream_free(&stream);
}

const struct check check_access_external[] = {
    { { "access.user.apart", "MIG-EXT-1",
        "config space and MSI-X are no part of what is saved", FERRY_CHECK_RECOMMENDED,
        0 },
      apart_cases,
      apart_name,
      run_apart },
    { { "access.user.kept", "MIG-EXT-3", "a load changes neither config space nor MSI-X",
        FERRY_CHECK_EXPECTED, 0 },
      kept_cases,
      kept_name,
      run_kept },
    { { NULL, NULL, NULL, 0, 0 }, NULL, NULL, NULL },
};
