/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_ERRNO_H
#define FERRY_OS_ERRNO_H

#include <stdint.h>

#include "ferry/error.h"

/*
 * The status for an errno value of this system. Every call of this folder keeps the
 * caller's errno out of its contract: the number goes into ferry_error.os_errno.
 * Return: a negative code; FERRY_E_IO for what has no better one; FERRY_OK for 0.
 * Thread: any.
 */
int ferry_os_status(int err);

/* "EOPNOTSUPP": a constant; "?" for a number that has none. Thread: any. */
const char *ferry_os_errno_name(int err);

/*
 * Fills *reterr for a failed system call and returns ferry_os_status(err).
 * what: the call and its object ("bind /run/x.sock"), borrowed.
 * Thread: any.
 */
int ferry_os_error(struct ferry_error *reterr, int err, const char *what);

/* The same with a status that the caller knows better. Return: status. Thread: any. */
int ferry_os_error_as(struct ferry_error *reterr, int status, int err, const char *what);

#endif
