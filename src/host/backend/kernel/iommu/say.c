/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/kernel/iommu/say.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>

#include "os/errno.h"

#define LAYER "host"

int kernel_say(struct ferry_error *reterr, int status, int err, const char *format, ...)
{
    char text[sizeof(reterr->text)];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)ferry_error_set(reterr, status, LAYER, NULL, 0, "%s", text);
    if (reterr != NULL) {
        reterr->os_errno = (uint32_t)err;
    }
    return status;
}

int kernel_say_open(struct ferry_error *reterr, int err, const char *path,
                    const char *what)
{
    switch (err) {
    case EACCES:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          "%s: no permission to open %s: be root, or let root give the "
                          "node to you (chown)",
                          what, path);
    case EPERM:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          "%s: the kernel gives %s to nobody without CAP_SYS_RAWIO, or "
                          "the container's rules for devices forbid it",
                          what, path);
    case EBUSY:
        return kernel_say(reterr, FERRY_E_BUSY, err,
                          "%s: %s is in use by another process (`fuser %s` says which), "
                          "or by this one under another URI",
                          what, path, path);
    case ENOENT:
    case ENXIO:
    case ENODEV:
        return kernel_say(reterr, FERRY_E_NOT_FOUND, err,
                          "%s: %s is not there (any more): `ferry list` shows what is, "
                          "`ferry bind` gives a device to VFIO",
                          what, path);
    case EMFILE:
    case ENFILE:
        return kernel_say(reterr, FERRY_E_LIMIT, err,
                          "%s: too many open files for %s: see `ulimit -n`", what, path);
    default:
        return ferry_os_error(reterr, err, path);
    }
}

/* "8 MiB", or that there is none. */
static void print_limit(char *text, size_t cap)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        (void)snprintf(text, cap, "the limit is off, so memory itself has run out");
    } else {
        (void)snprintf(
            text, cap,
            "the limit is %llu KiB: `ulimit -l unlimited`, or LimitMEMLOCK= of "
            "the service",
            (unsigned long long)limit.rlim_cur >> 10);
    }
}

int kernel_say_map(struct ferry_error *reterr, int err, const char *iommu, uint64_t iova,
                   uint64_t size, int is_peer)
{
    const unsigned long long at = iova;
    const unsigned long long kib = size >> 10;
    char limit[120];

    switch (err) {
    case ENOMEM:
        print_limit(limit, sizeof(limit));
        return kernel_say(reterr, FERRY_E_LIMIT, err,
                          "%s: %llu KiB at 0x%llx cannot be locked into memory; %s",
                          iommu, kib, at, limit);
    case ENOSPC:
        return kernel_say(reterr, FERRY_E_LIMIT, err,
                          "%s: no room for one more map, at 0x%llx (dma_entry_limit of "
                          "vfio_iommu_type1)",
                          iommu, at);
    case EEXIST:
    case EADDRINUSE:
        return kernel_say(reterr, FERRY_E_OVERLAP, err, "%s: 0x%llx is mapped already",
                          iommu, at);
    case EFAULT:
    case EOPNOTSUPP:
        if (is_peer) {
            return kernel_say(
                reterr, FERRY_E_UNSUPPORTED, err,
                "%s of this kernel does not map another device's region (at "
                "0x%llx)%s",
                iommu, at, iommu[0] == 'i' ? "; vfio-group: may do it" : "");
        }
        return kernel_say(reterr, FERRY_E_UNSUPPORTED, err,
                          "%s cannot map the memory for 0x%llx: it is not there, cannot "
                          "be written, or is no memory that a device can reach",
                          iommu, at);
    case EINVAL:
    case EOVERFLOW:
        return kernel_say(
            reterr, FERRY_E_RANGE, err,
            "%s does not take %llu KiB at 0x%llx: outside its addresses, or "
            "a reserved range",
            iommu, kib, at);
    case EPERM:
    case EACCES:
        return kernel_say(reterr, FERRY_E_PERMISSION, err,
                          "%s: a device may not write to the memory for 0x%llx", iommu,
                          at);
    default:
        return ferry_os_error_as(reterr, FERRY_E_IO, err, iommu);
    }
}
