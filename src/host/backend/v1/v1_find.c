/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "base/range.h"
#include "host/backend/v1/v1_private.h"
#include "os/clock.h"

/* Behind the PCI regions of VFIO; more than any device has. */
#define FIRST_SPECIAL 9u
#define REGIONS_MAX 256u
#define PAGE_BYTES 4096u

struct finding {
    struct ferry_backend *below;
    struct ferry_error *reterr;
    uint64_t deadline_ns;
    struct ferry_region_info region; /* fd: own, when it was found */
};

/* Is the failure an answer ("I do not have that"), or is the device gone? */
static int is_answer(int rc)
{
    return rc != FERRY_E_CLOSED && rc != FERRY_E_TIMEOUT && rc != FERRY_E_PROTOCOL &&
           rc != FERRY_E_MEMORY;
}

static int lies(const struct finding *finding, const char *what, uint64_t value)
{
    return ferry_error_set(finding->reterr, FERRY_E_PROTOCOL, V1_LAYER, NULL, 0,
                           "region %u is a migration region of uAPI v1, but %s (0x%llx)",
                           finding->region.index, what, (unsigned long long)value);
}

/* Return: FERRY_OK and *ret_found; a negative code when the device is gone. */
static int look(struct finding *finding, int *ret_found)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_INFO,
                                     .reterr = finding->reterr };
    uint32_t count;
    int rc = finding->below->ops->call(finding->below, &request);

    *ret_found = 0;
    if (rc != FERRY_OK) {
        return is_answer(rc) ? FERRY_OK : rc;
    }
    count = request.u.info.region_count;
    for (uint32_t i = FIRST_SPECIAL; i < count && i < REGIONS_MAX; i++) {
        if (ferry_os_now_ns() >= finding->deadline_ns) {
            return ferry_error_set(finding->reterr, FERRY_E_TIMEOUT, V1_LAYER, NULL, 0,
                                   "the device tells too slowly what regions it has");
        }
        request = (struct ferry_request){ .kind = FERRY_RQ_GET_REGION_INFO,
                                          .reterr = finding->reterr };
        request.u.region.index = i;
        request.u.region.fd = FERRY_NO_REGION_FD;
        rc = finding->below->ops->call(finding->below, &request);
        if (rc != FERRY_OK && !is_answer(rc)) {
            return rc;
        }
        if (rc != FERRY_OK) {
            continue;
        }
        if (request.u.region.type == FERRY_V1_REGION_TYPE &&
            request.u.region.subtype == FERRY_V1_REGION_SUBTYPE) {
            finding->region = request.u.region;
            finding->region.index = i;
            *ret_found = 1;
            return FERRY_OK;
        }
        ferry_os_close(&request.u.region.fd);
    }
    return FERRY_OK;
}

static int check_areas(const struct finding *finding)
{
    const struct ferry_region_info *region = &finding->region;
    uint64_t end = 0;

    if (region->area_count > FERRY_SPARSE_AREAS_MAX) {
        return lies(finding, "it has too many mmappable areas", region->area_count);
    }
    for (uint32_t i = 0; i < region->area_count; i++) {
        const struct ferry_range *area = &region->area[i];

        if (!ferry_range_inside(area->off, area->size, region->size) || area->size == 0 ||
            area->off < end || !ferry_range_aligned(area->off | area->size, PAGE_BYTES)) {
            return lies(finding,
                        "an mmappable area lies outside, is empty, not page aligned or "
                        "not in order",
                        area->off);
        }
        if (area->off < FERRY_V1_HEADER_BYTES) {
            return lies(finding, "its registers can be mapped", area->off);
        }
        end = area->off + area->size;
    }
    return FERRY_OK;
}

static int check(const struct finding *finding)
{
    const struct ferry_region_info *region = &finding->region;
    const uint32_t both = FERRY_REGION_READ | FERRY_REGION_WRITE;

    if (region->size <= FERRY_V1_HEADER_BYTES || region->size > INT64_MAX) {
        return lies(finding, "its size leaves no room for data", region->size);
    }
    if ((region->flags & both) != both) {
        return lies(finding, "it cannot be both read and written", region->flags);
    }
    return (region->flags & FERRY_REGION_MMAP) != 0 ? check_areas(finding) : FERRY_OK;
}

/*
 * Maps what can be mapped. Nobody is obliged to, so what is not a file, or one that its
 * owner could make shorter under the mapping, or of huge pages, which may run out, is
 * reached by requests.
 */
static void map_areas(struct backend_v1 *v1)
{
    struct ferry_region_info *region = &v1->region;
    struct ferry_os_file file;

    if ((region->flags & FERRY_REGION_MMAP) == 0 || region->fd < 0 ||
        !ferry_os_file_keep_length(region->fd) ||
        ferry_os_file_look(region->fd, &file) != FERRY_OK || file.huge_pages != 0) {
        region->area_count = 0;
        return;
    }
    /* Without areas the registers would be mapped with the data: they are for requests.
     */
    for (uint32_t i = 0; i < region->area_count; i++) {
        uint64_t off;

        if (!ferry_range_add(region->offset, region->area[i].off, &off) ||
            ferry_os_map_shared(region->fd, off, region->area[i].size,
                                FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &v1->map[i],
                                NULL) != FERRY_OK) {
            v1->map[i] = (struct ferry_os_map){ 0 };
        }
    }
}

void ferry_v1_unmap(struct backend_v1 *v1)
{
    for (uint32_t i = 0; i < FERRY_SPARSE_AREAS_MAX; i++) {
        ferry_os_unmap(&v1->map[i]);
    }
}

static int get_identity(struct backend_v1 *v1, struct ferry_error *reterr)
{
    struct ferry_identity identity = { .model = "" };
    struct ferry_request request = { .kind = FERRY_RQ_IDENTITY, .reterr = reterr };
    int rc;

    request.u.identity = &identity;
    rc = v1->below->ops->call(v1->below, &request);
    v1->any_chunks = rc == FERRY_OK && identity.any_chunks != 0;
    v1->implicit_quiesce = rc == FERRY_OK && identity.implicit_quiesce != 0;
    v1->identified = v1->any_chunks || v1->implicit_quiesce || identity.model[0] != '\0';
    return rc == FERRY_OK || is_answer(rc) ? FERRY_OK : rc;
}

int ferry_backend_v1_find(struct ferry_backend *below, uint32_t limit_ms,
                          struct ferry_backend **ret_backend, struct ferry_error *reterr)
{
    struct finding finding = { .below = below,
                               .reterr = reterr,
                               .deadline_ns = ferry_os_now_ns() +
                                              (uint64_t)limit_ms * FERRY_NS_PER_MS };
    struct backend_v1 *v1;
    int found;
    int rc = look(&finding, &found);

    if (rc != FERRY_OK) {
        return rc;
    }
    if (!found) {
        *ret_backend = below;
        return FERRY_OK;
    }
    rc = check(&finding);
    if (rc == FERRY_OK) {
        rc = ferry_v1_create(below, &v1);
    }
    if (rc != FERRY_OK) {
        ferry_os_close(&finding.region.fd);
        return rc;
    }
    v1->region = finding.region;
    rc = get_identity(v1, reterr);
    if (rc != FERRY_OK) {
        ferry_v1_destroy(v1);
        return rc;
    }
    map_areas(v1);
    *ret_backend = &v1->base;
    return FERRY_OK;
}
