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
#include "os/clock.h"
#include "os/eventfd.h"
#include "os/memory.h"

/*
 * INTx, MSI, ERR and REQ as a VMM meets them, over vfio-user and in the same process. The
 * device: a write of 1, 2 or 3 to its register asserts the line, deasserts it, or raises
 * an error and a request; 16 + n raises vector n.
 */

#define VECTORS 4u
#define WAIT_MS 2000u

struct toy {
    struct ferry_device *device;
    struct ferry_server *server;
    pthread_t thread;
    char path[80];
};

struct rig {
    struct ferry_context *context;
    struct toy toy[2];
    char folder[32];
    int served;
    int fds[VECTORS];
    int unmask;
};

static int toy_write(void *state, struct ferry_device *device, uint32_t region,
                     uint64_t off, const void *data, size_t count)
{
    const uint8_t value = *(const uint8_t *)data;

    (void)state;
    (void)region;
    (void)off;
    (void)count;
    if (value >= 16) {
        return ferry_irq_raise(device, value - 16u);
    }
    if (value == 3) {
        (void)ferry_irq_error(device);
        return ferry_irq_request(device);
    }
    return ferry_intx_set(device, value == 1);
}

static void *run(void *user)
{
    struct toy *toy = user;

    (void)ferry_server_run(toy->server);
    return NULL;
}

static void toy_start(struct rig *rig, uint32_t i)
{
    static const struct ferry_device_ops ops = { .struct_size = sizeof(ops),
                                                 .region_write = toy_write };
    static const uint8_t body[4] = { 1, 2, 3, 4 };
    static const struct ferry_device_doorbell bell = {
        .region = 0, .off = 8, .size = 1, .value = 16 + 1
    };
    /* MSI-X beside the others in one of the two ways. */
    const struct ferry_device_desc desc = {
        .struct_size = sizeof(desc),
        .msix_vectors = rig->served ? 1 : 0,
        .msix_table_off = 2048,
        .msix_pba_off = 3072,
        .ops = &ops,
        .identity = { .model = "toy", .pci_vendor = 0xfe44, .pci_class = 0x08800001 },
        .region = { { .size_bytes = 4096 } },
        .intx_pin = 1,
        .msi_vectors = VECTORS,
        .serial = 0x1234,
        .ext_cap_count = 1,
        .ext_cap = { { .bytes = body, .length = 12, .vsec_id = 5, .writable = 1 } },
        .extra_count = 1,
        .extra = { { .region = { .size_bytes = 64 }, .type = 3 } },
        .doorbell = &bell,
        .doorbell_count = 1,
    };
    struct toy *toy = &rig->toy[i];
    struct ferry_server_options options = { .struct_size = sizeof(options),
                                            .path = toy->path };
    struct ferry_error error = { 0 };

    assert_int_equal(ferry_device_create(&desc, &toy->device, &error), FERRY_OK);
    if (rig->served) {
        snprintf(toy->path, sizeof(toy->path), "%s/%u", rig->folder, i);
        assert_int_equal(ferry_server_create(toy->device, &options, &toy->server, NULL),
                         FERRY_OK);
        assert_int_equal(pthread_create(&toy->thread, NULL, run, toy), 0);
    }
}

