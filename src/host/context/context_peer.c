/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "base/range.h"
#include "host/context/context.h"

/*
 * Peer to peer: a region of one device in the DMA map of another. The target's server
 * gave a descriptor for the region; the initiator gets that.
 */

static int map(struct ferry_host_device *initiator,
               const struct ferry_host_device *target, struct ferry_host_peer_map *map,
               struct ferry_error *reterr)
{
    const struct ferry_region_info *region = &target->region[map->region];
    struct ferry_error detail = { 0 };
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_MAP,
        .u.map = { .iova = map->iova,
                   .size = map->size,
                   .offset = region->offset + map->off,
                   .fd = region->fd,
                   .flags =
                       ((region->flags & FERRY_REGION_READ) ? FERRY_DMA_READ : 0) |
                       ((region->flags & FERRY_REGION_WRITE) ? FERRY_DMA_WRITE : 0) },
        .reterr = &detail,
    };
    const int rc = initiator->backend->ops->call(initiator->backend, &request);

    if (rc != FERRY_OK) {
        return ferry_error_set(
            reterr, rc, FERRY_HOST_LAYER, NULL, 0,
            "device '%s' did not map region %u of '%s' at 0x%llx: %s", initiator->name,
            map->region, target->name, (unsigned long long)map->iova,
            detail.text[0] != '\0' ? detail.text : ferry_status_text(rc));
    }
    map->mapped = 1;
    return FERRY_OK;
}

/* What a device that has just died held is gone as well; and what it does not know has
 * gone after an unmap that ended too late for us. */
static int unmap(struct ferry_host_device *initiator, struct ferry_host_peer_map *map,
                 struct ferry_error *reterr)
{
    struct ferry_error detail = { 0 };
    struct ferry_request request = {
        .kind = FERRY_RQ_DMA_UNMAP,
        .u.unmap = { .iova = map->iova, .size = map->size },
        .reterr = &detail,
    };
    int rc = FERRY_OK;

    if (map->mapped && ferry_host_device_is_open(initiator)) {
        rc = initiator->backend->ops->call(initiator->backend, &request);
    }
    if (rc != FERRY_OK && rc != FERRY_E_CLOSED && rc != FERRY_E_NOT_FOUND) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s' did not let go of the peer map at 0x%llx: %s",
                               initiator->name, (unsigned long long)map->iova,
                               detail.text[0] != '\0' ? detail.text
                                                      : ferry_status_text(rc));
    }
    map->mapped = 0;
    return FERRY_OK;
}

/*
 * A guest moves BARs when it likes, and an access of a CPU cannot be answered "busy": so
 * maps change until the CPUs have paused. No dirty log is asked before an unmap: what was
 * written through the map is the peer's own state, and no page of the context's memory.
 */
static int check_moment(const struct ferry_context *context, struct ferry_error *reterr)
{
    if (context->migration != NULL && context->migration_ops->cpus_stopped(context)) {
        return ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                               "the CPUs have paused for a migration: peer maps change "
                               "before they do, or when they run again");
    }
    return FERRY_OK;
}

/* Is the range free in the initiator's map? */
static int check_iova(const struct ferry_context *context, uint32_t initiator,
                      uint64_t iova, uint64_t size, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < context->memory_end; i++) {
        const struct ferry_host_memory *memory = &context->memory[i];

        if (ferry_range_overlaps(iova, size, memory->iova, memory->size)) {
            return ferry_error_set(reterr, FERRY_E_OVERLAP, FERRY_HOST_LAYER, NULL, 0,
                                   "the peer map at 0x%llx overlaps memory %u at 0x%llx",
                                   (unsigned long long)iova, i,
                                   (unsigned long long)memory->iova);
        }
    }
    for (uint32_t i = 0; i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        const struct ferry_host_peer_map *other = &context->peer_map[i];

        if (other->initiator == initiator &&
            ferry_range_overlaps(iova, size, other->iova, other->size)) {
            return ferry_error_set(reterr, FERRY_E_OVERLAP, FERRY_HOST_LAYER, NULL, 0,
                                   "the peer map at 0x%llx overlaps the one at 0x%llx",
                                   (unsigned long long)iova,
                                   (unsigned long long)other->iova);
        }
    }
    return FERRY_OK;
}

