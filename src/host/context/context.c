/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/context/context.h"

#include <stdlib.h>
#include <string.h>

#include "os/clock.h"

#define DEVICE_TIMEOUT_MS 10000u

static int create_parts(struct ferry_context *context, struct ferry_error *reterr)
{
    int rc = ferry_loop_create(&context->loop);

    if (rc != FERRY_OK) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "cannot make an event loop");
    }
    if (pthread_rwlock_init(&context->memory_lock, NULL) != 0) {
        ferry_loop_destroy(context->loop);
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "cannot make a lock");
    }
    return FERRY_OK;
}

int ferry_context_create(const struct ferry_context_options *options,
                         struct ferry_context **ret_context, struct ferry_error *reterr)
{
    struct ferry_context *context = calloc(1, sizeof(*context));
    int rc;

    if (context == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                               "out of memory for a context");
    }
    context->device_timeout_ms = DEVICE_TIMEOUT_MS;
    if (options != NULL) {
        struct ferry_context_options own = { 0 };
        const size_t bytes =
            options->struct_size < sizeof(own) ? options->struct_size : sizeof(own);

        memcpy(&own, options, bytes);
        if (own.ops != NULL) {
            const size_t ops_bytes = own.ops->struct_size < sizeof(context->ops)
                                         ? own.ops->struct_size
                                         : sizeof(context->ops);

            memcpy(&context->ops, own.ops, ops_bytes);
        }
        context->user = own.user;
        context->no_peer_maps = own.no_peer_maps;
        if (own.device_timeout_ms != 0) {
            context->device_timeout_ms = own.device_timeout_ms;
        }
    }
    rc = create_parts(context, reterr);
    if (rc != FERRY_OK) {
        free(context);
        return rc;
    }
    *ret_context = context;
    return FERRY_OK;
}

void ferry_context_destroy(struct ferry_context *context)
{
    if (context == NULL) {
        return;
    }
    if (context->migration != NULL) {
        context->migration_ops->destroy(context);
        context->migration = NULL;
        context->migration_ops = NULL;
    }
    for (uint32_t i = 0; i < context->device_count; i++) {
        struct ferry_host_device *device = context->device[i];

        ferry_host_device_shut(device);
        free(device->irq_fd);
        free(device->counted);
        free(device);
    }
    ferry_host_memory_destroy(context);
    pthread_rwlock_destroy(&context->memory_lock);
    ferry_loop_destroy(context->loop);
    free(context);
}

int ferry_context_fd(const struct ferry_context *context)
{
    return ferry_loop_fd(context->loop);
}

int ferry_context_dispatch(struct ferry_context *context, int timeout_ms)
{
    const int rc = ferry_loop_dispatch(context->loop, timeout_ms);

    return rc < 0 ? rc : FERRY_OK;
}

int ferry_host_busy(const struct ferry_context *context)
{
    return context->migration != NULL && context->migration_ops->busy(context);
}

void ferry_host_event(struct ferry_context *context, const struct ferry_host_event *event)
{
    if (context->ops.event != NULL) {
        context->ops.event(context->user, context, event);
    }
}
