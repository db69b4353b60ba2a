/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/rig/wire.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct mutant_relay {
    struct mutant_wire wire;
    pthread_t thread;
    char path[108], to[108];
    int listener, stop_fd;
    int side[2]; /* of the client, of the server; -1 */
    int closing;
    uint8_t *buffer;
    size_t cap;
};

static void set_address(struct sockaddr_un *address, const char *path)
{
    memset(address, 0, sizeof(*address));
    address->sun_family = AF_UNIX;
    snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
}

static int receive_all(int fd, void *to, size_t bytes)
{
    return bytes == 0 || recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

/* The header with the message's descriptors. Return: 0 at the end of the connection. */
static int receive_header(int fd, uint8_t *header, struct wire_message *message)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
    } control;
    struct iovec vec = { header, FERRY_WIRE_HEADER_BYTES };
    struct msghdr msg = { .msg_iov = &vec,
                          .msg_iovlen = 1,
                          .msg_control = control.bytes,
                          .msg_controllen = sizeof(control.bytes) };
    const ssize_t got = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

    if (got <= 0) {
        return 0;
    }
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c != NULL; c = CMSG_NXTHDR(&msg, c)) {
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
            message->fd_count = (uint32_t)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(message->fd, CMSG_DATA(c), message->fd_count * sizeof(int));
        }
    }
    return receive_all(fd, header + got, FERRY_WIRE_HEADER_BYTES - (size_t)got);
}

static int send_bytes(int fd, const uint8_t *bytes, size_t size, const int *fds,
                      uint32_t fd_count)
{
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
    } control;
    struct iovec vec = { NULL, size };
    struct msghdr msg = { .msg_iov = &vec, .msg_iovlen = 1 };

    memcpy(&vec.iov_base, &bytes, sizeof(bytes)); /* it is only read */
    if (fd_count > 0) {
        struct cmsghdr *c;

        memset(&control, 0, sizeof(control));
        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    while (vec.iov_len > 0) {
        const ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL);

        if (sent <= 0) {
            return 0;
        }
        vec.iov_base = (uint8_t *)vec.iov_base + sent;
        vec.iov_len -= (size_t)sent;
        msg.msg_control = NULL;
        msg.msg_controllen = 0;
    }
    return 1;
}

static int room_for(struct mutant_relay *relay, size_t bytes)
{
    uint8_t *buffer;

    if (bytes <= relay->cap) {
        return 1;
    }
    buffer = realloc(relay->buffer, bytes);
    if (buffer != NULL) {
        relay->buffer = buffer;
        relay->cap = bytes;
    }
    return buffer != NULL;
}

static void raw_header(struct ferry_wire_header *ret_header, const uint8_t *bytes)
{
    memcpy(&ret_header->id, bytes, 2);
    memcpy(&ret_header->command, bytes + 2, 2);
    memcpy(&ret_header->size, bytes + 4, 4);
    memcpy(&ret_header->flags, bytes + 8, 4);
    memcpy(&ret_header->error, bytes + 12, 4);
}

static void put_header(uint8_t *bytes, const struct ferry_wire_header *header,
                       uint32_t payload)
{
    const uint32_t size = payload + FERRY_WIRE_HEADER_BYTES;

    memcpy(bytes, &header->id, 2);
    memcpy(bytes + 2, &header->command, 2);
    memcpy(bytes + 4, &size, 4);
    memcpy(bytes + 8, &header->flags, 4);
    memcpy(bytes + 12, &header->error, 4);
}

/* Descriptors that the hook has left. */
static uint32_t keep_fds(struct wire_message *message)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < message->fd_count; i++) {
        if (message->fd[i] >= 0) {
            message->fd[kept++] = message->fd[i];
        }
    }
    return kept;
}

static void close_fds(const int *fd, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (fd[i] >= 0) {
            (void)close(fd[i]);
        }
    }
}

/* Return: 0 when the connection is over. */
static int pass_one(struct mutant_relay *relay, uint32_t from)
{
    struct wire_message message = { .from_client = from == 0 };
    uint8_t header[FERRY_WIRE_HEADER_BYTES];
    int came[WIRE_FDS_MAX];
    uint32_t came_count;
    int ok = receive_header(relay->side[from], header, &message);

    memcpy(came, message.fd, sizeof(came));
    came_count = message.fd_count;
    raw_header(&message.header, header);
    ok = ok && message.header.size >= sizeof(header) &&
         message.header.size <= WIRE_MESSAGE_MAX &&
         room_for(relay, (size_t)message.header.size + WIRE_ROOM);
    if (ok) {
        message.size = message.header.size - (uint32_t)sizeof(header);
        message.payload = relay->buffer + sizeof(header);
        ok = receive_all(relay->side[from], message.payload, message.size);
    }
    if (ok) {
        relay->wire.hook(&relay->wire, &message);
        put_header(relay->buffer, &message.header, message.size);
    }
    if (ok && !message.drop && !relay->closing) {
        const uint32_t count = keep_fds(&message);

        ok = send_bytes(relay->side[1 - from], relay->buffer,
                        message.size + sizeof(header), message.fd, count);
    }
    close_fds(came, came_count);
    return ok && !relay->closing;
}

