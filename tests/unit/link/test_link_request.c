/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"

/* Every kind of request goes through client, wire and server to the endpoint and back. */

static struct served served;
static struct ferry_client *client;

static int start(void **state)
{
    struct ferry_client_options options = { .struct_size = sizeof(options),
                                            .timeout_ms = 5000 };
    int fd = served_start(&served, NULL);

    (void)state;
    return ferry_client_from_fd(fd, &options, &client, NULL);
}

static int stop(void **state)
{
    (void)state;
    ferry_client_close(client);
    await_int(&served.fake.closed_count, 1);
    assert_int_equal(atomic_load(&served.fake.closed_code), FERRY_E_CLOSED);
    served_stop(&served);
    assert_int_equal(atomic_load(&served.fake.detaches), 1);
    return 0;
}

static int call(struct ferry_request *request)
{
    int rc = ferry_client_call(client, request);

    assert_int_equal(request->status, rc);
    return rc;
}

static void test_device_info_comes_through(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_INFO };

    (void)state;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.info.flags, FERRY_DEVICE_FLAG_RESET | FERRY_DEVICE_FLAG_PCI);
    assert_int_equal(r.u.info.region_count, 9);
    assert_int_equal(r.u.info.irq_count, 5);
}

static void test_region_info_brings_areas_and_descriptor(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_REGION_INFO };
    uint64_t size = 0;

    (void)state;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.region.size, FAKE_BAR_BYTES);
    assert_int_equal(r.u.region.offset, 4096);
    assert_int_equal(r.u.region.flags, 7);
    assert_int_equal(r.u.region.area_count, 2);
    assert_int_equal(r.u.region.area[1].off, 65536);
    assert_int_equal(r.u.region.area[1].size, 8192);
    assert_true(r.u.region.fd >= 0);
    assert_int_equal(ferry_os_file_size(r.u.region.fd, &size), FERRY_OK);
    assert_int_equal(size, 1 << 20);
    ferry_os_close(&r.u.region.fd);
}

static void test_region_without_memory_has_no_descriptor(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_REGION_INFO };

    (void)state;
    r.u.region.index = 4;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.region.fd, -1);
    assert_int_equal(r.u.region.size, 0);
}

static void test_unknown_region_is_refused_with_its_status(void **state)
{
    struct ferry_error error = { .code = 0 };
    struct ferry_request r = { .kind = FERRY_RQ_GET_REGION_INFO, .reterr = &error };

    (void)state;
    r.u.region.index = 9;
    assert_int_equal(call(&r), FERRY_E_NOT_FOUND);
    assert_int_equal(error.code, FERRY_E_NOT_FOUND);
    assert_non_null(strstr(error.text, "GET_REGION_INFO"));
}

static void test_interrupt_info_comes_through(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_IRQ_INFO };

    (void)state;
    r.u.irq.index = 2;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.irq.count, 8);
    assert_int_equal(r.u.irq.flags, FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE);
}

static void test_interrupt_descriptors_arrive_alive(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_SET_IRQS };
    uint64_t count;
    int fd[3];
    int i;

    (void)state;
    for (i = 0; i < 3; i++) {
        assert_int_equal(ferry_os_eventfd_create(&fd[i]), FERRY_OK);
    }
    r.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    r.u.irq_set.index = 2;
    r.u.irq_set.start = 5;
    r.u.irq_set.count = 3;
    r.u.irq_set.fds = fd;
    r.u.irq_set.fd_count = 3;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.irq_fds, 3);
    assert_int_equal(served.fake.irq_set.start, 5);
    for (i = 0; i < 3; i++) {
        assert_int_equal(ferry_os_eventfd_drain(fd[i], &count), FERRY_OK);
        assert_int_equal(count, 1);
        ferry_os_close(&fd[i]);
    }
}

static void test_interrupt_bools_come_through(void **state)
{
    static const uint8_t bools[5] = { 1, 0, 1, 1, 0 };
    struct ferry_request r = { .kind = FERRY_RQ_SET_IRQS };

    (void)state;
    r.u.irq_set.flags = FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_TRIGGER;
    r.u.irq_set.index = 2;
    r.u.irq_set.count = 5;
    r.u.irq_set.bools = bools;
    assert_int_equal(call(&r), FERRY_OK);
    assert_memory_equal(served.fake.bools, bools, 5);
    assert_int_equal(served.fake.irq_fds, 0);
}

