/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test_device_toy.h"

#define ALL (FERRY_MIG_STOP_COPY | FERRY_MIG_P2P | FERRY_MIG_PRE_COPY)

/* Every operation of the access table that can reach this device, tried in every state.
 */

static int try_config_read(struct toy *toy, uint8_t *ret_byte)
{
    return toy_read(toy, FERRY_REGION_CONFIG, 0x3c, ret_byte, 1);
}

static int try_config_write(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return toy_write(toy, FERRY_REGION_CONFIG, 0x3c, "x", 1);
}

static int try_msix_read(struct toy *toy, uint8_t *ret_byte)
{
    return toy_read(toy, 4, TOY_PBA_OFF, ret_byte, 1);
}

static int try_msix_write(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return toy_write(toy, 4, 4, "x", 1);
}

static int try_region_read(struct toy *toy, uint8_t *ret_byte)
{
    return toy_read(toy, 0, 0, ret_byte, 1);
}

static int try_region_write(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return toy_write32(toy, 0, 4, 0x1234);
}

static int try_set_irqs(struct toy *toy, uint8_t *ret_byte)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    (void)ret_byte;
    request.u.irq_set.index = 2;
    request.u.irq_set.flags = FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER;
    return toy_ask(toy, &request);
}

static int try_info(struct toy *toy, uint8_t *ret_byte)
{
    static const uint32_t kinds[] = { FERRY_RQ_GET_INFO, FERRY_RQ_GET_REGION_INFO,
                                      FERRY_RQ_GET_IRQ_INFO, FERRY_RQ_MIG_FLAGS };
    int status = FERRY_OK;

    (void)ret_byte;
    for (size_t i = 0; i < 4 && status == FERRY_OK; i++) {
        struct ferry_request request = { .kind = kinds[i] };

        status = toy_ask(toy, &request);
    }
    return status;
}

static int try_irq_raise(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return ferry_irq_raise(toy->device, 0);
}

static int try_dma_start(struct toy *toy, uint8_t *ret_byte)
{
    uint8_t data[4];
    struct ferry_dma_segment segment;
    const int status = ferry_dma_read(toy->device, 0, data, 4);

    (void)ret_byte;
    assert_int_equal(ferry_dma_write(toy->device, 0, data, 4), status);
    assert_int_equal(ferry_dma_get(toy->device, 0, 4, 1, &segment), status);
    if (status == FERRY_OK) {
        ferry_dma_put(toy->device, &segment, 0);
    }
    return status;
}

static int try_dma_map(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return toy_map(toy, 1u << 30, 4096, 0, -1, 3);
}

static int try_dma_unmap(struct toy *toy, uint8_t *ret_byte)
{
    (void)ret_byte;
    return toy_unmap(toy, 1u << 30, 4096); /* FERRY_OP_DMA_MAP has come before it */
}

static int try_log_control(struct toy *toy, uint8_t *ret_byte)
{
    struct ferry_request request = { .kind = FERRY_RQ_LOG_STOP };

    (void)ret_byte;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    request.kind = FERRY_RQ_LOG_START;
    request.u.log_start = (struct ferry_log_start){ .page_size = 4096 };
    return toy_ask(toy, &request);
}

static int try_log_report(struct toy *toy, uint8_t *ret_byte)
{
    uint64_t bitmap = 0;
    struct ferry_request request = { .kind = FERRY_RQ_LOG_REPORT };

    (void)ret_byte;
    request.u.log_report = (struct ferry_log_report){
        .length = 4096, .page_size = 4096, .bitmap = &bitmap, .bitmap_bytes = 8
    };
    return toy_ask(toy, &request);
}

static int try_data_read(struct toy *toy, uint8_t *ret_byte)
{
    uint8_t data[4];
    struct ferry_request request = { .kind = FERRY_RQ_DATA_READ };

    (void)ret_byte;
    request.u.data = (struct ferry_data_io){ .data = data, .size = 4 };
    return toy_ask(toy, &request);
}

