/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TRANSCRIPT_H
#define FERRY_TRANSCRIPT_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Replays what a vfio-user client once said to a server (ferry_server_options.record,
 * `ferry serve --record`) to another one, and compares what that answers.
 */

/* What need not be the same: part of the payload of a command's messages. */
struct ferry_replay_mask {
    uint32_t command; /* number of the command (ferry_replay_command()) */
    uint32_t off;     /* first byte of the payload, behind the header's 16 bytes */
    uint32_t size;    /* bytes; 0: the whole payload, and its size too */
    uint32_t pad;
};

struct ferry_replay_options {
    size_t struct_size;
    /*
     * Makes a connection to the server; called once for each connection of the file.
     * ret_fd: a connected stream socket, given away. Return: FERRY_OK or a code.
     */
    int (*connect)(void *user, int *ret_fd, struct ferry_error *reterr);
    void *user;
    const struct ferry_replay_mask *mask; /* borrowed for the call; NULL: none */
    size_t mask_count;
    uint32_t timeout_ms; /* longest wait for an answer; 0: 5000 */
    uint32_t pad;
};

struct ferry_replay_result {
    uint32_t sent;     /* messages that were sent */
    uint32_t compared; /* messages of the server that were the same */
    /* The first difference; number 0: there is none. */
    uint32_t number;  /* of the message in the file */
    uint32_t command; /* its command */
    uint64_t offset;  /* in the message, from the header's first byte */
    uint64_t wanted, got;
    char field[32]; /* "error", "size", "payload", "descriptors", "message" */
};

/*
 * Return: FERRY_OK; FERRY_E_INCOMPATIBLE (a message differs, or did not come: ret_result
 *   and reterr say which); FERRY_E_FOREIGN, _VERSION, _SHORT, _PROTOCOL, _LIMIT (the file
 *   is no sound transcript), FERRY_E_NOT_FOUND, FERRY_E_PERMISSION, FERRY_E_IO,
 *   FERRY_E_MEMORY, or what connect returned. ret_result is written in all cases.
 * Thread: any; the call waits for the server.
 */
FERRY_PUBLIC int ferry_replay(const char *path,
                              const struct ferry_replay_options *options,
                              struct ferry_replay_result *ret_result,
                              struct ferry_error *reterr);

/* Number of a command ("DMA_MAP"). Return: > 0; FERRY_E_NOT_FOUND. */
FERRY_PUBLIC int ferry_replay_command(const char *name);
/* Name of a command's number; "unknown command" for others. Return: static. */
FERRY_PUBLIC const char *ferry_replay_command_name(uint32_t command);

#ifdef __cplusplus
}
#endif

#endif
