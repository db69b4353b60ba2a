/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>
#include <unistd.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_device_toy.h"

#define TRIGGER_FDS (FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_TRIGGER)
#define DISABLE (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_TRIGGER)

static int setup(void **state)
{
    *state = toy_new(FERRY_MIG_STOP_COPY, 0);
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static int set_irqs(struct toy *toy, uint32_t flags, uint32_t start, uint32_t count,
                    const int *fds, uint32_t fd_count)
{
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    request.u.irq_set = (struct ferry_irq_set){ .flags = flags,
                                                .index = 2,
                                                .start = start,
                                                .count = count,
                                                .fds = fds,
                                                .fd_count = fd_count };
    return toy_ask(toy, &request);
}

static uint64_t count_of(int fd)
{
    uint64_t count = 0;

    assert_int_equal(ferry_os_eventfd_drain(fd, &count), FERRY_OK);
    return count;
}

static int new_fd(void)
{
    int fd = -1;

    assert_int_equal(ferry_os_eventfd_create(&fd), FERRY_OK);
    return fd;
}

static uint32_t control_off(struct toy *toy)
{
    uint8_t at = 0, id = 0;

    assert_int_equal(toy_read(toy, FERRY_REGION_CONFIG, 0x34, &at, 1), FERRY_OK);
    while (id != 0x11) {
        assert_int_not_equal(at, 0);
        assert_int_equal(toy_read(toy, FERRY_REGION_CONFIG, at, &id, 1), FERRY_OK);
        if (id != 0x11) {
            assert_int_equal(toy_read(toy, FERRY_REGION_CONFIG, at + 1u, &at, 1),
                             FERRY_OK);
        }
    }
    return at;
}

static uint16_t control(struct toy *toy)
{
    return (uint16_t)(toy_config32(toy, control_off(toy)) >> 16);
}

static void set_control(struct toy *toy, uint16_t value)
{
    assert_int_equal(toy_write(toy, FERRY_REGION_CONFIG, control_off(toy) + 2, &value, 2),
                     FERRY_OK);
}

static uint32_t pending(struct toy *toy, uint32_t word)
{
    return toy_read32(toy, 4, TOY_PBA_OFF + 4 * word);
}

static void table_remembers_and_masks_after_power_on(void **state)
{
    struct toy *toy = *state;

    for (uint32_t i = 0; i < TOY_VECTORS; i++) {
        assert_int_equal(toy_read32(toy, 4, 16 * i + 12), 1);
    }
    assert_int_equal(control(toy), TOY_VECTORS - 1);
    assert_int_equal(toy_write32(toy, 4, 16, 0xfee00003), FERRY_OK);
    assert_int_equal(toy_write32(toy, 4, 20, 0x12345678), FERRY_OK);
    assert_int_equal(toy_write32(toy, 4, 24, 0xcafe), FERRY_OK);
    assert_int_equal(toy_write32(toy, 4, 28, 0xfffffffe), FERRY_OK);
    assert_int_equal(toy_read32(toy, 4, 16), 0xfee00000);
    assert_int_equal(toy_read32(toy, 4, 20), 0x12345678);
    assert_int_equal(toy_read32(toy, 4, 24), 0xcafe);
    assert_int_equal(toy_read32(toy, 4, 28), 0); /* reserved bits stay 0 */
    assert_int_equal(toy_write32(toy, 4, TOY_PBA_OFF, 0xffffffff), FERRY_OK);
    assert_int_equal(pending(toy, 0), 0); /* read only */
    /* What lies between table and PBA is the author's. */
    assert_int_equal(toy_read32(toy, 4, 16 * TOY_VECTORS), 0xa4a4a4a4);
}

static void set_irqs_enables_unmasks_and_delivers(void **state)
{
    struct toy *toy = *state;
    const int fds[2] = { new_fd(), new_fd() };

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 64, 2, fds, 2), FERRY_OK);
    assert_int_equal(control(toy) & 0xc000, 0x8000);
    assert_int_equal(toy_read32(toy, 4, 16 * 64 + 12), 0);
    assert_int_equal(toy_read32(toy, 4, 16 * 63 + 12), 1);
    assert_int_equal(ferry_irq_raise(toy->device, 65), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 65), FERRY_OK);
    assert_int_equal(count_of(fds[0]), 0);
    assert_int_equal(count_of(fds[1]), 2);
    assert_int_equal(ferry_irq_raise(toy->device, TOY_VECTORS), FERRY_E_NOT_FOUND);
    close(fds[0]);
    close(fds[1]);
}

