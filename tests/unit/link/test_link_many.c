/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/eventfd.h"
#include "os/memory.h"
#include "test_link_fake.h"
#include "test_link_raw.h"
#include "test_link_script.h"
#include "wire/message.h"

/* Lists in messages: region descriptors, several writes, interrupts in all forms. */

#define RAW_IO_FDS 6
#define RAW_WRITE_MULTI 15

static struct served served;

static void io_fds_arrive(uint32_t layout)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .io_fd_layout = layout };
    struct ferry_io_fd entry[FERRY_IO_FDS_MAX];
    struct ferry_request r = { .kind = FERRY_RQ_REGION_IO_FDS };
    int fd = served_start(&served, &options);
    struct ferry_client *user;
    uint64_t signals;

    assert_int_equal(ferry_client_from_fd(fd, NULL, &user, NULL), FERRY_OK);
    r.u.io_fds.cap = FERRY_IO_FDS_MAX;
    r.u.io_fds.entry = entry;
    assert_int_equal(ferry_client_call(user, &r), FERRY_OK);
    assert_int_equal(r.u.io_fds.count, 4);
    assert_int_equal(entry[1].off, 0x100);
    assert_int_equal(entry[1].flags, FERRY_IO_FD_DATAMATCH);
    assert_int_equal(entry[1].datamatch, 77);
    assert_int_equal(entry[0].flags, 0);
    assert_int_equal(entry[3].size, 4);
    /* The last two share the device's descriptor, not the caller's number. */
    assert_int_not_equal(entry[2].fd, entry[3].fd);
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(ferry_os_eventfd_signal(entry[i].fd), FERRY_OK);
        ferry_os_close(&entry[i].fd);
    }
    assert_int_equal(ferry_os_eventfd_drain(served.fake.io_fd[2], &signals), FERRY_OK);
    assert_int_equal(signals, 2);
    r.u.io_fds.cap = 3;
    assert_int_equal(ferry_client_call(user, &r), FERRY_E_CAPACITY);
    assert_int_equal(r.u.io_fds.count, 0);
    r.u.io_fds.index = 3;
    assert_int_equal(ferry_client_call(user, &r), FERRY_OK);
    assert_int_equal(r.u.io_fds.count, 0);
    r.u.io_fds.index = 9;
    assert_int_equal(ferry_client_call(user, &r), FERRY_E_NOT_FOUND);
    ferry_client_close(user);
    served_stop(&served);
}

static void test_a_regions_eventfds_arrive_in_either_layout(void **state)
{
    (void)state;
    io_fds_arrive(FERRY_WIRE_IO_FD_SPEC);
    io_fds_arrive(FERRY_WIRE_IO_FD_WIDE);
}

/* Return: descriptors that came with the answer. */
static uint32_t ask_io_fds(int fd, uint32_t argsz, uint8_t *answer, size_t cap)
{
    struct iovec iov = { .iov_base = answer, .iov_len = cap };
    struct ferry_os_fds fds = { .count = 0 };
    uint8_t payload[16] = { 0 };
    uint8_t bytes[64];
    uint32_t count;

    raw_put_u32(payload, argsz);
    raw_send(fd, bytes, raw_message(bytes, 7, RAW_IO_FDS, 0, payload, sizeof(payload)));
    assert_true(ferry_os_receive(fd, &iov, 1, &fds, FERRY_OS_WAIT) >= 32);
    count = fds.count;
    ferry_os_fds_close(&fds);
    return count;
}

static void test_a_client_of_one_descriptor_hears_of_the_entries_of_one(void **state)
{
    uint8_t answer[512];
    uint8_t hello[64];
    int fd = served_start(&served, NULL);

    (void)state;
    /* A VERSION without capabilities: at most one descriptor a message. */
    raw_send(fd, hello, raw_version(hello, 1, "{}"));
    assert_true(raw_receive(fd, answer, sizeof(answer)) > 16);
    assert_int_equal(ask_io_fds(fd, 16 + 64 * 40, answer, sizeof(answer)), 1);
    assert_int_equal(raw_u32(answer, 4), 16 + 16 + 40);
    assert_int_equal(raw_u32(answer, 28), 1);
    /* Without room for the entries: how much they need. */
    assert_int_equal(ask_io_fds(fd, 16, answer, sizeof(answer)), 0);
    assert_int_equal(raw_u32(answer, 4), 32);
    assert_int_equal(raw_u32(answer, 16), 16 + 40);
    raw_assert_alive(fd);
    close(fd);
    served_stop(&served);
}

static size_t multi(uint8_t *bytes, uint16_t id, uint32_t flags, uint32_t count,
                    uint32_t region)
{
    uint8_t payload[8 + 16 * 24];

    raw_put_u64(payload, count);
    for (uint32_t i = 0; i < count; i++) {
        struct ferry_wire_write write = { .off = 8 * (uint64_t)i,
                                          .region = region,
                                          .count = 4 };

        memset(write.data, (int)(0x10 + i), 4);
        ferry_wire_write_encode(&write, payload + 8 + (size_t)i * 24);
    }
    return raw_message(bytes, id, RAW_WRITE_MULTI, flags, payload,
                       8 + (size_t)count * 24);
}

