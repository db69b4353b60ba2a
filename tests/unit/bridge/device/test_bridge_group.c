/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/iommu/type1/type1.h"
#include "os/uapi/type1.h"
#include "bridge/preload/table.h"
#include "bridge/preload/tokens/inherited.h"
#include "ferry/bridge.h"
#include "test_bridge_device_rig.h"

/* Groups and containers, with a real server in a process of its own. */

#define PAGE 4096ull
#define CONTAINER "/dev/vfio/vfio"

static struct rig rig;
static int token;
static char path[64]; /* of its group */

static int make_token(uint32_t dirty)
{
    const struct ferry_bridge_device device = {
        .struct_size = sizeof(device), .name = "rig", .path = rig.path, .dirty = dirty
    };
    int fd = -1;

    assert_int_equal(ferry_bridge_device_token(&device, &fd, NULL), FERRY_OK);
    return fd;
}

static void name_group(int fd)
{
    snprintf(path, sizeof(path), "/dev/vfio/%u", BRIDGE_INHERITED_FIRST + (uint32_t)fd);
}

static int up(void **state)
{
    (void)state;
    memset(&rig, 0, sizeof(rig));
    snprintf(rig.path, sizeof(rig.path), "/tmp/ferry-group-%d.sock", getpid());
    rig_start_server(&rig, RIG_PLAIN);
    token = make_token(FERRY_BRIDGE_DIRTY_ANY);
    name_group(token);
    return 0;
}

static int down(void **state)
{
    int fd = -1;

    (void)state;
    (void)close(token);
    /* What a test leaves open would be heard of by the next. */
    assert_int_equal(bridge_type1_open(CONTAINER, O_RDWR, &fd), 0);
    rig_kill_server(&rig);
    (void)unlink(rig.path);
    return 0;
}

static int open_own(const char *name)
{
    int fd = -1;

    assert_int_equal(bridge_type1_open(name, O_RDWR | O_CLOEXEC, &fd), 1);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return fd;
}

static int is_own(const char *name)
{
    int fd = -1;

    return bridge_type1_open(name, O_RDWR, &fd);
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

static uint32_t status_of(int group)
{
    struct uapi_group_status status = { .argsz = sizeof(status) };

    assert_int_equal(call(group, UAPI_GROUP_GET_STATUS, &status), 0);
    return status.flags;
}

/* A container with that group in it. */
static int join_container(int group)
{
    int container = open_own(CONTAINER);

    assert_int_equal(call(container, UAPI_GET_API_VERSION, NULL), 0);
    assert_int_equal(call(container, UAPI_CHECK_EXTENSION, (void *)UAPI_TYPE1V2), 1);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &container), 0);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)UAPI_TYPE1V2), 0);
    return container;
}

/* The device of a descriptor, for the rig's reads and writes. */
static void show_device(int fd)
{
    rig.object = bridge_table_recognise(fd);
    rig.device = bridge_device_of(rig.object);
    assert_non_null(rig.device);
    bridge_object_put(rig.object); /* the descriptor has one */
}

static void test_a_device_is_used_through_its_group(void **state)
{
    struct uapi_info info = { .argsz = 20 };
    struct uapi_type1_map map = { .argsz = sizeof(map), .flags = 3, .size = 4 * PAGE };
    uint8_t *memory =
        mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const uint16_t command = 6; /* memory and bus master */
    const uint64_t iova = 0x10000;
    int group = open_own(path);
    int container;
    int fd;

    (void)state;
    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(status_of(group), UAPI_GROUP_VIABLE);
    container = join_container(group);
    assert_int_equal(status_of(group), UAPI_GROUP_VIABLE | UAPI_GROUP_CONTAINER_SET);
    map.address = (uintptr_t)memory;
    map.iova = iova;
    assert_int_equal(call(container, UAPI_TYPE1_MAP, &map), 0);
    fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    assert_true(fd >= 0);
    assert_int_equal(call(fd, UAPI_GET_INFO, &info), 0);
    assert_true(info.regions >= 9);
    show_device(fd);
    memcpy(memory + 8, "abcd", 4);
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 4, &command, 2), 2);
    assert_int_equal(rig_pwrite(&rig, 0, RIG_IOVA, &(uint64_t){ iova + 8 }, sizeof(iova)),
                     8);
    assert_int_equal(rig_read32(&rig, RIG_FETCH), 0x64636261);
    close_own(fd);
    close_own(group);
    close_own(container);
    (void)munmap(memory, 4 * PAGE);
}

