/* SPDX-License-Identifier: BSD-3-Clause */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/writer.h"
#include "ferry/device.h"
#include "host/context/context.h"
#include "os/eventfd.h"
#include "os/memory.h"

/*
 * Devices of the SDK, in this process and behind sockets: every test runs with both. A
 * write to register 0 raises a vector, one to register 8 writes 8 bytes by DMA to that
 * address.
 */

#define VECTORS 4u
#define RAISE 0u
#define DMA 8u
#define TABLE_OFF 0x1000u
#define BAR2_BYTES 0x10000u
#define RAM_BYTES (8u * 4096u)
#define RAM_IOVA 0x100000u
#define MESSAGES_IOVA 0x200000u
#define PEER_IOVA 0x8000000u
#define DMA_VALUE 0x1122334455667788u

struct toy {
    struct ferry_device *device;
    struct ferry_server *server;
    pthread_t thread;
    char path[80];
    int dma_status;
};

struct rig {
    struct ferry_context *context;
    struct toy toy[2];
    char folder[32];
    int served;
    int ram_fd;
    struct ferry_os_map ram;
    uint8_t messages[4096];
    int fds[VECTORS];
};

static int toy_write(void *state, struct ferry_device *device, uint32_t region,
                     uint64_t off, const void *data, size_t count)
{
    struct toy *toy = state;
    const uint64_t bytes = DMA_VALUE;
    uint64_t value = 0;

    memcpy(&value, data, count < sizeof(value) ? count : sizeof(value));
    if (region == 0 && off == RAISE) {
        return ferry_irq_raise(device, (uint32_t)value);
    }
    if (region == 0 && off == DMA) {
        toy->dma_status = ferry_dma_write(device, value, &bytes, sizeof(bytes));
        return toy->dma_status;
    }
    return FERRY_E_RANGE;
}

static int toy_save(void *state, struct ferry_device *device, void *ret_data, size_t cap)
{
    (void)state;
    (void)device;
    (void)ret_data;
    (void)cap;
    return 0;
}

static int toy_load(void *state, struct ferry_device *device, const void *data,
                    size_t count)
{
    (void)state;
    (void)device;
    (void)data;
    (void)count;
    return FERRY_OK;
}

static int toy_size(void *state, struct ferry_device *device, uint64_t *ret_bytes)
{
    (void)state;
    (void)device;
    *ret_bytes = 1;
    return FERRY_OK;
}

static void toy_create(struct toy *toy)
{
    static const struct ferry_device_ops ops = {
        .struct_size = sizeof(ops),
        .region_write = toy_write,
        .save = toy_save,
        .load = toy_load,
        .data_size = toy_size,
    };
    static const uint8_t body[5] = { 1, 2, 3, 4, 5 };
    struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .ops = &ops,
        .state = toy,
        .identity = { .model = "toy",
                      .state_version = 1,
                      .state_version_min = 1,
                      .pci_vendor = 0xfe44,
                      .pci_device = 1,
                      .pci_class = 0x08800001,
                      .migration_flags = FERRY_MIG_STOP_COPY | FERRY_MIG_P2P },
        .region = { [0] = { .size_bytes = 0x2000 },
                    [2] = { .size_bytes = BAR2_BYTES,
                            .flags = FERRY_BAR_MEMORY | FERRY_BAR_64BIT } },
        .msix_vectors = VECTORS,
        .msix_bar = 0,
        .msix_table_off = TABLE_OFF,
        .msix_pba_off = TABLE_OFF + 0x800,
        .cap_count = 1,
        .cap = { { .bytes = body, .length = 8, .writable = 1 } },
    };
    struct ferry_error error = { 0 };

    if (ferry_device_create(&desc, &toy->device, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
}

static void *run(void *user)
{
    struct toy *toy = user;

    (void)ferry_server_run(toy->server);
    return NULL;
}

static void toy_serve(struct rig *rig, uint32_t i)
{
    struct toy *toy = &rig->toy[i];
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = toy->path };

    snprintf(toy->path, sizeof(toy->path), "%s/%u", rig->folder, i);
    assert_int_equal(ferry_server_create(toy->device, &options, &toy->server, NULL),
                     FERRY_OK);
    assert_int_equal(pthread_create(&toy->thread, NULL, run, toy), 0);
}

