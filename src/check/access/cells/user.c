/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "check/access/access.h"
#include "os/memory.h"

/* What belongs to the user and works whatever the device does: information, DMA maps, the
 * dirty log. */

#define OTHER_IOVA 0x40000000u /* far from the memory */
#define OTHER_BYTES 0x200000u
#define PAGE_BYTES 4096u
#define IRQ_INDEXES 5u

/* Everything that does not depend on the state. */
struct facts {
    struct ferry_device_info info;
    struct ferry_region_info region[CHECK_REGIONS_MAX];
    struct ferry_irq_info irq[IRQ_INDEXES];
    struct ferry_identity identity;
    uint64_t flags;
    int32_t status[4 + CHECK_REGIONS_MAX + IRQ_INDEXES];
};

static void ask_region(struct check_run *run, uint32_t index, struct facts *facts,
                       int32_t *ret_status)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO };
    int fd;

    request.u.region.index = index;
    request.u.region.fd = -1;
    *ret_status = check_call(run, &request);
    if (*ret_status != FERRY_OK) {
        return;
    }
    fd = request.u.region.fd;
    facts->region[index] = request.u.region;
    facts->region[index].fd = fd >= 0; /* the number is another each time */
    ferry_os_close(&fd);
}

static void ask(struct check_run *run, struct facts *ret_facts)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO };
    int32_t *status = ret_facts->status;

    memset(ret_facts, 0, sizeof(*ret_facts));
    *status++ = check_call(run, &request);
    ret_facts->info = request.u.info;
    request = (struct ferry_request){ .kind = FERRY_RQ_MIG_FLAGS };
    *status++ = check_call(run, &request);
    ret_facts->flags = request.u.mig_flags;
    request = (struct ferry_request){ .kind = FERRY_RQ_IDENTITY };
    request.u.identity = &ret_facts->identity;
    *status++ = check_call(run, &request);
    request = (struct ferry_request){ .kind = FERRY_RQ_PROBE };
    request.u.probe.index = 2;
    request.u.probe.operation = FERRY_FEATURE_SET;
    *status++ = check_call(run, &request);
    for (uint32_t i = 0; i < run->at->region_count; i++) {
        ask_region(run, i, ret_facts, status++);
    }
    for (uint32_t i = 0; i < run->at->irq_count; i++) {
        request = (struct ferry_request){ .kind = FERRY_RQ_GET_IRQ_INFO };
        request.u.irq.index = i;
        *status++ = check_call(run, &request);
        ret_facts->irq[i] = request.u.irq;
    }
}

/* The first request that is answered otherwise: "GET_REGION_INFO 3". Return: 0 if none.
 */
static int other_answer(const struct check_run *run, const struct facts *before,
                        const struct facts *now, char ret_name[64])
{
    static const char *const names[] = { "GET_INFO", "GET of the migration flags",
                                         "IDENTITY", "PROBE of MIG_DEVICE_STATE" };
    const uint32_t first = sizeof(names) / sizeof(names[0]);
    const uint32_t regions = run->at->region_count;

    for (uint32_t i = 0; i < first + regions + run->at->irq_count; i++) {
        if (before->status[i] == now->status[i]) {
            continue;
        }
        if (i < first) {
            snprintf(ret_name, 64, "%s", names[i]);
        } else {
            snprintf(ret_name, 64, "%s %u",
                     i < first + regions ? "GET_REGION_INFO" : "GET_IRQ_INFO",
                     i < first + regions ? i - first : i - first - regions);
        }
        snprintf(ret_name + strlen(ret_name), 64 - strlen(ret_name), " %s",
                 now->status[i] < 0 ? "fails" : "works");
        return 1;
    }
    return 0;
}