static void a_masked_vector_waits_and_fires_once(void **state)
{
    struct toy *toy = *state;
    const int fd = new_fd();

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 65, 1, &fd, 1), FERRY_OK);
    assert_int_equal(toy_write32(toy, 4, 16 * 65 + 12, 1), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 65), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 65), FERRY_OK);
    assert_int_equal(count_of(fd), 0);
    assert_int_equal(pending(toy, 2), 2);
    assert_int_equal(toy_write32(toy, 4, 16 * 65 + 12, 0), FERRY_OK);
    assert_int_equal(count_of(fd), 1);
    assert_int_equal(pending(toy, 2), 0);
    close(fd);
}

static void function_mask_and_enable_hold_back(void **state)
{
    static const uint16_t held[] = { 0xc000, 0x0000, 0x4000 };
    struct toy *toy = *state;
    const int fd = new_fd();

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 1, &fd, 1), FERRY_OK);
    for (size_t i = 0; i < 3; i++) {
        set_control(toy, held[i]);
        assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
        assert_int_equal(count_of(fd), 0);
        assert_int_equal(pending(toy, 0), 1);
        set_control(toy, 0x8000);
        assert_int_equal(count_of(fd), 1);
        assert_int_equal(pending(toy, 0), 0);
    }
    close(fd);
}

static void mask_unmask_and_trigger_by_message(void **state)
{
    struct toy *toy = *state;
    const int fds[3] = { new_fd(), new_fd(), new_fd() };
    const uint8_t bools[3] = { 1, 0, 1 };
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 3, fds, 3), FERRY_OK);
    assert_int_equal(
        set_irqs(toy, FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_MASK, 0, 1, NULL, 0),
        FERRY_OK);
    request.u.irq_set = (struct ferry_irq_set){
        .flags = FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_TRIGGER,
        .index = 2,
        .count = 3,
        .bools = bools,
    };
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(count_of(fds[0]), 0);
    assert_int_equal(count_of(fds[1]), 0);
    assert_int_equal(count_of(fds[2]), 1);
    assert_int_equal(pending(toy, 0), 1);
    assert_int_equal(
        set_irqs(toy, FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_UNMASK, 0, 3, NULL, 0),
        FERRY_OK);
    assert_int_equal(count_of(fds[0]), 1);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

static void single_vectors_are_taken_away(void **state)
{
    struct toy *toy = *state;
    const int fds[3] = { new_fd(), new_fd(), new_fd() };
    const int none = -1;

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 3, fds, 3), FERRY_OK);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 1, 1, NULL, 0), FERRY_OK);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 2, 1, &none, 1), FERRY_OK);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(ferry_irq_raise(toy->device, i), FERRY_OK);
        assert_int_equal(count_of(fds[i]), i == 0);
    }
    assert_int_equal(pending(toy, 0), 6);
    /* A new eventfd gets what waited for it. */
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 1, 1, &fds[1], 1), FERRY_OK);
    assert_int_equal(count_of(fds[1]), 1);
    assert_int_equal(set_irqs(toy, DISABLE, 0, 0, NULL, 0), FERRY_OK);
    assert_int_equal(pending(toy, 0), 0);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    assert_int_equal(count_of(fds[0]), 0);
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
}

static void a_full_eventfd_blocks_nobody(void **state)
{
    struct toy *toy = *state;
    const int fd = new_fd();
    const uint64_t nearly = UINT64_MAX - 1;

    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 1, &fd, 1), FERRY_OK);
    assert_int_equal(write(fd, &nearly, 8), 8);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    assert_int_equal(count_of(fd), nearly);
    close(fd);
}