static void setup(struct rig *rig, int served)
{
    struct ferry_memory memory = { .iova = RAM_IOVA, .size = RAM_BYTES, .writable = 1 };
    static const char *const name[2] = { "a", "b" };
    struct ferry_error error = { 0 };

    memset(rig, 0, sizeof(*rig));
    rig->served = served;
    strcpy(rig->folder, "/tmp/ferry-test-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    assert_int_equal(ferry_context_create(NULL, &rig->context, NULL), FERRY_OK);
    assert_int_equal(ferry_os_memfd_create("ram", RAM_BYTES, &rig->ram_fd), FERRY_OK);
    assert_int_equal(ferry_os_map_shared(rig->ram_fd, 0, RAM_BYTES,
                                         FERRY_OS_MAP_READ | FERRY_OS_MAP_WRITE,
                                         &rig->ram, NULL),
                     FERRY_OK);
    memory.fd = rig->ram_fd;
    memory.address = rig->ram.data;
    assert_int_equal(ferry_context_add_memory(rig->context, &memory, NULL), 0);
    memory = (struct ferry_memory){ .iova = MESSAGES_IOVA,
                                    .size = sizeof(rig->messages),
                                    .address = rig->messages,
                                    .fd = -1,
                                    .writable = 1 };
    assert_int_equal(ferry_context_add_memory(rig->context, &memory, NULL), 1);
    for (uint32_t i = 0; i < 2; i++) {
        int rc;

        toy_create(&rig->toy[i]);
        if (served) {
            toy_serve(rig, i);
            rc =
                ferry_context_add_device(rig->context, name[i], rig->toy[i].path, &error);
        } else {
            rc = ferry_context_add_endpoint(
                rig->context, name[i], ferry_device_endpoint(rig->toy[i].device), &error);
        }
        if (rc != (int)i) {
            fail_msg("%s", error.text);
        }
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        assert_int_equal(ferry_os_eventfd_create(&rig->fds[i]), FERRY_OK);
    }
}

static void teardown(struct rig *rig)
{
    ferry_context_destroy(rig->context);
    for (uint32_t i = 0; i < 2; i++) {
        if (rig->served) {
            ferry_server_stop(rig->toy[i].server);
            pthread_join(rig->toy[i].thread, NULL);
            ferry_server_destroy(rig->toy[i].server);
        }
        ferry_device_destroy(rig->toy[i].device);
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        ferry_os_close(&rig->fds[i]);
    }
    ferry_os_unmap(&rig->ram);
    ferry_os_close(&rig->ram_fd);
    (void)rmdir(rig->folder);
}

static void config_word(struct rig *rig, uint32_t device, uint32_t off, uint16_t value)
{
    uint8_t bytes[2];

    ferry_store_le16(bytes, value);
    assert_int_equal(
        ferry_context_region_write(rig->context, device, 7, off, bytes, 2, 0), FERRY_OK);
}

static int poke(struct rig *rig, uint32_t device, uint64_t off, uint64_t value)
{
    return ferry_context_region_write(rig->context, device, 0, off, &value, sizeof(value),
                                      0);
}

static uint64_t signalled(const struct rig *rig, uint32_t vector)
{
    uint64_t count = 99;

    assert_int_equal(ferry_os_eventfd_drain(rig->fds[vector], &count), FERRY_OK);
    return count;
}

/* What a guest's driver does: bus master, an address, all vectors but the last unmasked.
 */
static void set_up(struct rig *rig, uint32_t device)
{
    const uint32_t msix = rig->context->device[device]->msix_cap_off;
    const uint32_t bar = 0xfebf0000u;

    assert_int_not_equal(msix, 0);
    assert_int_equal(
        ferry_context_region_write(rig->context, device, 7, 0x10, &bar, 4, 0), FERRY_OK);
    config_word(rig, device, 4, 0x0006);
    config_word(rig, device, msix + 2, 0x8000);
    for (uint32_t i = 0; i < VECTORS; i++) {
        const uint32_t entry[4] = { 0xfee00000u, 0, 0x4000u + i, i == VECTORS - 1 };

        assert_int_equal(ferry_context_region_write(rig->context, device, 0,
                                                    TABLE_OFF + i * 16u, entry,
                                                    sizeof(entry), 0),
                         FERRY_OK);
    }
}

static void set_state(struct rig *rig, uint32_t device, uint32_t wanted)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_STATE, .u.state = wanted };

    assert_int_equal(ferry_context_call(rig->context, device, &request), FERRY_OK);
}

static void its_view_is_right(struct rig *rig)
{
    struct ferry_device_view view;

    assert_int_equal(ferry_context_device(rig->context, 0, &view, NULL), FERRY_OK);
    assert_string_equal(view.identity.model, "toy");
    assert_int_equal(view.identity.pci_vendor, 0xfe44);
    assert_int_equal(view.identity.pci_class, 0x08800001);
    assert_int_equal(view.migration_flags, FERRY_MIG_STOP_COPY | FERRY_MIG_P2P);
    assert_int_equal(view.can_log, 1);
    assert_int_equal(view.has_data_size, 1);
    assert_int_equal(view.has_precopy_info, 0);
    assert_int_equal(view.region[2].size, BAR2_BYTES);
    assert_int_equal(view.region[2].flags & 4, 4);
    assert_int_equal(view.irq[2], VECTORS);
}

