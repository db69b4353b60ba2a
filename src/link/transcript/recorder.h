/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_TRANSCRIPT_RECORDER_H
#define FERRY_LINK_TRANSCRIPT_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

/*
 * Writes what a server hears and says to a file, as it happens. A failed write is kept
 * and ends the recording, never the serving.
 * Thread: the loop's thread only.
 */
struct ferry_recorder;

/* The file is for its owner alone: mode 0600. Return: FERRY_OK and *ret_recorder;
 * FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO, FERRY_E_MEMORY. */
int ferry_recorder_open(const char *path, struct ferry_recorder **ret_recorder,
                        struct ferry_error *reterr);
/* Return: FERRY_OK; FERRY_E_IO: the file is not complete. recorder: may be NULL. */
int ferry_recorder_close(struct ferry_recorder *recorder);

/* One message. head: header and what follows it; data: the rest, may be NULL. */
struct ferry_recorded {
    uint32_t connection, sender, fd_count, cut;
    const void *head, *data;
    size_t head_bytes, data_bytes;
};
void ferry_recorder_add(struct ferry_recorder *recorder,
                        const struct ferry_recorded *message);

#endif
