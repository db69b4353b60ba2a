/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/device/link.h"
#include "bridge/iommu/iommu.h"
#include "os/uapi/iommufd.h"
#include "bridge/preload/table.h"
#include "ferry/device.h"
#include "os/clock.h"
#include "os/socket.h"
#include "test_bridge_device_rig.h"

/* The server's process. */

struct state {
    uint8_t bytes[RIG_BYTES];
    uint32_t resets;
};

static int region_read(void *opaque, struct ferry_device *device, uint32_t region,
                       uint64_t off, void *ret_data, size_t count)
{
    struct state *state = opaque;
    uint64_t iova;
    uint32_t value;

    if (region != 0) {
        memset(ret_data, 0x40 + (int)region, count);
        return FERRY_OK;
    }
    memcpy(ret_data, state->bytes + off, count);
    if (off == RIG_RESETS && count == 4) {
        memcpy(ret_data, &state->resets, count);
    } else if (off == RIG_PID && count == 4) {
        value = (uint32_t)getpid();
        memcpy(ret_data, &value, count);
    } else if (off == RIG_FETCH && count == 4) {
        memcpy(&iova, state->bytes + RIG_IOVA, sizeof(iova));
        return ferry_dma_read(device, iova, ret_data, count);
    } else if (off == RIG_REFUSE) {
        return FERRY_E_ARGUMENT;
    }
    return FERRY_OK;
}

static int region_write(void *opaque, struct ferry_device *device, uint32_t region,
                        uint64_t off, const void *data, size_t count)
{
    struct state *state = opaque;
    uint32_t value = 0;
    uint64_t iova;

    if (region == 0) {
        memcpy(state->bytes + off, data, count);
    }
    if (region == 0 && off == RIG_STORE && count == 4) {
        memcpy(&iova, state->bytes + RIG_IOVA, sizeof(iova));
        return ferry_dma_write(device, iova, data, count);
    }
    if (region == 0 && off == RIG_SLEEP_MS && count == 4) {
        memcpy(&value, data, count);
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, value);
    }
    return FERRY_OK;
}

static void reset(void *opaque, struct ferry_device *device,
                  enum ferry_reset_reason reason)
{
    struct state *state = opaque;

    (void)device;
    if (reason == FERRY_RESET_REQUEST) {
        state->resets++;
    }
}

static const struct ferry_device_ops device_ops = { .struct_size = sizeof(device_ops),
                                                    .region_read = region_read,
                                                    .region_write = region_write,
                                                    .reset = reset };

static int save(void *opaque, struct ferry_device *device, void *ret_data, size_t cap)
{
    (void)opaque;
    (void)device;
    (void)ret_data;
    (void)cap;
    return 0;
}

static int load(void *opaque, struct ferry_device *device, const void *data, size_t count)
{
    (void)opaque;
    (void)device;
    (void)data;
    (void)count;
    return FERRY_OK;
}

static int data_size(void *opaque, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)opaque;
    (void)device;
    *ret_bytes = 0;
    return FERRY_OK;
}

static const struct ferry_device_ops moving_ops = { .struct_size = sizeof(moving_ops),
                                                    .region_read = region_read,
                                                    .region_write = region_write,
                                                    .reset = reset,
                                                    .save = save,
                                                    .load = load,
                                                    .data_size = data_size };

static void describe(const char *variant, struct ferry_device_desc *ret_desc)
{
    static uint8_t rom[RIG_ROM_BYTES];
    struct ferry_device_desc desc = { .struct_size = sizeof(desc), .ops = &device_ops };

    memset(rom, 0x5c, sizeof(rom));
    strcpy(desc.identity.model, "rig");
    desc.identity.state_version = strcmp(variant, RIG_NEWER) == 0 ? 2 : 1;
    desc.identity.state_version_min = 1;
    desc.identity.pci_vendor = 0x1af4;
    desc.identity.pci_device = strcmp(variant, RIG_OTHER) == 0 ? 0x10f1 : 0x10f0;
    desc.identity.pci_class = 0x088000;
    desc.region[0].size_bytes = RIG_BYTES;
    desc.region[2] =
        (struct ferry_device_region){ .size_bytes = RIG_MEMORY_BYTES,
                                      .flags = FERRY_BAR_64BIT | FERRY_BAR_MEMORY,
                                      .area_count = 2,
                                      .area = { { RIG_AREA_OFF, RIG_AREA_BYTES },
                                                { RIG_AREA2_OFF, 0x1000 } } };
    desc.region[RIG_TABLE_REGION].size_bytes = 0x4000;
    desc.msix_vectors = RIG_MSIX;
    desc.msix_bar = RIG_TABLE_REGION;
    desc.msix_pba_off = 0x2000;
    desc.intx_pin = 1;
    desc.msi_vectors = RIG_MSI;
    desc.rom = rom;
    desc.rom_bytes = sizeof(rom);
    desc.extra_count = 1;
    desc.extra[0].type = RIG_EXTRA_TYPE;
    desc.extra[0].subtype = 7;
    desc.extra[0].region.size_bytes = 0x1000;
    if (strcmp(variant, RIG_MOVING) == 0) {
        desc.ops = &moving_ops;
        desc.identity.migration_flags = FERRY_MIG_STOP_COPY;
    }
    desc.flags = strcmp(variant, RIG_CONVENTIONAL) == 0 ? FERRY_DEVICE_CONVENTIONAL : 0;
    *ret_desc = desc;
}

