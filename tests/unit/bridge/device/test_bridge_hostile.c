/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/reader.h"
#include "base/writer.h"
#include "os/uapi/iommufd.h"
#include "test_bridge_device_rig.h"

/*
 * A server that wants to bring the VMM down by what it says of its device: sizes, lists,
 * files that are cut, and the time that it takes.
 */

#define HEAD 16u
#define BYTES_MAX 65536u
#define MEMORY_BYTES 0x4000u
#define REGIONS 9u

enum {
    VERSION = 1,
    DMA_MAP,
    DMA_UNMAP,
    INFO,
    REGION_INFO,
    IRQ_INFO = 7,
    READ = 9,
    WRITE
};

static struct {
    int listener, fd;
    pthread_t thread;
    uint64_t size[REGIONS], file_off;
    int file; /* of region 2; -1: none */
    uint8_t config[4096];
    uint32_t rest_ms; /* before each answer */
    uint32_t refuse_maps;
    uint32_t asked;
    uint8_t in[BYTES_MAX], out[BYTES_MAX];
} server;

static struct rig rig;

static int get_all(uint8_t *bytes, size_t size)
{
    return size == 0 || recv(server.fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

/* A reply whose payload is at out + HEAD. */
static void reply(const uint8_t *ask, uint32_t error, size_t bytes, int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS } };
    struct iovec iov = { .iov_base = server.out, .iov_len = HEAD + bytes };
    struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

    memcpy(server.out, ask, 4);
    ferry_store_le32(server.out + 4, (uint32_t)(HEAD + bytes));
    ferry_store_le32(server.out + 8, error ? 0x21 : 1);
    ferry_store_le32(server.out + 12, error);
    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
    }
    (void)sendmsg(server.fd, &message, MSG_NOSIGNAL);
}

static void answer_region(const uint8_t *ask)
{
    const uint32_t index = ferry_load_le32(ask + HEAD + 8);
    uint8_t *at = server.out + HEAD;
    const int mapped = index == 2 && server.file >= 0;

    if (index >= REGIONS) {
        reply(ask, EINVAL, 0, -1);
        return;
    }
    memset(at, 0, 32);
    ferry_store_le32(at, 32);
    ferry_store_le32(at + 4, mapped ? 7 : 3);
    ferry_store_le32(at + 8, index);
    ferry_store_le64(at + 16, server.size[index]);
    ferry_store_le64(at + 24, mapped ? server.file_off : 0);
    reply(ask, 0, 32, mapped ? server.file : -1);
}

static void answer(const uint8_t *ask)
{
    uint8_t *at = server.out + HEAD;
    uint32_t count;
    uint64_t off;

    switch (ferry_load_le16(ask + 2)) {
    case VERSION:
        memcpy(at, "\0\0\1\0{}", 7);
        reply(ask, 0, 7, -1);
        break;
    case INFO:
        ferry_store_le32(at, 16);
        ferry_store_le32(at + 4, 3);
        ferry_store_le32(at + 8, REGIONS);
        ferry_store_le32(at + 12, 3);
        reply(ask, 0, 16, -1);
        break;
    case REGION_INFO:
        answer_region(ask);
        break;
    case IRQ_INFO:
        memcpy(at, ask + HEAD, 16);
        ferry_store_le32(at + 12, 0);
        reply(ask, 0, 16, -1);
        break;
    case READ:
        off = ferry_load_le64(ask + HEAD);
        count = ferry_load_le32(ask + HEAD + 12);
        memcpy(at, ask + HEAD, 16);
        memset(at + 16, 0, count);
        if (ferry_load_le32(ask + HEAD + 8) == BRIDGE_CONFIG_REGION) {
            memcpy(at + 16, server.config + off, count);
        }
        reply(ask, 0, 16 + count, -1);
        break;
    case WRITE: /* it keeps what it says */
        memcpy(at, ask + HEAD, 16);
        reply(ask, 0, 16, -1);
        break;
    case DMA_MAP:
        reply(ask, server.refuse_maps ? ENOMEM : 0, 0, -1);
        break;
    case DMA_UNMAP:
        memcpy(at, ask + HEAD, 24);
        reply(ask, 0, 24, -1);
        break;
    default:
        reply(ask, EINVAL, 0, -1);
        break;
    }
}

static void *play(void *user)
{
    (void)user;
    server.fd = accept(server.listener, NULL, NULL);
    while (get_all(server.in, HEAD)) {
        const uint32_t size = ferry_load_le32(server.in + 4);

        if (size < HEAD || size > BYTES_MAX || !get_all(server.in + HEAD, size - HEAD)) {
            break;
        }
        server.asked++;
        if (server.rest_ms > 0) {
            (void)usleep(server.rest_ms * 1000);
        }
        answer(server.in);
    }
    close(server.fd);
    return NULL;
}

