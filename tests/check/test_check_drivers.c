/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "drivers/check/check_drivers.h"
#include "models/models.h"
#include "tests/check/edu/edu.h"
#include "tests/check/rig/mutant.h"

/*
 * The checker's drivers do what ferry/check.h says. The checker's side of them is here in
 * place of the library's: the device as it is, without the engine and its resets.
 */

#define IOVA 0x40000u
#define DRIVER_BYTES (4u << 20)
#define SCRATCH_BYTES (2u << 20)
#define MEMORY_BYTES (DRIVER_BYTES + SCRATCH_BYTES)
#define SCRATCH (IOVA + DRIVER_BYTES)

struct ferry_check_device {
    const struct ferry_model *model;
    const struct ferry_check_driver *driver;
    struct ferry_device *device;
    void *model_state, *state;
    struct mutant *mutant; /* has the requests that wait */
    uint8_t *memory;
    int fd, eventfd[16];
    uint32_t vectors;
    uint32_t turns_left; /* 0: no end */
};

int ferry_check_region_read(struct ferry_check_device *device, uint32_t region,
                            uint64_t off, void *ret_data, size_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ };

    request.u.io.index = region;
    request.u.io.off = off;
    request.u.io.count = (uint32_t)count;
    request.u.io.data = ret_data;
    return mutant_call(device->mutant, &request);
}

int ferry_check_region_write(struct ferry_check_device *device, uint32_t region,
                             uint64_t off, const void *data, size_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_REGION_WRITE };

    request.u.io.index = region;
    request.u.io.off = off;
    request.u.io.count = (uint32_t)count;
    memcpy(&request.u.io.data, &data, sizeof(data)); /* it is only read */
    return mutant_call(device->mutant, &request);
}

void *ferry_check_memory(struct ferry_check_device *device, uint64_t *ret_iova,
                         uint64_t *ret_bytes)
{
    *ret_iova = IOVA;
    *ret_bytes = DRIVER_BYTES;
    return device->memory;
}

void *ferry_check_memory_at(struct ferry_check_device *device, uint64_t iova,
                            uint64_t bytes)
{
    return iova < IOVA || iova - IOVA > MEMORY_BYTES ||
                   bytes > MEMORY_BYTES - (iova - IOVA)
               ? NULL
               : device->memory + (iova - IOVA);
}

int ferry_check_irqs(struct ferry_check_device *device, uint32_t count)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    assert_true(count <= 16);
    for (; device->vectors < count; device->vectors++) {
        device->eventfd[device->vectors] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    }
    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    request.u.irq_set.index = device->model == &edu_model ? 1 : 2; /* MSI, MSI-X */
    request.u.irq_set.count = count;
    request.u.irq_set.fds = device->eventfd;
    request.u.irq_set.fd_count = count;
    return mutant_call(device->mutant, &request);
}

int ferry_check_turn(struct ferry_check_device *device, uint32_t wait_ms)
{
    (void)wait_ms;
    (void)device->mutant->endpoint.ops->work(&device->mutant->endpoint);
    return device->turns_left > 0 && --device->turns_left == 0 ? FERRY_E_TIMEOUT
                                                               : FERRY_OK;
}

int ferry_check_irq_wait(struct ferry_check_device *device, uint32_t vector,
                         uint32_t timeout_ms)
{
    uint64_t count;

    for (uint32_t i = 0; i <= timeout_ms; i++) {
        if (read(device->eventfd[vector], &count, sizeof(count)) == sizeof(count)) {
            return FERRY_OK;
        }
        (void)ferry_check_turn(device, 0);
    }
    return FERRY_E_TIMEOUT;
}

static void open_memory(struct ferry_check_device *device)
{
    device->fd = memfd_create("drivers", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    assert_true(device->fd >= 0);
    assert_int_equal(ftruncate(device->fd, MEMORY_BYTES), 0);
    device->memory =
        mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, device->fd, 0);
    assert_ptr_not_equal(device->memory, MAP_FAILED);
}

struct kind {
    const char *model;
    const char *option[2];
    const struct ferry_check_driver *driver;
};

static int set_up(void **state)
{
    const struct kind *kind = *state;
    struct ferry_check_device *device = calloc(1, sizeof(*device));
    struct ferry_model_options options = { sizeof(options), 0, kind->option };
    const struct ferry_client_port port = { .struct_size = sizeof(port) };
    struct ferry_request map = { .kind = FERRY_RQ_DMA_MAP };
    struct ferry_error error;

    assert_non_null(device);
    while (options.count < 2 && kind->option[options.count] != NULL) {
        options.count++;
    }
    device->model = strcmp(kind->model, edu_model.name) == 0
                        ? &edu_model
                        : ferry_model_find(kind->model);
    device->driver = kind->driver;
    assert_int_equal(
        device->model->create(&options, &device->device, &device->model_state, &error),
        FERRY_OK);
    device->mutant =
        mutant_new(NULL, device->device, ferry_device_endpoint(device->device));
    assert_non_null(device->mutant);
    assert_int_equal(
        device->mutant->endpoint.ops->attach(&device->mutant->endpoint, &port), FERRY_OK);
    open_memory(device);
    map.u.map = (struct ferry_dma_map){ .iova = IOVA,
                                        .size = MEMORY_BYTES,
                                        .fd = device->fd,
                                        .flags = FERRY_DMA_READ | FERRY_DMA_WRITE };
    assert_int_equal(mutant_call(device->mutant, &map), FERRY_OK);
    assert_int_equal(kind->driver->start(device, &device->state, &error), FERRY_OK);
    *state = device;
    return 0;
}

