/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/migration/inside.h"
#include "bridge/say.h"
#include "os/clock.h"

/*
 * Reads of the VMM. Each becomes one DATA: its bytes are received behind the place of its
 * head, in the VMM's own buffer. What goes by messages is read ahead once the device has
 * stopped: then the time counts, and no more state can come between.
 */

struct bridge_save *bridge_save_new(void)
{
    struct bridge_save *save = calloc(1, sizeof(*save));

    if (!save) {
        return NULL;
    }
    save->stage = malloc(BRIDGE_STAGE_BYTES);
    if (!save->stage) {
        free(save);
        return NULL;
    }
    return save;
}

void bridge_save_free(struct bridge_save *save)
{
    if (!save) {
        return;
    }
    bridge_async_free(save->now);
    bridge_async_free(save->next);
    explicit_bzero(save->stage, BRIDGE_STAGE_BYTES);
    free(save->stage);
    explicit_bzero(save, sizeof(*save));
    free(save);
}

static size_t ahead_bytes(const struct bridge_migration *migration)
{
    return migration->max_data < BRIDGE_AHEAD_BYTES ? migration->max_data
                                                    : BRIDGE_AHEAD_BYTES;
}

static void read_ahead(struct bridge_migration *migration, struct bridge_async *async)
{
    bridge_async_start(async, migration->device->link, FERRY_RQ_DATA_READ,
                       ahead_bytes(migration));
}

/* How much more a device that has been stopped may give. */
static uint64_t most_stopped(const struct bridge_estimate *estimate)
{
    uint64_t told = estimate->size < UINT64_MAX / 8 ? estimate->size : UINT64_MAX / 8;

    return estimate->has_size ? 4 * told + BRIDGE_STOPPED_MORE_BYTES
                              : BRIDGE_STOPPED_UNKNOWN_BYTES;
}

void bridge_save_stopped(struct bridge_migration *migration, struct bridge_save *save)
{
    save->dry_ns = 0;
    if (save->failed || save->ended) {
        return;
    }
    if (save->limit == 0) {
        save->limit = save->writer.bytes + most_stopped(&migration->estimate);
    }
    if (migration->pipe.fd >= 0) {
        (void)bridge_pipe_want(&migration->pipe,
                               NULL); /* the read finds a failure again */
        return;
    }
    if (!save->next) {
        save->now = bridge_async_new(ahead_bytes(migration));
        save->next = bridge_async_new(ahead_bytes(migration));
    }
    if (save->now && save->next && !bridge_async_started(save->next)) {
        read_ahead(migration, save->next);
    }
}

void bridge_save_settle(struct bridge_migration *migration, struct bridge_save *save)
{
    if (save->next) {
        bridge_async_settle(save->next, migration->timeout_ms + BRIDGE_ASYNC_GRACE_MS);
    }
}

/* By messages, stopped: what was read ahead. */
static int read_stopped(struct bridge_migration *migration, struct bridge_save *save,
                        uint8_t *ret_data, size_t bytes, size_t *ret_got,
                        enum bridge_mark *ret_mark)
{
    struct bridge_async *read = save->next;
    int rc = FERRY_OK;

    if (save->now_at == save->now_bytes) {
        if (!bridge_async_started(read)) {
            read_ahead(migration, read);
        }
        save->now_at = save->now_bytes = 0;
        rc = bridge_async_wait(read, migration->timeout_ms + BRIDGE_ASYNC_GRACE_MS,
                               &save->now_bytes);
        if (rc < 0) {
            bridge_link_check(migration->device->link);
        }
        save->next = save->now;
        save->now = read;
        if (rc == FERRY_OK && save->now_bytes == 0) {
            *ret_mark = BRIDGE_MARK_END;
        } else if (rc == FERRY_OK) {
            read_ahead(migration, save->next);
        }
    }
    *ret_got =
        bytes < save->now_bytes - save->now_at ? bytes : save->now_bytes - save->now_at;
    memcpy(ret_data, bridge_async_data(save->now) + save->now_at, *ret_got);
    save->now_at += *ret_got;
    return rc;
}

/* By messages, one at a time, straight into the buffer. */
static int read_message(struct bridge_migration *migration, uint8_t *ret_data,
                        size_t bytes, size_t *ret_got, enum bridge_mark *ret_mark)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };
    int stopped = migration->server == FERRY_STATE_STOP_COPY;
    int rc;

    request.u.data.data = ret_data;
    request.u.data.size = bytes < migration->max_data ? bytes : migration->max_data;
    rc = bridge_migration_call(migration, &request);
    if (rc == FERRY_E_DRY || (rc == FERRY_OK && request.u.data.got == 0)) {
        *ret_mark = stopped ? BRIDGE_MARK_END : BRIDGE_MARK_DRY;
        return rc == FERRY_E_DRY && stopped ? FERRY_E_PROTOCOL : FERRY_OK;
    }
    if (rc == FERRY_OK && request.u.data.got > request.u.data.size) {
        rc = FERRY_E_PROTOCOL;
    }
    *ret_got = rc == FERRY_OK ? (size_t)request.u.data.got : 0;
    return rc;
}

