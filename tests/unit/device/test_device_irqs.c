/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <unistd.h>

#include "base/reader.h"
#include "os/eventfd.h"
#include "test_device_toy.h"

/* INTx, MSI, ERR and REQ; MSI-X has a file of its own. */

#define INTX 0u
#define MSI 1u
#define MSIX 2u
#define ERR 3u
#define REQ 4u
#define FDS(action) (FERRY_IRQ_SET_DATA_EVENTFD | FERRY_IRQ_SET_##action)
#define NONE(action) (FERRY_IRQ_SET_DATA_NONE | FERRY_IRQ_SET_##action)
#define CONFIG FERRY_REGION_CONFIG
#define VECTORS 8u

static void add_irqs(struct ferry_device_desc *desc)
{
    desc->intx_pin = 1;
    desc->msi_vectors = VECTORS;
}

static int setup(void **state)
{
    *state = toy_new_with(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P, 1, add_irqs);
    return 0;
}

static int teardown(void **state)
{
    toy_free(*state);
    return 0;
}

static uint8_t byte_at(struct toy *toy, uint32_t off)
{
    uint8_t value = 0;

    assert_int_equal(toy_read(toy, CONFIG, off, &value, 1), FERRY_OK);
    return value;
}

static uint32_t find_cap(struct toy *toy, uint8_t id)
{
    uint32_t at = byte_at(toy, 0x34);

    while (byte_at(toy, at) != id) {
        at = byte_at(toy, at + 1);
        assert_int_not_equal(at, 0);
    }
    return at;
}

static int status_bit(struct toy *toy)
{
    return (byte_at(toy, 6) & 8) != 0;
}

static void set_command(struct toy *toy, uint16_t value)
{
    assert_int_equal(toy_write(toy, CONFIG, 4, &value, 2), FERRY_OK);
}

/* One eventfd for INTx, one that unmasks it. */
static void arm_intx(struct toy *toy, int *ret_fd, int *ret_unmask)
{
    *ret_fd = toy_eventfd();
    *ret_unmask = toy_eventfd();
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 0, 1, ret_fd, 1), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(UNMASK), 0, 1, ret_unmask, 1), FERRY_OK);
}

static void info_tells_what_the_kernel_tells(void **state)
{
    static const struct {
        uint32_t flags, count;
    } wanted[] = {
        { FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE | FERRY_IRQ_AUTOMASKED, 1 },
        { FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE | FERRY_IRQ_NORESIZE, VECTORS },
        { FERRY_IRQ_EVENTFD | FERRY_IRQ_MASKABLE, TOY_VECTORS },
        { FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE, 1 },
        { FERRY_IRQ_EVENTFD | FERRY_IRQ_NORESIZE, 1 },
    };
    struct ferry_request request = { .kind = FERRY_RQ_GET_IRQ_INFO };

    for (uint32_t i = 0; i < 5; i++) {
        request.u.irq.index = i;
        assert_int_equal(toy_ask(*state, &request), FERRY_OK);
        assert_int_equal(request.u.irq.flags, wanted[i].flags);
        assert_int_equal(request.u.irq.count, wanted[i].count);
    }
    assert_int_equal(byte_at(*state, 0x3d), 1); /* interrupt pin */
}

