/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli/serve/serve.h"

#include <stdatomic.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/output.h"

/* For the signal handler, which finds its data through globals only. */
static struct ferry_server *serving[SERVE_DEVICES_MAX];
static _Atomic size_t serving_count;

void served_expose(const struct served_device *served, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        serving[i] = served[i].server;
    }
    atomic_store(&serving_count, count);
}

void served_stop_all(void)
{
    for (size_t i = 0; i < atomic_load(&serving_count); i++) {
        ferry_server_stop(serving[i]);
    }
}

const char *served_name(const struct served_device *served)
{
    return served->has_fd ? "the inherited socket" : served->socket;
}

static void log_client(void *user, const struct ferry_error *detail)
{
    const struct served_device *served = user;

    print_error("serve", detail, "%s: a client was dropped", served_name(served));
}

static const char *command_of(const struct served_device *served)
{
    return served->command != NULL ? served->command : "serve";
}

/* Cuts "acc,sessions=8" at its commas. Return: 0 when there are too many options. */
static int cut_model(struct served_device *served)
{
    char *comma = strchr(served->model, ',');

    while (comma != NULL) {
        *comma = '\0';
        if (served->option_count == SERVE_OPTIONS_MAX) {
            return 0;
        }
        served->option[served->option_count++] = comma + 1;
        comma = strchr(comma + 1, ',');
    }
    return 1;
}

static int open_model(struct served_device *served)
{
    struct ferry_model_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    const struct ferry_model *kind;

    if (!cut_model(served)) {
        print_error(command_of(served), NULL, "more than %d options for a model",
                    SERVE_OPTIONS_MAX);
        return EXIT_USAGE;
    }
    kind = ferry_model_find(served->model);
    if (kind == NULL) {
        print_error(command_of(served), NULL,
                    "there is no model '%s'; see ferry serve --help", served->model);
        return EXIT_USAGE;
    }
    options.count = served->option_count;
    options.option = served->option;
    if (kind->create(&options, &served->device, &served->state, &error) < 0) {
        print_error(command_of(served), &error, "cannot make a device of model '%s'",
                    served->model);
        return error.code == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
    }
    served->kind = kind;
    served->top = ferry_device_endpoint(served->device);
    return EXIT_OK;
}

int served_set_uapi(struct served_device *served, const char *version)
{
    /* v2, then in the order of enum ferry_face_v1_form. */
    static const char *const versions[] = { "v2", "v1", "v1:mmap", "v1:partitioned" };

    for (uint32_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        if (strcmp(versions[i], version) == 0) {
            served->uapi_v1 = i > 0;
            served->form = i > 0 ? i - 1 : 0;
            return 1;
        }
    }
    return 0;
}

/* Filters see what the user sees: they lie over the face. */
static int open_face(struct served_device *served)
{
    struct ferry_error error = { .code = FERRY_OK };

    if (!served->uapi_v1) {
        return EXIT_OK;
    }
    if (ferry_face_v1_open(served->top, served->form, &served->face, &error) < 0) {
        print_error(command_of(served), &error, "cannot show '%s' by uAPI v1",
                    served->model);
        return EXIT_FAILED;
    }
    served->top = served->face;
    return EXIT_OK;
}

/* From the last filter, which is nearest to the device, to the first. */
static int open_filters(struct served_device *served)
{
    struct ferry_error error = { .code = FERRY_OK };

    for (size_t i = served->filter_count; i > 0; i--) {
        if (ferry_filter_open(served->top, served->filter[i - 1], &served->top, &error) <
            0) {
            print_error(command_of(served), &error, "cannot use --filter");
            return error.code == FERRY_E_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
        }
        served->open[served->open_count++] = served->top;
    }
    return EXIT_OK;
}

static int open_server(struct served_device *served, uint32_t timeout_ms)
{
    const struct ferry_server_options options = {
        .struct_size = sizeof(options),
        .path = served->has_fd ? NULL : served->socket,
        .fd = served->has_fd ? &served->fd : NULL,
        .record = served->record,
        .spin_us = served->spin_us,
        .io_fd_layout = served->io_fd_layout,
        .dma_layout = served->dma_layout,
        .handshake_timeout_ms = timeout_ms,
        .message_timeout_ms = timeout_ms,
        .dma_timeout_ms = timeout_ms,
        .log = log_client,
        .user = served,
    };
    struct ferry_error error = { .code = FERRY_OK };
    const int status =
        ferry_server_create_endpoint(served->top, &options, &served->server, &error);

    if (status < 0) {
        print_error("serve", &error, "cannot serve%s",
                    served->has_fd ? " the inherited socket" : "");
        return EXIT_FAILED;
    }
    return EXIT_OK;
}

int served_open_device(struct served_device *served)
{
    int result = open_model(served);

    if (result == EXIT_OK) {
        result = open_face(served);
    }
    if (result == EXIT_OK) {
        result = open_filters(served);
    }
    return result;
}

int served_open(struct served_device *served, uint32_t timeout_ms)
{
    int result = served_open_device(served);

    return result == EXIT_OK ? open_server(served, timeout_ms) : result;
}

void served_close(struct served_device *served)
{
    ferry_server_destroy(served->server);
    while (served->open_count > 0) {
        ferry_filter_close(served->open[--served->open_count]);
    }
    ferry_face_v1_close(served->face);
    if (served->kind != NULL) {
        served->kind->destroy(served->device, served->state);
    }
}

/* A device that cannot be served any more ends all of them: half a set is no use. */
static void *run_one(void *user)
{
    struct served_device *served = user;

    served->status = ferry_server_run(served->server);
    if (served->status < 0) {
        served_stop_all();
    }
    return NULL;
}

int served_run(struct served_device *served, size_t count)
{
    int result = EXIT_OK;

    for (size_t i = 1; i < count && result == EXIT_OK; i++) {
        const int rc = pthread_create(&served[i].thread, NULL, run_one, &served[i]);

        if (rc != 0) {
            print_error("serve", NULL, "no thread: %s", strerror(rc));
            result = EXIT_FAILED;
        }
        served[i].has_thread = rc == 0;
    }
    if (result == EXIT_OK) {
        (void)run_one(&served[0]);
    }
    served_stop_all();
    for (size_t i = 0; i < count; i++) {
        if (served[i].has_thread) {
            pthread_join(served[i].thread, NULL);
        }
        if (served[i].status < 0) {
            print_error("serve", NULL, "%s: serving ended: %s", served_name(&served[i]),
                        ferry_status_text(served[i].status));
            result = EXIT_FAILED;
        }
    }
    /* A signal from here on finds nothing to stop. */
    atomic_store(&serving_count, 0);
    return result;
}
