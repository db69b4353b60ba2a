/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/iommu/cdev.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/inherited.h"
#include "os/uapi/iommufd.h"
#include "test_bridge_device_rig.h"

/* Character devices and iommufds that are opened by path, with a real server. */

#define PAGE 4096ull
#define IOMMU "/dev/iommu"

static struct rig rig;
static int token;
static char path[64]; /* of its device */

static void name_device(int fd)
{
    snprintf(path, sizeof(path), "/dev/vfio/devices/vfio%u",
             BRIDGE_INHERITED_FIRST + (uint32_t)fd);
}

static int up(void **state)
{
    struct ferry_bridge_device device = { .struct_size = sizeof(device), .name = "rig" };

    (void)state;
    memset(&rig, 0, sizeof(rig));
    snprintf(rig.path, sizeof(rig.path), "/tmp/ferry-cdev-%d.sock", getpid());
    rig_start_server(&rig, RIG_MOVING);
    device.path = rig.path;
    assert_int_equal(ferry_bridge_device_token(&device, &token, NULL), FERRY_OK);
    name_device(token);
    return 0;
}

static int is_own(const char *name)
{
    int fd = -1;

    return bridge_cdev_open(name, O_RDWR, &fd);
}

static int down(void **state)
{
    (void)state;
    (void)close(token);
    assert_int_equal(is_own(IOMMU), 0); /* nothing is left that waits */
    rig_kill_server(&rig);
    (void)unlink(rig.path);
    return 0;
}

static int open_own(const char *name)
{
    int fd = -1;

    errno = E2BIG;
    assert_int_equal(bridge_cdev_open(name, O_RDWR | O_CLOEXEC, &fd), 1);
    assert_int_equal(errno, E2BIG);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return fd;
}

static void close_own(int fd)
{
    bridge_table_drop(fd);
    (void)close(fd);
}

static long call(int fd, unsigned long request, void *arg)
{
    struct bridge_object *object = bridge_table_recognise(fd);
    long rc;

    assert_non_null(object);
    rc = object->ops->ioctl(object, request, arg);
    bridge_object_put(object);
    return rc;
}

static long bind_device(int device, int iommu)
{
    struct uapi_bind bind = { .argsz = sizeof(bind), .iommufd = iommu };

    return call(device, UAPI_BIND, &bind);
}

/* The device of a descriptor, for the rig's reads and writes. */
static void show_device(int fd)
{
    rig.object = bridge_table_recognise(fd);
    rig.device = bridge_device_of(rig.object);
    assert_non_null(rig.device);
    bridge_object_put(rig.object); /* the descriptor has one */
}

static void test_a_device_is_used_by_its_path(void **state)
{
    struct uapi_iommu_ioas_alloc ioas = { .size = sizeof(ioas) };
    struct uapi_attach attach = { .argsz = sizeof(attach) };
    struct uapi_iommu_ioas_map map = {
        .size = sizeof(map), .flags = 7, .length = 4 * PAGE, .iova = 0x10000
    };
    uint8_t *memory =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint16_t command = 6; /* memory and bus master */
    const uint64_t from = map.iova + 8;
    int device = open_own(path);
    int iommu = open_own(IOMMU);

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(bind_device(device, iommu), 0);
    assert_int_equal(call(iommu, UAPI_IOMMU_IOAS_ALLOC, &ioas), 0);
    attach.pt_id = map.ioas_id = ioas.out_ioas_id;
    assert_int_equal(call(device, UAPI_ATTACH, &attach), 0);
    map.user_va = (uintptr_t)memory;
    assert_int_equal(call(iommu, UAPI_IOMMU_IOAS_MAP, &map), 0);
    show_device(device);
    memcpy(memory + 8, "abcd", 4);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
    assert_int_equal(rig_pwrite(&rig, 0, RIG_IOVA, &from, sizeof(from)), 8);
    assert_int_equal(rig_read32(&rig, RIG_FETCH), 0x64636261);
    close_own(device);
    close_own(iommu);
    (void)munmap(memory, 4 * PAGE);
}

static void test_only_own_paths_are_taken(void **state)
{
    static const char *const other[] = {
        "/dev/iommu", /* no device of ours waits for it */
        "/dev/vfio/devices/vfio0",
        "/dev/vfio/devices/vfio999999999",
        "/dev/vfio/devices/vfio",
        "/dev/vfio/devices/vfio1000000000x",
        "/dev/vfio/devices/vfio-1000000064",
        "/dev/vfio/devices/vfio01000000064",
        "/dev/vfio/devices/vfio18446744074709551616",
        "/dev/vfio/devices/vfio2147483648",
        "/dev/vfio/devices/vfio1000900000", /* not open */
        "/dev/vfio/devices/1000000064",
        "/dev/vfio/vfio",
        "/dev/null",
        "",
    };
    int fd = -1;

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_int_equal(is_own(other[i]), 0);
    }
    assert_int_equal(is_own(NULL), 0);
    name_device(0); /* an open descriptor that is no token */
    assert_int_equal(is_own(path), 0);
    assert_int_equal(ferry_bridge_iommu_token(&fd, NULL), FERRY_OK);
    name_device(fd);
    assert_int_equal(is_own(path), 0);
    (void)close(fd);
}

