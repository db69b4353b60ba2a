/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <string.h>

#include "base/writer.h"
#include "host/migrate/migration.h"

/* The introduction: what a source says of itself, compared with what is here; the
 * answers. */

int ferry_run_receive_preamble(struct ferry_run *run, const struct ferry_record *record,
                               const uint8_t *payload, struct ferry_error *reterr)
{
    static const uint8_t nobody[FERRY_STREAM_ID_BYTES];
    struct ferry_stream_preamble preamble;
    int rc = ferry_stream_get_preamble(payload, (size_t)record->payload_bytes, &preamble,
                                       reterr);

    if (rc < 0) {
        return rc;
    }
    if (run->incoming) {
        memcpy(run->session_id, preamble.session_id, sizeof(run->session_id));
        run->epoch = preamble.epoch;
        return FERRY_OK;
    }
    /* A target that did not understand our PREAMBLE does not know the session's name. */
    if (memcmp(preamble.session_id, nobody, sizeof(nobody)) != 0 &&
        (memcmp(preamble.session_id, run->session_id, sizeof(run->session_id)) != 0 ||
         preamble.epoch != run->epoch)) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "stream", "STR-ID-1", 0,
                               "PREAMBLE: the answer is about another session");
    }
    return FERRY_OK;
}

static void introduced(struct ferry_run *run)
{
    struct ferry_host_event event = { .kind = FERRY_HOST_INCOMING,
                                      .device = FERRY_NO_DEVICE,
                                      .phase = ferry_run_phase_name(run) };

    run->introduced = 1;
    ferry_loop_timer_cancel(run->context->loop, &run->greet_timer);
    ferry_host_event(run->context, &event);
    ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_OK, FERRY_MSG_HELLO);
}

int ferry_run_receive_hello(struct ferry_run *run, const struct ferry_record *record,
                            const uint8_t *payload, struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    struct ferry_stream_hello_memory memory;
    struct ferry_stream_hello_v1 v1;
    int rc;

    if (record->tag == FERRY_REC_HELLO_DEVICE) {
        return ferry_stream_get_hello_device(payload, bytes,
                                             &run->device[record->device].hello, reterr);
    }
    if (record->tag == FERRY_REC_HELLO_V1) {
        rc = ferry_stream_get_hello_v1(payload, bytes, &v1, reterr);
        run->device[record->device].chunks = rc == FERRY_OK;
        return rc;
    }
    if (record->tag == FERRY_REC_HELLO_MEMORY) {
        rc = ferry_stream_get_hello_memory(payload, bytes, &memory, reterr);
        if (rc == FERRY_OK) {
            rc = ferry_stream_order_hello_memory(&run->order, &memory, reterr);
        }
        if (rc == FERRY_OK) {
            run->memory[memory.index] = memory;
            run->memory_count = memory.index + 1;
        }
        return rc;
    }
    rc = ferry_stream_get_hello(payload, bytes, &run->hello, reterr);
    if (rc == FERRY_OK) {
        rc = ferry_stream_order_hello(&run->order, &run->hello, reterr);
    }
    if (rc == FERRY_OK) {
        introduced(run);
    }
    return rc;
}

/* --- comparison --- */

static int differs(struct ferry_error *reterr, const char *text)
{
    return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0, "%s",
                           text);
}

static int check_device(struct ferry_run *run, uint32_t device,
                        struct ferry_error *reterr)
{
    const struct ferry_host_device *host = run->context->device[device];
    const struct ferry_stream_hello_device *hello = &run->device[device].hello;
    struct ferry_error detail = { .code = FERRY_OK };
    int rc;

    if (strcmp(hello->name, host->name) != 0) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                               "device %u is called '%s' at the source and '%s' here",
                               device, hello->name, host->name);
    }
    if (atomic_load(&host->lost) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_DEVICE, FERRY_HOST_LAYER, NULL, 0,
                               "device %s has no connection here", host->name);
    }
    if (host->is_v1 && !host->identity.any_chunks && !run->device[device].chunks) {
        return ferry_error_set(
            reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, "MIG-V1-14", 0,
            "device %s migrates by uAPI v1 and takes its state only in "
            "the transactions in which such a device was saved; the "
            "source's has none (uAPI v2)",
            host->name);
    }
    rc = ferry_compat_check(&hello->identity, &host->identity, &detail);
    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER,
                               detail.rule[0] ? detail.rule : NULL, 0,
                               "device %s: %.220s", host->name, detail.text);
    }
    return FERRY_OK;
}

/* Our region with the source's iova. */
static int check_memory(struct ferry_run *run, uint32_t index, struct ferry_error *reterr)
{
    const struct ferry_stream_hello_memory *hello = &run->memory[index];
    const struct ferry_context *context = run->context;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        const struct ferry_host_memory *own = &context->memory[i];

        if (own->size == 0 || own->iova != hello->iova) {
            continue;
        }
        if (own->size != hello->size || (own->writable ? 1u : 0u) != hello->writable) {
            return ferry_error_set(
                reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                "memory at 0x%llx has %llu bytes (writable %u) at the "
                "source and %llu bytes (writable %u) here",
                (unsigned long long)hello->iova, (unsigned long long)hello->size,
                hello->writable, (unsigned long long)own->size, own->writable);
        }
        run->memory_map[index] = i;
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                           "memory at 0x%llx with %llu bytes is at the source only",
                           (unsigned long long)hello->iova,
                           (unsigned long long)hello->size);
}

