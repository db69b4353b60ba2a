/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/control.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli/output.h"

#define LAYER "control"
#define BACKLOG 8

void control_lines_init(struct control_lines *lines, int fd)
{
    lines->fd = fd;
    lines->used = 0;
    lines->line = 0;
}

void control_lines_close(struct control_lines *lines)
{
    if (lines->fd >= 0) {
        close(lines->fd);
    }
    lines->fd = -1;
}

/* Return: bytes received > 0; FERRY_E_AGAIN, FERRY_E_CLOSED, FERRY_E_LIMIT. */
static int receive_more(struct control_lines *lines)
{
    size_t room = sizeof(lines->buffer) - lines->used;
    ssize_t got;

    if (room == 0) {
        return FERRY_E_LIMIT;
    }
    do {
        got = recv(lines->fd, lines->buffer + lines->used, room, MSG_DONTWAIT);
    } while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        return FERRY_E_AGAIN;
    }
    if (got <= 0) {
        return FERRY_E_CLOSED;
    }
    lines->used += (size_t)got;
    return (int)got;
}

static int parse_line(const char *line, size_t length, struct json_object **ret_object)
{
    struct json_tokener *tokener = json_tokener_new_ex(16);
    struct json_object *object;

    if (tokener == NULL) {
        return FERRY_E_MEMORY;
    }
    object = json_tokener_parse_ex(tokener, line, (int)length);
    /* A text that goes on after the object, or does not end, is no line of ours. */
    if (!json_object_is_type(object, json_type_object) ||
        json_tokener_get_parse_end(tokener) != length) {
        json_object_put(object);
        json_tokener_free(tokener);
        return FERRY_E_PROTOCOL;
    }
    json_tokener_free(tokener);
    *ret_object = object;
    return FERRY_OK;
}

int control_next(struct control_lines *lines, struct json_object **ret_object)
{
    for (;;) {
        const char *end;
        int status;

        memmove(lines->buffer, lines->buffer + lines->line, lines->used - lines->line);
        lines->used -= lines->line;
        lines->line = 0;
        end = memchr(lines->buffer, '\n', lines->used);
        if (end != NULL) {
            size_t length = (size_t)(end - lines->buffer);

            lines->line = length + 1;
            return parse_line(lines->buffer, length, ret_object);
        }
        status = receive_more(lines);
        if (status < 0) {
            return status;
        }
    }
}

int control_send(struct control_lines *lines, struct json_object *object)
{
    const char *text =
        json_object_to_json_string_ext(object, JSON_C_TO_STRING_NOSLASHESCAPE);
    struct iovec piece[2] = {
        { .iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text) },
        { .iov_base = (void *)(uintptr_t) "\n", .iov_len = 1 },
    };
    struct msghdr message = { .msg_iov = piece, .msg_iovlen = 2 };
    size_t length = piece[0].iov_len + 1;

    if (length > CONTROL_LINE_MAX) {
        return FERRY_E_LIMIT;
    }
    /* A peer that does not read its events must not hold a migration up. */
    if (sendmsg(lines->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length) {
        return FERRY_E_CLOSED;
    }
    return FERRY_OK;
}

static int fill_address(const char *path, struct sockaddr_un *ret_address,
                        struct ferry_error *reterr)
{
    memset(ret_address, 0, sizeof(*ret_address));
    ret_address->sun_family = AF_UNIX;
    if (path[0] == '\0' || strlen(path) >= sizeof(ret_address->sun_path)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, LAYER, NULL, 0,
                               "a socket path has 1 to %zu bytes: %s",
                               sizeof(ret_address->sun_path) - 1, path);
    }
    memcpy(ret_address->sun_path, path, strlen(path));
    return FERRY_OK;
}

