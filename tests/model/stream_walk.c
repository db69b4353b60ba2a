/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream_sample.h"

#include <string.h>

/* What a receiver keeps. */
struct receiver {
    struct walk *walk;
    const uint8_t *data; /* the whole stream */
    struct ferry_stream_order order;
    struct ferry_stream_preamble preamble;
    struct ferry_stream_hash hash[FERRY_SESSION_DEVICES_MAX];
    uint64_t bytes[FERRY_SESSION_DEVICES_MAX];
    struct ferry_error *reterr;
};

static int take_hello(struct receiver *r, uint32_t tag, const uint8_t *data, size_t bytes)
{
    struct ferry_stream_hello_device device;
    struct ferry_stream_hello_v1 v1;
    struct ferry_stream_hello_memory memory;
    struct ferry_stream_hello hello;
    int rc;

    if (tag == FERRY_REC_PREAMBLE) {
        return ferry_stream_get_preamble(data, bytes, &r->preamble, r->reterr);
    }
    if (tag == FERRY_REC_HELLO_DEVICE) {
        return ferry_stream_get_hello_device(data, bytes, &device, r->reterr);
    }
    if (tag == FERRY_REC_HELLO_V1) {
        return ferry_stream_get_hello_v1(data, bytes, &v1, r->reterr);
    }
    if (tag == FERRY_REC_HELLO_MEMORY) {
        rc = ferry_stream_get_hello_memory(data, bytes, &memory, r->reterr);
        return rc ? rc : ferry_stream_order_hello_memory(&r->order, &memory, r->reterr);
    }
    rc = ferry_stream_get_hello(data, bytes, &hello, r->reterr);
    return rc ? rc : ferry_stream_order_hello(&r->order, &hello, r->reterr);
}

static int take_memory(struct receiver *r, uint32_t tag, const uint8_t *data,
                       size_t bytes)
{
    struct ferry_stream_pages pages;
    struct ferry_stream_zero zero;
    struct ferry_stream_memory_end end;
    struct ferry_stream_vmm vmm;
    int rc;

    if (tag == FERRY_REC_MEMORY_PAGES) {
        rc = ferry_stream_get_pages(data, bytes, &pages, r->reterr);
        return rc ? rc
                  : ferry_stream_order_memory(&r->order, pages.memory, pages.off,
                                              pages.bytes, 0, r->reterr);
    }
    if (tag == FERRY_REC_MEMORY_ZERO) {
        rc = ferry_stream_get_zero(data, bytes, &zero, r->reterr);
        return rc ? rc
                  : ferry_stream_order_memory(&r->order, zero.memory, zero.off,
                                              zero.bytes, 1, r->reterr);
    }
    if (tag == FERRY_REC_VMM_STATE) {
        rc = ferry_stream_get_vmm(data, bytes, &vmm, r->reterr);
        return rc ? rc : ferry_stream_order_vmm(&r->order, &vmm, r->reterr);
    }
    rc = ferry_stream_get_memory_end(data, bytes, &end, r->reterr);
    return rc ? rc : ferry_stream_order_memory_end(&r->order, &end, r->reterr);
}

static int take_device(struct receiver *r, const struct ferry_record *record,
                       const uint8_t *data, size_t bytes)
{
    struct ferry_stream_device_end end;
    struct ferry_stream_config config;
    struct ferry_stream_irqs irqs;
    uint32_t device = record->device;
    int rc;

    if (record->tag == FERRY_REC_DEVICE_DATA) {
        ferry_stream_hash_update(&r->hash[device], data, bytes);
        r->bytes[device] += bytes;
        return FERRY_OK;
    }
    if (record->tag == FERRY_REC_DEVICE_CONFIG) {
        return ferry_stream_get_config(data, bytes, &config, r->reterr);
    }
    if (record->tag == FERRY_REC_DEVICE_IRQS) {
        return ferry_stream_get_irqs(data, bytes, &irqs, r->reterr);
    }
    rc = ferry_stream_get_device_end(data, bytes, &end, r->reterr);
    if (rc == FERRY_OK) {
        rc = ferry_stream_check_device_end(&end, device, r->bytes[device],
                                           &r->hash[device], r->reterr);
    }
    return r->walk->lenient ? FERRY_OK : rc;
}

static int take_answer(struct receiver *r, uint32_t tag, const uint8_t *data,
                       size_t bytes)
{
    struct ferry_stream_accept accept;
    struct ferry_stream_running running;
    struct ferry_stream_reason reason;
    struct ferry_stream_token token;
    int rc;

    if (tag == FERRY_REC_ACCEPT) {
        return ferry_stream_get_accept(data, bytes, &accept, r->reterr);
    }
    if (tag == FERRY_REC_RUNNING) {
        return ferry_stream_get_running(data, bytes, &running, r->reterr);
    }
    if (tag == FERRY_REC_REFUSE || tag == FERRY_REC_ABORT) {
        return ferry_stream_get_reason(data, bytes, &reason, r->reterr);
    }
    rc = ferry_stream_get_token(data, bytes, &token, r->reterr);
    return rc ? rc
              : ferry_stream_check_token(&token, tag, r->preamble.session_id,
                                         r->preamble.epoch, r->reterr);
}

