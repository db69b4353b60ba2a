/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "host/context/context.h"
#include "os/memory.h"
#include "test_host_fake.h"

#define PAGE 4096u
#define BASE 0x100000u

static _Alignas(4096) uint8_t ram[8 * PAGE];

static struct ferry_context *new_context(void)
{
    struct ferry_context *context = NULL;

    memset(ram, 0, sizeof(ram));
    assert_int_equal(ferry_context_create(NULL, &context, NULL), FERRY_OK);
    return context;
}

/* pages of ram from first on, at BASE + first pages. */
static int add(struct ferry_context *context, uint32_t first, uint32_t pages, int fd,
               uint32_t writable)
{
    const struct ferry_memory memory = { .iova = BASE + first * PAGE,
                                         .size = (uint64_t)pages * PAGE,
                                         .address = ram + first * PAGE,
                                         .fd = fd,
                                         .writable = writable };

    return ferry_context_add_memory(context, &memory, NULL);
}

static void memory_that_makes_no_sense_is_refused(void **state)
{
    static const struct {
        struct ferry_memory memory;
        int status;
    } bad_table[] = {
        { { .iova = BASE, .size = PAGE, .address = NULL, .fd = -1 }, FERRY_E_ARGUMENT },
        { { .iova = BASE, .size = 0, .address = ram, .fd = -1 }, FERRY_E_ARGUMENT },
        { { .iova = BASE + 1, .size = PAGE, .address = ram, .fd = -1 }, FERRY_E_ALIGN },
        { { .iova = BASE, .size = PAGE + 1, .address = ram, .fd = -1 }, FERRY_E_ALIGN },
        { { .iova = UINT64_MAX - PAGE + 1, .size = PAGE, .address = ram, .fd = -1 },
          FERRY_E_RANGE },
        { { .iova = UINT64_MAX - PAGE + 1, .size = 2 * PAGE, .address = ram, .fd = -1 },
          FERRY_E_RANGE },
        { { .iova = BASE + 3 * PAGE, .size = PAGE, .address = ram, .fd = -1 },
          FERRY_E_OVERLAP },
        { { .iova = BASE - PAGE, .size = 6 * PAGE, .address = ram, .fd = -1 },
          FERRY_E_OVERLAP },
    };
    struct ferry_context *context = new_context();

    (void)state;
    assert_int_equal(add(context, 0, 4, -1, 1), 0);
    for (size_t i = 0; i < sizeof(bad_table) / sizeof(bad_table[0]); i++) {
        struct ferry_error error = { 0 };

        assert_int_equal(ferry_context_add_memory(context, &bad_table[i].memory, &error),
                         bad_table[i].status);
        assert_int_equal(error.code, bad_table[i].status);
    }
    assert_int_equal(ferry_context_remove_memory(context, 1, NULL), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_context_remove_memory(context, 64, NULL), FERRY_E_NOT_FOUND);
    ferry_context_destroy(context);
}

static void a_file_that_is_too_short_is_refused(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_memory memory = {
        .iova = BASE, .size = 4 * PAGE, .address = ram, .writable = 1
    };

    (void)state;
    assert_int_equal(ferry_os_memfd_create("short", 4 * PAGE, &memory.fd), FERRY_OK);
    memory.offset = PAGE;
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), FERRY_E_RANGE);
    memory.offset = 1;
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), FERRY_E_ALIGN);
    memory.offset = 0;
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), 0);
    ferry_os_close(&memory.fd);
    ferry_context_destroy(context);
}

static void a_context_has_64_regions_and_gives_indexes_again(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_memory memory = { .size = PAGE, .address = ram, .fd = -1 };

    (void)state;
    for (uint32_t i = 0; i < FERRY_CONTEXT_MEMORY_MAX; i++) {
        memory.iova = (uint64_t)i * 2 * PAGE;
        assert_int_equal(ferry_context_add_memory(context, &memory, NULL), (int)i);
    }
    memory.iova = 0x10000000;
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), FERRY_E_LIMIT);
    assert_int_equal(ferry_context_remove_memory(context, 7, NULL), FERRY_OK);
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), 7);
    ferry_context_destroy(context);
}

