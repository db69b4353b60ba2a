/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/context/context.h"
#include "os/memory.h"

/* A device is lost while its regions are mapped: the kernel waits for who holds one. */

#define BYTES 8192u

static struct ferry_context context;
static struct ferry_host_device device, peer;
static int is_device;
static uint32_t unmaps;

static void tell_error(struct ferry_backend *backend, struct ferry_error *ret_error)
{
    (void)backend;
    (void)ferry_error_set(ret_error, FERRY_E_CLOSED, "test", NULL, 0, "pulled out");
}

static int regions_are_device(struct ferry_backend *backend)
{
    (void)backend;
    return is_device;
}

static int count_unmaps(struct ferry_backend *backend, struct ferry_request *request)
{
    (void)backend;
    assert_int_equal(request->kind, FERRY_RQ_DMA_UNMAP);
    unmaps++;
    return FERRY_OK;
}

static const struct ferry_backend_ops ops = {
    .struct_size = sizeof(struct ferry_backend_ops),
    .error = tell_error,
    .call = count_unmaps,
    .regions_are_device = regions_are_device,
};

/* Does this process have a file's memory mapped? */
static int is_mapped(int fd)
{
    char path[64], target[256], line[512];
    ssize_t length;
    FILE *maps = fopen("/proc/self/maps", "r");
    int found = 0;

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    length = readlink(path, target, sizeof(target) - 1);
    assert_true(length > 0);
    target[length] = '\0';
    assert_non_null(maps);
    while (fgets(line, sizeof(line), maps) != NULL) {
        found |= strstr(line, target) != NULL;
    }
    (void)fclose(maps);
    return found;
}

/* Loses a device that has a region mapped. Return: is it mapped still? */
static int lose(int of_kernel)
{
    struct ferry_backend backend = { .ops = &ops };
    uint8_t *data;
    void *address = NULL;
    int fd = -1, mapped;

    is_device = of_kernel;
    memset(&context, 0, sizeof(context));
    memset(&device, 0, sizeof(device));
    device.backend = &backend;
    device.context = &context;
    for (uint32_t i = 0; i < FERRY_HOST_REGIONS_MAX; i++) {
        device.region[i].fd = -1;
    }
    memset(&peer, 0, sizeof(peer));
    peer.backend = &backend;
    peer.context = &context;
    peer.index = 1;
    context.device[0] = &device;
    context.device[1] = &peer;
    context.device_count = 2;
    context.peer_map[0] = (struct ferry_host_peer_map){
        .initiator = 1, .target = 0, .size = BYTES, .mapped = 1
    };
    unmaps = 0;
    assert_int_equal(ferry_os_memfd_create("lost-region", BYTES, &fd), FERRY_OK);
    device.region[0] = (struct ferry_region_info){
        .size = BYTES,
        .flags = FERRY_REGION_READ | FERRY_REGION_WRITE | FERRY_REGION_MMAP,
        .area_count = 1,
        .area = { { .off = 0, .size = BYTES } },
    };
    assert_int_equal(ferry_os_dup(fd, &device.region[0].fd), FERRY_OK);
    assert_int_equal(ferry_context_region_map(&context, 0, 0, 0, BYTES, &address, NULL),
                     FERRY_OK);
    data = address;
    data[0] = 0x5a;
    assert_true(is_mapped(fd));
    ferry_host_device_died(&device, FERRY_E_CLOSED);
    assert_int_equal(device.region[0].fd, -1);
    mapped = is_mapped(fd);
    assert_int_equal(data[0], mapped ? 0x5a : 0);
    assert_int_equal(unmaps, of_kernel); /* what another device has of it */
    data[BYTES - 1] = 1;                 /* who is at it finds memory */
    ferry_os_unmap(&device.mappings->map);
    free(device.mappings);
    ferry_os_close(&fd);
    return mapped;
}

static void a_lost_device_of_the_kernel_is_mapped_no_longer(void **state)
{
    (void)state;
    assert_false(lose(1));
}

static void a_lost_peers_file_stays_mapped(void **state)
{
    (void)state;
    assert_true(lose(0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_device_of_the_kernel_is_mapped_no_longer),
        cmocka_unit_test(a_lost_peers_file_stays_mapped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