static int try_data_write(struct toy *toy, uint8_t *ret_byte)
{
    uint8_t data[4] = { 'F', 'E', 'D', 'S' };
    struct ferry_request request = { .kind = FERRY_RQ_DATA_WRITE };

    (void)ret_byte;
    request.u.data = (struct ferry_data_io){ .data = data, .size = 4 };
    return toy_ask(toy, &request);
}

static int try_precopy_info(struct toy *toy, uint8_t *ret_byte)
{
    struct ferry_request request = { .kind = FERRY_RQ_PRECOPY_INFO };

    (void)ret_byte;
    return toy_ask(toy, &request);
}

static int try_data_size(struct toy *toy, uint8_t *ret_byte)
{
    struct ferry_request request = { .kind = FERRY_RQ_DATA_SIZE };
    const int status = toy_ask(toy, &request);

    (void)ret_byte;
    assert_true(status != FERRY_OK || request.u.data_size > 0);
    return status;
}

static int try_reset(struct toy *toy, uint8_t *ret_byte)
{
    struct ferry_request request = { .kind = FERRY_RQ_RESET };

    (void)ret_byte;
    return toy_ask(toy, &request);
}

static int (*const tries[FERRY_OP_COUNT])(struct toy *toy, uint8_t *ret_byte) = {
    [FERRY_OP_CONFIG_READ] = try_config_read,
    [FERRY_OP_CONFIG_WRITE] = try_config_write,
    [FERRY_OP_MSIX_READ] = try_msix_read,
    [FERRY_OP_MSIX_WRITE] = try_msix_write,
    [FERRY_OP_REGION_READ] = try_region_read,
    [FERRY_OP_REGION_WRITE] = try_region_write,
    [FERRY_OP_SET_IRQS] = try_set_irqs,
    [FERRY_OP_INFO] = try_info,
    [FERRY_OP_IRQ_RAISE] = try_irq_raise,
    [FERRY_OP_DMA_START] = try_dma_start,
    [FERRY_OP_DMA_MAP] = try_dma_map,
    [FERRY_OP_DMA_UNMAP] = try_dma_unmap,
    [FERRY_OP_LOG_CONTROL] = try_log_control,
    [FERRY_OP_LOG_REPORT] = try_log_report,
    [FERRY_OP_DATA_READ] = try_data_read,
    [FERRY_OP_DATA_WRITE] = try_data_write,
    [FERRY_OP_PRECOPY_INFO] = try_precopy_info,
    [FERRY_OP_DATA_SIZE] = try_data_size,
    [FERRY_OP_RESET] = try_reset,
    /* The rest does not come through a message of this device: mmap, eventfd doorbells,
     * peers, attach (before any state), bus reset, power (config space), dma-buf, PRI. */
};

static void check_cell(struct toy *toy, uint32_t operation, uint32_t state,
                       uint32_t latch)
{
    const struct ferry_access *cell = ferry_access_get(operation, state);
    uint8_t byte = 0x5a;
    int allowed = cell->verdict == FERRY_ALLOW || cell->verdict == FERRY_IGNORE;
    int status;

    if (cell->verdict == FERRY_LATCH) {
        allowed = latch != 0;
    }
    status = tries[operation](toy, &byte);
    if (status != (allowed ? FERRY_OK : FERRY_E_STATE)) {
        fail_msg("%s in %s: %s, rule %s", ferry_operation_name(operation),
                 ferry_state_name(state), ferry_status_name(status), cell->rule->id);
    }
    if (!allowed) {
        assert_int_equal(toy_get(toy), state);
    }
    if (cell->verdict == FERRY_REFUSE &&
        (operation == FERRY_OP_CONFIG_READ || operation == FERRY_OP_MSIX_READ ||
         operation == FERRY_OP_REGION_READ)) {
        assert_int_equal(byte, cell->read_value);
    }
}

