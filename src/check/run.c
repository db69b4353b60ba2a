/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "check/check.h"
#include "os/clock.h"
#include "os/memory.h"

#define LOOK_MS 20u
#define TIMEOUT_MS 5000u
#define TRIES 2u /* cases that may fail to begin before the device is given up */
#define PATTERN_BYTES 256u

struct walk {
    struct check_run *run;
    struct ferry_check_summary *summary;
    uint32_t failed_bases;
    struct ferry_error gone;
    char ended_in[PATTERN_BYTES]; /* the last case that the device did not survive */
};

static int has_target(const struct ferry_check_target *target)
{
    return target->uri != NULL || target->endpoint != NULL;
}

/* By its address: a device that died has no backend. */
static int has_wire(const struct check_run *run)
{
    return run->device.target.uri != NULL && !check_is_kernel(run);
}

/* Return: why the check does not apply, or NULL. */
static const char *hindrance(const struct check_run *run,
                             const struct ferry_check_info *info)
{
    const struct ferry_check_options *options = run->options;
    const struct check_device *device = &run->device;
    const struct {
        uint32_t need;
        int there;
        const char *why;
    } needs[] = {
        { FERRY_CHECK_NEEDS_P2P, (device->features & FERRY_MIG_P2P) != 0,
          "the device has no P2P states" },
        { FERRY_CHECK_NEEDS_PRE_COPY, (device->features & FERRY_MIG_PRE_COPY) != 0,
          "the device has no pre-copy" },
        { FERRY_CHECK_NEEDS_LOG, device->has_log != 0, "the device does not log DMA" },
        { FERRY_CHECK_NEEDS_DRIVER, options->driver != NULL,
          "no driver that has this device work" },
        { FERRY_CHECK_NEEDS_RESET, device->can_reset != 0, "the device has no reset" },
        { FERRY_CHECK_NEEDS_WIRE, has_wire(run), "it is not reached over vfio-user" },
        { FERRY_CHECK_NEEDS_PARTNER, has_target(&options->partner),
          "no second device of the same kind was named" },
        { FERRY_CHECK_NEEDS_FOREIGN, has_target(&options->foreign),
          "no device of another kind was named" },
        { FERRY_CHECK_NEEDS_V1, device->is_v1 != 0, "the device is not one of uAPI v1" },
        { FERRY_CHECK_NEEDS_V2, device->is_v1 == 0, "the device is one of uAPI v1" },
        { FERRY_CHECK_NEEDS_IRQ, device->vectors[1] + device->vectors[2] > 0,
          "the device has no MSI or MSI-X" },
        { FERRY_CHECK_NEEDS_REOPEN, check_can_reopen(device),
          "an inherited connection cannot be opened again" },
        { FERRY_CHECK_DESTRUCTIVE, (options->allowed & FERRY_CHECK_DESTRUCTIVE) != 0,
          "destructive, and not asked for" },
        { FERRY_CHECK_MAY_HANG,
          (options->allowed & FERRY_CHECK_MAY_HANG) != 0 || !check_is_kernel(run),
          "hangs kernels that are not fixed, and not forced" },
    };

    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
        if ((info->needs & needs[i].need) && !needs[i].there) {
            return needs[i].why;
        }
    }
    return NULL;
}

static void tell(struct walk *walk, struct ferry_check_result *result)
{
    struct check_run *run = walk->run;
    struct ferry_check_summary *summary = walk->summary;

    switch (result->verdict) {
    case FERRY_CHECK_FAIL:
        summary->failed++;
        summary->failed_of[result->check->profile & 3]++;
        break;
    case FERRY_CHECK_SKIP:
        summary->skipped++;
        break;
    case FERRY_CHECK_BROKEN:
        summary->broken++;
        break;
    default:
        summary->passed++;
        break;
    }
    if (run->options->result && run->options->result(run->options->user, result) != 0) {
        run->stopped = 1;
    }
}

static void tell_at_once(struct walk *walk, const struct check *check, uint32_t verdict,
                         const char *why)
{
    struct ferry_check_result result = { .check = &check->info, .verdict = verdict };

    snprintf(result.seen, sizeof(result.seen), "%s", why);
    tell(walk, &result);
}

/*
 * A device that ends its connection has failed, whatever was asked for, and the case says
 * so by itself: the next ones find another process at its address, or none.
 */
static void look_at_end(struct walk *walk, struct ferry_check_result *result)
{
    struct check_run *run = walk->run;
    const int end = check_end_of(&run->device);
    char before[sizeof(result->seen) / 2];

    if (end == FERRY_OK) {
        return;
    }
    snprintf(walk->ended_in, sizeof(walk->ended_in), "%s%s%s%s", result->check->id,
             result->name[0] != '\0' ? "[" : "", result->name,
             result->name[0] != '\0' ? "]" : "");
    if (result->verdict == FERRY_CHECK_FAIL) {
        return;
    }
    snprintf(before, sizeof(before), "%.150s", result->seen);
    result->verdict = FERRY_CHECK_FAIL;
    snprintf(result->expected, sizeof(result->expected),
             "the device answers and keeps the connection");
    snprintf(result->seen, sizeof(result->seen), "it ended the connection (%s)%s%s",
             ferry_status_name(end), before[0] != '\0' ? ": " : "", before);
}

static void tell_gone(struct walk *walk, const struct check *check)
{
    char why[sizeof(((struct ferry_check_result *)0)->seen)];

    snprintf(why, sizeof(why), "the device cannot be brought back%s%.100s: %.150s",
             walk->ended_in[0] != '\0' ? " since " : "", walk->ended_in, walk->gone.text);
    tell_at_once(walk, check, FERRY_CHECK_BROKEN, why);
}

