/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file/check.h"
#include "host/file/peer.h"
#include "host/migrate/migration.h"
#include "os/draft.h"
#include "os/memory.h"
#include "os/socket.h"

#define SAVE_MAX_DOWNTIME_MS 2000u

static void copy_limits(const struct ferry_migrate_options *limits,
                        struct ferry_migrate_options *ret_own)
{
    memset(ret_own, 0, sizeof(*ret_own));
    if (limits) {
        size_t bytes = limits->struct_size < sizeof(*ret_own) ? limits->struct_size
                                                              : sizeof(*ret_own);

        memcpy(ret_own, limits, bytes);
    }
    ret_own->struct_size = sizeof(*ret_own);
    /* A file decides nothing: nobody could ask it. */
    ret_own->arbiter = NULL;
}

/* The migration half, free for a new run. NULL: *ret_status says why not. */
static struct ferry_migration *get_idle(struct ferry_context *context, int *ret_status,
                                        struct ferry_error *reterr)
{
    struct ferry_migration *migration = ferry_migration_get(context);

    if (!migration) {
        *ret_status = ferry_error_set(reterr, FERRY_E_MEMORY, FERRY_HOST_LAYER, NULL, 0,
                                      "out of memory for a migration");
        return NULL;
    }
    if (migration->run || migration->listener >= 0) {
        *ret_status =
            ferry_error_set(reterr, FERRY_E_BUSY, FERRY_HOST_LAYER, NULL, 0,
                            migration->run ? "a migration is under way"
                                           : "the context listens for a source");
        return NULL;
    }
    return migration;
}

/* A run whose peer's end of the connection is *ret_fd. */
static int make_run(struct ferry_migration *migration, int incoming,
                    const struct ferry_migrate_options *limits,
                    struct ferry_run **ret_run, int *ret_fd, struct ferry_error *reterr)
{
    int own = -1, peer = -1;
    int rc = ferry_os_socketpair(&own, &peer);

    if (rc < 0) {
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "no connection to a file: %s", ferry_status_text(rc));
    }
    rc = ferry_run_create(migration, own, incoming, limits, ret_run, reterr);
    if (rc < 0) {
        ferry_os_close(&peer);
        return rc;
    }
    *ret_fd = peer;
    return FERRY_OK;
}

static int no_peer(struct ferry_run *run, int rc, struct ferry_error *reterr)
{
    ferry_run_free(run);
    return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                           "the file cannot be used: %s", ferry_status_text(rc));
}

/* --- saving --- */

/* draft: given away. */
static int save(struct ferry_context *context, struct ferry_os_draft *draft,
                const struct ferry_save_options *options, struct ferry_error *reterr)
{
    struct ferry_migrate_options limits;
    struct ferry_file_writer *writer = NULL;
    struct ferry_run *run;
    int rc = FERRY_E_BUSY, fd = -1;
    struct ferry_migration *migration = get_idle(context, &rc, reterr);

    if (!migration) {
        ferry_os_draft_drop(draft);
        return rc;
    }
    copy_limits(options->limits, &limits);
    if (limits.max_downtime_ms == 0) {
        limits.max_downtime_ms = SAVE_MAX_DOWNTIME_MS;
    }
    rc = ferry_file_writer_create(draft, (int)options->compress, &writer, reterr);
    if (rc == FERRY_OK) {
        rc = make_run(migration, 0, &limits, &run, &fd, reterr);
    }
    if (rc < 0) {
        ferry_file_writer_destroy(writer);
        return rc;
    }
    rc = ferry_file_peer_save(context->loop, fd, options->then, writer, &run->file);
    if (rc < 0) {
        return no_peer(run, rc, reterr);
    }
    ferry_run_start(run);
    return FERRY_OK;
}

static int copy_options(const struct ferry_save_options *options,
                        struct ferry_save_options *ret_own, struct ferry_error *reterr)
{
    memset(ret_own, 0, sizeof(*ret_own));
    if (options) {
        size_t bytes = options->struct_size < sizeof(*ret_own) ? options->struct_size
                                                               : sizeof(*ret_own);

        memcpy(ret_own, options, bytes);
    }
    if (ret_own->then > FERRY_SAVE_STOP || ret_own->compress > 1000) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, FERRY_HOST_LAYER, NULL, 0,
                               "no such choice of what happens then, or no such level");
    }
    return FERRY_OK;
}

int ferry_context_save(struct ferry_context *context, const char *path,
                       const struct ferry_save_options *options,
                       struct ferry_error *reterr)
{
    struct ferry_save_options own;
    struct ferry_os_draft draft;
    int rc = copy_options(options, &own, reterr);

    if (rc == FERRY_OK) {
        rc = ferry_os_draft_open(path, &draft, reterr);
    }
    return rc < 0 ? rc : save(context, &draft, &own, reterr);
}

int ferry_context_save_fd(struct ferry_context *context, int fd,
                          const struct ferry_save_options *options,
                          struct ferry_error *reterr)
{
    struct ferry_save_options own;
    struct ferry_os_draft draft;
    int rc = copy_options(options, &own, reterr);

    ferry_os_draft_fd(fd, &draft);
    if (rc < 0) {
        ferry_os_draft_drop(&draft);
        return rc;
    }
    return save(context, &draft, &own, reterr);
}

/* --- restoring --- */

static int compare(struct ferry_context *context, const struct ferry_file_check *check,
                   struct ferry_error *reterr)
{
    uint32_t count = ferry_context_device_count(context);

