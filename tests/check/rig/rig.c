/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/check/rig/rig.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers/check/check_drivers.h"
#include "ferry/face.h"
#include "ferry/filter.h"
#include "models/models.h"
#include "tests/check/rig/wire.h"

#define TIMEOUT_MS 2000u
#define LOOK_MS 5u
#define OPTIONS_MAX 16

/* One device: a model, what lies over it, and how it is reached. */
struct rig_device {
    char text[128]; /* of the model, cut at its commas */
    const struct ferry_model *kind;
    struct ferry_device *device;
    void *state;
    struct mutant *mutant;
    struct ferry_endpoint *face; /* of v1, or NULL */
    struct ferry_endpoint *top;  /* mutant or face */
    struct ferry_server *server;
    pthread_t thread;
    struct mutant_relay *relay;
    char folder[64], socket[96], inner[96], uri[128];
};

static void open_model(struct rig_device *rig, const char *model)
{
    const char *option[OPTIONS_MAX];
    struct ferry_model_options options = { .struct_size = sizeof(options),
                                           .option = option };
    struct ferry_error error = { .code = FERRY_OK };
    char *comma;
    int rc;

    snprintf(rig->text, sizeof(rig->text), "%s", model);
    comma = strchr(rig->text, ',');
    while (comma != NULL) {
        *comma = '\0';
        assert(options.count < OPTIONS_MAX);
        option[options.count++] = comma + 1;
        comma = strchr(comma + 1, ',');
    }
    rig->kind = ferry_model_find(rig->text);
    assert(rig->kind != NULL);
    rc = rig->kind->create(&options, &rig->device, &rig->state, &error);
    if (rc != FERRY_OK) {
        fprintf(stderr, "no device of %s: %s\n", model, error.text);
    }
    assert(rc == FERRY_OK);
}

static void *serve(void *user)
{
    (void)ferry_server_run(user);
    return NULL;
}

static void open_server(struct rig_device *rig, const struct check_mutant *row)
{
    struct ferry_server_options options = { .struct_size = sizeof(options) };
    struct ferry_error error = { .code = FERRY_OK };
    char *made;
    int rc;

    snprintf(rig->folder, sizeof(rig->folder), "/tmp/ferry-mutant-XXXXXX");
    made = mkdtemp(rig->folder);
    assert(made == rig->folder);
    snprintf(rig->socket, sizeof(rig->socket), "%s/socket", rig->folder);
    snprintf(rig->inner, sizeof(rig->inner), "%s/inner", rig->folder);
    snprintf(rig->uri, sizeof(rig->uri), "vfio-user:%s", rig->socket);
    options.path = row->wire != NULL ? rig->inner : rig->socket;
    rc = ferry_server_create_endpoint(rig->top, &options, &rig->server, &error);
    assert(rc == FERRY_OK);
    if (row->wire != NULL) {
        rig->relay = relay_start(rig->socket, rig->inner, row->wire);
    }
    rc = pthread_create(&rig->thread, NULL, serve, rig->server);
    assert(rc == 0);
}

/* row: NULL without a fault. uapi: 1 for the region of v1. */
static void open_device(struct rig_device *rig, const struct check_mutant *row,
                        const char *model, uint32_t uapi, uint32_t form)
{
    const int under = row != NULL && row->under;
    struct ferry_error error = { .code = FERRY_OK };
    int rc = FERRY_OK;

    mutant_describe(row != NULL ? row->describe : NULL);
    open_model(rig, model);
    mutant_describe(NULL);
    rig->top = ferry_device_endpoint(rig->device);
    if (uapi == 1 && !under) {
        rc = ferry_face_v1_open(rig->top, form, &rig->face, &error);
        rig->top = rig->face;
    }
    assert(rc == FERRY_OK);
    rig->mutant = mutant_new(row, rig->device, rig->top);
    assert(rig->mutant != NULL);
    rig->top = &rig->mutant->endpoint;
    if (uapi == 1 && under) {
        rc = ferry_face_v1_open(rig->top, form, &rig->face, &error);
        rig->top = rig->face;
    }
    assert(rc == FERRY_OK);
}

static void close_device(struct rig_device *rig)
{
    relay_stop(rig->relay);
    if (rig->server != NULL) {
        ferry_server_stop(rig->server);
        (void)pthread_join(rig->thread, NULL);
        ferry_server_destroy(rig->server);
        (void)unlink(rig->inner);
        (void)unlink(rig->socket);
        (void)rmdir(rig->folder);
    }
    if (rig->face != NULL && rig->top == rig->face) {
        ferry_face_v1_close(rig->face); /* it uses the mutant */
        rig->face = NULL;
    }
    mutant_free(rig->mutant);
    ferry_face_v1_close(rig->face);
    rig->kind->destroy(rig->device, rig->state);
    mutant_ops_free(rig->state);
}

