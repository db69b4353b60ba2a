/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"

/* A piece of the VMM's state in one record. */
#define VMM_PIECE_BYTES (FERRY_RECORD_CONTROL_MAX - FERRY_STREAM_PREFIX_BYTES)

static void put_written(struct ferry_run *run, uint16_t tag, uint32_t device,
                        const struct ferry_writer *writer)
{
    assert(!writer->overflow); /* sized for the longest payload of the tag */
    ferry_run_put(run, tag, device, writer->data, writer->pos);
}

/* --- introduction --- */

static void put_hello_device(struct ferry_run *run, uint32_t device)
{
    const struct ferry_host_device *host = run->context->device[device];
    const struct ferry_session_device *known = &run->config.device[device];
    struct ferry_stream_hello_device hello = { .features = known->features,
                                               .can_log = known->can_log,
                                               .reaches_peer = known->reaches_peer,
                                               .peer = known->peer,
                                               .identity = host->identity };
    uint8_t payload[4096];
    struct ferry_writer writer;

    memcpy(hello.name, host->name, sizeof(hello.name));
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_hello_device(&writer, &hello);
    put_written(run, FERRY_REC_HELLO_DEVICE, device, &writer);
}

static void put_hello_v1(struct ferry_run *run, uint32_t device)
{
    const struct ferry_identity *identity = &run->context->device[device]->identity;
    const struct ferry_stream_hello_v1 hello = {
        .implicit_quiesce = identity->implicit_quiesce != 0,
        .any_chunks = identity->any_chunks != 0,
    };
    uint8_t payload[64];
    struct ferry_writer writer;

    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_hello_v1(&writer, &hello);
    put_written(run, FERRY_REC_HELLO_V1, device, &writer);
}

static void put_hello_memory(struct ferry_run *run, uint32_t memory)
{
    const struct ferry_host_memory *host = &run->context->memory[memory];
    struct ferry_stream_hello_memory hello = { .index = run->memory_count,
                                               .writable = host->writable ? 1 : 0,
                                               .iova = host->iova,
                                               .size = host->size };
    uint8_t payload[64];
    struct ferry_writer writer;

    run->memory_map[memory] = run->memory_count++;
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_hello_memory(&writer, &hello);
    put_written(run, FERRY_REC_HELLO_MEMORY, FERRY_NO_DEVICE, &writer);
}

void ferry_run_send_hello(struct ferry_run *run)
{
    struct ferry_stream_hello hello = { .device_count = run->device_count,
                                        .page_bytes = FERRY_PAGE_BYTES,
                                        .arbiter = run->config.arbiter,
                                        .max_downtime_ns = run->config.max_downtime_ns,
                                        .stop_deadline_ns = run->config.stop_deadline_ns,
                                        .arc_limit_ns = run->config.arc_limit_ns,
                                        .peer_limit_ns = run->config.peer_limit_ns };
    uint8_t payload[256];
    struct ferry_writer writer;

    for (uint32_t i = 0; i < run->device_count; i++) {
        put_hello_device(run, i);
        if (run->context->device[i]->is_v1) {
            put_hello_v1(run, i);
        }
    }
    for (uint32_t i = 0; i < run->context->memory_end; i++) {
        if (run->context->memory[i].size != 0) {
            put_hello_memory(run, i);
        }
    }
    hello.memory_count = run->memory_count;
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_hello(&writer, &hello);
    ferry_lanes_put_hello(run);
    put_written(run, FERRY_REC_HELLO, FERRY_NO_DEVICE, &writer);
}

/* --- the stop --- */

void ferry_run_stop_begins(struct ferry_run *run)
{
    struct ferry_progress progress = { 0 };

    if (run->stopped) {
        return;
    }
    run->stopped = 1;
    ferry_source_progress(run->session, &progress);
    run->predicted_ns = progress.predicted_downtime_ns;
    ferry_run_mark(run, FERRY_MARK_PAUSE);
    ferry_lanes_unlimit(run);
}

int ferry_run_config_save(struct ferry_run *run, uint32_t device,
                          struct ferry_error *reterr)
{
    struct ferry_run_device *own = &run->device[device];
    uint32_t writes = atomic_load(&run->context->device[device]->config_writes);
    int rc;

    if (own->config_saved && own->config_writes == writes) {
        return FERRY_OK;
    }
    if (!own->config) {
        own->config = malloc(FERRY_HOST_BLOB_MAX);
        if (!own->config) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                   "out of memory for a device's config");
        }
    }
    rc = ferry_host_config_save(run->context, device, own->config, FERRY_HOST_BLOB_MAX,
                                &own->config_bytes, reterr);
    own->config_saved = rc == FERRY_OK;
    own->config_writes = writes;
    return rc;
}

void ferry_run_config_refresh(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        (void)ferry_run_config_save(run, i, NULL);
    }
}

static void put_irqs(struct ferry_run *run, uint32_t device)
{
    struct ferry_run_device *own = &run->device[device];
    struct ferry_stream_irqs irqs = { .count = 0 };
    uint8_t payload[2 * FERRY_STREAM_VECTORS_MAX + 64];
    struct ferry_writer writer;

    for (uint32_t i = 0; i < FERRY_STREAM_VECTORS_MAX; i++) {
        if (own->irqs[i / 8] >> (i % 8) & 1) {
            irqs.vector[irqs.count++] = (uint16_t)i;
        }
    }
    own->report.irqs_carried = irqs.count;
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_irqs(&writer, &irqs);
    put_written(run, FERRY_REC_DEVICE_IRQS, device, &writer);
}

