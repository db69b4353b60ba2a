/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/iommu/iommu.h"
#include "bridge/iommu/log/log.h"
#include "bridge/iommu/type1/type1.h"
#include "bridge/migration/migration.h"
#include "bridge/migration/v1/v1.h"
#include "bridge/say.h"
#include "os/memory.h"

void bridge_device_pulled(struct bridge_device *device)
{
    const uint16_t first = 0;

    if (device->token.uapi != BRIDGE_UAPI_ANY &&
        __atomic_exchange_n(&device->pulled, 1, __ATOMIC_ACQ_REL) == 0) {
        bridge_device_alarm(device);
        bridge_device_raise_irqs(device, BRIDGE_IRQ_REQ, &first, 1);
    }
}

void bridge_device_lost(struct bridge_device *device)
{
    /* While it is being bound, BIND looks itself. */
    if (__atomic_load_n(&device->bound, __ATOMIC_ACQUIRE) && device->migration) {
        bridge_migration_lost(device->migration);
        bridge_device_pulled(device);
    }
}

static int ask_reset(struct bridge_device *device, struct ferry_error *reterr)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET, .reterr = reterr };

    return bridge_link_call(device->link, &request);
}

static int replace_regions(struct bridge_device *device, struct bridge_facts *facts)
{
    uint32_t i;
    int rc = 0;

    for (i = 0; i < BRIDGE_REGIONS_MAX && rc == 0; i++) {
        if (facts->region[i].fd >= 0) {
            rc = bridge_region_replace(device, i, facts->region[i].fd);
            facts->region[i].fd = -1;
        }
    }
    return rc;
}

/* A server is connected that nobody has told anything. Return: 0 or -errno. */
static int set_up_again(struct bridge_device *device, struct ferry_error *error)
{
    struct bridge_facts *facts = malloc(sizeof(*facts));
    const char *other;
    int rc;

    if (!facts) {
        return -ENOMEM;
    }
    rc = bridge_facts_ask(device, facts, error);
    if (rc != FERRY_OK) {
        free(facts);
        return bridge_errno(rc);
    }
    other = bridge_facts_differ(device, facts);
    if (other) {
        ferry_error_set(error, FERRY_E_INCOMPATIBLE, "bridge", NULL, 0,
                        "another device answers there: other %s", other);
        rc = -EIO;
    } else {
        /* Nobody compares it yet: the migration counts as lost until it is reset. */
        device->identity = facts->identity;
        rc = replace_regions(device, facts);
    }
    bridge_facts_drop(facts);
    free(facts);
    if (rc == 0) {
        bridge_log_lost(device->log);
        rc = bridge_iommu_repeat(device);
    }
    if (rc == 0) {
        rc = bridge_irqs_repeat(device);
    }
    return rc;
}

static int come_back(struct bridge_device *device)
{
    struct ferry_error error = { .code = FERRY_OK };
    int rc = bridge_link_reopen(device->link, &error);

    if (rc == FERRY_OK) {
        bridge_link_limit(device->link,
                          (uint64_t)BRIDGE_SETUP_LIMITS * device->token.timeout_ms);
        rc = set_up_again(device, &error);
        bridge_link_limit(device->link, 0);
        if (rc != 0) {
            bridge_link_give_up(device->link);
        }
    }
    if (rc != 0) {
        bridge_say(device, "there is no server for it (%s): it goes on failing",
                   error.text[0] ? error.text : strerror(rc < 0 ? -rc : rc));
        return -EIO;
    }
    bridge_say(device, "connected to its server again, memory and interrupts set up");
    return 0;
}

void bridge_device_moves(struct bridge_device *device)
{
    int rc = bridge_iommu_settle(device);

    if (rc == 0) {
        rc = bridge_irqs_settle(device);
    }
    if (rc < 0 && !bridge_link_dead(device->link)) {
        bridge_say(device, "it runs again without memory or interrupts that were set up "
                           "while it stood still");
        bridge_device_alarm(device);
    }
}

int bridge_device_reset(struct bridge_device *device)
{
    struct ferry_error error = { .code = FERRY_OK };
    int there;

    pthread_mutex_lock(&device->life);
    there = !bridge_link_dead(device->link);
    if (there && ask_reset(device, &error) != FERRY_OK &&
        !bridge_link_dead(device->link)) {
        /* A server resets its device when its client leaves. */
        bridge_say(device, "the reset fails (%s): connecting again resets it too",
                   error.text);
        bridge_link_give_up(device->link);
        bridge_device_lost(device);
    }
    if (bridge_link_dead(device->link)) {
        there = come_back(device) == 0;
    }
    if (there) {
        __atomic_store_n(&device->pulled, 0, __ATOMIC_RELEASE);
    }
    if (there && device->migration) {
        bridge_migration_reset(device->migration);
    }
    if (device->v1) {
        bridge_v1_reset(device->v1);
    }
    pthread_mutex_unlock(&device->life);
    return there || device->token.uapi == BRIDGE_UAPI_ANY ? 0 : -EIO;
}

long bridge_device_ioctl_reset(struct bridge_device *device, void *arg)
{
    (void)arg;
    /* The recovery of a migration, which no guest has asked for? */
    if (device->migration && bridge_migration_recover(device->migration)) {
        return 0;
    }
    return bridge_device_reset(device);
}

/* The device is alone on its bus, and in its group. */
long bridge_device_hot_reset_info(struct bridge_device *device, void *arg)
{
    struct uapi_hot_reset_info *info = arg;
    struct uapi_hot_reset_device *out = (struct uapi_hot_reset_device *)(info + 1);

    info->flags = device->group != NULL ? 0 : UAPI_HOT_RESET_IDS | UAPI_HOT_RESET_OWNED;
    info->count = 1;
    if (info->argsz < sizeof(*info) + sizeof(*out)) {
        return -ENOSPC;
    }
    out->id = device->group != NULL ? device->group_number : device->iommu_id;
    return 0;
}

long bridge_device_hot_reset(struct bridge_device *device, void *arg)
{
    const struct uapi_hot_reset *call = arg;

    if (device->group != NULL) {
        /* Who resets a bus shows the groups on it. */
        const int32_t *fd = (const int32_t *)(const void *)(call + 1);

        if (call->flags != 0 || call->count != 1 ||
            call->argsz < sizeof(*call) + sizeof(*fd) ||
            !bridge_group_is(*fd, device->group_number)) {
            return -EINVAL;
        }
        return bridge_device_reset(device);
    }
    return call->flags != 0 || call->count != 0 ? -EINVAL : bridge_device_reset(device);
}
