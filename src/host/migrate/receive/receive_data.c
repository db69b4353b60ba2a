/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "host/migrate/timeline.h"
#include "os/clock.h"

/*
 * Device data at the target: each record is received into memory of its own and handed to
 * the device from there, in the order of arrival, several at a time. When a device has
 * enough to do, the channel rests.
 */

static uint32_t most_bytes(const struct ferry_run *run, uint32_t device)
{
    uint32_t most = run->context->device[device]->max_data;

    /* A record is one transaction for a device with uAPI v1: it is never split. */
    if (run->context->device[device]->is_v1) {
        return FERRY_RECORD_DATA_MAX;
    }
    return most > 0 ? most : FERRY_RECORD_DATA_MAX;
}

static void write_done(struct ferry_run *run, struct ferry_op *op)
{
    ferry_run_writer_pump(run, op->device);
}

/* op->arg: bytes taken by the device; op->queued: of the whole record; op->cap: memory.
 */
static struct ferry_op *get_buffer(struct ferry_run *run, uint32_t device, size_t bytes)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    size_t cap = bytes > FERRY_RUN_READ_BYTES ? bytes : FERRY_RUN_READ_BYTES;

    if (writer->spare_count > 0) {
        struct ferry_op *op = writer->spare[--writer->spare_count];

        if (op->cap >= bytes) {
            return op;
        }
        ferry_op_free(op);
    }
    return ferry_op_new(run, FERRY_RQ_DATA_WRITE, device, cap, write_done);
}

static void put_buffer(struct ferry_run *run, struct ferry_op *op)
{
    struct ferry_run_writer *writer = &run->device[op->device].writer;

    if (writer->spare_count < FERRY_RUN_WRITES) {
        writer->spare[writer->spare_count++] = op;
    } else {
        ferry_op_free(op);
    }
}

void ferry_run_writers_prepare(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_op *op[2] = { get_buffer(run, i, 1), get_buffer(run, i, 1) };

        for (uint32_t n = 0; n < 2; n++) {
            if (op[n]) {
                memset(op[n]->data, 0, op[n]->cap); /* no page faults while it counts */
                put_buffer(run, op[n]);
            }
        }
    }
}

void ferry_run_writer_fail(struct ferry_run *run, uint32_t device, int32_t status,
                           const char *text)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    struct ferry_error error = { .code = FERRY_OK };

    if (writer->status < 0) {
        return;
    }
    writer->status = status;
    ferry_error_set(&error, status, "device", NULL, writer->total_bytes,
                    "device %s: loading its state: %.180s",
                    run->context->device[device]->name,
                    text && text[0] ? text : ferry_status_text(status));
    ferry_run_note(run, &error);
}

/* Reports what is due once the device has taken everything that came. */
static void report(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;

    if (writer->ended) {
        return;
    }
    if (writer->status < 0) {
        writer->ended = 1;
        ferry_run_event(run, FERRY_EV_LOADED, device, writer->status, 0);
        return;
    }
    if (writer->count > 0 || !(writer->initial_due || writer->end_due) ||
        !ferry_run_pipe_taken(run, device)) {
        return;
    }
    if (writer->initial_due) {
        writer->initial_due = 0;
        ferry_run_event(run, FERRY_EV_INITIAL_LOADED, device, FERRY_OK, 0);
    }
    if (writer->end_due) {
        writer->ended = 1;
        ferry_run_event(run, FERRY_EV_LOADED, device, FERRY_OK, 0);
    }
}

/* Hands the next part of a record to the device. Return: 1 when it was answered at once.
 */
static int hand_over(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t most = most_bytes(run, op->device);
    uint32_t left = op->queued - op->arg;

    op->request.u.data.data = op->data + op->arg;
    op->request.u.data.size = left < most ? left : most;
    op->request.u.data.got = 0;
    return ferry_op_start(op) != FERRY_PENDING;
}

/* Takes the answers of the oldest records. Return: 1 when something changed. */
static int take_answers(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    int took = 0;

    while (writer->count > 0 && writer->slot[0]->answered) {
        struct ferry_op *op = writer->slot[0];

        took = 1;
        if (op->request.status < 0) {
            ferry_run_writer_fail(run, device, op->request.status, op->error.text);
        }
        op->arg += (uint32_t)op->request.u.data.size;
        if (writer->status == FERRY_OK && op->arg < op->queued) {
            hand_over(run, op);
            continue;
        }
        writer->count--;
        memmove(&writer->slot[0], &writer->slot[1],
                writer->count * sizeof(writer->slot[0]));
        put_buffer(run, op);
        ferry_lanes_resume(run);
    }
    return took;
}

/* Hands over what may go now: in order, and nothing behind a record that goes in parts.
 */
static int hand_over_more(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    uint32_t most = most_bytes(run, device);

    for (uint32_t i = 0; i < writer->count; i++) {
        struct ferry_op *op = writer->slot[i];
        int in_parts = op->queued > most;

        if (op->begun_ns == 0 && writer->status == FERRY_OK) {
            if (in_parts && i > 0) {
                return 0;
            }
            if (hand_over(run, op)) {
                return 1;
            }
        }
        if (in_parts) {
            return 0;
        }
    }
    return 0;
}

