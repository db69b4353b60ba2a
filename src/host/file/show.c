/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/show.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "host/file/fields.h"

struct show {
    const struct ferry_show_ops *ops;
    void *user;
    struct ferry_show_summary *summary;
    struct ferry_file_reader *reader;
    uint32_t lost; /* 1: a rule was broken, or a record is gone: the order says nothing
                      of what follows */
    struct ferry_error first;
    struct ferry_error error;
    struct ferry_file_check check;
    struct ferry_fields fields;
};

static void note(struct show *show, const struct ferry_error *error)
{
    if (show->first.code == FERRY_OK) {
        show->first = *error;
    }
    show->lost = 1;
}

/* Who writes it shows in the second record. */
static void guess_side(struct ferry_file_check *check, const struct ferry_record *record)
{
    const uint32_t answers = 1u << FERRY_REC_ACCEPT | 1u << FERRY_REC_REFUSE;

    if (check->order.seen == 1u << FERRY_REC_PREAMBLE &&
        check->order.side == FERRY_STREAM_SOURCE && record->tag < FERRY_REC_TAG_END &&
        1u << record->tag & answers) {
        struct ferry_stream_preamble preamble = check->preamble;
        struct ferry_record first = { .tag = FERRY_REC_PREAMBLE,
                                      .device = FERRY_NO_DEVICE };

        ferry_file_check_init(check, FERRY_STREAM_TARGET);
        (void)ferry_stream_order_record(&check->order, &first, 0, NULL);
        check->preamble = preamble;
    }
}

static_assert(FERRY_REC_TAG_END <= FERRY_SHOW_TAGS, "each tag has its total");

static void count(struct show *show, const struct ferry_file_record *next)
{
    struct ferry_show_summary *summary = show->summary;
    const struct ferry_record *record = &next->record;
    uint64_t bytes = FERRY_RECORD_HEADER_BYTES + record->payload_bytes;
    uint32_t tag = next->unknown ? 0 : record->tag;

    summary->records++;
    summary->tag[tag].records++;
    summary->tag[tag].bytes += bytes;
    if (record->device < FERRY_SESSION_DEVICES_MAX) {
        summary->device[record->device].records++;
        summary->device[record->device].bytes += bytes;
    }
    summary->is_file |= record->tag == FERRY_REC_FILE_END;
}

/* rc: what the reader said of it; its detail is in show->error. */
static void tell(struct show *show, const struct ferry_file_record *next, int rc)
{
    const struct ferry_record *record = &next->record;
    struct ferry_show_record out = {
        .number = next->number,
        .stream_off = next->off,
        .file_off = next->file_off,
        .payload_bytes = record->payload_bytes,
        .checksum = record->checksum,
        .tag = record->tag,
        .flags = record->flags,
        .device = record->device,
        .channel = record->channel,
        .packed = next->packed,
        .checksum_ok = rc >= 0 || strcmp(show->error.rule, "STR-SUM-1") != 0,
        .device_name = "",
        .field = show->fields.field,
    };
    int status = rc < 0 ? rc : FERRY_OK;

    show->fields.count = 0;
    show->fields.used = 0;
    guess_side(&show->check, record);
    if (status == FERRY_OK && !show->lost) {
        status = ferry_file_check_record(&show->check, next, &show->error);
    }
    if (out.checksum_ok && !next->unknown) {
        struct ferry_error *reterr = status == FERRY_OK ? &show->error : NULL;
        int decoded =
            ferry_fields_decode(&show->fields, &show->check, record, next->payload,
                                &out.data, &out.data_bytes, reterr);

        status = status == FERRY_OK ? decoded : status;
    }
    if (record->device < show->check.order.device_count) {
        out.device_name = show->check.device[record->device].name;
    }
    if (status < 0) {
        show->summary->bad++;
        out.error = &show->error;
        note(show, &show->error);
    }
    out.field_count = show->fields.count;
    count(show, next);
    if (show->ops->record) {
        show->ops->record(show->user, &out);
    }
}

/* Return: as ferry_file_reader_resync(). */
static int skip(struct show *show, uint64_t file_off)
{
    struct ferry_error error = show->error;
    uint64_t skipped = 0;
    int rc;

    note(show, &error);
    rc = ferry_file_reader_resync(show->reader, &skipped, &show->error);
    show->summary->skipped_bytes += skipped;
    if (show->ops->gap) {
        show->ops->gap(show->user, file_off, rc == 1 ? skipped : 0, &error);
    }
    return rc;
}

static int walk(struct show *show)
{
    struct ferry_file_record next;
    int rc;

    while ((rc = ferry_file_reader_next(show->reader, &next, &show->error)) != 0) {
        if (rc == 1 || ferry_file_reader_whole(show->reader)) {
            tell(show, &next, rc);
            continue;
        }
        if (rc == FERRY_E_IO) {
            note(show, &show->error);
            return rc;
        }
        ferry_file_check_place(&next, &show->error);
        rc = skip(show, next.file_off);
        if (rc <= 0) {
            break;
        }
    }
    if (!show->lost &&
        ferry_file_check_end(&show->check, ferry_file_reader_offset(show->reader),
                             &show->error) < 0) {
        note(show, &show->error);
        if (show->ops->gap) {
            show->ops->gap(show->user, ferry_file_reader_bytes(show->reader), 0,
                           &show->error);
        }
    }
    return rc < 0 ? rc : FERRY_OK;
}

static void sum_up(const struct show *show)
{
    struct ferry_show_summary *summary = show->summary;

    summary->file_bytes = ferry_file_reader_bytes(show->reader);
    summary->stream_bytes = ferry_file_reader_offset(show->reader);
    summary->blocks = ferry_file_reader_blocks(show->reader);
    summary->version = show->check.preamble.version;
    summary->from_target = show->check.order.side == FERRY_STREAM_TARGET;
    if (!summary->from_target) {
        summary->device_count = show->check.order.device_count;
    }
    for (uint32_t i = 0; i < summary->device_count; i++) {
        memcpy(summary->device_name[i], show->check.device[i].name,
               sizeof(summary->device_name[i]));
    }
}

int ferry_stream_show(int fd, const struct ferry_show_ops *ops, void *user,
                      struct ferry_show_summary *ret_summary, struct ferry_error *reterr)
{
    struct ferry_show_ops own = { 0 };
    struct show *show = calloc(1, sizeof(*show));
    int rc = FERRY_E_MEMORY;

    memset(ret_summary, 0, sizeof(*ret_summary));
    memcpy(&own, ops, ops->struct_size < sizeof(own) ? ops->struct_size : sizeof(own));
    if (show) {
        rc = ferry_file_reader_create(fd, &show->reader);
    }
    if (rc < 0) {
        free(show);
        return ferry_error_set(reterr, rc, "host", NULL, 0,
                               "out of memory for reading a stream");
    }
    show->ops = &own;
    show->user = user;
    show->summary = ret_summary;
    ferry_file_check_init(&show->check, FERRY_STREAM_SOURCE);
    (void)walk(show);
    sum_up(show);
    rc = show->first.code;
    if (rc < 0 && reterr) {
        *reterr = show->first;
    }
    ferry_file_reader_destroy(show->reader);
    free(show);
    return rc;
}