static void test_an_iommufd_is_ours_while_a_device_waits(void **state)
{
    int device = open_own(path);
    int iommu = open_own(IOMMU);
    int other;

    (void)state;
    assert_int_equal(bind_device(device, token), -EINVAL); /* it waits still */
    close_own(open_own(IOMMU));
    assert_int_equal(bind_device(device, iommu), 0);
    assert_int_equal(is_own(IOMMU), 0);
    other = open_own(path);
    close_own(open_own(IOMMU));
    close_own(other);
    assert_int_equal(is_own(IOMMU), 0);
    close_own(device);
    close_own(iommu);
}

static void test_a_device_in_use_is_refused_as_the_kernel_does(void **state)
{
    int device = open_own(path);
    int iommu = open_own(IOMMU);
    int other = open_own(path);

    (void)state;
    assert_int_equal(bind_device(device, iommu), 0);
    assert_int_equal(bind_device(other, iommu), -EINVAL);
    close_own(device);
    assert_int_equal(bind_device(other, iommu), 0);
    close_own(other);
    close_own(iommu);
}

static void test_a_device_without_a_server_is_refused(void **state)
{
    int device = open_own(path);
    int iommu = open_own(IOMMU);

    (void)state;
    rig_kill_server(&rig);
    assert_int_equal(bind_device(device, iommu), -ENODEV);
    close_own(device);
    close_own(iommu);
}

static long set_state(int device, uint32_t state)
{
    struct {
        struct uapi_feature feature;
        struct uapi_mig_state state;
    } call_state = { .feature = { .argsz = sizeof(call_state),
                                  .flags = UAPI_FEATURE_SET | UAPI_MIG_STATE },
                     .state = { .state = state, .data_fd = -1 } };

    return call(device, UAPI_FEATURE, &call_state);
}

static int alarm_of(int device, uint32_t index)
{
    struct {
        struct uapi_irq_set set;
        int32_t fd;
    } err = { .set = { .argsz = sizeof(err),
                       .flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER,
                       .index = index,
                       .count = 1 },
              .fd = eventfd(0, EFD_CLOEXEC) };

    assert_int_equal(call(device, UAPI_SET_IRQS, &err), 0);
    return err.fd;
}

static int token_of(const char *uapi)
{
    const unsigned seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int fd = memfd_create("token", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    assert_true(dprintf(fd, "ferry-bridge 1\nkind=device\npath=%s\nuapi=%s\n", rig.path,
                        uapi) > 0);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* QEMU wants to stop what is gone, and to start it again; no kernel can. */
static void test_a_device_that_is_gone_fails_as_a_kernels(void **state)
{
    const int old = token_of("v2");
    struct pollfd alarm[2] = { { .events = POLLIN }, { .events = POLLIN } };
    int iommu, device;

    (void)state;
    name_device(old);
    device = open_own(path);
    iommu = open_own(IOMMU);
    assert_int_equal(bind_device(device, iommu), 0);
    show_device(device);
    assert_int_equal(set_state(device, FERRY_STATE_STOP), 0);
    assert_int_equal(set_state(device, FERRY_STATE_RUNNING), 0);
    alarm[0].fd = alarm_of(device, BRIDGE_IRQ_ERR);
    alarm[1].fd = alarm_of(device, BRIDGE_IRQ_REQ);
    rig_kill_server(&rig);
    rig_await_dead(&rig, 1);
    assert_true(set_state(device, FERRY_STATE_STOP) < 0);
    assert_int_equal(poll(alarm, 2, 0), 2); /* it is known before the call fails */
    assert_true(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, &(uint32_t){ 0 }, 4) < 0);
    assert_true(call(device, UAPI_RESET, NULL) < 0);
    (void)close(alarm[0].fd);
    (void)close(alarm[1].fd);
    close_own(device);
    close_own(iommu);
    (void)close(old);
}

static void test_a_child_has_no_device_that_waits(void **state)
{
    int device = open_own(path);

    (void)state;
    bridge_cdev_fork_child(); /* as in a child: its objects are forgotten with it */
    assert_int_equal(is_own(IOMMU), 0);
    close_own(open_own(path)); /* gives back what it counted itself */
    assert_int_equal(is_own(IOMMU), 0);
    show_device(device);
    rig.device->waits = 0;
    close_own(device);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_device_is_used_by_its_path),
        TEST(test_only_own_paths_are_taken),
        TEST(test_an_iommufd_is_ours_while_a_device_waits),
        TEST(test_a_device_in_use_is_refused_as_the_kernel_does),
        TEST(test_a_device_without_a_server_is_refused),
        TEST(test_a_device_that_is_gone_fails_as_a_kernels),
        TEST(test_a_child_has_no_device_that_waits),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