/* The server's next bytes, up to a mark. */
static int read_server(struct bridge_migration *migration, struct bridge_save *save,
                       uint8_t *ret_data, size_t bytes, size_t *ret_got,
                       enum bridge_mark *ret_mark, struct ferry_error *reterr)
{
    struct bridge_pipe *pipe = &migration->pipe;
    int stopped = migration->server == FERRY_STATE_STOP_COPY;
    int rc;

    *ret_got = 0;
    *ret_mark = BRIDGE_MARK_NONE;
    if (pipe->fd < 0) {
        return stopped && save->now && save->next
                   ? read_stopped(migration, save, ret_data, bytes, ret_got, ret_mark)
                   : read_message(migration, ret_data, bytes, ret_got, ret_mark);
    }
    rc = bridge_pipe_read(pipe, ret_data, bytes, ret_got, ret_mark, reterr);
    if (rc == FERRY_OK && *ret_mark == BRIDGE_MARK_DRY && stopped && *ret_got == 0) {
        /* It was said before the stop, and there is more: once. */
        rc = bridge_pipe_read(pipe, ret_data, bytes, ret_got, ret_mark, reterr);
        if (rc == FERRY_OK && *ret_mark == BRIDGE_MARK_DRY && *ret_got == 0) {
            rc = ferry_error_set(reterr, FERRY_E_PROTOCOL, "bridge", NULL, 0,
                                 "nothing for now of a device that is stopped");
        }
    }
    if (rc == FERRY_OK && *ret_mark == BRIDGE_MARK_DRY && stopped) {
        *ret_mark = BRIDGE_MARK_NONE;
    }
    if (rc == FERRY_OK && *ret_mark == BRIDGE_MARK_END && !stopped) {
        rc = ferry_error_set(reterr, FERRY_E_PROTOCOL, "bridge", NULL, 0,
                             "END before the device was stopped");
    }
    return rc;
}

static void note(struct bridge_migration *migration, struct bridge_data *data, size_t got,
                 enum bridge_mark mark)
{
    struct bridge_save *save = data->save;

    if (got > 0) {
        bridge_estimate_void(migration);
    }
    if (mark == BRIDGE_MARK_DRY) {
        save->dry_ns = ferry_os_now_ns();
        save->was_dry = 1;
    }
}

/* Everything behind the last DATA. */
static size_t put_tail(struct bridge_migration *migration, struct bridge_save *save,
                       uint8_t ret_bytes[BRIDGE_TAIL_MAX])
{
    uint16_t vector[BRIDGE_FRAME_VECTORS_MAX];
    size_t bytes = 0;
    uint32_t index, count;

    for (index = 1; index <= 2; index++) {
        count = bridge_device_waiting_irqs(migration->device, index, vector,
                                           BRIDGE_FRAME_VECTORS_MAX);
        if (count > 0) {
            bridge_trace(migration->device, "%u interrupts of index %u wait", count,
                         index);
            bytes +=
                bridge_frame_irqs(&save->writer, index, vector, count, ret_bytes + bytes);
        }
    }
    bridge_frame_end(&save->writer, ret_bytes + bytes);
    save->ended = 1;
    migration->estimate.last_bytes = save->writer.bytes;
    return bytes + BRIDGE_FRAME_END_BYTES;
}

/* Return: how much of it has gone to ret_data; the rest is staged. */
static size_t end(struct bridge_migration *migration, struct bridge_save *save,
                  uint8_t *ret_data, size_t room)
{
    uint8_t tail[BRIDGE_TAIL_MAX];
    size_t bytes = put_tail(migration, save, tail);

    if (bytes <= room) {
        memcpy(ret_data, tail, bytes);
        return bytes;
    }
    assert(ret_data < save->stage || ret_data >= save->stage + BRIDGE_STAGE_BYTES);
    memcpy(save->stage, tail, bytes);
    save->stage_at = 0;
    save->stage_bytes = bytes;
    return 0;
}

