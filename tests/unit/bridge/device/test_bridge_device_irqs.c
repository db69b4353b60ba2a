/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/device/link.h"
#include "test_bridge_device_rig.h"

/* Interrupts: every form of SET_IRQS, with a server in another process. The server raises
 * them when it is asked to (DATA_NONE with TRIGGER), into the VMM's eventfds. */

#define INTX BRIDGE_IRQ_INTX
#define MSI BRIDGE_IRQ_MSI
#define MSIX BRIDGE_IRQ_MSIX
#define ERR BRIDGE_IRQ_ERR
#define REQ 4u

#define NONE FERRY_IRQ_SET_DATA_NONE
#define BOOL FERRY_IRQ_SET_DATA_BOOL
#define EVENTFD FERRY_IRQ_SET_DATA_EVENTFD
#define MASK FERRY_IRQ_SET_MASK
#define UNMASK FERRY_IRQ_SET_UNMASK
#define TRIGGER FERRY_IRQ_SET_TRIGGER

static struct rig rig;
static int event[RIG_MSIX];

static int up_with(const char *variant)
{
    rig_up(&rig, variant);
    for (uint32_t i = 0; i < RIG_MSIX; i++) {
        event[i] = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        assert_true(event[i] >= 0);
    }
    return 0;
}

static int up(void **state)
{
    (void)state;
    return up_with(RIG_PLAIN);
}

static int up_conventional(void **state)
{
    (void)state;
    return up_with(RIG_CONVENTIONAL);
}

static int down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < RIG_MSIX; i++) {
        (void)close(event[i]);
    }
    rig_down(&rig);
    return 0;
}

/* data: of each x count bytes behind the struct; short_by: so much less argsz. */
static long set(uint32_t flags, uint32_t index, uint32_t start, uint32_t count,
                const void *data, size_t bytes)
{
    struct {
        struct uapi_irq_set head;
        uint8_t data[RIG_MSIX * 4];
    } call = { .head = { .argsz = (uint32_t)(sizeof(call.head) + bytes),
                         .flags = flags,
                         .index = index,
                         .start = start,
                         .count = count } };

    if (bytes > 0) {
        memcpy(call.data, data, bytes);
    }
    return rig_ioctl(rig.object, UAPI_SET_IRQS, &call);
}

static long set_fds(uint32_t action, uint32_t index, uint32_t start, const int32_t *fd,
                    uint32_t count)
{
    return set(EVENTFD | action, index, start, count, fd, count * sizeof(*fd));
}

static long fire(uint32_t index, uint32_t start, uint32_t count)
{
    return set(NONE | TRIGGER, index, start, count, NULL, 0);
}

static long off(uint32_t index)
{
    return set(NONE | TRIGGER, index, 0, 0, NULL, 0);
}

/* How often an eventfd was signalled, since it was looked at last. The server's answer
 * comes after the signal, so nothing has to be waited for. */
static uint64_t times(int fd)
{
    uint64_t count = 0;

    return read(fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void infos_are_told_for_every_index(void **state)
{
    static const uint32_t count[] = { 1, RIG_MSI, RIG_MSIX, 1, 1 };
    struct uapi_irq irq = { .argsz = sizeof(irq) };

    (void)state;
    for (irq.index = 0; irq.index < 5; irq.index++) {
        assert_int_equal(rig_ioctl(rig.object, UAPI_GET_IRQ_INFO, &irq), 0);
        assert_int_equal(irq.count, count[irq.index]);
        assert_true(irq.flags & FERRY_IRQ_EVENTFD);
    }
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_IRQ_INFO, &irq), -EINVAL);
    irq.index = 0;
    irq.argsz = 15;
    assert_int_equal(rig_ioctl(rig.object, UAPI_GET_IRQ_INFO, &irq), -EINVAL);
}