static void malformed_requests_change_nothing(void **state)
{
    struct toy *toy = *state;
    const int fd = new_fd();
    int pipes[2], mixed[2];
    struct ferry_request intx = { .kind = FERRY_RQ_SET_IRQS };

    assert_int_equal(pipe(pipes), 0);
    mixed[0] = fd;
    mixed[1] = pipes[1];
    intx.u.irq_set.flags = DISABLE;
    assert_int_equal(toy_ask(toy, &intx), FERRY_E_NOT_FOUND);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 65, 2, mixed, 2), FERRY_E_RANGE);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, UINT32_MAX, 2, mixed, 2), FERRY_E_RANGE);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 2, &fd, 1), FERRY_E_FDS);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 2, mixed, 2), FERRY_E_FDS);
    assert_int_equal(set_irqs(toy, 0, 0, 1, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS | FERRY_IRQ_SET_MASK, 0, 1, &fd, 1),
                     FERRY_E_ARGUMENT);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS | 64, 0, 1, &fd, 1), FERRY_E_ARGUMENT);
    assert_int_equal(set_irqs(toy, TRIGGER_FDS, 0, 0, NULL, 0), FERRY_E_ARGUMENT);
    assert_int_equal(
        set_irqs(toy, FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_MASK, 0, 1, &fd, 1),
        FERRY_E_UNSUPPORTED);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    assert_int_equal(count_of(fd), 0);
    assert_int_equal(control(toy) & 0x8000, 0);
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

/* Masked at the source when it was raised, unmasked at the target. */
static void a_pending_vector_moves_with_the_device(void **state)
{
    static uint8_t stream[4096];
    struct toy *source = *state;
    struct toy *target = toy_new(FERRY_MIG_STOP_COPY, 0);
    const uint64_t at = TOY_TABLE_OFF + 65 * 16 + 12;
    int fd[1] = { new_fd() }, other[1] = { new_fd() };
    uint64_t bytes;

    assert_int_equal(set_irqs(source, TRIGGER_FDS, 65, 1, fd, 1), FERRY_OK);
    assert_int_equal(toy_write32(source, 4, at, 1), FERRY_OK);
    assert_int_equal(ferry_irq_raise(source->device, 65), FERRY_OK);
    assert_int_equal(toy_set(source, FERRY_STATE_STOP_COPY), FERRY_OK);
    bytes = toy_save(source, stream, sizeof(stream), 3);
    assert_int_equal(count_of(fd[0]), 0);
    target->state_bytes = source->state_bytes;
    assert_int_equal(set_irqs(target, TRIGGER_FDS, 65, 1, other, 1), FERRY_OK);
    assert_int_equal(toy_set(target, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(target, stream, bytes, 1), FERRY_OK);
    assert_int_equal(toy_set(target, FERRY_STATE_STOP), FERRY_OK);
    assert_int_equal(toy_read32(target, 4, TOY_PBA_OFF + 8), 2);
    assert_int_equal(count_of(other[0]), 0);
    assert_int_equal(toy_set(target, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(count_of(other[0]), 1);
    assert_int_equal(toy_read32(target, 4, TOY_PBA_OFF + 8), 0);
    /* A vector that the target lacks. */
    stream[48 + 8 + 8] = 66;
    assert_int_equal(toy_set(target, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(target, stream, bytes, 4096), FERRY_E_RANGE);
    toy_free(target);
    ferry_os_close(&fd[0]);
    ferry_os_close(&other[0]);
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(table_remembers_and_masks_after_power_on),
        TEST(set_irqs_enables_unmasks_and_delivers),
        TEST(a_masked_vector_waits_and_fires_once),
        TEST(function_mask_and_enable_hold_back),
        TEST(mask_unmask_and_trigger_by_message),
        TEST(single_vectors_are_taken_away),
        TEST(a_full_eventfd_blocks_nobody),
        TEST(malformed_requests_change_nothing),
        TEST(a_pending_vector_moves_with_the_device),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