/* hint: what to do when the code is hint_code. */
static int open_socket(int fd, const char *path, const char *what, int hint_code,
                       const char *hint, struct ferry_error *reterr)
{
    int code = errno == ENOENT || errno == ECONNREFUSED ? FERRY_E_NOT_FOUND
               : errno == EADDRINUSE                    ? FERRY_E_EXISTS
               : errno == EACCES                        ? FERRY_E_PERMISSION
                                                        : FERRY_E_IO;

    ferry_error_set(reterr, code, LAYER, NULL, 0, "cannot %s %.120s: %s%s", what, path,
                    strerror(errno), code == hint_code ? hint : "");
    if (fd >= 0) {
        close(fd);
    }
    return code;
}

/* A socket file that nobody listens at any more, left by a host that was killed. */
static void remove_stale(const char *path, const struct sockaddr_un *address)
{
    struct stat about;
    int fd;

    if (lstat(path, &about) < 0 || !S_ISSOCK(about.st_mode)) {
        return;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
        errno == ECONNREFUSED) {
        unlink(path);
    }
    close(fd);
}

int control_listen(const char *path, struct ferry_error *reterr)
{
    struct sockaddr_un address;
    mode_t mask;
    int fd, status = fill_address(path, &address, reterr);

    if (status < 0) {
        return status;
    }
    remove_stale(path, &address);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* Whoever can connect can move the devices: the owner alone. */
    mask = umask(0177);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, BACKLOG) < 0) {
        umask(mask);
        return open_socket(fd, path, "listen at", FERRY_E_EXISTS,
                           "; a host listens there, or it is no socket: choose another "
                           "path or remove it",
                           reterr);
    }
    umask(mask);
    return fd;
}

int control_connect(struct control_lines *lines, const char *path,
                    struct ferry_error *reterr)
{
    struct sockaddr_un address;
    int fd, status = fill_address(path, &address, reterr);

    control_lines_init(lines, -1);
    if (status < 0) {
        return status;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        return open_socket(fd, path, "reach a host at", FERRY_E_NOT_FOUND,
                           "; is its `ferry host' running?", reterr);
    }
    control_lines_init(lines, fd);
    return FERRY_OK;
}

int control_wait(struct control_lines *lines, int timeout_ms, int stop_fd,
                 struct json_object **ret_object)
{
    struct pollfd wait[2] = {
        { .fd = lines->fd, .events = POLLIN },
        { .fd = stop_fd, .events = POLLIN },
    };

    for (;;) {
        int status = control_next(lines, ret_object);
        int ready;

        if (status != FERRY_E_AGAIN) {
            return status;
        }
        ready = poll(wait, 2, timeout_ms);
        if (ready == 0) {
            return FERRY_E_TIMEOUT;
        }
        if (ready > 0 && wait[1].revents != 0) {
            return FERRY_E_CANCELLED;
        }
    }
}

int control_error(struct json_object *object, struct ferry_error *reterr)
{
    const char *name = json_get_text(object, "code");
    int code = FERRY_E_PROTOCOL;

    for (int i = FERRY_E_ARGUMENT; i > FERRY_E_END; i--) {
        if (strcmp(name, ferry_status_name(i)) == 0) {
            code = i;
        }
    }
    return ferry_error_set(reterr, code, json_get_text(object, "layer"),
                           json_get_text(object, "rule"), json_get_u64(object, "offset"),
                           "%s", json_get_text(object, "text"));
}

int control_call(struct control_lines *lines, struct json_object *request, int timeout_ms,
                 struct json_object **ret_reply, struct ferry_error *reterr)
{
    struct json_object *reply = NULL, *error = NULL;
    int status = control_send(lines, request);

    json_object_put(request);
    if (status == FERRY_OK) {
        status = control_wait(lines, timeout_ms, -1, &reply);
    }
    if (status < 0) {
        return ferry_error_set(reterr, status, LAYER, NULL, 0,
                               "the host does not answer: %s", ferry_status_text(status));
    }
    if (json_object_object_get_ex(reply, "error", &error)) {
        status = control_error(error, reterr);
    }
    if (status == FERRY_OK && ret_reply != NULL) {
        *ret_reply = reply;
    } else {
        json_object_put(reply);
    }
    return status;
}

struct json_object *control_command(const char *name)
{
    struct json_object *object = json_object_new_object();

    json_object_object_add(object, "command", json_object_new_string(name));
    return object;
}
