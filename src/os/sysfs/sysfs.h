/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_SYSFS_SYSFS_H
#define FERRY_OS_SYSFS_SYSFS_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

/*
 * Folders, links and small files of the kind that sysfs and proc are made of. What is in
 * them changes at any time: a name that was listed may be gone when it is asked for.
 * Thread: any.
 */

/* Longest path that any of these makes or takes. */
#define FERRY_OS_SYSFS_PATH_BYTES 512u
/* An attribute is a page at most. */
#define FERRY_OS_SYSFS_TEXT_BYTES 4096u
/* Longest line that ferry_os_lines() shows; longer ones are left out. */
#define FERRY_OS_LINE_BYTES 4096u

/*
 * Makes a path of a format. Return: FERRY_OK; FERRY_E_LIMIT: it does not fit, ret_path is
 * "" then, which every call below finds not to be there.
 */
int ferry_os_path(char *ret_path, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Return: 1 when something is there, and is a folder, after links. */
int ferry_os_exists(const char *path);
int ferry_os_is_folder(const char *path);

/*
 * The first size-1 bytes of a file, up to a newline or NUL; size >= 1.
 * Return: FERRY_OK; a code of ferry_os_status(): ret_text is "" then.
 */
int ferry_os_attr_read(const char *path, char *ret_text, size_t size);

/* A number of any base ("0x10de", "12") that a file begins with. Return: as above, or
 * FERRY_E_PROTOCOL: there is none. */
int ferry_os_attr_number(const char *path, uint64_t *ret_value);

/*
 * Writes to a file that is there, in one write(). EINTR is tried again.
 * ret_errno: the kernel's answer, 0 when it took it; may be NULL.
 * Return: FERRY_OK; a code of ferry_os_status().
 */
int ferry_os_attr_write(const char *path, const char *text, int *ret_errno);

/* Whether this process may write to it. Return: 0, or an errno. */
int ferry_os_attr_writable(const char *path);

/* Opens a node to read and write and closes it. Return: 0, or an errno: EBUSY says that
 * another has it. */
int ferry_os_try_open(const char *path);

/* Whether something holds a disk: a file system, swap space, another disk made of it, or
 * a program that wants it alone. Return: 0, EBUSY when so, or another errno; 0 also for
 * what is no disk. */
int ferry_os_try_disk(const char *path);

/* A folder, which may be there already; all above it are made as well. Return: FERRY_OK;
 * a code of ferry_os_status(). */
int ferry_os_make_folder(const char *path);
/* Removes a file, which may be gone already. */
void ferry_os_remove_file(const char *path);

/* The release of the running kernel, such as "6.12.0". */
void ferry_os_kernel_release(char *ret_text, size_t size);

/*
 * Runs a program (argv[0], in PATH and then in /sbin and /usr/sbin) to its end, or kills
 * it when that takes longer than limit_ms. Its input is empty.
 * ret_text: the first size-1 bytes of what it prints, up to a newline.
 * Return: its exit status (128 when a signal ended it); FERRY_E_TIMEOUT,
 * FERRY_E_NOT_FOUND (no such program), others of ferry_os_status().
 */
int ferry_os_run(const char *const *argv, unsigned limit_ms, char *ret_text, size_t size);

/* A link's target as it is. Return: FERRY_OK; FERRY_E_NOT_FOUND, FERRY_E_LIMIT: ret_text
 * is "" then. */
int ferry_os_link_target(const char *path, char *ret_text, size_t size);

/* What a link's target ends in. Return and ret_name: as above. */
int ferry_os_link_name(const char *path, char *ret_name, size_t size);

/* The path without links. Return and ret_path: as above. */
int ferry_os_real_path(const char *path, char *ret_path, size_t size);

/* Is called with each name of a folder but "." and ".."; another value than 0 ends it. */
typedef int ferry_os_name_fn(void *user, const char *name);

/* Return: FERRY_OK, what call ended it with, or a code of ferry_os_status(): the folder
 * cannot be read. */
int ferry_os_folder_each(const char *path, ferry_os_name_fn *call, void *user);

/* Is called with each line; another value than 0 ends it. */
typedef int ferry_os_line_fn(void *user, const char *line);

/* The lines of a file, each ended by `end` ('\n', or 0). Return: as above. */
int ferry_os_lines(const char *path, int end, ferry_os_line_fn *call, void *user);

#endif
