/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/migrate/migration.h"
#include "os/clock.h"

/* --- where payloads go --- */

static int begin(void *user, const struct ferry_record *record, uint64_t stream_off,
                 size_t *ret_prefix, struct ferry_error *reterr)
{
    struct ferry_run *run = user;
    int rc;

    /* Nothing may be written to memory that is no longer the session's. */
    if (run->ended || run->down) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, "stream", NULL, stream_off,
                               "record %s came after the end",
                               ferry_record_name(record->tag));
    }
    rc = ferry_stream_order_record(&run->order, record, stream_off, reterr);
    if (rc < 0) {
        return rc;
    }
    if (record->tag == FERRY_REC_MEMORY_PAGES || record->tag == FERRY_REC_VMM_STATE) {
        *ret_prefix = FERRY_STREAM_PREFIX_BYTES;
    } else if (record->tag == FERRY_REC_BARRIER) {
        *ret_prefix = FERRY_STREAM_BARRIER_BYTES;
    }
    return FERRY_OK;
}

static int place_pages(struct ferry_run *run, const struct ferry_record *record,
                       const uint8_t *prefix, uint8_t **ret_place,
                       struct ferry_error *reterr)
{
    struct ferry_stream_pages pages;
    int rc =
        ferry_stream_get_pages(prefix, (size_t)record->payload_bytes, &pages, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_stream_order_memory(&run->order, pages.memory, pages.off, pages.bytes,
                                       0, reterr);
    }
    if (rc == FERRY_OK) {
        /* HELLO was compared: the region here is as large as the source's. */
        *ret_place =
            run->context->memory[run->memory_map[pages.memory]].address + pages.off;
    }
    return rc;
}

static int place_vmm(struct ferry_run *run, const struct ferry_record *record,
                     const uint8_t *prefix, uint8_t **ret_place,
                     struct ferry_error *reterr)
{
    struct ferry_stream_vmm vmm;
    int rc = ferry_stream_get_vmm(prefix, (size_t)record->payload_bytes, &vmm, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_stream_order_vmm(&run->order, &vmm, reterr);
    }
    if (rc < 0) {
        return rc;
    }
    /* Grows with what really came: a total alone reserves nothing. */
    if (vmm.off + vmm.bytes > run->vmm_cap) {
        uint64_t cap = 2 * (vmm.off + vmm.bytes);
        uint8_t *grown = realloc(run->vmm, (size_t)cap);

        if (!grown) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                   "out of memory for %llu bytes of the VMM's state",
                                   (unsigned long long)cap);
        }
        run->vmm = grown;
        run->vmm_cap = cap;
    }
    if (vmm.bytes > 0) {
        *ret_place = run->vmm + vmm.off;
    }
    run->vmm_bytes = vmm.off + vmm.bytes;
    return FERRY_OK;
}

static int place(void *user, const struct ferry_record *record, const uint8_t *prefix,
                 uint8_t **ret_place, struct ferry_error *reterr)
{
    struct ferry_run *run = user;

    if (record->tag == FERRY_REC_MEMORY_PAGES) {
        return place_pages(run, record, prefix, ret_place, reterr);
    }
    if (record->tag == FERRY_REC_DEVICE_DATA) {
        return ferry_run_data_place(run, record, ret_place, reterr);
    }
    if (record->tag == FERRY_REC_VMM_STATE) {
        return place_vmm(run, record, prefix, ret_place, reterr);
    }
    if (record->tag == FERRY_REC_BARRIER) {
        return ferry_lanes_at_barrier(&run->lanes.lane[0], prefix, reterr);
    }
    return FERRY_OK;
}

/* --- memory and the VMM at the target --- */

/* Only pages that are not zero yet are written: the others are not even made. */
static void clear(uint8_t *memory, uint64_t bytes)
{
    static const uint8_t zero[FERRY_PAGE_BYTES];

    for (; bytes > 0; bytes -= FERRY_PAGE_BYTES, memory += FERRY_PAGE_BYTES) {
        if (memcmp(memory, zero, sizeof(zero)) != 0) {
            memset(memory, 0, FERRY_PAGE_BYTES);
        }
    }
}

