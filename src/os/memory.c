/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/range.h"
#include "os/errno.h"

size_t ferry_os_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

int ferry_os_memfd_create(const char *name, uint64_t size, int *ret_fd)
{
    int fd = -1;
    int status;

    if (size == 0 || size > INT64_MAX) {
        return FERRY_E_ARGUMENT;
    }
    fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return ferry_os_status(errno);
    }
    if (ftruncate(fd, (off_t)size) < 0 ||
        fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
        status = ferry_os_status(errno);
        ferry_os_close(&fd);
        return status;
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_file_size(int fd, uint64_t *ret_size)
{
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return FERRY_E_IO;
    }
    if (!S_ISREG(st.st_mode)) {
        return FERRY_E_UNSUPPORTED;
    }
    *ret_size = (uint64_t)st.st_size;
    return FERRY_OK;
}

int ferry_os_file_look(int fd, struct ferry_os_file *ret_file)
{
    struct statfs fs;
    struct stat st;

    if (fstat(fd, &st) < 0) {
        return FERRY_E_IO;
    }
    if (!S_ISREG(st.st_mode)) {
        return FERRY_E_UNSUPPORTED;
    }
    ret_file->device = (uint64_t)st.st_dev;
    ret_file->inode = (uint64_t)st.st_ino;
    ret_file->size = (uint64_t)st.st_size;
    ret_file->huge_pages = 0;
    ret_file->pad = 0;
    /* Usual files need not be asked twice: hugetlbfs tells its page size as its block. */
    if ((uint64_t)st.st_blksize > ferry_os_page_size() && fstatfs(fd, &fs) == 0) {
        ret_file->huge_pages = fs.f_type == HUGETLBFS_MAGIC;
    }
    return FERRY_OK;
}

int ferry_os_file_may(int fd, uint32_t access)
{
    const int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || (flags & O_PATH) != 0) {
        return FERRY_E_FDS;
    }
    /* Pages that are written are read as well. */
    if ((flags & O_ACCMODE) == O_RDWR ||
        ((flags & O_ACCMODE) == O_RDONLY && (access & FERRY_OS_MAP_WRITE) == 0)) {
        return FERRY_OK;
    }
    return FERRY_E_PERMISSION;
}

int ferry_os_file_keeps_length(int fd)
{
    const int seals = fcntl(fd, F_GET_SEALS);

    return seals >= 0 && (seals & F_SEAL_SHRINK) != 0;
}

int ferry_os_file_keep_length(int fd)
{
    return ferry_os_file_keeps_length(fd) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0;
}

/* What a mapping's start and length must be a multiple of: more than a page for huge
 * pages. */
static uint64_t map_granule(int fd)
{
    struct statfs fs;
    uint64_t page = ferry_os_page_size();

    if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC && fs.f_bsize > 0 &&
        (uint64_t)fs.f_bsize > page) {
        return (uint64_t)fs.f_bsize;
    }
    return page;
}

static int map_file(int fd, uint64_t off, uint64_t size, uint32_t access,
                    uint64_t granule, struct ferry_os_map *ret_map,
                    struct ferry_error *reterr)
{
    uint64_t lead = off & (granule - 1);
    uint64_t whole;
    int prot = 0;
    uint8_t *base;

    if (!ferry_range_add(lead, size, &whole) ||
        !ferry_range_round_up(whole, granule, &whole) || whole > SIZE_MAX / 2 ||
        off > INT64_MAX) {
        return ferry_error_set(reterr, FERRY_E_RANGE, "os", NULL, 0,
                               "mapping 0x%llx bytes at file offset 0x%llx overflows",
                               (unsigned long long)size, (unsigned long long)off);
    }
    prot |= (access & FERRY_OS_MAP_READ) != 0 ? PROT_READ : 0;
    prot |= (access & FERRY_OS_MAP_WRITE) != 0 ? PROT_WRITE : 0;
    base = mmap(NULL, (size_t)whole, prot, MAP_SHARED, fd, (off_t)(off - lead));
    if (base == MAP_FAILED) {
        return ferry_os_error(reterr, errno, "mmap of a shared file");
    }
    ret_map->data = base + lead;
    ret_map->size = (size_t)size;
    ret_map->base = base;
    ret_map->base_size = (size_t)whole;
    return FERRY_OK;
}