static void every_device_gets_all_memory_early_or_late(void **state)
{
    struct ferry_context *context = new_context();
    struct fake_device a, b;
    int fd;

    (void)state;
    fake_init(&a);
    fake_init(&b);
    assert_int_equal(ferry_os_memfd_create("ram", sizeof(ram), &fd), FERRY_OK);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &a.endpoint, NULL), 0);
    assert_int_equal(add(context, 0, 2, fd, 1), 0);
    assert_int_equal(add(context, 4, 1, -1, 0), 1);
    assert_int_equal(ferry_context_add_endpoint(context, "b", &b.endpoint, NULL), 1);
    for (int i = 0; i < 2; i++) {
        const struct fake_device *fake = i == 0 ? &a : &b;

        assert_int_equal(fake->map_count, 2);
        assert_int_equal(fake_map(fake, BASE)->flags, FERRY_DMA_READ | FERRY_DMA_WRITE);
        assert_int_equal(fake_map(fake, BASE)->size, 2 * PAGE);
        assert_true(fake_map(fake, BASE)->fd >= 0);
        assert_int_equal(fake_map(fake, BASE + 4 * PAGE)->flags, FERRY_DMA_READ);
        assert_int_equal(fake_map(fake, BASE + 4 * PAGE)->fd, -1);
    }
    assert_int_equal(ferry_context_remove_memory(context, 0, NULL), FERRY_OK);
    assert_null(fake_map(&a, BASE));
    assert_null(fake_map(&b, BASE));
    ferry_context_destroy(context);
    ferry_os_close(&fd);
    fake_free(&a);
    fake_free(&b);
}

static void memory_that_one_device_refuses_is_in_no_device(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_error error = { 0 };
    const struct ferry_memory memory = {
        .iova = BASE, .size = PAGE, .address = ram, .fd = -1, .writable = 1
    };
    struct fake_device a, b;

    (void)state;
    fake_init(&a);
    fake_init(&b);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &a.endpoint, NULL), 0);
    assert_int_equal(ferry_context_add_endpoint(context, "b", &b.endpoint, NULL), 1);
    b.fail_kind = FERRY_RQ_DMA_MAP;
    b.fail_status = FERRY_E_LIMIT;
    assert_int_equal(ferry_context_add_memory(context, &memory, &error), FERRY_E_LIMIT);
    assert_non_null(strstr(error.text, "'b'"));
    assert_int_equal(a.map_count, 0);
    b.fail_kind = 0;
    assert_int_equal(ferry_context_add_memory(context, &memory, NULL), 0);
    ferry_context_destroy(context);
    fake_free(&a);
    fake_free(&b);
}

static void memory_that_a_device_holds_stays_with_all(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_error error = { 0 };
    struct fake_device a, b;

    (void)state;
    fake_init(&a);
    fake_init(&b);
    assert_int_equal(ferry_context_add_endpoint(context, "a", &a.endpoint, NULL), 0);
    assert_int_equal(ferry_context_add_endpoint(context, "b", &b.endpoint, NULL), 1);
    assert_int_equal(add(context, 0, 1, -1, 1), 0);
    b.fail_kind = FERRY_RQ_DMA_UNMAP;
    b.fail_status = FERRY_E_BUSY;
    assert_int_equal(ferry_context_remove_memory(context, 0, &error), FERRY_E_BUSY);
    assert_non_null(strstr(error.text, "'b'"));
    assert_non_null(fake_map(&a, BASE));
    assert_int_equal(ferry_host_memory_find(context, BASE, PAGE), 0);
    ferry_context_destroy(context);
    fake_free(&a);
    fake_free(&b);
}

