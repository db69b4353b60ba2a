/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_FILE_H
#define FERRY_OS_FILE_H

#include <stddef.h>

#include "ferry/error.h"

#define FERRY_OS_PATH_MAX 4000u

/*
 * Creates a file that did not exist, with this content, mode 0600. First writer wins,
 * also among hosts that share the file system; a reader finds no file or the whole
 * content; file and folder are on disk when it returns FERRY_OK.
 * Return: FERRY_OK; FERRY_E_EXISTS (somebody was first; his content stands);
 *   FERRY_E_NOT_FOUND (no such folder), FERRY_E_PERMISSION, FERRY_E_LIMIT (path too
 *   long), FERRY_E_IO: it is not known to be there; read it to find out.
 * Thread: any, and any process.
 */
int ferry_os_file_create_once(const char *path, const void *data, size_t size,
                              struct ferry_error *reterr);

/*
 * Reads a whole small file.
 * ret_data: cap bytes; ret_size: bytes read.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_LIMIT (longer than cap),
 *   FERRY_E_PERMISSION, FERRY_E_IO. On failure ret_data's content is undefined.
 */
int ferry_os_file_read(const char *path, void *ret_data, size_t cap, size_t *ret_size,
                       struct ferry_error *reterr);

#endif