static int check_map(uint64_t size, uint32_t access, struct ferry_error *reterr)
{
    if (size == 0 || access == 0 ||
        (access & ~(FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE)) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "os", NULL, 0,
                               "mapping of 0x%llx bytes with access bits 0x%x",
                               (unsigned long long)size, (unsigned)access);
    }
    return FERRY_OK;
}

int ferry_os_map_shared(int fd, uint64_t off, uint64_t size, uint32_t access,
                        struct ferry_os_map *ret_map, struct ferry_error *reterr)
{
    uint64_t file_size = 0;
    int status = check_map(size, access, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    status = ferry_os_file_size(fd, &file_size);
    if (status != FERRY_OK) {
        return ferry_error_set(reterr, status, "os", NULL, 0,
                               "the descriptor for a mapping is not a regular file");
    }
    /* Pages past the end of the file would raise SIGBUS at the first access. */
    if (!ferry_range_inside(off, size, file_size)) {
        return ferry_error_set(
            reterr, FERRY_E_RANGE, "os", NULL, 0,
            "mapping [0x%llx, +0x%llx) lies past the end of the file (0x%llx bytes)",
            (unsigned long long)off, (unsigned long long)size,
            (unsigned long long)file_size);
    }
    return map_file(fd, off, size, access, map_granule(fd), ret_map, reterr);
}

int ferry_os_map_device(int fd, uint64_t off, uint64_t size, uint32_t access,
                        struct ferry_os_map *ret_map, struct ferry_error *reterr)
{
    int status = check_map(size, access, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    return map_file(fd, off, size, access, ferry_os_page_size(), ret_map, reterr);
}

int ferry_os_map_replace(struct ferry_os_map *map, int fd, uint64_t off, uint32_t access)
{
    int prot = 0;

    prot |= (access & FERRY_OS_MAP_READ) != 0 ? PROT_READ : 0;
    prot |= (access & FERRY_OS_MAP_WRITE) != 0 ? PROT_WRITE : 0;
    if (mmap(map->base, map->base_size, prot, MAP_SHARED | MAP_FIXED, fd, (off_t)off) ==
        MAP_FAILED) {
        return ferry_os_status(errno);
    }
    return FERRY_OK;
}

int ferry_os_map_blank(struct ferry_os_map *map)
{
    return mmap(map->base, map->base_size, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
                0) == MAP_FAILED
               ? FERRY_E_MEMORY
               : FERRY_OK;
}

int ferry_os_map_anonymous(uint64_t size, struct ferry_os_map *ret_map)
{
    uint64_t whole;
    void *base;

    if (size == 0) {
        return FERRY_E_ARGUMENT;
    }
    if (!ferry_range_round_up(size, ferry_os_page_size(), &whole) ||
        whole > SIZE_MAX / 2) {
        return FERRY_E_MEMORY;
    }
    base = mmap(NULL, (size_t)whole, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return FERRY_E_MEMORY;
    }
    ret_map->data = base;
    ret_map->size = (size_t)size;
    ret_map->base = base;
    ret_map->base_size = (size_t)whole;
    return FERRY_OK;
}

void ferry_os_unmap(struct ferry_os_map *map)
{
    if (map->base != NULL) {
        (void)munmap(map->base, map->base_size);
    }
    memset(map, 0, sizeof(*map));
}

int ferry_os_dup(int fd, int *ret_fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

    if (copy < 0) {
        return ferry_os_status(errno);
    }
    *ret_fd = copy;
    return FERRY_OK;
}

void ferry_os_close(int *fd)
{
    if (*fd >= 0) {
        /* EINTR as well leaves it closed on Linux: closing again could hit another's. */
        (void)close(*fd);
        *fd = -1;
    }
}
