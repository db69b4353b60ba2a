/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fuzzes the reader of files: unpacking, the check before a restore, and show. The first
 * byte of an input says whether checksums are put right before (bit 0), or no change
 * would ever get past them; the rest is the file.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"
#include "ferry/show.h"
#include "host/file/check.h"

#define FILE_MAX (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t file[FILE_MAX];

/* Seals every record of the file again, as far as records follow each other. */
static void put_right(size_t size)
{
    size_t at = 0;

    while (size - at >= FERRY_RECORD_HEADER_BYTES) {
        uint64_t bytes = ferry_load_le64(file + at + 16);
        struct ferry_record record = { .tag = ferry_load_le16(file + at + 4),
                                       .flags = ferry_load_le16(file + at + 6),
                                       .device = ferry_load_le32(file + at + 8) };

        if (bytes > size - at - FERRY_RECORD_HEADER_BYTES) {
            return;
        }
        ferry_store_le64(file + at + 24,
                         ferry_record_checksum(&record,
                                               file + at + FERRY_RECORD_HEADER_BYTES,
                                               (size_t)bytes));
        at += FERRY_RECORD_HEADER_BYTES + (size_t)bytes;
    }
}

/* A refusal is explained in bounded text. */
static void judge(int rc, const struct ferry_error *error)
{
    if (rc < 0 && (error->code != rc || error->text[0] == '\0' ||
                   !memchr(error->text, '\0', sizeof(error->text)) ||
                   !memchr(error->rule, '\0', sizeof(error->rule)))) {
        abort();
    }
}

static int check(int fd)
{
    struct ferry_file_check *checker = malloc(sizeof(*checker));
    struct ferry_file_reader *reader = NULL;
    struct ferry_file_record record;
    struct ferry_error error = { .code = FERRY_OK };
    int rc;

    if (!checker || ferry_file_reader_create(fd, &reader) < 0) {
        abort();
    }
    ferry_file_check_init(checker, FERRY_STREAM_SOURCE);
    while ((rc = ferry_file_reader_next(reader, &record, &error)) == 1) {
        rc = ferry_file_check_record(checker, &record, &error);
        if (rc < 0) {
            break;
        }
    }
    if (rc == 0) {
        rc = ferry_file_check_end(checker, ferry_file_reader_offset(reader), &error);
    }
    judge(rc, &error);
    ferry_file_reader_destroy(reader);
    free(checker);
    return rc;
}

static void look(void *user, const struct ferry_show_record *record)
{
    uint64_t *sum = user;

    /* Reads all that it is given, so that a sanitizer sees what is not there. */
    for (uint32_t i = 0; i < record->field_count; i++) {
        *sum += strlen(record->field[i].name) + record->field[i].number;
        *sum += record->field[i].text ? strlen(record->field[i].text) : 0;
    }
    for (size_t i = 0; i < record->data_bytes; i++) {
        *sum += record->data[i];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct ferry_show_ops ops = { .struct_size = sizeof(ops), .record = look };
    struct ferry_show_summary summary;
    struct ferry_error error = { .code = FERRY_OK };
    static int fd = -1;
    uint64_t sum = 0;
    int checked, shown;

    if (size < 1 || size - 1 > FILE_MAX) {
        return 0;
    }
    if (fd < 0) {
        char path[] = "/tmp/ferry-fuzz-XXXXXX";

        fd = mkstemp(path);
        if (fd < 0 || unlink(path) < 0) {
            abort();
        }
    }
    memcpy(file, data + 1, size - 1);
    if (data[0] & 1) {
        put_right(size - 1);
    }
    if (ftruncate(fd, 0) < 0 || pwrite(fd, file, size - 1, 0) != (ssize_t)(size - 1) ||
        lseek(fd, 0, SEEK_SET) != 0) {
        abort();
    }
    checked = check(fd);
    if (lseek(fd, 0, SEEK_SET) != 0) {
        abort();
    }
    shown = ferry_stream_show(fd, &ops, &sum, &summary, &error);
    judge(shown, &error);
    /* What may be restored is shown as right. */
    if (checked == FERRY_OK && shown != FERRY_OK) {
        abort();
    }
    return 0;
}
