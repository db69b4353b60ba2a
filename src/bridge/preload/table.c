/* SPDX-License-Identifier: BSD-3-Clause */
#include "bridge/preload/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "bridge/preload/tokens/known.h"

#define BLOCK 1024u
#define BLOCKS (BRIDGE_FDS_MAX / BLOCK)
#define SPINS 64u           /* looks at a busy slot between two naps */
#define NAP_NS 20000u       /* its holder may have lost its processor */
#define BUSY ((uintptr_t)1) /* in a slot: somebody takes or gives a reference */

/*
 * A slot holds an object's address and, while somebody is between reading the address
 * and holding a reference, BUSY: a plain load and count would meet an object that a
 * close has destroyed in between. Blocks come when a descriptor in them is first used,
 * and stay.
 */
struct block {
    _Atomic uintptr_t slot[BLOCK];
};

static struct block *_Atomic table[BLOCKS];
static _Atomic pid_t owner;

static _Atomic uintptr_t *slot_of(int fd)
{
    struct block *block;

    if (fd < 0 || (unsigned)fd >= BRIDGE_FDS_MAX) {
        return NULL;
    }
    block = atomic_load_explicit(&table[(unsigned)fd / BLOCK], memory_order_acquire);
    return block ? &block->slot[(unsigned)fd % BLOCK] : NULL;
}

static _Atomic uintptr_t *slot_make(int fd)
{
    struct block *none = NULL;
    struct block *block;

    block = atomic_load_explicit(&table[(unsigned)fd / BLOCK], memory_order_acquire);
    if (block == NULL) {
        block = calloc(1, sizeof(*block));
        if (block == NULL) {
            return NULL;
        }
        if (!atomic_compare_exchange_strong(&table[(unsigned)fd / BLOCK], &none, block)) {
            free(block); /* another thread was first */
            block = none;
        }
    }
    return &block->slot[(unsigned)fd % BLOCK];
}

static int is_empty(const _Atomic uintptr_t *slot)
{
    return slot == NULL || atomic_load_explicit(slot, memory_order_relaxed) == 0;
}

/* Return: what is in the slot, which nobody else touches until unlock(). */
static uintptr_t lock(_Atomic uintptr_t *slot)
{
    const struct timespec nap = { .tv_nsec = NAP_NS };
    uintptr_t value = atomic_load_explicit(slot, memory_order_relaxed);
    uint32_t spins = 0;

    for (;;) {
        value &= ~BUSY;
        if (atomic_compare_exchange_weak_explicit(
                slot, &value, value | BUSY, memory_order_acquire, memory_order_relaxed)) {
            return value;
        }
        if (++spins % SPINS == 0) {
            nanosleep(&nap, NULL);
        }
    }
}

static void unlock(_Atomic uintptr_t *slot, uintptr_t value)
{
    atomic_store_explicit(slot, value, memory_order_release);
}

/* Puts a value with its reference into a slot. Return: the former, with its reference. */
static struct bridge_object *exchange(_Atomic uintptr_t *slot,
                                      struct bridge_object *object)
{
    struct bridge_object *former = (struct bridge_object *)lock(slot);

    unlock(slot, (uintptr_t)object);
    return former;
}

/* Return: 1 in the process whose table it is. */
static int is_owner(void)
{
    return atomic_load_explicit(&owner, memory_order_relaxed) == getpid();
}

int bridge_table_put(int fd, struct bridge_object *object)
{
    struct bridge_object *former;
    _Atomic uintptr_t *slot;
    pid_t nobody = 0;
    int err = errno;

    if (fd < 0) {
        return -EBADF;
    }
    if ((unsigned)fd >= BRIDGE_FDS_MAX) {
        return -ENFILE;
    }
    atomic_compare_exchange_strong(&owner, &nobody, getpid());
    slot = slot_make(fd);
    errno = err;
    if (slot == NULL) {
        return -ENOMEM;
    }
    bridge_object_get(object);
    former = exchange(slot, object);
    if (former) {
        bridge_object_put(former);
    }
    return 0;
}

int bridge_table_open(const char *name, int flags, struct bridge_object *object)
{
    const int err = errno;
    const int fd = memfd_create(name, (flags & O_CLOEXEC) != 0 ? MFD_CLOEXEC : 0);
    int rc;

    if (fd < 0) {
        rc = -errno;
        errno = err;
        return rc;
    }
    rc = bridge_table_put(fd, object);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

struct bridge_object *bridge_table_get(int fd)
{
    _Atomic uintptr_t *slot = slot_of(fd);
    struct bridge_object *object;
    int err;

    if (is_empty(slot)) {
        return NULL;
    }
    err = errno;
    object = (struct bridge_object *)lock(slot);
    if (object) {
        bridge_object_get(object);
    }
    unlock(slot, (uintptr_t)object);
    errno = err;
    return object;
}

void bridge_table_drop(int fd)
{
    _Atomic uintptr_t *slot = slot_of(fd);
    struct bridge_object *former;
    int err;

    if (is_empty(slot) || !is_owner()) {
        return;
    }
    err = errno;
    former = exchange(slot, NULL);
    if (former) {
        bridge_object_put(former);
    }
    errno = err;
}

void bridge_table_drop_range(unsigned first, unsigned last)
{
    unsigned fd = first;

    if (last >= BRIDGE_FDS_MAX) {
        last = BRIDGE_FDS_MAX - 1;
    }
    while (fd <= last) {
        if (slot_of((int)fd) == NULL) {
            fd = (fd / BLOCK + 1) * BLOCK;
            continue;
        }
        bridge_table_drop((int)fd);
        fd++;
    }
}

void bridge_table_copy(int fd, int fresh)
{
    struct bridge_object *object;

    if (fd == fresh || !(slot_of(fd) || slot_of(fresh))) {
        return;
    }
    object = bridge_table_get(fd);
    if (object == NULL) {
        bridge_table_drop(fresh);
        return;
    }
    if (is_owner() && bridge_table_put(fresh, object) < 0) {
        bridge_table_drop(fresh);
    }
    bridge_object_put(object);
}

struct bridge_object *bridge_table_recognise(int fd)
{
    struct bridge_object *object = bridge_table_get(fd);

    if (object || !bridge_known_find(fd, &object)) {
        return object;
    }
    if (bridge_table_put(fd, object) < 0) {
        bridge_object_put(object);
        return NULL;
    }
    return object;
}

void bridge_table_fork_child(void)
{
    uint32_t i;
    uint32_t j;

    atomic_store(&owner, 0);
    for (i = 0; i < BLOCKS; i++) {
        struct block *block = atomic_load_explicit(&table[i], memory_order_relaxed);

        for (j = 0; block && j < BLOCK; j++) {
            atomic_store_explicit(&block->slot[j], 0, memory_order_relaxed);
        }
    }
}