static void setup(struct rig *rig, int served)
{
    static const char *const name[2] = { "a", "b" };

    memset(rig, 0, sizeof(*rig));
    rig->served = served;
    strcpy(rig->folder, "/tmp/ferry-test-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    assert_int_equal(ferry_context_create(NULL, &rig->context, NULL), FERRY_OK);
    for (uint32_t i = 0; i < 2; i++) {
        toy_start(rig, i);
        assert_int_equal(served ? ferry_context_add_device(rig->context, name[i],
                                                           rig->toy[i].path, NULL)
                                : ferry_context_add_endpoint(
                                      rig->context, name[i],
                                      ferry_device_endpoint(rig->toy[i].device), NULL),
                         i);
    }
    for (uint32_t i = 0; i < VECTORS; i++) {
        assert_int_equal(ferry_os_eventfd_create(&rig->fds[i]), FERRY_OK);
    }
    assert_int_equal(ferry_os_eventfd_create(&rig->unmask), FERRY_OK);
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
    ferry_os_close(&rig->unmask);
    (void)rmdir(rig->folder);
}

static int poke(struct rig *rig, uint32_t device, uint8_t value)
{
    return ferry_context_region_write(rig->context, device, 0, 0, &value, 1, 0);
}

static uint64_t signalled(const struct rig *rig, uint32_t vector)
{
    uint64_t count = 99;

    assert_int_equal(ferry_os_eventfd_drain(rig->fds[vector], &count), FERRY_OK);
    return count;
}

/* What comes without a request: within the limit, since another thread may run it. */
static uint64_t signalled_soon(struct rig *rig, uint32_t vector)
{
    uint64_t count = 0;

    for (uint32_t i = 0; i < WAIT_MS && count == 0; i++) {
        assert_int_equal(ferry_context_dispatch(rig->context, 1), FERRY_OK);
        count = signalled(rig, vector);
    }
    return count;
}

static uint32_t config32(struct rig *rig, uint32_t device, uint32_t off)
{
    uint32_t value = 0;

    assert_int_equal(ferry_context_region_read(rig->context, device, 7, off, &value, 4),
                     FERRY_OK);
    return value;
}

static uint32_t msi_off(struct rig *rig, uint32_t device)
{
    uint32_t at = config32(rig, device, 0x34) & 0xff;

    while ((config32(rig, device, at) & 0xff) != 5) {
        at = config32(rig, device, at) >> 8 & 0xff;
        assert_int_not_equal(at, 0);
    }
    return at;
}

static void a_line_is_served_by_message_and_by_eventfd(struct rig *rig)
{
    struct ferry_context *context = rig->context;

    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_INTX, rig->fds, 1, NULL),
        FERRY_OK);
    assert_int_equal(
        ferry_context_set_unmask(context, 0, FERRY_IRQ_INTX, 0, rig->unmask, NULL),
        FERRY_OK);
    assert_int_equal(poke(rig, 0, 1), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    assert_int_equal(ferry_context_mask_irqs(context, 0, FERRY_IRQ_INTX, 0, 1, 0, NULL),
                     FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    assert_int_equal(ferry_os_eventfd_signal(rig->unmask), FERRY_OK);
    assert_int_equal(signalled_soon(rig, 0), 1);
    /* Opened again, it has its eventfds again. */
    assert_int_equal(ferry_context_reopen(context, NULL), FERRY_OK);
    assert_int_equal(poke(rig, 0, 1), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    assert_int_equal(ferry_os_eventfd_signal(rig->unmask), FERRY_OK);
    assert_int_equal(signalled_soon(rig, 0), 1);
    /* The eventfd is taken away: nobody hears it. */
    assert_int_equal(ferry_context_set_unmask(context, 0, FERRY_IRQ_INTX, 0, -1, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(rig->unmask), FERRY_OK);
    assert_int_equal(poke(rig, 0, 1), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 0);
}

static void error_and_request_are_heard_beside_msi(struct rig *rig)
{
    struct ferry_context *context = rig->context;

    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_ERR, &rig->fds[2], 1, NULL),
        FERRY_OK);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_REQ, &rig->fds[3], 1, NULL),
        FERRY_OK);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_MSI, rig->fds, 2, NULL),
        FERRY_OK);
    assert_int_equal(poke(rig, 0, 3), FERRY_OK);
    assert_int_equal(poke(rig, 0, 16 + 1), FERRY_OK);
    assert_int_equal(signalled(rig, 2), 1);
    assert_int_equal(signalled(rig, 3), 1);
    assert_int_equal(signalled(rig, 1), 1);
    assert_int_equal(ferry_context_mask_irqs(context, 0, FERRY_IRQ_MSI, 0, 1, 1, NULL),
                     FERRY_OK);
    assert_int_equal(poke(rig, 0, 16), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 0);
    assert_int_equal(ferry_context_mask_irqs(context, 0, FERRY_IRQ_MSI, 0, 1, 0, NULL),
                     FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_ERR, NULL, 0, NULL), FERRY_OK);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_REQ, NULL, 0, NULL), FERRY_OK);
    assert_int_equal(poke(rig, 0, 3), FERRY_E_NOT_FOUND);
    assert_int_equal(signalled(rig, 2), 0);
}

/* What the migration does between the two sides, for MSI that the guest has masked and
 * then disabled. */
static void msi_and_extended_config_are_carried(struct rig *rig)
{
    static uint8_t blob[FERRY_HOST_BLOB_MAX];
    uint8_t pending[FERRY_HOST_IRQ_BITMAP_BYTES];
    struct ferry_context *context = rig->context;
    const uint32_t at = msi_off(rig, 0), value = 0x12345678, masked = 2;
    const uint16_t disabled = 0x20;
    size_t bytes = 0;

    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(ferry_context_set_irq_index(context, i, FERRY_IRQ_MSI, rig->fds,
                                                     VECTORS, NULL),
                         FERRY_OK);
    }
    assert_int_equal(poke(rig, 0, 16 + 3), FERRY_OK);
    assert_int_equal(ferry_context_region_write(context, 0, 7, at + 16, &masked, 4, 0),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_write(context, 0, 7, 0x114, &value, 4, 0),
                     FERRY_OK);
    assert_int_equal(ferry_context_region_write(context, 0, 7, at + 2, &disabled, 2, 0),
                     FERRY_OK);
    assert_int_equal(ferry_host_irqs_drain(context, 0, pending), 1);
    assert_int_equal(pending[0], 1u << 3);
    assert_int_equal(ferry_host_config_save(context, 0, blob, sizeof(blob), &bytes, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_host_config_restore(context, 1, blob, bytes, NULL), FERRY_OK);
    assert_int_equal(config32(rig, 1, at) >> 16, 0x1a4); /* not enabled by its eventfds */
    assert_int_equal(config32(rig, 1, at + 16), 2);
    assert_int_equal(config32(rig, 1, 0x114), value);
    assert_int_equal(ferry_host_irqs_raise(context, 1, pending, sizeof(pending)), 1);
    assert_int_equal(signalled(rig, 3), 1);
}