static int take_file_end(struct receiver *r, const uint8_t *data, size_t bytes)
{
    struct ferry_stream_file_end end;
    struct ferry_stream_hash hash;
    int rc = ferry_stream_get_file_end(data, bytes, &end, r->reterr);

    if (rc == FERRY_OK && !r->walk->lenient) {
        ferry_stream_hash_init(&hash);
        ferry_stream_hash_update(&hash, r->data, (size_t)r->walk->end);
        rc = ferry_stream_check_file_end(&end, r->walk->records, r->walk->end, &hash,
                                         r->reterr);
    }
    return rc;
}

static int take_payload(struct receiver *r, const struct ferry_record *record,
                        const uint8_t *data, size_t bytes)
{
    struct ferry_stream_connections connections;
    struct ferry_stream_barrier barrier;

    switch ((enum ferry_record_tag)record->tag) {
    case FERRY_REC_PREAMBLE:
    case FERRY_REC_HELLO_DEVICE:
    case FERRY_REC_HELLO_V1:
    case FERRY_REC_HELLO_MEMORY:
    case FERRY_REC_HELLO:
        return take_hello(r, record->tag, data, bytes);
    case FERRY_REC_MEMORY_PAGES:
    case FERRY_REC_MEMORY_ZERO:
    case FERRY_REC_MEMORY_END:
    case FERRY_REC_VMM_STATE:
        return take_memory(r, record->tag, data, bytes);
    case FERRY_REC_DEVICE_DATA:
    case FERRY_REC_DEVICE_END:
    case FERRY_REC_DEVICE_CONFIG:
    case FERRY_REC_DEVICE_IRQS:
        return take_device(r, record, data, bytes);
    case FERRY_REC_ACCEPT:
    case FERRY_REC_REFUSE:
    case FERRY_REC_PREPARED:
    case FERRY_REC_COMMIT:
    case FERRY_REC_RUNNING:
    case FERRY_REC_RETURN:
    case FERRY_REC_ABORT:
        return take_answer(r, record->tag, data, bytes);
    case FERRY_REC_DEVICE_INITIAL:
    case FERRY_REC_ALL_SENT:
    case FERRY_REC_INITIAL_DONE:
        return ferry_stream_get_empty(record->tag, bytes, r->reterr);
    case FERRY_REC_FILE_END:
        return take_file_end(r, data, bytes);
    case FERRY_REC_CONNECTIONS:
        return ferry_stream_get_connections(data, bytes, &connections, r->reterr);
    case FERRY_REC_BARRIER:
        return ferry_stream_get_barrier(data, bytes, &barrier, r->reterr);
    case FERRY_REC_ATTACH:
    case FERRY_REC_PACKED:
    case FERRY_REC_TAG_END:
        break;
    }
    return FERRY_E_MESSAGE;
}

/* One record at data; *ret_used: its bytes. */
static int take_record(struct receiver *r, const uint8_t *data, size_t size, uint64_t off,
                       size_t *ret_used)
{
    const uint8_t *payload = data + FERRY_RECORD_HEADER_BYTES;
    struct ferry_record record;
    int known, rc;

    if (size < FERRY_RECORD_HEADER_BYTES) {
        return ferry_error_set(r->reterr, FERRY_E_SHORT, "test", NULL, off, "cut header");
    }
    known = ferry_record_decode(data, off, &record, r->reterr);
    if (known < 0) {
        return known;
    }
    if (known == FERRY_OK) {
        rc = ferry_stream_order_record(&r->order, &record, off, r->reterr);
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    if (record.payload_bytes > size - FERRY_RECORD_HEADER_BYTES) {
        return ferry_error_set(r->reterr, FERRY_E_SHORT, "test", NULL, off,
                               "cut payload");
    }
    *ret_used = FERRY_RECORD_HEADER_BYTES + (size_t)record.payload_bytes;
    rc = ferry_record_check(
        &record, ferry_record_checksum(&record, payload, (size_t)record.payload_bytes),
        off, r->reterr);
    if (rc != FERRY_OK && !r->walk->lenient) {
        return rc;
    }
    if (known == FERRY_RECORD_SKIP) {
        r->walk->skipped++;
        return FERRY_OK;
    }
    return take_payload(r, &record, payload, (size_t)record.payload_bytes);
}

int walk_stream(struct walk *walk, const uint8_t *data, size_t size,
                struct ferry_error *reterr)
{
    struct receiver r;
    uint32_t i;

    memset(&r.preamble, 0, sizeof(r.preamble));
    r.walk = walk;
    r.data = data;
    r.reterr = reterr;
    ferry_stream_order_init(&r.order, walk->side,
                            walk->side == FERRY_STREAM_TARGET ? SAMPLE_DEVICES : 0,
                            walk->one_way);
    for (i = 0; i < FERRY_REC_TAG_END; i++) {
        if (walk->sent & 1u << i) {
            ferry_stream_order_sent(&r.order, i);
        }
    }
    for (i = 0; i < FERRY_SESSION_DEVICES_MAX; i++) {
        ferry_stream_hash_init(&r.hash[i]);
        r.bytes[i] = 0;
    }
    walk->records = walk->skipped = 0;
    walk->end = 0;
    while (walk->end < size) {
        size_t used = 0;
        int rc =
            take_record(&r, data + walk->end, size - (size_t)walk->end, walk->end, &used);

        if (rc != FERRY_OK) {
            return rc;
        }
        walk->records++;
        walk->end += used;
    }
    return ferry_stream_order_end(&r.order, walk->end, reterr);
}
