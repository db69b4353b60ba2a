/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_TRANSCRIPT_REPLAY_H
#define FERRY_LINK_TRANSCRIPT_REPLAY_H

#include "base/writer.h"
#include "ferry/transcript.h"
#include "link/message/rx.h"
#include "wire/command.h"
#include "wire/transcript.h"

/* The inside of ferry_replay(), shared by its files. */

#define FERRY_REPLAY_IDS 64u   /* commands of the server that wait for their reply */
#define FERRY_REPLAY_STASH 64u /* messages that came before it was their turn */

struct ferry_replay_stash {
    struct ferry_replay_stash *next;
    uint32_t bytes;
    uint32_t fd_count;
    uint8_t message[];
};

struct ferry_replay {
    struct ferry_replay_options options;
    struct ferry_replay_result *result;
    struct ferry_rx rx;
    int fd;
    int open;                         /* rx is in use */
    struct ferry_replay_stash *stash; /* oldest first */
    uint32_t stash_count;
    struct {
        uint16_t then, now;
        int used;
    } id[FERRY_REPLAY_IDS];
};

/* Closes the connection and forgets what came. */
void ferry_replay_disconnect(struct ferry_replay *replay);

/* Waits for the message that a record of the server's is about, and compares them. */
int ferry_replay_compare(struct ferry_replay *replay,
                         const struct ferry_transcript_record *record,
                         struct ferry_error *reterr);

/* Notes the first difference. Return: FERRY_E_INCOMPATIBLE. */
int ferry_replay_differs(struct ferry_replay *replay,
                         const struct ferry_transcript_record *record, const char *field,
                         uint64_t offset, uint64_t wanted, uint64_t got,
                         struct ferry_error *reterr);

#endif
