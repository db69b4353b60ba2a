/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/range.h"
#include "bridge/device/inside.h"
#include "bridge/device/link.h"
#include "bridge/migration/v1/v1.h"
#include "bridge/preload/mappings.h"
#include "bridge/say.h"

/* Where an access goes. */
struct target {
    const struct ferry_region_info *region;
    uint64_t off;
    uint32_t count; /* cut at the region's end, as the kernel does */
};

static uint64_t in_region(uint64_t off)
{
    return off & ((UINT64_C(1) << BRIDGE_REGION_SHIFT) - 1);
}

/* Is it for the bridge's own region? */
static int is_v1(const struct bridge_device *device, uint64_t off)
{
    return __atomic_load_n(&device->bound, __ATOMIC_ACQUIRE) && device->v1 &&
           off >> BRIDGE_REGION_SHIFT == bridge_v1_index(device);
}

static int aim(struct bridge_device *device, uint64_t off, size_t count, uint32_t flag,
               struct target *ret_target)
{
    const uint64_t index = off >> BRIDGE_REGION_SHIFT;
    const struct ferry_region_info *region;

    if (!__atomic_load_n(&device->bound, __ATOMIC_ACQUIRE) ||
        index >= BRIDGE_REGIONS_MAX) {
        return -EINVAL;
    }
    region = &device->region[index];
    off = in_region(off);
    if (!(region->flags & flag) || off >= region->size) {
        return -EINVAL;
    }
    if (count > region->size - off) {
        count = (size_t)(region->size - off);
    }
    ret_target->region = region;
    ret_target->off = off;
    ret_target->count = count < INT32_MAX ? (uint32_t)count : INT32_MAX;
    return 0;
}

/* One message with its reply. */
static int transfer(struct bridge_device *device, uint32_t kind,
                    const struct target *target, uint32_t done, void *data,
                    uint32_t count)
{
    struct ferry_request request;

    /* Not the whole request: it is large, and this is the way of every register read. */
    request.kind = kind;
    request.done = NULL;
    request.reterr = NULL;
    request.u.io.index = target->region->index;
    request.u.io.count = count;
    request.u.io.off = target->off + done;
    request.u.io.data = data;
    request.u.io.posted = 0;
    return bridge_link_call(device->link, &request);
}

/*
 * A dead device's config space reads as the VMM knows it. QEMU resets a device by what it
 * reads there, and takes an errno for it: up to 10.0 the interrupt pin 251, with which it
 * leaves an array.
 */
static int read_piece(struct bridge_device *device, const struct target *target,
                      uint32_t done, void *ret_data, uint32_t count)
{
    const uint64_t off = target->off + done;
    const int rc = transfer(device, FERRY_RQ_REGION_READ, target, done, ret_data, count);

    if (target->region->index != BRIDGE_CONFIG_REGION) {
        return rc;
    }
    if (rc == FERRY_OK) {
        bridge_config_keep(device, off, ret_data, count);
        return rc;
    }
    if (!bridge_link_dead(device->link) || device->token.uapi != BRIDGE_UAPI_ANY) {
        return rc;
    }
    bridge_config_recall(device, off, ret_data, count);
    return FERRY_OK;
}

static int write_piece(struct bridge_device *device, const struct target *target,
                       uint32_t done, void *data, uint32_t count)
{
    /* What a write to config space does is to be seen when it returns: QEMU maps and
     * unmaps by it. A kernel's driver also says at once what it refuses. */
    return target->region->index == BRIDGE_CONFIG_REGION ||
                   device->token.uapi != BRIDGE_UAPI_ANY
               ? transfer(device, FERRY_RQ_REGION_WRITE, target, done, data, count)
               : bridge_link_post(device->link, target->region->index, target->off + done,
                                  data, count);
}

/* As much at a time as a message takes. */
static ssize_t
move(struct bridge_device *device, const struct target *target, uint8_t *data,
     int (*piece)(struct bridge_device *device, const struct target *target,
                  uint32_t done, void *data, uint32_t count))
{
    uint32_t done = 0;

    while (done < target->count) {
        uint32_t step = target->count - done;
        int rc;

        if (step > sizeof(uint64_t) && step > bridge_link_max_data(device->link)) {
            step = bridge_link_max_data(device->link);
        }
        rc = piece(device, target, done, data + done, step);
        if (rc != FERRY_OK) {
            bridge_trace(device, "%s region %u at 0x%llx: %s",
                         piece == read_piece ? "read of" : "write to",
                         target->region->index, (unsigned long long)target->off,
                         ferry_status_name(rc));
            return -EIO;
        }
        done += step;
    }
    return done;
}

