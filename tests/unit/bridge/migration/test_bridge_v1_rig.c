/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_v1_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bridge/iommu/iommu.h"

#define MASK 7u

int v1_misled;

int bridge_iommu_misled(struct bridge_device *device)
{
    (void)device;
    return v1_misled;
}

void v1_bind(struct end *end, const struct ferry_identity *identity)
{
    end_bind(end, identity);
    assert_int_equal(bridge_v1_create(&end->device), 0);
}

void v1_unbind(struct end *end)
{
    bridge_v1_destroy(&end->device);
    end_unbind(end);
}

int v1_try_get(struct end *end, uint64_t off, size_t count, uint64_t *ret_value)
{
    ssize_t rc;

    *ret_value = 0;
    rc = bridge_v1_read(end->device.v1, off, ret_value, count);
    assert_true(rc < 0 || (size_t)rc == count);
    return rc < 0 ? (int)rc : 0;
}

uint64_t v1_get(struct end *end, uint64_t off, size_t count)
{
    uint64_t value;

    assert_int_equal(v1_try_get(end, off, count, &value), 0);
    return value;
}

int v1_put(struct end *end, uint64_t off, size_t count, uint64_t value)
{
    ssize_t rc = bridge_v1_write(end->device.v1, off, &value, count);

    assert_true(rc < 0 || (size_t)rc == count);
    return rc < 0 ? (int)rc : 0;
}

uint32_t v1_state(struct end *end)
{
    return (uint32_t)v1_get(end, FERRY_V1_STATE_OFF, 4);
}

int v1_set(struct end *end, uint32_t mask, uint32_t value)
{
    int rc;

    value |= v1_state(end) & mask;
    if ((value & FERRY_V1_RESUMING) && (value & MASK) != FERRY_V1_RESUMING) {
        return -EINVAL;
    }
    rc = v1_put(end, FERRY_V1_STATE_OFF, 4, value);
    if (rc < 0) {
        /* QEMU aborts at the error value. */
        assert_int_not_equal(v1_state(end), FERRY_V1_ERROR);
    }
    return rc;
}

int v1_save_setup(struct end *end)
{
    return v1_set(end, MASK, FERRY_V1_SAVING);
}

int v1_stop(struct end *end)
{
    return v1_set(end, ~(uint32_t)FERRY_V1_RUNNING, 0);
}

int v1_start(struct end *end)
{
    return v1_set(end, ~MASK, FERRY_V1_RUNNING);
}

int v1_cancelled(struct end *end)
{
    return v1_set(end, ~(uint32_t)(FERRY_V1_SAVING | FERRY_V1_RESUMING),
                  FERRY_V1_RUNNING);
}

/* The section as the VMM maps it. */
static uint8_t *map_section(struct end *end)
{
    const struct ferry_region_info *region = bridge_v1_region(end->device.v1);
    uint8_t *data;

    assert_int_equal(region->area_count, 1);
    data = mmap(NULL, region->area[0].size, PROT_READ | PROT_WRITE, MAP_SHARED,
                region->fd, (off_t)region->area[0].off);
    assert_ptr_not_equal(data, MAP_FAILED);
    return data;
}

static void unmap_section(struct end *end, uint8_t *data)
{
    const struct ferry_region_info *region = bridge_v1_region(end->device.v1);

    assert_int_equal(munmap(data, region->area[0].size), 0);
}

/* Trapped: in the widest accesses that QEMU knows. */
static int move(struct end *end, uint64_t off, uint8_t *data, size_t count, int write)
{
    while (count > 0) {
        size_t step = count >= 8 && off % 8 == 0   ? 8
                      : count >= 4 && off % 4 == 0 ? 4
                      : count >= 2 && off % 2 == 0 ? 2
                                                   : 1;
        ssize_t rc = write ? bridge_v1_write(end->device.v1, off, data, step)
                           : bridge_v1_read(end->device.v1, off, data, step);

        if (rc < 0) {
            return (int)rc;
        }
        off += step;
        data += step;
        count -= step;
    }
    return 0;
}

