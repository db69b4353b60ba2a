/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "host/backend/kernel/inside.h"
#include "os/memory.h"

/*
 * What the device is made of. The kernel is asked once; a variant driver fills some of
 * the answers in, so lengths, chains and counts are looked at before they are used.
 */

#define PAGE_BYTES 4096u

static int lies(struct ferry_error *reterr, const char *what, uint64_t value)
{
    return ferry_error_set(reterr, FERRY_E_PROTOCOL, KERNEL_LAYER, NULL, 0,
                           "the kernel's driver of the device says: %s (0x%llx)", what,
                           (unsigned long long)value);
}

static int get_info(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    struct uapi_info info = { .argsz = sizeof(info) };
    const int rc = kernel_ioctl(kernel->calls, kernel->fd, UAPI_GET_INFO, &info);

    if (rc < 0) {
        return kernel_refusal(reterr, rc, "VFIO_DEVICE_GET_INFO");
    }
    if (info.regions > KERNEL_REGIONS_MAX) {
        return lies(reterr, "an impossible number of regions", info.regions);
    }
    if (info.irqs > KERNEL_IRQ_INDEXES_MAX) {
        return lies(reterr, "an impossible number of interrupt indexes", info.irqs);
    }
    kernel->info = (struct ferry_device_info){
        .flags = ((info.flags & UAPI_INFO_RESET) != 0 ? FERRY_DEVICE_FLAG_RESET : 0) |
                 ((info.flags & UAPI_INFO_PCI) != 0 ? FERRY_DEVICE_FLAG_PCI : 0),
        .region_count = info.regions,
        .irq_count = info.irqs,
    };
    return FERRY_OK;
}

/* --- capabilities of a region --- */

static int by_place(const void *a, const void *b)
{
    const struct ferry_range *x = a, *y = b;

    return x->off < y->off ? -1 : x->off > y->off;
}

/* The parts that can be mapped. More than we keep are not an error: what is left out is
 * reached by read and write. */
static int take_sparse(struct ferry_region_info *region, const uint8_t *info,
                       uint32_t bytes, uint32_t off, struct ferry_error *reterr)
{
    struct uapi_cap_sparse cap;

    if (!ferry_range_inside(off, sizeof(cap), bytes)) {
        return lies(reterr, "a sparse-mmap capability without its head", off);
    }
    memcpy(&cap, info + off, sizeof(cap));
    if (cap.areas > (bytes - off - sizeof(cap)) / sizeof(struct uapi_area)) {
        return lies(reterr, "more mmappable areas than it has told", cap.areas);
    }
    region->area_count = 0;
    for (uint32_t i = 0; i < cap.areas && region->area_count < FERRY_SPARSE_AREAS_MAX;
         i++) {
        struct uapi_area area;

        memcpy(&area, info + off + sizeof(cap) + i * sizeof(area), sizeof(area));
        if (!ferry_range_inside(area.offset, area.size, region->size)) {
            return lies(reterr, "a mmappable area outside of its region", area.offset);
        }
        if (area.size > 0) {
            region->area[region->area_count++] =
                (struct ferry_range){ .off = area.offset, .size = area.size };
        }
    }
    qsort(region->area, region->area_count, sizeof(region->area[0]), by_place);
    if (region->area_count == 0) {
        region->flags &= ~FERRY_REGION_MMAP; /* no area would mean: all of it */
    }
    return FERRY_OK;
}

static int take_type(struct ferry_region_info *region, const uint8_t *info,
                     uint32_t bytes, uint32_t off, struct ferry_error *reterr)
{
    struct uapi_cap_type cap;

    if (!ferry_range_inside(off, sizeof(cap), bytes)) {
        return lies(reterr, "a type capability that is cut off", off);
    }
    memcpy(&cap, info + off, sizeof(cap));
    region->type = cap.type;
    region->subtype = cap.subtype;
    return FERRY_OK;
}

