/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_vfio.h"
#include "ferry/host.h"

/* Registers, interrupts, memory. */

static struct fake_vfio fake;
static struct ferry_backend *backend;

static int setup(void **state)
{
    (void)state;
    fake_init(&fake);
    fake.region[2].head.size = 0x1000; /* neither to be read nor to be written */
    backend = fake_open(&fake, KERNEL_DIRTY_BEST, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    backend->ops->close(backend);
    fake_end(&fake);
    return 0;
}

static int io(uint32_t kind, uint32_t region, uint64_t off, void *data, uint32_t count)
{
    struct ferry_request request = { .kind = kind };

    request.u.io = (struct ferry_region_io){
        .index = region, .off = off, .count = count, .data = data
    };
    return fake_call(backend, &request);
}

static void registers_are_read_and_written_where_they_are(void **state)
{
    uint32_t value = 0x12345678;

    (void)state;
    assert_int_equal(io(FERRY_RQ_REGION_WRITE, 0, 0x40, &value, 4), FERRY_OK);
    assert_memory_equal(fake.bar0 + 0x40, &value, 4);
    value = 0;
    assert_int_equal(io(FERRY_RQ_REGION_READ, 0, 0x40, &value, 4), FERRY_OK);
    assert_int_equal(value, 0x12345678);
}

static void an_access_in_pieces_and_with_signals_is_whole(void **state)
{
    uint8_t out[1000], in[1000];

    (void)state;
    for (uint32_t i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7);
    }
    fake.io_most = 64;
    fake.signals = 3;
    assert_int_equal(io(FERRY_RQ_REGION_WRITE, 0, 0x100, out, sizeof(out)), FERRY_OK);
    fake.signals = 3;
    assert_int_equal(io(FERRY_RQ_REGION_READ, 0, 0x100, in, sizeof(in)), FERRY_OK);
    assert_memory_equal(in, out, sizeof(out));
    assert_memory_equal(fake.bar0 + 0x100, out, sizeof(out));
}

static void an_access_outside_of_a_region_never_reaches_the_kernel(void **state)
{
    uint8_t byte[8];

    (void)state;
    assert_int_equal(io(FERRY_RQ_REGION_READ, 0, FAKE_BAR0_BYTES - 4, byte, 8),
                     FERRY_E_ARGUMENT);
    assert_int_equal(io(FERRY_RQ_REGION_READ, 0, UINT64_MAX - 3, byte, 8),
                     FERRY_E_ARGUMENT);
    assert_int_equal(io(FERRY_RQ_REGION_WRITE, FAKE_REGIONS, 0, byte, 1),
                     FERRY_E_ARGUMENT);
    assert_int_equal(io(FERRY_RQ_REGION_READ, 2, 0, byte, 1), FERRY_E_PERMISSION);
    assert_int_equal(io(FERRY_RQ_REGION_READ, 0, 0, byte, KERNEL_DATA_MAX + 1),
                     FERRY_E_LIMIT);
}

static void an_access_that_fails_says_where(void **state)
{
    struct ferry_error error = { 0 };
    struct ferry_request request = { .kind = FERRY_RQ_REGION_READ, .reterr = &error };
    uint32_t value;

    (void)state;
    fake.access.err = EIO; /* memory space is off, or the device was pulled out */
    request.u.io = (struct ferry_region_io){ .off = 8, .count = 4, .data = &value };
    assert_int_equal(fake_call(backend, &request), FERRY_E_DEVICE);
    assert_int_equal(error.os_errno, EIO);
    assert_non_null(strstr(error.text, "region 0, 0x8"));
}

static int set_irqs(uint32_t index, uint32_t flags, const int *fds, uint32_t count,
                    uint32_t fd_count)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set = (struct ferry_irq_set){
        .index = index, .flags = flags, .count = count, .fds = fds, .fd_count = fd_count
    };
    return fake_call(backend, &request);
}