/*
 * MIG-RUN-1, MIG-PRE-1, MIG-P2P-1, MIG-P2P-2, MIG-P2P-3, MIG-P2P-6, MIG-STOP-1,
 * MIG-STOP-2, MIG-STOP-3, MIG-RES-1, MIG-RES-2, MIG-RES-3, MIG-DATA-1, MIG-DATA-2,
 * MIG-DATA-3, MIG-DATA-4, MIG-ERR-1, MIG-ERR-2, MIG-INFO-1, MIG-IRQ-1, MIG-MAP-1,
 * MIG-LOG-1, MIG-RST-1
 */
static void every_cell_is_enforced(void **state)
{
    uint32_t cells = 0;

    (void)state;
    for (uint32_t latch = 0; latch < 2; latch++) {
        struct toy *toy = toy_new(ALL, latch);
        const int fd = toy_memfd(4096);

        toy_bus_master(toy);
        assert_int_equal(toy_map(toy, 0, 4096, 0, fd, 3), FERRY_OK);
        for (uint32_t at = 0; at < FERRY_STATE_COUNT; at++) {
            toy_bring(toy, at);
            for (uint32_t operation = 0; operation < FERRY_OP_COUNT; operation++) {
                if (tries[operation] != NULL) {
                    check_cell(toy, operation, at, latch);
                    cells++;
                }
            }
            assert_int_equal(toy_get(toy), FERRY_STATE_RUNNING); /* RESET came last */
        }
        toy_free(toy);
        close(fd);
    }
    assert_int_equal(cells, 2 * 8 * 19);
}

/* MIG-STOP-2, MIG-RES-1 */
static void a_refused_access_reaches_nobody(void **state)
{
    struct toy *toy = toy_new(ALL, 0);
    uint8_t data[32], bytes[16] = { 0 };

    (void)state;
    toy_bring(toy, FERRY_STATE_STOP);
    assert_int_equal(toy_write32(toy, 0, 4, 1), FERRY_E_STATE);
    assert_int_equal(toy->bells, 0);
    /* An access that begins in the MSI-X table and ends in registers is refused whole. */
    assert_int_equal(toy_write(toy, 4, 16 * TOY_VECTORS - 16, bytes, 16), FERRY_OK);
    assert_int_equal(toy_read32(toy, 4, 16 * TOY_VECTORS - 4), 0);
    assert_int_equal(toy_write32(toy, 4, 16 * TOY_VECTORS - 4, 1), FERRY_OK);
    memset(data, 0, sizeof(data));
    assert_int_equal(toy_write(toy, 4, 16 * TOY_VECTORS - 16, data, 32), FERRY_E_STATE);
    assert_int_equal(toy_read32(toy, 4, 16 * TOY_VECTORS - 4), 1);
    assert_int_equal(toy_read(toy, 4, 16 * TOY_VECTORS - 16, data, 32), FERRY_E_STATE);
    assert_int_equal(data[0], 0xff);
    assert_int_equal(data[31], 0xff);
    toy_free(toy);
}

/* MIG-P2P-2 */
static void doorbells_in_p2p_ring_when_the_device_runs(void **state)
{
    static const uint32_t quiet[] = { FERRY_STATE_RUNNING_P2P, FERRY_STATE_PRE_COPY_P2P };
    static const uint32_t after[] = { FERRY_STATE_RUNNING, FERRY_STATE_PRE_COPY };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct toy *toy = toy_new(ALL, 1);

        toy_bring(toy, quiet[i]);
        for (uint32_t value = 10; value < 13; value++) {
            assert_int_equal(toy_write32(toy, 0, 4, value), FERRY_OK);
        }
        assert_int_equal(toy->bells, 0);
        assert_int_equal(toy_read32(toy, 0, 4), 0);
        assert_int_equal(toy_set(toy, after[i]), FERRY_OK);
        assert_int_equal(toy->bells, 3);
        assert_int_equal(toy->bell[0], 10);
        assert_int_equal(toy->bell[2], 12);
        toy_free(toy);
    }
}

