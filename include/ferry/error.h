/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_ERROR_H
#define FERRY_ERROR_H

#include <stdint.h>

#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Status codes. Every call that returns an int returns >= 0 for success (FERRY_OK, or a
 * count) or one of the negative codes. One cause has one code.
 */
enum ferry_status {
    FERRY_PENDING = 1, /* accepted; the result is reported later */
    FERRY_OK = 0,
    FERRY_E_ARGUMENT = -1,    /* the caller's argument is wrong: a programming error */
    FERRY_E_MEMORY = -2,      /* out of memory */
    FERRY_E_AGAIN = -3,       /* nothing to do now; wait for the descriptor */
    FERRY_E_TIMEOUT = -4,     /* a limit on a wait ran out */
    FERRY_E_CLOSED = -5,      /* the peer closed the connection */
    FERRY_E_PROTOCOL = -6,    /* a message or record is malformed */
    FERRY_E_LIMIT = -7,       /* a size or count is over a named limit */
    FERRY_E_UNSUPPORTED = -8, /* the device, peer or build lacks this */
    FERRY_E_STATE = -9,       /* the device state forbids the operation (access table) */
    FERRY_E_ARC = -10,        /* no legal path between the two device states */
    FERRY_E_BUSY = -11,       /* another operation of this kind is under way */
    FERRY_E_EXISTS = -12,     /* it is already there */
    FERRY_E_NOT_FOUND = -13,  /* no such device, region, vector, mapping or file */
    FERRY_E_RANGE = -14,      /* offset + length is outside the object, or overflows */
    FERRY_E_OVERLAP = -15,    /* overlaps something that exists */
    FERRY_E_ALIGN = -16,      /* not aligned as required */
    FERRY_E_IO = -17,         /* the operating system reported an I/O error */
    FERRY_E_PERMISSION = -18, /* not permitted */
    FERRY_E_DEVICE = -19,     /* the device failed the operation and kept its state */
    FERRY_E_DEVICE_ERROR = -20, /* the device is in ERROR; only a reset leaves it */
    FERRY_E_INCOMPATIBLE = -21, /* source and target device do not match */
    FERRY_E_CORRUPT = -22,      /* a checksum or hash does not match */
    FERRY_E_SHORT = -23,        /* data ended too early */
    FERRY_E_LONG = -24,         /* data goes on after its end */
    FERRY_E_FOREIGN = -25,      /* data of another kind of device or of another session */
    FERRY_E_VERSION = -26,      /* a version that this build does not read */
    FERRY_E_REFUSED = -27,      /* the peer refused */
    FERRY_E_CANCELLED = -28,    /* cancelled by the user */
    FERRY_E_DEADLINE = -29,     /* did not converge, or was not committed, in time */
    FERRY_E_UNDECIDED = -30, /* the outcome is not known; both sides hold their state */
    FERRY_E_PEER_MAP = -31,  /* a device without P2P support can reach a peer */
    FERRY_E_DRY = -32,       /* no data for now (pre-copy); not the end */
    FERRY_E_HUNG = -33,      /* a device did not end an arc within its limit */
    FERRY_E_CAPACITY = -34,  /* the caller's buffer or action array is too small */
    FERRY_E_FDS = -35,       /* wrong number of file descriptors with a message */
    FERRY_E_MESSAGE = -36,   /* an unknown command or record */
    FERRY_E_END = -37        /* lowest code; not a status */
};

/* What went wrong, where. The caller's memory; written only on failure. */
struct ferry_error {
    int32_t code;      /* enum ferry_status */
    uint32_t os_errno; /* the errno behind it, or 0 */
    uint64_t offset;   /* byte offset inside the message, record or file, or 0 */
    char layer[16];    /* "wire", "link", "stream", "session", "device", "host", "os" */
    char rule[24];     /* identifier of the violated rule, such as "MIG-STOP-2", or "" */
    char text[256];    /* what was wrong, where and what to do; one line, no newline */
};

/*
 * Name of a status code ("FERRY_E_TIMEOUT").
 * Return: a static string; "FERRY_E_UNKNOWN" for a number that is no code.
 * Thread: any.
 */
FERRY_PUBLIC const char *ferry_status_name(int status);

/*
 * One sentence for people that says what a status code means.
 * Return: a static string.
 * Thread: any.
 */
FERRY_PUBLIC const char *ferry_status_text(int status);

/*
 * Fills *reterr (which may be NULL: then nothing happens) and returns code.
 * layer, rule (may be NULL), format: borrowed for the call.
 * Return: code, so that a caller can write `return ferry_error_set(...)`.
 * Thread: any.
 */
FERRY_PUBLIC int ferry_error_set(struct ferry_error *reterr, int code, const char *layer,
                                 const char *rule, uint64_t offset, const char *format,
                                 ...) __attribute__((format(printf, 6, 7)));

#ifdef __cplusplus
}
#endif

#endif
