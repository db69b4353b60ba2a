/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"
#include "os/clock.h"

/*
 * Device data at the source. Per device some requests are out at once; their answers are
 * taken in the order of asking, become records, and their memory is free again when the
 * channel has sent it. That bounds what one device holds and stops reading from it when
 * the channel is slow.
 */

static size_t read_bytes(const struct ferry_run *run, uint32_t device)
{
    uint32_t most = run->context->device[device]->max_data;

    /* One transaction of v1 is one record, whatever one request of it can carry. */
    if (run->context->device[device]->is_v1) {
        return FERRY_RECORD_DATA_MAX;
    }
    return most > 0 && most < FERRY_RUN_READ_BYTES ? most : FERRY_RUN_READ_BYTES;
}

static void read_done(struct ferry_run *run, struct ferry_op *op)
{
    ferry_run_reader_pump(run, op->device);
}

struct ferry_op *ferry_run_reader_buffer(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    struct ferry_op *op;

    if (reader->idle_count > 0) {
        return reader->idle[--reader->idle_count];
    }
    if (reader->made >= FERRY_RUN_READS) {
        return NULL;
    }
    op =
        ferry_op_new(run, FERRY_RQ_DATA_READ, device, read_bytes(run, device), read_done);
    if (op) {
        reader->made++;
    }
    return op;
}

static void put_buffer(struct ferry_run *run, struct ferry_op *op)
{
    struct ferry_run_reader *reader = &run->device[op->device].reader;

    assert(reader->idle_count < FERRY_RUN_READS);
    reader->idle[reader->idle_count++] = op;
}

/* The channel has sent a record's data. */
static void data_sent(void *user)
{
    struct ferry_op *op = user;
    struct ferry_run *run = op->migration->run;

    put_buffer(run, op);
    ferry_run_reader_pump(run, op->device);
}

void ferry_run_readers_prepare(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_op *op = NULL;

        for (uint32_t n = 0; n < 2; n++) {
            struct ferry_op *next = ferry_run_reader_buffer(run, i);

            if (next) {
                memset(next->data, 0, next->cap); /* its pages are not faulted in later */
            }
            if (op) {
                put_buffer(run, op);
            }
            op = next;
        }
        if (op) {
            put_buffer(run, op);
        }
    }
}

void ferry_run_reader_fail(struct ferry_run *run, uint32_t device, int32_t status,
                           const char *text)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    struct ferry_error error = { .code = FERRY_OK };

    reader->stopping = 1;
    if (reader->status == FERRY_OK) {
        reader->status = status;
        ferry_error_set(&error, status, "device", NULL, reader->total_bytes,
                        "device %s: reading its state after %llu bytes: %.160s",
                        run->context->device[device]->name,
                        (unsigned long long)reader->total_bytes,
                        text && text[0] ? text : ferry_status_text(status));
        ferry_run_note(run, &error);
    }
}

void ferry_run_reader_send(struct ferry_run *run, struct ferry_op *op)
{
    struct ferry_run_device *own = &run->device[op->device];
    size_t bytes = (size_t)op->request.u.data.got;
    struct ferry_channel_body body = {
        .data = op->data, .bytes = bytes, .release = data_sent, .user = op
    };
    uint32_t device = op->device;
    int rc;

    if (run->context->device[device]->is_v1) {
        body.flags = FERRY_RECORD_CHUNK;
    }
    ferry_stream_hash_update(own->reader.hash, op->data, bytes);
    own->reader.bytes += bytes;
    own->reader.total_bytes += bytes;
    if (own->reader.final) {
        own->report.stop_bytes += bytes;
    } else {
        own->report.precopy_bytes += bytes;
    }
    rc = ferry_channel_put_data(ferry_lanes_of_device(run, device), FERRY_REC_DEVICE_DATA,
                                device, NULL, 0, &body);
    if (rc < 0) {
        ferry_run_reader_fail(run, device, rc, "the channel does not take it");
    }
}

/* One answer, in order. */
static void take(struct ferry_run *run, struct ferry_op *op)
{
    struct ferry_run_reader *reader = &run->device[op->device].reader;
    int32_t status = op->request.status;
    uint64_t got = op->request.u.data.got;

    if (!reader->active || reader->status < 0) {
        put_buffer(run, op);
        return;
    }
    if (status == FERRY_OK && got > 0 && got <= op->cap) {
        if (reader->ended) {
            ferry_run_reader_fail(run, op->device, FERRY_E_LONG,
                                  "data came after the end");
            put_buffer(run, op);
        } else {
            ferry_run_reader_send(run, op);
        }
        return;
    }
    reader->stopping = 1;
    if (status == FERRY_OK && got == 0) {
        /* In pre-copy the end of what is there now; only in STOP_COPY the end of all. */
        reader->ended = reader->final;
    } else if (status == FERRY_OK) {
        ferry_run_reader_fail(run, op->device, FERRY_E_PROTOCOL,
                              "more bytes than were asked for");
    } else if (status != FERRY_E_DRY || reader->final) {
        ferry_run_reader_fail(run, op->device, status, op->error.text);
    }
    put_buffer(run, op);
}

static int take_answers(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    int took = 0;

    while (reader->count > 0 && reader->slot[reader->head]->answered) {
        struct ferry_op *op = reader->slot[reader->head];

        if (reader->active && op->request.status == FERRY_OK &&
            !ferry_channel_room(ferry_lanes_of_device(run, device))) {
            break; /* ferry_run_readers_go_on() comes back to it */
        }
        reader->head = (reader->head + 1) % FERRY_RUN_READS;
        reader->count--;
        took = 1;
        take(run, op);
    }
    return took;
}

