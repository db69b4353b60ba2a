/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_GUARD_H
#define FERRY_OS_GUARD_H

#include <stddef.h>

/*
 * A peer that gave us a file can shorten it after we mapped it; the next access raises
 * SIGBUS. The guard turns that into a status.
 */

/*
 * Installs the SIGBUS handler of the process; further calls do nothing. A SIGBUS
 * outside of a guarded copy goes to the handler that was there before. Whoever installs
 * a handler later has to pass on what is not his own, or the guard is blind.
 * Return: FERRY_OK, FERRY_E_IO.
 * Thread: any; to be called before the first guarded copy.
 */
int ferry_os_guard_install(void);

/*
 * memcpy() between memory that a peer may take away and memory of our own. 2, 4 or 8
 * bytes are a number, which is read, and written, in one piece where it is aligned.
 * dst, src: size bytes each, not overlapping.
 * Return: FERRY_OK; FERRY_E_IO (a page was gone: a part may have been copied);
 *   FERRY_E_STATE (the guard is not installed; nothing was copied).
 * Thread: any; each thread has a guard of its own.
 */
int ferry_os_guarded_copy(void *dst, const void *src, size_t size);

#endif