static int multi_client(void)
{
    uint8_t bytes[512];
    int fd = served_start(&served, NULL);

    raw_send(fd, bytes,
             raw_version(bytes, 1, "{\"capabilities\":{\"write_multiple\":true}}"));
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) > 20);
    assert_non_null(strstr((char *)bytes + 20, "\"write_multiple\":true"));
    return fd;
}

static void test_several_writes_of_one_message_are_done_in_order(void **state)
{
    uint8_t bytes[1024];
    int fd = multi_client();

    (void)state;
    raw_send(fd, bytes, multi(bytes, 3, 0, 10, FAKE_REGION_MEMORY));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 24);
    assert_int_equal(raw_u16(bytes, 0), 3);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    assert_int_equal(raw_u32(bytes, 16), 10);
    for (uint32_t i = 0; i < 10; i++) {
        assert_int_equal(served.fake.written[i], 8 * i);
        assert_int_equal(served.fake.bar[8 * i], 0x10 + i);
        assert_int_equal(served.fake.bar[8 * i + 4], 0);
    }
    raw_send(fd, bytes, multi(bytes, 4, RAW_NO_REPLY, 2, FAKE_REGION_MEMORY));
    raw_assert_alive(fd);
    assert_int_equal(atomic_load(&served.fake.posted), 12);
    raw_send(fd, bytes, multi(bytes, 5, 0, 0, FAKE_REGION_MEMORY));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 24);
    assert_int_equal(raw_u32(bytes, 16), 0);
    close(fd);
    served_stop(&served);
}

static void test_writes_that_all_fail_are_answered_with_the_error(void **state)
{
    uint8_t bytes[1024];
    int fd = multi_client();

    (void)state;
    raw_send(fd, bytes, multi(bytes, 3, 0, 3, FAKE_REGION_REFUSE));
    raw_assert_error(fd, 3, RAW_WRITE_MULTI);
    raw_assert_alive(fd);
    close(fd);
    served_stop(&served);
}

static void test_writes_that_wait_are_answered_when_all_are_over(void **state)
{
    uint8_t bytes[1024];
    int fd = multi_client();

    (void)state;
    raw_send(fd, bytes, multi(bytes, 3, 0, 5, FAKE_REGION_SLOW));
    raw_assert_alive(fd);
    atomic_store(&served.fake.release, 1);
    raw_send(fd, bytes, multi(bytes, 4, RAW_NO_REPLY, 1, FAKE_REGION_MEMORY));
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 24);
    assert_int_equal(raw_u32(bytes, 16), 5);
    /* The client leaves while others wait: nothing may be kept. */
    atomic_store(&served.fake.release, 0);
    raw_send(fd, bytes, multi(bytes, 5, 0, 5, FAKE_REGION_SLOW));
    raw_assert_alive(fd);
    close(fd);
    await_int(&served.fake.closed_count, 1);
    served_stop(&served);
}

static void test_several_writes_without_the_agreement_are_refused(void **state)
{
    uint8_t bytes[1024];
    int fd = served_start(&served, NULL);

    (void)state;
    raw_handshake(fd);
    raw_send(fd, bytes, multi(bytes, 3, 0, 1, FAKE_REGION_MEMORY));
    raw_assert_error(fd, 3, RAW_WRITE_MULTI);
    raw_assert_alive(fd);
    close(fd);
    served_stop(&served);
}

static atomic_int go, next_off, multis, reads_at;

static int check_writes(struct script *s, const uint8_t *ask, size_t size)
{
    uint32_t count = 1;
    const uint8_t *at = ask + 16;

    (void)size;
    while (!atomic_load(&go)) {
        usleep(1000);
    }
    if (raw_u16(ask, 2) == RAW_REGION_READ) {
        atomic_store(&reads_at, atomic_load(&next_off));
        return script_honest(s, ask, size);
    }
    if (raw_u16(ask, 2) == RAW_WRITE_MULTI) {
        atomic_fetch_add(&multis, 1);
        count = raw_u32(ask, 16);
        at = ask + 24;
    }
    for (uint32_t i = 0; i < count; i++, at += 24) {
        /* Offsets rise by 4 and the data is the offset: none is lost or overtaken. */
        if (raw_u32(at, 0) != (uint32_t)atomic_load(&next_off) ||
            raw_u32(at, 16) != raw_u32(at, 0)) {
            return 0;
        }
        atomic_fetch_add(&next_off, 4);
    }
    return 1;
}

static void ignore(struct ferry_request *request)
{
    (void)request;
}

