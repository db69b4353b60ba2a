/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/socket.h"
#include "test_link_raw.h"
#include "wire/header.h"

#define LIMIT_MS 5000u

void raw_send_fds(int fd, const void *bytes, size_t size, const int *fds, uint32_t count)
{
    size_t done = 0;

    assert_int_equal(ferry_os_send_limit(fd, LIMIT_MS), FERRY_OK);
    while (done < size) {
        struct iovec iov;
        int rc;

        memcpy(&iov.iov_base, &bytes, sizeof(bytes));
        iov.iov_base = (char *)iov.iov_base + done;
        iov.iov_len = size - done;
        rc = ferry_os_send(fd, &iov, 1, done ? NULL : fds, done ? 0 : count,
                           FERRY_OS_WAIT);
        assert_true(rc > 0);
        done += (size_t)rc;
    }
}

void raw_send(int fd, const void *bytes, size_t size)
{
    raw_send_fds(fd, bytes, size, NULL, 0);
}

/* Return: bytes; fewer than wanted when the peer closed. */
static size_t receive_all(int fd, uint8_t *bytes, size_t wanted)
{
    struct ferry_os_fds fds = { .count = 0 };
    size_t done = 0;

    assert_int_equal(ferry_os_receive_limit(fd, LIMIT_MS), FERRY_OK);
    while (done < wanted) {
        struct iovec iov = { .iov_base = bytes + done, .iov_len = wanted - done };
        int rc = ferry_os_receive(fd, &iov, 1, &fds, FERRY_OS_WAIT);

        ferry_os_fds_close(&fds);
        if (rc == FERRY_E_CLOSED || rc == FERRY_E_IO) {
            break;
        }
        assert_true(rc > 0);
        done += (size_t)rc;
    }
    return done;
}

size_t raw_receive(int fd, void *ret_bytes, size_t cap)
{
    uint8_t *bytes = ret_bytes;
    uint32_t size;

    if (receive_all(fd, bytes, 16) < 16) {
        return 0;
    }
    size = raw_u32(bytes, 4);
    assert_true(size >= 16 && size <= cap);
    assert_int_equal(receive_all(fd, bytes + 16, size - 16), size - 16);
    return size;
}

int raw_is_closed(int fd)
{
    uint8_t byte;

    return receive_all(fd, &byte, 1) == 0;
}

uint32_t raw_u32(const void *bytes, size_t off)
{
    uint32_t value;

    memcpy(&value, (const char *)bytes + off, sizeof(value));
    return value;
}

uint16_t raw_u16(const void *bytes, size_t off)
{
    uint16_t value;

    memcpy(&value, (const char *)bytes + off, sizeof(value));
    return value;
}

size_t raw_message(void *ret_bytes, uint16_t id, uint16_t command, uint32_t flags,
                   const void *payload, size_t bytes)
{
    struct ferry_wire_header header = {
        .id = id, .command = command, .flags = flags, .size = (uint32_t)(16 + bytes)
    };

    ferry_wire_header_encode(&header, ret_bytes);
    if (bytes > 0) {
        memmove((char *)ret_bytes + 16, payload, bytes);
    }
    return 16 + bytes;
}

size_t raw_version(void *ret_bytes, uint16_t id, const char *json)
{
    char payload[2048] = { 0, 0, 1, 0 };
    size_t length = json ? strlen(json) + 1 : 0;

    assert_true(length <= sizeof(payload) - 4);
    if (json) {
        memcpy(payload + 4, json, length);
    }
    return raw_message(ret_bytes, id, 1, 0, payload, 4 + length);
}

void raw_handshake(int fd)
{
    uint8_t bytes[8192];
    size_t size = raw_version(bytes, 1, "{\"capabilities\":{\"max_msg_fds\":8}}");

    raw_send(fd, bytes, size);
    assert_true(raw_receive(fd, bytes, sizeof(bytes)) > 20);
    assert_int_equal(raw_u16(bytes, 2), 1);
    assert_int_equal(raw_u32(bytes, 8), 1);
}

int raw_connect(const char *path)
{
    struct ferry_os_address address = { .family = FERRY_OS_UNIX };
    int fd;

    snprintf(address.path, sizeof(address.path), "%s", path);
    assert_int_equal(ferry_os_connect(&address, LIMIT_MS, &fd, NULL), FERRY_OK);
    return fd;
}

void raw_put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof(value));
}

void raw_put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof(value));
}

size_t raw_region(uint8_t *bytes, uint16_t id, uint16_t command, uint64_t off,
                  uint32_t region, uint32_t count, const void *data)
{
    uint8_t payload[16 + 4096] = { 0 };
    size_t size = 16;

    raw_put_u64(payload, off);
    raw_put_u32(payload + 8, region);
    raw_put_u32(payload + 12, count);
    if (data) {
        memcpy(payload + 16, data, count);
        size += count;
    }
    return raw_message(bytes, id, command, 0, payload, size);
}

size_t raw_set_state(uint8_t *bytes, uint16_t id, uint32_t state)
{
    uint8_t payload[16] = { 16 };

    raw_put_u32(payload + 4, 2u | 1u << 17);
    raw_put_u32(payload + 8, state);
    return raw_message(bytes, id, RAW_FEATURE, 0, payload, 16);
}

int raw_client(const char *path)
{
    int fd = raw_connect(path);

    raw_handshake(fd);
    return fd;
}

void raw_assert_alive(int fd)
{
    uint8_t payload[16] = { 16 };
    uint8_t bytes[64];
    size_t size = raw_message(bytes, 0x7777, RAW_GET_INFO, 0, payload, sizeof(payload));

    raw_send(fd, bytes, size);
    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 32);
    assert_int_equal(raw_u16(bytes, 0), 0x7777);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY);
    assert_int_equal(raw_u32(bytes, 24), 9);
}

void raw_assert_serves(const char *path)
{
    int fd = raw_client(path);

    raw_assert_alive(fd);
    close(fd);
}

void raw_assert_error(int fd, uint16_t id, uint16_t command)
{
    uint8_t bytes[64];

    assert_int_equal(raw_receive(fd, bytes, sizeof(bytes)), 16);
    assert_int_equal(raw_u16(bytes, 0), id);
    assert_int_equal(raw_u16(bytes, 2), command);
    assert_int_equal(raw_u32(bytes, 8), RAW_REPLY_ERROR);
    assert_int_not_equal(raw_u32(bytes, 12), 0);
}