static int check(const struct ferry_context *context,
                 const struct ferry_host_device *initiator,
                 const struct ferry_host_device *target,
                 const struct ferry_host_peer_map *wanted, struct ferry_error *reterr)
{
    uint64_t end;
    int rc;

    if (context->no_peer_maps) {
        return ferry_error_set(reterr, FERRY_E_PERMISSION, FERRY_HOST_LAYER, NULL, 0,
                               "peer maps are switched off in this context "
                               "(no_peer_maps): device '%s' gets no region of '%s'",
                               initiator->name, target->name);
    }
    rc = check_moment(context, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    rc = ferry_host_region_mappable(target, wanted->region, wanted->off, wanted->size,
                                    reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (!ferry_range_aligned(wanted->off | wanted->size | wanted->iova,
                             FERRY_PAGE_BYTES)) {
        return ferry_error_set(reterr, FERRY_E_ALIGN, FERRY_HOST_LAYER, NULL, 0,
                               "a peer map's address, offset and size must be multiples "
                               "of %u",
                               FERRY_PAGE_BYTES);
    }
    if (!ferry_range_add(wanted->iova, wanted->size, &end)) {
        return ferry_error_set(reterr, FERRY_E_RANGE, FERRY_HOST_LAYER, NULL, 0,
                               "the peer map at 0x%llx goes past the end",
                               (unsigned long long)wanted->iova);
    }
    return check_iova(context, initiator->index, wanted->iova, wanted->size, reterr);
}

int ferry_context_map_peer(struct ferry_context *context, uint32_t initiator,
                           uint32_t target, uint32_t region, uint64_t off, uint64_t size,
                           uint64_t iova, struct ferry_error *reterr)
{
    struct ferry_host_device *from = ferry_host_device(context, initiator);
    struct ferry_host_device *to = ferry_host_device(context, target);
    struct ferry_host_peer_map wanted = { .initiator = initiator,
                                          .target = target,
                                          .region = region,
                                          .off = off,
                                          .size = size,
                                          .iova = iova };
    uint32_t slot = 0;
    int rc;

    if (from == NULL || to == NULL || from == to) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                               "a peer map is between two devices; %u and %u are not",
                               initiator, target);
    }
    rc = check(context, from, to, &wanted, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    if (!ferry_host_device_is_open(from) || !ferry_host_device_is_open(to)) {
        return ferry_error_set(reterr, FERRY_E_CLOSED, FERRY_HOST_LAYER, NULL, 0,
                               "device '%s' or '%s' is gone", from->name, to->name);
    }
    while (slot < FERRY_HOST_PEER_MAPS_MAX && context->peer_map[slot].size != 0) {
        slot++;
    }
    if (slot == FERRY_HOST_PEER_MAPS_MAX) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, FERRY_HOST_LAYER, NULL, 0,
                               "a context has at most %u peer maps",
                               FERRY_HOST_PEER_MAPS_MAX);
    }
    rc = map(from, to, &wanted, reterr);
    if (rc != FERRY_OK) {
        return rc;
    }
    context->peer_map[slot] = wanted;
    if (context->migration != NULL) {
        context->migration_ops->peer_mapped(context, initiator);
    }
    return FERRY_OK;
}

int ferry_context_unmap_peer(struct ferry_context *context, uint32_t initiator,
                             uint64_t iova, struct ferry_error *reterr)
{
    struct ferry_host_device *from = ferry_host_device(context, initiator);
    int rc = check_moment(context, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    for (uint32_t i = 0; from != NULL && i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        struct ferry_host_peer_map *held = &context->peer_map[i];

        if (held->size == 0 || held->initiator != initiator || held->iova != iova) {
            continue;
        }
        rc = unmap(from, held, reterr);
        if (rc == FERRY_OK) {
            memset(held, 0, sizeof(*held));
        }
        return rc;
    }
    return ferry_error_set(reterr, FERRY_E_NOT_FOUND, FERRY_HOST_LAYER, NULL, 0,
                           "device %u has no peer map at 0x%llx", initiator,
                           (unsigned long long)iova);
}

int ferry_host_reaches_peer(const struct ferry_context *context, uint32_t device,
                            uint32_t *ret_peer)
{
    for (uint32_t i = 0; i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        const struct ferry_host_peer_map *map = &context->peer_map[i];

        if (map->size != 0 && map->initiator == device) {
            *ret_peer = map->target;
            return 1;
        }
    }
    return 0;
}

void ferry_host_peer_leave(struct ferry_host_device *device)
{
    struct ferry_context *context = device->context;

    for (uint32_t i = 0; i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        struct ferry_host_peer_map *map = &context->peer_map[i];

        if (map->size == 0) {
            continue;
        }
        if (map->target == device->index) {
            (void)unmap(context->device[map->initiator], map, NULL);
            map->mapped = 0; /* by now it is a map of nothing that lives */
        } else if (map->initiator == device->index) {
            /* Its server forgets all maps with the connection. */
            map->mapped = 0;
        }
    }
}

int ferry_host_peer_join(struct ferry_host_device *device, struct ferry_error *reterr)
{
    struct ferry_context *context = device->context;

    for (uint32_t i = 0; i < FERRY_HOST_PEER_MAPS_MAX; i++) {
        struct ferry_host_peer_map *wanted = &context->peer_map[i];
        struct ferry_host_device *initiator;
        struct ferry_host_device *target;
        int rc;

        if (wanted->size == 0 || wanted->mapped ||
            (wanted->initiator != device->index && wanted->target != device->index)) {
            continue;
        }
        initiator = context->device[wanted->initiator];
        target = context->device[wanted->target];
        if (!ferry_host_device_is_open(initiator) || !ferry_host_device_is_open(target)) {
            continue;
        }
        /* The device behind the same name may be another one now. */
        rc = ferry_host_region_mappable(target, wanted->region, wanted->off, wanted->size,
                                        reterr);
        if (rc == FERRY_OK) {
            rc = map(initiator, target, wanted, reterr);
        }
        if (rc != FERRY_OK) {
            return rc;
        }
    }
    return FERRY_OK;
}
