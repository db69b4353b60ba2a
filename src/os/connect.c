/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/errno.h"
#include "os/memory.h"
#include "os/socket.h"

/* A plain file refuses like a socket that nobody listens on; they want other cures. */
static int refuse_unix(const char *path, int err, struct ferry_error *reterr)
{
    int status = ferry_os_error(reterr, err, path);
    struct stat st;

    if (reterr != NULL && err == ECONNREFUSED && stat(path, &st) == 0 &&
        !S_ISSOCK(st.st_mode)) {
        (void)ferry_error_set(reterr, status, "os", NULL, 0,
                              "%.180s: this file is no socket", path);
        reterr->os_errno = (uint32_t)err;
    }
    return status;
}

static int connect_unix(const char *path, uint32_t limit_ms, int *ret_fd,
                        struct ferry_error *reterr)
{
    struct sockaddr_un name;
    int err = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, "socket");
    }
    memset(&name, 0, sizeof(name));
    name.sun_family = AF_UNIX;
    memcpy(name.sun_path, path, strnlen(path, sizeof(name.sun_path) - 1));
    /* A connect to a full backlog waits, and the send limit is what bounds it. */
    if (ferry_os_send_limit(fd, limit_ms) != FERRY_OK) {
        err = EIO;
    }
    while (err == 0 && connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0) {
        err = errno == EINTR ? 0 : errno;
    }
    if (err == 0 && ferry_os_send_limit(fd, 0) != FERRY_OK) {
        err = EIO;
    }
    if (err != 0) {
        ferry_os_close(&fd);
        return refuse_unix(path, err == EAGAIN ? ETIMEDOUT : err, reterr);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

/* Waits for a started connect until deadline_ns (0: for ever). Returns an errno value. */
static int finish_connect(int fd, uint64_t deadline_ns)
{
    socklen_t size = sizeof(int);
    int err = 0;
    int status;

    for (;;) {
        uint64_t now = ferry_os_now_ns();
        uint64_t left_ms = 1000;

        if (deadline_ns != 0) {
            if (now >= deadline_ns) {
                return ETIMEDOUT;
            }
            left_ms = (deadline_ns - now) / FERRY_NS_PER_MS + 1;
            left_ms = left_ms > 1000 ? 1000 : left_ms;
        }
        status = ferry_os_poll(fd, FERRY_OS_POLL_WRITE, (uint32_t)left_ms);
        if (status == FERRY_OK) {
            break;
        }
        if (status != FERRY_E_TIMEOUT) {
            return EIO;
        }
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) < 0 ? errno : err;
}

/* One address. Returns an errno value. */
static int connect_one(const struct addrinfo *info, uint64_t deadline_ns, int *ret_fd)
{
    const int one = 1;
    int err = 0;
    int flags;
    int fd =
        socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);

    if (fd < 0) {
        return errno;
    }
    if (connect(fd, info->ai_addr, info->ai_addrlen) < 0) {
        err = errno == EINPROGRESS || errno == EINTR ? finish_connect(fd, deadline_ns)
                                                     : errno;
    }
    flags = fcntl(fd, F_GETFL);
    if (err == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
                     setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)) {
        err = errno;
    }
    if (err != 0) {
        ferry_os_close(&fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

static int connect_tcp(const struct ferry_os_address *address, uint32_t limit_ms,
                       int *ret_fd, struct ferry_error *reterr)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
    struct addrinfo *list = NULL;
    uint64_t deadline_ns = 0;
    char text[FERRY_OS_ADDRESS_BYTES];
    char port[8];
    int err = 0;

    if (limit_ms != 0) {
        deadline_ns = ferry_os_now_ns() + (uint64_t)limit_ms * FERRY_NS_PER_MS;
    }
    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    err = getaddrinfo(address->host, port, &hints, &list);
    if (err != 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "os", NULL, 0,
                               "host %.100s: %s", address->host, gai_strerror(err));
    }
    err = EADDRNOTAVAIL;
    for (const struct addrinfo *info = list; info != NULL && err != 0 && err != ETIMEDOUT;
         info = info->ai_next) {
        err = connect_one(info, deadline_ns, ret_fd);
    }
    freeaddrinfo(list);
    ferry_os_address_text(address, text);
    return err == 0 ? FERRY_OK : ferry_os_error(reterr, err, text);
}

int ferry_os_connect(const struct ferry_os_address *address, uint32_t limit_ms,
                     int *ret_fd, struct ferry_error *reterr)
{
    if (address->family == FERRY_OS_UNIX) {
        return connect_unix(address->path, limit_ms, ret_fd, reterr);
    }
    return connect_tcp(address, limit_ms, ret_fd, reterr);
}