static int zero_pages(struct ferry_run *run, const struct ferry_record *record,
                      const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_stream_zero zero;
    int rc = ferry_stream_get_zero(payload, (size_t)record->payload_bytes, &zero, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_stream_order_memory(&run->order, zero.memory, zero.off, zero.bytes, 1,
                                       reterr);
    }
    if (rc == FERRY_OK) {
        clear(run->context->memory[run->memory_map[zero.memory]].address + zero.off,
              zero.bytes);
        ferry_channel_worked(run->channel, zero.bytes);
    }
    return rc;
}

static int device_config(struct ferry_run *run, const struct ferry_record *record,
                         const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_run_device *own = &run->device[record->device];
    size_t bytes = (size_t)record->payload_bytes;
    int rc =
        ferry_host_config_check(run->context, record->device, payload, bytes, reterr);

    if (rc < 0) {
        return rc;
    }
    own->config = malloc(bytes > 0 ? bytes : 1);
    if (!own->config) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "out of memory for a device's config");
    }
    memcpy(own->config, payload, bytes);
    own->config_bytes = bytes;
    return FERRY_OK;
}

static int device_irqs(struct ferry_run *run, const struct ferry_record *record,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_run_device *own = &run->device[record->device];
    struct ferry_stream_irqs irqs;
    int rc = ferry_stream_get_irqs(payload, (size_t)record->payload_bytes, &irqs, reterr);

    if (rc < 0) {
        return rc;
    }
    for (uint32_t i = 0; i < irqs.count; i++) {
        own->irqs[irqs.vector[i] / 8] |= (uint8_t)(1u << (irqs.vector[i] % 8));
    }
    own->irqs_known = 1;
    return FERRY_OK;
}

/* The source said in MEMORY_END that no more memory comes; is the rest here as well? */
static void maybe_complete(struct ferry_run *run)
{
    if (run->complete || !(run->order.seen & 1u << FERRY_REC_MEMORY_END) ||
        !ferry_stream_order_vmm_complete(&run->order)) {
        return;
    }
    for (uint32_t i = 0; i < run->device_count; i++) {
        if (!run->device[i].config || !run->device[i].irqs_known) {
            return;
        }
    }
    run->complete = 1;
    ferry_run_event(run, FERRY_EV_MEMORY_COMPLETE, FERRY_NO_DEVICE, FERRY_OK, 0);
}

static int all_sent(struct ferry_run *run, struct ferry_error *reterr)
{
    if (!run->complete) {
        return ferry_error_set(reterr, FERRY_E_SHORT, "stream", NULL, 0,
                               "ALL_SENT came, but config, interrupts or the VMM's state "
                               "did not");
    }
    ferry_run_mark(run, FERRY_MARK_ALL_SENT);
    ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_OK, FERRY_MSG_ALL_SENT);
    return FERRY_OK;
}

/* --- records --- */

static int token(struct ferry_run *run, const struct ferry_record *record,
                 const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_stream_token came;
    int rc =
        ferry_stream_get_token(payload, (size_t)record->payload_bytes, &came, reterr);

    return rc < 0 ? rc
                  : ferry_stream_check_token(&came, record->tag, run->session_id,
                                             run->epoch, reterr);
}

static int reason(struct ferry_run *run, const struct ferry_record *record,
                  const uint8_t *payload, uint32_t message, struct ferry_error *reterr)
{
    struct ferry_stream_reason why;
    struct ferry_error error = { .code = FERRY_OK };
    int rc =
        ferry_stream_get_reason(payload, (size_t)record->payload_bytes, &why, reterr);

    if (rc < 0) {
        return rc;
    }
    ferry_error_set(&error, why.code, "peer", why.rule[0] ? why.rule : NULL, 0, "%s",
                    why.text);
    ferry_run_note(run, &error);
    ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, why.code, message);
    return FERRY_OK;
}

/*
 * A process that was asleep finds the word and the end of its wait at the same time. The
 * limit holds: the operator may have let the source go on since.
 */
static void limit_first(struct ferry_run *run)
{
    struct ferry_loop_timer *timer = &run->timer[FERRY_TIMER_PHASE];

    if (timer->deadline_ns != 0 && timer->deadline_ns <= ferry_os_now_ns()) {
        ferry_loop_timer_cancel(run->context->loop, timer);
        ferry_run_event(run, FERRY_EV_TIMER, FERRY_NO_DEVICE, FERRY_OK,
                        FERRY_TIMER_PHASE);
    }
}

