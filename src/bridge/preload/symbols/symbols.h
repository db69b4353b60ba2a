/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_PRELOAD_SYMBOLS_H
#define FERRY_BRIDGE_PRELOAD_SYMBOLS_H

#include "bridge/object.h"

/*
 * Functions of the C library in whose front the bridge stands, by concern:
 *   symbols_ioctl.c, symbols_io.c, symbols_map.c, symbols_fd.c, symbols_open.c
 * What is not about a descriptor of ours goes on to the real one, errno and all. The
 * library's own calls come through here as well: nothing here may wait or allocate for
 * descriptors that are not ours.
 */
#define BRIDGE_SYMBOL __attribute__((visibility("default")))

/* Ends a call on an object: gives the reference back and answers as system calls do. */
long bridge_symbol_end(struct bridge_object *object, long result, int err_before);

#endif