static void a_line_fires_once_and_again_after_each_unmask(void **state)
{
    struct toy *toy = *state;
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_true(status_bit(toy));
    /* Still asserted: by message, then through the eventfd. */
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(UNMASK), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_int_equal(ferry_os_eventfd_signal(unmask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy_count(fd), 1);
    assert_int_equal(toy_count(unmask), 0); /* taken */
    /* No longer asserted: silence, and the next edge fires at once. */
    assert_int_equal(ferry_intx_set(toy->device, 0), FERRY_OK);
    assert_false(status_bit(toy));
    assert_int_equal(ferry_os_eventfd_signal(unmask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy_count(fd), 0);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    close(fd);
    close(unmask);
}

static void bools_choose_and_loopback_leaves_the_line(void **state)
{
    static const uint8_t no = 0, yes = 1;
    struct toy *toy = *state;
    struct ferry_request request = { .kind = FERRY_RQ_SET_IRQS };
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(TRIGGER), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_false(status_bit(toy));
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    request.u.irq_set =
        (struct ferry_irq_set){ .flags = FERRY_IRQ_SET_DATA_BOOL | FERRY_IRQ_SET_UNMASK,
                                .index = INTX,
                                .count = 1,
                                .bools = &no };
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    request.u.irq_set.bools = &yes;
    assert_int_equal(toy_ask(toy, &request), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    close(fd);
    close(unmask);
}

static void masks_and_intx_disable_hold_the_line_back(void **state)
{
    struct toy *toy = *state;
    const int mask = toy_eventfd();
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(MASK), 0, 1, &mask, 1), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(mask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    set_command(toy, 0x400);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(UNMASK), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    assert_true(status_bit(toy)); /* shown whatever the command says */
    set_command(toy, 0);
    assert_int_equal(toy_count(fd), 1);
    /* The mask's eventfd is taken away again: nothing hears it. */
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(MASK), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(UNMASK), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_int_equal(ferry_os_eventfd_signal(mask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy_count(mask), 1);
    close(fd);
    close(unmask);
    close(mask);
}

/* MIG-P2P-6 */
static void a_line_waits_while_the_device_is_quiet(void **state)
{
    struct toy *toy = *state;
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING_P2P), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(UNMASK), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    assert_int_equal(ferry_intx_set(toy->device, 0), FERRY_OK); /* always */
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_E_STATE);
    assert_false(status_bit(toy));
    assert_int_equal(toy_set(toy, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    toy_bring(toy, FERRY_STATE_RUNNING); /* a reset deasserts */
    assert_false(status_bit(toy));
    close(fd);
    close(unmask);
}

/* MIG-IRQ-3, MIG-EXT-1 */
static void line_and_pending_vectors_move_with_the_device(void **state)
{
    struct toy *toy = *state, *other;
    static uint8_t data[4096];
    uint64_t size;
    int fd = toy_eventfd(), fds[VECTORS];

    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, MSI, NONE(TRIGGER), 5, 2, NULL, 0), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, MSIX, NONE(TRIGGER), 65, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_set(toy, FERRY_STATE_STOP_COPY), FERRY_OK);
    size = toy_save(toy, data, sizeof(data), 100);
    other = toy_new_with(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P, 1, add_irqs);
    other->state_bytes = 5;
    assert_int_equal(toy_set(other, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(other, data, size, 7), FERRY_OK);
    assert_int_equal(toy_set_irqs(other, INTX, FDS(TRIGGER), 0, 1, &fd, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    assert_int_equal(toy_set(other, FERRY_STATE_RUNNING), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    assert_int_equal(toy_read32(other, 4, TOY_PBA_OFF + 8), 1u << (65 - 64));
    assert_int_equal(toy_config32(other, find_cap(other, 5) + 0x14), 3u << 5);
    assert_int_equal(toy_set_irqs(other, INTX, NONE(TRIGGER), 0, 0, NULL, 0), FERRY_OK);
    for (uint32_t i = 0; i < VECTORS; i++) {
        fds[i] = toy_eventfd();
    }
    assert_int_equal(toy_set_irqs(other, MSI, FDS(TRIGGER), 0, VECTORS, fds, VECTORS),
                     FERRY_OK);
    for (uint32_t i = 0; i < VECTORS; i++) {
        assert_int_equal(toy_count(fds[i]), i == 5 || i == 6);
        close(fds[i]);
    }
    toy_free(other);
    /* A device without these interrupts cannot have them pending. */
    other = toy_new(FERRY_MIG_STOP_COPY | FERRY_MIG_P2P, 1);
    assert_int_equal(toy_set(other, FERRY_STATE_RESUMING), FERRY_OK);
    assert_int_equal(toy_load(other, data, size, 100), FERRY_E_RANGE);
    toy_free(other);
    close(fd);
}

static void msi_capability_is_64_bit_with_masks(void **state)
{
    struct toy *toy = *state;
    const uint32_t at = find_cap(toy, 5);
    uint8_t ones[24];

    for (size_t i = 0; i < sizeof(ones); i++) {
        ones[i] = 0xff;
    }
    assert_int_equal(toy_config32(toy, at) >> 16, 0x0186); /* masks, 64 bit, 8 vectors */
    assert_int_equal(toy_write(toy, CONFIG, at, ones, 24), FERRY_OK);
    assert_int_equal(toy_config32(toy, at) >> 16, 0x01f7);
    assert_int_equal(toy_config32(toy, at) & 0xff, 5);
    assert_int_equal(toy_config32(toy, at + 4), 0xfffffffc);
    assert_int_equal(toy_config32(toy, at + 8), 0xffffffff);
    assert_int_equal(toy_config32(toy, at + 12), 0x0000ffff);
    assert_int_equal(toy_config32(toy, at + 16), 0x000000ff);
    assert_int_equal(toy_config32(toy, at + 20), 0); /* read only */
    /* 128 vectors were written, 8 are there: none beyond them is reached. */
    assert_int_equal(ferry_irq_raise(toy->device, 15), FERRY_OK);
    assert_int_equal(toy_config32(toy, at + 20), 1u << 7);
}

static void msi_delivers_masks_and_shares(void **state)
{
    struct toy *toy = *state;
    const uint32_t at = find_cap(toy, 5);
    const int fds[4] = { toy_eventfd(), toy_eventfd(), toy_eventfd(), toy_eventfd() };
    const int unmask = toy_eventfd();
    const uint16_t off = 0;

    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 0, 4, fds, 4), FERRY_OK);
    assert_int_equal(toy_config32(toy, at) >> 16 & 0x71, 0x21); /* enabled, 4 vectors */
    assert_int_equal(ferry_irq_raise(toy->device, 1), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 5), FERRY_OK); /* 5 modulo 4 */
    assert_int_equal(toy_count(fds[1]), 2);
    assert_int_equal(ferry_irq_raise(toy->device, TOY_VECTORS), FERRY_E_NOT_FOUND);
    /* Masked in config space, unmasked through an eventfd. */
    assert_int_equal(toy_write32(toy, CONFIG, at + 16, 1u << 2), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 2), FERRY_OK);
    assert_int_equal(toy_count(fds[2]), 0);
    assert_int_equal(toy_config32(toy, at + 20), 1u << 2);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(UNMASK), 2, 1, &unmask, 1), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(unmask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(toy_count(fds[2]), 1);
    assert_int_equal(toy_config32(toy, at + 16), 0);
    assert_int_equal(toy_config32(toy, at + 20), 0);
    /* Disabled in config space: pending until it is enabled again. */
    assert_int_equal(toy_write(toy, CONFIG, at + 2, &off, 2), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    assert_int_equal(toy_count(fds[0]), 0);
    assert_int_equal(toy_write(toy, CONFIG, at + 2, &(uint16_t){ 0x21 }, 2), FERRY_OK);
    assert_int_equal(toy_count(fds[0]), 1);
    for (int i = 0; i < 4; i++) {
        close(fds[i]);
    }
    close(unmask);
}

static void one_of_three_is_in_use(void **state)
{
    struct toy *toy = *state;
    const int fd = toy_eventfd();

    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 0, 1, &fd, 1), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 0, 1, &fd, 1),
                     FERRY_E_ARGUMENT);
    assert_int_equal(toy_set_irqs(toy, MSIX, FDS(TRIGGER), 0, 1, &fd, 1),
                     FERRY_E_ARGUMENT);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(TRIGGER), 0, 0, NULL, 0), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, MSIX, FDS(TRIGGER), 0, 1, &fd, 1), FERRY_OK);
    assert_int_equal(ferry_irq_raise(toy->device, 0), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    /* The line is silent while MSI-X is enabled. */
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 0, 1, &fd, 1),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    close(fd);
}

