/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_link_fake.h"
#include "test_link_raw.h"

/* DMA messages: two layouts are in use, and the client does not say which is its own. */

#define SPEC_AT 16 /* of the data in the payload */
#define QEMU_AT 12

/* What QEMU 11.1 says. */
static const char qemu_hello[] =
    "{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":1048576,"
    "\"pgsizes\":4096,\"max_dma_maps\":65535,"
    "\"migration\":{\"pgsize\":4096,\"max_bitmap_size\":268435456},"
    "\"write_multiple\":true}}";

static struct served served;

static int connect_as(const char *hello, uint32_t layout)
{
    struct ferry_link_server_options options = { .struct_size = sizeof(options),
                                                 .dma_layout = layout };
    uint8_t bytes[1024];
    size_t size = raw_version(bytes, 1, hello);
    int fd = served_start(&served, &options);

    bytes[18] = 0; /* minor */
    raw_send(fd, bytes, size);
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) > 20);
    return fd;
}

static void end(int fd)
{
    close(fd);
    served_stop(&served);
}

/* Takes the server's DMA_READ and answers it with n bytes in a layout. */
static void answer_read(int fd, size_t at, const void *data, uint32_t n)
{
    uint8_t ask[64];
    uint8_t bytes[256];
    uint8_t payload[128] = { 0 };

    assert_int_equal(raw_receive(fd, ask, sizeof(ask)), 32);
    assert_int_equal(raw_u16(ask, 2), RAW_DMA_READ);
    assert_int_equal(raw_u32(ask, 24), n);
    memcpy(payload, ask + 16, 16);
    memcpy(payload + at, data, n);
    /* QEMU's structure is padded: the message is as large as the specification's. */
    raw_send(
        fd, bytes,
        raw_message(bytes, raw_u16(ask, 0), RAW_DMA_READ, RAW_REPLY, payload, 16 + n));
}

/* The device's write arrives: its data is looked for where the layout puts it. */
static void take_write(int fd, size_t at, const void *data, uint32_t n)
{
    uint8_t ask[128];
    uint8_t bytes[64];
    size_t size = raw_receive(fd, ask, sizeof(ask));

    assert_int_equal(raw_u16(ask, 2), RAW_DMA_WRITE);
    assert_true(size >= 32);
    assert_int_equal(raw_u32(ask, 24), n);
    assert_memory_equal(ask + 16 + at, data, n);
    /* As QEMU answers: the first 16 bytes of the request, whatever they are. */
    raw_send(fd, bytes,
             raw_message(bytes, raw_u16(ask, 0), RAW_DMA_WRITE, RAW_REPLY, ask + 16, 16));
}

static void ask_device(int fd, uint16_t command, uint32_t n, const void *data)
{
    uint8_t bytes[128];

    raw_send(fd, bytes, raw_region(bytes, 9, command, 0x1000, FAKE_REGION_DMA, n, data));
}

static void read_answered(int fd, const void *data, uint32_t n)
{
    uint8_t bytes[128];

    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32 + n);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    assert_memory_equal(bytes + 32, data, n);
}

static void write_answered(int fd)
{
    uint8_t bytes[128];

    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
}

static const uint8_t data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
static const uint8_t zero[8] = { 0 };

static void test_qemu_is_known_by_its_version_and_read_in_its_layout(void **state)
{
    int fd = connect_as(qemu_hello, FERRY_LINK_DMA_AUTO);

    (void)state;
    /* Zeros prove nothing; the guess holds. */
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(fd, QEMU_AT, zero, 8);
    read_answered(fd, zero, 8);
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(fd, QEMU_AT, data, 8);
    read_answered(fd, data, 8);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, QEMU_AT, data, 8);
    write_answered(fd);
    ask_device(fd, RAW_REGION_WRITE, 2, data);
    take_write(fd, QEMU_AT, data, 2);
    write_answered(fd);
    end(fd);
}

static void test_a_write_is_preceded_by_a_read_that_may_prove_the_layout(void **state)
{
    int fd = connect_as(qemu_hello, FERRY_LINK_DMA_AUTO);

    (void)state;
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    answer_read(fd, QEMU_AT, zero, 8);
    take_write(fd, QEMU_AT, data, 8);
    write_answered(fd);
    /* This QEMU has learned the specification's layout meanwhile. */
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    answer_read(fd, SPEC_AT, data, 8);
    take_write(fd, SPEC_AT, data, 8);
    write_answered(fd);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, SPEC_AT, data, 8);
    write_answered(fd);
    end(fd);
}

/* A descriptor of a ring often ends with zeros: the reply to it proves nothing. */
static void
test_data_that_ends_with_zeros_is_read_shorter_to_prove_the_layout(void **state)
{
    static const uint8_t tail[8] = { 1, 2, 3, 4 };
    static const uint8_t lead[8] = { 0, 0, 0, 0, 5, 6, 7, 8 };
    int fd = connect_as(qemu_hello, FERRY_LINK_DMA_AUTO);

    (void)state;
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(fd, SPEC_AT, tail, 8);
    answer_read(fd, SPEC_AT, tail, 4);
    answer_read(fd, SPEC_AT, tail, 8);
    read_answered(fd, tail, 8);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, SPEC_AT, data, 8);
    write_answered(fd);
    end(fd);

    fd = connect_as(qemu_hello, FERRY_LINK_DMA_AUTO);
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(fd, QEMU_AT, lead, 8);
    answer_read(fd, QEMU_AT, lead, 4);
    answer_read(fd, QEMU_AT, lead, 8);
    read_answered(fd, lead, 8);
    end(fd);
}

