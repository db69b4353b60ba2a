/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/iommu/cdev.h"
#include "bridge/iommu/iommu.h"
#include "bridge/iommu/log/log.h"
#include "bridge/iommu/type1/type1.h"
#include "bridge/migration/migration.h"
#include "bridge/migration/v1/v1.h"
#include "bridge/preload/table.h"
#include "bridge/say.h"
#include "os/memory.h"

static uint32_t last_id; /* atomic */

/* Undoes whatever BIND did; called once for each. */
static void unbind(struct bridge_device *device)
{
    uint32_t i;

    if (device->link) {
        /* From here on no other thread comes along, and what follows fails at once: the
         * server forgets everything by itself. */
        bridge_link_give_up(device->link);
    }
    bridge_v1_destroy(device);
    bridge_migration_destroy(device);
    /* Its log is looked into by whoever unmaps until the iommufd has let go of it. */
    bridge_iommu_unbind(device);
    bridge_log_destroy(device);
    bridge_irqs_destroy(device);
    bridge_link_close(device->link);
    device->link = NULL;
    for (i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        ferry_os_close(&device->region[i].fd);
    }
}

/* The regions' fds become the device's. */
static void take_facts(struct bridge_device *device, struct bridge_facts *facts)
{
    device->info = facts->info;
    device->identity = facts->identity;
    memcpy(device->region, facts->region, sizeof(device->region));
    memcpy(device->irq, facts->irq, sizeof(device->irq));
    device->msix = facts->msix;
    device->config = facts->config;
}

/* Return: 0 or -errno; *error says what went wrong. */
static int get_to_know(struct bridge_device *device, struct ferry_error *error)
{
    struct bridge_facts *facts;
    int rc = bridge_link_open(device, &device->link, error);

    if (rc != FERRY_OK) {
        return bridge_errno(rc);
    }
    bridge_link_limit(device->link,
                      (uint64_t)BRIDGE_SETUP_LIMITS * device->token.timeout_ms);
    facts = malloc(sizeof(*facts));
    if (!facts) {
        return bridge_errno(
            ferry_error_set(error, FERRY_E_MEMORY, "bridge", NULL, 0, "out of memory"));
    }
    rc = bridge_facts_ask(device, facts, error);
    if (rc == FERRY_OK) {
        take_facts(device, facts);
    }
    free(facts);
    return rc == FERRY_OK ? 0 : bridge_errno(rc);
}

static int make_parts(struct bridge_device *device, struct ferry_error *error)
{
    int rc = bridge_irqs_create(device);

    if (rc == 0) {
        rc = bridge_log_create(device);
    }
    if (rc == 0) {
        rc = bridge_migration_create(device);
    }
    if (rc == 0 && device->group && device->token.uapi != BRIDGE_UAPI_V2) {
        rc = bridge_v1_create(device); /* a VMM of groups may be one of uAPI v1 */
    }
    if (rc != 0) {
        ferry_error_set(error, FERRY_E_DEVICE, "bridge", NULL, 0,
                        "asking what it can log and migrate: %s", strerror(-rc));
    }
    return rc;
}

static int bind_locked(struct bridge_device *device, struct bridge_object *iommu,
                       struct ferry_error *error)
{
    int rc = bridge_iommu_bind(iommu, device, &device->iommu_id);

    if (rc != 0) {
        ferry_error_set(error, FERRY_E_ARGUMENT, "bridge", NULL, 0,
                        "the iommufd is none of the bridge's");
        return rc;
    }
    rc = get_to_know(device, error);
    if (rc == 0) {
        rc = make_parts(device, error);
    }
    if (rc == 0 && bridge_link_dead(device->link)) {
        ferry_error_set(error, FERRY_E_CLOSED, "bridge", NULL, 0, "the server went away");
        rc = -EIO;
    }
    if (rc != 0) {
        unbind(device);
        return rc;
    }
    bridge_link_limit(device->link, 0);
    return 0;
}

