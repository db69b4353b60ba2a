/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>

#include "host/backend/kernel/inside.h"
#include "wire/status.h"

/* A number of the kernel's own, which drivers let out all the same. */
#define KERNEL_ENOTSUPP 524

/* Where a kernel's errno says something else than a server's: what sounds like a lost or
 * malformed message is the device's own failure, for there are no messages here. */
static const struct {
    int err;
    int status;
} table[] = {
    { EMFILE, FERRY_E_LIMIT },       { ENFILE, FERRY_E_LIMIT },
    { EPROTO, FERRY_E_DEVICE },      { ETIMEDOUT, FERRY_E_DEVICE },
    { ETIME, FERRY_E_DEVICE },       { ECONNRESET, FERRY_E_DEVICE },
    { EPIPE, FERRY_E_DEVICE },       { ENOTCONN, FERRY_E_DEVICE },
    { ECANCELED, FERRY_E_DEVICE },   { EHOSTDOWN, FERRY_E_DEVICE },
    { EREMOTEIO, FERRY_E_DEVICE },   { EBADF, FERRY_E_DEVICE },
    { ENOSYS, FERRY_E_UNSUPPORTED }, { EAGAIN, FERRY_E_BUSY },
    { EFAULT, FERRY_E_DEVICE },      { ENOMSG, FERRY_E_DEVICE },
    { EPERM, FERRY_E_PERMISSION },   { KERNEL_ENOTSUPP, FERRY_E_UNSUPPORTED },
};

int kernel_status(int err)
{
    int status;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].err == err) {
            return table[i].status;
        }
    }
    status = ferry_wire_status_from_errno((uint32_t)err);
    return status == FERRY_E_REFUSED ? FERRY_E_DEVICE : status;
}

int kernel_refusal(struct ferry_error *reterr, int rc, const char *what)
{
    const int status = kernel_status(-rc);
    /* The kernel's own numbers have none. */
    const char *text = strerrordesc_np(-rc);

    if (reterr != NULL) {
        (void)ferry_error_set(reterr, status, KERNEL_LAYER, NULL, 0,
                              "%.180s: %s (errno %d)", what,
                              text != NULL ? text : "an error without a name", -rc);
        reterr->os_errno = (uint32_t)-rc;
    }
    return status;
}
