/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "os/uapi/precopy.h"
#include "bridge/migration/v1/inside.h"

/*
 * QEMU 7.2 stops the guest when all pending_bytes fit into the downtime, and reads a
 * piece from a device only when they do not. In pre-copy they are what can be read now.
 * What the device gives behind its stop is not among them: of that no pass takes anything
 * away, so that a QEMU whose guest is idle, and its measured bandwidth next to nothing,
 * would never come to an end.
 */

static int is_saving(const struct bridge_v1 *v1)
{
    return (v1->state & FERRY_V1_SAVING) != 0;
}

static int has_stopped(const struct bridge_v1 *v1)
{
    return (v1->state & FERRY_V1_RUNNING) == 0;
}

/* Has everything up to the end mark been read into pieces? */
static int is_over(struct bridge_v1 *v1)
{
    struct bridge_migration *migration = v1->migration;
    int over;

    pthread_mutex_lock(&migration->lock);
    over = bridge_save_over(v1->data->save);
    pthread_mutex_unlock(&migration->lock);
    return over;
}

static int precopy_bytes(struct bridge_v1 *v1, uint64_t *ret_bytes)
{
    struct uapi_precopy_info info = { .argsz = sizeof(info) };
    int rc = (int)v1->data->object.ops->ioctl(&v1->data->object,
                                              UAPI_MIG_GET_PRECOPY_INFO, &info);

    if (rc < 0) {
        return rc;
    }
    *ret_bytes = info.initial_bytes + info.dirty_bytes;
    if (!v1->given && *ret_bytes == 0) {
        *ret_bytes = BRIDGE_FRAME_HEADER_MAX; /* the target learns early who comes */
    }
    return 0;
}

int bridge_v1_pending(struct bridge_v1 *v1, uint64_t *ret_bytes)
{
    uint64_t rest = 0;
    int rc = 0;

    *ret_bytes = 0;
    if (v1->told) {
        v1->filled = v1->told = 0;
        v1->piece_bytes = 0;
    }
    if (!is_saving(v1)) {
        /* A VMM that goes on asking believes in a save that a reset or a start of its
         * guest has ended: what it has sent of that leads nowhere. */
        v1->spoilt |= bridge_v1_is_qemu(v1) && v1->given;
        return 0;
    }
    if (v1->spoilt || (has_stopped(v1) && !v1->data)) {
        return -EIO;
    }
    if (!v1->data) {
        return 0; /* pre-copy of a device that has none */
    }
    if (!has_stopped(v1)) {
        rc = precopy_bytes(v1, &rest);
    } else if (!is_over(v1)) {
        rc = bridge_migration_data_size(v1->migration, &rest); /* never 0 */
    }
    *ret_bytes = v1->piece_bytes + rest;
    return rc;
}

int bridge_v1_fill(struct bridge_v1 *v1)
{
    ssize_t got;

    if (!is_saving(v1) || v1->filled) {
        return 0;
    }
    if (v1->spoilt || (has_stopped(v1) && !v1->data)) {
        return -EIO;
    }
    if (!v1->data) {
        return 0;
    }
    got = v1->data->object.ops->read(&v1->data->object, v1->section, FERRY_V1_PIECE_MAX);
    if (got == -ENOMSG && !has_stopped(v1)) {
        got = 0;
    } else if (got == 0 && has_stopped(v1) && !is_over(v1)) {
        got = -EIO; /* QEMU takes no bytes for the end, and says nothing */
    }
    if (got < 0) {
        return got == -ENOMSG ? -EIO : (int)got;
    }
    v1->filled = 1;
    v1->piece_bytes = (uint64_t)got;
    v1->given |= got > 0;
    v1->used_bytes = v1->piece_bytes > v1->used_bytes ? v1->piece_bytes : v1->used_bytes;
    return 0;
}

int bridge_v1_take(struct bridge_v1 *v1, uint64_t bytes)
{
    ssize_t took;

    if (v1->state != FERRY_V1_RESUMING || !v1->data) {
        return -EINVAL;
    }
    if (bytes == 0 || bytes > FERRY_V1_PIECE_MAX) {
        return -EINVAL;
    }
    v1->used_bytes = bytes > v1->used_bytes ? bytes : v1->used_bytes;
    /* The one that brings the end makes the device judge its state. */
    took = v1->data->object.ops->write(&v1->data->object, v1->section, bytes);
    return took < 0 ? (int)took : 0;
}