/* `life` is held. */
static void set_bound(struct bridge_device *device)
{
    __atomic_store_n(&device->bound, 1, __ATOMIC_RELEASE);
    bridge_cdev_served(device);
    if (bridge_link_dead(device->link)) {
        bridge_device_lost(device); /* who was told of it before let it be */
    }
    bridge_trace(device, "bound: %s at %s",
                 device->identity.model[0] ? device->identity.model : "a device",
                 device->token.path);
}

int bridge_device_open(struct bridge_device *device, struct bridge_object *iommu,
                       uint32_t pt)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = 0;

    pthread_mutex_lock(&device->life);
    if (!device->bound) {
        rc = bind_locked(device, iommu, &error);
        if (rc != 0) {
            bridge_say(device, "cannot be opened: %s", error.text);
        } else {
            set_bound(device);
            rc = bridge_iommu_attach(device, &pt);
        }
        if (rc == -ENOENT && device->token.uapi != BRIDGE_UAPI_ANY) {
            rc = -ENODEV; /* what the kernel says of a name that the group has not */
        }
        bridge_trace(device, "opened by group %u: %d", device->group_number, rc);
    }
    pthread_mutex_unlock(&device->life);
    return rc;
}

/* What the kernel says of a device in use, and of one that is gone, to who opened its
 * path. */
static int as_kernel(int rc)
{
    return rc == -EBUSY ? -EINVAL : rc == -ENOENT ? -ENODEV : rc;
}

static long bind(struct bridge_device *device, void *arg)
{
    struct uapi_bind *call = arg;
    struct ferry_error error = { .code = FERRY_OK };
    struct bridge_object *iommu;
    int rc = -EINVAL;

    if (call->flags != 0) {
        return -EINVAL; /* a token: for virtual functions only */
    }
    iommu = call->iommufd < 0 ? NULL : bridge_table_recognise(call->iommufd);
    if (!iommu) {
        bridge_say(device,
                   "cannot be bound: the iommufd is none of the bridge's; give QEMU "
                   "the token for it (-object iommufd,fd=)");
        return call->iommufd < 0 ? -EBADF : -EINVAL;
    }
    pthread_mutex_lock(&device->life);
    if (!device->bound) {
        rc = bind_locked(device, iommu, &error);
        if (rc != 0) {
            bridge_say(device, "cannot be bound: %s", error.text);
            rc = device->waits ? as_kernel(rc) : rc;
        } else {
            call->out_devid = device->iommu_id;
            set_bound(device);
        }
    }
    pthread_mutex_unlock(&device->life);
    bridge_object_put(iommu);
    return rc;
}

static long attach(struct bridge_device *device, void *arg)
{
    struct uapi_attach *call = arg;
    int rc;

    if (call->flags != 0) {
        return -EINVAL; /* no PASIDs */
    }
    pthread_mutex_lock(&device->life);
    rc = bridge_iommu_attach(device, &call->pt_id);
    pthread_mutex_unlock(&device->life);
    return rc;
}

static long detach(struct bridge_device *device, void *arg)
{
    const struct uapi_detach *call = arg;
    int rc;

    if (call->flags != 0) {
        return -EINVAL;
    }
    pthread_mutex_lock(&device->life);
    rc = bridge_iommu_detach(device);
    pthread_mutex_unlock(&device->life);
    return rc;
}