static void run_case(struct walk *walk, const struct check *check, uint32_t at,
                     const char *name)
{
    struct check_run *run = walk->run;
    struct ferry_check_result result = { .check = &check->info };
    const uint64_t begun = ferry_os_now_ns();
    struct ferry_error error = { .code = FERRY_OK };

    snprintf(result.name, sizeof(result.name), "%s", name);
    if (run->options->begin) {
        run->options->begin(run->options->user, &check->info, name);
    }
    run->result = &result;
    if (check_base(run, &error) == FERRY_OK) {
        const uint64_t limit_ms =
            CHECK_CASE_TIMEOUTS *
            (uint64_t)(run->options->timeout_ms ? run->options->timeout_ms : TIMEOUT_MS);

        walk->failed_bases = 0;
        run->case_is_over = 0;
        run->case_ends_ns = ferry_os_now_ns() + limit_ms * FERRY_NS_PER_MS;
        check->run(run, at);
        run->case_ends_ns = 0;
        if (run->case_is_over) {
            /* What it said was about requests that nobody made. */
            result.verdict = 0;
            check_broken(run,
                         "not over after %llu ms (so many times the limit of a "
                         "request: %u)",
                         (unsigned long long)limit_ms, CHECK_CASE_TIMEOUTS);
        }
        run->at = &run->device;
        look_at_end(walk, &result);
    } else {
        walk->failed_bases++;
        walk->gone = error;
        check_broken(run, "the device cannot be brought back: %s", error.text);
    }
    if (result.verdict == 0) {
        result.verdict = FERRY_CHECK_PASS;
    }
    result.duration_ns = ferry_os_now_ns() - begun;
    run->result = NULL;
    tell(walk, &result);
}

static void run_check(struct walk *walk, const struct check *check)
{
    const struct ferry_check_options *options = walk->run->options;
    const char *why = hindrance(walk->run, &check->info);
    uint32_t count;

    walk->run->check = check;
    count = !why && check->cases ? check->cases(walk->run) : 1;
    if (why) {
        tell_at_once(walk, check, FERRY_CHECK_SKIP, why);
        return;
    }
    for (uint32_t i = 0; i < count && !walk->run->stopped; i++) {
        char name[FERRY_CHECK_CASE_BYTES] = "";

        if (walk->failed_bases >= TRIES) {
            tell_gone(walk, check);
            return;
        }
        if (check->name) {
            check->name(walk->run, i, name);
        }
        if (!options->only || ferry_check_matches(options->only, &check->info, name)) {
            run_case(walk, check, i, name);
        }
    }
}

static int open_all(struct check_run *run, struct ferry_error *reterr)
{
    struct check_device *const all[] = { &run->device, &run->partner, &run->foreign };
    int rc = FERRY_OK;

    for (size_t i = 0; i < 3 && rc == FERRY_OK; i++) {
        if (has_target(&all[i]->target)) {
            rc = check_device_open(run, all[i], reterr);
        }
    }
    if (rc == FERRY_OK && !(run->device.features & FERRY_MIG_STOP_COPY)) {
        rc = ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "check", NULL, 0,
                             "the device does not migrate (migration flags 0x%x)",
                             run->device.features);
    }
    return rc;
}

static void end(struct check_run *run)
{
    struct check_device *const all[] = { &run->device, &run->partner, &run->foreign };

    for (size_t i = 0; i < 3; i++) {
        check_device_close(run, all[i]);
        if (all[i]->memory.address) {
            (void)munmap(all[i]->memory.address, CHECK_MEMORY_BYTES);
            ferry_os_close(&all[i]->memory.fd);
        }
    }
}

int ferry_check_run(const struct ferry_check_options *options,
                    struct ferry_check_summary *ret_summary, struct ferry_error *reterr)
{
    struct ferry_check_summary unwanted;
    struct check_run *run;
    struct walk walk = { .summary = ret_summary ? ret_summary : &unwanted };
    int rc;

    ret_summary = walk.summary;
    memset(ret_summary, 0, sizeof(*ret_summary));
    if (options->struct_size != sizeof(*options)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "check", NULL, 0,
                               "struct_size is %zu and not %zu, that of struct "
                               "ferry_check_options",
                               options->struct_size, sizeof(*options));
    }
    if (!has_target(&options->device)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "check", NULL, 0,
                               "a device must be named");
    }
    run = calloc(1, sizeof(*run));
    if (!run) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "check", NULL, 0, "no memory");
    }
    run->options = options;
    run->device.target = options->device;
    run->partner.target = options->partner;
    run->foreign.target = options->foreign;
    run->device.reports_always = run->partner.reports_always =
        run->foreign.reports_always = -1;
    run->driven.run = run;
    run->at = &run->device;
    run->look_ms = options->look_ms ? options->look_ms : LOOK_MS;
    walk.run = run;
    rc = open_all(run, reterr);
    if (rc == FERRY_OK) {
        check_driver_try(run);
    }
    ret_summary->features = run->device.features;
    ret_summary->uapi = run->device.is_v1 ? 1 : 2;
    for (const struct check_class *class = check_classes; class->check && rc == FERRY_OK;
         class ++) {
        for (const struct check *check = class->check; check->info.id; check++) {
            if (!run->stopped && ferry_check_wanted(options, &check->info)) {
                run_check(&walk, check);
            }
        }
    }
    if (run->stopped) {
        rc = ferry_error_set(reterr, FERRY_E_CANCELLED, "check", NULL, 0, "ended early");
    }
    end(run);
    free(run);
    return rc;
}
