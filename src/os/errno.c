/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "os/errno.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

static const struct {
    int err;
    int status;
} table[] = {
    { ENOMEM, FERRY_E_MEMORY },
    { ENOBUFS, FERRY_E_MEMORY },
    { EAGAIN, FERRY_E_AGAIN },
    { EINTR, FERRY_E_AGAIN },
    { ETIMEDOUT, FERRY_E_TIMEOUT },
    { EPIPE, FERRY_E_CLOSED },
    { ECONNRESET, FERRY_E_CLOSED },
    { ECONNABORTED, FERRY_E_CLOSED },
    { ESHUTDOWN, FERRY_E_CLOSED },
    { EMFILE, FERRY_E_LIMIT },
    { ENFILE, FERRY_E_LIMIT },
    { ENAMETOOLONG, FERRY_E_LIMIT },
    { E2BIG, FERRY_E_LIMIT },
    { EFBIG, FERRY_E_LIMIT },
    { ETOOMANYREFS, FERRY_E_LIMIT },
    { EACCES, FERRY_E_PERMISSION },
    { EPERM, FERRY_E_PERMISSION },
    { EROFS, FERRY_E_PERMISSION },
    { EEXIST, FERRY_E_EXISTS },
    { EADDRINUSE, FERRY_E_EXISTS },
    { ENOENT, FERRY_E_NOT_FOUND },
    { ENOTDIR, FERRY_E_NOT_FOUND },
    { ENXIO, FERRY_E_NOT_FOUND },
    { ECONNREFUSED, FERRY_E_NOT_FOUND },
    { EHOSTUNREACH, FERRY_E_NOT_FOUND },
    { ENETUNREACH, FERRY_E_NOT_FOUND },
    { EADDRNOTAVAIL, FERRY_E_NOT_FOUND },
    { ENODEV, FERRY_E_UNSUPPORTED },
    { EOPNOTSUPP, FERRY_E_UNSUPPORTED },
    { ENOSYS, FERRY_E_UNSUPPORTED },
    { EAFNOSUPPORT, FERRY_E_UNSUPPORTED },
    { EBUSY, FERRY_E_BUSY },
    { EINVAL, FERRY_E_ARGUMENT },
    { EOVERFLOW, FERRY_E_RANGE },
    { ERANGE, FERRY_E_RANGE },
    { EBADF, FERRY_E_FDS },
};

int ferry_os_status(int err)
{
    if (err == 0) {
        return FERRY_OK;
    }
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].err == err) {
            return table[i].status;
        }
    }
    return FERRY_E_IO;
}

const char *ferry_os_errno_name(int err)
{
    const char *name = strerrorname_np(err);

    return name != NULL ? name : "?";
}

int ferry_os_error(struct ferry_error *reterr, int err, const char *what)
{
    return ferry_os_error_as(reterr, ferry_os_status(err), err, what);
}

int ferry_os_error_as(struct ferry_error *reterr, int status, int err, const char *what)
{
    /* Drivers let numbers out that are the kernel's own. */
    const char *text = strerrordesc_np(err);

    if (reterr != NULL) {
        (void)ferry_error_set(reterr, status, "os", NULL, 0, "%.180s: %s (errno %d)",
                              what, text != NULL ? text : "an error without a name", err);
        reterr->os_errno = (uint32_t)err;
    }
    return status;
}
