/* SPDX-License-Identifier: BSD-3-Clause */
#include "host/migrate/arbiter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SCHEME "file:"
#define NAME_BYTES 64u

int ferry_arbiter_parse(const char *text, struct ferry_arbiter *ret_arbiter,
                        struct ferry_error *reterr)
{
    const char *folder;

    memset(ret_arbiter, 0, sizeof(*ret_arbiter));
    if (!text || strcmp(text, "none") == 0) {
        ret_arbiter->kind = FERRY_ARBITER_NONE;
        return FERRY_OK;
    }
    if (strncmp(text, SCHEME, strlen(SCHEME)) != 0) {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "arbiter '%.100s' is not known; known are \"none\" and "
                               "\"file:/shared/folder\"",
                               text);
    }
    folder = text + strlen(SCHEME);
    if (folder[0] != '/') {
        return ferry_error_set(reterr, FERRY_E_ARGUMENT, "host", NULL, 0,
                               "the arbiter's folder '%.100s' must be an absolute path: "
                               "both sides have to mean the same one",
                               folder);
    }
    if (strlen(folder) + NAME_BYTES > sizeof(ret_arbiter->folder)) {
        return ferry_error_set(
            reterr, FERRY_E_LIMIT, "host", NULL, 0,
            "the arbiter's folder has a name of %zu bytes, at most %zu "
            "fit",
            strlen(folder), sizeof(ret_arbiter->folder) - NAME_BYTES);
    }
    ret_arbiter->kind = FERRY_ARBITER_SHARED;
    memcpy(ret_arbiter->folder, folder, strlen(folder) + 1);
    return FERRY_OK;
}

static int read_decision(const char *path, uint32_t *ret_decision,
                         struct ferry_error *reterr)
{
    char text[16];
    size_t size = 0;
    int rc = ferry_os_file_read(path, text, sizeof(text) - 1, &size, reterr);

    if (rc < 0 && rc != FERRY_E_LIMIT) {
        return rc;
    }
    text[rc < 0 ? 0 : size] = '\0';
    if (strcmp(text, "commit\n") == 0) {
        *ret_decision = FERRY_DECISION_COMMIT;
    } else if (strcmp(text, "abort\n") == 0) {
        *ret_decision = FERRY_DECISION_ABORT;
    } else {
        return ferry_error_set(reterr, FERRY_E_CORRUPT, "host", NULL, 0,
                               "%.200s says neither \"commit\" nor \"abort\"", path);
    }
    return FERRY_OK;
}

int ferry_arbiter_decide(const struct ferry_arbiter *arbiter, uint64_t session_id,
                         uint32_t epoch, uint32_t proposal, uint32_t *ret_decision,
                         struct ferry_error *reterr)
{
    char path[FERRY_OS_PATH_MAX + 2];
    int rc, length;

    if (arbiter->kind == FERRY_ARBITER_NONE) {
        return ferry_error_set(reterr, FERRY_E_UNSUPPORTED, "host", NULL, 0,
                               "this migration has no arbiter to ask");
    }
    length = snprintf(path, sizeof(path), "%s/%016" PRIx64 "-%" PRIu32, arbiter->folder,
                      session_id, epoch);
    if (length < 0 || (size_t)length >= sizeof(path)) {
        return ferry_error_set(reterr, FERRY_E_LIMIT, "host", NULL, 0,
                               "the arbiter's folder has too long a name");
    }
    if (proposal != FERRY_DECISION_NONE) {
        const char *text = proposal == FERRY_DECISION_COMMIT ? "commit\n" : "abort\n";

        rc = ferry_os_file_create_once(path, text, strlen(text), reterr);
        /* FERRY_E_IO: it may be there all the same, and then it counts. */
        if (rc < 0 && rc != FERRY_E_EXISTS && rc != FERRY_E_IO) {
            return rc;
        }
    }
    rc = read_decision(path, ret_decision, reterr);
    if (rc == FERRY_E_NOT_FOUND && proposal == FERRY_DECISION_NONE) {
        char text[1];
        size_t size;

        /* A folder that is not mounted says nothing about the decision. */
        if (ferry_os_file_read(arbiter->folder, text, sizeof(text), &size, NULL) ==
            FERRY_E_NOT_FOUND) {
            return rc;
        }
        *ret_decision = FERRY_DECISION_NONE;
        return FERRY_OK;
    }
    return rc;
}