static void interrupts_and_dma_reach_the_user(struct rig *rig)
{
    uint64_t got = 0;

    assert_int_equal(ferry_context_set_irqs(rig->context, 0, rig->fds, VECTORS, NULL),
                     FERRY_OK);
    set_up(rig, 0);
    assert_int_equal(poke(rig, 0, RAISE, 1), FERRY_OK);
    assert_int_equal(signalled(rig, 1), 1);
    assert_int_equal(poke(rig, 0, RAISE, VECTORS - 1), FERRY_OK);
    assert_int_equal(signalled(rig, VECTORS - 1), 0); /* masked */

    assert_int_equal(poke(rig, 0, DMA, RAM_IOVA + 0x1ffc), FERRY_OK);
    memcpy(&got, (const uint8_t *)rig->ram.data + 0x1ffc, 8);
    assert_true(got == DMA_VALUE);
    assert_int_equal(poke(rig, 0, DMA, MESSAGES_IOVA + 16), FERRY_OK);
    memcpy(&got, rig->messages + 16, 8);
    assert_true(got == DMA_VALUE);
    assert_int_equal(ferry_dirty_test(&rig->context->memory[1].dirty, 0), 1);
    assert_true(poke(rig, 0, DMA, MESSAGES_IOVA + 4092) < 0);
}

static void count_done(struct ferry_host_harvest *harvest)
{
    uint32_t *count = harvest->user;

    (*count)++;
}

static void its_log_is_merged_into_the_dirty_maps(struct rig *rig)
{
    struct ferry_range range[FERRY_CONTEXT_MEMORY_MAX];
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START };
    struct ferry_host_harvest harvest = { 0 };
    uint32_t done = 0;
    int rc;

    set_up(rig, 0);
    request.u.log_start.page_size = 4096;
    request.u.log_start.range_count = ferry_host_log_ranges(rig->context, range);
    request.u.log_start.range = range;
    assert_int_equal(ferry_context_call(rig->context, 0, &request), FERRY_OK);
    assert_int_equal(poke(rig, 0, DMA, RAM_IOVA + 0x1ffc), FERRY_OK);
    assert_int_equal(ferry_dirty_count(&rig->context->memory[0].dirty), 0);
    harvest.done = count_done;
    harvest.user = &done;
    rc = ferry_host_harvest_start(rig->context, 0, &harvest);
    assert_true(rc == FERRY_OK || rc == FERRY_PENDING);
    while (rc == FERRY_PENDING && done == 0) {
        assert_int_equal(ferry_context_dispatch(rig->context, 100), FERRY_OK);
    }
    assert_int_equal(harvest.status, FERRY_OK);
    assert_int_equal(ferry_dirty_count(&rig->context->memory[0].dirty), 2);
    assert_int_equal(ferry_dirty_test(&rig->context->memory[0].dirty, 1), 1);
    assert_int_equal(ferry_dirty_test(&rig->context->memory[0].dirty, 2), 1);
}

static void a_region_and_a_peer_map_are_the_same_memory(struct rig *rig)
{
    uint64_t got = 0;
    void *address;

    set_up(rig, 0);
    assert_int_equal(
        ferry_context_region_map(rig->context, 1, 2, 0x1000, 0x1000, &address, NULL),
        FERRY_OK);
    assert_int_equal(
        ferry_context_map_peer(rig->context, 0, 1, 2, 0, BAR2_BYTES, PEER_IOVA, NULL),
        FERRY_OK);
    assert_int_equal(poke(rig, 0, DMA, PEER_IOVA + 0x1010), FERRY_OK);
    memcpy(&got, (const uint8_t *)address + 0x10, 8);
    assert_true(got == DMA_VALUE);
    assert_int_equal(
        ferry_context_region_read(rig->context, 1, 2, 0x1010, &got, sizeof(got)),
        FERRY_OK);
    assert_true(got == DMA_VALUE);

    /* The map holds after both were opened again, with the new memory. */
    assert_int_equal(ferry_context_reopen(rig->context, NULL), FERRY_OK);
    set_up(rig, 0);
    assert_int_equal(poke(rig, 0, DMA, PEER_IOVA + 0x2000), FERRY_OK);
    assert_int_equal(
        ferry_context_region_read(rig->context, 1, 2, 0x2000, &got, sizeof(got)),
        FERRY_OK);
    assert_true(got == DMA_VALUE);
    assert_int_equal(
        ferry_context_region_read(rig->context, 1, 2, 0x1010, &got, sizeof(got)),
        FERRY_OK);
    assert_true(got == 0);
}