static void error_and_request_reach_who_listens(void **state)
{
    struct toy *toy = *state;
    const int error = toy_eventfd(), request = toy_eventfd();

    assert_int_equal(ferry_irq_error(toy->device), FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_irq_request(toy->device), FERRY_E_NOT_FOUND);
    assert_int_equal(toy_set_irqs(toy, ERR, FDS(TRIGGER), 0, 1, &error, 1), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, REQ, FDS(TRIGGER), 0, 1, &request, 1), FERRY_OK);
    toy_bring(toy, FERRY_STATE_ERROR); /* in every state */
    assert_int_equal(ferry_irq_error(toy->device), FERRY_OK);
    assert_int_equal(ferry_irq_request(toy->device), FERRY_OK);
    assert_int_equal(toy_count(error), 1);
    assert_int_equal(toy_count(request), 1);
    assert_int_equal(toy_set_irqs(toy, ERR, NONE(TRIGGER), 0, 1, NULL, 0), FERRY_OK);
    assert_int_equal(toy_count(error), 1);
    assert_int_equal(toy_set_irqs(toy, ERR, NONE(TRIGGER), 0, 0, NULL, 0), FERRY_OK);
    assert_int_equal(ferry_irq_error(toy->device), FERRY_E_NOT_FOUND);
    close(error);
    close(request);
}