static int tear_down(void **state)
{
    struct ferry_check_device *device = *state;

    device->driver->stop(device->state);
    device->mutant->endpoint.ops->detach(&device->mutant->endpoint);
    mutant_free(device->mutant);
    device->model->destroy(device->device, device->model_state);
    for (uint32_t i = 0; i < device->vectors; i++) {
        (void)close(device->eventfd[i]);
    }
    (void)munmap(device->memory, MEMORY_BYTES);
    (void)close(device->fd);
    free(device);
    return 0;
}

static uint8_t *scratch(const struct ferry_check_device *device)
{
    return device->memory + DRIVER_BYTES;
}

static void the_device_works_again_and_again(void **state)
{
    struct ferry_check_device *device = *state;
    struct ferry_error error;

    for (int i = 0; i < 3; i++) {
        assert_int_equal(device->driver->works(device->state, &error), FERRY_OK);
    }
}

static void a_device_without_bus_mastering_does_not_work(void **state)
{
    struct ferry_check_device *device = *state;
    const uint8_t off[2] = { 2, 0 };
    struct ferry_error error;

    assert_int_equal(ferry_check_region_write(device, 7, 4, off, sizeof(off)), FERRY_OK);
    device->turns_left = 1000;
    /* edu tells its driver of the end of transfers that went nowhere. */
    assert_int_equal(device->driver->works(device->state, &error),
                     device->model == &edu_model ? FERRY_E_DEVICE : FERRY_E_TIMEOUT);
    assert_true(error.text[0] != '\0');
}

/* A write changes all of its range and nothing of the scratch memory around it. */
static void writes_one(struct ferry_check_device *device, uint64_t off, uint64_t bytes)
{
    uint8_t *before = malloc(SCRATCH_BYTES);
    const uint8_t *now = scratch(device);
    uint64_t changed = 0;
    struct ferry_error error;

    assert_non_null(before);
    memcpy(before, now, SCRATCH_BYTES);
    assert_int_equal(device->driver->write(device->state, SCRATCH + off, bytes, &error),
                     FERRY_OK);
    assert_memory_equal(before, now, off);
    for (uint64_t i = off; i < off + bytes; i++) {
        changed += before[i] != now[i];
    }
    if (device->driver != &check_driver_acc || bytes <= 256) {
        assert_int_equal(changed, bytes);
    }
    assert_true(changed > bytes * 9 / 10);
    assert_memory_equal(before + off + bytes, now + off + bytes,
                        SCRATCH_BYTES - off - bytes);
    free(before);
}

static void a_write_changes_its_range_and_nothing_else(void **state)
{
    static const uint64_t bytes[] = { 1,      2,        15,           16,   17,
                                      64,     255,      4096,         4097, 131072,
                                      200001, 1u << 20, SCRATCH_BYTES };
    struct ferry_check_device *device = *state;

    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
        const uint64_t off = bytes[i] == SCRATCH_BYTES ? 0 : 4095;

        writes_one(device, off, bytes[i]);
        writes_one(device, off, bytes[i]);
    }
}

static void a_write_outside_the_memory_is_refused(void **state)
{
    struct ferry_check_device *device = *state;
    struct ferry_error error;

    assert_int_equal(
        device->driver->write(device->state, IOVA + MEMORY_BYTES, 4096, &error),
        FERRY_E_RANGE);
    assert_int_equal(
        device->driver->begin(device->state, IOVA + MEMORY_BYTES, 4096, &error),
        FERRY_E_RANGE);
}

/* What begin() began lasts over many slices, is frozen by a stop, and goes on after it.
 */
static void lasts(struct ferry_check_device *device, uint64_t bytes)
{
    uint8_t *frozen = malloc(MEMORY_BYTES);
    struct ferry_error error;

    assert_non_null(frozen);
    assert_int_equal(device->driver->begin(device->state, SCRATCH, bytes, &error),
                     FERRY_OK);
    (void)ferry_check_turn(device, 0);
    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_STOP), FERRY_OK);
    memcpy(frozen, device->memory, MEMORY_BYTES);
    (void)ferry_check_turn(device, 0);
    assert_memory_equal(frozen, device->memory, MEMORY_BYTES);
    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_RUNNING), FERRY_OK);
    (void)ferry_check_turn(device, 0);
    (void)ferry_check_turn(device, 0);
    assert_memory_not_equal(frozen, device->memory, MEMORY_BYTES);
    assert_int_equal(device->driver->settle(device->state, &error), FERRY_OK);
    memcpy(frozen, scratch(device), SCRATCH_BYTES);
    (void)ferry_check_turn(device, 0);
    assert_memory_equal(frozen, scratch(device), SCRATCH_BYTES);
    assert_int_equal(device->driver->works(device->state, &error), FERRY_OK);
    free(frozen);
}

