/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A small VMM under the bridge with device.c behind it: what is set up while the device
 * stands still, which libvfio-user refuses then, holds when it runs again; messages come
 * while processors read registers.
 *
 * usage: interop_vmm SOCKET. Exit: 0; 1 with the line of what did not hold.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/uapi/vfio.h"
#include "os/uapi/iommufd.h"
#include "ferry/bridge.h"

#define CHECK(condition) check((condition) != 0, __LINE__)
#define PAGE 4096u
#define LIMIT_MS 5000
#define THREADS 3
#define READS 500
#define STATE_STOP 1u
#define STATE_RUNNING 2u

/* Of device.c. */
enum { WORKS, ERRORS, RUN, ADDRESS, VALUE, HOW, TRIGGER, PLAIN = 16 };

static int iommu, device;
static uint32_t ioas;

static void check(int holds, int line)
{
    if (!holds) {
        fprintf(stderr, "vmm.c:%d: does not hold (errno %d)\n", line, errno);
        _exit(1);
    }
}

/* BAR 0 lies at 0 of the device's descriptor. */
static uint32_t get(uint32_t number)
{
    uint32_t value = 0;

    CHECK(pread(device, &value, 4, number * 4) == 4);
    return value;
}

static void set(uint32_t number, uint32_t value)
{
    CHECK(pwrite(device, &value, 4, number * 4) == 4);
}

static void set_up(const char *path)
{
    const struct ferry_bridge_device what = { .struct_size = sizeof(what), .path = path };
    struct uapi_bind bind = { .argsz = sizeof(bind) };
    struct uapi_iommu_ioas_alloc alloc = { .size = sizeof(alloc) };
    struct uapi_attach attach = { .argsz = sizeof(attach) };

    CHECK(ferry_bridge_device_token(&what, &device, NULL) == FERRY_OK);
    CHECK(ferry_bridge_iommu_token(&iommu, NULL) == FERRY_OK);
    bind.iommufd = iommu;
    CHECK(ioctl(device, UAPI_BIND, &bind) == 0);
    CHECK(ioctl(iommu, UAPI_IOMMU_IOAS_ALLOC, &alloc) == 0);
    attach.pt_id = ioas = alloc.out_ioas_id;
    CHECK(ioctl(device, UAPI_ATTACH, &attach) == 0);
}

static volatile uint32_t *map(uint64_t iova)
{
    struct uapi_iommu_ioas_map_file want = { .size = sizeof(want),
                                             .flags = 7,
                                             .ioas_id = ioas,
                                             .fd = memfd_create("vmm", MFD_CLOEXEC),
                                             .length = 2 * PAGE,
                                             .iova = iova };
    void *memory;

    CHECK(ftruncate(want.fd, 2 * PAGE) == 0);
    memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, want.fd, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(ioctl(iommu, UAPI_IOMMU_IOAS_MAP_FILE, &want) == 0);
    close(want.fd);
    return memory;
}

static void unmap(uint64_t iova)
{
    struct uapi_iommu_ioas_unmap want = {
        .size = sizeof(want), .ioas_id = ioas, .iova = iova, .length = 2 * PAGE
    };

    CHECK(ioctl(iommu, UAPI_IOMMU_IOAS_UNMAP, &want) == 0);
}

static int interrupt(void)
{
    struct {
        struct uapi_irq_set set;
        int32_t fd;
    } call = { .set = { .argsz = sizeof(call), .flags = 4 | 32, .count = 1 },
               .fd = eventfd(0, EFD_CLOEXEC) };

    CHECK(ioctl(device, UAPI_SET_IRQS, &call) == 0);
    return call.fd;
}

static int comes(int fd, int limit_ms)
{
    struct pollfd at = { .fd = fd, .events = POLLIN };

    return poll(&at, 1, limit_ms) == 1;
}

static void go(uint32_t state)
{
    struct {
        struct uapi_feature feature;
        uint32_t state;
        int32_t data_fd;
    } call = { .feature = { .argsz = sizeof(call),
                            .flags = UAPI_FEATURE_SET | UAPI_MIG_STATE },
               .state = state };

    CHECK(ioctl(device, UAPI_FEATURE, &call) == 0);
}

/* The device writes a word by its mapping or by a message. */
static void store(volatile uint32_t *memory, uint32_t iova, uint32_t value, uint32_t how)
{
    set(HOW, how);
    set(ADDRESS, iova);
    set(VALUE, value);
    for (int i = 0; i < LIMIT_MS && *memory != value; i++) {
        (void)poll(NULL, 0, 1);
    }
    CHECK(*memory == value);
}

static void changes_while_it_stands_still(void)
{
    volatile uint32_t *first = map(0), *second;
    int old = interrupt(), fresh;

    store(first, 0, 1, 0);
    set(TRIGGER, 1);
    CHECK(comes(old, LIMIT_MS));
    go(STATE_STOP);
    unmap(0);
    second = map(0);
    fresh = interrupt();
    go(STATE_RUNNING);
    store(second, 0, 2, 0);
    CHECK(*first == 1);
    CHECK(get(ERRORS) == 0);
    set(TRIGGER, 1);
    CHECK(comes(fresh, LIMIT_MS));
}

static void *processor(void *user)
{
    const uint32_t number = PLAIN + (uint32_t)(uintptr_t)user;

    for (uint32_t i = 0; i < READS; i++) {
        set(number, i);
        CHECK(get(number) == i);
    }
    return NULL;
}

static void messages_while_processors_are_in_calls(void)
{
    pthread_t thread[THREADS];
    volatile uint32_t *memory = map(0x100000);
    uint32_t before;

    store(memory, 0x100000, 3, 1);
    before = get(WORKS);
    set(RUN, 1);
    for (uintptr_t i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&thread[i], NULL, processor, (void *)i) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        CHECK(pthread_join(thread[i], NULL) == 0);
    }
    set(RUN, 0);
    CHECK(get(WORKS) > before + 5);
    CHECK(get(ERRORS) == 0);
    CHECK(memory[PAGE / 4] > before);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        return 2;
    }
    set_up(argv[1]);
    changes_while_it_stands_still();
    messages_while_processors_are_in_calls();
    return 0;
}
