/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_CLI_QEMU_KEEPER_H
#define FERRY_CLI_QEMU_KEEPER_H

#include <sys/types.h>

#include "cli/qemu/qemu.h"

/* What the process knows that keeps models; keep.c starts it and talks to it. */
struct keeper {
    const struct qemu_args *args;
    char *folder;
    pid_t server[QEMU_DEVICES_MAX]; /* 0: none (any more) */
    int alive, told, children;      /* QEMU's pipe, the way to ferry qemu, signalfd */
    int owner;                      /* pidfd of the process that becomes QEMU; or -1 */
};

/*
 * The keeper's whole life, in a process of its own: makes the folder and tells its name,
 * starts the servers when it gets a word for that, tells how that went, and ends them
 * when QEMU is gone. log: for their messages, or NULL. Does not return.
 */
void keeper_live(struct keeper *keeper, const char *log, int daemonize);

#endif