static void test_only_own_paths_are_taken(void **state)
{
    static const char *const other[] = {
        "/dev/vfio/vfio", /* no group of ours waits for it */
        "/dev/vfio/5",
        "/dev/vfio/999999999",
        "/dev/vfio/",
        "/dev/vfio/1000000000x",
        "/dev/vfio/-1000000064",
        "/dev/vfio/01000000064",
        "/dev/vfio/4294967296000000000000",
        "/dev/vfio/18446744074709551616", /* 2^64 and a little */
        "/dev/vfio/4294967295",
        "/dev/vfio/2147483648",
        "/dev/vfio/1000900000", /* not open */
        "/dev/vfio/devices/vfio0",
        "/dev/null",
        "",
    };
    char plain[64];

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        assert_int_equal(is_own(other[i]), 0);
    }
    assert_int_equal(is_own(NULL), 0);
    /* An open descriptor that is no token, and the token of an IOMMU. */
    snprintf(plain, sizeof(plain), "/dev/vfio/%u", BRIDGE_INHERITED_FIRST);
    assert_int_equal(is_own(plain), 0);
    {
        int fd = -1;

        assert_int_equal(ferry_bridge_iommu_token(&fd, NULL), FERRY_OK);
        name_group(fd);
        assert_int_equal(is_own(path), 0);
        (void)close(fd);
    }
}

static void test_a_container_is_ours_while_a_group_waits(void **state)
{
    int group = open_own(path);
    int container = open_own(CONTAINER);

    (void)state;
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &container), 0);
    assert_int_equal(is_own(CONTAINER), 0);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), 0);
    close_own(open_own(CONTAINER));
    close_own(group);
    assert_int_equal(is_own(CONTAINER), 0);
    close_own(container);
}

static void test_calls_in_the_wrong_order_are_refused(void **state)
{
    struct uapi_type1_info info = { .argsz = sizeof(info) };
    int group = open_own(path);
    int container = open_own(CONTAINER);
    int nothing = -1;
    int other = token;

    (void)state;
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, &info), -EINVAL);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)UAPI_TYPE1), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_GET_DEVICE_FD, path), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &nothing), -EBADF);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &other), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &group), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, NULL), -EFAULT);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &container), 0);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &container), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_GET_DEVICE_FD, path), -EINVAL);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)7), -EINVAL);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)UAPI_TYPE1), 0);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)UAPI_TYPE1), -EINVAL);
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, NULL), -EFAULT);
    assert_int_equal(call(container, UAPI_VFIO_CALL(15), &info), -ENOTTY);
    assert_int_equal(call(group, UAPI_VFIO_CALL(15), &info), -ENOTTY);
    assert_int_equal(call(container, UAPI_CHECK_EXTENSION, (void *)6), 0);
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, &info), 0);
    {
        struct uapi_group_status status = { .argsz = 4 };

        assert_int_equal(call(group, UAPI_GROUP_GET_STATUS, &status), -EINVAL);
    }
    close_own(group);
    close_own(container);
}

