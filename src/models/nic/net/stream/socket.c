/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "models/nic/net/stream/stream.h"

/* stream:PATH and listen:PATH: the two ends of a UNIX stream socket. */

#define WAITING_MAX 8 /* peers that wait for their turn */

struct end {
    struct sockaddr_un name;
    int listener; /* -1: it connects */
};

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Does not wait: a listener whose queue is full says so. */
static int end_connect(void *way, int *ret_fd)
{
    const struct end *end = way;
    int fd = new_socket();

    if (fd >= 0 &&
        connect(fd, (const struct sockaddr *)&end->name, sizeof(end->name)) < 0) {
        nic_net_close_fd(&fd);
    }
    if (fd < 0) {
        return FERRY_E_AGAIN;
    }
    *ret_fd = fd;
    return FERRY_OK;
}

static void end_destroy(void *way)
{
    free(way);
}

static const struct nic_stream_way connect_way = {
    .name = "stream",
    .connect = end_connect,
    .destroy = end_destroy,
};

static int listener_fd(void *way)
{
    return ((struct end *)way)->listener;
}

static int listener_accept(void *way, int *ret_fd)
{
    int fd = accept(((struct end *)way)->listener, NULL, NULL);

    if (fd < 0) {
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? FERRY_E_IO
                                                                     : FERRY_E_AGAIN;
    }
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        nic_net_close_fd(&fd);
        return FERRY_E_AGAIN;
    }
    *ret_fd = fd;
    return FERRY_OK;
}

static void listener_destroy(void *way)
{
    struct end *end = way;

    if (end->listener >= 0) {
        (void)unlink(end->name.sun_path);
        nic_net_close_fd(&end->listener);
    }
    free(end);
}

static const struct nic_stream_way listen_way = {
    .name = "listen",
    .connect = listener_accept,
    .destroy = listener_destroy,
    .fd = listener_fd,
};

static int new_end(const char *path, struct end **ret_end, struct ferry_error *reterr)
{
    struct end *end = NULL;
    const size_t bytes = strlen(path);

    if (bytes >= sizeof(end->name.sun_path)) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "nic", NULL, 0,
                               "%.150s: the path of a socket has at most %zu bytes", path,
                               sizeof(end->name.sun_path) - 1);
    }
    end = calloc(1, sizeof(*end));
    if (end == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    end->listener = -1;
    end->name.sun_family = AF_UNIX;
    memcpy(end->name.sun_path, path, bytes);
    *ret_end = end;
    return FERRY_OK;
}

int nic_connect_open(const char *rest, struct nic_net **ret_net,
                     struct ferry_error *reterr)
{
    struct end *end = NULL;
    const int status = new_end(rest, &end, reterr);

    return status < 0 ? status : nic_stream_create(&connect_way, end, ret_net, reterr);
}

/* 1 when the file is a socket on which nobody listens. */
static int is_stale(const struct sockaddr_un *name)
{
    struct stat st;
    int probe = -1;
    int stale = 0;

    if (lstat(name->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode)) {
        return 0;
    }
    probe = new_socket();
    stale = probe >= 0 &&
            connect(probe, (const struct sockaddr *)name, sizeof(*name)) < 0 &&
            errno == ECONNREFUSED;
    nic_net_close_fd(&probe);
    return stale;
}

/* Returns an errno value. */
static int start_listening(struct end *end)
{
    const struct sockaddr *name = (const struct sockaddr *)&end->name;
    int err = 0;
    int fd = new_socket();

    if (fd < 0) {
        return errno;
    }
    /* The file gets this mode at once: whoever may connect is the nic's network. */
    err = fchmod(fd, 0600) < 0 || bind(fd, name, sizeof(end->name)) < 0 ? errno : 0;
    if (err == EADDRINUSE && is_stale(&end->name)) {
        (void)unlink(end->name.sun_path);
        err = bind(fd, name, sizeof(end->name)) < 0 ? errno : 0;
    }
    if (err == 0 && listen(fd, WAITING_MAX) < 0) {
        err = errno;
        (void)unlink(end->name.sun_path);
    }
    if (err != 0) {
        nic_net_close_fd(&fd);
        return err;
    }
    end->listener = fd;
    return 0;
}

int nic_listen_open(const char *rest, struct nic_net **ret_net,
                    struct ferry_error *reterr)
{
    struct end *end = NULL;
    int status = new_end(rest, &end, reterr);
    int err = 0;

    if (status < 0) {
        return status;
    }
    err = start_listening(end);
    if (err != 0) {
        free(end);
        return nic_net_errno(reterr, err, rest);
    }
    return nic_stream_create(&listen_way, end, ret_net, reterr);
}