#define EVENTFDS (FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER)

static void vectors_go_to_the_kernel_in_one_call(void **state)
{
    static int fds[2048];

    (void)state;
    for (int i = 0; i < 2048; i++) {
        fds[i] = i % 3 == 0 ? -1 : i;
    }
    fake.irq_sets = 0;
    assert_int_equal(backend->ops->max_fds(backend), 2048);
    assert_int_equal(set_irqs(2, EVENTFDS, fds, 2048, 2048), FERRY_OK);
    assert_int_equal(fake.irq_sets, 1);
    assert_int_equal(fake.last_irq.argsz, sizeof(struct uapi_irq_set) + 4 * 2048);
    assert_int_equal(fake.last_irq_fd[0], -1);
    assert_int_equal(fake.last_irq_fd[4], 4);
}

static void eventfds_are_taken_away_as_the_kernel_wants_it(void **state)
{
    (void)state;
    assert_int_equal(set_irqs(1, EVENTFDS, NULL, 2, 0), FERRY_OK);
    assert_int_equal(fake.last_irq.count, 2);
    assert_int_equal(fake.last_irq_fd[0], -1);
    assert_int_equal(fake.last_irq_fd[1], -1);
}

static void switching_off_what_is_off_is_no_error(void **state)
{
    (void)state;
    fake.set_irqs = (struct fake_fault){ .err = EINVAL };
    assert_int_equal(
        set_irqs(2, FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER, NULL, 0, 0),
        FERRY_OK);
    assert_int_equal(
        set_irqs(2, FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER, NULL, 1, 0),
        FERRY_E_ARGUMENT);
}

static void vectors_that_are_not_there_never_reach_the_kernel(void **state)
{
    const int fds[9] = { 0 };
    const uint32_t before = fake.irq_sets;

    (void)state;
    assert_int_equal(set_irqs(1, EVENTFDS, fds, 9, 9), FERRY_E_ARGUMENT);
    assert_int_equal(set_irqs(FAKE_IRQS, EVENTFDS, fds, 1, 1), FERRY_E_ARGUMENT);
    assert_int_equal(set_irqs(1, EVENTFDS, fds, 8, 3), FERRY_E_FDS);
    assert_int_equal(fake.irq_sets, before);
}

static void too_few_vectors_of_the_machine_are_told(void **state)
{
    const int fds[8] = { -1, -1, -1, -1, -1, -1, -1, -1 };

    (void)state;
    fake.set_irqs = (struct fake_fault){ .err = -3 }; /* the kernel returns 3 */
    assert_int_equal(set_irqs(1, EVENTFDS, fds, 8, 8), FERRY_E_LIMIT);
}

static void memory_is_the_iommus(void **state)
{
    struct ferry_request request = { .kind = FERRY_RQ_DMA_MAP };

    (void)state;
    request.u.map = (struct ferry_dma_map){ .iova = 0, .size = 4096, .fd = -1 };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    request = (struct ferry_request){ .kind = FERRY_RQ_DMA_UNMAP };
    request.u.unmap = (struct ferry_dma_unmap){ .size = 4096 };
    assert_int_equal(fake_call(backend, &request), FERRY_OK);
    assert_int_equal(fake.maps, 1);
    assert_int_equal(fake.unmaps, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(registers_are_read_and_written_where_they_are),
        TEST(an_access_in_pieces_and_with_signals_is_whole),
        TEST(an_access_outside_of_a_region_never_reaches_the_kernel),
        TEST(an_access_that_fails_says_where),
        TEST(vectors_go_to_the_kernel_in_one_call),
        TEST(eventfds_are_taken_away_as_the_kernel_wants_it),
        TEST(switching_off_what_is_off_is_no_error),
        TEST(vectors_that_are_not_there_never_reach_the_kernel),
        TEST(too_few_vectors_of_the_machine_are_told),
        TEST(memory_is_the_iommus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
