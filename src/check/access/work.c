/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/access/access.h"

/* Work that lasts, given by the driver. */

int access_can_begin(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;

    if (!driver || !driver->begin || !driver->settle) {
        check_skip(run, "the driver has nothing that lasts");
        return 0;
    }
    return 1;
}

int access_begin(struct check_run *run, uint64_t bytes)
{
    const struct ferry_check_driver *driver = run->options->driver;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!check_drive(run)) {
        return 0;
    }
    rc = driver->begin(run->driver_state, CHECK_SCRATCH_IOVA, bytes, &error);
    if (rc != FERRY_OK) {
        return check_broken(run, "the driver cannot begin work: %s",
                            error.text[0] != '\0' ? error.text : ferry_status_text(rc));
    }
    (void)ferry_check_turn(&run->driven, 0);
    return 1;
}

int access_settles(struct check_run *run, const char *when)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = run->options->driver->settle(run->driver_state, &error);
    char expected[160];

    snprintf(expected, sizeof(expected), "work that was begun is completed %s", when);
    return check_that(run, rc == FERRY_OK, expected, "%s",
                      error.text[0] != '\0' ? error.text : ferry_status_text(rc));
}

void access_watch(struct check_run *run)
{
    uint32_t state;

    (void)ferry_check_turn(&run->driven, run->look_ms);
    /* On a busy machine a server may not have run yet: between two answers it has. */
    (void)check_get_state(run, &state);
    (void)check_get_state(run, &state);
    check_looked(run, run->look_ms);
}
