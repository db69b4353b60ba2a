/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_LINK_ENDPOINT_H
#define FERRY_LINK_ENDPOINT_H

#include "link/request.h"

/*
 * The one seam between a device and whoever reaches it (a vfio-user server, the
 * in-process backend) and the place where a filter sits. Not thread safe: every call
 * comes from the thread that runs the device.
 */

/* What the user's side offers the device: memory that has no descriptor. */
struct ferry_client_port {
    size_t struct_size;
    /*
     * Reads or writes the user's memory by message and waits for it (bounded).
     * Return: FERRY_OK, FERRY_E_RANGE, FERRY_E_TIMEOUT, FERRY_E_CLOSED.
     */
    int (*dma_read)(void *user, uint64_t iova, void *ret_data, size_t size);
    int (*dma_write)(void *user, uint64_t iova, const void *data, size_t size);
    void *user;
};

struct ferry_data_place {
    void *data;    /* the place; valid until the next request */
    uint64_t size; /* it holds; 0: the next bytes have none */
    uint64_t rest; /* bytes behind these that have no place either: they are best received
                      with them and given as an ordinary DATA_WRITE */
};

struct ferry_endpoint_ops {
    size_t struct_size;
    /*
     * A user comes: no maps, no interrupts. port: borrowed until detach.
     * Return: FERRY_OK, FERRY_E_BUSY when another user is attached.
     */
    int (*attach)(struct ferry_endpoint *endpoint, const struct ferry_client_port *port);
    /*
     * The user is gone: maps, interrupts, dirty log and a data session are dropped and
     * the device is reset to RUNNING, so that the next user finds no leftovers.
     * Requests that are still pending are completed with FERRY_E_CLOSED before it
     * returns.
     */
    void (*detach)(struct ferry_endpoint *endpoint);
    /*
     * Starts a request. Return: FERRY_OK or a negative code: ended (request->status is
     * the same; done is NOT called); FERRY_PENDING: done is called later.
     */
    int (*submit)(struct ferry_endpoint *endpoint, struct ferry_request *request);
    /*
     * A slice of the device's own work, bounded (some 100 us); runs completions of
     * requests that are over. Called after attach and after every submit, then again
     * (other requests may come in between) until it returns 0, and whenever wake_fd is
     * readable; that also while nobody is attached, where it only clears wake_fd.
     * Return: 1 when more is ready now, 0 when it waits for something to happen.
     */
    int (*work)(struct ferry_endpoint *endpoint);
    /*
     * A descriptor that gets readable when work() is due although no request came
     * (another thread gave memory back, the device's own code asked for work). Owned
     * by the endpoint; work() clears it. NULL or a negative number: there is none.
     */
    int (*wake_fd)(struct ferry_endpoint *endpoint);
    /*
     * May submit() be called with a REGION_READ from within the port's dma_read and
     * dma_write? A user may hold back the answer to the DMA until it has its own:
     * QEMU's processors wait for a register with the lock that the DMA needs.
     * Return: 1 when it may. NULL: it may not, the read waits for the DMA's end.
     */
    int (*reads_inside)(struct ferry_endpoint *endpoint);
    /*
     * Where do the next bytes of the state that is being loaded belong? They may be put
     * there at once; a DATA_WRITE with `placed` then says how many are. Anything else but
     * that DATA_WRITE makes the answer void.
     * most: bytes that will come.
     * Return: FERRY_OK; FERRY_E_UNSUPPORTED, with which nothing is placed now. NULL: as
     *   FERRY_E_UNSUPPORTED. A filter has none: it wants to see the bytes.
     */
    int (*place)(struct ferry_endpoint *endpoint, uint64_t most,
                 struct ferry_data_place *ret_place);
};

struct ferry_endpoint {
    const struct ferry_endpoint_ops *ops;
    struct ferry_endpoint *below; /* a filter's next; NULL for a device */
};

/* The operations that an endpoint may lack, or be too old to know. Return: as of them. */
int ferry_endpoint_wake_fd(struct ferry_endpoint *endpoint);
int ferry_endpoint_reads_inside(struct ferry_endpoint *endpoint);
int ferry_endpoint_place(struct ferry_endpoint *endpoint, uint64_t most,
                         struct ferry_data_place *ret_place);

#endif
