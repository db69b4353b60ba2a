/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"
#include "test_link_script.h"

/* The sparse dirty report: DEVICE_FEATURE 0xFE02, "dirty_runs". */

#define PAGE 4096ull
#define IOVA 0x10000ull
#define LENGTH (64 * PAGE)

static struct served served;

static int ask(struct ferry_range *run, uint32_t cap, struct ferry_log_runs *ret_runs)
{
    struct ferry_request r = { .kind = FERRY_RQ_LOG_RUNS };
    int rc;

    r.u.log_runs = (struct ferry_log_runs){
        .iova = IOVA, .length = LENGTH, .page_size = PAGE, .run = run, .cap = cap
    };
    rc = ferry_client_call(client, &r);
    *ret_runs = r.u.log_runs;
    return rc;
}

static void serve(uint32_t max_data)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 5000,
                                            .max_data_xfer_bytes = max_data };
    int fd = served_start(&served, NULL);

    assert_int_equal(ferry_client_from_fd(fd, &options, &client, NULL), FERRY_OK);
}

static void end_serving(void)
{
    ferry_client_close(client);
    served_stop(&served);
}

static void test_runs_come_through(void **state)
{
    struct ferry_range run[9];
    struct ferry_log_runs runs;

    (void)state;
    serve(0);
    /* More than a server's small reply, and less. */
    for (uint32_t cap = 8; cap >= 3; cap--) {
        memset(run, 0x11, sizeof(run));
        assert_int_equal(ask(run, cap, &runs), FERRY_OK);
        assert_int_equal(runs.count, 3);
        assert_int_equal(runs.next_iova, IOVA + LENGTH);
        for (uint32_t i = 0; i < 3; i++) {
            assert_int_equal(run[i].off, IOVA + 2 * i * PAGE);
            assert_int_equal(run[i].size, PAGE);
        }
        assert_int_equal(run[3].off, 0x1111111111111111);
        assert_int_equal(served.fake.log_runs.iova, IOVA);
        assert_int_equal(served.fake.log_runs.length, LENGTH);
        assert_int_equal(served.fake.log_runs.page_size, PAGE);
        assert_int_equal(served.fake.log_runs.cap, cap);
    }
    assert_int_equal(ask(run, 1, &runs), FERRY_OK);
    assert_int_equal(runs.count, 1);
    assert_int_equal(runs.next_iova, IOVA + 2 * PAGE);
    assert_int_equal(ask(run, 0, &runs), FERRY_E_CAPACITY);
    assert_int_equal(ask(NULL, 1, &runs), FERRY_E_CAPACITY);
    end_serving();
}

static void test_no_more_runs_are_asked_for_than_a_message_of_data_holds(void **state)
{
    struct ferry_range *run = calloc(100000, sizeof(*run));
    struct ferry_log_runs runs;

    (void)state;
    serve(40000);
    assert_int_equal(ask(run, 100000, &runs), FERRY_OK);
    assert_int_equal(served.fake.log_runs.cap, 40000 / 16);
    end_serving();
    free(run);
}

/* A request as bytes. */
static size_t message(uint8_t *bytes, uint32_t argsz, uint64_t iova, uint64_t length,
                      uint64_t page_size, size_t payload)
{
    uint8_t at[64] = { 0 };

    raw_put_u32(at, argsz);
    raw_put_u32(at + 4, 0xfe02u | 1u << 16); /* GET */
    raw_put_u64(at + 8, iova);
    raw_put_u64(at + 16, length);
    raw_put_u64(at + 24, page_size);
    return raw_message(bytes, 77, RAW_FEATURE, 0, at, payload);
}

static void test_malformed_requests_are_refused_and_the_client_stays(void **state)
{
    const struct {
        uint32_t argsz;
        uint64_t iova, length, page_size;
        size_t payload;
    } bad[] = {
        { 0, 0, PAGE, PAGE, 32 },
        { 47, 0, PAGE, PAGE, 32 },
        { 48, 0, 0, PAGE, 32 },
        { 48, 0, PAGE, 0, 32 },
        { 48, 0, PAGE, 3, 32 },
        { 48, 0, PAGE, 2048, 32 },
        { 48, 0, PAGE, 3 * PAGE, 32 },
        { 48, 0ull - PAGE, 2 * PAGE, PAGE, 32 },
        { 48, 1ull << 63, 1ull << 63, 1ull << 63, 32 },
        { 48, PAGE, UINT64_MAX, PAGE, 32 },
        { 48, 0, PAGE, PAGE, 31 },
        { 48, 0, PAGE, PAGE, 8 },
        { 48, 0, PAGE, PAGE, 33 },
        { 48, 0, PAGE, PAGE, 48 },
    };
    uint8_t bytes[128];
    int fd;

    (void)state;
    served_listen(&served, NULL);
    fd = raw_client(served.path);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        raw_send(fd, bytes,
                 message(bytes, bad[i].argsz, bad[i].iova, bad[i].length,
                         bad[i].page_size, bad[i].payload));
        raw_assert_error(fd, 77, RAW_FEATURE);
        assert_int_equal(served.fake.log_runs.cap, 0);
    }
    raw_assert_alive(fd);
    /* And one that is right, with room for more than any message holds. */
    raw_send(fd, bytes, message(bytes, UINT32_MAX, IOVA, LENGTH, PAGE, 32));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 16 + 32 + 3 * 16);
    assert_int_equal(raw_u32(bytes, 16), 32 + 3 * 16);
    assert_int_equal(raw_u32(bytes, 24), IOVA + LENGTH);
    assert_int_equal(raw_u32(bytes, 32), 3);
    assert_int_equal(raw_u32(bytes, 40), PAGE);
    assert_int_equal(raw_u32(bytes, 48 + 16), IOVA + 2 * PAGE);
    assert_int_equal(served.fake.log_runs.cap, (1u << 20) / 16);
    ferry_os_close(&fd);
    served_stop(&served);
}