static void test_region_write_then_read_gives_the_bytes_back(void **state)
{
    uint8_t out[300];
    uint8_t in[300] = { 0 };
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(out); i++) {
        out[i] = (uint8_t)(i * 7);
    }
    r.u.io.off = 1000;
    r.u.io.count = sizeof(out);
    r.u.io.data = out;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_REGION_READ;
    r.u.io.data = in;
    assert_int_equal(call(&r), FERRY_OK);
    assert_memory_equal(in, out, sizeof(out));
}

static void test_refused_access_keeps_its_status(void **state)
{
    uint32_t value;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_READ };

    (void)state;
    r.u.io.index = FAKE_REGION_REFUSE;
    r.u.io.count = 4;
    r.u.io.data = &value;
    assert_int_equal(call(&r), FERRY_E_STATE);
    r.u.io.index = FAKE_REGION_MEMORY;
    r.u.io.off = FAKE_BAR_BYTES - 3;
    assert_int_equal(call(&r), FERRY_E_RANGE);
}

static void test_posted_write_needs_no_reply(void **state)
{
    uint32_t value = 0x11223344;
    uint32_t back = 0;
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };

    (void)state;
    r.u.io.off = 64;
    r.u.io.count = 4;
    r.u.io.data = &value;
    r.u.io.posted = 1;
    assert_int_equal(ferry_client_submit(client, &r), FERRY_OK);
    value = 0x55667788;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_REGION_READ;
    r.u.io.data = &back;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(back, 0x55667788);
    assert_int_equal(atomic_load(&served.fake.posted), 2);
}

static void test_largest_read_and_write_come_through(void **state)
{
    uint32_t size = ferry_client_max_data(client);
    uint8_t *out = malloc(size);
    uint8_t *in = calloc(1, size);
    struct ferry_request r = { .kind = FERRY_RQ_REGION_WRITE };
    uint32_t i;

    (void)state;
    assert_int_equal(size, 1 << 20);
    for (i = 0; i < size; i++) {
        out[i] = (uint8_t)(i ^ i >> 11);
    }
    r.u.io.off = 17;
    r.u.io.count = size;
    r.u.io.data = out;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_REGION_READ;
    r.u.io.data = in;
    assert_int_equal(call(&r), FERRY_OK);
    assert_memory_equal(in, out, size);
    r.u.io.count = size + 1;
    assert_int_equal(call(&r), FERRY_E_LIMIT);
    free(out);
    free(in);
}

static void test_dma_map_carries_its_descriptor(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_DMA_MAP };
    int fd;

    (void)state;
    assert_int_equal(ferry_os_memfd_create("map", 8192, &fd), FERRY_OK);
    r.u.map.iova = 0x100000;
    r.u.map.size = 4096;
    r.u.map.offset = 4096;
    r.u.map.fd = fd;
    r.u.map.flags = FERRY_DMA_READ | FERRY_DMA_WRITE;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.map.iova, 0x100000);
    assert_int_equal(served.fake.map.offset, 4096);
    assert_int_equal(served.fake.map.flags, 3);
    assert_int_equal(served.fake.map_file_bytes, 8192);
    r.u.map.fd = -1;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.map.fd, -1);
    ferry_os_close(&fd);
}

static void test_unmap_brings_its_bitmap_and_only_sets_bits(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_DMA_UNMAP };
    uint64_t bitmap[2] = { 0x100, 0 };

    (void)state;
    r.u.unmap.iova = 0x100000;
    r.u.unmap.size = 100 * 4096;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.unmap.size, 100 * 4096);
    r.u.unmap.flags = FERRY_UNMAP_BITMAP;
    r.u.unmap.page_size = 4096;
    r.u.unmap.bitmap = bitmap;
    r.u.unmap.bitmap_bytes = sizeof(bitmap);
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.unmap.bitmap_bytes, 16);
    assert_int_equal(bitmap[0], 0x105);
    r.u.unmap.bitmap_bytes = 8;
    assert_int_equal(call(&r), FERRY_E_CAPACITY);
}