static void a_write_over_the_edge_of_the_msix_table_is_latched_in_part(void **state)
{
    struct toy *toy = toy_new(ALL, 1);
    uint8_t bytes[8] = { 0 };

    (void)state;
    toy_bring(toy, FERRY_STATE_RUNNING_P2P);
    assert_int_equal(toy_write(toy, 4, TOY_PBA_OFF - 4, bytes, 8), FERRY_OK);
    assert_int_equal(toy->writes, 0);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy->writes, 1);
    toy_free(toy);
}

static void doorbells_outlive_a_stop_that_is_taken_back(void **state)
{
    struct toy *toy = toy_new(ALL, 1);

    (void)state;
    toy_bring(toy, FERRY_STATE_RUNNING_P2P);
    assert_int_equal(toy_write32(toy, 0, 4, 10), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy_write32(toy, 0, 4, 11), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy->bells, 2);
    assert_int_equal(toy->bell[0], 10);
    assert_int_equal(toy->bell[1], 11);
    /* A reset takes them away. */
    toy_bring(toy, FERRY_STATE_RUNNING_P2P);
    assert_int_equal(toy_write32(toy, 0, 4, 12), FERRY_OK);
    toy_bring(toy, FERRY_STATE_RUNNING);
    assert_int_equal(toy->bells, 2);
    toy_free(toy);
}

static void the_latch_has_an_end(void **state)
{
    struct toy *toy = toy_new(ALL, 1);
    uint8_t long_write[16] = { 0 };

    (void)state;
    toy_bring(toy, FERRY_STATE_RUNNING_P2P);
    assert_int_equal(toy_write(toy, 0, 0, long_write, 16), FERRY_E_RANGE);
    for (uint32_t i = 0; i < 1024; i++) {
        assert_int_equal(toy_write32(toy, 0, 8, i), FERRY_OK);
    }
    assert_int_equal(toy_write32(toy, 0, 8, 0), FERRY_E_LIMIT);
    /* Device memory is no doorbell: peers write it in this state, too. */
    assert_int_equal(toy_write(toy, 2, TOY_AREA_OFF, long_write, 16), FERRY_OK);
    toy_free(toy);
}

static void counters_are_told_in_every_state(void **state)
{
    struct ferry_counter counter[4];

    (void)state;
    for (uint32_t at = FERRY_STATE_ERROR; at < FERRY_STATE_COUNT; at++) {
        struct toy *toy = toy_new(ALL, 0);
        struct ferry_request request = { .kind = FERRY_RQ_COUNTERS };

        toy_bring(toy, at);
        toy->bells = 77;
        toy->counters = 9;
        memset(counter, 0xff, sizeof(counter));
        request.u.counters = (struct ferry_counters){ .counter = counter, .cap = 3 };
        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_int_equal(request.u.counters.count, 3);
        assert_string_equal(counter[2].name, "bells");
        assert_int_equal(counter[2].queue, 2);
        assert_int_equal(counter[2].value, 77);
        assert_int_equal(counter[3].value, UINT64_MAX);
        toy->counters = 0;
        assert_int_equal(toy_ask(toy, &request), FERRY_OK);
        assert_int_equal(request.u.counters.count, 0);
        toy->counters = FERRY_E_DEVICE;
        assert_int_equal(toy_ask(toy, &request), FERRY_E_DEVICE);
        toy_free(toy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_is_enforced),
        cmocka_unit_test(a_refused_access_reaches_nobody),
        cmocka_unit_test(doorbells_in_p2p_ring_when_the_device_runs),
        cmocka_unit_test(a_write_over_the_edge_of_the_msix_table_is_latched_in_part),
        cmocka_unit_test(doorbells_outlive_a_stop_that_is_taken_back),
        cmocka_unit_test(the_latch_has_an_end),
        cmocka_unit_test(counters_are_told_in_every_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
