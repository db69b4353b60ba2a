/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/reader.h"
#include "bridge/migration/inside.h"
#include "bridge/say.h"

/*
 * Writes of the VMM. The one that completes END takes the device out of RESUMING: QEMU
 * does so itself much later, when the source's guest is given up already and a failure is
 * no longer heard.
 */

struct bridge_load *bridge_load_new(size_t join_bytes)
{
    struct bridge_load *load = calloc(1, sizeof(*load));

    if (!load) {
        return NULL;
    }
    load->join = bridge_async_new(join_bytes);
    load->out = bridge_async_new(join_bytes);
    if (!load->join || !load->out) {
        bridge_load_free(load);
        return NULL;
    }
    bridge_frame_reader_init(&load->reader);
    return load;
}

void bridge_load_free(struct bridge_load *load)
{
    if (!load) {
        return;
    }
    bridge_async_free(load->join);
    bridge_async_free(load->out);
    explicit_bzero(load, sizeof(*load));
    free(load);
}

/* What was sent before has been taken. */
static int settle(struct bridge_migration *migration, struct bridge_load *load)
{
    size_t got;
    int rc =
        bridge_async_wait(load->out, migration->timeout_ms + BRIDGE_ASYNC_GRACE_MS, &got);

    if (rc < 0) {
        bridge_link_check(migration->device->link);
    }
    return rc;
}

static size_t join_cap(const struct bridge_migration *migration)
{
    return migration->pipe.fd >= 0 || migration->max_data > BRIDGE_JOIN_BYTES
               ? BRIDGE_JOIN_BYTES
               : migration->max_data;
}

/* The joined bytes set out. */
static int flush(struct bridge_migration *migration, struct bridge_load *load,
                 struct ferry_error *reterr)
{
    struct bridge_async *full = load->join;
    size_t bytes = load->joined;
    int rc;

    if (bytes == 0) {
        return FERRY_OK;
    }
    load->joined = 0;
    if (migration->pipe.fd >= 0) {
        return bridge_pipe_write(&migration->pipe, bridge_async_data(full), bytes,
                                 reterr);
    }
    rc = settle(migration, load);
    if (rc == FERRY_OK) {
        load->join = load->out;
        load->out = full;
        bridge_async_start(full, migration->device->link, FERRY_RQ_DATA_WRITE, bytes);
    }
    return rc;
}

/* A large piece as it lies. */
static int put_straight(struct bridge_migration *migration, struct bridge_load *load,
                        const uint8_t *data, size_t bytes, struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };
    int rc;

    if (migration->pipe.fd >= 0) {
        return bridge_pipe_write(&migration->pipe, data, bytes, reterr);
    }
    rc = settle(migration, load);
    if (rc == FERRY_OK) {
        /* The pointer is not const, but a write does not change what it points to. */
        memcpy(&request.u.data.data, &data, sizeof(data));
        request.u.data.size = bytes;
        request.reterr = reterr;
        rc = bridge_migration_call(migration, &request);
    }
    return rc;
}

static int put(struct bridge_migration *migration, struct bridge_load *load,
               const uint8_t *data, size_t bytes, struct ferry_error *reterr)
{
    size_t cap = join_cap(migration);
    int rc = FERRY_OK;

    if (migration->pipe.fd >= 0 && bytes >= BRIDGE_STRAIGHT_MIN) {
        rc = flush(migration, load, reterr);
        return rc == FERRY_OK ? put_straight(migration, load, data, bytes, reterr) : rc;
    }
    while (rc == FERRY_OK && bytes > 0) {
        size_t count = bytes < cap - load->joined ? bytes : cap - load->joined;

        if (load->joined == 0 && count >= cap / 2) {
            rc = put_straight(migration, load, data, count, reterr);
        } else {
            memcpy(bridge_async_data(load->join) + load->joined, data, count);
            load->joined += count;
            if (load->joined == cap) {
                rc = flush(migration, load, reterr);
            }
        }
        data += count;
        bytes -= count;
    }
    return rc;
}

