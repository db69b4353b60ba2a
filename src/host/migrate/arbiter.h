/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_HOST_MIGRATE_ARBITER_H
#define FERRY_HOST_MIGRATE_ARBITER_H

#include <stdint.h>

#include "ferry/error.h"
#include "ferry/session.h"
#include "os/file.h"

/*
 * The write-once decision of one epoch of one migration: a file that is created
 * exclusively in a folder that both sides reach. The first writer wins, both read what
 * stands.
 */
struct ferry_arbiter {
    uint32_t kind; /* enum ferry_arbiter_kind */
    char folder[FERRY_OS_PATH_MAX + 1];
};

/*
 * text: "none", "file:/folder", or NULL for "none".
 * Return: FERRY_OK; FERRY_E_ARGUMENT (another scheme, a relative folder), FERRY_E_LIMIT.
 */
int ferry_arbiter_parse(const char *text, struct ferry_arbiter *ret_arbiter,
                        struct ferry_error *reterr);

/*
 * Writes the proposal unless a decision stands already, and reads what stands.
 * proposal: enum ferry_decision; NONE only reads.
 * ret_decision: enum ferry_decision; NONE when none was proposed and none stands.
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (kind NONE); FERRY_E_NOT_FOUND (no such folder),
 *   FERRY_E_PERMISSION, FERRY_E_IO, FERRY_E_CORRUPT (the file says something else): the
 *   decision is not known.
 * Blocks as long as the file system does.
 */
int ferry_arbiter_decide(const struct ferry_arbiter *arbiter, uint64_t session_id,
                         uint32_t epoch, uint32_t proposal, uint32_t *ret_decision,
                         struct ferry_error *reterr);

#endif
