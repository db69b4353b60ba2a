/* SPDX-License-Identifier: BSD-3-Clause */
#include "fake_vfio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include "os/eventfd.h"

int fake_new_fd(struct fake_vfio *fake)
{
    int fd = -1;

    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    fake->opened++;
    return fd;
}

/* Return: 0, or -errno when this call fails. */
int fake_fault(struct fake_fault *fault_of)
{
    const int err = fault_of->err;

    if (err == 0) {
        return 0;
    }
    if (fault_of->after > 0) {
        fault_of->after--;
        return 0;
    }
    if (fault_of->times > 0 && --fault_of->times == 0) {
        fault_of->err = 0; /* that was the last one */
    }
    return -err;
}

void fake_wait_stuck(struct fake_vfio *fake, uint32_t which)
{
    fake->inside += fake->stuck == which;
    pthread_cond_broadcast(&fake->changed);
    while (fake->stuck == which) {
        pthread_cond_wait(&fake->changed, &fake->lock);
    }
}

int fake_has_data(uint32_t state)
{
    return ferry_state_is_saving(state) || state == FERRY_STATE_RESUMING;
}

/* --- states --- */

/* Takes one legal path to its end. Return: 0 and the session's descriptor, or -errno. */
static int change(struct fake_vfio *fake, uint32_t wanted, int32_t *ret_fd)
{
    uint32_t path[FERRY_STATE_COUNT];
    const int session = ferry_state_data(fake->state, wanted, (uint32_t)fake->flags);
    int rc;

    *ret_fd = -1;
    if (ferry_state_path(fake->state, wanted, (uint32_t)fake->flags, path) < 0) {
        return -EINVAL;
    }
    rc = fake_fault(&fake->set);
    if (rc < 0) {
        fake->state = fake->set.state != 0 ? fake->set.state : fake->state;
        return rc;
    }
    fake->state = wanted;
    if (session == FERRY_DATA_BEGINS || session == FERRY_DATA_ENDS_BEGINS) {
        fake->stream_pos = fake->loaded_bytes = 0;
        rc = fake_fault(&fake->emfile);
        if (rc == 0 && !fake->no_data_fd) {
            *ret_fd = fake_new_fd(fake);
        }
        fake->data_fd = *ret_fd;
    }
    if (fake->needless_fd && wanted == FERRY_STATE_RUNNING) {
        *ret_fd = fake_new_fd(fake);
    }
    return rc;
}

static int feature_state(struct fake_vfio *fake, uint32_t flags,
                         struct uapi_mig_state *state)
{
    int32_t fd = -1;
    int rc;

    if ((flags & UAPI_FEATURE_GET) != 0) {
        fake->gets++;
        *state = (struct uapi_mig_state){ .state = fake->state, .data_fd = -1 };
        return fake_fault(&fake->get);
    }
    fake->sets++;
    fake_wait_stuck(fake, 1);
    rc = change(fake, state->state, &fd);
    state->data_fd = fd;
    return rc;
}

/* --- features --- */

static int feature_log(struct fake_vfio *fake, uint32_t number, void *payload)
{
    struct uapi_log_report *report = payload;
    const struct uapi_log_start *start = payload;
    int rc = 0;

    if (number == UAPI_LOG_START) {
        rc = fake_fault(&fake->start_log);
        fake->log_starts++;
        fake->log_ranges = start->ranges;
        fake->logs = rc == 0;
    } else if (number == UAPI_LOG_STOP) {
        fake->log_stops++;
        fake->logs = 0;
    } else {
        rc = fake_fault(&fake->report_log);
        fake->log_reports++;
        if (rc == 0) {
            /* By value: the number is an address of this process. */
            uint64_t *bitmap = (uint64_t *)(uintptr_t)report->bitmap;

            *bitmap |= fake->dirty;
            fake->dirty = 0;
        }
    }
    return rc;
}

static int has_feature(const struct fake_vfio *fake, uint32_t number)
{
    switch (number) {
    case UAPI_MIGRATION:
    case UAPI_MIG_STATE:
    case UAPI_MIG_SIZE:
        return fake->flags != 0;
    case UAPI_LOG_START:
    case UAPI_LOG_STOP:
    case UAPI_LOG_REPORT:
        return fake->start_log.err != ENOTTY;
    case UAPI_PRECOPY_V2:
        return (int)fake->knows_reinit;
    default:
        return 0;
    }
}

