/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_OUTPUT_H
#define FERRY_OS_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#define FERRY_OS_OUTPUT_FOREVER 0u

/*
 * Writes all of it to a descriptor with somebody at its other end (a pipe, a terminal).
 * One who has gone does not raise SIGPIPE in the process, which has devices to look
 * after; one who does not read holds it up for limit_ms at most.
 * limit_ms: for all of the data; FERRY_OS_OUTPUT_FOREVER: no limit.
 * ret_errno: why, on failure.
 * Return: FERRY_OK; FERRY_E_TIMEOUT; FERRY_E_IO. Thread: any.
 */
int ferry_os_output(int fd, const void *data, size_t size, uint32_t limit_ms,
                    int *ret_errno);

#endif
