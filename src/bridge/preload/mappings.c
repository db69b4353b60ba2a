/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/mappings.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bridge/say.h"

struct piece {
    uintptr_t start, end;
    uint64_t off; /* in the file, of start */
    dev_t dev;
    ino_t ino;
    int fd;
    int is_region;
};

/* Sorted by address, nothing overlaps. */
static struct {
    pthread_mutex_t lock;
    uint32_t count; /* atomic, so that a process without any pays a load */
    uint32_t full_said;
    struct piece piece[BRIDGE_MAPPINGS_MAX];
} mapped = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Return: the first piece that ends after address. */
static uint32_t first_after(uintptr_t address)
{
    uint32_t low = 0;
    uint32_t high = mapped.count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (mapped.piece[middle].end <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static void set_count(uint32_t count)
{
    __atomic_store_n(&mapped.count, count, __ATOMIC_RELEASE);
}

/* Return: 0 when there is no room. */
static int insert(uint32_t at, const struct piece *piece)
{
    if (mapped.count == BRIDGE_MAPPINGS_MAX) {
        if (!mapped.full_said) {
            mapped.full_said = 1;
            bridge_say(NULL,
                       "more than %u shared mappings: memory beyond them is "
                       "reached slowly, by messages",
                       BRIDGE_MAPPINGS_MAX);
        }
        return 0;
    }
    memmove(&mapped.piece[at + 1], &mapped.piece[at],
            (mapped.count - at) * sizeof(mapped.piece[0]));
    mapped.piece[at] = *piece;
    set_count(mapped.count + 1);
    return 1;
}

static void cut(uintptr_t start, uintptr_t end)
{
    uint32_t at = first_after(start);

    while (at < mapped.count && mapped.piece[at].start < end) {
        struct piece *piece = &mapped.piece[at];
        struct piece tail = *piece;

        if (tail.end > end) {
            tail.off += end - tail.start;
            tail.start = end;
        }
        if (piece->start < start) {
            piece->end = start;
            if (tail.start == end) {
                insert(at + 1, &tail);
            }
            at++;
        } else if (tail.start == end) {
            *piece = tail;
            at++;
        } else {
            memmove(piece, piece + 1, (mapped.count - at - 1) * sizeof(mapped.piece[0]));
            set_count(mapped.count - 1);
        }
    }
}

/* The kernel maps whole pages. */
static uintptr_t end_of(const void *address, size_t size)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    return ((uintptr_t)address + size + page - 1) / page * page;
}

static int is_any(void)
{
    return __atomic_load_n(&mapped.count, __ATOMIC_ACQUIRE) > 0;
}

void bridge_mappings_add(void *address, size_t size, int fd, uint64_t off, int is_region)
{
    struct piece piece = { .start = (uintptr_t)address,
                           .end = end_of(address, size),
                           .off = off,
                           .fd = fd,
                           .is_region = is_region };
    int err = errno;
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        bridge_mappings_remove(address, size);
        errno = err;
        return;
    }
    piece.dev = st.st_dev;
    piece.ino = st.st_ino;
    pthread_mutex_lock(&mapped.lock);
    cut(piece.start, piece.end);
    insert(first_after(piece.start), &piece);
    pthread_mutex_unlock(&mapped.lock);
    errno = err;
}

void bridge_mappings_remove(void *address, size_t size)
{
    if (!is_any()) {
        return;
    }
    pthread_mutex_lock(&mapped.lock);
    cut((uintptr_t)address, end_of(address, size));
    pthread_mutex_unlock(&mapped.lock);
}

void bridge_mappings_move(void *address, size_t size, void *fresh, size_t fresh_size)
{
    const uintptr_t start = (uintptr_t)address;
    struct piece piece;
    int whole;
    uint32_t at;

    if (!is_any()) {
        return;
    }
    pthread_mutex_lock(&mapped.lock);
    at = first_after(start);
    whole = at < mapped.count && mapped.piece[at].start <= start &&
            mapped.piece[at].end >= end_of(address, size);
    if (whole) {
        piece = mapped.piece[at];
        piece.off += start - piece.start;
        piece.start = (uintptr_t)fresh;
        piece.end = end_of(fresh, fresh_size);
    }
    cut(start, end_of(address, size));
    cut((uintptr_t)fresh, end_of(fresh, fresh_size));
    if (whole) {
        insert(first_after(piece.start), &piece);
    }
    pthread_mutex_unlock(&mapped.lock);
}

int bridge_mappings_exchange(int fd, int prot)
{
    int err = errno;
    struct stat st;
    uint32_t i;
    int rc = 0;

    if (fstat(fd, &st) < 0) {
        rc = -errno;
        errno = err;
        return rc;
    }
    /* Held all the time: what is unmapped meanwhile must not be mapped again. The plain
     * system call, since mmap() would come back here. */
    pthread_mutex_lock(&mapped.lock);
    for (i = 0; i < mapped.count; i++) {
        struct piece *piece = &mapped.piece[i];

        if (piece->fd != fd || !piece->is_region) {
            continue;
        }
        if (syscall(SYS_mmap, piece->start, piece->end - piece->start, prot,
                    MAP_SHARED | MAP_FIXED, fd, piece->off) < 0) {
            rc = -errno;
            continue;
        }
        piece->dev = st.st_dev;
        piece->ino = st.st_ino;
    }
    pthread_mutex_unlock(&mapped.lock);
    errno = err;
    return rc;
}

/* Pieces that lie next to each other in memory and in one file count as one. */
static int cover(uintptr_t start, uintptr_t end, struct piece *ret_piece)
{
    uint32_t at = first_after(start);
    const struct piece *first = &mapped.piece[at];

    if (at == mapped.count || first->start > start) {
        return 0;
    }
    while (mapped.piece[at].end < end) {
        const struct piece *next = &mapped.piece[at + 1];

        if (at + 1 == mapped.count || next->start != mapped.piece[at].end ||
            next->dev != first->dev || next->ino != first->ino ||
            next->is_region != first->is_region ||
            next->off != first->off + (next->start - first->start)) {
            return 0;
        }
        at++;
    }
    *ret_piece = *first;
    return 1;
}

int bridge_mappings_find(const void *address, uint64_t size, int *ret_fd,
                         uint64_t *ret_off, int *ret_is_region)
{
    const uintptr_t start = (uintptr_t)address;
    struct piece piece;
    int err = errno;
    struct stat st;
    int found;
    int fd;

    if (size == 0 || start + size < start) {
        return -ENOENT;
    }
    pthread_mutex_lock(&mapped.lock);
    found = cover(start, start + size, &piece);
    pthread_mutex_unlock(&mapped.lock);
    if (!found) {
        return -ENOENT;
    }
    /* The copy first: another thread may close the number between a look and a copy. */
    fd = fcntl(piece.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != piece.dev ||
        st.st_ino != piece.ino) {
        found = fd < 0 && errno == EMFILE ? -EMFILE : -ENOENT;
        if (fd >= 0) {
            close(fd);
        }
        errno = err;
        return found;
    }
    *ret_fd = fd;
    *ret_off = piece.off + (start - piece.start);
    *ret_is_region = piece.is_region;
    errno = err;
    return 0;
}

void bridge_mappings_fork_prepare(void)
{
    pthread_mutex_lock(&mapped.lock);
}

void bridge_mappings_fork_done(void)
{
    pthread_mutex_unlock(&mapped.lock);
}