static uint32_t own_memories(const struct ferry_context *context)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < context->memory_end; i++) {
        count += context->memory[i].size != 0;
    }
    return count;
}

int ferry_run_check_hello(struct ferry_run *run, struct ferry_error *reterr)
{
    const struct ferry_stream_hello *hello = &run->hello;
    int rc = FERRY_OK;

    if (hello->device_count != run->device_count) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                               "the source has %u devices, here are %u",
                               hello->device_count, run->device_count);
    }
    for (uint32_t i = 0; i < run->device_count && rc >= 0; i++) {
        rc = check_device(run, i, reterr);
    }
    if (rc < 0) {
        return rc;
    }
    if (hello->page_bytes != FERRY_PAGE_BYTES) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                               "the source's pages have %u bytes, here they have %u",
                               hello->page_bytes, FERRY_PAGE_BYTES);
    }
    if (hello->memory_count != own_memories(run->context)) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                               "the source has %u memory regions, here are %u",
                               hello->memory_count, own_memories(run->context));
    }
    for (uint32_t i = 0; i < hello->memory_count && rc >= 0; i++) {
        rc = check_memory(run, i, reterr);
    }
    /* One that asks and one that does not would decide apart. */
    if (rc >= 0 && hello->arbiter != run->config.arbiter) {
        return differs(reterr, hello->arbiter == FERRY_ARBITER_NONE
                                   ? "an arbiter was named here, but not at the source"
                                   : "an arbiter was named at the source, but not here");
    }
    return rc;
}

/* --- answers --- */

void ferry_run_put_accept(struct ferry_run *run)
{
    struct ferry_stream_accept accept = { .device_count = run->device_count };
    uint8_t payload[1024];
    struct ferry_writer writer;

    accept.load_rate_bytes_per_s = run->migration->load_rate_bytes_per_s;
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_measured times;

        ferry_run_expected(run->migration, i, &times);
        accept.device[i].load_ns = times.load_ns;
        accept.device[i].run_ns = times.run_ns;
    }
    ferry_writer_init(&writer, payload, sizeof(payload));
    ferry_stream_put_accept(&writer, &accept);
    assert(!writer.overflow);
    ferry_lanes_put_accept(run);
    ferry_run_put(run, FERRY_REC_ACCEPT, FERRY_NO_DEVICE, payload, writer.pos);
    ferry_run_writers_prepare(run);
}

static int wrong_count(struct ferry_run *run, uint32_t tag, uint32_t count,
                       struct ferry_error *reterr)
{
    if (count == run->device_count) {
        return FERRY_OK;
    }
    return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", NULL, 0,
                           "%s: figures of %u devices, this migration has %u",
                           ferry_record_name(tag), count, run->device_count);
}

/* What the target expects of its devices: it knows them better than this side does. */
static void expect_times(struct ferry_run *run, const struct ferry_stream_accept *accept)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        struct ferry_measured *measured = &run->migration->measured[i];

        ferry_source_set_target_times(run->session, i, accept->device[i].load_ns,
                                      accept->device[i].run_ns);
        if (measured->load_ns == 0) {
            measured->load_ns = accept->device[i].load_ns;
        }
        if (measured->run_ns == 0) {
            measured->run_ns = accept->device[i].run_ns;
        }
    }
}

int ferry_run_receive_answer(struct ferry_run *run, const struct ferry_record *record,
                             const uint8_t *payload, struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    struct ferry_stream_accept accept;
    int rc;

    if (record->tag == FERRY_REC_INITIAL_DONE) {
        rc = ferry_stream_get_empty(record->tag, bytes, reterr);
        if (rc == FERRY_OK) {
            ferry_run_event(run, FERRY_EV_MESSAGE, record->device, FERRY_OK,
                            FERRY_MSG_INITIAL_DONE);
        }
        return rc;
    }
    if (record->tag == FERRY_REC_ACCEPT) {
        rc = ferry_stream_get_accept(payload, bytes, &accept, reterr);
        if (rc == FERRY_OK) {
            rc = wrong_count(run, record->tag, accept.device_count, reterr);
        }
        if (rc == FERRY_OK) {
            ferry_source_set_load_rate(run->session, accept.load_rate_bytes_per_s);
            expect_times(run, &accept);
            ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_OK,
                            FERRY_MSG_ACCEPT);
        }
        return rc;
    }
    rc = ferry_stream_get_running(payload, bytes, &run->running, reterr);
    if (rc == FERRY_OK) {
        rc = wrong_count(run, record->tag, run->running.device_count, reterr);
    }
    if (rc == FERRY_OK) {
        uint32_t lost = 0;

        while (lost < run->device_count && !(run->running.lost & (1u << lost))) {
            lost++;
        }
        ferry_run_mark(run, FERRY_MARK_RUNNING);
        if (lost < run->device_count) {
            ferry_run_event(run, FERRY_EV_MESSAGE, lost, FERRY_E_DEVICE,
                            FERRY_MSG_RUNNING);
        } else {
            ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_OK,
                            FERRY_MSG_RUNNING);
        }
    }
    return rc;
}