static int save_buffer(struct end *end, struct bytes *bytes, int mmapped,
                       uint64_t *ret_bytes)
{
    uint64_t off, size = 0;
    uint8_t *data;
    int rc = v1_try_get(end, FERRY_V1_OFFSET_OFF, 8, &off);

    if (rc == 0) {
        rc = v1_try_get(end, FERRY_V1_SIZE_OFF, 8, &size);
    }
    *ret_bytes = size;
    if (rc < 0 || size == 0) {
        return rc;
    }
    assert_in_range(size, 1, FERRY_V1_PIECE_MAX);
    bytes_add(bytes, &size, sizeof(size));
    if (mmapped) {
        data = map_section(end);
        bytes_add(bytes, data + off - bridge_v1_region(end->device.v1)->area[0].off,
                  size);
        unmap_section(end, data);
        return 0;
    }
    data = malloc(size);
    assert_non_null(data);
    rc = move(end, off, data, size, 0);
    bytes_add(bytes, data, size);
    free(data);
    return rc;
}

int v1_save_iterate(struct end *end, struct bytes *bytes, int mmapped)
{
    uint64_t pending, size;
    int rc = v1_try_get(end, FERRY_V1_PENDING_OFF, 8, &pending);

    if (rc < 0) {
        return rc;
    }
    return pending == 0 ? 1 : save_buffer(end, bytes, mmapped, &size);
}

int v1_save_complete(struct end *end, struct bytes *bytes, int mmapped)
{
    uint64_t pending = 0, size = 1;
    int rc = v1_set(end, ~(uint32_t)FERRY_V1_RUNNING, FERRY_V1_SAVING);

    if (rc == 0) {
        rc = v1_try_get(end, FERRY_V1_PENDING_OFF, 8, &pending);
    }
    while (rc == 0 && pending > 0) {
        rc = save_buffer(end, bytes, mmapped, &size);
        if (rc == 0 && size == 0) {
            break;
        }
        if (rc == 0) {
            rc = v1_try_get(end, FERRY_V1_PENDING_OFF, 8, &pending);
        }
    }
    return rc == 0 ? v1_set(end, ~(uint32_t)FERRY_V1_SAVING, 0) : rc;
}

int v1_load_setup(struct end *end)
{
    return v1_set(end, ~MASK, FERRY_V1_RESUMING);
}

static int load_buffer(struct end *end, uint8_t *from, uint64_t size, int mmapped)
{
    uint64_t off;
    uint8_t *data;
    int rc = v1_try_get(end, FERRY_V1_OFFSET_OFF, 8, &off);

    if (rc < 0) {
        return rc;
    }
    assert_true(off + size <= bridge_v1_region(end->device.v1)->size);
    if (mmapped) {
        data = map_section(end);
        memcpy(data + off - bridge_v1_region(end->device.v1)->area[0].off, from, size);
        unmap_section(end, data);
    } else {
        rc = move(end, off, from, size, 1);
    }
    return rc == 0 ? v1_put(end, FERRY_V1_SIZE_OFF, 8, size) : rc;
}

int v1_load(struct end *end, const struct bytes *bytes, int mmapped)
{
    size_t at = 0;
    uint64_t size;
    int rc = 0;

    while (rc == 0 && at < bytes->size) {
        memcpy(&size, bytes->data + at, sizeof(size));
        rc = load_buffer(end, bytes->data + at + sizeof(size), size, mmapped);
        at += sizeof(size) + size;
    }
    return rc;
}

size_t v1_transactions(const struct bytes *bytes)
{
    size_t at = 0, count = 0;
    uint64_t size;

    for (; at < bytes->size; count++) {
        memcpy(&size, bytes->data + at, sizeof(size));
        at += sizeof(size) + size;
    }
    assert_int_equal(at, bytes->size);
    return count;
}
