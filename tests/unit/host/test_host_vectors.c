/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ferry/host.h"
#include "host/context/context.h"
#include "os/eventfd.h"
#include "os/memory.h"
#include "test_host_pair.h"
static void vectors_get_their_eventfds_in_messages_that_the_server_takes(void **state)
{
    static const uint32_t max_table[] = { 64, 8, 3, 1 };
    int fds[FAKE_VECTORS];

    (void)state;
    make_eventfds(fds, FAKE_VECTORS);
    for (size_t i = 0; i < sizeof(max_table) / sizeof(max_table[0]); i++) {
        struct pair pair;

        setup(&pair);
        pair.a.fds_max = max_table[i];
        assert_int_equal(ferry_context_set_irqs(pair.context, 0, fds, FAKE_VECTORS, NULL),
                         FERRY_OK);
        for (uint32_t vector = 0; vector < FAKE_VECTORS; vector++) {
            uint64_t count = 0;

            fake_raise(&pair.a, vector);
            assert_int_equal(ferry_os_eventfd_drain(fds[vector], &count), FERRY_OK);
            assert_int_equal(count, 1);
        }
        teardown(&pair);
    }
    close_all(fds, FAKE_VECTORS);
}

static void vectors_without_an_eventfd_are_left_out(void **state)
{
    int fds[FAKE_VECTORS];
    struct pair pair;

    (void)state;
    make_eventfds(fds, FAKE_VECTORS);
    ferry_os_close(&fds[0]);
    ferry_os_close(&fds[3]);
    ferry_os_close(&fds[7]);
    setup(&pair);
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, fds, FAKE_VECTORS, NULL),
                     FERRY_OK);
    assert_true(pair.a.irq_fd[0] < 0 && pair.a.irq_fd[3] < 0 && pair.a.irq_fd[7] < 0);
    assert_true(pair.a.irq_fd[1] >= 0 && pair.a.irq_fd[6] >= 0);
    /* Fewer the next time: the rest is taken away. */
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, fds, 2, NULL), FERRY_OK);
    assert_true(pair.a.irq_fd[1] >= 0);
    assert_int_equal(pair.a.irq_fd[6], -1);
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, NULL, 0, NULL), FERRY_OK);
    assert_int_equal(pair.a.irq_fd[1], -1);
    teardown(&pair);
    close_all(fds, FAKE_VECTORS);
}

static void wrong_vectors_are_refused(void **state)
{
    struct ferry_error error = { 0 };
    int fds[FAKE_VECTORS + 1];
    struct pair pair;
    int file;

    (void)state;
    make_eventfds(fds, FAKE_VECTORS + 1);
    setup(&pair);
    assert_int_equal(
        ferry_context_set_irqs(pair.context, 0, fds, FAKE_VECTORS + 1, &error),
        FERRY_E_RANGE);
    assert_int_equal(ferry_context_set_irqs(pair.context, 2, fds, 1, NULL),
                     FERRY_E_NOT_FOUND);
    assert_int_equal(ferry_os_memfd_create("no-eventfd", 4096, &file), FERRY_OK);
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, &file, 1, &error),
                     FERRY_E_ARGUMENT);
    assert_non_null(strstr(error.text, "vector 0"));
    ferry_os_close(&file);
    pair.a.fail_kind = FERRY_RQ_SET_IRQS;
    pair.a.fail_status = FERRY_E_DEVICE;
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, fds, 2, &error),
                     FERRY_E_DEVICE);
    assert_non_null(strstr(error.text, "'a'"));
    teardown(&pair);
    close_all(fds, FAKE_VECTORS + 1);
}

/* MIG-IRQ-2 */
static void pending_interrupts_are_taken_and_raised_again(void **state)
{
    uint8_t pending[FERRY_HOST_IRQ_BITMAP_BYTES];
    uint64_t count = 0;
    struct pair pair;
    int fds[4];

    (void)state;
    make_eventfds(fds, 4);
    ferry_os_close(&fds[2]);
    setup(&pair);
    assert_int_equal(ferry_context_set_irqs(pair.context, 0, fds, 4, NULL), FERRY_OK);
    fake_raise(&pair.a, 1);
    fake_raise(&pair.a, 1);
    fake_raise(&pair.a, 3);
    assert_int_equal(ferry_host_irqs_drain(pair.context, 0, pending), 2);
    assert_int_equal(pending[0], 0x0a);
    assert_int_equal(ferry_host_irqs_drain(pair.context, 0, pending), 0);
    /* A peer's bitmap may name what is not there. */
    pending[0] = 0xfe;
    assert_int_equal(ferry_host_irqs_raise(pair.context, 0, pending, 1), 2);
    assert_int_equal(ferry_os_eventfd_drain(fds[1], &count), FERRY_OK);
    assert_int_equal(count, 1);
    assert_int_equal(ferry_os_eventfd_drain(fds[0], &count), FERRY_OK);
    assert_int_equal(count, 0);
    assert_int_equal(ferry_host_irqs_raise(pair.context, 0, pending, 0), 0);
    teardown(&pair);
    close_all(fds, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_get_their_eventfds_in_messages_that_the_server_takes),
        cmocka_unit_test(vectors_without_an_eventfd_are_left_out),
        cmocka_unit_test(wrong_vectors_are_refused),
        cmocka_unit_test(pending_interrupts_are_taken_and_raised_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
