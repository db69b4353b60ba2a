/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_OS_MEMORY_H
#define FERRY_OS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"

#define FERRY_OS_MAP_READ 1u
#define FERRY_OS_MAP_WRITE 2u

/* A mapping; all zero when there is none. */
struct ferry_os_map {
    void *data;  /* the first byte asked for */
    size_t size; /* bytes asked for */
    void *base;  /* page-aligned start of what is really mapped */
    size_t base_size;
};

/* Bytes of a page of this system. Thread: any. */
size_t ferry_os_page_size(void);

/*
 * An anonymous file of fixed size, zeroed. It is sealed against shrinking and growing,
 * so that nobody who gets the descriptor can take pages away from under a mapping.
 * name: for /proc only. ret_fd: the caller closes it.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (size 0), FERRY_E_LIMIT, FERRY_E_MEMORY,
 *   FERRY_E_IO.
 */
int ferry_os_memfd_create(const char *name, uint64_t size, int *ret_fd);

/*
 * Size of a regular file (memfd, hugetlbfs and tmpfs included).
 * Return: FERRY_OK; FERRY_E_UNSUPPORTED (not a regular file); FERRY_E_IO.
 */
int ferry_os_file_size(int fd, uint64_t *ret_size);

/* Which file a descriptor is, whoever opened it how. */
struct ferry_os_file {
    uint64_t device, inode; /* together unique while the file exists */
    uint64_t size;
    uint32_t huge_pages; /* 1: of hugetlbfs */
    uint32_t pad;
};

/* Return: as ferry_os_file_size(). */
int ferry_os_file_look(int fd, struct ferry_os_file *ret_file);

/*
 * May a shared mapping of a regular file be made through this descriptor? What mmap()
 * would say. access: FERRY_OS_MAP_*. Return: FERRY_OK; FERRY_E_PERMISSION; FERRY_E_FDS (a
 * descriptor that is no way into its file).
 */
int ferry_os_file_may(int fd, uint32_t access);

/*
 * 1 when the file cannot become shorter any more (F_SEAL_SHRINK), whoever else has it:
 * what is asked about its length from then on stays true. 0 for all other files.
 */
int ferry_os_file_keeps_length(int fd);
/* The same, after a try to make it so: for files of a peer, which would not mind. */
int ferry_os_file_keep_length(int fd);

/*
 * Maps [off, off + size) of a file, shared. off need not be page aligned: data points
 * at off.
 * fd: borrowed; it may be closed afterwards. access: FERRY_OS_MAP_* bits, at least one.
 * Return: FERRY_OK; FERRY_E_RANGE (off + size overflows or lies past the end of the
 *   file), FERRY_E_ARGUMENT (size or access 0), FERRY_E_UNSUPPORTED (not a regular
 *   file), FERRY_E_PERMISSION (the descriptor does not permit the access),
 *   FERRY_E_MEMORY, FERRY_E_IO. *ret_map is written on success only.
 */
int ferry_os_map_shared(int fd, uint64_t off, uint64_t size, uint32_t access,
                        struct ferry_os_map *ret_map, struct ferry_error *reterr);

/*
 * Maps a file's range without looking at the file's length or type (device files).
 * Otherwise as ferry_os_map_shared().
 */
int ferry_os_map_device(int fd, uint64_t off, uint64_t size, uint32_t access,
                        struct ferry_os_map *ret_map, struct ferry_error *reterr);

/*
 * Puts [off, off + map->size) of another file where *map is, in one step: other threads
 * that use the memory see the old or the new one, never a hole. off: page aligned.
 * Return: FERRY_OK; FERRY_E_MEMORY, FERRY_E_IO, FERRY_E_PERMISSION: the old one is
 *   still there.
 */
int ferry_os_map_replace(struct ferry_os_map *map, int fd, uint64_t off, uint32_t access);

/*
 * Puts private zeroed memory where *map is, in one step as above: what was mapped is let
 * go of, and who uses the addresses still finds memory. Return: FERRY_OK; FERRY_E_MEMORY:
 * the old one is still there.
 */
int ferry_os_map_blank(struct ferry_os_map *map);

/* Private zeroed memory of whole pages, readable and writable, backed when touched. */
int ferry_os_map_anonymous(uint64_t size, struct ferry_os_map *ret_map);

/* Unmaps and zeroes *map; an all-zero map is left alone. */
void ferry_os_unmap(struct ferry_os_map *map);

/* Duplicates a descriptor, close-on-exec. Return: FERRY_OK, FERRY_E_LIMIT, FERRY_E_IO. */
int ferry_os_dup(int fd, int *ret_fd);

/* Closes *fd when it is not negative and sets it to -1. */
void ferry_os_close(int *fd);

#endif
