/* SPDX-License-Identifier: BSD-3-Clause */
/* Fuzzes the reader of transcripts: what it returns lies inside the input, in order. */
#include <stdlib.h>

#include "wire/transcript.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ferry_transcript_reader reader;
    struct ferry_transcript_record record;
    struct ferry_error error;
    const uint8_t *last = data;
    int rc = ferry_transcript_begin(&reader, data, size, &error);

    while (rc == FERRY_OK) {
        rc = ferry_transcript_next(&reader, &record, &error);
        if (rc <= 0) {
            break;
        }
        if (record.message < last || record.message + record.bytes > data + size ||
            record.fd_count > FERRY_TRANSCRIPT_FDS_MAX) {
            abort();
        }
        last = record.message + record.bytes;
        rc = FERRY_OK;
    }
    if (rc < 0 && error.code != rc) {
        abort();
    }
    return 0;
}