static void test_a_device_is_opened_once_and_again(void **state)
{
    int group = open_own(path);
    int container = join_container(group);
    int fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    int twin = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    struct bridge_object *object = bridge_table_recognise(fd);
    struct bridge_object *same = bridge_table_recognise(twin);

    (void)state;
    assert_true(fd >= 0 && twin >= 0);
    assert_ptr_equal(object, same);
    bridge_object_put(object);
    bridge_object_put(same);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), -EBUSY);
    close_own(fd);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), -EBUSY);
    close_own(twin);
    /* Its server is free again. */
    fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    assert_true(fd >= 0);
    show_device(fd);
    rig_write32(&rig, 0x10, 77);
    assert_int_equal(rig_read32(&rig, 0x10), 77);
    close_own(fd);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), 0);
    /* Without a group a container has no memory. */
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, path), -EINVAL);
    assert_int_equal(call(group, UAPI_GROUP_SET_CONTAINER, &container), 0);
    assert_int_equal(call(container, UAPI_SET_IOMMU, (void *)UAPI_TYPE1), 0);
    close_own(container); /* the group has it still */
    fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    assert_true(fd >= 0);
    close_own(fd);
    close_own(group);
}

static void test_a_device_outlives_its_groups_descriptor(void **state)
{
    int group = open_own(path);
    int container = join_container(group);
    int fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);

    (void)state;
    assert_true(fd >= 0);
    close_own(group);
    close_own(container);
    show_device(fd);
    rig_write32(&rig, 0x20, 5);
    assert_int_equal(rig_read32(&rig, 0x20), 5);
    close_own(fd);
}

static void test_a_device_without_a_server_is_refused(void **state)
{
    int group = open_own(path);
    int container = join_container(group);

    (void)state;
    rig_kill_server(&rig);
    assert_true(call(group, UAPI_GROUP_GET_DEVICE_FD, path) < 0);
    assert_int_equal(call(group, UAPI_GROUP_UNSET_CONTAINER, NULL), 0);
    close_own(group);
    close_own(container);
}

static void test_a_hot_reset_wants_the_group(void **state)
{
    struct {
        struct uapi_hot_reset_info head;
        struct uapi_hot_reset_device device;
    } info = { .head = { .argsz = sizeof(info) } };
    struct {
        struct uapi_hot_reset head;
        int32_t fd;
    } reset = { .head = { .argsz = sizeof(reset), .count = 1 } };
    int group = open_own(path);
    int container = join_container(group);
    int fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
    uint32_t resets;

    (void)state;
    assert_true(fd >= 0);
    show_device(fd);
    resets = rig_read32(&rig, RIG_RESETS);
    assert_int_equal(call(fd, UAPI_GET_HOT_RESET_INFO, &info), 0);
    assert_int_equal(info.head.flags, 0);
    assert_int_equal(info.device.id, BRIDGE_INHERITED_FIRST + (uint32_t)token);
    reset.fd = container;
    assert_int_equal(call(fd, UAPI_HOT_RESET, &reset), -EINVAL);
    reset.fd = -1;
    assert_int_equal(call(fd, UAPI_HOT_RESET, &reset), -EINVAL);
    reset.fd = group;
    reset.head.argsz = sizeof(reset.head);
    assert_int_equal(call(fd, UAPI_HOT_RESET, &reset), -EINVAL);
    reset.head.argsz = sizeof(reset);
    reset.head.count = 0;
    assert_int_equal(call(fd, UAPI_HOT_RESET, &reset), -EINVAL);
    assert_int_equal(rig_read32(&rig, RIG_RESETS), resets);
    reset.head.count = 1;
    assert_int_equal(call(fd, UAPI_HOT_RESET, &reset), 0);
    assert_int_equal(rig_read32(&rig, RIG_RESETS), resets + 1);
    close_own(fd);
    close_own(group);
    close_own(container);
}