static void calls_that_make_no_sense_are_refused(void **state)
{
    const int32_t bad[2] = { event[0], 999999 };
    const int32_t worse[2] = { event[0], -7 };

    (void)state;
    assert_int_equal(set_fds(TRIGGER, 5, 0, event, 1), -EINVAL);
    assert_int_equal(set_fds(TRIGGER, MSIX, RIG_MSIX, event, 1), -EINVAL);
    assert_int_equal(set_fds(TRIGGER, MSIX, RIG_MSIX - 1, event, 2), -EINVAL);
    assert_int_equal(set(NONE | TRIGGER, MSIX, 1, UINT32_MAX, NULL, 0), -EINVAL);
    assert_int_equal(set(EVENTFD | TRIGGER, MSIX, 0, 2, event, 7), -EINVAL);
    assert_int_equal(set(BOOL | TRIGGER, MSIX, 0, 2, event, 1), -EINVAL);
    assert_int_equal(set(NONE | EVENTFD | TRIGGER, MSIX, 0, 1, event, 4), -EINVAL);
    assert_int_equal(set(TRIGGER, MSIX, 0, 1, event, 4), -EINVAL);
    assert_int_equal(set(NONE, MSIX, 0, 1, NULL, 0), -ENOTTY);
    assert_int_equal(set(NONE | MASK | UNMASK, MSIX, 0, 1, NULL, 0), -ENOTTY);
    assert_int_equal(set(NONE | TRIGGER | 64, MSIX, 0, 1, NULL, 0), -EINVAL);
    assert_int_equal(set(EVENTFD | TRIGGER, MSIX, 0, 0, NULL, 0), -EINVAL);
    assert_int_equal(set(NONE | MASK, MSIX, 0, 0, NULL, 0), -EINVAL);
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, bad, 2), -EBADF);
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, worse, 2), -EINVAL);
    assert_int_equal(fire(MSIX, 0, 1), 0);
    assert_int_equal(times(event[0]), 0); /* none of them was taken */
}

static void msix_vectors_fire_into_their_eventfds(void **state)
{
    const int32_t enable = -1;
    int32_t some[4] = { event[4], -1, -1, event[7] };

    (void)state;
    /* As QEMU does: enabled by a vector without one, then vector by vector. */
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, &enable, 1), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 2, &event[2], 1), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 4, some, 4), 0);
    assert_int_equal(fire(MSIX, 0, 10), 0);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(times(event[i]), i == 2 || i == 4 || i == 7);
    }
    /* Another eventfd for a vector, and none. */
    assert_int_equal(set_fds(TRIGGER, MSIX, 2, &event[20], 1), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 7, &enable, 1), 0);
    assert_int_equal(fire(MSIX, 0, 10), 0);
    assert_int_equal(times(event[2]), 0);
    assert_int_equal(times(event[20]), 1);
    assert_int_equal(times(event[7]), 0);
    assert_int_equal(times(event[4]), 1);
    assert_int_equal(off(MSIX), 0);
    assert_int_equal(fire(MSIX, 0, 10), 0);
    assert_int_equal(times(event[4]), 0);
}

static void more_vectors_than_a_message_takes_go_in_several(void **state)
{
    (void)state;
    assert_true(bridge_link_max_fds(rig.device->link) < RIG_MSIX);
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, event, RIG_MSIX), 0);
    assert_int_equal(fire(MSIX, 0, RIG_MSIX), 0);
    for (uint32_t i = 0; i < RIG_MSIX; i++) {
        assert_int_equal(times(event[i]), 1);
    }
}

static void some_vectors_of_a_range_fire(void **state)
{
    const uint8_t which[4] = { 1, 0, 0, 2 };

    (void)state;
    assert_int_equal(set_fds(TRIGGER, MSI, 0, event, RIG_MSI), 0);
    assert_int_equal(set(BOOL | TRIGGER, MSI, 0, 4, which, 4), 0);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(times(event[i]), which[i] != 0);
    }
    /* One kind at a time: the server's rule comes through. */
    assert_true(set_fds(TRIGGER, MSIX, 0, event, 1) < 0);
    assert_int_equal(off(MSI), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, event, 1), 0);
}

static void intx_is_masked_by_call_and_by_eventfd(void **state)
{
    (void)state;
    assert_int_equal(set_fds(TRIGGER, INTX, 0, event, 1), 0);
    assert_int_equal(set_fds(UNMASK, INTX, 0, event + 1, 1), 0);
    assert_int_equal(fire(INTX, 0, 1), 0);
    assert_int_equal(times(event[0]), 1);
    assert_int_equal(set(NONE | MASK, INTX, 0, 1, NULL, 0), 0);
    assert_int_equal(set(NONE | UNMASK, INTX, 0, 1, NULL, 0), 0);
    assert_int_equal(off(INTX), 0);
    assert_int_equal(fire(INTX, 0, 1), 0);
    assert_int_equal(times(event[0]), 0);
}

static void the_vmm_hears_an_alarm(void **state)
{
    const int32_t none = -1;

    (void)state;
    bridge_device_alarm(rig.device); /* nobody listens */
    assert_int_equal(set_fds(TRIGGER, ERR, 0, event, 1), 0);
    bridge_device_alarm(rig.device);
    assert_int_equal(times(event[0]), 1);
    assert_int_equal(fire(ERR, 0, 1), 0);
    assert_int_equal(times(event[0]), 1);
    assert_int_equal(set_fds(TRIGGER, ERR, 0, &none, 1), 0);
    bridge_device_alarm(rig.device);
    assert_int_equal(times(event[0]), 0);
}

