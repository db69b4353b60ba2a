/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_filters_rig.h"

#include <string.h>

#define PAGE 4096u
#define PAGES 64u

static int start(struct toy *toy)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_START };

    request.u.log_start.page_size = PAGE;
    return toy_ask(toy, &request);
}

/* The first 64 pages, over what *bits holds. */
static int report(struct toy *toy, uint64_t *bits)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };
    int status;

    request.u.log_report = (struct ferry_log_report){ .iova = TOY_PORT_IOVA,
                                                      .length = PAGES * PAGE,
                                                      .page_size = PAGE,
                                                      .bitmap = bits,
                                                      .bitmap_bytes = sizeof(*bits) };
    status = toy_ask(toy, &request);
    assert_ptr_equal(request.u.log_report.bitmap, bits);
    return status;
}

static int runs(struct toy *toy, uint32_t *ret_count)
{
    struct ferry_range run[4];
    struct ferry_request request = { .kind = FERRY_RQ_LOG_RUNS };
    int status;

    request.u.log_runs = (struct ferry_log_runs){ .iova = TOY_PORT_IOVA,
                                                  .length = PAGES * PAGE,
                                                  .page_size = PAGE,
                                                  .run = run,
                                                  .cap = 4 };
    status = toy_ask(toy, &request);
    assert_int_equal(request.u.log_runs.next_iova, TOY_PORT_IOVA + PAGES * PAGE);
    *ret_count = request.u.log_runs.count;
    return status;
}

static struct toy *logging(const char *spec)
{
    struct toy *toy = filtered_new(spec);

    toy_bus_master(toy);
    assert_int_equal(toy_map(toy, TOY_PORT_IOVA, PAGES * PAGE, 0, -1, 3), FERRY_OK);
    assert_int_equal(start(toy), FERRY_OK);
    return toy;
}

static void dirty(struct toy *toy)
{
    const uint8_t data[4] = { 1, 2, 3, 4 };

    assert_int_equal(ferry_dma_write(toy->device, TOY_PORT_IOVA, data, 4), FERRY_OK);
}

static void a_lost_report_says_nothing_and_the_device_forgets(void **state)
{
    struct toy *toy = logging("lose=log_report@2");
    uint64_t bits = 0;

    (void)state;
    dirty(toy);
    assert_int_equal(report(toy, &bits), FERRY_OK);
    assert_int_equal(bits, 1);
    dirty(toy);
    bits = 0x10; /* somebody else's, in the same bitmap */
    assert_int_equal(report(toy, &bits), FERRY_OK);
    assert_int_equal(bits, 0x10);
    bits = 0;
    assert_int_equal(report(toy, &bits), FERRY_OK);
    assert_int_equal(bits, 0);
    filtered_free(toy);
}

static void lost_runs_say_nothing_and_the_device_forgets(void **state)
{
    struct toy *toy = logging("lose=log_runs@2");
    uint32_t count;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        dirty(toy);
        assert_int_equal(runs(toy, &count), FERRY_OK);
        assert_int_equal(count, 1 - i);
    }
    assert_int_equal(runs(toy, &count), FERRY_OK);
    assert_int_equal(count, 0);
    filtered_free(toy);
}

static void the_bitmap_of_an_unmap_is_lost(void **state)
{
    struct toy *toy = logging("lose=dma_unmap@2");
    struct ferry_request request = { .kind = FERRY_RQ_DMA_UNMAP };

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t bits = 0;

        dirty(toy);
        request.u.unmap = (struct ferry_dma_unmap){ .iova = TOY_PORT_IOVA,
                                                    .size = PAGES * PAGE,
                                                    .flags = FERRY_UNMAP_BITMAP,
                                                    .page_size = PAGE,
                                                    .bitmap = &bits,
                                                    .bitmap_bytes = sizeof(bits) };
        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_int_equal(bits, 1 - i);
        assert_ptr_equal(request.u.unmap.bitmap, &bits);
        assert_int_equal(toy_map(toy, TOY_PORT_IOVA, PAGES * PAGE, 0, -1, 3), FERRY_OK);
    }
    filtered_free(toy);
}

static void any_is_all_of_them_and_nothing_else(void **state)
{
    struct toy *toy = logging("lose=any");
    uint64_t bits = 0;
    uint32_t count, value = 7;

    (void)state;
    dirty(toy);
    assert_int_equal(report(toy, &bits), FERRY_OK);
    assert_int_equal(bits, 0);
    dirty(toy);
    assert_int_equal(runs(toy, &count), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(toy_write(toy, 0, 4, &value, 4), FERRY_OK);
    assert_int_equal(toy->bell[0], 7);
    filtered_free(toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_report_says_nothing_and_the_device_forgets),
        cmocka_unit_test(lost_runs_say_nothing_and_the_device_forgets),
        cmocka_unit_test(the_bitmap_of_an_unmap_is_lost),
        cmocka_unit_test(any_is_all_of_them_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
