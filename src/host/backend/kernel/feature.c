/* SPDX-License-Identifier: BSD-3-Clause */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "host/backend/kernel/inside.h"
#include "os/clock.h"

#define FEATURE_PRECOPY_INFO 0xfe01u /* Ferry's number for the call on the data fd */

int kernel_feature(const struct backend_kernel *kernel, uint32_t flags, void *payload,
                   uint32_t bytes, uint64_t deadline_ns)
{
    const struct uapi_feature head = { .argsz = (uint32_t)sizeof(head) + bytes,
                                       .flags = flags };
    /* Aligned as the kernel's own structures are. */
    _Alignas(8) uint8_t buffer[sizeof(struct uapi_feature) + KERNEL_PAYLOAD_MAX];
    int rc;

    assert(bytes <= KERNEL_PAYLOAD_MAX);
    memcpy(buffer, &head, sizeof(head));
    if (bytes > 0) {
        memcpy(buffer + sizeof(head), payload, bytes);
    }
    /* A driver that waits for its firmware can be woken by a signal; the change is then
     * asked for again, from wherever it has got to. */
    do {
        rc = kernel->calls->ioctl(kernel->calls->user, kernel->fd, UAPI_FEATURE, buffer);
    } while (rc == -EINTR && (deadline_ns == 0 || ferry_os_now_ns() < deadline_ns));
    if (rc >= 0 && bytes > 0) {
        memcpy(payload, buffer + sizeof(head), bytes);
    }
    return rc;
}

static int no_feature(const struct ferry_feature_probe *probe, struct ferry_error *reterr)
{
    return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, KERNEL_LAYER, NULL, 0,
                           "the device has no feature %u", probe->index);
}

static int is_log(uint32_t index)
{
    return index == UAPI_LOG_START || index == UAPI_LOG_STOP || index == UAPI_LOG_REPORT;
}

/* What the IOMMU does for the device looks as if the device did it. */
static int probe_log(const struct backend_kernel *kernel,
                     const struct ferry_feature_probe *probe, struct ferry_error *reterr)
{
    const uint32_t there =
        probe->index == UAPI_LOG_REPORT ? FERRY_FEATURE_GET : FERRY_FEATURE_SET;

    if (kernel->dirty == KERNEL_DIRTY_NONE) {
        return no_feature(probe, reterr);
    }
    return (probe->operation & ~there) == 0
               ? FERRY_OK
               : ferry_error_set(reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                                 "feature %u cannot be %s", probe->index,
                                 there == FERRY_FEATURE_GET ? "set" : "got");
}

int kernel_probe(struct backend_kernel *kernel, const struct ferry_feature_probe *probe,
                 struct ferry_error *reterr)
{
    uint32_t flags = probe->index | UAPI_FEATURE_PROBE;
    int rc;

    if (probe->index == FEATURE_PRECOPY_INFO) {
        return (kernel->mig_flags & FERRY_MIG_PRE_COPY) != 0 &&
                       probe->operation == FERRY_FEATURE_GET
                   ? FERRY_OK
                   : no_feature(probe, reterr);
    }
    if (probe->index > UAPI_FEATURE_NUMBER) {
        return no_feature(probe, reterr);
    }
    if (is_log(probe->index) && kernel->dirty != KERNEL_DIRTY_DEVICE) {
        return probe_log(kernel, probe, reterr);
    }
    flags |= (probe->operation & FERRY_FEATURE_GET) != 0 ? UAPI_FEATURE_GET : 0;
    flags |= (probe->operation & FERRY_FEATURE_SET) != 0 ? UAPI_FEATURE_SET : 0;
    rc = kernel_feature(kernel, flags, NULL, 0, 0);
    return rc == -ENOTTY ? no_feature(probe, reterr)
           : rc < 0      ? kernel_refusal(reterr, rc, "VFIO_DEVICE_FEATURE_PROBE")
                         : FERRY_OK;
}

static int data_size(struct backend_kernel *kernel, struct kernel_job *job)
{
    struct uapi_mig_size size = { 0 };
    const int rc = kernel_feature(kernel, UAPI_MIG_SIZE | UAPI_FEATURE_GET, &size,
                                  sizeof(size), job->deadline_ns);

    if (rc < 0) {
        return kernel_refusal(&job->detail, rc, "MIG_DATA_SIZE");
    }
    if (size.stop_copy_bytes >= KERNEL_DATA_BYTES_SANE) {
        return ferry_error_set(&job->detail, FERRY_E_DEVICE, KERNEL_LAYER, NULL, 0,
                               "MIG_DATA_SIZE: the driver says 0x%llx bytes, which no "
                               "device has",
                               (unsigned long long)size.stop_copy_bytes);
    }
    job->request.u.data_size = size.stop_copy_bytes;
    return FERRY_OK;
}

kernel_perform_fn *kernel_performer(uint32_t kind)
{
    static const struct {
        uint32_t kind;
        kernel_perform_fn *perform;
    } table[] = {
        { KERNEL_RQ_BEGIN, kernel_begin },
        { FERRY_RQ_RESET, kernel_reset },
        { FERRY_RQ_GET_STATE, kernel_get_state },
        { FERRY_RQ_SET_STATE, kernel_set_state },
        { FERRY_RQ_LOG_START, kernel_log_start },
        { FERRY_RQ_LOG_STOP, kernel_log_stop },
        { FERRY_RQ_LOG_REPORT, kernel_log_report },
        { FERRY_RQ_DATA_SIZE, data_size },
        { FERRY_RQ_PRECOPY_INFO, kernel_precopy_info },
        { FERRY_RQ_DATA_READ, kernel_data_read },
        { FERRY_RQ_DATA_WRITE, kernel_data_write },
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].kind == kind) {
            return table[i].perform;
        }
    }
    return NULL;
}
