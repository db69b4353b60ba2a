/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_SAY_H
#define FERRY_BRIDGE_SAY_H

struct bridge_device;

/*
 * The bridge's words: lines "ferry-bridge: NAME: ..." on standard error or in the token's
 * log file, at most some hundred a second (what is left out is counted). device may be
 * NULL. Keeps errno. Thread: any.
 */
void bridge_say(const struct bridge_device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Only with the token's trace; costs a load otherwise. */
void bridge_trace(const struct bridge_device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The errno for a status of Ferry's, negative: -EIO for what has no better one. */
int bridge_errno(int status);

#endif
