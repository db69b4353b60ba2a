/* SPDX-License-Identifier: BSD-3-Clause */
#include "filters/errno_names.h"

/* Linux numbers, as on the wire, whatever the machine's own are. */
static const struct {
    const char *name;
    uint32_t number;
} names[] = {
    { "EPERM", 1 },
    { "ENOENT", 2 },
    { "EIO", 5 },
    { "ENXIO", 6 },
    { "E2BIG", 7 },
    { "EBADF", 9 },
    { "EAGAIN", 11 },
    { "ENOMEM", 12 },
    { "EACCES", 13 },
    { "EFAULT", 14 },
    { "EBUSY", 16 },
    { "EEXIST", 17 },
    { "EXDEV", 18 },
    { "ENODEV", 19 },
    { "EINVAL", 22 },
    { "ENOTTY", 25 },
    { "EFBIG", 27 },
    { "ENOSPC", 28 },
    { "EPIPE", 32 },
    { "ERANGE", 34 },
    { "ENOSYS", 38 },
    { "ENOMSG", 42 },
    { "ENODATA", 61 },
    { "ETIME", 62 },
    { "EREMOTE", 66 },
    { "EPROTO", 71 },
    { "EOVERFLOW", 75 },
    { "EMSGSIZE", 90 },
    { "EPROTONOSUPPORT", 93 },
    { "EOPNOTSUPP", 95 },
    { "EADDRINUSE", 98 },
    { "ECONNRESET", 104 },
    { "ENOBUFS", 105 },
    { "ETIMEDOUT", 110 },
    { "ECONNREFUSED", 111 },
    { "EHOSTDOWN", 112 },
    { "EALREADY", 114 },
    { "EUCLEAN", 117 },
    { "EREMOTEIO", 121 },
    { "EMEDIUMTYPE", 124 },
    { "ECANCELED", 125 },
    { "ENOTRECOVERABLE", 131 },
};

int filter_errno_number(const struct filter_token *name, uint32_t *ret_number)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (filter_token_is(name, names[i].name)) {
            *ret_number = names[i].number;
            return 1;
        }
    }
    return 0;
}
