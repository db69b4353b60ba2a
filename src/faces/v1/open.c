/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "faces/v1/face.h"
#include "os/clock.h"

/* What a processor hashes at least, in both passes over a frozen device's memory. */
#define HASHED_BYTES_PER_NS 2u
/* Between two looks at a device that takes its time. */
#define WAIT_NS 500000u

static void tell_over(struct ferry_request *request)
{
    *(int *)request->user = 1;
}

/* Asks and waits for the answer. */
static int ask_now(struct ferry_endpoint *below, struct ferry_request *request)
{
    const uint64_t deadline_ns =
        ferry_os_now_ns() + FACE_OPEN_TIMEOUT_MS * FERRY_NS_PER_MS;
    int over = 0;

    request->done = tell_over;
    request->user = &over;
    if (below->ops->submit(below, request) != FERRY_PENDING) {
        return request->status;
    }
    while (!over && ferry_os_now_ns() < deadline_ns) {
        if (below->ops->work == NULL || below->ops->work(below) <= 0) {
            ferry_os_sleep_ns(WAIT_NS);
        }
    }
    if (!over) {
        below->ops->detach(below); /* it lets go of the request */
        return FERRY_E_TIMEOUT;
    }
    return request->status;
}

static void count_areas(struct face *face, uint32_t region,
                        const struct ferry_region_info *info, uint32_t *maps)
{
    face->watched |= 1ull << region;
    *maps += info->area_count > 0 ? info->area_count : 1;
    face->memory_bytes += info->area_count > 0 ? 0 : info->size;
    for (uint32_t i = 0; i < info->area_count; i++) {
        face->memory_bytes += info->area[i].size;
    }
}

/* What the freeze will have to look at: what nobody is told of nobody can map. */
static int find_memory(struct face *face, struct ferry_error *reterr)
{
    uint32_t maps = 0;

    for (uint32_t i = 0; i < face->info.region_count; i++) {
        struct ferry_request request = { .kind = FERRY_RQ_GET_REGION_INFO,
                                         .reterr = reterr };
        int status;

        request.u.region.index = i;
        request.u.region.fd = FERRY_NO_REGION_FD;
        status = ask_now(face->endpoint.below, &request);
        if (status == FERRY_E_TIMEOUT || status == FERRY_E_CLOSED) {
            return status;
        }
        if (status == FERRY_OK && (request.u.region.flags & FERRY_REGION_MMAP) != 0) {
            if (i >= FACE_REGIONS_MAX) {
                return FERRY_E_LIMIT;
            }
            count_areas(face, i, &request.u.region, &maps);
        }
    }
    return maps <= FACE_MAPS_MAX ? FERRY_OK : FERRY_E_LIMIT;
}

static int learn(struct face *face, struct ferry_error *reterr)
{
    struct ferry_endpoint *below = face->endpoint.below;
    struct ferry_request request = { .kind = FERRY_RQ_MIG_FLAGS, .reterr = reterr };
    int status = ask_now(below, &request);

    if (status == FERRY_OK) {
        face->device.features = (uint32_t)request.u.mig_flags;
        request = (struct ferry_request){ .kind = FERRY_RQ_GET_INFO, .reterr = reterr };
        status = ask_now(below, &request);
    }
    if (status == FERRY_OK) {
        face->info = request.u.info;
        request = (struct ferry_request){ .kind = FERRY_RQ_IDENTITY, .reterr = reterr };
        request.u.identity = &face->identity;
        status = ask_now(below, &request);
    }
    face->device.implicit = (face->device.features & FERRY_MIG_P2P) != 0;
    if (status == FERRY_OK && face->device.implicit) {
        status = find_memory(face, reterr);
    }
    return status;
}

/* What version 1 knows: pre-copy always, P2P never. */
static void show(struct face *face)
{
    face->identity.migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_PRE_COPY;
    face->identity.implicit_quiesce = face->device.implicit;
    face->identity.any_chunks = 1;
    if (face->identity.stop_ns != 0) {
        face->identity.stop_ns += face->memory_bytes / HASHED_BYTES_PER_NS;
    }
}

int ferry_face_v1_open(struct ferry_endpoint *below, uint32_t form,
                       struct ferry_endpoint **ret_endpoint, struct ferry_error *reterr)
{
    struct face *face;
    int status;

    if (form > FERRY_FACE_V1_PARTITIONED) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, FACE_LAYER, NULL, 0,
                               "form %u of the migration region is unknown", form);
    }
    face = calloc(1, sizeof(*face));
    if (face == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FACE_LAYER, NULL, 0, "no memory");
    }
    face->endpoint.ops = &face_ops;
    face->endpoint.below = below;
    face->form = form;
    face->last = &face->first;
    face->section.fd = -1;
    status = below->ops->attach(below, NULL);
    if (status == FERRY_OK) {
        status = learn(face, reterr);
        below->ops->detach(below);
    }
    if (status != FERRY_OK) {
        free(face);
        return ferry_error_set(reterr, status, FACE_LAYER, NULL, 0,
                               "the device cannot be shown by uAPI v1: %s",
                               ferry_status_text(status));
    }
    show(face);
    *ret_endpoint = &face->endpoint;
    return FERRY_OK;
}

void ferry_face_v1_close(struct ferry_endpoint *endpoint)
{
    free(endpoint);
}