/* A device that a VMM can use: a BAR, one with memory, MSI-X, an extended capability. */
static void be_good(void)
{
    static const uint8_t msix[12] = { 0x11, 0x60, 3, 0, 0, 0, 0, 0, 0, 8, 0, 0 };
    static const uint8_t power[8] = { 0x01, 0, 3, 0, 0, 0, 0, 0 };

    memset(&server, 0, sizeof(server));
    server.file = -1;
    server.size[0] = 0x1000;
    server.size[2] = MEMORY_BYTES;
    server.size[BRIDGE_CONFIG_REGION] = 4096;
    ferry_store_le32(server.config, 0x10f01af4);
    server.config[0x06] = 0x10;
    server.config[0x34] = 0x40;
    memcpy(server.config + 0x40, msix, sizeof(msix));
    memcpy(server.config + 0x60, power, sizeof(power));
    ferry_store_le32(server.config + 0x100, 0x2001000bu);
    ferry_store_le32(server.config + 0x200, 0x00010003u);
}

static int up(void **state)
{
    static uint32_t count;
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    (void)state;
    be_good();
    memset(&rig, 0, sizeof(rig));
    snprintf(rig.path, sizeof(rig.path), "/tmp/ferry-hostile-%d-%u.sock", getpid(),
             ++count);
    memcpy(address.sun_path, rig.path, sizeof(rig.path));
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, play, NULL), 0);
    rig_create(&rig, 400);
    return 0;
}

static int down(void **state)
{
    (void)state;
    rig_down(&rig);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.listener);
    if (server.file >= 0) {
        close(server.file);
    }
    return 0;
}

static uint32_t region_flags(uint32_t index, uint64_t *ret_size)
{
    struct uapi_region info = { .argsz = sizeof(info), .index = index };

    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_REGION_INFO, &info), 0);
    *ret_size = info.size;
    return info.flags;
}

static void a_good_device_is_bound(void **state)
{
    uint64_t size;

    (void)state;
    server.file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_int_equal(ftruncate(server.file, MEMORY_BYTES), 0);
    assert_int_equal(rig_bind(&rig), 0);
    assert_true(region_flags(2, &size) & UAPI_REGION_MMAP);
    assert_int_equal(rig.device->msix.bytes, 64);
    /* From now on the server cannot take the guest's pages away. */
    assert_int_equal(ftruncate(server.file, 0), -1);
}

static void a_file_that_could_be_cut_is_not_mapped(void **state)
{
    char path[] = "/tmp/ferry-hostile-file-XXXXXX";
    uint64_t size;
    int fd;
    uint64_t off;

    (void)state;
    server.file = mkstemp(path);
    assert_true(server.file >= 0);
    unlink(path);
    assert_int_equal(ftruncate(server.file, MEMORY_BYTES), 0);
    assert_int_equal(rig_bind(&rig), 0);
    assert_false(region_flags(2, &size) & UAPI_REGION_MMAP);
    assert_int_equal(size, MEMORY_BYTES);
    assert_int_equal(rig.object->ops->map(rig.object, UINT64_C(2) << BRIDGE_REGION_SHIFT,
                                          4096, &fd, &off),
                     -EINVAL);
    assert_int_equal(rig_pread(&rig, 2, 0, &off, 8), 8);
}

static void a_file_that_is_too_short_is_not_mapped(void **state)
{
    uint64_t size;

    (void)state;
    server.file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    server.file_off = 4096;
    assert_int_equal(ftruncate(server.file, MEMORY_BYTES), 0);
    assert_int_equal(rig_bind(&rig), 0);
    assert_false(region_flags(2, &size) & UAPI_REGION_MMAP);
}

/* The server could give its pages back, and nobody would have others. */
static void a_file_of_huge_pages_is_not_mapped(void **state)
{
    uint64_t size;

    (void)state;
    server.file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
    if (server.file < 0 || ftruncate(server.file, 1 << 30) != 0) {
        skip();
    }
    assert_int_equal(rig_bind(&rig), 0);
    assert_false(region_flags(2, &size) & UAPI_REGION_MMAP);
}

