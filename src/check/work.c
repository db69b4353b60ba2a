/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include "check/check.h"

/* Work that the driver gives the device and that lasts. */

static const char *reason(const struct ferry_error *error, int rc)
{
    return error->text[0] != '\0' ? error->text : ferry_status_text(rc);
}

int check_can_begin(struct check_run *run)
{
    const struct ferry_check_driver *driver = run->options->driver;

    if (!driver || !driver->begin || !driver->settle) {
        check_skip(run, "the driver has no work that lasts");
        return 0;
    }
    return 1;
}

int check_begin(struct check_run *run, uint64_t iova, uint64_t bytes)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!check_can_begin(run) || !check_drive(run)) {
        return 0;
    }
    rc = run->options->driver->begin(run->driver_state, iova, bytes, &error);
    if (rc != FERRY_OK) {
        return check_broken(run, "the driver cannot begin work: %s", reason(&error, rc));
    }
    (void)ferry_check_turn(&run->driven, 0);
    return 1;
}

int check_settles(struct check_run *run, const char *when)
{
    struct ferry_error error = { .code = FERRY_OK };
    const int rc = run->options->driver->settle(run->driver_state, &error);
    char expected[160];

    snprintf(expected, sizeof(expected), "work that was begun is completed %s", when);
    return check_that(run, rc == FERRY_OK, expected, "%s", reason(&error, rc));
}

int check_settle(struct check_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };
    const int rc = run->options->driver->settle(run->driver_state, &error);

    return rc == FERRY_OK ||
           check_broken(run, "work that was begun does not end: %s", reason(&error, rc));
}