static void
test_others_are_served_by_the_specification_until_they_prove_more(void **state)
{
    int fd = connect_as("{\"capabilities\":{}}", FERRY_LINK_DMA_AUTO);

    (void)state;
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, SPEC_AT, data, 8);
    write_answered(fd);
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(fd, QEMU_AT, data, 8);
    read_answered(fd, data, 8);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, QEMU_AT, data, 8);
    write_answered(fd);
    end(fd);
}

static void test_the_layout_can_be_said(void **state)
{
    int fd = connect_as("{\"capabilities\":{}}", FERRY_LINK_DMA_QEMU);

    (void)state;
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, QEMU_AT, data, 8);
    write_answered(fd);
    end(fd);
    fd = connect_as(qemu_hello, FERRY_LINK_DMA_SPEC);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    take_write(fd, SPEC_AT, data, 8);
    write_answered(fd);
    end(fd);
}

/* VERSION with a wish for a twin socket. ret_twin: the socket that came. */
static int connect_twin(int *ret_twin)
{
    struct ferry_os_fds fds = { .count = 0 };
    uint8_t bytes[1024];
    struct iovec iov = { .iov_base = bytes, .iov_len = sizeof(bytes) - 1 };
    int fd = served_start(&served, NULL);
    int got;

    raw_send(fd, bytes,
             raw_version(bytes, 1,
                         "{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"));
    got = ferry_os_receive(fd, &iov, 1, &fds, FERRY_OS_WAIT);
    assert_true(got > 20);
    bytes[got] = 0;
    assert_non_null(strstr((char *)bytes + 20, "\"fd_index\":0"));
    assert_int_equal(fds.count, 1);
    *ret_twin = fds.fd[0];
    return fd;
}

static void test_a_twin_socket_carries_the_servers_commands(void **state)
{
    uint8_t bytes[128];
    int twin;
    int fd = connect_twin(&twin);

    (void)state;
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    answer_read(twin, SPEC_AT, data, 8);
    read_answered(fd, data, 8);
    ask_device(fd, RAW_REGION_WRITE, 8, data);
    /* What the client asks meanwhile is answered when the device is through. */
    raw_send(fd, bytes, raw_region(bytes, 10, RAW_REGION_READ, 0, 0, 4, NULL));
    take_write(twin, SPEC_AT, data, 8);
    write_answered(fd);
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 36);
    assert_int_equal(raw_u16(bytes, 0), 10);
    close(twin);
    end(fd);
}

static void test_a_command_on_the_twin_socket_ends_the_connection(void **state)
{
    uint8_t bytes[128];
    int twin;
    int fd = connect_twin(&twin);

    (void)state;
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    assert_int_equal(raw_receive(twin, bytes, sizeof(bytes)), 32);
    raw_send(twin, bytes, raw_region(bytes, 10, RAW_REGION_READ, 0, 0, 4, NULL));
    assert_true(raw_is_closed(fd));
    close(twin);
    end(fd);
    /* So does its end, while the server waits for an answer there. */
    fd = connect_twin(&twin);
    close(twin);
    ask_device(fd, RAW_REGION_READ, 8, NULL);
    assert_true(raw_is_closed(fd));
    end(fd);
}

/* The whole of a large DMA_WRITE, of which the header was taken before. */
static void take_the_rest(int fd, const uint8_t *want, uint32_t n)
{
    uint8_t *bytes = malloc(16 + n);

    assert_non_null(bytes);
    assert_int_equal(recv(fd, bytes, 16 + n, MSG_WAITALL), 16 + n);
    assert_int_equal(raw_u32(bytes, 8), n);
    assert_memory_equal(bytes + 16, want, n);
    free(bytes);
}

/* The bytes are the device's until the last one has left, whatever the client says. */
static void test_an_answer_before_the_write_has_left_waits_for_it(void **state)
{
    const uint32_t n = 1u << 20;
    uint8_t *bytes = malloc(n + 64), *large = malloc(n), header[16], reply[64];
    int fd = connect_as(qemu_hello, FERRY_LINK_DMA_SPEC);

    (void)state;
    assert_true(bytes && large);
    for (int round = 0; round < 2; round++) {
        memset(large, 'a' + round, n);
        raw_region(bytes, 9, RAW_REGION_WRITE, 0x1000, FAKE_REGION_DMA, 0, NULL);
        raw_put_u32(bytes + 4, 32 + n);
        raw_put_u32(bytes + 28, n);
        memcpy(bytes + 32, large, n);
        raw_send(fd, bytes, 32 + n);
        assert_int_equal(recv(fd, header, 16, MSG_WAITALL), 16);
        assert_int_equal(raw_u16(header, 2), RAW_DMA_WRITE);
        raw_send(fd, reply,
                 raw_message(reply, raw_u16(header, 0), RAW_DMA_WRITE, RAW_REPLY,
                             "\0\x10\0\0\0\0\0\0\0\0\x10\0\0\0\0", 16));
        usleep(20000); /* it has heard the answer */
        take_the_rest(fd, large, n);
        write_answered(fd);
    }
    free(bytes);
    free(large);
    end(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qemu_is_known_by_its_version_and_read_in_its_layout),
        cmocka_unit_test(test_a_write_is_preceded_by_a_read_that_may_prove_the_layout),
        cmocka_unit_test(
            test_data_that_ends_with_zeros_is_read_shorter_to_prove_the_layout),
        cmocka_unit_test(
            test_others_are_served_by_the_specification_until_they_prove_more),
        cmocka_unit_test(test_the_layout_can_be_said),
        cmocka_unit_test(test_a_twin_socket_carries_the_servers_commands),
        cmocka_unit_test(test_a_command_on_the_twin_socket_ends_the_connection),
        cmocka_unit_test(test_an_answer_before_the_write_has_left_waits_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
