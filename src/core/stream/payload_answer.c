/* SPDX-License-Identifier: BSD-3-Clause */
/* Payloads that answer and decide: ACCEPT, REFUSE, PREPARED, COMMIT, RUNNING, ABORT. */
#include "core/stream/payload.h"

#include <assert.h>
#include <string.h>

#include "core/stream/decoder.h"

static void put_times(struct ferry_writer *writer, const struct ferry_stream_times *times,
                      uint32_t count)
{
    uint32_t i;

    assert(count <= FERRY_SESSION_DEVICES_MAX);
    for (i = 0; i < count; i++) {
        ferry_writer_u64(writer, times[i].load_ns);
        ferry_writer_u64(writer, times[i].run_ns);
    }
}

static uint32_t get_count(struct ferry_decoder *d)
{
    return ferry_decoder_u32_max(d, FERRY_SESSION_DEVICES_MAX, FERRY_E_LIMIT, "STR-PAY-3",
                                 "too many devices");
}

static void get_times(struct ferry_decoder *d, struct ferry_stream_times *times,
                      uint32_t count)
{
    uint32_t i;

    for (i = 0; i < count; i++) {
        times[i].load_ns = ferry_decoder_ns(d);
        times[i].run_ns = ferry_decoder_ns(d);
    }
}

void ferry_stream_put_accept(struct ferry_writer *writer,
                             const struct ferry_stream_accept *accept)
{
    ferry_writer_u64(writer, accept->load_rate_bytes_per_s);
    ferry_writer_u32(writer, accept->device_count);
    ferry_writer_u32(writer, 0);
    put_times(writer, accept->device, accept->device_count);
}

int ferry_stream_get_accept(const void *payload, size_t bytes,
                            struct ferry_stream_accept *ret_accept,
                            struct ferry_error *reterr)
{
    struct ferry_stream_accept accept;
    struct ferry_decoder d;
    int rc;

    memset(&accept, 0, sizeof(accept));
    ferry_decoder_init(&d, FERRY_REC_ACCEPT, payload, bytes, reterr);
    accept.load_rate_bytes_per_s = ferry_reader_u64(&d.reader);
    accept.device_count = get_count(&d);
    ferry_decoder_reserved(&d);
    get_times(&d, accept.device, accept.device_count);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_accept = accept;
    }
    return rc;
}

void ferry_stream_put_running(struct ferry_writer *writer,
                              const struct ferry_stream_running *running)
{
    ferry_writer_u64(writer, running->prepare_ns);
    ferry_writer_u64(writer, running->run_ns);
    ferry_writer_u32(writer, running->device_count);
    ferry_writer_u32(writer, running->lost);
    put_times(writer, running->device, running->device_count);
}

int ferry_stream_get_running(const void *payload, size_t bytes,
                             struct ferry_stream_running *ret_running,
                             struct ferry_error *reterr)
{
    struct ferry_stream_running running;
    struct ferry_decoder d;
    int rc;

    memset(&running, 0, sizeof(running));
    ferry_decoder_init(&d, FERRY_REC_RUNNING, payload, bytes, reterr);
    running.prepare_ns = ferry_decoder_ns(&d);
    running.run_ns = ferry_decoder_ns(&d);
    running.device_count = get_count(&d);
    running.lost = ferry_reader_u32(&d.reader);
    get_times(&d, running.device, running.device_count);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_running = running;
    }
    return rc;
}

void ferry_stream_put_reason(struct ferry_writer *writer,
                             const struct ferry_stream_reason *reason)
{
    ferry_writer_u32(writer, (uint32_t)reason->code);
    ferry_writer_u32(writer, 0);
    ferry_stream_put_text(writer, reason->rule, sizeof(reason->rule));
    ferry_stream_put_text(writer, reason->text, sizeof(reason->text));
}

int ferry_stream_get_reason(const void *payload, size_t bytes,
                            struct ferry_stream_reason *ret_reason,
                            struct ferry_error *reterr)
{
    struct ferry_stream_reason reason;
    struct ferry_decoder d;
    uint32_t code;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_ABORT, payload, bytes, reterr);
    code = ferry_reader_u32(&d.reader);
    /* Negative codes in two's complement: 0xffffffff is -1. */
    if (code < (uint32_t)FERRY_E_END + 1) {
        ferry_decoder_fail(&d, FERRY_E_PROTOCOL, "STR-PAY-6", 0, "no error's code", code);
        code = (uint32_t)FERRY_E_PROTOCOL;
    }
    reason.code = -(int32_t)(~code + 1);
    ferry_decoder_reserved(&d);
    ferry_decoder_text(&d, reason.rule, sizeof(reason.rule));
    ferry_decoder_text(&d, reason.text, sizeof(reason.text));
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_reason = reason;
    }
    return rc;
}

static void copy_printable(char *to, const char *from, size_t cap)
{
    size_t i;

    memset(to, 0, cap);
    for (i = 0; i + 1 < cap && from[i]; i++) {
        to[i] = from[i] < 0x20 || from[i] > 0x7e ? '?' : from[i];
    }
}

void ferry_stream_reason_from_error(const struct ferry_error *error,
                                    struct ferry_stream_reason *ret_reason)
{
    ret_reason->code =
        error->code < 0 && error->code > FERRY_E_END ? error->code : FERRY_E_CANCELLED;
    copy_printable(ret_reason->rule, error->rule, sizeof(ret_reason->rule));
    copy_printable(ret_reason->text, error->text, sizeof(ret_reason->text));
}

void ferry_stream_put_token(struct ferry_writer *writer,
                            const struct ferry_stream_token *token)
{
    ferry_writer_bytes(writer, token->session_id, FERRY_STREAM_ID_BYTES);
    ferry_writer_u32(writer, token->epoch);
    ferry_writer_u32(writer, 0);
}

int ferry_stream_get_token(const void *payload, size_t bytes,
                           struct ferry_stream_token *ret_token,
                           struct ferry_error *reterr)
{
    struct ferry_stream_token token;
    struct ferry_decoder d;
    int rc;

    ferry_decoder_init(&d, FERRY_REC_COMMIT, payload, bytes, reterr);
    ferry_reader_bytes(&d.reader, token.session_id, FERRY_STREAM_ID_BYTES);
    token.epoch = ferry_reader_u32(&d.reader);
    ferry_decoder_reserved(&d);
    rc = ferry_decoder_end(&d);
    if (rc == FERRY_OK) {
        *ret_token = token;
    }
    return rc;
}

int ferry_stream_check_token(const struct ferry_stream_token *token, uint32_t tag,
                             const uint8_t *session_id, uint32_t epoch,
                             struct ferry_error *reterr)
{
    if (memcmp(token->session_id, session_id, FERRY_STREAM_ID_BYTES) != 0) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "stream", "STR-ID-1", 0,
                               "%s is about another session", ferry_record_name(tag));
    }
    if (token->epoch != epoch) {
        return ferry_error_set(reterr, FERRY_E_FOREIGN, "stream", "STR-ID-1", 16,
                               "%s is about epoch %u, not %u", ferry_record_name(tag),
                               token->epoch, epoch);
    }
    return FERRY_OK;
}

int ferry_stream_get_empty(uint32_t tag, size_t bytes, struct ferry_error *reterr)
{
    if (bytes != 0) {
        return ferry_error_set(reterr, FERRY_E_LONG, "stream", "STR-PAY-1", 0,
                               "%s has no payload, %zu bytes came",
                               ferry_record_name(tag), bytes);
    }
    return FERRY_OK;
}