static void note_token(struct ferry_run *run, uint32_t tag)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (tag == FERRY_REC_COMMIT) {
        limit_first(run);
        ferry_run_mark(run, FERRY_MARK_COMMIT);
    } else if (tag == FERRY_REC_PREPARED) {
        ferry_run_mark(run, FERRY_MARK_PREPARED);
    } else {
        /* The record has no room for a reason. */
        ferry_error_set(&error, FERRY_E_REFUSED, FERRY_HOST_LAYER, NULL, 0,
                        "the target could not run the devices and gave them back; its "
                        "own report says why");
        ferry_run_note(run, &error);
    }
}

static int message(struct ferry_run *run, const struct ferry_record *record,
                   const uint8_t *payload, struct ferry_error *reterr)
{
    int rc;

    switch ((enum ferry_record_tag)record->tag) {
    case FERRY_REC_PREPARED:
    case FERRY_REC_RETURN:
    case FERRY_REC_COMMIT:
        rc = token(run, record, payload, reterr);
        if (rc == FERRY_OK) {
            note_token(run, record->tag);
            ferry_run_event(run, FERRY_EV_MESSAGE, FERRY_NO_DEVICE, FERRY_OK,
                            record->tag == FERRY_REC_COMMIT     ? FERRY_MSG_COMMIT
                            : record->tag == FERRY_REC_PREPARED ? FERRY_MSG_PREPARED
                                                                : FERRY_MSG_RETURN);
        }
        return rc;
    case FERRY_REC_REFUSE:
        return reason(run, record, payload, FERRY_MSG_REFUSE, reterr);
    case FERRY_REC_ABORT:
        return reason(run, record, payload, FERRY_MSG_ABORT, reterr);
    case FERRY_REC_PREAMBLE:
        return ferry_run_receive_preamble(run, record, payload, reterr);
    case FERRY_REC_HELLO_DEVICE:
    case FERRY_REC_HELLO_V1:
    case FERRY_REC_HELLO_MEMORY:
    case FERRY_REC_HELLO:
        return ferry_run_receive_hello(run, record, payload, reterr);
    case FERRY_REC_CONNECTIONS:
        return ferry_lanes_receive(run, payload, (size_t)record->payload_bytes, reterr);
    case FERRY_REC_ACCEPT:
    case FERRY_REC_INITIAL_DONE:
    case FERRY_REC_RUNNING:
        return ferry_run_receive_answer(run, record, payload, reterr);
    case FERRY_REC_MEMORY_PAGES:
    case FERRY_REC_MEMORY_ZERO:
    case FERRY_REC_MEMORY_END:
    case FERRY_REC_DEVICE_DATA:
    case FERRY_REC_DEVICE_INITIAL:
    case FERRY_REC_DEVICE_END:
    case FERRY_REC_DEVICE_CONFIG:
    case FERRY_REC_DEVICE_IRQS:
    case FERRY_REC_VMM_STATE:
    case FERRY_REC_ALL_SENT:
    case FERRY_REC_ATTACH:
    case FERRY_REC_BARRIER:
    case FERRY_REC_PACKED:
    case FERRY_REC_FILE_END:
    case FERRY_REC_TAG_END:
        break;
    }
    return ferry_error_set(reterr, FERRY_E_MESSAGE, "stream", NULL, 0,
                           "record %s is not expected", ferry_record_name(record->tag));
}

static int loading(struct ferry_run *run, const struct ferry_record *record,
                   const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_stream_memory_end memory_end;
    struct ferry_stream_device_end device_end;
    size_t bytes = (size_t)record->payload_bytes;
    int rc;

    switch (record->tag) {
    case FERRY_REC_MEMORY_PAGES:
        return FERRY_OK; /* they are where they belong */
    case FERRY_REC_BARRIER:
        return FERRY_OK; /* it has been passed */
    case FERRY_REC_MEMORY_ZERO:
        return zero_pages(run, record, payload, reterr);
    case FERRY_REC_DEVICE_DATA:
        ferry_run_data_record(run, record);
        return FERRY_OK;
    case FERRY_REC_DEVICE_INITIAL:
        rc = ferry_stream_get_empty(record->tag, bytes, reterr);
        if (rc == FERRY_OK) {
            ferry_run_data_initial(run, record->device);
        }
        return rc;
    case FERRY_REC_DEVICE_END:
        rc = ferry_stream_get_device_end(payload, bytes, &device_end, reterr);
        if (rc == FERRY_OK) {
            ferry_run_data_end(run, record->device, &device_end);
        }
        return rc;
    case FERRY_REC_DEVICE_CONFIG:
        rc = device_config(run, record, payload, reterr);
        break;
    case FERRY_REC_DEVICE_IRQS:
        rc = device_irqs(run, record, payload, reterr);
        break;
    case FERRY_REC_VMM_STATE:
        rc = FERRY_OK; /* it is where it belongs */
        break;
    case FERRY_REC_MEMORY_END:
        rc = ferry_stream_get_memory_end(payload, bytes, &memory_end, reterr);
        if (rc == FERRY_OK) {
            rc = ferry_stream_order_memory_end(&run->order, &memory_end, reterr);
        }
        break;
    case FERRY_REC_ALL_SENT:
        rc = ferry_stream_get_empty(record->tag, bytes, reterr);
        return rc == FERRY_OK ? all_sent(run, reterr) : rc;
    default:
        return message(run, record, payload, reterr);
    }
    if (rc == FERRY_OK) {
        maybe_complete(run);
    }
    return rc;
}

