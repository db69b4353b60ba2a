/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdarg.h>
#include <sys/ioctl.h>

#include "bridge/preload/symbols/kvm.h"
#include "bridge/preload/symbols/real.h"
#include "bridge/preload/symbols/symbols.h"
#include "bridge/preload/table.h"

#define VFIO_TYPE ';' /* of the request numbers of VFIO and iommufd */

long bridge_symbol_end(struct bridge_object *object, long result, int err_before)
{
    bridge_object_put(object);
    errno = result < 0 ? (int)-result : err_before;
    return result < 0 ? -1 : result;
}

BRIDGE_SYMBOL int ioctl(int fd, unsigned long request, ...)
{
    struct bridge_object *object;
    int err = errno;
    va_list args;
    void *arg;
    long rc;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (_IOC_TYPE(request) == BRIDGE_KVM_TYPE && bridge_kvm_wants(request)) {
        return bridge_kvm_ioctl(fd, request, arg);
    }
    if (_IOC_TYPE(request) != VFIO_TYPE) {
        return bridge_real()->ioctl(fd, request, arg);
    }
    object = bridge_table_recognise(fd);
    if (object == NULL) {
        return bridge_real()->ioctl(fd, request, arg);
    }
    rc = object->ops->ioctl ? object->ops->ioctl(object, request, arg) : -ENOTTY;
    return (int)bridge_symbol_end(object, rc, err);
}
