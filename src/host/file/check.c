/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/file/check.h"

#include <stdio.h>
#include <string.h>

void ferry_file_check_init(struct ferry_file_check *check, uint32_t side)
{
    memset(check, 0, sizeof(*check));
    /* A target's stream alone does not say how many devices there are. */
    ferry_stream_order_init(&check->order, side,
                            side == FERRY_STREAM_TARGET ? FERRY_SESSION_DEVICES_MAX : 0,
                            1);
    for (uint32_t i = 0; i < FERRY_SESSION_DEVICES_MAX; i++) {
        ferry_stream_hash_init(&check->hash[i]);
    }
}

static int hello(struct ferry_file_check *check, const struct ferry_record *record,
                 const uint8_t *payload, struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    struct ferry_stream_hello_memory memory;
    struct ferry_stream_hello_v1 v1;
    int rc;

    if (record->tag == FERRY_REC_PREAMBLE) {
        return ferry_stream_get_preamble(payload, bytes, &check->preamble, reterr);
    }
    if (record->tag == FERRY_REC_HELLO_DEVICE) {
        return ferry_stream_get_hello_device(payload, bytes,
                                             &check->device[record->device], reterr);
    }
    if (record->tag == FERRY_REC_HELLO_V1) {
        return ferry_stream_get_hello_v1(payload, bytes, &v1, reterr);
    }
    if (record->tag == FERRY_REC_HELLO_MEMORY) {
        rc = ferry_stream_get_hello_memory(payload, bytes, &memory, reterr);
        if (rc == FERRY_OK) {
            rc = ferry_stream_order_hello_memory(&check->order, &memory, reterr);
        }
        if (rc == FERRY_OK) {
            check->memory[memory.index] = memory;
        }
        return rc;
    }
    rc = ferry_stream_get_hello(payload, bytes, &check->hello, reterr);
    return rc < 0 ? rc : ferry_stream_order_hello(&check->order, &check->hello, reterr);
}

static int memory_record(struct ferry_file_check *check,
                         const struct ferry_record *record, const uint8_t *payload,
                         struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    struct ferry_stream_order *order = &check->order;
    struct ferry_stream_memory_end end;
    struct ferry_stream_pages pages;
    struct ferry_stream_zero zero;
    struct ferry_stream_vmm vmm;
    int rc;

    if (record->tag == FERRY_REC_MEMORY_PAGES) {
        rc = ferry_stream_get_pages(payload, bytes, &pages, reterr);
        return rc < 0 ? rc
                      : ferry_stream_order_memory(order, pages.memory, pages.off,
                                                  pages.bytes, 0, reterr);
    }
    if (record->tag == FERRY_REC_MEMORY_ZERO) {
        rc = ferry_stream_get_zero(payload, bytes, &zero, reterr);
        return rc < 0 ? rc
                      : ferry_stream_order_memory(order, zero.memory, zero.off,
                                                  zero.bytes, 1, reterr);
    }
    if (record->tag == FERRY_REC_VMM_STATE) {
        rc = ferry_stream_get_vmm(payload, bytes, &vmm, reterr);
        return rc < 0 ? rc : ferry_stream_order_vmm(order, &vmm, reterr);
    }
    rc = ferry_stream_get_memory_end(payload, bytes, &end, reterr);
    return rc < 0 ? rc : ferry_stream_order_memory_end(order, &end, reterr);
}

static int device_record(struct ferry_file_check *check,
                         const struct ferry_record *record, const uint8_t *payload,
                         struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    uint32_t device = record->device;
    struct ferry_stream_config config;
    struct ferry_stream_device_end end;
    struct ferry_stream_irqs irqs;
    int rc;

    if (record->tag == FERRY_REC_DEVICE_DATA) {
        ferry_stream_hash_update(&check->hash[device], payload, bytes);
        check->device_bytes[device] += bytes;
        return FERRY_OK;
    }
    if (record->tag == FERRY_REC_DEVICE_CONFIG) {
        return ferry_stream_get_config(payload, bytes, &config, reterr);
    }
    if (record->tag == FERRY_REC_DEVICE_IRQS) {
        return ferry_stream_get_irqs(payload, bytes, &irqs, reterr);
    }
    rc = ferry_stream_get_device_end(payload, bytes, &end, reterr);
    return rc < 0
               ? rc
               : ferry_stream_check_device_end(&end, device, check->device_bytes[device],
                                               &check->hash[device], reterr);
}