static void the_alarm_needs_no_server_that_has_it(void **state)
{
    const uint8_t no = 0;

    (void)state;
    assert_int_equal(rig.device->irq[ERR].count, 0);
    the_vmm_hears_an_alarm(state);
    assert_int_equal(set_fds(TRIGGER, ERR, 0, event, 1), 0);
    assert_int_equal(set(BOOL | TRIGGER, ERR, 0, 1, &no, 1), 0);
    assert_int_equal(times(event[0]), 0);
    assert_int_equal(set(NONE | MASK, ERR, 0, 1, NULL, 0), -ENOTTY);
    assert_int_equal(off(ERR), 0);
    bridge_device_alarm(rig.device);
    assert_int_equal(times(event[0]), 0);
}

static void a_device_asks_to_be_given_back(void **state)
{
    (void)state;
    assert_int_equal(set_fds(TRIGGER, REQ, 0, event, 1), 0);
    assert_int_equal(fire(REQ, 0, 1), 0);
    assert_int_equal(times(event[0]), 1);
    assert_int_equal(off(REQ), 0);
}

static void what_was_set_up_holds_with_the_next_server(void **state)
{
    const int32_t enable = -1;

    (void)state;
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, &enable, 1), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 1, event + 1, RIG_MSIX - 1), 0);
    assert_int_equal(set_fds(TRIGGER, MSIX, 40, &enable, 1), 0);
    assert_int_equal(set_fds(TRIGGER, ERR, 0, event, 1), 0);
    rig_kill_server(&rig);
    rig_await_dead(&rig, 1);
    /* Nobody is there, but what the VMM wants is remembered. */
    assert_int_equal(set_fds(TRIGGER, MSIX, 50, &enable, 1), -EIO);
    assert_int_equal(fire(MSIX, 1, 1), -EIO);
    rig_start_server(&rig, RIG_PLAIN);
    assert_int_equal(rig_ioctl(rig.object, UAPI_RESET, NULL), 0);
    assert_int_equal(fire(MSIX, 0, RIG_MSIX), 0);
    for (uint32_t i = 1; i < RIG_MSIX; i++) {
        assert_int_equal(times(event[i]), i != 40 && i != 50);
    }
    assert_int_equal(fire(ERR, 0, 1), 0);
    assert_int_equal(times(event[0]), 1);
    /* And what was switched off stays so. */
    assert_int_equal(off(MSIX), 0);
    assert_int_equal(set_fds(TRIGGER, INTX, 0, event + 2, 1), 0);
    assert_int_equal(set(NONE | MASK, INTX, 0, 1, NULL, 0), 0);
    rig_kill_server(&rig);
    rig_start_server(&rig, RIG_PLAIN);
    rig_await_dead(&rig, 1);
    assert_int_equal(rig_ioctl(rig.object, UAPI_RESET, NULL), 0);
    assert_int_equal(fire(MSIX, 0, RIG_MSIX), 0);
    assert_int_equal(times(event[5]), 0);
    assert_int_equal(fire(INTX, 0, 1), 0);
    assert_int_equal(times(event[2]), 1);
    assert_int_equal(set_fds(TRIGGER, MSIX, 0, event, 1), -EINVAL); /* INTx is in use */
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(infos_are_told_for_every_index, up, down),
        cmocka_unit_test_setup_teardown(calls_that_make_no_sense_are_refused, up, down),
        cmocka_unit_test_setup_teardown(msix_vectors_fire_into_their_eventfds, up, down),
        cmocka_unit_test_setup_teardown(more_vectors_than_a_message_takes_go_in_several,
                                        up, down),
        cmocka_unit_test_setup_teardown(some_vectors_of_a_range_fire, up, down),
        cmocka_unit_test_setup_teardown(intx_is_masked_by_call_and_by_eventfd, up, down),
        cmocka_unit_test_setup_teardown(the_vmm_hears_an_alarm, up, down),
        cmocka_unit_test_setup_teardown(the_alarm_needs_no_server_that_has_it,
                                        up_conventional, down),
        cmocka_unit_test_setup_teardown(a_device_asks_to_be_given_back, up, down),
        cmocka_unit_test_setup_teardown(what_was_set_up_holds_with_the_next_server, up,
                                        down),
    };

    rig_be_server(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