/* What the script's server answers; two runs. */
static struct {
    uint64_t next;
    uint32_t count;
    uint64_t page_size;
    uint64_t run[4];
    size_t bytes; /* of runs that are really sent */
} told;

static int answer_runs(struct script *s, const uint8_t *asked, size_t size)
{
    uint8_t at[32 + 64] = { 0 };

    if (raw_u16(asked, 2) != RAW_FEATURE) {
        return script_honest(s, asked, size);
    }
    raw_put_u32(at, (uint32_t)(32 + told.bytes));
    raw_put_u32(at + 4, raw_u32(asked, 20));
    raw_put_u64(at + 8, told.next);
    raw_put_u32(at + 16, told.count);
    raw_put_u64(at + 24, told.page_size);
    for (uint32_t i = 0; i < 4; i++) {
        raw_put_u64(at + 32 + 8 * i, told.run[i]);
    }
    script_reply(s, asked, RAW_REPLY, at, 32 + told.bytes);
    return 1;
}

#define KNOWS_RUNS                                                                       \
    "{\"capabilities\":{\"ferry\":{\"version\":1,\"notices\":true,\"dirty_runs\":true}}" \
    "}"

static int told_to(uint64_t next, uint32_t count, uint64_t page_size, uint64_t off0,
                   uint64_t size0, uint64_t off1, uint64_t size1, size_t bytes)
{
    struct ferry_range run[3] = { [2] = { .off = 1, .size = 2 } };
    struct ferry_log_runs runs;
    int rc;

    told.next = next;
    told.count = count;
    told.page_size = page_size;
    told.run[0] = off0;
    told.run[1] = size0;
    told.run[2] = off1;
    told.run[3] = size1;
    told.bytes = bytes;
    rc = ask(run, 2, &runs);
    assert_true(run[2].off == 1 && run[2].size == 2);
    return rc;
}

static void test_replies_that_cannot_be_are_errors(void **state)
{
    const uint64_t end = IOVA + LENGTH, p = PAGE, i = IOVA;
    uint32_t value;

    (void)state;
    assert_int_equal(script_connect(answer_runs, KNOWS_RUNS, 1), FERRY_OK);
    assert_int_equal(told_to(end, 2, p, i, p, i + 2 * p, p, 32), FERRY_OK);
    assert_int_equal(told_to(i + p, 1, p, i, p, 0, 0, 16), FERRY_OK);
    assert_int_equal(told_to(end, 0, p, 0, 0, 0, 0, 0), FERRY_OK);
    /* Out of order, one over another, empty, off the grid. */
    assert_int_equal(told_to(end, 2, p, i + 2 * p, p, i, p, 32), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 2, p, i, 2 * p, i + p, p, 32), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 2, p, i, p, i + 2 * p, 0, 32), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, i + 512, p, 0, 0, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, i, 512, 0, 0, 16), FERRY_E_PROTOCOL);
    /* Out of the range, or past where it goes on. */
    assert_int_equal(told_to(end, 1, p, i - p, p, 0, 0, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, end - p, 2 * p, 0, 0, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, end, p, 0, 0, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(i + p, 1, p, i, 2 * p, 0, 0, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, i + p, 0ull - p, 0, 0, 16), FERRY_E_PROTOCOL);
    /* It does not get on, or too far. */
    assert_int_equal(told_to(i, 0, p, 0, 0, 0, 0, 0), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(0, 0, p, 0, 0, 0, 0, 0), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end + p, 0, p, 0, 0, 0, 0, 0), FERRY_E_PROTOCOL);
    /* Another page size, more runs than there is room, more or fewer than it says. */
    assert_int_equal(told_to(end, 0, 2 * p, 0, 0, 0, 0, 0), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 3, p, i, p, i + 2 * p, p, 48), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 1, p, i, p, i + 2 * p, p, 32), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, 2, p, i, p, i + 2 * p, p, 16), FERRY_E_PROTOCOL);
    assert_int_equal(told_to(end, UINT32_MAX, p, i, p, 0, 0, 16), FERRY_E_PROTOCOL);
    /* And the connection is still good. */
    assert_int_equal(script_read(&value, 4), FERRY_OK);
    script_end();
}

static void test_a_server_without_the_extension_is_not_asked(void **state)
{
    struct ferry_log_runs runs;
    struct ferry_range run[1];
    int seen;

    (void)state;
    script_begin(script_honest);
    seen = atomic_load(&script.seen);
    assert_int_equal(ask(run, 1, &runs), FERRY_E_UNSUPPORTED);
    assert_int_equal(atomic_load(&script.seen), seen);
    script_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs_come_through),
        cmocka_unit_test(test_no_more_runs_are_asked_for_than_a_message_of_data_holds),
        cmocka_unit_test(test_malformed_requests_are_refused_and_the_client_stays),
        cmocka_unit_test(test_replies_that_cannot_be_are_errors),
        cmocka_unit_test(test_a_server_without_the_extension_is_not_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