static void marks_are_kept_per_page_and_cut_at_the_edges(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_dirty *low, *high;

    (void)state;
    assert_int_equal(add(context, 0, 2, -1, 1), 0);
    assert_int_equal(add(context, 2, 2, -1, 1), 1);
    low = &context->memory[0].dirty;
    high = &context->memory[1].dirty;
    ferry_context_mark_dirty(context, BASE - 0x10000, 0x10000);
    ferry_context_mark_dirty(context, BASE + 4 * PAGE, PAGE);
    ferry_context_mark_dirty(context, BASE, 0);
    assert_int_equal(ferry_dirty_count(low) + ferry_dirty_count(high), 0);
    ferry_context_mark_dirty(context, BASE + 2 * PAGE - 1, 2);
    assert_int_equal(ferry_dirty_test(low, 0), 0);
    assert_int_equal(ferry_dirty_test(low, 1), 1);
    assert_int_equal(ferry_dirty_test(high, 0), 1);
    assert_int_equal(ferry_dirty_test(high, 1), 0);
    ferry_context_mark_dirty(context, BASE + 3 * PAGE, UINT64_MAX);
    assert_int_equal(ferry_dirty_test(high, 1), 1);
    assert_int_equal(ferry_dirty_test(low, 0), 0);
    ferry_context_destroy(context);
}

static void dma_messages_reach_memory_and_mark_what_they_write(void **state)
{
    struct ferry_context *context = new_context();
    struct fake_device fake;
    uint8_t bytes[2 * PAGE];

    (void)state;
    fake_init(&fake);
    assert_int_equal(add(context, 0, 2, -1, 1), 0);
    assert_int_equal(add(context, 2, 1, -1, 1), 1);
    assert_int_equal(add(context, 3, 1, -1, 0), 2);
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);

    /* Across two regions. */
    memset(bytes, 0x5a, sizeof(bytes));
    assert_int_equal(
        fake.port->dma_write(fake.port->user, BASE + PAGE + 8, bytes, 2 * PAGE - 8), 0);
    assert_int_equal(ram[PAGE + 7], 0);
    assert_int_equal(ram[PAGE + 8], 0x5a);
    assert_int_equal(ram[3 * PAGE - 1], 0x5a);
    assert_int_equal(ram[3 * PAGE], 0);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 0), 0);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 1), 1);
    assert_int_equal(ferry_dirty_test(&context->memory[1].dirty, 0), 1);

    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(
        fake.port->dma_read(fake.port->user, BASE + 2 * PAGE - 4, bytes, PAGE + 8), 0);
    assert_int_equal(bytes[0], 0x5a);
    assert_int_equal(bytes[PAGE + 3], 0x5a);
    assert_int_equal(bytes[PAGE + 4], 0);
    assert_int_equal(ferry_dirty_count(&context->memory[2].dirty), 0);
    ferry_context_destroy(context);
    fake_free(&fake);
}

static void dma_messages_outside_of_memory_change_nothing(void **state)
{
    static const struct {
        uint64_t iova, size;
        int write;
    } bad_table[] = {
        { BASE - 1, 2, 0 },
        { BASE - 1, 2, 1 },
        { BASE + 4 * PAGE - 1, 2, 0 },
        { BASE + 2 * PAGE, 1, 1 }, /* a hole */
        { BASE + PAGE, PAGE + 1, 1 },
        { BASE + 3 * PAGE, 4, 1 }, /* read only */
        { UINT64_MAX, 2, 0 },
        { 0, UINT32_MAX, 0 },
        { UINT64_MAX - 1, 1, 1 },
    };
    struct ferry_context *context = new_context();
    uint8_t before[sizeof(ram)];
    struct fake_device fake;
    uint8_t bytes[2 * PAGE];

    (void)state;
    fake_init(&fake);
    memset(bytes, 0xee, sizeof(bytes));
    assert_int_equal(add(context, 0, 2, -1, 1), 0);
    assert_int_equal(add(context, 3, 1, -1, 0), 1);
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);
    memcpy(before, ram, sizeof(ram));
    for (size_t i = 0; i < sizeof(bad_table) / sizeof(bad_table[0]); i++) {
        const int rc = bad_table[i].write
                           ? fake.port->dma_write(fake.port->user, bad_table[i].iova,
                                                  bytes, bad_table[i].size)
                           : fake.port->dma_read(fake.port->user, bad_table[i].iova,
                                                 bytes, bad_table[i].size);

        assert_int_equal(rc, FERRY_E_RANGE);
    }
    assert_memory_equal(before, ram, sizeof(ram));
    assert_int_equal(ferry_dirty_count(&context->memory[0].dirty), 0);
    ferry_context_destroy(context);
    fake_free(&fake);
}