static void test_unmap_all_comes_through(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_DMA_UNMAP };

    (void)state;
    r.u.unmap.flags = FERRY_UNMAP_ALL;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(served.fake.unmap.flags, FERRY_UNMAP_ALL);
}

static void test_features_come_through(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_PROBE };

    (void)state;
    r.u.probe.index = 2;
    r.u.probe.operation = FERRY_FEATURE_GET;
    assert_int_equal(call(&r), FERRY_OK);
    r.u.probe.index = 3;
    assert_int_equal(call(&r), FERRY_E_UNSUPPORTED);
    r.kind = FERRY_RQ_MIG_FLAGS;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.mig_flags, 7);
    r.kind = FERRY_RQ_DATA_SIZE;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.data_size, 123456789012u);
    r.kind = FERRY_RQ_PRECOPY_INFO;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.precopy.initial_bytes, 77);
    assert_int_equal(r.u.precopy.dirty_bytes, 88);
    r.kind = FERRY_RQ_SET_STATE;
    r.u.state = FERRY_STATE_PRE_COPY;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_GET_STATE;
    r.u.state = 0;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.state, FERRY_STATE_PRE_COPY);
    r.kind = FERRY_RQ_RESET;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_GET_STATE;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.state, FERRY_STATE_RUNNING);
}

static void test_dirty_log_comes_through(void **state)
{
    struct ferry_range range[FERRY_LOG_RANGES_MAX];
    struct ferry_request r = { .kind = FERRY_RQ_LOG_START };
    uint64_t bitmap[16] = { 0 };
    uint32_t i;

    (void)state;
    for (i = 0; i < FERRY_LOG_RANGES_MAX; i++) {
        range[i].off = (uint64_t)i << 20;
        range[i].size = 65536;
    }
    r.u.log_start.page_size = 65536;
    r.u.log_start.range_count = FERRY_LOG_RANGES_MAX;
    r.u.log_start.range = range;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.log_start.page_size, 4096);
    assert_int_equal(served.fake.log_start.range_count, FERRY_LOG_RANGES_MAX);
    assert_memory_equal(served.fake.range, range, sizeof(range));
    r.kind = FERRY_RQ_LOG_REPORT;
    memset(&r.u, 0, sizeof(r.u));
    r.u.log_report.iova = 0x40000;
    r.u.log_report.length = 1024 * 4096;
    r.u.log_report.page_size = 4096;
    r.u.log_report.bitmap = bitmap;
    r.u.log_report.bitmap_bytes = sizeof(bitmap);
    bitmap[15] = 1;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(bitmap[0], 0x81);
    assert_int_equal(bitmap[15], 1);
    assert_int_equal(served.fake.log_report.iova, 0x40000);
    r.kind = FERRY_RQ_LOG_STOP;
    assert_int_equal(call(&r), FERRY_OK);
}

static void test_a_report_larger_than_a_message_of_data_comes_through(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_LOG_REPORT };
    uint64_t bytes = 4u << 20;
    uint8_t *bitmap = calloc(1, bytes);

    (void)state;
    r.u.log_report.length = bytes * 8 * 4096;
    r.u.log_report.page_size = 4096;
    r.u.log_report.bitmap = bitmap;
    r.u.log_report.bitmap_bytes = bytes;
    bitmap[bytes - 1] = 0x80;
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(bitmap[0], 0x81);
    assert_int_equal(bitmap[bytes - 1], 0x80);
    free(bitmap);
}

static void test_state_data_tells_dry_short_and_end_apart(void **state)
{
    uint8_t data[100];
    struct ferry_request r = { .kind = FERRY_RQ_SET_STATE };

    (void)state;
    served.fake.data_left = 30;
    served.fake.data_piece = 20;
    r.u.state = FERRY_STATE_PRE_COPY;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_DATA_READ;
    r.u.data.data = data;
    r.u.data.size = sizeof(data);
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.data.got, 20);
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.data.got, 10);
    assert_int_equal(call(&r), FERRY_E_DRY);
    r.kind = FERRY_RQ_SET_STATE;
    r.u.state = FERRY_STATE_STOP_COPY;
    assert_int_equal(call(&r), FERRY_OK);
    r.kind = FERRY_RQ_DATA_READ;
    memset(&r.u, 0, sizeof(r.u));
    r.u.data.data = data;
    r.u.data.size = sizeof(data);
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(r.u.data.got, 0);
}