static int take_caps(struct ferry_region_info *region, const uint8_t *info,
                     uint32_t bytes, uint32_t off, struct ferry_error *reterr)
{
    int rc = FERRY_OK;

    for (uint32_t i = 0; off != 0 && rc == FERRY_OK; i++) {
        struct uapi_cap cap;

        if (i == KERNEL_CAPS_MAX) {
            return lies(reterr, "a chain of capabilities that does not end", off);
        }
        if (off < sizeof(struct uapi_region) ||
            !ferry_range_inside(off, sizeof(cap), bytes)) {
            return lies(reterr, "a capability outside of its info", off);
        }
        memcpy(&cap, info + off, sizeof(cap));
        if (cap.id == UAPI_CAP_SPARSE) {
            rc = take_sparse(region, info, bytes, off, reterr);
        } else if (cap.id == UAPI_CAP_TYPE) {
            rc = take_type(region, info, bytes, off, reterr);
        }
        off = cap.next;
    }
    return rc;
}

/* --- regions --- */

/*
 * Asks until all of the info fits. ret_info: malloc'ed, of *ret_bytes.
 * Return: FERRY_OK; FERRY_E_NOT_FOUND: the kernel knows no such region.
 */
static int ask_region(struct backend_kernel *kernel, uint32_t index, uint8_t **ret_info,
                      uint32_t *ret_bytes, struct ferry_error *reterr)
{
    uint32_t bytes = sizeof(struct uapi_region);

    for (uint32_t i = 0; i < KERNEL_INFO_TRIES; i++) {
        struct uapi_region head = { .argsz = bytes, .index = index };
        uint8_t *info = calloc(1, bytes);
        int rc;

        if (info == NULL) {
            return ferry_error_set(reterr, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                                   "out of memory");
        }
        memcpy(info, &head, sizeof(head));
        rc = kernel_ioctl(kernel->calls, kernel->fd, UAPI_GET_REGION_INFO, info);
        memcpy(&head, info, sizeof(head));
        if (rc >= 0 && head.argsz <= bytes) {
            *ret_info = info;
            *ret_bytes = bytes;
            return FERRY_OK;
        }
        free(info);
        if (rc < 0) {
            (void)kernel_refusal(reterr, rc, "VFIO_DEVICE_GET_REGION_INFO");
            return FERRY_E_NOT_FOUND;
        }
        if (head.argsz > KERNEL_INFO_BYTES_MAX) {
            return lies(reterr, "an info of a region that is longer than any",
                        head.argsz);
        }
        bytes = head.argsz;
    }
    return lies(reterr, "another length of a region's info each time", index);
}

/* What the size leaves to be mapped: only whole pages can be. */
static void round_areas(struct ferry_region_info *region)
{
    const uint64_t whole = region->size & ~(uint64_t)(PAGE_BYTES - 1);

    if ((region->flags & FERRY_REGION_MMAP) == 0) {
        region->area_count = 0;
    } else if (whole == 0) {
        region->flags &= ~FERRY_REGION_MMAP;
        region->area_count = 0;
    } else if (region->area_count == 0 && whole != region->size) {
        region->area[0] = (struct ferry_range){ .off = 0, .size = whole };
        region->area_count = 1;
    }
}

static int take_region(struct ferry_region_info *region, const uint8_t *info,
                       uint32_t bytes, struct ferry_error *reterr)
{
    struct uapi_region head;
    uint64_t end;
    int rc = FERRY_OK;

    memcpy(&head, info, sizeof(head));
    if (!ferry_range_add(head.offset, head.size, &end) || end > INT64_MAX) {
        return lies(reterr, "a region beyond what a descriptor can have", head.offset);
    }
    region->size = head.size;
    region->offset = head.offset;
    region->flags =
        head.flags & (FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP);
    if ((head.flags & UAPI_REGION_CAPS) != 0) {
        rc = take_caps(region, info, bytes, head.cap_offset, reterr);
    }
    round_areas(region);
    return rc;
}