static int ask(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    int answered = 0;

    while (reader->active && !reader->stopping && reader->count < FERRY_RUN_READS) {
        struct ferry_op *op = ferry_run_reader_buffer(run, device);

        if (!op) {
            if (reader->made == 0) {
                ferry_run_reader_fail(run, device, FERRY_E_MEMORY, NULL);
            }
            break;
        }
        op->request.u.data.data = op->data;
        op->request.u.data.size = op->cap;
        op->request.u.data.got = 0;
        op->request.u.data.whole = 1;
        reader->slot[(reader->head + reader->count) % FERRY_RUN_READS] = op;
        reader->count++;
        if (ferry_op_start(op) != FERRY_PENDING) {
            answered = 1;
            break; /* answered at once: look at it before asking for more */
        }
    }
    return answered;
}

static void report_dry(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;

    reader->active = 0;
    ferry_run_event_abc(run, FERRY_EV_DATA_DRY, device, reader->status, reader->bytes,
                        reader->initial_left, reader->stop_bytes_now);
}

static void question_done(struct ferry_run *run, struct ferry_op *op)
{
    uint32_t device = op->device;
    struct ferry_run_reader *reader = &run->device[device].reader;

    if (op->request.status < 0) {
        ferry_run_reader_fail(run, device, op->request.status, op->error.text);
    } else if (op->request.kind == FERRY_RQ_PRECOPY_INFO) {
        reader->initial_left = op->request.u.precopy.initial_bytes;
    } else {
        reader->stop_bytes_now = op->request.u.data_size;
    }
    ferry_op_free(op);
    reader->questions--;
    if (reader->questions == 0 && reader->active) {
        report_dry(run, device);
    }
}

static void question(struct ferry_run *run, uint32_t device, uint32_t kind)
{
    struct ferry_op *op = ferry_op_new(run, kind, device, 0, question_done);

    if (!op) {
        ferry_run_reader_fail(run, device, FERRY_E_MEMORY, NULL);
        return;
    }
    run->device[device].reader.questions++;
    ferry_op_run(op);
}

static void ask_figures(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    const struct ferry_host_device *host = run->context->device[device];

    /* Without the extension the initial part counts as done when the device is dry. */
    reader->initial_left = 0;
    reader->stop_bytes_now = 0;
    reader->questions = 1; /* ours, so that an answer at once does not end it early */
    if (host->has_precopy_info) {
        question(run, device, FERRY_RQ_PRECOPY_INFO);
    }
    if (host->has_data_size) {
        question(run, device, FERRY_RQ_DATA_SIZE);
    }
    reader->questions--;
    if (reader->questions == 0) {
        report_dry(run, device);
    }
}

static void put_end(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;
    struct ferry_stream_digest digest = ferry_stream_hash_digest(reader->hash);
    struct ferry_stream_device_end end = { .bytes = reader->total_bytes,
                                           .hash_low = digest.low,
                                           .hash_high = digest.high };
    uint8_t payload[64];
    struct ferry_writer writer;

    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_device_end(&writer, &end);
    assert(!writer.overflow);
    ferry_run_put(run, FERRY_REC_DEVICE_END, device, payload, writer.pos);
}

static void finish(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;

    if (!reader->final) {
        if (reader->status < 0) {
            report_dry(run, device);
        } else {
            ask_figures(run, device);
        }
        return;
    }
    reader->active = 0;
    run->device[device].report.data_ns = ferry_os_now_ns() - reader->begun_ns;
    if (reader->status == FERRY_OK) {
        put_end(run, device);
    }
    ferry_run_event_abc(run, FERRY_EV_DATA_END, device, reader->status, reader->bytes, 0,
                        0);
}

void ferry_run_reader_pump(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;

    if (reader->pumping) {
        reader->again = 1;
        return;
    }
    reader->pumping = 1;
    do {
        reader->again = 0;
        if (run->device[device].pipe.run) {
            ferry_run_pipe_read(run, device);
        } else if (take_answers(run, device) || ask(run, device)) {
            reader->again = 1;
        }
    } while (reader->again);
    reader->pumping = 0;
    if (reader->active && reader->stopping && reader->count == 0 &&
        reader->questions == 0) {
        finish(run, device);
    }
    ferry_run_progress(run);
}

void ferry_run_data_read(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_reader *reader = &run->device[device].reader;

    reader->active = 1;
    reader->stopping = 0;
    reader->ended = 0;
    reader->status = FERRY_OK;
    reader->bytes = 0;
    reader->begun_ns = ferry_os_now_ns();
    reader->final = run->context->device[device]->state == FERRY_STATE_STOP_COPY;
    ferry_run_pipe_want(run, device);
    ferry_run_reader_pump(run, device);
}

void ferry_run_readers_go_on(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        if (run->device[i].reader.active) {
            ferry_run_reader_pump(run, i);
        }
    }
}

void ferry_run_readers_cancel(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        run->device[i].reader.active = 0;
        ferry_run_reader_pump(run, i);
    }
}

void ferry_run_readers_free(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_run_reader *reader = &run->device[i].reader;

        for (; reader->count > 0; reader->count--) {
            struct ferry_op *op = reader->slot[reader->head];

            reader->head = (reader->head + 1) % FERRY_RUN_READS;
            if (op->answered) {
                ferry_op_free(op); /* else its answer frees it */
            }
        }
        if (run->device[i].pipe.buffer) {
            ferry_op_free(run->device[i].pipe.buffer);
            run->device[i].pipe.buffer = NULL;
        }
        while (reader->idle_count > 0) {
            ferry_op_free(reader->idle[--reader->idle_count]);
        }
        free(reader->hash);
        reader->hash = NULL;
    }
}
