/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>
#include <string.h>

#include "cli/check/checker.h"
#include "ferry/host.h"

#define MODEL_SCHEME "model:"
#define CONFIG_REGION 7

static const char *model_of(const char *uri)
{
    const size_t length = strlen(MODEL_SCHEME);

    return strncmp(uri, MODEL_SCHEME, length) == 0 ? uri + length : NULL;
}

/* A model in this process. filters: those of the command line go over it. */
static int open_model(struct checker *checker, struct checker_target *target,
                      const char *model, int filters)
{
    const struct checker_args *args = checker->args;
    int result;

    target->model = strdup(model);
    target->served = calloc(1, sizeof(*target->served));
    if (target->model == NULL || target->served == NULL) {
        print_error("check", NULL, "out of memory");
        return EXIT_FAILED;
    }
    target->served->command = "check";
    target->served->model = target->model;
    if (args->uapi != NULL && !served_set_uapi(target->served, args->uapi)) {
        print_error("check", NULL, "--uapi: there is no '%s'; see ferry serve --help",
                    args->uapi);
        return EXIT_USAGE;
    }
    for (size_t i = 0; filters && i < args->filter_count; i++) {
        target->served->filter[target->served->filter_count++] = args->filter[i];
    }
    result = served_open_device(target->served);
    if (result == EXIT_OK) {
        target->target.endpoint = target->served->top;
    }
    return result;
}

static void close_target(struct checker_target *target)
{
    if (target->served != NULL) {
        served_close(target->served);
        free(target->served);
    }
    free(target->model);
    memset(target, 0, sizeof(*target));
}

static int open_target(struct checker *checker, struct checker_target *target,
                       const char *uri, int filters)
{
    const char *model = model_of(uri);

    if (model != NULL) {
        return open_model(checker, target, model, filters);
    }
    target->target.uri = uri;
    return EXIT_OK;
}

/* The first model that is another one. */
static const char *other_model(const char *model)
{
    const size_t length = strcspn(model, ",");
    const struct ferry_model *kind;

    for (size_t i = 0; (kind = ferry_model_get(i)) != NULL; i++) {
        if (strlen(kind->name) != length || strncmp(kind->name, model, length) != 0) {
            return kind->name;
        }
    }
    return NULL;
}

/* Those that were not named are made for a model. */
static int open_others(struct checker *checker)
{
    const struct checker_args *args = checker->args;
    const char *model = model_of(args->uri);
    const char *other = model != NULL ? other_model(model) : NULL;
    int result = EXIT_OK;

    if (args->partner != NULL || model != NULL) {
        result = open_target(checker, &checker->partner,
                             args->partner != NULL ? args->partner : args->uri, 0);
    }
    if (result == EXIT_OK && args->foreign != NULL) {
        result = open_target(checker, &checker->foreign, args->foreign, 0);
    } else if (result == EXIT_OK && other != NULL) {
        result = open_model(checker, &checker->foreign, other, 0);
    }
    return result;
}

/*
 * Asks the device who it is, as another user before the checker. A model is asked beside
 * the one that is checked, since filters count what they hear.
 */
static void identify(struct checker *checker, struct ferry_context *context)
{
    struct checker_identity *identity = &checker->identity;
    const char *model = model_of(checker->args->uri);
    struct checker_target twin = { .model = NULL };
    struct ferry_device_view *view = calloc(1, sizeof(*view));
    int status = FERRY_E_MEMORY;

    if (model != NULL && open_model(checker, &twin, model, 0) == EXIT_OK) {
        status = ferry_context_add_endpoint(context, "device", twin.target.endpoint,
                                            &identity->error);
    } else if (model == NULL) {
        status = ferry_context_add_device(context, "device", checker->args->uri,
                                          &identity->error);
    }
    if (status >= 0 && view != NULL) {
        status = ferry_context_device(context, 0, view, &identity->error);
        if (status >= 0) {
            snprintf(identity->model, sizeof(identity->model), "%s",
                     view->identity.model);
            checker_clean(identity->model);
        }
        identity->known =
            ferry_context_region_read(context, 0, CONFIG_REGION, 0, identity->config,
                                      sizeof(identity->config)) >= 0;
    }
    free(view);
    ferry_context_destroy(context);
    close_target(&twin);
}

int checker_open_targets(struct checker *checker)
{
    const uint32_t timeout_ms = checker->args->timeout_ms;
    const struct ferry_context_options options = {
        .struct_size = sizeof(options),
        .device_timeout_ms = timeout_ms != 0 ? timeout_ms : CHECKER_TIMEOUT_MS,
    };
    struct ferry_context *context = NULL;
    int result = open_target(checker, &checker->device, checker->args->uri, 1);

    if (result == EXIT_OK) {
        result = open_others(checker);
    }
    if (result != EXIT_OK) {
        return result;
    }
    /* An inherited connection has one user in its life. */
    if (strncmp(checker->args->uri, "vfio-user-fd:", 13) != 0 &&
        ferry_context_create(&options, &context, &checker->identity.error) >= 0) {
        identify(checker, context);
    }
    return EXIT_OK;
}

void checker_close_targets(struct checker *checker)
{
    close_target(&checker->device);
    close_target(&checker->partner);
    close_target(&checker->foreign);
}
