/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <string.h>

#include "host/machine/inside.h"
#include "os/file.h"

/*
 * A file per device, "NAME=VALUE" in each line. It is there before the device is touched,
 * so that `ferry unbind' helps after a bind that was killed on its way.
 */
#define ROW_COUNT 4

static int path_of(const struct machine_env *env, const char *name, char *ret_path,
                   struct ferry_error *reterr)
{
    if (ferry_os_path(ret_path, MACHINE_PATH_BYTES, "%s/%s", env->run, name) !=
        FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, MACHINE_LAYER, NULL, 0,
                               "the path %.128s/%.64s is too long", env->run, name);
    }
    return FERRY_OK;
}

static int read_row(void *user, const char *line)
{
    struct machine_record *record = user;
    const struct {
        const char *name;
        char *text;
        size_t size;
    } row[ROW_COUNT] = {
        { "driver=", record->driver, sizeof(record->driver) },
        { "override=", record->override, sizeof(record->override) },
        { "bound=", record->bound, sizeof(record->bound) },
        { "modalias=", record->modalias, sizeof(record->modalias) },
    };

    for (size_t i = 0; i < ROW_COUNT; i++) {
        const size_t length = strlen(row[i].name);

        if (strncmp(line, row[i].name, length) == 0) {
            /* A driver's name becomes part of a path. */
            return strchr(line, '/') != NULL ||
                           ferry_os_path(row[i].text, row[i].size, "%s", line + length) !=
                               FERRY_OK
                       ? FERRY_E_PROTOCOL
                       : FERRY_OK;
        }
    }
    return FERRY_E_PROTOCOL;
}

int machine_record_read(const struct machine_env *env, const char *name,
                        struct machine_record *ret_record, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES];
    int status = path_of(env, name, path, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    memset(ret_record, 0, sizeof(*ret_record));
    status = ferry_os_lines(path, '\n', read_row, ret_record);
    if (status == FERRY_OK && ret_record->bound[0] == '\0') {
        status = FERRY_E_PROTOCOL;
    }
    if (status == FERRY_OK || status == FERRY_E_NOT_FOUND) {
        return status;
    }
    return ferry_error_set(reterr, status, MACHINE_LAYER, NULL, 0,
                           "%.128s, which tells what %.64s had before, cannot be read",
                           path, name);
}

int machine_record_write(const struct machine_env *env, const char *name,
                         const struct machine_record *record, struct ferry_error *reterr)
{
    char path[MACHINE_PATH_BYTES], text[MACHINE_PATH_BYTES];
    int length, status = path_of(env, name, path, reterr);

    if (status != FERRY_OK) {
        return status;
    }
    if (ferry_os_make_folder(env->run) != FERRY_OK) {
        return ferry_error_set(reterr, FERRY_E_IO, MACHINE_LAYER, NULL, 0,
                               "there is no folder %.180s and it cannot be made",
                               env->run);
    }
    length =
        snprintf(text, sizeof(text), "driver=%s\noverride=%s\nbound=%s\nmodalias=%s\n",
                 record->driver, record->override, record->bound, record->modalias);
    ferry_os_remove_file(path);
    return ferry_os_file_create_once(path, text, (size_t)length, reterr);
}

void machine_record_drop(const struct machine_env *env, const char *name)
{
    char path[MACHINE_PATH_BYTES];

    if (path_of(env, name, path, NULL) == FERRY_OK) {
        ferry_os_remove_file(path);
    }
}