static void an_offset_that_wraps_is_refused(void **state)
{
    (void)state;
    server.file = memfd_create("memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    server.file_off = UINT64_MAX - MEMORY_BYTES + 1;
    assert_int_equal(ftruncate(server.file, MEMORY_BYTES), 0);
    assert_int_equal(rig_bind(&rig), -EINVAL);
}

/* QEMU makes as many bytes for it as it is told, and reads 4096. */
static void config_space_has_256_or_4096_bytes(void **state)
{
    uint64_t size;

    (void)state;
    server.size[BRIDGE_CONFIG_REGION] = 4000;
    assert_int_equal(rig_bind(&rig), 0);
    region_flags(BRIDGE_CONFIG_REGION, &size);
    assert_int_equal(size, 256);
}

static void a_longer_config_space_ends_at_4096(void **state)
{
    uint64_t size;

    (void)state;
    server.size[BRIDGE_CONFIG_REGION] = 1 << 20;
    assert_int_equal(rig_bind(&rig), 0);
    region_flags(BRIDGE_CONFIG_REGION, &size);
    assert_int_equal(size, 4096);
}

static void an_extended_space_of_ones_is_none(void **state)
{
    uint64_t size;

    (void)state;
    memset(server.config + 256, 0xff, 4096 - 256);
    assert_int_equal(rig_bind(&rig), 0);
    region_flags(BRIDGE_CONFIG_REGION, &size);
    assert_int_equal(size, 256);
}

static void what_the_vmm_goes_by_stays_as_it_was(void **state)
{
    uint8_t config[256];

    (void)state;
    assert_int_equal(rig_bind(&rig), 0);
    server.config[0x41] = 0x40; /* a list without an end */
    server.config[0x3d] = 200;
    server.config[0x34] = 0xff;
    server.config[0x43] = 0xc7; /* enabled, masked, with more vectors */
    server.config[0x04] = 0x06;
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0, config, 256), 256);
    assert_int_equal(config[0x41], 0x60);
    assert_int_equal(config[0x3d], 0);
    assert_int_equal(config[0x34], 0x40);
    assert_int_equal(config[0x43], 0xc0);
    assert_int_equal(config[0x04], 0x06); /* that may change */
}

static uint32_t rom_address(uint32_t value)
{
    assert_int_equal(rig_pwrite(&rig, BRIDGE_CONFIG_REGION, 0x30, &value, 4), 4);
    value = 0;
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0x30, &value, 4), 4);
    return value;
}

static void a_rom_has_the_size_of_its_region(void **state)
{
    uint8_t byte = 0;

    (void)state;
    server.size[BRIDGE_ROM_REGION] = 0x5000;
    ferry_store_le32(server.config + 0x30, 0xfee12801u);
    assert_int_equal(rig_bind(&rig), 0);
    assert_int_equal(rom_address(0xfffff800u), 0xffff8000u);
    assert_int_equal(rom_address(0xfe008801u), 0xfe008001u);
    assert_int_equal(rig_pread(&rig, BRIDGE_CONFIG_REGION, 0x33, &byte, 1), 1);
    assert_int_equal(byte, 0xfe);
}

static void a_device_without_a_rom_has_no_address_for_it(void **state)
{
    (void)state;
    ferry_store_le32(server.config + 0x30, 0xfee12801u);
    assert_int_equal(rig_bind(&rig), 0);
    assert_int_equal(rom_address(0xffffffffu), 0);
}

/* Each answer is in time, all of them are not. */
static void a_bind_ends_though_each_answer_comes_at_the_last_moment(void **state)
{
    (void)state;
    server.rest_ms = 300;
    assert_int_equal(rig_bind(&rig), -EIO);
    assert_in_range(server.asked, 1, 7);
    server.rest_ms = 0;
}

static void a_map_that_is_refused_later_costs_the_device_alone(void **state)
{
    static uint8_t memory[8192] __attribute__((aligned(4096)));
    struct uapi_iommu_ioas_map map = {
        .size = sizeof(map), .flags = 7, .user_va = (uintptr_t)memory, .length = 4096
    };
    struct uapi_info info = { .argsz = sizeof(info) };
    uint32_t value;

    (void)state;
    assert_int_equal(rig_bind(&rig), 0);
    rig_attach(&rig);
    map.ioas_id = rig.ioas;
    server.refuse_maps = 1;
    /* The VMM makes the device: it takes an error well. */
    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_MAP, &map), -ENOMEM);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), 4);
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_INFO, &info), 0);
    assert_int_equal(rig_ioctl(rig.iommu, UAPI_IOMMU_IOAS_MAP, &map), 0);
    assert_int_equal(rig_pread(&rig, 0, 0, &value, 4), -EIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_device_is_bound, up, down),
        cmocka_unit_test_setup_teardown(a_file_that_could_be_cut_is_not_mapped, up, down),
        cmocka_unit_test_setup_teardown(a_file_that_is_too_short_is_not_mapped, up, down),
        cmocka_unit_test_setup_teardown(a_file_of_huge_pages_is_not_mapped, up, down),
        cmocka_unit_test_setup_teardown(an_offset_that_wraps_is_refused, up, down),
        cmocka_unit_test_setup_teardown(config_space_has_256_or_4096_bytes, up, down),
        cmocka_unit_test_setup_teardown(a_longer_config_space_ends_at_4096, up, down),
        cmocka_unit_test_setup_teardown(an_extended_space_of_ones_is_none, up, down),
        cmocka_unit_test_setup_teardown(
            a_bind_ends_though_each_answer_comes_at_the_last_moment, up, down),
        cmocka_unit_test_setup_teardown(
            a_map_that_is_refused_later_costs_the_device_alone, up, down),
        cmocka_unit_test_setup_teardown(a_rom_has_the_size_of_its_region, up, down),
        cmocka_unit_test_setup_teardown(a_device_without_a_rom_has_no_address_for_it, up,
                                        down),
        cmocka_unit_test_setup_teardown(what_the_vmm_goes_by_stays_as_it_was, up, down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