static int send_device(struct ferry_run *run, uint32_t device, struct ferry_error *reterr)
{
    struct ferry_run_device *own = &run->device[device];
    int rc = ferry_run_config_save(run, device, reterr);

    if (rc < 0) {
        return rc;
    }
    ferry_run_put(run, FERRY_REC_DEVICE_CONFIG, device, own->config, own->config_bytes);
    rc = ferry_host_irqs_drain(run->context, device, own->irqs);
    own->irqs_known = 1; /* also after a failure: what was taken is raised again */
    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device %s: its pending interrupts cannot be read",
                               run->context->device[device]->name);
    }
    put_irqs(run, device);
    return FERRY_OK;
}

static void final_done(struct ferry_run *run, int32_t status)
{
    if (!run->final_over) {
        run->final_over = 1;
        ferry_run_event(run, FERRY_EV_FINAL_DONE, FERRY_NO_DEVICE, status, 0);
    }
}

static void maybe_final_done(struct ferry_run *run)
{
    struct ferry_stream_memory_end end = { .pages = run->ram.pages,
                                           .bytes = run->ram.bytes };
    uint8_t payload[64];
    struct ferry_writer writer;

    if (!run->final_memory || !run->vmm_asked || run->vmm_next <= run->vmm_bytes) {
        return;
    }
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_memory_end(&writer, &end);
    put_written(run, FERRY_REC_MEMORY_END, FERRY_NO_DEVICE, &writer);
    final_done(run, FERRY_OK);
}

void ferry_run_memory_sent(struct ferry_run *run, int32_t status)
{
    if (status < 0) {
        final_done(run, status);
        return;
    }
    run->final_memory = 1;
    maybe_final_done(run);
}

static int put_vmm_piece(struct ferry_run *run)
{
    uint64_t left = run->vmm_bytes - run->vmm_next;
    struct ferry_stream_vmm vmm = { .total = run->vmm_bytes,
                                    .off = run->vmm_next,
                                    .bytes =
                                        left < VMM_PIECE_BYTES ? left : VMM_PIECE_BYTES };
    uint8_t prefix[FERRY_STREAM_PREFIX_BYTES];
    struct ferry_channel_body body = { .data = prefix, .bytes = (size_t)vmm.bytes };
    struct ferry_writer writer;

    /* A VMM without a state of its own gives no address to count from. */
    if (vmm.bytes > 0) {
        body.data = run->vmm_data + run->vmm_next;
    }
    ferry_writer_init(&writer, prefix, sizeof(prefix));
    ferry_stream_put_vmm(&writer, &vmm);
    assert(!writer.overflow && writer.pos == sizeof(prefix));
    run->vmm_next += vmm.bytes > 0 ? vmm.bytes : 1;
    if (run->vmm_next == run->vmm_bytes) {
        run->vmm_next++;
    }
    return ferry_channel_put_data(run->channel, FERRY_REC_VMM_STATE, FERRY_NO_DEVICE,
                                  prefix, sizeof(prefix), &body);
}

int ferry_run_vmm_produce(struct ferry_run *run)
{
    if (!run->vmm_asked || run->final_over) {
        return 0;
    }
    while (run->vmm_next <= run->vmm_bytes) {
        int rc;

        if (!ferry_channel_room(run->channel)) {
            return 0;
        }
        rc = put_vmm_piece(run);
        if (rc < 0) {
            final_done(run, rc);
            return 0;
        }
    }
    maybe_final_done(run);
    return 0;
}

static int ask_vmm(struct ferry_run *run, struct ferry_error *reterr)
{
    struct ferry_context *context = run->context;
    const void *data = NULL;
    size_t bytes = 0;

    if (context->ops.save_state) {
        int rc = context->ops.save_state(context->user, context, &data, &bytes);

        if (rc < 0) {
            return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                                   "the VMM's own state cannot be saved: %s",
                                   ferry_status_text(rc));
        }
        if (bytes > FERRY_STREAM_VMM_MAX) {
            return ferry_error_set(reterr, FERRY_E_LIMIT, FERRY_HOST_LAYER, NULL, 0,
                                   "the VMM's own state has %zu bytes, at most %llu go",
                                   bytes, FERRY_STREAM_VMM_MAX);
        }
    }
    run->vmm_data = data;
    run->vmm_bytes = bytes;
    run->vmm_next = 0;
    run->vmm_asked = 1;
    return FERRY_OK;
}

void ferry_run_final_round(struct ferry_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = FERRY_OK;

    /* The logs are asked first; while they answer, the rest is gathered. */
    ferry_ram_final(run);
    for (uint32_t i = 0; i < run->device_count && rc >= 0; i++) {
        rc = send_device(run, i, &error);
    }
    if (rc >= 0) {
        rc = ask_vmm(run, &error);
    }
    if (rc < 0) {
        ferry_run_note(run, &error);
        ferry_ram_cancel(run);
        final_done(run, rc);
        return;
    }
    (void)ferry_run_vmm_produce(run);
}