static void bad_calls_change_nothing(struct rig *rig)
{
    struct ferry_context *context = rig->context;
    int file = -1;

    assert_int_equal(ferry_os_memfd_create("no-eventfd", 4096, &file), FERRY_OK);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_INTX, rig->fds, 1, NULL),
        FERRY_OK);
    assert_int_equal(ferry_context_set_irq_index(context, 9, 0, rig->fds, 1, NULL),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_context_set_irq_index(context, 0, 5, rig->fds, 1, NULL),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_INTX, rig->fds, 2, NULL),
        FERRY_E_RANGE);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_MSIX, rig->fds, 2, NULL),
        FERRY_E_RANGE);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_MSI, &file, 1, NULL),
        FERRY_E_ARGUMENT);
    assert_int_equal(
        ferry_context_set_irq_index(context, 0, FERRY_IRQ_MSI, NULL, 0, NULL), FERRY_OK);
    assert_int_equal(ferry_context_set_unmask(context, 0, FERRY_IRQ_INTX, 0, file, NULL),
                     FERRY_E_ARGUMENT);
    assert_int_equal(
        ferry_context_set_unmask(context, 0, FERRY_IRQ_MSI, 0, rig->unmask, NULL),
        FERRY_E_STATE);
    assert_int_equal(
        ferry_context_set_unmask(context, 0, FERRY_IRQ_INTX, 1, rig->unmask, NULL),
        FERRY_E_RANGE);
    assert_int_equal(
        ferry_context_mask_irqs(context, 0, FERRY_IRQ_MSI, 3, UINT32_MAX, 1, NULL),
        FERRY_E_RANGE);
    assert_int_equal(ferry_context_mask_irqs(context, 0, FERRY_IRQ_ERR, 0, 1, 1, NULL),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(poke(rig, 0, 1), FERRY_OK);
    assert_int_equal(signalled(rig, 0), 1);
    ferry_os_close(&file);
}

static void a_region_of_its_own_is_reached(struct rig *rig)
{
    uint8_t data[8] = { 9 };

    assert_int_equal(ferry_context_region_read(rig->context, 0, 9, 56, data, 8),
                     FERRY_OK);
    assert_int_equal(data[0], 0);
    assert_true(ferry_context_region_read(rig->context, 0, 9, 60, data, 8) < 0);
    assert_true(ferry_context_region_read(rig->context, 0, 10, 0, data, 8) < 0);
}

/* No message is sent: the ring alone wakes the device. */
static void a_doorbell_is_rung_by_eventfd(struct rig *rig)
{
    struct ferry_io_fd entry[4];
    struct ferry_request request = { .kind = FERRY_RQ_REGION_IO_FDS };

    assert_int_equal(
        ferry_context_set_irq_index(rig->context, 0, FERRY_IRQ_MSI, rig->fds, 2, NULL),
        FERRY_OK);
    request.u.io_fds = (struct ferry_region_io_fds){ .cap = 4, .entry = entry };
    assert_int_equal(ferry_context_call(rig->context, 0, &request), FERRY_OK);
    assert_int_equal(request.u.io_fds.count, 1);
    assert_int_equal(entry[0].off, 8);
    assert_int_equal(entry[0].size, 1);
    assert_int_equal(ferry_os_eventfd_signal(entry[0].fd), FERRY_OK);
    assert_int_equal(signalled_soon(rig, 1), 1);
    if (rig->served) { /* ours; in the same process it is lent */
        ferry_os_close(&entry[0].fd);
    }
}

static void both_ways(void (*test)(struct rig *rig))
{
    for (int served = 0; served < 2; served++) {
        struct rig rig;

        setup(&rig, served);
        test(&rig);
        teardown(&rig);
    }
}

static void line(void **state)
{
    (void)state;
    both_ways(a_line_is_served_by_message_and_by_eventfd);
}

static void events(void **state)
{
    (void)state;
    both_ways(error_and_request_are_heard_beside_msi);
}

static void carried(void **state)
{
    (void)state;
    both_ways(msi_and_extended_config_are_carried);
}

static void bad(void **state)
{
    (void)state;
    both_ways(bad_calls_change_nothing);
}

static void region(void **state)
{
    (void)state;
    both_ways(a_region_of_its_own_is_reached);
}

static void doorbell(void **state)
{
    (void)state;
    both_ways(a_doorbell_is_rung_by_eventfd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "a line is served by message and by eventfd", line, NULL, NULL, NULL },
        { "error and request are heard beside MSI", events, NULL, NULL, NULL },
        { "MSI and extended config are carried", carried, NULL, NULL, NULL },
        { "bad calls change nothing", bad, NULL, NULL, NULL },
        { "a doorbell is rung by eventfd", doorbell, NULL, NULL, NULL },
        { "a region of its own is reached", region, NULL, NULL, NULL },
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