void access_info(struct check_run *run, const struct access_case *at)
{
    char name[64] = "";
    const char *state = ferry_state_name(at->state);
    static const char same[] = "the same information is given in every state";
    struct facts before, now;

    ask(run, &before);
    if (!access_enter(run, at->state)) {
        return;
    }
    ask(run, &now);
    check_that(run, !other_answer(run, &before, &now, name), same,
               "%s in %s, and not so in RUNNING", name, state);
    check_that(run, memcmp(&before.info, &now.info, sizeof(now.info)) == 0, same,
               "in %s the device counts %u regions and %u interrupt indexes", state,
               now.info.region_count, now.info.irq_count);
    check_that(run, memcmp(before.region, now.region, sizeof(now.region)) == 0, same,
               "a region is described in another way in %s", state);
    check_that(run, memcmp(before.irq, now.irq, sizeof(now.irq)) == 0, same,
               "interrupts are described in another way in %s", state);
    check_that(run,
               before.flags == now.flags &&
                   memcmp(&before.identity, &now.identity, sizeof(now.identity)) == 0,
               same, "migration flags or identity are others in %s", state);
}

/* Goes on with memory that was taken away and given back. */
static void works_after(struct check_run *run, const struct access_case *at)
{
    char when[64];

    if (!run->at->can_reset &&
        (at->state == FERRY_STATE_ERROR || at->state == FERRY_STATE_RESUMING)) {
        return;
    }
    snprintf(when, sizeof(when), "after maps that changed in %s",
             ferry_state_name(at->state));
    if (check_go(run, FERRY_STATE_RUNNING)) {
        check_works(run, when);
    }
}

void access_dma_map(struct check_run *run, const struct access_case *at)
{
    const int fd = run->at->memory.fd;

    if (!access_enter(run, at->state)) {
        return;
    }
    if (access_judge(run, at, check_map(run, OTHER_IOVA, OTHER_BYTES, fd, 0),
                     "a DMA map") &&
        check_ok(run, check_unmap(run, OTHER_IOVA, OTHER_BYTES),
                 "the unmap of what was mapped") &&
        check_ok(run, check_map(run, OTHER_IOVA, OTHER_BYTES, fd, 0),
                 "a map of what was unmapped")) {
        check_ok(run, check_unmap(run, OTHER_IOVA, OTHER_BYTES),
                 "the unmap of what was mapped");
    }
}

/* All of the device's memory goes and comes again; the driver has work behind it, none
 * under way. */
void access_dma_unmap(struct check_run *run, const struct access_case *at)
{
    const struct ferry_check_driver *driver = run->options->driver;
    int rc;

    if ((driver && driver->works && !check_works(run, "at first")) ||
        !access_enter(run, at->state)) {
        return;
    }
    if (access_judge(run, at, check_unmap(run, CHECK_IOVA, CHECK_MEMORY_BYTES),
                     "a DMA unmap")) {
        rc = check_map(run, CHECK_IOVA, CHECK_MEMORY_BYTES, run->at->memory.fd, 0);
        if (check_ok(run, rc, "a DMA map of what was unmapped")) {
            works_after(run, at);
            return;
        }
    }
    /* Its memory may be gone: the next case needs it. */
    (void)check_reopen(run);
}

/* -- The dirty log -- */

static const struct ferry_range all_of_it = { CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES };

static int need_log(struct check_run *run)
{
    if (!run->at->has_log) {
        check_skip(run, "the device does not log DMA");
    }
    return run->at->has_log != 0;
}

void access_log_control(struct check_run *run, const struct access_case *at)
{
    int rc;

    if (!need_log(run) || !access_enter(run, at->state)) {
        return;
    }
    rc = check_log_start(run, PAGE_BYTES, &all_of_it, 1, NULL);
    if (access_judge(run, at, rc, "a start of the log")) {
        access_judge(run, at, check_log_stop(run), "a stop of the log");
    }
}

void access_log_report(struct check_run *run, const struct access_case *at)
{
    uint64_t bitmap[CHECK_SCRATCH_BYTES / PAGE_BYTES / 64] = { 0 };
    uint64_t page = 0;
    int rc;

    if (!need_log(run)) {
        return;
    }
    rc = check_log_start(run, PAGE_BYTES, &all_of_it, 1, &page);
    if (!check_ok(run, rc, "a start of the log in RUNNING") ||
        !access_enter(run, at->state)) {
        return;
    }
    rc = check_log_report(run, CHECK_SCRATCH_IOVA, CHECK_SCRATCH_BYTES, page, bitmap);
    access_judge(run, at, rc, "a report of the log");
}