/* Does this device take the state of that one? */
static int check(struct bridge_migration *migration, struct bridge_load *load,
                 struct ferry_error *reterr)
{
    const struct ferry_stream_hello_device *source = &load->reader.source;
    struct ferry_error why = { .code = FERRY_OK };
    int rc = ferry_compat_check(&source->identity, &migration->device->identity, &why);

    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, "bridge", why.rule, 0,
                               "the source's device \"%s\" does not fit this one: %.200s",
                               source->name, why.text);
    }
    load->checked = 1;
    return FERRY_OK;
}

/* Everything has come: the device says whether it is sound. */
static int complete(struct bridge_migration *migration, struct bridge_load *load,
                    struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .reterr = reterr };
    int rc = flush(migration, load, reterr);

    if (rc == FERRY_OK) {
        rc = settle(migration, load);
    }
    if (rc != FERRY_OK) {
        return rc;
    }
    request.u.state = FERRY_STATE_STOP;
    if (migration->pipe.fd >= 0) {
        request.kind = FERRY_RQ_LEAVE_STATE;
        request.u.leave = (struct ferry_leave_state){
            .state = FERRY_STATE_STOP,
            .session = migration->pipe.session,
            .data_bytes = load->reader.bytes,
        };
    }
    rc = bridge_migration_call(migration, &request);
    if (rc != FERRY_OK) {
        bridge_state_find(migration);
        return rc;
    }
    bridge_pipe_close(&migration->pipe);
    migration->server = FERRY_STATE_STOP;
    migration->loaded = 1;
    bridge_trace(migration->device, "loaded %llu bytes, state STOP",
                 (unsigned long long)load->reader.bytes);
    return FERRY_OK;
}

static void keep_irqs(struct bridge_migration *migration,
                      const struct bridge_frame_part *part)
{
    struct bridge_carried *carried = &migration->carried[part->index - 1];

    carried->count = 0;
    while (carried->count < part->bytes / 2) {
        carried->vector[carried->count] =
            ferry_load_le16(part->data + 2 * carried->count);
        carried->count++;
    }
}

static int take(struct bridge_migration *migration, struct bridge_load *load,
                const uint8_t *at, size_t bytes, struct ferry_error *reterr)
{
    struct bridge_frame_part part = { .kind = BRIDGE_FRAME_DATA };
    size_t used;
    int rc = FERRY_OK;

    while (rc == FERRY_OK && part.kind != BRIDGE_FRAME_NONE) {
        rc = bridge_frame_feed(&load->reader, at, bytes, &used, &part, reterr);
        at += used;
        bytes -= used;
        if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_HEADER) {
            rc = check(migration, load, reterr);
        } else if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_DATA) {
            rc = put(migration, load, part.data, part.bytes, reterr);
        } else if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_IRQS) {
            keep_irqs(migration, &part);
        } else if (rc == FERRY_OK && part.kind == BRIDGE_FRAME_END) {
            /* Bytes behind END are refused before the device leaves RESUMING. */
            if (bytes > 0) {
                rc = bridge_frame_feed(&load->reader, at, bytes, &used, &part, reterr);
            } else {
                rc = complete(migration, load, reterr);
            }
        }
    }
    return rc;
}

static int errno_of(struct bridge_migration *migration, int status)
{
    /* Whatever is wrong with the data is the same to the VMM. */
    return bridge_migration_loses(migration) || status == FERRY_E_CLOSED ||
                   status == FERRY_E_TIMEOUT || status == FERRY_E_IO
               ? -EIO
               : -EINVAL;
}

ssize_t bridge_load_write(struct bridge_migration *migration, struct bridge_load *load,
                          const void *data, size_t bytes)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (bytes == 0 || load->failed) {
        return load->failed;
    }
    rc = take(migration, load, data, bytes, &error);
    if (rc != FERRY_OK) {
        bridge_migration_ask(migration, rc);
        load->failed = errno_of(migration, rc);
        migration->loaded = 0; /* something came behind the END: nothing is sure */
        bridge_say(migration->device, "the device's data is refused: %s",
                   error.text[0] != '\0' ? error.text : ferry_status_text(rc));
        return load->failed;
    }
    return (ssize_t)bytes;
}
