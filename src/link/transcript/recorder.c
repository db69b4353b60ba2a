/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "link/transcript/recorder.h"
#include "os/append.h"
#include "wire/transcript.h"

struct ferry_recorder {
    FILE *file;
    uint32_t number;
    int failed;
};

int ferry_recorder_open(const char *path, struct ferry_recorder **ret_recorder,
                        struct ferry_error *reterr)
{
    struct ferry_recorder *recorder = calloc(1, sizeof(*recorder));
    uint8_t head[FERRY_TRANSCRIPT_HEAD_BYTES];
    int rc;

    if (!recorder) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "link", NULL, 0, "out of memory");
    }
    /* What devices tell of themselves may hold keys. */
    rc = ferry_os_fresh_open(path, &recorder->file, reterr);
    if (rc < 0) {
        free(recorder);
        return rc;
    }
    ferry_transcript_head_encode(head);
    recorder->failed = fwrite(head, sizeof(head), 1, recorder->file) != 1;
    *ret_recorder = recorder;
    return FERRY_OK;
}

int ferry_recorder_close(struct ferry_recorder *recorder)
{
    int failed;

    if (!recorder) {
        return FERRY_OK;
    }
    failed = recorder->failed;
    failed |= fclose(recorder->file) != 0;
    free(recorder);
    return failed ? FERRY_E_IO : FERRY_OK;
}

void ferry_recorder_add(struct ferry_recorder *recorder,
                        const struct ferry_recorded *message)
{
    const struct ferry_transcript_record record = {
        .number = recorder->number + 1,
        .connection = message->connection,
        .bytes = (uint32_t)(message->head_bytes + message->data_bytes),
        .fd_count = message->fd_count,
        .sender = message->sender,
        .cut = message->cut,
    };
    uint8_t head[FERRY_TRANSCRIPT_RECORD_BYTES];

    if (recorder->failed) {
        return;
    }
    ferry_transcript_record_encode(&record, head);
    if (fwrite(head, sizeof(head), 1, recorder->file) != 1 ||
        fwrite(message->head, message->head_bytes, 1, recorder->file) != 1 ||
        (message->data_bytes > 0 &&
         fwrite(message->data, message->data_bytes, 1, recorder->file) != 1)) {
        recorder->failed = 1;
        return;
    }
    recorder->number++;
    /* A killed server's transcript is the one that is wanted most. */
    recorder->failed = fflush(recorder->file) != 0;
}