static int answer(struct ferry_file_check *check, const struct ferry_record *record,
                  const uint8_t *payload, struct ferry_error *reterr)
{
    size_t bytes = (size_t)record->payload_bytes;
    struct ferry_stream_accept accept;
    struct ferry_stream_running running;
    struct ferry_stream_reason reason;
    struct ferry_stream_token token;
    int rc;

    if (record->tag == FERRY_REC_ACCEPT) {
        return ferry_stream_get_accept(payload, bytes, &accept, reterr);
    }
    if (record->tag == FERRY_REC_RUNNING) {
        return ferry_stream_get_running(payload, bytes, &running, reterr);
    }
    if (record->tag == FERRY_REC_REFUSE || record->tag == FERRY_REC_ABORT) {
        return ferry_stream_get_reason(payload, bytes, &reason, reterr);
    }
    rc = ferry_stream_get_token(payload, bytes, &token, reterr);
    return rc < 0
               ? rc
               : ferry_stream_check_token(&token, record->tag, check->preamble.session_id,
                                          check->preamble.epoch, reterr);
}

static int payload_of(struct ferry_file_check *check, const struct ferry_record *record,
                      const uint8_t *payload, struct ferry_error *reterr)
{
    switch ((enum ferry_record_tag)record->tag) {
    case FERRY_REC_PREAMBLE:
    case FERRY_REC_HELLO_DEVICE:
    case FERRY_REC_HELLO_V1:
    case FERRY_REC_HELLO_MEMORY:
    case FERRY_REC_HELLO:
        return hello(check, record, payload, reterr);
    case FERRY_REC_MEMORY_PAGES:
    case FERRY_REC_MEMORY_ZERO:
    case FERRY_REC_MEMORY_END:
    case FERRY_REC_VMM_STATE:
        return memory_record(check, record, payload, reterr);
    case FERRY_REC_DEVICE_DATA:
    case FERRY_REC_DEVICE_END:
    case FERRY_REC_DEVICE_CONFIG:
    case FERRY_REC_DEVICE_IRQS:
        return device_record(check, record, payload, reterr);
    case FERRY_REC_ACCEPT:
    case FERRY_REC_REFUSE:
    case FERRY_REC_PREPARED:
    case FERRY_REC_COMMIT:
    case FERRY_REC_RUNNING:
    case FERRY_REC_RETURN:
    case FERRY_REC_ABORT:
        return answer(check, record, payload, reterr);
    case FERRY_REC_DEVICE_INITIAL:
    case FERRY_REC_ALL_SENT:
    case FERRY_REC_INITIAL_DONE:
        return ferry_stream_get_empty(record->tag, (size_t)record->payload_bytes, reterr);
    case FERRY_REC_PACKED:      /* the reader's */
    case FERRY_REC_FILE_END:    /* compared by the reader */
    case FERRY_REC_CONNECTIONS: /* no file holds them: the order refuses them */
    case FERRY_REC_ATTACH:
    case FERRY_REC_BARRIER:
    case FERRY_REC_TAG_END:
        break;
    }
    return FERRY_OK;
}

/* What a target misses when ALL_SENT comes, the order of the stream aside. */
static int missing(const struct ferry_file_check *check, uint64_t off,
                   struct ferry_error *reterr)
{
    const uint32_t wanted = 1u << FERRY_REC_DEVICE_CONFIG | 1u << FERRY_REC_DEVICE_IRQS;

    for (uint32_t i = 0; i < check->order.device_count; i++) {
        if ((check->order.device_seen[i] & wanted) != wanted) {
            return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-ORD-5", off,
                                   "ALL_SENT came without config or interrupts of "
                                   "device %u",
                                   i);
        }
    }
    if (!ferry_stream_order_vmm_complete(&check->order)) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-ORD-5", off,
                               "ALL_SENT came without the VMM's state");
    }
    return FERRY_OK;
}

int ferry_file_check_record(struct ferry_file_check *check,
                            const struct ferry_file_record *record,
                            struct ferry_error *reterr)
{
    int rc;

    if (record->unknown) {
        return FERRY_OK;
    }
    rc = ferry_stream_order_record(&check->order, &record->record, record->off, reterr);
    if (rc == FERRY_OK && record->record.tag == FERRY_REC_ALL_SENT) {
        rc = missing(check, record->off, reterr);
    }
    return rc < 0 ? rc : payload_of(check, &record->record, record->payload, reterr);
}

int ferry_file_check_end(const struct ferry_file_check *check, uint64_t off,
                         struct ferry_error *reterr)
{
    return ferry_stream_order_end(&check->order, off, reterr);
}

int ferry_file_check_place(const struct ferry_file_record *record,
                           struct ferry_error *reterr)
{
    char text[sizeof(reterr->text)];

    memcpy(text, reterr->text, sizeof(text));
    snprintf(reterr->text, sizeof(reterr->text),
             "record %llu, at byte %llu of the file: %.180s",
             (unsigned long long)record->number, (unsigned long long)record->file_off,
             text);
    return reterr->code;
}