static void bad_set_irqs_change_nothing(void **state)
{
    struct toy *toy = *state;
    const int good = toy_eventfd(), none = toy_memfd(4096), minus = -1;
    const int two[2] = { good, none };

    assert_int_equal(toy_set_irqs(toy, 5, FDS(TRIGGER), 0, 1, &good, 1),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 1, 1, &good, 1),
                     FERRY_E_RANGE);
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 0, 2, two, 2), FERRY_E_RANGE);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 7, 2, two, 2), FERRY_E_RANGE);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 0, 2, two, 2), FERRY_E_FDS);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(UNMASK), 0, 2, two, 2), FERRY_E_FDS);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 0, 2, two, 1), FERRY_E_FDS);
    assert_int_equal(toy_set_irqs(toy, MSIX, FDS(UNMASK), 0, 1, &good, 1),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(toy_set_irqs(toy, ERR, NONE(MASK), 0, 1, NULL, 0),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(toy_set_irqs(toy, REQ, FDS(UNMASK), 0, 1, &good, 1),
                     FERRY_E_UNSUPPORTED);
    assert_int_equal(
        toy_set_irqs(toy, INTX, FDS(TRIGGER) | FERRY_IRQ_SET_MASK, 0, 1, &good, 1),
        FERRY_E_ARGUMENT);
    assert_int_equal(toy_set_irqs(toy, INTX, NONE(UNMASK), 0, 0, NULL, 0),
                     FERRY_E_ARGUMENT);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(good), 0);
    /* MSI-X can still be taken: none of these put an index into use. */
    assert_int_equal(toy_set_irqs(toy, MSIX, FDS(TRIGGER), 0, 1, &minus, 1), FERRY_OK);
    close(good);
    close(none);
}

static void a_user_who_makes_an_eventfd_blocking_stops_nobody(void **state)
{
    struct toy *toy = *state;
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(fcntl(unmask, F_SETFL, 0), 0);
    assert_int_equal(ferry_os_eventfd_drain_shared(unmask, NULL), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_signal(unmask), FERRY_OK);
    toy_work(toy);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    close(fd);
    close(unmask);
}

/* MIG-OPEN-2 */
static void the_next_user_finds_nothing_of_the_last(void **state)
{
    struct toy *toy = *state;
    int fd, unmask;

    arm_intx(toy, &fd, &unmask);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 1);
    toy->endpoint->ops->detach(toy->endpoint);
    assert_int_equal(ferry_os_eventfd_signal(unmask), FERRY_OK);
    assert_int_equal(toy->endpoint->ops->attach(toy->endpoint, &toy->port), FERRY_OK);
    toy_work(toy);
    assert_false(status_bit(toy));
    assert_int_equal(toy_count(unmask), 1);
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_OK);
    assert_int_equal(toy_count(fd), 0);
    close(fd);
    close(unmask);
}

static void devices_without_a_pin_or_vectors_say_so(void **state)
{
    struct toy *toy = toy_new(FERRY_MIG_STOP_COPY, 0);
    const int fd = toy_eventfd();

    (void)state;
    assert_int_equal(ferry_intx_set(toy->device, 1), FERRY_E_NOT_FOUND);
    assert_int_equal(toy_set_irqs(toy, INTX, FDS(TRIGGER), 0, 1, &fd, 1),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(toy_set_irqs(toy, MSI, FDS(TRIGGER), 0, 1, &fd, 1),
                     FERRY_E_NOT_FOUND);
    toy_free(toy);
    close(fd);
}

/* The description of an open file is shared with the user, who can make it block. */
static void a_full_eventfd_that_blocks_again_stops_nobody(void **state)
{
    const uint64_t full = UINT64_MAX - 1;
    struct toy *toy = *state;
    const int fd = toy_eventfd();

    assert_int_equal(toy_set_irqs(toy, REQ, FDS(TRIGGER), 0, 1, &fd, 1), FERRY_OK);
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    assert_int_equal(write(fd, &full, sizeof(full)), (int)sizeof(full));
    (void)alarm(10); /* only a hang reaches it */
    assert_int_equal(ferry_irq_request(toy->device), FERRY_OK);
    assert_int_equal(toy_set_irqs(toy, REQ, NONE(TRIGGER), 0, 1, NULL, 0), FERRY_OK);
    (void)alarm(0);
    assert_int_equal(toy_count(fd), full);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_eventfd_that_blocks_again_stops_nobody,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(info_tells_what_the_kernel_tells, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_fires_once_and_again_after_each_unmask,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(bools_choose_and_loopback_leaves_the_line, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(masks_and_intx_disable_hold_the_line_back, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_line_waits_while_the_device_is_quiet, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(line_and_pending_vectors_move_with_the_device,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(msi_capability_is_64_bit_with_masks, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(msi_delivers_masks_and_shares, setup, teardown),
        cmocka_unit_test_setup_teardown(one_of_three_is_in_use, setup, teardown),
        cmocka_unit_test_setup_teardown(error_and_request_reach_who_listens, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bad_set_irqs_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_user_who_makes_an_eventfd_blocking_stops_nobody,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_next_user_finds_nothing_of_the_last, setup,
                                        teardown),
        cmocka_unit_test(devices_without_a_pin_or_vectors_say_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