static void test_a_devices_own_log_hides_the_containers(void **state)
{
    struct uapi_type1_info info = { .argsz = sizeof(info) };
    struct uapi_type1_dirty start = { .argsz = 8, .flags = UAPI_TYPE1_DIRTY_START };
    int silent = make_token(FERRY_BRIDGE_DIRTY_DEVICE);
    int group = open_own(path);
    int container = join_container(group);
    uint32_t with_log;
    int other;

    (void)state;
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, &info), 0);
    with_log = info.argsz;
    name_group(silent);
    other = open_own(path);
    assert_int_equal(call(other, UAPI_GROUP_SET_CONTAINER, &container), 0);
    info.argsz = sizeof(info);
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, &info), 0);
    assert_true(info.argsz < with_log);
    /* A VMM that has seen the log before would go on without what it cannot start. */
    assert_int_equal(call(container, UAPI_TYPE1_DIRTY, &start), 0);
    close_own(other);
    info.argsz = sizeof(info);
    assert_int_equal(call(container, UAPI_TYPE1_GET_INFO, &info), 0);
    assert_int_equal(info.argsz, with_log);
    assert_int_equal(call(container, UAPI_TYPE1_DIRTY, &start), 0);
    close_own(group);
    close_own(container);
    (void)close(silent);
}

/* The last region: is it what a VMM of uAPI v1 looks for? */
static int has_v1_region(int device)
{
    struct uapi_info info = { .argsz = 20 };
    union {
        struct uapi_region region;
        uint8_t byte[512];
    } last = { .region = { .argsz = sizeof(last) } };
    struct uapi_cap_type cap = { .head = { .next = 0 } };
    uint32_t at;

    assert_int_equal(call(device, UAPI_GET_INFO, &info), 0);
    last.region.index = info.regions - 1;
    assert_int_equal(call(device, UAPI_GET_REGION_INFO, &last), 0);
    for (at = last.region.cap_offset; at != 0 && cap.type != 3; at = cap.head.next) {
        assert_true(at <= sizeof(last) - sizeof(cap));
        memcpy(&cap, last.byte + at, sizeof(cap));
        cap.type = cap.head.id == UAPI_CAP_TYPE ? cap.type : 0;
    }
    return cap.type == 3 && cap.subtype == 1;
}

static void test_a_token_hides_what_a_kernel_of_v1_lacks(void **state)
{
    const unsigned seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct uapi_feature feature = { .argsz = sizeof(feature),
                                    .flags = UAPI_MIGRATION | UAPI_FEATURE_GET |
                                             UAPI_FEATURE_PROBE };
    const int old = memfd_create("token", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    (void)state;
    rig_kill_server(&rig);
    rig_start_server(&rig, RIG_MOVING);
    assert_true(
        dprintf(old, "ferry-bridge 1\nkind=device\npath=%s\nuapi=v1\n", rig.path) > 0);
    assert_int_equal(fcntl(old, F_ADD_SEALS, seals), 0);
    for (int i = 0; i < 2; i++) {
        int group, container, fd;

        name_group(i == 0 ? token : old);
        group = open_own(path);
        container = join_container(group);
        fd = (int)call(group, UAPI_GROUP_GET_DEVICE_FD, path);
        assert_true(fd >= 0);
        assert_int_equal(call(fd, UAPI_FEATURE, &feature), i == 0 ? 0 : -ENOTTY);
        assert_true(has_v1_region(fd));
        close_own(fd);
        close_own(group);
        close_own(container);
    }
    (void)close(old);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_device_is_used_through_its_group),
        TEST(test_only_own_paths_are_taken),
        TEST(test_a_container_is_ours_while_a_group_waits),
        TEST(test_calls_in_the_wrong_order_are_refused),
        TEST(test_a_device_is_opened_once_and_again),
        TEST(test_a_device_outlives_its_groups_descriptor),
        TEST(test_a_device_without_a_server_is_refused),
        TEST(test_a_hot_reset_wants_the_group),
        TEST(test_a_devices_own_log_hides_the_containers),
        TEST(test_a_token_hides_what_a_kernel_of_v1_lacks),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
