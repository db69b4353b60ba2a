/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_INHERITED_H
#define FERRY_BRIDGE_PRELOAD_INHERITED_H

#include "bridge/preload/tokens/token.h"

/*
 * Tokens that the program has inherited and names by a path: in /dev/vfio/NUMBER and
 * /dev/vfio/devices/vfioNUMBER, NUMBER is that of the descriptor and
 * BRIDGE_INHERITED_FIRST. No kernel has so many groups or devices.
 */
#define BRIDGE_INHERITED_FIRST 1000000000u

/*
 * digits: what a path has behind its folder, to its end.
 * Return: the number, and the device's token; 0: it is none of ours (a token that cannot
 * be used is said). Thread: any. Keeps errno.
 */
uint32_t bridge_inherited_find(const char *digits, struct bridge_token *ret_token);

#endif
