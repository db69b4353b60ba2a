/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_SAY_H
#define FERRY_BRIDGE_SAY_H

struct bridge_device;

/*
 * The bridge's words: lines "ferry-bridge: NAME: ..." on standard error or in the token's
 * log file, at most some hundred a second (what is left out is counted). device may be
 * NULL. A line is written at once, so that lines of several threads and processes stay
 * whole. Keeps errno. Thread: any.
 */
void bridge_say(const struct bridge_device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Only with the token's trace; costs a load otherwise. With the time of day and the
 * thread, and never left out. */
void bridge_trace(const struct bridge_device *device, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The errno for a status of Ferry's, negative: -EIO for what has no better one; 0 for
 * FERRY_OK. */
int bridge_errno(int status);

/* Around a fork(). */
void bridge_say_fork_prepare(void);
void bridge_say_fork_done(void);

#endif
