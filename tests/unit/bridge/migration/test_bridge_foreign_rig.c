/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_bridge_foreign_rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/reader.h"
#include "base/writer.h"

#define HEAD 16u
#define GET 0x10000u

struct foreign server;
struct end bridge_end;
struct bytes data;

static int get_all(uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (at < size) {
        ssize_t rc = recv(server.fd, bytes + at, size - at, 0);

        if (rc <= 0) {
            return 0;
        }
        at += (size_t)rc;
    }
    return 1;
}

/* A reply whose payload is at out + HEAD. */
static void reply(const uint8_t *ask, uint32_t flags, uint32_t error, size_t bytes)
{
    uint8_t *out = server.out;
    size_t at = 0;

    memcpy(out, ask, 4);
    ferry_store_le32(out + 4, (uint32_t)(HEAD + bytes));
    ferry_store_le32(out + 8, flags);
    ferry_store_le32(out + 12, error);
    while (at < HEAD + bytes) {
        ssize_t rc = send(server.fd, out + at, HEAD + bytes - at, MSG_NOSIGNAL);

        if (rc <= 0) {
            return;
        }
        at += (size_t)rc;
    }
}

static void refuse(const uint8_t *ask, uint32_t error)
{
    reply(ask, 0x21, error, 0);
}

static void answer_version(const uint8_t *ask)
{
    uint8_t *at = server.out + HEAD;

    ferry_store_le16(at, 0);
    ferry_store_le16(at + 2, 1);
    memcpy(at + 4, server.json, strlen(server.json) + 1);
    reply(ask, 1, 0, 4 + strlen(server.json) + 1);
}

static void set_state(uint32_t state)
{
    if (state == FERRY_STATE_RESUMING) {
        server.loaded = server.spoilt = 0;
    }
    if (state == FERRY_STATE_PRE_COPY ||
        (state == FERRY_STATE_STOP_COPY && server.state == FERRY_STATE_STOP)) {
        server.saved = 0;
    }
    server.state = state;
}

/* Return: 0: no answer any more, -1: dead. */
static int answer_feature(const uint8_t *ask)
{
    uint32_t flags = ferry_load_le32(ask + HEAD + 4), index = flags & 0xffff;
    uint8_t *at = server.out + HEAD;

    memcpy(at, ask + HEAD, 16);
    if (index == 1 && (flags & GET)) {
        ferry_store_le64(at + 8, server.features);
        reply(ask, 1, 0, 16);
    } else if (index == 2 && (flags & GET)) {
        ferry_store_le32(at + 8, server.state);
        reply(ask, 1, 0, 16);
    } else if (index == 2) {
        uint32_t state = ferry_load_le32(ask + HEAD + 8);

        if (server.die_at == 100 + state || server.hush_at == 100 + state) {
            return server.die_at == 100 + state ? -1 : 0;
        }
        if (server.refuse_set) {
            refuse(ask, EBUSY);
        } else if (server.state == FERRY_STATE_RESUMING &&
                   (server.loaded != server.state_bytes || server.spoilt)) {
            refuse(ask, EINVAL);
        } else {
            set_state(state);
            reply(ask, 1, 0, 16);
        }
    } else {
        refuse(ask, EINVAL);
    }
    return 1;
}

static void answer_read(const uint8_t *ask)
{
    uint32_t want = ferry_load_le32(ask + HEAD + 4), count = 0;
    uint64_t limit =
        server.state == FERRY_STATE_STOP_COPY ? server.state_bytes : server.precopy_bytes;
    uint8_t *at = server.out + HEAD;

    server.reads++;
    for (; count < want && server.saved < limit; count++, server.saved++) {
        at[8 + count] = vault_byte(9, server.saved);
    }
    ferry_store_le32(at, 8 + count);
    ferry_store_le32(at + 4, count);
    reply(ask, 1, 0, 8 + count);
}

static void answer_write(const uint8_t *ask)
{
    uint32_t count = ferry_load_le32(ask + HEAD + 4), i;

    server.writes++;
    server.largest = count > server.largest ? count : server.largest;
    for (i = 0; i < count; i++) {
        server.spoilt += ask[HEAD + 8 + i] != vault_byte(9, server.loaded + i);
    }
    server.loaded += count;
    reply(ask, 1, 0, 0);
}

static int answer(const uint8_t *ask)
{
    uint32_t command = ferry_load_le16(ask + 2);

    if (command == server.die_at || command == server.hush_at) {
        return command == server.die_at ? -1 : 0;
    }
    switch (command) {
    case VERSION:
        answer_version(ask);
        break;
    case FEATURE:
        return answer_feature(ask);
    case READ:
        answer_read(ask);
        break;
    case WRITE:
        answer_write(ask);
        break;
    default:
        refuse(ask, EINVAL);
        break;
    }
    return 1;
}

static void *play(void *user)
{
    int going = 1;

    (void)user;
    server.fd = accept(server.listener, NULL, NULL);
    while (going >= 0 && get_all(server.in, HEAD)) {
        uint32_t size = ferry_load_le32(server.in + 4);

        if (size > 2 * MIB || !get_all(server.in + HEAD, size - HEAD)) {
            break;
        }
        going = going > 0 ? answer(server.in) : 0;
    }
    close(server.fd);
    return NULL;
}

void foreign_begin(uint32_t features, uint64_t state_bytes, uint64_t precopy_bytes)
{
    struct ferry_identity identity = { .pci_vendor = 0x8086 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    end_path(&bridge_end, "foreign");
    server.json = server.json ? server.json : "{}";
    server.features = features;
    server.state_bytes = state_bytes;
    server.precopy_bytes = precopy_bytes;
    server.state = server.first_state ? server.first_state : FERRY_STATE_RUNNING;
    server.in = malloc(2 * MIB);
    server.out = malloc(2 * MIB);
    assert_true(server.in && server.out);
    strcpy(address.sun_path, bridge_end.path);
    server.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.listener, (struct sockaddr *)&address, sizeof(address)),
                     0);
    assert_int_equal(listen(server.listener, 1), 0);
    assert_int_equal(pthread_create(&server.thread, NULL, play, NULL), 0);
    bridge_end.device.token.timeout_ms = server.hush_at ? 500 : 5000;
    end_bind(&bridge_end, &identity);
}

int foreign_end(void **state)
{
    (void)state;
    end_unbind(&bridge_end);
    assert_int_equal(pthread_join(server.thread, NULL), 0);
    close(server.listener);
    unlink(bridge_end.path);
    free(server.in);
    free(server.out);
    memset(&server, 0, sizeof(server));
    bytes_free(&data);
    return 0;
}

void foreign_load(void)
{
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RESUMING), 0);
    assert_int_equal(end_write_all(&bridge_end, &data, 32768), 0);
    assert_int_equal(server.loaded, server.state_bytes);
    assert_int_equal(server.spoilt, 0);
    assert_int_equal(server.state, FERRY_STATE_STOP);
    assert_int_equal(end_set(&bridge_end, FERRY_STATE_RUNNING), 0);
}
