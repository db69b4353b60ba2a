/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_MODELS_NIC_NET_STREAM_STREAM_H
#define FERRY_MODELS_NIC_NET_STREAM_STREAM_H

#include "models/nic/net/net_private.h"

/* At most one try for a connection in so long. */
#define NIC_STREAM_PACE_MS 200u

/* How a stream comes by its peer. */
struct nic_stream_way {
    const char *name;
    uint32_t pace_ms; /* 0: NIC_STREAM_PACE_MS */
    uint32_t pad;
    /*
     * A try that does not wait. Return: FERRY_OK with a connected stream socket, which is
     * given away; FERRY_E_AGAIN: nobody there now; FERRY_E_IO: it cannot be tried
     * now.
     */
    int (*connect)(void *way, int *ret_fd);
    /* The connection has ended. NULL: nothing to do. */
    void (*ended)(void *way);
    /* Lets go of what the way holds, and of itself. */
    void (*destroy)(void *way);
    /* Its own descriptor, readable when connect() is to be tried. NULL: it is tried at
     * once, and every pace_ms while there is no peer. */
    int (*fd)(void *way);
};

/*
 * A wire over whatever `ops` connects. way: the wire's from then on, also on failure.
 * Return: FERRY_OK; FERRY_E_MEMORY, FERRY_E_IO.
 */
int nic_stream_create(const struct nic_stream_way *ops, void *way,
                      struct nic_net **ret_net, struct ferry_error *reterr);

#endif
