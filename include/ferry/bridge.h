/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_H
#define FERRY_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

#include "ferry/error.h"
#include "ferry/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Tokens for the bridge, the preload library libferry-bridge.so: inside a process that
 * has it preloaded, a token stands for a VFIO device or for /dev/iommu. A token is a
 * sealed memfd that says what it stands for: it holds no connection, survives being
 * passed on (inherited, SCM_RIGHTS, QMP's getfd) and being duplicated, and means nothing
 * to a process without the library.
 */

/* Where the dirty pages of a device come from. */
enum ferry_bridge_dirty {
    FERRY_BRIDGE_DIRTY_ANY = 0,    /* the VMM chooses: device log or IOMMU */
    FERRY_BRIDGE_DIRTY_DEVICE = 1, /* only the device's log is offered */
    FERRY_BRIDGE_DIRTY_IOMMU = 2   /* only the IOMMU's log is offered */
};

/* 0 or NULL takes the default. */
struct ferry_bridge_device {
    size_t struct_size;
    const char *name;      /* in messages; default: the path's last part */
    const char *path;      /* the device server's UNIX socket; needed, absolute */
    const char *log;       /* file for messages, appended to; default: standard error */
    uint32_t timeout_ms;   /* limit of every wait for the server; 10000 */
    uint32_t no_peer_maps; /* 1: no peer can reach its BARs, nor it theirs; a device
                              without P2P states then shows them */
    uint32_t dirty;        /* enum ferry_bridge_dirty */
    uint32_t trace;        /* 1: each call of the VMM goes to the log */
};

/*
 * ret_fd: the caller's, close-on-exec.
 * Return: FERRY_OK; FERRY_E_ARGUMENT (no path, not absolute, a newline in a text),
 *   FERRY_E_LIMIT (a text is too long), FERRY_E_IO. Thread: any.
 */
FERRY_PUBLIC int ferry_bridge_device_token(const struct ferry_bridge_device *device,
                                           int *ret_fd, struct ferry_error *reterr);
/* A token for /dev/iommu; as above. One serves all devices of a VMM. */
FERRY_PUBLIC int ferry_bridge_iommu_token(int *ret_fd, struct ferry_error *reterr);

#ifdef __cplusplus
}
#endif

#endif