static const struct {
    unsigned long request;
    uint32_t bytes;   /* the least argsz; 0: the call has no struct */
    uint32_t bound;   /* 1: only after BIND */
    const char *name; /* in the trace; NULL: fn traces more */
    long (*fn)(struct bridge_device *device, void *arg);
} calls[] = {
    { UAPI_BIND, UAPI_NEEDS(uapi_bind, out_devid), 0, "BIND_IOMMUFD", bind },
    { UAPI_ATTACH, UAPI_NEEDS(uapi_attach, pt_id), 1, "ATTACH_IOMMUFD_PT", attach },
    { UAPI_DETACH, UAPI_NEEDS(uapi_detach, flags), 1, "DETACH_IOMMUFD_PT", detach },
    { UAPI_GET_INFO, UAPI_NEEDS(uapi_info, irqs), 1, "GET_INFO", bridge_device_get_info },
    { UAPI_GET_REGION_INFO, UAPI_NEEDS(uapi_region, offset), 1, "GET_REGION_INFO",
      bridge_device_get_region_info },
    { UAPI_GET_IRQ_INFO, UAPI_NEEDS(uapi_irq, count), 1, "GET_IRQ_INFO",
      bridge_device_get_irq_info },
    { UAPI_SET_IRQS, UAPI_NEEDS(uapi_irq_set, count), 1, NULL, bridge_device_set_irqs },
    { UAPI_RESET, 0, 1, "RESET", bridge_device_ioctl_reset },
    { UAPI_GET_HOT_RESET_INFO, UAPI_NEEDS(uapi_hot_reset_info, count), 1,
      "GET_PCI_HOT_RESET_INFO", bridge_device_hot_reset_info },
    { UAPI_HOT_RESET, UAPI_NEEDS(uapi_hot_reset, count), 1, "PCI_HOT_RESET",
      bridge_device_hot_reset },
    { UAPI_FEATURE, sizeof(struct uapi_feature), 1, NULL, bridge_device_feature },
};

static long device_ioctl(struct bridge_object *object, unsigned long request, void *arg)
{
    struct bridge_device *device = (struct bridge_device *)object;
    long rc = -ENOTTY;
    size_t i;

    for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        /* An int on its way here may have become a long with its sign. */
        if (calls[i].request != (uint32_t)request) {
            continue;
        }
        rc = -EINVAL;
        if (calls[i].bytes > 0 && !arg) {
            rc = -EFAULT;
        } else if ((!calls[i].bound ||
                    __atomic_load_n(&device->bound, __ATOMIC_ACQUIRE)) &&
                   (calls[i].bytes == 0 || *(const uint32_t *)arg >= calls[i].bytes)) {
            rc = calls[i].fn(device, arg);
        }
        if (rc < 0 && __atomic_load_n(&device->bound, __ATOMIC_ACQUIRE) &&
            bridge_link_dead(device->link)) {
            bridge_device_pulled(device); /* before its user wonders why */
        }
        if (calls[i].name) {
            bridge_trace(device, "%s: %ld", calls[i].name, rc);
        }
        return rc;
    }
    bridge_trace(device, "ioctl 0x%lx: %ld", request, rc);
    return rc;
}

static void device_destroy(struct bridge_object *object)
{
    struct bridge_device *device = (struct bridge_device *)object;

    if (device->bound) {
        unbind(device);
    }
    bridge_group_left(device);
    bridge_cdev_served(device);
    pthread_mutex_destroy(&device->life);
    pthread_mutex_destroy(&device->lock);
    free(device);
}

static const struct bridge_object_ops device_ops = {
    .kind = "device",
    .ioctl = device_ioctl,
    .pread = bridge_device_pread,
    .pwrite = bridge_device_pwrite,
    .map = bridge_device_map,
    .destroy = device_destroy,
};

int bridge_device_create(const struct bridge_token *token,
                         struct bridge_object **ret_object)
{
    struct bridge_device *device = calloc(1, sizeof(*device));
    uint32_t i;

    if (!device) {
        return -ENOMEM;
    }
    bridge_object_init(&device->object, &device_ops);
    device->token = *token;
    device->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
    for (i = 0; i < BRIDGE_REGIONS_MAX; i++) {
        device->region[i].fd = -1;
    }
    pthread_mutex_init(&device->life, NULL);
    pthread_mutex_init(&device->lock, NULL);
    *ret_object = &device->object;
    return 0;
}

struct bridge_device *bridge_device_of(struct bridge_object *object)
{
    return object && object->ops == &device_ops ? (struct bridge_device *)object : NULL;
}
