/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_ENVIRONMENT_H
#define FERRY_BRIDGE_PRELOAD_ENVIRONMENT_H

/*
 * Takes this library out of LD_PRELOAD, so that the process's children do not load it:
 * they are none of its business. Not in a constructor, since what starts first may be a
 * wrapper that executes the VMM. In place, without a new environment: other threads may
 * be looking into it. Thread: one at a time.
 */
void bridge_environment_clean(void);

/*
 * list: as LD_PRELOAD has it, changed in place; name: a file name without a folder.
 * Return: the number of entries taken out.
 */
int bridge_environment_remove(char *list, const char *name);

#endif
