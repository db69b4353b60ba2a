/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_APPEND_H
#define FERRY_OS_APPEND_H

#include <stddef.h>
#include <stdio.h>

#include "ferry/error.h"

#define FERRY_OS_APPEND_PATH_MAX 4000u

/*
 * Opens a file for lines to be added at its end; made with mode 0600 when it is not
 * there. ret_fd: the caller closes it. Return: FERRY_OK; FERRY_E_NOT_FOUND (no such
 * folder), FERRY_E_PERMISSION, FERRY_E_LIMIT, FERRY_E_IO.
 */
int ferry_os_append_open(const char *path, int *ret_fd, struct ferry_error *reterr);

/*
 * Makes a file anew, empty and for its owner alone (mode 0600, also when it was there
 * before). ret_stream: the caller closes it. Return: as ferry_os_append_open().
 */
int ferry_os_fresh_open(const char *path, FILE **ret_stream, struct ferry_error *reterr);

/* Writes all of it, without SIGPIPE. fd: borrowed. Return: FERRY_OK, FERRY_E_IO. Thread:
 * any. */
int ferry_os_append(int fd, const void *data, size_t size);

#endif
