/* SPDX-License-Identifier: BSD-3-Clause */
#include "ferry/error.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct status_row {
    const char *name;
    const char *text;
};

/* Index: the code with its sign turned. */
static const struct status_row status_rows[] = {
    [0] = { "FERRY_OK", "success" },
    [1] = { "FERRY_E_ARGUMENT", "an argument of the call is wrong" },
    [2] = { "FERRY_E_MEMORY", "out of memory" },
    [3] = { "FERRY_E_AGAIN", "nothing to do now; wait for the descriptor" },
    [4] = { "FERRY_E_TIMEOUT", "a limit on a wait ran out" },
    [5] = { "FERRY_E_CLOSED", "the peer closed the connection" },
    [6] = { "FERRY_E_PROTOCOL", "a message or record is malformed" },
    [7] = { "FERRY_E_LIMIT", "a size or count is over its limit" },
    [8] = { "FERRY_E_UNSUPPORTED", "the device, the peer or this build lacks it" },
    [9] = { "FERRY_E_STATE", "the device state forbids the operation" },
    [10] = { "FERRY_E_ARC", "there is no legal path between the two device states" },
    [11] = { "FERRY_E_BUSY", "another operation of this kind is under way" },
    [12] = { "FERRY_E_EXISTS", "it is already there" },
    [13] = { "FERRY_E_NOT_FOUND",
             "there is no such device, region, vector, mapping or file" },
    [14] = { "FERRY_E_RANGE", "offset and length lie outside the object" },
    [15] = { "FERRY_E_OVERLAP", "it overlaps something that exists" },
    [16] = { "FERRY_E_ALIGN", "it is not aligned as required" },
    [17] = { "FERRY_E_IO", "the operating system reported an I/O error" },
    [18] = { "FERRY_E_PERMISSION", "it is not permitted" },
    [19] = { "FERRY_E_DEVICE", "the device failed the operation and kept its state" },
    [20] = { "FERRY_E_DEVICE_ERROR",
             "the device is in ERROR; only a reset brings it back" },
    [21] = { "FERRY_E_INCOMPATIBLE", "source and target device do not match" },
    [22] = { "FERRY_E_CORRUPT", "a checksum or hash does not match" },
    [23] = { "FERRY_E_SHORT", "the data ends too early" },
    [24] = { "FERRY_E_LONG", "the data goes on after its end" },
    [25] = { "FERRY_E_FOREIGN",
             "the data is of another kind of device or of another session" },
    [26] = { "FERRY_E_VERSION", "this build does not read that version" },
    [27] = { "FERRY_E_REFUSED", "the peer refused" },
    [28] = { "FERRY_E_CANCELLED", "cancelled by the user" },
    [29] = { "FERRY_E_DEADLINE",
             "the migration did not converge, or was not committed, in time" },
    [30] = { "FERRY_E_UNDECIDED",
             "the outcome is not known; both sides hold their stopped state" },
    [31] = { "FERRY_E_PEER_MAP",
             "a device that cannot be quieted alone is able to reach a peer" },
    [32] = { "FERRY_E_DRY", "there is no data for now" },
    [33] = { "FERRY_E_HUNG", "a device did not end a change of state in time" },
    [34] = { "FERRY_E_CAPACITY", "the caller's buffer is too small" },
    [35] = { "FERRY_E_FDS", "wrong number of file descriptors with a message" },
    [36] = { "FERRY_E_MESSAGE", "an unknown command or record" },
};

#define STATUS_ROWS (sizeof(status_rows) / sizeof(status_rows[0]))

_Static_assert(STATUS_ROWS == (size_t)-FERRY_E_END, "every status code has its row");

static const struct status_row *status_row(int status)
{
    static const struct status_row pending = { "FERRY_PENDING",
                                               "accepted; the result comes later" };

    if (status == FERRY_PENDING) {
        return &pending;
    }
    if (status > 0 || status <= FERRY_E_END) {
        return NULL;
    }
    return &status_rows[-status];
}

const char *ferry_status_name(int status)
{
    const struct status_row *row = status_row(status);

    return row ? row->name : "FERRY_E_UNKNOWN";
}

const char *ferry_status_text(int status)
{
    const struct status_row *row = status_row(status);

    return row ? row->text : "a number that is no status code";
}

static void copy_text(char *to, size_t cap, const char *from)
{
    size_t len = from ? strlen(from) : 0;

    if (len >= cap) {
        len = cap - 1;
    }
    if (len > 0) {
        memcpy(to, from, len);
    }
    to[len] = '\0';
}

int ferry_error_set(struct ferry_error *reterr, int code, const char *layer,
                    const char *rule, uint64_t offset, const char *format, ...)
{
    va_list args;
    char *c;

    if (!reterr) {
        return code;
    }
    reterr->code = code;
    reterr->os_errno = 0;
    reterr->offset = offset;
    copy_text(reterr->layer, sizeof(reterr->layer), layer);
    copy_text(reterr->rule, sizeof(reterr->rule), rule);
    va_start(args, format);
    if (vsnprintf(reterr->text, sizeof(reterr->text), format, args) < 0) {
        copy_text(reterr->text, sizeof(reterr->text), ferry_status_text(code));
    }
    va_end(args);
    /* Arguments may hold a peer's bytes: a message is one line and no terminal control.
     */
    for (c = reterr->text; *c; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = '?';
        }
    }
    return code;
}

#define TEXT_OF(number) #number
#define VERSION_TEXT(major, minor, patch)                                                \
    TEXT_OF(major) "." TEXT_OF(minor) "." TEXT_OF(patch)

const char *ferry_version(void)
{
    return VERSION_TEXT(FERRY_VERSION_MAJOR, FERRY_VERSION_MINOR, FERRY_VERSION_PATCH);
}