    if (check->hello.device_count != count) {
        return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL, 0,
                               "the file has %u devices, here are %u",
                               check->hello.device_count, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct ferry_host_device *host = context->device[i];
        struct ferry_error detail = { .code = FERRY_OK };
        int rc;

        if (strcmp(check->device[i].name, host->name) != 0) {
            return ferry_error_set(reterr, FERRY_E_INCOMPATIBLE, FERRY_HOST_LAYER, NULL,
                                   0,
                                   "device %u is called '%s' in the file and '%s' here",
                                   i, check->device[i].name, host->name);
        }
        rc = ferry_compat_check(&check->device[i].identity, &host->identity, &detail);
        if (rc < 0) {
            return ferry_error_set(reterr, rc, FERRY_HOST_LAYER,
                                   detail.rule[0] ? detail.rule : NULL, 0,
                                   "device %s: %.220s", host->name, detail.text);
        }
    }
    return FERRY_OK;
}

/* What a target would compare only when its devices are RESUMING already. */
static int check_here(struct ferry_context *context, const struct ferry_file_check *check,
                      const struct ferry_file_record *record, struct ferry_error *reterr)
{
    int rc;

    if (record->unknown) {
        return FERRY_OK;
    }
    if (record->record.tag == FERRY_REC_HELLO) {
        return compare(context, check, reterr);
    }
    if (record->record.tag != FERRY_REC_DEVICE_CONFIG) {
        return FERRY_OK;
    }
    rc = ferry_host_config_check(context, record->record.device, record->payload,
                                 (size_t)record->record.payload_bytes, reterr);
    return rc < 0 ? ferry_file_check_place(record, reterr) : rc;
}

static int no_file_of_ours(const struct ferry_file_check *check,
                           const struct ferry_file_record *record,
                           struct ferry_error *reterr)
{
    /* A captured connection could be restored as well, but nobody meant it to. */
    if (record->record.tag == FERRY_REC_COMMIT || record->record.tag == FERRY_REC_ABORT) {
        return ferry_error_set(reterr, FERRY_E_PROTOCOL, "stream", "STR-ORD-1",
                               record->off, "%s belongs to a connection, not to a file",
                               ferry_record_name(record->record.tag));
    }
    (void)check;
    return FERRY_OK;
}

static int check_file(struct ferry_context *context, int fd, struct ferry_error *reterr)
{
    struct ferry_file_check *check = malloc(sizeof(*check));
    struct ferry_file_reader *reader = NULL;
    struct ferry_file_record record;
    struct ferry_error error = { .code = FERRY_OK };
    int rc = check ? ferry_file_reader_create(fd, &reader) : FERRY_E_MEMORY;

    if (rc < 0) {
        free(check);
        return ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                               "out of memory for reading a file");
    }
    ferry_file_check_init(check, FERRY_STREAM_SOURCE);
    while ((rc = ferry_file_reader_next(reader, &record, &error)) == 1) {
        rc = no_file_of_ours(check, &record, &error);
        if (rc == FERRY_OK) {
            rc = ferry_file_check_record(check, &record, &error);
        }
        if (rc < 0) {
            break;
        }
        rc = check_here(context, check, &record, reterr);
        if (rc < 0) {
            goto out;
        }
    }
    if (rc == FERRY_OK) {
        rc = ferry_file_check_end(check, ferry_file_reader_offset(reader), &error);
    }
    if (rc < 0) {
        ferry_file_check_place(&record, &error);
        if (reterr) {
            *reterr = error;
        }
    }
out:
    ferry_file_reader_destroy(reader);
    free(check);
    return rc;
}

/* fd: given away. */
static int restore(struct ferry_context *context, int file,
                   const struct ferry_migrate_options *limits, struct ferry_error *reterr)
{
    struct ferry_migrate_options own;
    struct ferry_run *run;
    int rc = FERRY_E_BUSY, fd = -1;
    struct ferry_migration *migration = get_idle(context, &rc, reterr);

    if (!migration) {
        ferry_os_close(&file);
        return rc;
    }
    copy_limits(limits, &own);
    rc = ferry_os_file_rewind(file);
    if (rc < 0) {
        ferry_error_set(reterr, rc, FERRY_HOST_LAYER, NULL, 0,
                        "it is read twice, so it must be a file and no pipe");
    } else {
        rc = check_file(context, file, reterr);
    }
    if (rc == FERRY_OK) {
        rc = ferry_os_file_rewind(file);
    }
    if (rc == FERRY_OK) {
        rc = make_run(migration, 1, &own, &run, &fd, reterr);
    }
    if (rc < 0) {
        ferry_os_close(&file);
        return rc;
    }
    rc = ferry_file_peer_restore(context->loop, fd, file, &run->file);
    if (rc < 0) {
        return no_peer(run, rc, reterr);
    }
    ferry_run_start(run);
    return FERRY_OK;
}

int ferry_context_restore(struct ferry_context *context, const char *path,
                          const struct ferry_migrate_options *limits,
                          struct ferry_error *reterr)
{
    int fd = -1;
    int rc = ferry_os_file_open(path, &fd, reterr);

    return rc < 0 ? rc : restore(context, fd, limits, reterr);
}

int ferry_context_restore_fd(struct ferry_context *context, int fd,
                             const struct ferry_migrate_options *limits,
                             struct ferry_error *reterr)
{
    return restore(context, fd, limits, reterr);
}
