/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/guard.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include "ferry/error.h"

/*
 * A signal handler finds its data through globals only. `before` is written once, before
 * `installed` is set. Initial-exec storage, since the general model may allocate, which a
 * handler must not.
 */
static struct sigaction before;
static atomic_int installed;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local __attribute__((tls_model("initial-exec")))
sigjmp_buf *volatile guard;

/* Not ours: do what would have been done without us. */
static void chain(int number, siginfo_t *info, void *context)
{
    if ((before.sa_flags & SA_SIGINFO) != 0) {
        before.sa_sigaction(number, info, context);
        return;
    }
    if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(number);
        return;
    }
    /* The access is repeated on return and the kernel's default ends the process; a
     * signal that was sent by somebody (no fault to repeat) is ignored or raised again.
     */
    if (before.sa_handler == SIG_DFL || info->si_code > 0) {
        struct sigaction fallback = { .sa_handler = SIG_DFL };

        (void)sigaction(SIGBUS, &fallback, NULL);
        if (info->si_code <= 0) {
            (void)raise(number);
        }
    }
}

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    sigjmp_buf *mine = guard;

    /* si_code > 0: from the kernel for this very thread's access, not sent by kill(). */
    if (mine != NULL && info->si_code > 0) {
        guard = NULL;
        siglongjmp(*mine, 1);
    }
    chain(number, info, context);
}

static void install(void)
{
    /* SA_NODEFER: the jump out leaves the signal mask as it was. */
    struct sigaction action = { .sa_sigaction = on_sigbus,
                                .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };

    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGBUS, NULL, &before) == 0 && sigaction(SIGBUS, &action, NULL) == 0) {
        atomic_store(&installed, 1);
    }
}

int ferry_os_guard_install(void)
{
    (void)pthread_once(&once, install);
    return atomic_load(&installed) != 0 ? FERRY_OK : FERRY_E_IO;
}

/*
 * A number that both sides use at the same time (an index of a ring) is read and written
 * in one piece: memcpy() may look twice at its upper byte, before and after a carry. Only
 * the side that is shared has to be aligned, and an access there is one of the machine's.
 */
static uint64_t load(const void *src, size_t size)
{
    uint64_t number = 0;

    if (((uintptr_t)src & (size - 1)) != 0) {
        memcpy(&number, src, size);
    } else if (size == 2) {
        const uint16_t value = __atomic_load_n((const uint16_t *)src, __ATOMIC_RELAXED);

        memcpy(&number, &value, size);
    } else if (size == 4) {
        const uint32_t value = __atomic_load_n((const uint32_t *)src, __ATOMIC_RELAXED);

        memcpy(&number, &value, size);
    } else {
        number = __atomic_load_n((const uint64_t *)src, __ATOMIC_RELAXED);
    }
    return number;
}

static void store(void *dst, const uint64_t *number, size_t size)
{
    uint16_t value2;
    uint32_t value4;

    if (((uintptr_t)dst & (size - 1)) != 0) {
        memcpy(dst, number, size);
    } else if (size == 2) {
        memcpy(&value2, number, size);
        __atomic_store_n((uint16_t *)dst, value2, __ATOMIC_RELAXED);
    } else if (size == 4) {
        memcpy(&value4, number, size);
        __atomic_store_n((uint32_t *)dst, value4, __ATOMIC_RELAXED);
    } else {
        __atomic_store_n((uint64_t *)dst, *number, __ATOMIC_RELAXED);
    }
}

static void copy(void *dst, const void *src, size_t size)
{
    if (size == 2 || size == 4 || size == 8) {
        const uint64_t number = load(src, size);

        store(dst, &number, size);
    } else {
        memcpy(dst, src, size);
    }
}

int ferry_os_guarded_copy(void *dst, const void *src, size_t size)
{
    sigjmp_buf here;

    if (atomic_load_explicit(&installed, memory_order_acquire) == 0) {
        return FERRY_E_STATE;
    }
    if (sigsetjmp(here, 0) != 0) {
        return FERRY_E_IO;
    }
    guard = &here;
    /* The compiler must not move the copy out of the guarded stretch. */
    atomic_signal_fence(memory_order_seq_cst);
    copy(dst, src, size);
    atomic_signal_fence(memory_order_seq_cst);
    guard = NULL;
    return FERRY_OK;
}