static void reports_of_any_page_size_become_marks(void **state)
{
    struct ferry_context *context = new_context();
    const uint64_t small = 0x9, big = 0x2;

    (void)state;
    assert_int_equal(add(context, 0, 8, -1, 1), 0);
    ferry_host_log_merge(context, BASE + PAGE, 4 * PAGE, PAGE, &small);
    assert_int_equal(ferry_dirty_count(&context->memory[0].dirty), 2);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 1), 1);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 4), 1);
    ferry_host_log_merge(context, BASE, 8 * PAGE, 2 * PAGE, &big);
    assert_int_equal(ferry_dirty_count(&context->memory[0].dirty), 4);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 2), 1);
    assert_int_equal(ferry_dirty_test(&context->memory[0].dirty, 3), 1);
    ferry_context_destroy(context);
}

static void count_done(struct ferry_host_harvest *harvest)
{
    uint32_t *count = harvest->user;

    (*count)++;
}

static void a_harvest_brings_every_region_s_report(void **state)
{
    struct ferry_context *context = new_context();
    struct ferry_range range[FERRY_CONTEXT_MEMORY_MAX];
    uint32_t count = 0;
    struct ferry_host_harvest harvest = { .done = count_done, .user = &count };
    const uint64_t bits = 0x2;
    struct fake_device fake;

    (void)state;
    fake_init(&fake);
    assert_int_equal(add(context, 0, 2, -1, 1), 0);
    assert_int_equal(add(context, 2, 2, -1, 0), 1); /* devices do not write here */
    assert_int_equal(add(context, 4, 4, -1, 1), 2);
    assert_int_equal(ferry_host_log_ranges(context, range), 2);
    assert_int_equal(range[1].off, BASE + 4 * PAGE);
    assert_int_equal(ferry_context_add_endpoint(context, "d", &fake.endpoint, NULL), 0);

    fake.log = (const uint8_t *)&bits;
    fake.log_bytes = sizeof(bits);
    fake.log_iova = BASE + 4 * PAGE;
    /* All at once: done is not called. */
    assert_int_equal(ferry_host_harvest_start(context, 0, &harvest), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(fake.asked[FERRY_RQ_LOG_REPORT], 2);
    assert_int_equal(ferry_dirty_count(&context->memory[2].dirty), 1);
    assert_int_equal(ferry_dirty_test(&context->memory[2].dirty, 1), 1);

    /* With a device that takes its time. */
    fake.silent_kind = FERRY_RQ_LOG_REPORT;
    assert_int_equal(ferry_host_harvest_start(context, 0, &harvest), FERRY_PENDING);
    fake_release(&fake, FERRY_OK);
    assert_int_equal(ferry_context_dispatch(context, 0), FERRY_OK);
    assert_int_equal(count, 0);
    fake_release(&fake, FERRY_OK);
    assert_int_equal(ferry_context_dispatch(context, 0), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(harvest.status, FERRY_OK);

    /* With one that fails in the middle. */
    assert_int_equal(ferry_host_harvest_start(context, 0, &harvest), FERRY_PENDING);
    fake_release(&fake, FERRY_E_DEVICE);
    assert_int_equal(ferry_context_dispatch(context, 0), FERRY_OK);
    assert_int_equal(count, 2);
    assert_int_equal(harvest.status, FERRY_E_DEVICE);
    ferry_context_destroy(context);
    fake_free(&fake);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_makes_no_sense_is_refused),
        cmocka_unit_test(a_file_that_is_too_short_is_refused),
        cmocka_unit_test(a_context_has_64_regions_and_gives_indexes_again),
        cmocka_unit_test(every_device_gets_all_memory_early_or_late),
        cmocka_unit_test(memory_that_one_device_refuses_is_in_no_device),
        cmocka_unit_test(memory_that_a_device_holds_stays_with_all),
        cmocka_unit_test(marks_are_kept_per_page_and_cut_at_the_edges),
        cmocka_unit_test(dma_messages_reach_memory_and_mark_what_they_write),
        cmocka_unit_test(dma_messages_outside_of_memory_change_nothing),
        cmocka_unit_test(reports_of_any_page_size_become_marks),
        cmocka_unit_test(a_harvest_brings_every_region_s_report),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