static int feature(struct fake_vfio *fake, struct uapi_feature *feature_of)
{
    const uint32_t number = feature_of->flags & UAPI_FEATURE_NUMBER;
    void *payload = feature_of + 1;

    if (!has_feature(fake, number)) {
        return -ENOTTY;
    }
    if ((feature_of->flags & UAPI_FEATURE_PROBE) != 0) {
        return 0;
    }
    switch (number) {
    case UAPI_MIGRATION:
        *(uint64_t *)payload = fake->flags;
        return fake_fault(&fake->mig);
    case UAPI_MIG_STATE:
        return feature_state(fake, feature_of->flags, payload);
    case UAPI_MIG_SIZE:
        *(uint64_t *)payload = fake->stop_copy_bytes;
        return 0;
    case UAPI_PRECOPY_V2:
        fake->reinit_set = 1;
        return 0;
    default:
        return feature_log(fake, number, payload);
    }
}

/* --- what it is made of --- */

static int region_info(struct fake_vfio *fake, struct uapi_region *asked)
{
    const struct fake_region *region;
    const uint32_t given = asked->argsz;
    uint32_t needed;

    if (asked->index >= FAKE_REGIONS) {
        return -EINVAL;
    }
    region = &fake->region[asked->index];
    if (region->fails != 0) {
        return -region->fails;
    }
    needed = (uint32_t)sizeof(*asked) + region->caps_bytes;
    *asked = region->head;
    asked->argsz = region->grows ? given + 8u : needed;
    if (region->head.argsz != 0) {
        asked->argsz = region->head.argsz; /* it lies */
    }
    if (given < needed) {
        asked->cap_offset = 0;
    } else {
        memcpy(asked + 1, region->caps, region->caps_bytes);
    }
    return 0;
}

static int irq_info(struct fake_vfio *fake, struct uapi_irq *asked)
{
    const uint32_t index = asked->index;

    if (index >= FAKE_IRQS || fake->irq[index].count == 0) {
        return -EINVAL;
    }
    asked->flags = fake->irq[index].flags;
    asked->count = fake->irq[index].count;
    return 0;
}

static int set_irqs(struct fake_vfio *fake, const struct uapi_irq_set *set)
{
    fake->irq_sets++;
    fake->last_irq = *set;
    if ((set->flags & FERRY_IRQ_SET_DATA_EVENTFD) != 0) {
        const uint32_t most = sizeof(fake->last_irq_fd) / sizeof(fake->last_irq_fd[0]);

        memcpy(fake->last_irq_fd, set + 1,
               (set->count < most ? set->count : most) * sizeof(int32_t));
    }
    return fake_fault(&fake->set_irqs);
}

static int reset(struct fake_vfio *fake)
{
    const int rc = fake->no_reset ? -EINVAL : fake_fault(&fake->reset);

    if (rc == 0) {
        fake->resets++;
        fake->state = fake->reset_state != 0 ? fake->reset_state : FERRY_STATE_RUNNING;
        fake->data_fd = -1;
    }
    return rc;
}

int fake_precopy_info(struct fake_vfio *fake, struct uapi_precopy_info *info)
{
    if (fake->state != FERRY_STATE_PRE_COPY && fake->state != FERRY_STATE_PRE_COPY_P2P) {
        return -EINVAL;
    }
    /* As drivers do: dirty_bytes is what the caller had there. */
    info->initial_bytes = fake->initial_bytes;
    return 0;
}

int fake_device_call(struct fake_vfio *fake, unsigned long request, void *arg)
{
    struct uapi_info *info = arg;
    int rc;

    switch (request) {
    case UAPI_GET_INFO:
        fake_wait_stuck(fake, 3);
        rc = fake_fault(&fake->info_of);
        *info = fake->info;
        return rc;
    case UAPI_GET_REGION_INFO:
        return region_info(fake, arg);
    case UAPI_GET_IRQ_INFO:
        return irq_info(fake, arg);
    case UAPI_SET_IRQS:
        return set_irqs(fake, arg);
    case UAPI_RESET:
        return reset(fake);
    case UAPI_FEATURE:
        return feature(fake, arg);
    default:
        return -ENOTTY;
    }
}