static int record_here(void *user, const struct ferry_record *record, uint64_t stream_off,
                       const uint8_t *payload, struct ferry_error *reterr)
{
    struct ferry_run *run = user;
    int rc;

    (void)stream_off;
    if (run->ended) {
        return FERRY_OK;
    }
    rc = run->incoming ? loading(run, record, payload, reterr)
                       : message(run, record, payload, reterr);
    if (rc == FERRY_OK) {
        ferry_run_progress(run);
    } else if (rc == FERRY_E_CLOSED || rc == FERRY_E_IO) {
        /* A device's connection: of the link these codes say that nobody is there to be
         * told why. */
        rc = reterr->code = FERRY_E_DEVICE;
    }
    return rc;
}

static void room(void *user)
{
    struct ferry_run *run = user;

    ferry_loop_idle_start(run->context->loop, &run->producer);
}

static void down(void *user, const struct ferry_error *error)
{
    struct ferry_run *run = user;

    ferry_run_note(run, error);
    if (error->code != FERRY_E_CLOSED && error->code != FERRY_E_IO) {
        ferry_run_put_abort(run, error->code);
    }
    ferry_run_link_down(run, error);
}

const struct ferry_channel_sink ferry_run_sink = {
    .begin = begin,
    .place = place,
    .record = record_here,
    .room = room,
    .down = down,
};

/* --- actions of a target --- */

static void check(struct ferry_run *run)
{
    struct ferry_error error = { .code = FERRY_OK };
    int status = ferry_run_check_hello(run, &error);

    ferry_run_note(run, &error);
    ferry_run_event(run, FERRY_EV_CHECKED, FERRY_NO_DEVICE, status, 0);
}

static void load_vmm(struct ferry_run *run)
{
    struct ferry_context *context = run->context;
    struct ferry_error error = { .code = FERRY_OK };
    int status = FERRY_OK;

    if (context->ops.load_state) {
        status = context->ops.load_state(context->user, context, run->vmm,
                                         (size_t)run->vmm_bytes);
        if (status < 0) {
            ferry_error_set(&error, status, FERRY_HOST_LAYER, NULL, 0,
                            "the VMM does not take its state of %llu bytes: %s",
                            (unsigned long long)run->vmm_bytes,
                            ferry_status_text(status));
        }
    } else if (run->vmm_bytes > 0) {
        status = ferry_error_set(&error, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                                 "the source's VMM sent %llu bytes of its own state, and "
                                 "nobody takes them here",
                                 (unsigned long long)run->vmm_bytes);
    }
    ferry_run_note(run, &error);
    ferry_run_event(run, FERRY_EV_VMM_LOADED, FERRY_NO_DEVICE,
                    status < 0 ? status : FERRY_OK, 0);
}

static void discard(struct ferry_run *run)
{
    for (uint32_t i = 0; i < run->device_count; i++) {
        run->device[i].report.state = run->context->device[i]->state;
        if (run->device[i].touched) {
            ferry_host_device_close(run->context, i);
            run->discarded |= 1u << i;
        }
    }
}

int ferry_run_perform_receive(struct ferry_run *run, const struct ferry_action *action)
{
    switch (action->kind) {
    case FERRY_ACT_CHECK:
        check(run);
        return 1;
    case FERRY_ACT_LOAD_VMM:
        load_vmm(run);
        return 1;
    case FERRY_ACT_DISCARD:
        discard(run);
        return 1;
    default:
        return 0;
    }
}