/* argv: program, "--serve", path, variant, descriptor that is closed when it listens. */
void rig_be_server(int argc, char **argv)
{
    static struct state state;
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    struct ferry_device_desc desc;
    struct ferry_device *device;
    struct ferry_server *server;
    struct ferry_error error;

    if (argc != 5 || strcmp(argv[1], "--serve") != 0) {
        return;
    }
    describe(argv[3], &desc);
    desc.state = &state;
    options.path = argv[2];
    if (ferry_device_create(&desc, &device, &error) != FERRY_OK ||
        ferry_server_create(device, &options, &server, &error) != FERRY_OK) {
        fprintf(stderr, "the server: %s\n", error.text);
        exit(1);
    }
    (void)close(atoi(argv[4]));
    exit(ferry_server_run(server) == FERRY_OK ? 0 : 1);
}

/* The bridge's process. */

void rig_start_server(struct rig *rig, const char *variant)
{
    char number[12];
    char *argv[] = { (char[]){ "rig" },
                     (char[]){ "--serve" },
                     rig->path,
                     (char *)(uintptr_t)variant,
                     number,
                     NULL };
    int ready[2];
    char none;

    assert_int_equal(pipe(ready), 0);
    (void)fcntl(ready[0], F_SETFD, FD_CLOEXEC);
    snprintf(number, sizeof(number), "%d", ready[1]);
    assert_int_equal(
        posix_spawn(&rig->server, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    (void)close(ready[1]);
    assert_int_equal(read(ready[0], &none, 1), 0);
    (void)close(ready[0]);
}

void rig_kill_server(struct rig *rig)
{
    int status;

    if (rig->server > 0) {
        assert_int_equal(kill(rig->server, SIGKILL), 0);
        assert_int_equal(waitpid(rig->server, &status, 0), rig->server);
        assert_true(WIFSIGNALED(status)); /* it did not end by itself before */
        rig->server = 0;
    }
}

void rig_create(struct rig *rig, uint32_t timeout_ms)
{
    const struct bridge_token iommu = { .kind = BRIDGE_TOKEN_IOMMU };
    struct bridge_token token = { .kind = BRIDGE_TOKEN_DEVICE,
                                  .timeout_ms = timeout_ms,
                                  .name = "rig" };

    memcpy(token.path, rig->path, sizeof(rig->path));
    assert_int_equal(bridge_iommu_create(&iommu, &rig->iommu), 0);
    rig->iommu_fd = memfd_create("rig", MFD_CLOEXEC);
    assert_true(rig->iommu_fd >= 0);
    assert_int_equal(bridge_table_put(rig->iommu_fd, rig->iommu), 0);
    assert_int_equal(bridge_device_create(&token, &rig->object), 0);
    rig->device = bridge_device_of(rig->object);
    assert_non_null(rig->device);
    assert_null(bridge_device_of(rig->iommu));
}

long rig_ioctl(struct bridge_object *object, unsigned long request, void *arg)
{
    return object->ops->ioctl(object, request, arg);
}

long rig_bind(struct rig *rig)
{
    struct uapi_bind call = { .argsz = 16, .iommufd = rig->iommu_fd };
    const long rc = rig_ioctl(rig->object, UAPI_BIND, &call);

    if (rc == 0) {
        assert_int_equal(call.out_devid, rig->device->iommu_id);
    }
    return rc;
}

void rig_attach(struct rig *rig)
{
    struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    struct uapi_attach attach = { .argsz = 12 };

    assert_int_equal(rig_ioctl(rig->iommu, UAPI_IOMMU_IOAS_ALLOC, &alloc), 0);
    rig->ioas = alloc.out_ioas_id;
    attach.pt_id = rig->ioas;
    assert_int_equal(rig_ioctl(rig->object, UAPI_ATTACH, &attach), 0);
    rig->hwpt = attach.pt_id;
}

void rig_up(struct rig *rig, const char *variant)
{
    static uint32_t count;

    memset(rig, 0, sizeof(*rig));
    snprintf(rig->path, sizeof(rig->path), "/tmp/ferry-bridge-%d-%u.sock", getpid(),
             ++count);
    rig_start_server(rig, variant);
    rig_create(rig, 3000);
    assert_int_equal(rig_bind(rig), 0);
}

void rig_down(struct rig *rig)
{
    bridge_object_put(rig->object);
    bridge_table_drop(rig->iommu_fd);
    (void)close(rig->iommu_fd);
    bridge_object_put(rig->iommu);
    rig_kill_server(rig);
    (void)unlink(rig->path);
}

ssize_t rig_pread(struct rig *rig, uint32_t region, uint64_t off, void *data,
                  size_t count)
{
    return rig->object->ops->pread(rig->object, data, count,
                                   ((uint64_t)region << BRIDGE_REGION_SHIFT) + off);
}

ssize_t rig_pwrite(struct rig *rig, uint32_t region, uint64_t off, const void *data,
                   size_t count)
{
    return rig->object->ops->pwrite(rig->object, data, count,
                                    ((uint64_t)region << BRIDGE_REGION_SHIFT) + off);
}

uint32_t rig_read32(struct rig *rig, uint64_t off)
{
    uint32_t value = 0;

    assert_int_equal(rig_pread(rig, 0, off, &value, sizeof(value)), sizeof(value));
    return value;
}

void rig_write32(struct rig *rig, uint64_t off, uint32_t value)
{
    assert_int_equal(rig_pwrite(rig, 0, off, &value, sizeof(value)), sizeof(value));
}

void rig_await_dead(struct rig *rig, int dead)
{
    const uint64_t until = ferry_os_now_ns() + 5 * FERRY_NS_PER_S;

    while (bridge_link_dead(rig->device->link) != dead) {
        assert_true(ferry_os_now_ns() < until);
        (void)ferry_os_poll(-1, FERRY_OS_POLL_READ, 2);
    }
}
