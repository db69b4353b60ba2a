/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <linux/kvm.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "bridge/object.h"
#include "bridge/preload/symbols/kvm.h"
#include "bridge/preload/symbols/real.h"
#include "bridge/preload/table.h"

/* What a VMM tells KVM of VFIO devices; the kernel is a function here. */

#define VM 1000 /* a descriptor of nobody's */
#define GROUP_ADD 1u

static int kernel_has_vfio;
static int kernel_calls;
static unsigned long kernel_request;
static int ours = -1; /* a descriptor that stands for an object of the bridge */

static int kernel(int fd, unsigned long request, ...)
{
    struct kvm_create_device *device;
    va_list args;

    va_start(args, request);
    device = va_arg(args, struct kvm_create_device *);
    va_end(args);
    (void)fd;
    kernel_calls++;
    kernel_request = request;
    if ((uint32_t)request != KVM_CREATE_DEVICE || !kernel_has_vfio) {
        errno = request == KVM_RUN ? EINTR : EINVAL; /* it knows no such descriptor */
        return -1;
    }
    device->fd = (uint32_t)memfd_create("kvm-vfio", MFD_CLOEXEC);
    return 0;
}

const struct bridge_real *bridge_real(void)
{
    static const struct bridge_real real = { .ioctl = kernel, .close = close };

    return &real;
}

static void destroy(struct bridge_object *object)
{
    free(object);
}

static const struct bridge_object_ops ops = { .kind = "group", .destroy = destroy };

static int up(void **state)
{
    struct bridge_object *object = calloc(1, sizeof(*object));

    (void)state;
    assert_non_null(object);
    bridge_object_init(object, &ops);
    ours = memfd_create("group", MFD_CLOEXEC);
    assert_int_equal(bridge_table_put(ours, object), 0);
    bridge_object_put(object);
    kernel_calls = 0;
    kernel_has_vfio = 1;
    return 0;
}

static int down(void **state)
{
    (void)state;
    bridge_table_drop(ours);
    (void)close(ours);
    return 0;
}

/* Return: the pseudo device. */
static int create(unsigned long request)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO };

    assert_true(bridge_kvm_wants(request));
    assert_int_equal(bridge_kvm_ioctl(VM, request, &device), 0);
    return (int)device.fd;
}

static int add(int vfio, int *fd)
{
    struct kvm_device_attr attr = { .group = KVM_DEV_VFIO_GROUP,
                                    .attr = GROUP_ADD,
                                    .addr = (uintptr_t)fd };

    assert_true(bridge_kvm_wants(KVM_SET_DEVICE_ATTR));
    return bridge_kvm_ioctl(vfio, KVM_SET_DEVICE_ATTR, &attr);
}

static void end(int vfio)
{
    bridge_table_drop(vfio);
    (void)close(vfio);
}

static void test_the_kernel_does_not_hear_of_our_descriptors(void **state)
{
    int other = STDIN_FILENO;
    int vfio;

    (void)state;
    vfio = create(KVM_CREATE_DEVICE);
    assert_int_equal(kernel_calls, 1);
    assert_int_equal(add(vfio, &ours), 0);
    assert_int_equal(kernel_calls, 1);
    assert_int_equal(add(vfio, &other), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(kernel_calls, 2);
    end(vfio);
}

static void test_a_request_that_was_an_int_is_the_same(void **state)
{
    const int request = (int)KVM_CREATE_DEVICE;
    int vfio;

    (void)state;
    assert_true(request < 0);
    vfio = create((unsigned long)request);
    assert_true(kernel_request == KVM_CREATE_DEVICE);
    assert_int_equal(add(vfio, &ours), 0);
    assert_int_equal(kernel_calls, 1);
    end(vfio);
}

static void test_a_kernel_without_vfio_is_stood_in_for(void **state)
{
    int other = STDIN_FILENO;
    int vfio;

    (void)state;
    kernel_has_vfio = 0;
    vfio = create(KVM_CREATE_DEVICE);
    kernel_calls = 0;
    assert_int_equal(add(vfio, &ours), 0);
    assert_int_equal(add(vfio, &other), 0);
    assert_int_equal(kernel_calls, 0);
    end(vfio);
}

static void test_other_requests_are_not_looked_at(void **state)
{
    struct kvm_create_device device = { .type = KVM_DEV_TYPE_VFIO + 1 };

    (void)state;
    assert_false(bridge_kvm_wants(KVM_RUN));
    assert_false(bridge_kvm_wants(KVM_GET_API_VERSION));
    kernel_has_vfio = 0;
    assert_int_equal(bridge_kvm_ioctl(VM, KVM_CREATE_DEVICE, &device), -1);
    assert_int_equal(errno, EINVAL);
    /* A device of another kind: the kernel's. */
    assert_int_equal(add(VM, &ours), -1);
    assert_int_equal(kernel_calls, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, up, down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_kernel_does_not_hear_of_our_descriptors),
        TEST(test_a_request_that_was_an_int_is_the_same),
        TEST(test_a_kernel_without_vfio_is_stood_in_for),
        TEST(test_other_requests_are_not_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