static void what_was_begun_is_under_way_at_a_stop_and_goes_on_after_it(void **state)
{
    const struct ferry_check_device *device = *state;

    if (device->model == &edu_model) {
        skip(); /* one transfer, and its end is waited for before a stop */
    }
    lasts(*state, 4096);
    lasts(*state, 100000);
    lasts(*state, SCRATCH_BYTES);
}

/* A hash is enough: it is compared with its own kind. */
static uint64_t saved_hash(struct ferry_check_device *device)
{
    static uint8_t buffer[65536];
    uint64_t hash = 14695981039346656037u;
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_STOP_COPY), FERRY_OK);
    do {
        request.u.data.data = buffer;
        request.u.data.size = sizeof(buffer);
        assert_int_equal(mutant_call(device->mutant, &request), FERRY_OK);
        for (uint64_t i = 0; i < request.u.data.got; i++) {
            hash = (hash ^ buffer[i]) * 1099511628211u;
        }
    } while (request.u.data.got > 0);
    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(mutant_set_state(device->mutant, FERRY_STATE_RUNNING), FERRY_OK);
    return hash;
}

static void a_change_shows_in_what_is_saved(void **state)
{
    struct ferry_check_device *device = *state;
    const uint64_t before = saved_hash(device);
    struct ferry_error error;

    assert_int_equal(saved_hash(device), before);
    assert_int_equal(device->driver->change(device->state, &error), FERRY_OK);
    assert_int_not_equal(saved_hash(device), before);
}

static void scratch_memory_is_mappable_and_is_left_alone(void **state)
{
    struct ferry_check_device *device = *state;
    uint32_t region = 0;
    uint64_t off = 0, bytes = 0;
    uint8_t *memory;
    struct ferry_error error;

    if (device->driver->scratch == NULL) {
        skip();
    }
    device->driver->scratch(device->state, &region, &off, &bytes);
    assert_true(bytes >= 4096);
    memory = ferry_device_region_memory(device->device, region);
    assert_non_null(memory);
    memset(memory + off, 0x5a, bytes);
    assert_int_equal(device->driver->works(device->state, &error), FERRY_OK);
    assert_int_equal(device->driver->change(device->state, &error), FERRY_OK);
    for (uint64_t i = 0; i < bytes; i++) {
        assert_int_equal(memory[off + i], 0x5a);
    }
}

static void a_driver_is_found_by_the_device_it_drives(void **state)
{
    struct ferry_check_device *device = *state;
    uint8_t config[64];

    for (uint32_t i = 0; i < sizeof(config); i += 4) {
        assert_int_equal(ferry_check_region_read(device, 7, i, config + i, 4), FERRY_OK);
    }
    assert_ptr_equal(check_driver_find(config), device->driver == &check_driver_edu_buffer
                                                    ? &check_driver_edu
                                                    : device->driver);
    config[2] ^= 0xffu;
    assert_null(check_driver_find(config));
}

int main(void)
{
    static struct kind kinds[] = {
        { "copy", { "memory=64K", NULL }, &check_driver_copy },
        { "copy", { "channels=1", NULL }, &check_driver_copy },
        { "acc", { NULL, NULL }, &check_driver_acc },
        { "acc", { "packed=on", NULL }, &check_driver_acc },
        { "acc", { "queues=4", NULL }, &check_driver_acc },
        { "nic", { "net=echo", NULL }, &check_driver_nic },
        { "nic", { "net=echo", "packed=on" }, &check_driver_nic },
        { "nic", { "net=echo", "pairs=2" }, &check_driver_nic },
        { "edu", { "slices=2", NULL }, &check_driver_edu_buffer },
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
#define TEST(f) cmocka_unit_test_prestate_setup_teardown(f, set_up, tear_down, &kinds[i])
        const struct CMUnitTest tests[] = {
            TEST(the_device_works_again_and_again),
            TEST(a_device_without_bus_mastering_does_not_work),
            TEST(a_write_changes_its_range_and_nothing_else),
            TEST(a_write_outside_the_memory_is_refused),
            TEST(what_was_begun_is_under_way_at_a_stop_and_goes_on_after_it),
            TEST(a_change_shows_in_what_is_saved),
            TEST(scratch_memory_is_mappable_and_is_left_alone),
            TEST(a_driver_is_found_by_the_device_it_drives),
        };

        failed += cmocka_run_group_tests_name(kinds[i].model, tests, NULL, NULL);
    }
    return failed != 0;
}
