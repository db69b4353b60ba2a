/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_QEMU_CHECK_H
#define FERRY_CLI_QEMU_CHECK_H

#include "cli/qemu/qemu.h"

/* What --check finds out. */
#define QEMU_FINDINGS_MAX 128
#define QEMU_TEXT_BYTES 600

enum qemu_level {
    QEMU_GOOD = 0,
    QEMU_NOTE,  /* it migrates, with less */
    QEMU_BLOCKS /* it does not migrate, or loses something */
};

struct qemu_finding {
    enum qemu_level level;
    char about[QEMU_ID_BYTES]; /* "QEMU", a device's id, "memory" */
    char text[QEMU_TEXT_BYTES];
    const char *todo; /* NULL: nothing is to do */
};

struct qemu_report {
    struct qemu_finding finding[QEMU_FINDINGS_MAX];
    size_t count;
    char version[QEMU_WHY_BYTES]; /* QEMU's own words; "" unknown */
    unsigned number;              /* 100 * major + minor; 0: unknown */
    int started;                  /* 1: QEMU realized all devices */
};

void qemu_find(struct qemu_report *report, enum qemu_level level, const char *about,
               const char *todo, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What the command line alone says: versions, vIOMMU, other devices. */
void qemu_check_line(struct qemu_report *report, const struct qemu_args *args,
                     const struct qemu_line *line);
/* Starts QEMU without its guest and asks it. */
void qemu_check_qemu(struct qemu_report *report, const struct qemu_plan *plan,
                     const struct qemu_args *args, const struct qemu_keeper *keeper);
/* Asks each server, as `ferry info' does. */
void qemu_check_devices(struct qemu_report *report, const struct qemu_args *args);

/* What QEMU says, with what it means and what to do where that is known. */
void qemu_explain(struct qemu_report *report, const char *reason);

#endif