static int post(struct ferry_request *r, uint32_t *off)
{
    int rc;

    memset(r, 0, sizeof(*r));
    r->kind = FERRY_RQ_REGION_WRITE;
    r->done = ignore;
    r->u.io.off = *off;
    r->u.io.count = 4;
    r->u.io.data = off;
    r->u.io.posted = 1;
    rc = ferry_client_submit(client, r);
    *off += 4;
    return rc;
}

static void test_small_writes_that_wait_leave_together_and_in_order(void **state)
{
    struct ferry_request waiting, joined;
    struct ferry_request read = { .kind = FERRY_RQ_REGION_READ };
    uint32_t off = 0;
    uint8_t data[4];
    int rc;

    (void)state;
    atomic_store(&go, 0);
    atomic_store(&next_off, 0);
    atomic_store(&multis, 0);
    assert_int_equal(
        script_connect(check_writes, "{\"capabilities\":{\"write_multiple\":true}}", 1),
        FERRY_OK);
    do {
        rc = post(&waiting, &off);
    } while (rc == FERRY_OK);
    assert_int_equal(rc, FERRY_PENDING);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(post(&joined, &off), FERRY_OK);
    }
    atomic_store(&go, 1);
    read.u.io.count = 4;
    read.u.io.data = data;
    assert_int_equal(ferry_client_call(client, &read), FERRY_OK);
    assert_int_equal(atomic_load(&next_off), off);
    assert_int_equal(atomic_load(&reads_at), off);
    assert_int_equal(atomic_load(&multis), 1);
    script_end();
}

static void test_interrupts_are_set_in_every_form(void **state)
{
    static const uint32_t actions[] = { FERRY_IRQ_SET_MASK, FERRY_IRQ_SET_UNMASK,
                                        FERRY_IRQ_SET_TRIGGER };
    struct ferry_client *user;
    uint8_t bools[2] = { 1, 0 };
    int fds[2];

    (void)state;
    assert_int_equal(ferry_client_from_fd(served_start(&served, NULL), NULL, &user, NULL),
                     FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&fds[0]), FERRY_OK);
    assert_int_equal(ferry_os_eventfd_create(&fds[1]), FERRY_OK);
    for (uint32_t i = 0; i < 9; i++) {
        struct ferry_request r = { .kind = FERRY_RQ_SET_IRQS };
        uint32_t kind = 1u << (i % 3);

        r.u.irq_set.flags = actions[i / 3] | kind;
        r.u.irq_set.index = 1;
        r.u.irq_set.start = 3;
        r.u.irq_set.count = 2;
        r.u.irq_set.bools = bools;
        r.u.irq_set.fds = fds;
        r.u.irq_set.fd_count = kind == FERRY_IRQ_SET_DATA_EVENTFD ? 2 : 0;
        assert_int_equal(ferry_client_call(user, &r), FERRY_OK);
        assert_int_equal(served.fake.irq_set.flags, r.u.irq_set.flags);
        assert_int_equal(served.fake.irq_set.start, 3);
        assert_int_equal(served.fake.irq_set.count, 2);
        assert_int_equal(served.fake.irq_fds, r.u.irq_set.fd_count);
        if (kind == FERRY_IRQ_SET_DATA_BOOL) {
            assert_memory_equal(served.fake.bools, bools, 2);
        }
    }
    ferry_os_close(&fds[0]);
    ferry_os_close(&fds[1]);
    ferry_client_close(user);
    served_stop(&served);
}

static void test_a_devices_own_region_tells_its_type(void **state)
{
    struct ferry_request r = { .kind = FERRY_RQ_GET_REGION_INFO };
    struct ferry_client *user;

    (void)state;
    assert_int_equal(ferry_client_from_fd(served_start(&served, NULL), NULL, &user, NULL),
                     FERRY_OK);
    r.u.region.index = FAKE_REGION_TYPED;
    assert_int_equal(ferry_client_call(user, &r), FERRY_OK);
    assert_int_equal(r.u.region.type, FAKE_TYPE);
    assert_int_equal(r.u.region.subtype, FAKE_SUBTYPE);
    assert_int_equal(r.u.region.area_count, 0);
    r.u.region.index = 8;
    assert_int_equal(ferry_client_call(user, &r), FERRY_OK);
    assert_int_equal(r.u.region.type, 0);
    ferry_client_close(user);
    served_stop(&served);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_regions_eventfds_arrive_in_either_layout),
        cmocka_unit_test(test_a_client_of_one_descriptor_hears_of_the_entries_of_one),
        cmocka_unit_test(test_several_writes_of_one_message_are_done_in_order),
        cmocka_unit_test(test_writes_that_all_fail_are_answered_with_the_error),
        cmocka_unit_test(test_writes_that_wait_are_answered_when_all_are_over),
        cmocka_unit_test(test_several_writes_without_the_agreement_are_refused),
        cmocka_unit_test(test_small_writes_that_wait_leave_together_and_in_order),
        cmocka_unit_test(test_interrupts_are_set_in_every_form),
        cmocka_unit_test(test_a_devices_own_region_tells_its_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