static int get_regions(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < kernel->info.region_count; i++) {
        struct ferry_region_info *region = &kernel->region[i];
        struct ferry_error detail = { 0 };
        uint8_t *info = NULL;
        uint32_t bytes = 0;
        int rc = ask_region(kernel, i, &info, &bytes, &detail);

        region->index = i;
        region->fd = FERRY_NO_REGION_FD;
        if (rc == FERRY_OK) {
            rc = take_region(region, info, bytes, &detail);
            kernel->region_there[i] = 1;
        }
        free(info);
        if (rc != FERRY_OK && rc != FERRY_E_NOT_FOUND) {
            return ferry_error_set(reterr, rc, KERNEL_LAYER, NULL, 0, "region %u: %.200s",
                                   i, detail.text);
        }
    }
    return FERRY_OK;
}

int kernel_region_info(struct backend_kernel *kernel, struct ferry_region_info *region,
                       struct ferry_error *reterr)
{
    const uint32_t index = region->index;

    if (index >= kernel->info.region_count || !kernel->region_there[index]) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, KERNEL_LAYER, NULL, 0,
                               "the device has no region %u", index);
    }
    *region = kernel->region[index];
    /* Without a descriptor the region is there all the same, for read and write. */
    if ((region->flags & FERRY_REGION_MMAP) != 0 &&
        ferry_os_dup(kernel->fd, &region->fd) != FERRY_OK) {
        region->fd = FERRY_NO_REGION_FD;
    }
    return FERRY_OK;
}

static int get_irqs(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    for (uint32_t i = 0; i < kernel->info.irq_count; i++) {
        struct uapi_irq irq = { .argsz = sizeof(irq), .index = i };
        const int rc = kernel_ioctl(kernel->calls, kernel->fd, UAPI_GET_IRQ_INFO, &irq);

        kernel->irq[i].index = i;
        if (rc < 0) {
            continue; /* ERR of a device that is no PCI Express one */
        }
        if (irq.count > KERNEL_VECTORS_MAX) {
            return lies(reterr, "an impossible number of interrupt vectors", irq.count);
        }
        kernel->irq[i].count = irq.count;
        kernel->irq[i].flags = irq.flags;
    }
    return FERRY_OK;
}

static int get_facts(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    int rc = get_info(kernel, reterr);

    if (rc != FERRY_OK) {
        return rc;
    }
    /* One more: a device may have none. */
    kernel->region = calloc(kernel->info.region_count + 1u, sizeof(*kernel->region));
    kernel->region_there = calloc(kernel->info.region_count + 1u, 1);
    kernel->irq = calloc(kernel->info.irq_count + 1u, sizeof(*kernel->irq));
    if (kernel->region == NULL || kernel->region_there == NULL || kernel->irq == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, KERNEL_LAYER, NULL, 0,
                               "out of memory");
    }
    rc = get_regions(kernel, reterr);
    return rc == FERRY_OK ? get_irqs(kernel, reterr) : rc;
}

/* Which migration it is capable of, and what its driver can be asked to do better. */
static int get_migration(struct backend_kernel *kernel, struct ferry_error *reterr)
{
    struct uapi_migration migration = { 0 };
    const int rc = kernel_feature(kernel, UAPI_MIGRATION | UAPI_FEATURE_GET, &migration,
                                  sizeof(migration), 0);

    if (rc < 0) {
        const int status = kernel_refusal(reterr, rc, "VFIO_DEVICE_FEATURE_MIGRATION");

        /* Kernels before 5.18, and drivers of theirs, say EINVAL. */
        return status == FERRY_E_UNSUPPORTED || status == FERRY_E_ARGUMENT ? FERRY_OK
                                                                           : status;
    }
    kernel->mig_flags = migration.flags;
    /* From 7.1 on, REINIT: initial bytes that come anew are then counted as such. Each
     * estimate is taken as it comes, so nobody looks at the flag. Who cannot refuses. */
    if ((migration.flags & FERRY_MIG_PRE_COPY) != 0) {
        (void)kernel_feature(kernel, UAPI_PRECOPY_V2 | UAPI_FEATURE_SET, NULL, 0, 0);
    }
    return FERRY_OK;
}

int kernel_begin(struct backend_kernel *kernel, struct kernel_job *job)
{
    int rc = get_facts(kernel, &job->detail);

    if (rc == FERRY_OK) {
        rc = get_migration(kernel, &job->detail);
    }
    return rc == FERRY_OK ? kernel_find_dirty(kernel, &job->detail) : rc;
}