static void what_the_guest_set_up_moves_to_the_other_device(struct rig *rig)
{
    static uint8_t blob[FERRY_HOST_BLOB_MAX];
    struct ferry_error error = { 0 };
    uint8_t from[256], to[256];
    size_t bytes = 0;

    set_up(rig, 0);
    assert_int_equal(ferry_context_set_irqs(rig->context, 1, rig->fds, VECTORS, NULL),
                     FERRY_OK);
    set_state(rig, 0, FERRY_STATE_STOP);
    set_state(rig, 1, FERRY_STATE_STOP);
    assert_int_equal(
        ferry_host_config_save(rig->context, 0, blob, sizeof(blob), &bytes, NULL),
        FERRY_OK);
    if (ferry_host_config_restore(rig->context, 1, blob, bytes, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(ferry_context_region_read(rig->context, 0, 7, 0, from, 256),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_read(rig->context, 1, 7, 0, to, 256), FERRY_OK);
    assert_memory_equal(from, to, 256);
    set_state(rig, 1, FERRY_STATE_RUNNING);
    assert_int_equal(poke(rig, 1, RAISE, 0), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    assert_int_equal(poke(rig, 1, RAISE, VECTORS - 1), FERRY_OK);
    assert_int_equal(signalled(rig, VECTORS - 1), 0);
    assert_int_equal(poke(rig, 1, DMA, RAM_IOVA), FERRY_OK);
}

static void a_device_that_was_reset_gets_its_own_back(struct rig *rig)
{
    static uint8_t blob[FERRY_HOST_BLOB_MAX];
    struct ferry_request request = { .kind = FERRY_RQ_RESET };
    struct ferry_error error = { 0 };
    size_t bytes = 0;

    assert_int_equal(ferry_context_set_irqs(rig->context, 0, rig->fds, VECTORS, NULL),
                     FERRY_OK);
    set_up(rig, 0);
    set_state(rig, 0, FERRY_STATE_STOP);
    assert_int_equal(
        ferry_host_config_save(rig->context, 0, blob, sizeof(blob), &bytes, NULL),
        FERRY_OK);
    assert_int_equal(ferry_context_call(rig->context, 0, &request), FERRY_OK);
    if (ferry_host_config_restore(rig->context, 0, blob, bytes, &error) != FERRY_OK) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(poke(rig, 0, RAISE, 2), FERRY_OK);
    assert_int_equal(signalled(rig, 2), 1);
    assert_int_equal(poke(rig, 0, RAISE, VECTORS - 1), FERRY_OK);
    assert_int_equal(signalled(rig, VECTORS - 1), 0);
}

static const struct {
    const char *name;
    void (*body)(struct rig *rig);
} body_table[] = {
    { "its_view_is_right", its_view_is_right },
    { "interrupts_and_dma_reach_the_user", interrupts_and_dma_reach_the_user },
    { "its_log_is_merged_into_the_dirty_maps", its_log_is_merged_into_the_dirty_maps },
    { "a_region_and_a_peer_map_are_the_same_memory",
      a_region_and_a_peer_map_are_the_same_memory },
    { "what_the_guest_set_up_moves_to_the_other_device",
      what_the_guest_set_up_moves_to_the_other_device },
    { "a_device_that_was_reset_gets_its_own_back",
      a_device_that_was_reset_gets_its_own_back },
};

static void run_body(void **state, int served)
{
    const size_t *i = *state;
    static struct rig rig;

    setup(&rig, served);
    body_table[*i].body(&rig);
    teardown(&rig);
}

static void in_this_process(void **state)
{
    run_body(state, 0);
}

static void behind_a_socket(void **state)
{
    run_body(state, 1);
}

#define BODIES (sizeof(body_table) / sizeof(body_table[0]))

int main(void)
{
    struct CMUnitTest tests[2 * BODIES];
    char name[2 * BODIES][96];
    size_t index[BODIES];

    memset(tests, 0, sizeof(tests));
    for (size_t i = 0; i < BODIES; i++) {
        index[i] = i;
        snprintf(name[2 * i], sizeof(name[0]), "%s in this process", body_table[i].name);
        snprintf(name[2 * i + 1], sizeof(name[0]), "%s behind a socket",
                 body_table[i].name);
        tests[2 * i] = (struct CMUnitTest){ .name = name[2 * i],
                                            .test_func = in_this_process,
                                            .initial_state = &index[i] };
        tests[2 * i + 1] = (struct CMUnitTest){ .name = name[2 * i + 1],
                                                .test_func = behind_a_socket,
                                                .initial_state = &index[i] };
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