/* Into the device's own descriptor. Return: 1 when a record has left. */
static int write_down(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    struct ferry_op *op = writer->slot[0];

    if (!ferry_run_pipe_write(run, device)) {
        return 0;
    }
    writer->count--;
    memmove(&writer->slot[0], &writer->slot[1], writer->count * sizeof(writer->slot[0]));
    put_buffer(run, op);
    ferry_lanes_resume(run);
    return 1;
}

/* After a failure what has not been handed over never will be. */
static void drop_waiting(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;

    while (writer->count > 0 && writer->slot[writer->count - 1]->begun_ns == 0) {
        put_buffer(run, writer->slot[--writer->count]);
        ferry_lanes_resume(run);
    }
}

void ferry_run_writer_pump(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_writer *writer = &run->device[device].writer;

    if (writer->pumping) {
        writer->again = 1;
        return;
    }
    writer->pumping = 1;
    do {
        writer->again = 0;
        if (run->device[device].pipe.run) {
            writer->again = (uint32_t)write_down(run, device);
        } else if (take_answers(run, device) || hand_over_more(run, device)) {
            writer->again = 1;
        }
    } while (writer->again);
    if (writer->status < 0) {
        drop_waiting(run, device);
    }
    writer->pumping = 0;
    if (writer->count == 0 && writer->busy_since_ns != 0) {
        run->load_ns += ferry_os_now_ns() - writer->busy_since_ns;
        writer->busy_since_ns = 0;
    }
    report(run, device);
}

int ferry_run_data_place(struct ferry_run *run, const struct ferry_record *record,
                         uint8_t **ret_place, struct ferry_error *reterr)
{
    struct ferry_run_writer *writer = &run->device[record->device].writer;
    struct ferry_op *op;

    if (writer->filling) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-CON-2", 0,
                               "data of device %u come over two connections at once",
                               record->device);
    }
    if (writer->count >= FERRY_RUN_WRITES) {
        return FERRY_E_AGAIN;
    }
    op = get_buffer(run, record->device, (size_t)record->payload_bytes);
    if (!op) {
        return FERRY_E_MEMORY;
    }
    op->queued = (uint32_t)record->payload_bytes;
    op->arg = 0;
    op->begun_ns = 0;
    op->answered = run->device[record->device].pipe.run != NULL; /* by nobody else */
    writer->filling = op;
    *ret_place = op->data;
    return FERRY_OK;
}

void ferry_run_data_record(struct ferry_run *run, const struct ferry_record *record)
{
    struct ferry_run_writer *writer = &run->device[record->device].writer;
    const struct ferry_host_device *host = run->context->device[record->device];
    struct ferry_op *op = writer->filling;

    writer->filling = NULL;
    if (host->is_v1 && !host->identity.any_chunks &&
        !(record->flags & FERRY_RECORD_CHUNK)) {
        ferry_run_writer_fail(run, record->device, FERRY_E_INCOMPATIBLE,
                              "a record that is no transaction of uAPI v1");
    }
    if (writer->status < 0 || op->queued == 0) {
        put_buffer(run, op);
        return;
    }
    ferry_stream_hash_update(writer->hash, op->data, op->queued);
    if (writer->total_bytes == 0) {
        ferry_timeline_tell(run, FERRY_TRACE_BEGIN, op->device, "data", "load", 0);
    }
    writer->total_bytes += op->queued;
    run->load_bytes += op->queued;
    if (writer->count == 0) {
        writer->busy_since_ns = ferry_os_now_ns();
    }
    assert(writer->count < FERRY_RUN_WRITES); /* place() was asked first */
    writer->slot[writer->count++] = op;
    ferry_run_writer_pump(run, record->device);
}

void ferry_run_data_initial(struct ferry_run *run, uint32_t device)
{
    run->device[device].writer.initial_due = 1;
    report(run, device);
}

void ferry_run_data_end(struct ferry_run *run, uint32_t device,
                        const struct ferry_stream_device_end *end)
{
    struct ferry_run_writer *writer = &run->device[device].writer;
    struct ferry_error error = { .code = FERRY_OK };
    int rc = ferry_stream_check_device_end(end, device, writer->total_bytes, writer->hash,
                                           &error);

    if (rc < 0) {
        ferry_run_writer_fail(run, device, rc, error.text);
    }
    run->device[device].report.stop_bytes = writer->total_bytes;
    writer->end_due = 1;
    report(run, device);
}

void ferry_run_writers_free(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_run_writer *writer = &run->device[i].writer;

        for (uint32_t n = 0; n < writer->count; n++) {
            struct ferry_op *op = writer->slot[n];

            if (op->answered || op->begun_ns == 0) {
                ferry_op_free(op); /* else its answer frees it */
            }
        }
        writer->count = 0;
        while (writer->spare_count > 0) {
            ferry_op_free(writer->spare[--writer->spare_count]);
        }
        if (writer->filling) {
            ferry_op_free(writer->filling);
            writer->filling = NULL;
        }
        free(writer->hash);
        writer->hash = NULL;
    }
}
