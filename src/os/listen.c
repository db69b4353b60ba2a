/* SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "os/clock.h"
#include "os/errno.h"
#include "os/memory.h"
#include "os/socket.h"

#define FOLDER_LOCK_TRIES 200
#define FOLDER_LOCK_WAIT_NS (5u * FERRY_NS_PER_MS)

static void fill_unix(const char *path, struct sockaddr_un *ret_name)
{
    memset(ret_name, 0, sizeof(*ret_name));
    ret_name->sun_family = AF_UNIX;
    memcpy(ret_name->sun_path, path, strnlen(path, sizeof(ret_name->sun_path) - 1));
}

/*
 * Two servers that start at once would both find the old socket file dead, and the second
 * would remove the file of the first. The folder's lock makes check, removal, bind and
 * listen one step. Without leave to read the folder it goes on unlocked (-1).
 */
static int lock_folder(const char *path)
{
    char folder[FERRY_OS_UNIX_PATH_BYTES];
    const char *slash = strrchr(path, '/');
    size_t bytes = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
    int fd;

    memcpy(folder, slash == NULL ? "." : path, bytes);
    folder[bytes] = '\0';
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int i = 0; fd >= 0 && i < FOLDER_LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
            break;
        }
        ferry_os_sleep_ns(FOLDER_LOCK_WAIT_NS);
    }
    return fd;
}

/* 1 when the file is a socket on which nobody listens. */
static int is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    int probe = -1;
    int stale;

    if (lstat(name->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        return 0;
    }
    probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return 0;
    }
    stale = connect(probe, (const struct sockaddr *)name, sizeof(*name)) < 0 &&
            errno == ECONNREFUSED;
    ferry_os_close(&probe);
    return stale;
}

/* "Address already in use" is said of a plain file as well, which wants another cure. */
static int refuse_unix(const char *path, int err, struct ferry_error *reterr)
{
    int status = ferry_os_error(reterr, err, path);
    struct stat st;

    if (reterr != NULL && err == EADDRINUSE) {
        int is_socket = lstat(path, &st) == 0 && S_ISSOCK(st.st_mode);

        (void)ferry_error_set(reterr, status, "os", NULL, 0, "%.150s: %s; %s", path,
                              is_socket ? "somebody listens there"
                                        : "this file is no socket, and is left alone",
                              is_socket ? "choose another path, or end it"
                                        : "remove it, or choose another path");
        reterr->os_errno = (uint32_t)err;
    }
    return status;
}

static int listen_unix(const char *path, int backlog, int *ret_fd,
                       struct ferry_error *reterr)
{
    struct sockaddr_un name;
    int lock = -1;
    int bound = 0;
    int err = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return ferry_os_error(reterr, errno, "socket");
    }
    fill_unix(path, &name);
    lock = lock_folder(path);
    /* The file gets this mode at once: whoever may connect owns the device. */
    if (fchmod(fd, 0600) < 0) {
        err = errno;
        goto out;
    }
    bound = bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0;
    err = bound ? 0 : errno;
    if (err == EADDRINUSE && is_stale(&name)) {
        (void)unlink(path);
        bound = bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0;
        err = bound ? 0 : errno;
    }
    if (bound && listen(fd, backlog) < 0) {
        err = errno;
        (void)unlink(path);
    }
out:
    ferry_os_close(&lock);
    if (err != 0) {
        ferry_os_close(&fd);
        return refuse_unix(path, err, reterr);
    }
    *ret_fd = fd;
    return FERRY_OK;
}

static int is_loopback(const struct sockaddr *name)
{
    if (name->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, name, sizeof(in));
        return ntohl(in.sin_addr.s_addr) >> 24 == 127;
    }
    if (name->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, name, sizeof(in6));
        return IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr) && in6.sin6_addr.s6_addr[12] == 127);
    }
    return 0;
}

/* One address. Returns an errno value. */
static int listen_one(const struct addrinfo *info, int backlog, int *ret_fd)
{
    const int one = 1;
    int err = 0;
    int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);

    if (fd < 0) {
        return errno;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        (info->ai_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)) < 0) ||
        bind(fd, info->ai_addr, info->ai_addrlen) < 0 || listen(fd, backlog) < 0) {
        err = errno;
        ferry_os_close(&fd);
        return err;
    }
    *ret_fd = fd;
    return 0;
}

static int listen_tcp(const struct ferry_os_address *address, int backlog, int *ret_fd,
                      struct ferry_error *reterr)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
    struct addrinfo *list = NULL;
    char text[FERRY_OS_ADDRESS_BYTES];
    char port[8];
    int err = 0;

    (void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
    err = getaddrinfo(address->host, port, &hints, &list);
    if (err != 0) {
        return ferry_error_set(reterr, FERRY_E_NOT_FOUND, "os", NULL, 0,
                               "host %.100s: %s", address->host, gai_strerror(err));
    }
    err = EADDRNOTAVAIL;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        /* One address of the name that others can reach is one too many. */
        if (!is_loopback(info->ai_addr)) {
            freeaddrinfo(list);
            return ferry_error_set(
                reterr, FERRY_E_PERMISSION, "os", NULL, 0,
                "listening on %.100s is refused: the connection is not "
                "protected, so only loopback addresses are allowed",
                address->host);
        }
    }
    for (const struct addrinfo *info = list; info != NULL && err != 0;
         info = info->ai_next) {
        err = listen_one(info, backlog, ret_fd);
    }
    freeaddrinfo(list);
    ferry_os_address_text(address, text);
    return err == 0 ? FERRY_OK : ferry_os_error(reterr, err, text);
}

int ferry_os_listen(const struct ferry_os_address *address, int backlog, int *ret_fd,
                    struct ferry_error *reterr)
{
    if (address->family == FERRY_OS_UNIX) {
        return listen_unix(address->path, backlog, ret_fd, reterr);
    }
    return listen_tcp(address, backlog, ret_fd, reterr);
}

int ferry_os_listen_port(int fd, uint16_t *ret_port)
{
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);

    if (getsockname(fd, (struct sockaddr *)&name, &size) < 0) {
        return FERRY_E_IO;
    }
    if (name.ss_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, &name, sizeof(in));
        *ret_port = ntohs(in.sin_port);
        return FERRY_OK;
    }
    if (name.ss_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, &name, sizeof(in6));
        *ret_port = ntohs(in6.sin6_port);
        return FERRY_OK;
    }
    return FERRY_E_IO;
}

int ferry_os_accept(int listener, int *ret_fd)
{
    const int one = 1;
    struct sockaddr_storage name;
    socklen_t size = sizeof(name);
    int fd;

    /* accept() itself may wait when the peer that poll() saw has gone again. */
    int ready = ferry_os_poll(listener, FERRY_OS_POLL_READ, 0);

    if (ready != FERRY_OK) {
        return ready == FERRY_E_TIMEOUT ? FERRY_E_AGAIN : ready;
    }
    do {
        fd = accept4(listener, (struct sockaddr *)&name, &size, SOCK_CLOEXEC);
    } while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        return errno == ECONNABORTED ? FERRY_E_AGAIN : ferry_os_status(errno);
    }
    if (name.ss_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    }
    *ret_fd = fd;
    return FERRY_OK;
}

int ferry_os_listens(int fd)
{
    int type = 0;
    int listens = 0;
    socklen_t size = sizeof(type);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM) {
        return FERRY_E_ARGUMENT;
    }
    size = sizeof(listens);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) {
        return FERRY_E_ARGUMENT;
    }
    return listens != 0;
}
