/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/migration/v1/inside.h"
#include "bridge/say.h"

/*
 * The data section can be mapped: QEMU 7.2 reads and writes one that cannot eight bytes
 * at a time, with a call for each.
 */
#define SECTION_OFF FERRY_V1_SECTION_ALIGN
#define REGION_BYTES ((uint64_t)SECTION_OFF + FERRY_V1_PIECE_MAX)

static int make_section(struct bridge_v1 *v1)
{
    struct ferry_region_info *region = &v1->region;

    region->fd = -1;
    if (ferry_os_memfd_create("ferry-bridge-v1", REGION_BYTES, &region->fd) != FERRY_OK) {
        return -ENOMEM;
    }
    if (ferry_os_map_shared(region->fd, 0, REGION_BYTES,
                            FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE, &v1->map,
                            NULL) != FERRY_OK) {
        ferry_os_close(&region->fd);
        return -ENOMEM;
    }
    v1->section = (uint8_t *)v1->map.data + SECTION_OFF;
    region->flags = FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP;
    region->size = REGION_BYTES;
    region->type = FERRY_V1_REGION_TYPE;
    region->subtype = FERRY_V1_REGION_SUBTYPE;
    region->area_count = 1;
    region->area[0] =
        (struct ferry_range){ .off = SECTION_OFF, .size = FERRY_V1_PIECE_MAX };
    return 0;
}

int bridge_v1_create(struct bridge_device *device)
{
    struct bridge_v1 *v1;
    int rc;

    device->v1 = NULL;
    if (!device->migration) {
        return 0;
    }
    v1 = calloc(1, sizeof(*v1));
    if (!v1) {
        return -ENOMEM;
    }
    rc = make_section(v1);
    if (rc < 0) {
        free(v1);
        return rc;
    }
    v1->region.index = bridge_v1_index(device);
    v1->migration = device->migration;
    v1->state = FERRY_V1_RUNNING;
    pthread_mutex_init(&v1->lock, NULL);
    bridge_v1_join(v1);
    device->v1 = v1;
    return 0;
}

void bridge_v1_destroy(struct bridge_device *device)
{
    struct bridge_v1 *v1 = device->v1;

    if (!v1) {
        return;
    }
    bridge_v1_leave(v1);
    device->v1 = NULL;
    bridge_v1_end(v1);
    ferry_os_unmap(&v1->map);
    ferry_os_close(&v1->region.fd);
    pthread_mutex_destroy(&v1->lock);
    free(v1);
}

uint32_t bridge_v1_index(const struct bridge_device *device)
{
    return device->info.region_count < BRIDGE_PCI_REGIONS ? BRIDGE_PCI_REGIONS
                                                          : device->info.region_count;
}

const struct ferry_region_info *bridge_v1_region(const struct bridge_v1 *v1)
{
    return &v1->region;
}

void bridge_v1_reset(struct bridge_v1 *v1)
{
    pthread_mutex_lock(&v1->lock);
    /* `given` stays: whoever asks for more of that save is told. */
    v1->spoilt |=
        bridge_v1_is_qemu(v1) && (v1->state & FERRY_V1_SAVING) != 0 && v1->given;
    v1->state = FERRY_V1_RUNNING;
    bridge_v1_end(v1);
    pthread_mutex_unlock(&v1->lock);
}

static int read_register(struct bridge_v1 *v1, uint32_t reg, uint64_t *ret_value)
{
    int rc = 0;

    *ret_value = 0;
    switch (reg) {
    case FERRY_V1_STATE:
        *ret_value = v1->state; /* also without a server: a failure ends QEMU */
        break;
    case FERRY_V1_PENDING:
        rc = bridge_v1_pending(v1, ret_value);
        break;
    case FERRY_V1_OFFSET:
        rc = bridge_v1_fill(v1);
        *ret_value = SECTION_OFF;
        break;
    case FERRY_V1_SIZE:
        rc = bridge_v1_fill(v1);
        v1->told = v1->filled;
        *ret_value = v1->piece_bytes;
        break;
    default:
        break;
    }
    return rc;
}

static int write_register(struct bridge_v1 *v1, uint32_t reg, uint64_t value)
{
    switch (reg) {
    case FERRY_V1_STATE:
        return bridge_v1_write_state(v1, (uint32_t)value);
    case FERRY_V1_RESERVED:
        return 0;
    case FERRY_V1_SIZE:
        return bridge_v1_take(v1, value);
    default:
        return -EINVAL;
    }
}

/* The part of the section at `off` of the region that may be accessed now. */
static uint8_t *find_data(struct bridge_v1 *v1, uint64_t off, size_t count, int write)
{
    const int right = write ? v1->state == FERRY_V1_RESUMING : v1->filled != 0;
    const uint64_t bytes = write ? FERRY_V1_PIECE_MAX : v1->piece_bytes;

    if (!right || off < SECTION_OFF ||
        !ferry_range_inside(off - SECTION_OFF, count, bytes)) {
        return NULL;
    }
    return v1->section + (off - SECTION_OFF);
}

static int read_locked(struct bridge_v1 *v1, uint64_t off, void *ret_data, size_t count)
{
    const uint8_t *data;
    uint64_t value;
    uint32_t reg;
    int rc = ferry_v1_register_find(off, count, &reg);

    if (rc == FERRY_OK) {
        rc = read_register(v1, reg, &value);
        if (rc == 0) {
            memcpy(ret_data, &value, count); /* little endian, as all that runs this */
        }
        return rc;
    }
    data = rc == FERRY_E_RANGE ? find_data(v1, off, count, 0) : NULL;
    if (!data) {
        return -EINVAL;
    }
    memcpy(ret_data, data, count);
    return 0;
}

static int write_locked(struct bridge_v1 *v1, uint64_t off, const void *bytes,
                        size_t count)
{
    uint64_t value = 0;
    uint8_t *data;
    uint32_t reg;
    int rc = ferry_v1_register_find(off, count, &reg);

    if (rc == FERRY_OK) {
        memcpy(&value, bytes, count);
        return write_register(v1, reg, value);
    }
    data = rc == FERRY_E_RANGE ? find_data(v1, off, count, 1) : NULL;
    if (!data) {
        return -EINVAL;
    }
    memcpy(data, bytes, count);
    if (off - SECTION_OFF + count > v1->used_bytes) {
        v1->used_bytes = off - SECTION_OFF + count;
    }
    return 0;
}

ssize_t bridge_v1_read(struct bridge_v1 *v1, uint64_t off, void *ret_data, size_t count)
{
    int rc;

    pthread_mutex_lock(&v1->lock);
    rc = read_locked(v1, off, ret_data, count);
    pthread_mutex_unlock(&v1->lock);
    return rc < 0 ? rc : (ssize_t)count;
}

ssize_t bridge_v1_write(struct bridge_v1 *v1, uint64_t off, const void *data,
                        size_t count)
{
    int rc;

    pthread_mutex_lock(&v1->lock);
    rc = write_locked(v1, off, data, count);
    pthread_mutex_unlock(&v1->lock);
    return rc < 0 ? rc : (ssize_t)count;
}
