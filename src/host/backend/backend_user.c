/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/backend_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "os/memory.h"
#include "os/socket.h"
#include "ferry/host.h"
#include "link/hello/version.h"

/* A device behind a vfio-user socket. */
struct backend_user {
    struct ferry_backend base;
    struct ferry_client *client;
};

static struct backend_user *user_of(struct ferry_backend *backend)
{
    return (struct backend_user *)backend;
}

static void user_close(struct ferry_backend *backend)
{
    struct backend_user *user = user_of(backend);

    ferry_client_close(user->client);
    free(user);
}

static int user_submit(struct ferry_backend *backend, struct ferry_request *request)
{
    return ferry_client_submit(user_of(backend)->client, request);
}

static int user_call(struct ferry_backend *backend, struct ferry_request *request)
{
    return ferry_client_call(user_of(backend)->client, request);
}

static int user_fd(struct ferry_backend *backend)
{
    return ferry_client_fd(user_of(backend)->client);
}

static int user_dispatch(struct ferry_backend *backend)
{
    return ferry_client_dispatch(user_of(backend)->client);
}

static uint32_t user_max_data(struct ferry_backend *backend)
{
    return ferry_client_max_data(user_of(backend)->client);
}

static uint32_t user_extensions(struct ferry_backend *backend)
{
    const struct ferry_link_version *agreed =
        ferry_client_agreed(user_of(backend)->client);

    return (agreed->twin_socket ? FERRY_VIEW_TWIN_SOCKET : 0) |
           (agreed->write_multiple ? FERRY_VIEW_WRITE_MULTI : 0) |
           (agreed->notices ? FERRY_VIEW_NOTICES : 0) |
           (agreed->precopy_info ? FERRY_VIEW_PRECOPY_INFO : 0) |
           (agreed->dirty_runs ? FERRY_VIEW_DIRTY_RUNS : 0) |
           (agreed->data_fd ? FERRY_VIEW_DATA_FD : 0) |
           (agreed->counters ? FERRY_VIEW_COUNTERS : 0);
}

static void user_error(struct ferry_backend *backend, struct ferry_error *ret_error)
{
    ferry_client_error(user_of(backend)->client, ret_error);
}

static const struct ferry_backend_ops user_ops = {
    .struct_size = sizeof(struct ferry_backend_ops),
    .scheme = "vfio-user",
    .close = user_close,
    .submit = user_submit,
    .call = user_call,
    .fd = user_fd,
    .dispatch = user_dispatch,
    .max_data = user_max_data,
    .error = user_error,
    .extensions = user_extensions,
};

/* Who opens several devices is told which. */
static void name_path(struct ferry_error *error, const char *path)
{
    char text[sizeof(error->text) + 128]; /* a socket's path has 107 bytes */

    if (error != NULL && path != NULL && strstr(error->text, path) == NULL) {
        snprintf(text, sizeof(text), "%.107s: %s", path, error->text);
        snprintf(error->text, sizeof(error->text), "%.*s", (int)sizeof(error->text) - 1,
                 text);
    }
}

static int open_client(const char *path, int fd,
                       const struct ferry_backend_options *options,
                       struct ferry_backend **ret_backend, struct ferry_error *reterr)
{
    const struct ferry_client_options client_options = {
        .struct_size = sizeof(client_options),
        .timeout_ms = options->timeout_ms,
        .memory = options->memory,
    };
    struct backend_user *user = calloc(1, sizeof(*user));
    int rc;

    if (user == NULL) {
        ferry_os_close(&fd);
        return ferry_error_set(reterr, FERRY_E_MEMORY, "host", NULL, 0,
                               "vfio-user: out of memory");
    }
    rc = path != NULL ? ferry_client_connect(path, &client_options, &user->client, reterr)
                      : ferry_client_from_fd(fd, &client_options, &user->client, reterr);
    if (rc != FERRY_OK) {
        name_path(reterr, path);
        free(user);
        return rc;
    }
    user->base.ops = &user_ops;
    *ret_backend = &user->base;
    return FERRY_OK;
}

int ferry_backend_user_open(const char *path, const struct ferry_backend_options *options,
                            struct ferry_backend **ret_backend,
                            struct ferry_error *reterr)
{
    if (path[0] == '\0') {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "vfio-user: the socket's path is empty");
    }
    return open_client(path, -1, options, ret_backend, reterr);
}

/* Digits only, a descriptor that a process can have. Return: the number, or -1. */
static int read_number(const char *text)
{
    int number = 0;

    for (size_t i = 0; text[i] != '\0'; i++) {
        if (text[i] < '0' || text[i] > '9' || i == 6) {
            return -1;
        }
        number = number * 10 + (text[i] - '0');
    }
    return text[0] != '\0' ? number : -1;
}

int ferry_backend_user_open_fd(const char *number,
                               const struct ferry_backend_options *options,
                               struct ferry_backend **ret_backend,
                               struct ferry_error *reterr)
{
    int fd = read_number(number);

    if (fd < 0 || ferry_os_listens(fd) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "vfio-user-fd:%s is not the number of a connected stream "
                               "socket",
                               number);
    }
    return open_client(NULL, fd, options, ret_backend, reterr);
}
