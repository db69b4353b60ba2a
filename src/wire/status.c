/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/status.h"

#include <stddef.h>

#include "ferry/error.h"

/* Linux errno numbers: they are part of the wire, whatever the machine's own are. */
enum {
    WIRE_EPERM = 1,
    WIRE_ENOENT = 2,
    WIRE_EIO = 5,
    WIRE_ENXIO = 6,
    WIRE_E2BIG = 7,
    WIRE_EBADF = 9,
    WIRE_EAGAIN = 11,
    WIRE_ENOMEM = 12,
    WIRE_EACCES = 13,
    WIRE_EFAULT = 14,
    WIRE_EBUSY = 16,
    WIRE_EEXIST = 17,
    WIRE_EXDEV = 18,
    WIRE_ENODEV = 19,
    WIRE_EINVAL = 22,
    WIRE_ENOTTY = 25,
    WIRE_EFBIG = 27,
    WIRE_ENOSPC = 28,
    WIRE_EPIPE = 32,
    WIRE_ERANGE = 34,
    WIRE_ENOSYS = 38,
    WIRE_ENOMSG = 42,
    WIRE_ENODATA = 61,
    WIRE_ETIME = 62,
    WIRE_EREMOTE = 66,
    WIRE_EPROTO = 71,
    WIRE_EOVERFLOW = 75,
    WIRE_EMSGSIZE = 90,
    WIRE_EPROTONOSUPPORT = 93,
    WIRE_EOPNOTSUPP = 95,
    WIRE_EADDRINUSE = 98,
    WIRE_ECONNRESET = 104,
    WIRE_ENOBUFS = 105,
    WIRE_ETIMEDOUT = 110,
    WIRE_ECONNREFUSED = 111,
    WIRE_EHOSTDOWN = 112,
    WIRE_EALREADY = 114,
    WIRE_EUCLEAN = 117,
    WIRE_EREMOTEIO = 121,
    WIRE_EMEDIUMTYPE = 124,
    WIRE_ECANCELED = 125,
    WIRE_ENOTRECOVERABLE = 131
};

#define BOTH 3u
#define OUT 1u /* status to errno only */
#define IN 2u  /* errno to status only */

static const struct {
    int status;
    uint16_t number;
    uint16_t way;
} table[] = {
    { FERRY_E_ARGUMENT, WIRE_EINVAL, BOTH },
    { FERRY_E_PROTOCOL, WIRE_EINVAL, OUT },
    { FERRY_E_ARC, WIRE_EINVAL, OUT },
    { FERRY_E_ALIGN, WIRE_EINVAL, OUT },
    { FERRY_E_PROTOCOL, WIRE_EPROTO, IN },
    { FERRY_E_MEMORY, WIRE_ENOMEM, BOTH },
    { FERRY_E_AGAIN, WIRE_EAGAIN, BOTH },
    { FERRY_E_TIMEOUT, WIRE_ETIMEDOUT, BOTH },
    { FERRY_E_CLOSED, WIRE_ECONNRESET, BOTH },
    { FERRY_E_CLOSED, WIRE_EPIPE, IN },
    { FERRY_E_LIMIT, WIRE_E2BIG, BOTH },
    { FERRY_E_LIMIT, WIRE_EMSGSIZE, IN },
    { FERRY_E_UNSUPPORTED, WIRE_ENOTTY, BOTH },
    { FERRY_E_UNSUPPORTED, WIRE_EOPNOTSUPP, IN },
    { FERRY_E_STATE, WIRE_EPERM, BOTH },
    { FERRY_E_BUSY, WIRE_EBUSY, BOTH },
    { FERRY_E_BUSY, WIRE_EALREADY, IN },
    { FERRY_E_EXISTS, WIRE_EEXIST, BOTH },
    { FERRY_E_OVERLAP, WIRE_EEXIST, OUT },
    { FERRY_E_OVERLAP, WIRE_EADDRINUSE, IN },
    { FERRY_E_NOT_FOUND, WIRE_ENOENT, BOTH },
    { FERRY_E_NOT_FOUND, WIRE_ENXIO, IN },
    { FERRY_E_RANGE, WIRE_ERANGE, BOTH },
    { FERRY_E_RANGE, WIRE_EOVERFLOW, IN },
    { FERRY_E_RANGE, WIRE_EFAULT, IN },
    { FERRY_E_DEVICE, WIRE_EIO, BOTH },
    { FERRY_E_IO, WIRE_EREMOTEIO, BOTH },
    { FERRY_E_PERMISSION, WIRE_EACCES, BOTH },
    { FERRY_E_DEVICE_ERROR, WIRE_ENOTRECOVERABLE, BOTH },
    { FERRY_E_DEVICE_ERROR, WIRE_ENODEV, IN },
    { FERRY_E_INCOMPATIBLE, WIRE_EXDEV, BOTH },
    { FERRY_E_CORRUPT, WIRE_EUCLEAN, BOTH },
    { FERRY_E_SHORT, WIRE_ENODATA, BOTH },
    { FERRY_E_LONG, WIRE_EFBIG, BOTH },
    { FERRY_E_FOREIGN, WIRE_EMEDIUMTYPE, BOTH },
    { FERRY_E_VERSION, WIRE_EPROTONOSUPPORT, BOTH },
    { FERRY_E_REFUSED, WIRE_ECONNREFUSED, BOTH },
    { FERRY_E_CANCELLED, WIRE_ECANCELED, BOTH },
    { FERRY_E_DEADLINE, WIRE_ETIME, BOTH },
    { FERRY_E_PEER_MAP, WIRE_EREMOTE, BOTH },
    { FERRY_E_DRY, WIRE_ENOMSG, BOTH },
    { FERRY_E_HUNG, WIRE_EHOSTDOWN, BOTH },
    { FERRY_E_CAPACITY, WIRE_ENOBUFS, BOTH },
    { FERRY_E_CAPACITY, WIRE_ENOSPC, IN },
    { FERRY_E_FDS, WIRE_EBADF, BOTH },
    { FERRY_E_MESSAGE, WIRE_ENOSYS, BOTH },
};

uint32_t ferry_wire_errno_from_status(int status)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].status == status && (table[i].way & OUT) != 0) {
            return table[i].number;
        }
    }
    return WIRE_EIO;
}

int ferry_wire_status_from_errno(uint32_t number)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].number == number && (table[i].way & IN) != 0) {
            return table[i].status;
        }
    }
    return FERRY_E_REFUSED;
}
