/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_FILE_PEER_H
#define FERRY_HOST_FILE_PEER_H

#include "host/channel/channel.h"
#include "host/file/reader.h"
#include "host/file/writer.h"
#include "ferry/host.h"

/*
 * A file at the other end of a migration's connection: it answers a source as a target
 * would (save.c), or sends a target what a source sent (restore.c). The sessions know
 * nothing of it. Belongs to a run. Thread: the loop's.
 */
struct ferry_file_peer {
    struct ferry_loop *loop;
    struct ferry_channel *channel;
    struct ferry_error error; /* the first failure with the file itself */
    uint8_t session_id[FERRY_STREAM_ID_BYTES];
    uint32_t epoch, device_count;

    /* save */
    struct ferry_file_writer *writer; /* NULL: restoring */
    uint32_t then;                    /* enum ferry_save_then */
    uint32_t whole;                   /* 1: everything up to FILE_END is written */
    uint32_t dropped;                 /* 1: source has given up, or the file failed */
    uint8_t *body;                    /* longest payload */

    /* restore */
    struct ferry_file_reader *reader;
    struct ferry_loop_idle producer;
    int fd;
    uint32_t waits;    /* 1: for ACCEPT */
    uint32_t finished; /* 1: nothing more to send but COMMIT */
};

/* The file's side of a save over fd, which it owns, also on failure; so with writer.
 * Return: FERRY_OK, FERRY_E_MEMORY, FERRY_E_IO. */
int ferry_file_peer_save(struct ferry_loop *loop, int fd, uint32_t then,
                         struct ferry_file_writer *writer,
                         struct ferry_file_peer **ret_peer);
/* The same of a restore; file: the open file at its start, owned. */
int ferry_file_peer_restore(struct ferry_loop *loop, int fd, int file,
                            struct ferry_file_peer **ret_peer);
/*
 * The run has ended with this report: a file that is whole and whose devices run on gets
 * its name now, while they do. Corrects outcome and error.
 */
void ferry_file_peer_end(struct ferry_file_peer *peer, struct ferry_report *report);
/* Removes what has no name yet. NULL: nothing. */
void ferry_file_peer_destroy(struct ferry_file_peer *peer);

/* peer.c: queues a record with a payload of put functions, for both sides. */
void ferry_file_peer_put_preamble(struct ferry_file_peer *peer);
void ferry_file_peer_put_token(struct ferry_file_peer *peer, uint16_t tag);
void ferry_file_peer_put_abort(struct ferry_file_peer *peer,
                               const struct ferry_error *error);

#endif