static void hang_up(struct mutant_relay *relay)
{
    for (int i = 0; i < 2; i++) {
        if (relay->side[i] >= 0) {
            (void)close(relay->side[i]);
            relay->side[i] = -1;
        }
    }
    relay->closing = 0;
}

static void accept_one(struct mutant_relay *relay)
{
    struct sockaddr_un address;

    relay->side[0] = accept(relay->listener, NULL, NULL);
    relay->side[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_address(&address, relay->to);
    if (relay->side[0] < 0 || relay->side[1] < 0 ||
        connect(relay->side[1], (struct sockaddr *)&address, sizeof(address)) != 0) {
        hang_up(relay);
    }
}

static void *run(void *user)
{
    struct mutant_relay *relay = user;

    for (;;) {
        const int idle = relay->side[0] < 0;
        struct pollfd watched[3] = { { relay->stop_fd, POLLIN, 0 },
                                     { idle ? relay->listener : relay->side[0], POLLIN,
                                       0 },
                                     { idle ? -1 : relay->side[1], POLLIN, 0 } };

        (void)poll(watched, 3, -1);
        if (watched[0].revents != 0) {
            return NULL;
        }
        if (idle) {
            accept_one(relay);
        } else if ((watched[1].revents != 0 && !pass_one(relay, 0)) ||
                   (watched[2].revents != 0 && !pass_one(relay, 1))) {
            hang_up(relay);
        }
    }
}

struct mutant_relay *relay_start(const char *path, const char *to,
                                 void (*hook)(struct mutant_wire *wire,
                                              struct wire_message *message))
{
    struct mutant_relay *relay = calloc(1, sizeof(*relay));
    struct sockaddr_un address;
    int rc;

    assert(relay != NULL);
    snprintf(relay->path, sizeof(relay->path), "%s", path);
    snprintf(relay->to, sizeof(relay->to), "%s", to);
    relay->wire.hook = hook;
    relay->wire.relay = relay;
    relay->side[0] = relay->side[1] = -1;
    relay->stop_fd = eventfd(0, EFD_CLOEXEC);
    relay->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set_address(&address, path);
    rc = bind(relay->listener, (struct sockaddr *)&address, sizeof(address));
    assert(rc == 0);
    rc = listen(relay->listener, 4);
    assert(rc == 0);
    rc = pthread_create(&relay->thread, NULL, run, relay);
    assert(rc == 0);
    return relay;
}

void relay_stop(struct mutant_relay *relay)
{
    const uint64_t one = 1;

    if (relay == NULL) {
        return;
    }
    if (write(relay->stop_fd, &one, sizeof(one)) == sizeof(one)) {
        (void)pthread_join(relay->thread, NULL);
    }
    hang_up(relay);
    (void)close(relay->listener);
    (void)close(relay->stop_fd);
    (void)unlink(relay->path);
    free(relay->buffer);
    free(relay);
}

int wire_is_reply_to(const struct wire_message *message, uint32_t command)
{
    return message->header.command == command &&
           (message->header.flags & FERRY_WIRE_FLAG_TYPE) == FERRY_WIRE_TYPE_REPLY;
}

int wire_is_command(const struct wire_message *message, uint32_t command)
{
    return message->from_client && message->header.command == command &&
           (message->header.flags & FERRY_WIRE_FLAG_TYPE) == FERRY_WIRE_TYPE_COMMAND;
}

void wire_fail(struct wire_message *message, uint32_t number)
{
    message->header.flags |= FERRY_WIRE_FLAG_ERROR;
    message->header.error = number;
    message->size = 0;
}

void wire_send(struct mutant_wire *wire, int to_client,
               const struct ferry_wire_header *header, const void *payload, uint32_t size)
{
    uint8_t *bytes = malloc((size_t)size + FERRY_WIRE_HEADER_BYTES);

    assert(bytes != NULL);
    put_header(bytes, header, size);
    if (size > 0) {
        memcpy(bytes + FERRY_WIRE_HEADER_BYTES, payload, size);
    }
    (void)send_bytes(wire->relay->side[to_client ? 0 : 1], bytes,
                     (size_t)size + FERRY_WIRE_HEADER_BYTES, NULL, 0);
    free(bytes);
}

void wire_close(struct mutant_wire *wire)
{
    wire->relay->closing = 1;
}

uint32_t wire_get32(const struct wire_message *message, uint32_t off)
{
    uint32_t value;

    assert(off + sizeof(value) <= message->size);
    memcpy(&value, message->payload + off, sizeof(value));
    return value;
}

uint64_t wire_get64(const struct wire_message *message, uint32_t off)
{
    uint64_t value;

    assert(off + sizeof(value) <= message->size);
    memcpy(&value, message->payload + off, sizeof(value));
    return value;
}

void wire_put32(struct wire_message *message, uint32_t off, uint32_t value)
{
    assert(off + sizeof(value) <= message->size);
    memcpy(message->payload + off, &value, sizeof(value));
}

void wire_put64(struct wire_message *message, uint32_t off, uint64_t value)
{
    assert(off + sizeof(value) <= message->size);
    memcpy(message->payload + off, &value, sizeof(value));
}