/* Units into ret_data, which has room for a head and more. Return: bytes, or a status. */
static ssize_t fill(struct bridge_migration *migration, struct bridge_data *data,
                    uint8_t *ret_data, size_t bytes, struct ferry_error *reterr)
{
    struct bridge_save *save = data->save;
    size_t room = bytes - BRIDGE_FRAME_HEAD_BYTES, got, used = 0;
    enum bridge_mark mark;
    int rc;

    if (ret_data == save->stage) {
        room -= BRIDGE_TAIL_MAX; /* there is no other place for what comes last */
    }
    if (room > BRIDGE_FRAME_DATA_MAX) {
        room = BRIDGE_FRAME_DATA_MAX;
    }
    rc = read_server(migration, save, ret_data + BRIDGE_FRAME_HEAD_BYTES, room, &got,
                     &mark, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    note(migration, data, got, mark);
    if (save->limit != 0 && save->writer.bytes + got > save->limit) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "bridge", NULL, save->writer.bytes,
                               "it does not end: more than %llu bytes",
                               (unsigned long long)save->limit);
    }
    if (got > 0) {
        bridge_frame_data(&save->writer, ret_data + BRIDGE_FRAME_HEAD_BYTES, got,
                          ret_data);
        used = BRIDGE_FRAME_HEAD_BYTES + got;
    }
    if (mark == BRIDGE_MARK_END) {
        used += end(migration, save, ret_data + used, bytes - used);
    }
    return (ssize_t)used;
}

/* What did not fit into an earlier read. */
static ssize_t take_staged(struct bridge_save *save, void *ret_data, size_t bytes)
{
    size_t count = save->stage_bytes - save->stage_at;

    count = count < bytes ? count : bytes;
    memcpy(ret_data, save->stage + save->stage_at, count);
    save->stage_at += count;
    return (ssize_t)count;
}

static void begin(struct bridge_migration *migration, struct bridge_save *save)
{
    const struct bridge_device *device = migration->device;
    struct ferry_stream_hello_device hello = { .features = migration->features };
    struct ferry_identity *identity = &hello.identity;
    size_t i;

    memcpy(hello.name, device->token.name, sizeof(hello.name) - 1);
    for (i = 0; hello.name[i] != '\0'; i++) {
        if (hello.name[i] < ' ' || hello.name[i] > '~') {
            hello.name[i] = '?';
        }
    }
    if (hello.name[0] == '\0') {
        memcpy(hello.name, "device", sizeof("device"));
    }
    *identity = device->identity;
    identity->migration_flags = migration->features;
    /* How long it takes is nothing that the target compares. */
    identity->quiet_ns = identity->stop_ns = identity->load_ns = identity->run_ns = 0;
    save->stage_bytes = bridge_frame_begin(&save->writer, &hello, save->stage);
    save->stage_at = 0;
    save->begun = 1;
}

static int is_dry(const struct bridge_migration *migration,
                  const struct bridge_save *save)
{
    return migration->server != FERRY_STATE_STOP_COPY && save->dry_ns != 0 &&
           ferry_os_now_ns() - save->dry_ns < BRIDGE_ESTIMATE_NS;
}

static ssize_t fail(struct bridge_migration *migration, struct bridge_save *save,
                    int status, const struct ferry_error *error)
{
    bridge_migration_ask(migration, status);
    save->failed = bridge_errno(status);
    bridge_say(migration->device, "the device's data cannot be read: %s",
               error->text[0] != '\0' ? error->text : ferry_status_text(status));
    return save->failed;
}

int bridge_save_over(const struct bridge_save *save)
{
    return save->ended && save->stage_at == save->stage_bytes;
}

ssize_t bridge_save_read(struct bridge_migration *migration, struct bridge_data *data,
                         void *ret_data, size_t bytes)
{
    struct bridge_save *save = data->save;
    struct ferry_error error = { .code = FERRY_OK };
    ssize_t rc;

    if (bytes == 0 || save->failed) {
        return save->failed;
    }
    if (!save->begun) {
        begin(migration, save);
    }
    if (save->stage_at < save->stage_bytes) {
        return take_staged(save, ret_data, bytes);
    }
    if (save->ended) {
        return 0;
    }
    if (is_dry(migration, save)) {
        bridge_data_ready(data, 0);
        return -ENOMSG;
    }
    if (bytes >= BRIDGE_STRAIGHT_MIN) {
        rc = fill(migration, data, ret_data, bytes, &error);
    } else {
        save->stage_at = save->stage_bytes = 0;
        rc = fill(migration, data, save->stage, BRIDGE_STAGE_BYTES, &error);
        if (rc > 0) {
            save->stage_bytes = (size_t)rc;
            return take_staged(save, ret_data, bytes);
        }
    }
    if (rc < 0) {
        return fail(migration, save, (int)rc, &error);
    }
    if (rc == 0 && save->stage_at < save->stage_bytes) {
        return take_staged(save, ret_data, bytes); /* the end, and it is long */
    }
    bridge_data_ready(data, rc > 0);
    return rc > 0 ? rc : -ENOMSG;
}