static void count(struct rig_verdict *verdict, const struct ferry_check_result *result)
{
    switch (result->verdict) {
    case FERRY_CHECK_FAIL:
        if (verdict->failed++ == 0) {
            verdict->first_failed = *result;
        }
        break;
    case FERRY_CHECK_SKIP:
        if (verdict->skipped++ == 0) {
            verdict->first_skipped = *result;
        }
        break;
    case FERRY_CHECK_BROKEN:
        if (verdict->broken++ == 0) {
            verdict->first_broken = *result;
        }
        break;
    default:
        verdict->passed++;
        break;
    }
}

static int on_result(void *user, const struct ferry_check_result *result)
{
    static const char *const words[] = { "?", "pass", "FAIL", "skip", "BROKEN" };
    struct rig_run *run = user;
    const uint32_t at = rig_find(result->check->id, strlen(result->check->id));

    assert(at < RIG_CHECKS_MAX);
    count(&run->verdict[at], result);
    if (run->verbose) {
        printf("%-6s %s[%s] %.1f ms%s%s%s%s\n", words[result->verdict & 7u],
               result->check->id, result->name, (double)result->duration_ns / 1e6,
               result->expected[0] != '\0' ? "; expected " : "", result->expected,
               result->seen[0] != '\0' ? "; seen " : "", result->seen);
    }
    return 0;
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int rig_check(const struct check_mutant *row, const char *only, struct rig_run *run)
{
    const char *model = row->model != NULL ? row->model : MUTANT_COPY;
    const int is_copy = strncmp(model, "copy", 4) == 0;
    const int is_nic = strncmp(model, "nic", 3) == 0;
    struct rig_device device = { .text = "" }, partner = device, foreign = device;
    struct ferry_error error = { .code = FERRY_OK };
    struct ferry_check_options options = { .struct_size = sizeof(options) };
    const double begun = now_s();
    int rc;

    open_device(&device, row->sound_device ? NULL : row, model, row->uapi, row->v1_form);
    open_device(&partner, row->sound_partner ? NULL : row,
                row->partner != NULL ? row->partner : model,
                row->partner_v2 ? 2 : row->uapi, row->v1_form);
    open_device(&foreign, NULL, is_copy ? MUTANT_ACC : MUTANT_COPY, 2, 0);
    if (row->served || row->wire != NULL) {
        open_server(&device, row);
        options.device.uri = device.uri;
    } else {
        options.device.endpoint = device.top;
    }
    options.partner.endpoint = partner.top;
    options.foreign.endpoint = foreign.top;
    options.driver = row->undriven ? NULL
                     : is_copy     ? &check_driver_copy
                     : is_nic      ? &check_driver_nic
                                   : &check_driver_acc;
    options.allowed = FERRY_CHECK_DESTRUCTIVE | FERRY_CHECK_MAY_HANG;
    options.timeout_ms = row->timeout_ms > 0 ? row->timeout_ms : TIMEOUT_MS;
    options.look_ms = LOOK_MS;
    options.only = only;
    options.result = on_result;
    options.user = run;
    memset(run->verdict, 0, sizeof(run->verdict));
    for (run->count = 0; ferry_check_get(run->count) != NULL; run->count++) {
        assert(run->count < RIG_CHECKS_MAX);
    }
    rc = ferry_check_run(&options, &run->summary, &error);
    if (rc != FERRY_OK) {
        printf("the run ended: %s\n", error.text);
    }
    run->seconds = now_s() - begun;
    close_device(&foreign);
    close_device(&partner);
    close_device(&device);
    return rc;
}

uint32_t rig_find(const char *id, size_t length)
{
    const struct ferry_check_info *info;

    for (uint32_t i = 0; (info = ferry_check_get(i)) != NULL; i++) {
        if (strlen(info->id) == length && strncmp(info->id, id, length) == 0) {
            return i;
        }
    }
    return RIG_CHECKS_MAX;
}

int rig_names(const char *ids, const char *id)
{
    while (ids != NULL && *ids != '\0') {
        const size_t length = strcspn(ids, " ");

        if (strlen(id) == length && strncmp(ids, id, length) == 0) {
            return 1;
        }
        ids += length + (ids[length] == ' ');
    }
    return 0;
}
