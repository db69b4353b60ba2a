/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_DRAFT_H
#define FERRY_OS_DRAFT_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "os/file.h"

/*
 * A file that is written piece by piece and gets its name only when it is whole: until
 * then it has none, so that nothing of it is left when the process is killed, or where
 * the file system cannot do that lies beside it under another one. What is there already
 * under that name stays until it is replaced at once. Mode 0600, close-on-exec. Thread:
 * not thread safe.
 */
struct ferry_os_draft {
    int fd;       /* -1: none */
    int direct;   /* 1: no regular file (a device, a pipe, a descriptor): no renaming */
    int nameless; /* 1: it has no name before it is whole */
    int piped;    /* 1: somebody is at the other end, who may go away or not read */
    char path[FERRY_OS_PATH_MAX + 1];
    char temp[FERRY_OS_PATH_MAX + 32];
};

/*
 * Begins one. A name that stands for something else than a regular file (/dev/stdout, a
 * pipe) is written to directly.
 * Return: FERRY_OK; FERRY_E_LIMIT (path too long), FERRY_E_NOT_FOUND, FERRY_E_PERMISSION,
 *   FERRY_E_IO.
 */
int ferry_os_draft_open(const char *path, struct ferry_os_draft *ret_draft,
                        struct ferry_error *reterr);
/* The same into a descriptor, which it owns. */
void ferry_os_draft_fd(int fd, struct ferry_os_draft *ret_draft);
/* Longest time that one write waits for who reads the other end of a pipe. */
#define FERRY_OS_DRAFT_WAIT_MS 2000u

/* Return: FERRY_OK; FERRY_E_IO, also for a full disk or a pipe whose reader has gone (no
 * SIGPIPE); FERRY_E_TIMEOUT (a pipe that nobody reads). */
int ferry_os_draft_write(struct ferry_os_draft *draft, const void *data, size_t size,
                         struct ferry_error *reterr);
/* Puts what was written on disk. FERRY_OK, FERRY_E_IO. */
int ferry_os_draft_sync(struct ferry_os_draft *draft, struct ferry_error *reterr);
/*
 * Gives it its name, closes it. FERRY_OK; else nothing has that name that had not before
 * (FERRY_E_IO may also say that the name could not be made durable).
 */
int ferry_os_draft_publish(struct ferry_os_draft *draft, struct ferry_error *reterr);
/* Removes what was written; nothing to do after publish. */
void ferry_os_draft_drop(struct ferry_os_draft *draft);

/* Opens a file to read it from its start to its end. FERRY_OK, FERRY_E_NOT_FOUND,
 * FERRY_E_PERMISSION, FERRY_E_IO. */
int ferry_os_file_open(const char *path, int *ret_fd, struct ferry_error *reterr);
/* Reads until size bytes are here or the file ends. FERRY_OK; FERRY_E_IO. */
int ferry_os_file_take(int fd, void *ret_data, size_t size, size_t *ret_got,
                       struct ferry_error *reterr);
/* Back to the start. FERRY_OK; FERRY_E_UNSUPPORTED (a pipe). */
int ferry_os_file_rewind(int fd);

#endif
