/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/backend/backend.h"

#include <string.h>

#include "host/backend/backend_user.h"
#include "host/backend/kernel/kernel.h"

static const struct {
    const char *scheme;
    int (*open)(const char *rest, const struct ferry_backend_options *options,
                struct ferry_backend **ret_backend, struct ferry_error *reterr);
} scheme_table[] = {
    { "vfio-user:", ferry_backend_user_open },
    { "vfio-user-fd:", ferry_backend_user_open_fd },
    { "vfio:", ferry_backend_kernel_open },
    { "vfio-group:", ferry_backend_kernel_open_group },
};

int ferry_backend_open(const char *uri, const struct ferry_backend_options *options,
                       struct ferry_backend **ret_backend, struct ferry_error *reterr)
{
    const size_t count = sizeof(scheme_table) / sizeof(scheme_table[0]);

    if (uri[0] == '/' || uri[0] == '.') {
        return ferry_backend_user_open(uri, options, ret_backend, reterr);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(scheme_table[i].scheme);

        if (strncmp(uri, scheme_table[i].scheme, length) == 0) {
            return scheme_table[i].open(uri + length, options, ret_backend, reterr);
        }
    }
    return ferry_error_set(
        reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
        "device address '%s': unknown scheme; known: vfio-user:PATH, vfio-user-fd:N, "
        "vfio:PLACE, vfio-group:PLACE, or a path that begins with '/' or '.'",
        uri);
}

int ferry_backend_complete(pthread_mutex_t *lock, struct ferry_request **head,
                           struct ferry_request ***tail)
{
    struct ferry_request *request;
    int count = 0;

    pthread_mutex_lock(lock);
    request = *head;
    *head = NULL;
    *tail = head;
    pthread_mutex_unlock(lock);
    while (request != NULL) {
        struct ferry_request *next = request->next;

        request->next = NULL;
        request->done(request);
        request = next;
        count++;
    }
    return count;
}