ssize_t bridge_device_pread(struct bridge_object *object, void *ret_data, size_t count,
                            uint64_t off)
{
    struct bridge_device *device = (struct bridge_device *)object;
    struct target target;
    int rc;

    if (is_v1(device, off)) {
        return bridge_v1_read(device->v1, in_region(off), ret_data, count);
    }
    rc = aim(device, off, count, FERRY_REGION_READ, &target);
    return rc == 0 ? move(device, &target, ret_data, read_piece) : rc;
}

ssize_t bridge_device_pwrite(struct bridge_object *object, const void *data, size_t count,
                             uint64_t off)
{
    struct bridge_device *device = (struct bridge_device *)object;
    struct target target;
    int rc;

    if (is_v1(device, off)) {
        return bridge_v1_write(device->v1, in_region(off), data, count);
    }
    rc = aim(device, off, count, FERRY_REGION_WRITE, &target);
    if (rc != 0) {
        return rc;
    }
    if (target.region->index == BRIDGE_CONFIG_REGION) {
        bridge_config_write(device, target.off, data, target.count);
    }
    return move(device, &target, (uint8_t *)(uintptr_t)data, write_piece); /* only read */
}

int bridge_device_map(struct bridge_object *object, uint64_t off, uint64_t length,
                      int *ret_fd, uint64_t *ret_off)
{
    struct bridge_device *device = (struct bridge_device *)object;
    struct ferry_range area[FERRY_SPARSE_AREAS_MAX];
    struct target target;
    uint32_t count;
    uint32_t i;
    int rc = 0;

    if (is_v1(device, off)) {
        target.region = bridge_v1_region(device->v1);
        target.off = in_region(off);
    } else {
        rc = aim(device, off, 1, FERRY_REGION_MMAP, &target);
    }
    if (rc != 0) {
        return rc;
    }
    count = bridge_region_areas(target.region, area);
    for (i = 0; i < count; i++) {
        if (target.off >= area[i].off &&
            ferry_range_inside(target.off - area[i].off, length, area[i].size)) {
            *ret_fd = target.region->fd;
            *ret_off = target.region->offset + target.off;
            return 0;
        }
    }
    return -EINVAL;
}

int bridge_region_give(struct bridge_device *device, uint32_t index)
{
    int fd = -1;

    pthread_mutex_lock(&device->lock);
    if (device->given_count < BRIDGE_GIVEN_MAX) {
        fd = fcntl(device->region[index].fd, F_DUPFD_CLOEXEC, 0);
    }
    if (fd >= 0) {
        device->given[device->given_count++] =
            (struct bridge_given){ .region = index, .fd = fd };
    }
    pthread_mutex_unlock(&device->lock);
    return fd;
}

/* The VMM's descriptors of the region, those that still are of the file `old`. */
static void replace_given(struct bridge_device *device, uint32_t index, int fd,
                          const struct stat *old)
{
    struct stat st;
    uint32_t i;

    pthread_mutex_lock(&device->lock);
    for (i = 0; i < device->given_count; i++) {
        const struct bridge_given *given = &device->given[i];

        if (given->region == index && fstat(given->fd, &st) == 0 &&
            st.st_dev == old->st_dev && st.st_ino == old->st_ino) {
            (void)dup3(fd, given->fd, O_CLOEXEC);
        }
    }
    pthread_mutex_unlock(&device->lock);
}

int bridge_region_replace(struct bridge_device *device, uint32_t index, int fd)
{
    const struct ferry_region_info *region = &device->region[index];
    const int prot = (region->flags & FERRY_REGION_READ ? PROT_READ : 0) |
                     (region->flags & FERRY_REGION_WRITE ? PROT_WRITE : 0);
    struct stat old;
    int rc = fstat(region->fd, &old) < 0 ? -errno : 0;

    /* The same number, exchanged in one step: other threads may be using it. */
    if (rc == 0 && dup3(fd, region->fd, O_CLOEXEC) < 0) {
        rc = -errno;
    }
    if (rc == 0) {
        replace_given(device, index, fd, &old);
        rc = bridge_mappings_exchange(region->fd, prot);
    }
    (void)close(fd);
    return rc;
}
