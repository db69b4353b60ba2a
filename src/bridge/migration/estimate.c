/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "bridge/migration/inside.h"
#include "bridge/say.h"
#include "os/clock.h"

/* QEMU takes more for an overflow. */
#define SIZE_MAX_TOLD INT64_MAX
/* What a server has in hand beyond the socket at most: one frame. */
#define IN_HAND_BYTES FERRY_FRAME_DATA_MAX

void bridge_estimate_void(struct bridge_migration *migration)
{
    migration->estimate.size_ns = migration->estimate.precopy_ns = 0;
}

static int is_fresh(uint64_t asked_ns, uint64_t now_ns)
{
    return asked_ns != 0 && now_ns - asked_ns < BRIDGE_ESTIMATE_NS;
}

/* Does the server lack it, or has it failed this time? Servers have many words for the
 * first. */
static int lacks(int status)
{
    return status != FERRY_E_STATE && status != FERRY_E_BUSY && status != FERRY_E_AGAIN &&
           status != FERRY_E_MEMORY;
}

/* A device's bytes with everything that goes around them. */
static uint64_t framed(uint64_t bytes)
{
    uint64_t units = bytes / BRIDGE_AHEAD_BYTES + 1;
    uint64_t around = BRIDGE_FRAME_HEADER_MAX + BRIDGE_FRAME_END_BYTES;

    if (bytes > SIZE_MAX_TOLD - around ||
        units * BRIDGE_FRAME_HEAD_BYTES > SIZE_MAX_TOLD - around - bytes) {
        return SIZE_MAX_TOLD;
    }
    bytes += units * BRIDGE_FRAME_HEAD_BYTES + around;
    return bytes < BRIDGE_SIZE_MIN ? BRIDGE_SIZE_MIN : bytes;
}

static uint64_t guess(const struct bridge_estimate *estimate)
{
    return estimate->last_bytes > BRIDGE_SIZE_UNKNOWN ? estimate->last_bytes
                                                      : BRIDGE_SIZE_UNKNOWN;
}

/* Asks the server. Whatever it answers, QEMU is better told a figure than an error, for
 * which it takes 100 GiB and never stops the guest. */
static int ask_size(struct bridge_migration *migration)
{
    struct bridge_estimate *estimate = &migration->estimate;
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE };
    int rc = bridge_migration_call(migration, &request);

    if (rc == FERRY_OK) {
        estimate->size = request.u.data_size;
        estimate->has_size = 1;
        return 0;
    }
    if (bridge_migration_loses(migration)) {
        return -EIO;
    }
    if (lacks(rc) && !estimate->has_size) {
        estimate->no_size = 1;
        bridge_say(migration->device,
                   "the server does not tell how long the device's data is: %u bytes are "
                   "assumed, so the VMM's expected downtime may be far off",
                   BRIDGE_SIZE_UNKNOWN);
    }
    if (!estimate->has_size) {
        estimate->size = guess(estimate);
    }
    return 0;
}

int bridge_estimate_size(struct bridge_migration *migration, uint64_t *ret_bytes)
{
    struct bridge_estimate *estimate = &migration->estimate;
    uint64_t now = ferry_os_now_ns();
    int rc = 0;

    if (estimate->no_size) {
        estimate->size = guess(estimate);
    } else if (!is_fresh(estimate->size_ns, now)) {
        rc = ask_size(migration);
        estimate->size_ns = now;
    }
    if (rc == 0) {
        *ret_bytes = framed(estimate->size);
    }
    return rc;
}

/* Without the server's word: everything is initial until it has nothing for now. */
static void guess_precopy(struct bridge_migration *migration, struct bridge_save *save,
                          struct ferry_precopy_info *ret_info)
{
    uint64_t size = 0;

    ret_info->initial_bytes = ret_info->dirty_bytes = 0;
    if (save->was_dry || bridge_estimate_size(migration, &size) < 0) {
        return;
    }
    ret_info->initial_bytes =
        size > save->writer.bytes ? size - save->writer.bytes : BRIDGE_SIZE_MIN;
}

static int ask_precopy(struct bridge_migration *migration, struct bridge_save *save)
{
    struct bridge_estimate *estimate = &migration->estimate;
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };
    int rc = bridge_migration_call(migration, &request);

    if (rc == FERRY_OK) {
        estimate->precopy = request.u.precopy;
        estimate->has_precopy = 1;
        return 0;
    }
    if (bridge_migration_loses(migration)) {
        return -EIO;
    }
    if (!estimate->has_precopy) {
        estimate->no_precopy = (uint32_t)lacks(rc);
        guess_precopy(migration, save, &estimate->precopy);
    }
    return 0;
}

/*
 * Bytes that have left the device and not the bridge: the server counts them no more, the
 * VMM has not read them. What is initial among them is known by when it ran out.
 */
static uint64_t initial_under_way(struct bridge_migration *migration,
                                  struct bridge_save *save, uint64_t initial)
{
    if (migration->pipe.fd < 0) {
        return 0;
    }
    if (save->was_dry) {
        return 0;
    }
    if (initial > 0) {
        return bridge_pipe_waiting(&migration->pipe);
    }
    if (save->initial_mark == 0) {
        save->initial_mark = save->writer.bytes + bridge_pipe_waiting(&migration->pipe) +
                             (migration->pipe.wanted ? IN_HAND_BYTES : 0) + 1;
    }
    return save->initial_mark - 1 > save->writer.bytes
               ? save->initial_mark - 1 - save->writer.bytes
               : 0;
}

/* What is under way is guessed from above; yet they never rise in a session. */
static uint64_t not_risen(struct bridge_save *save, uint64_t initial)
{
    if (save->initial_told != 0 && initial >= save->initial_told) {
        initial = save->initial_told - 1;
    }
    save->initial_told = initial + 1;
    return initial;
}

static uint64_t capped(uint64_t bytes)
{
    return bytes > SIZE_MAX_TOLD / 4 ? SIZE_MAX_TOLD / 4 : bytes;
}

int bridge_estimate_precopy(struct bridge_migration *migration, struct bridge_save *save,
                            uint64_t *ret_initial, uint64_t *ret_dirty)
{
    struct bridge_estimate *estimate = &migration->estimate;
    uint64_t now = ferry_os_now_ns();
    int rc = 0;

    if (bridge_migration_loses(migration)) {
        return -EIO;
    }
    if (estimate->no_precopy) {
        guess_precopy(migration, save, &estimate->precopy);
    } else if (!is_fresh(estimate->precopy_ns, now)) {
        rc = ask_precopy(migration, save);
        estimate->precopy_ns = now;
    }
    if (rc == 0) {
        uint64_t initial = capped(estimate->precopy.initial_bytes);

        initial += initial_under_way(migration, save, initial);
        *ret_initial = not_risen(save, initial);
        *ret_dirty = capped(estimate->precopy.dirty_bytes);
    }
    return rc;
}