static void test_state_data_is_written_whole(void **state)
{
    static uint8_t data[1 << 20];
    struct ferry_request r = { .kind = FERRY_RQ_DATA_WRITE };

    (void)state;
    memset(data, 3, sizeof(data));
    r.u.data.data = data;
    r.u.data.size = sizeof(data);
    assert_int_equal(call(&r), FERRY_OK);
    assert_int_equal(atomic_load(&served.fake.data_taken), sizeof(data));
    assert_int_equal(atomic_load(&served.fake.data_sum), 3 * sizeof(data));
}

static void test_identity_needs_no_message(void **state)
{
    struct ferry_identity identity;
    struct ferry_request r = { .kind = FERRY_RQ_IDENTITY, .u.identity = &identity };

    (void)state;
    assert_int_equal(ferry_client_submit(client, &r), FERRY_OK);
    assert_string_equal(identity.model, "fake");
    assert_int_equal(identity.state_version, 3);
    assert_int_equal(identity.pci_device, 0x1054);
    assert_int_equal(identity.pci_class, 0x108000);
    assert_true(identity.stop_ns == UINT64_MAX);
    assert_int_equal(identity.doorbell_latch, 1);
    assert_int_equal(identity.key_count, 1);
    assert_string_equal(identity.key[0].name, "sessions");
    assert_int_equal(identity.key[0].relation, FERRY_KEY_AT_LEAST);
    assert_int_equal(identity.key[0].value, 64);
}

static void test_a_kind_that_is_none_is_an_argument_error(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_COUNT };

    (void)state;
    assert_int_equal(call(&r), FERRY_E_ARGUMENT);
    assert_string_equal(ferry_request_name(FERRY_RQ_SET_STATE), "SET_STATE");
    assert_string_equal(ferry_request_name(FERRY_RQ_COUNT), "?");
}

static void test_more_descriptors_than_a_message_holds_are_refused(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_SET_IRQS };
    int fd[FERRY_REQUEST_FDS_MAX + 1] = { 0 };

    (void)state;
    assert_int_equal(ferry_client_max_fds(client), FERRY_REQUEST_FDS_MAX);
    r.u.irq_set.flags = FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER;
    r.u.irq_set.count = r.u.irq_set.fd_count = FERRY_REQUEST_FDS_MAX + 1;
    r.u.irq_set.fds = fd;
    assert_int_equal(call(&r), FERRY_E_LIMIT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_device_info_comes_through),
        TEST(test_region_info_brings_areas_and_descriptor),
        TEST(test_region_without_memory_has_no_descriptor),
        TEST(test_unknown_region_is_refused_with_its_status),
        TEST(test_interrupt_info_comes_through),
        TEST(test_interrupt_descriptors_arrive_alive),
        TEST(test_interrupt_bools_come_through),
        TEST(test_region_write_then_read_gives_the_bytes_back),
        TEST(test_refused_access_keeps_its_status),
        TEST(test_posted_write_needs_no_reply),
        TEST(test_largest_read_and_write_come_through),
        TEST(test_dma_map_carries_its_descriptor),
        TEST(test_unmap_brings_its_bitmap_and_only_sets_bits),
        TEST(test_unmap_all_comes_through),
        TEST(test_features_come_through),
        TEST(test_dirty_log_comes_through),
        TEST(test_a_report_larger_than_a_message_of_data_comes_through),
        TEST(test_state_data_tells_dry_short_and_end_apart),
        TEST(test_state_data_is_written_whole),
        TEST(test_identity_needs_no_message),
        TEST(test_a_kind_that_is_none_is_an_argument_error),
        TEST(test_more_descriptors_than_a_message_holds_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
