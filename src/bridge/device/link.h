/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_BRIDGE_DEVICE_LINK_H
#define FERRY_BRIDGE_DEVICE_LINK_H

#include "link/client/client.h"

struct bridge_device;

/*
 * The connection to a device's server, which may die and come back. Every wait is bounded
 * by the token's limit; a server that does not answer in time is as good as dead: the
 * connection is given up, since its answers would come too late for everybody.
 *
 * Thread: any, but for open, close and reopen: one at a time.
 */
struct bridge_link;

/* Connects; DMA messages of the server go to bridge_iommu_dma(). */
int bridge_link_open(struct bridge_device *device, struct bridge_link **ret_link,
                     struct ferry_error *reterr);
void bridge_link_close(struct bridge_link *link);

/*
 * A request and its result. Return: the request's status; FERRY_E_CLOSED at once while it
 * is dead. The first failure of a connection is said, and the device told
 * (bridge_device_lost(), on the service thread: a caller may hold locks of its own).
 * Thread: any but the service thread, which the server may need for its answer.
 */
int bridge_link_call(struct bridge_link *link, struct ferry_request *request);
/* A request whose done() runs on the service thread, or in close, reopen and give_up. As
 * ferry_client_submit(). done() may not let go of the device's last reference. */
int bridge_link_submit(struct bridge_link *link, struct ferry_request *request);
/* A submitted request failed: was it the connection? Dead then from here on; the service
 * thread finds that out a moment later than done() tells of the request. */
void bridge_link_check(struct bridge_link *link);
/* A write that nobody waits for; waits itself only when the socket is full. */
int bridge_link_post(struct bridge_link *link, uint32_t region, uint64_t off,
                     const void *data, uint32_t count);

int bridge_link_dead(const struct bridge_link *link);
/* Its server is of no more use: as if it had died now. Thread: any. */
void bridge_link_condemn(struct bridge_link *link, const char *why);
/*
 * What is called from now on must be over after so long in all, or the server counts as
 * dead: one that answers each time at the last moment would hold the VMM up for hours.
 * 0: no limit but each request's. Thread: as open.
 */
void bridge_link_limit(struct bridge_link *link, uint64_t limit_ms);
/* Connects again after a death. Return: as open; FERRY_OK when it is alive. */
int bridge_link_reopen(struct bridge_link *link, struct ferry_error *reterr);
/* Ends a connection that is of no more use: dead from now on, but the device is not told
 * and nothing is said. */
void bridge_link_give_up(struct bridge_link *link);
/* Grows with each reopen: what was known of the server before is void. */
uint32_t bridge_link_generation(const struct bridge_link *link);

/* Of the last connection, dead or not. max_fds: what one SET_IRQS may have. */
uint32_t bridge_link_max_data(const struct bridge_link *link);
uint32_t bridge_link_max_fds(const struct bridge_link *link);
const struct ferry_link_version *bridge_link_agreed(const struct bridge_link *link);

/* Is its device in STOP or STOP_COPY? There are servers that refuse nearly everything
 * then; asked after such a refusal. */
static inline int bridge_link_stands_still(struct bridge_link *link)
{
    struct ferry_request request = { .kind = FERRY_RQ_GET_STATE };

    return bridge_link_call(link, &request) == FERRY_OK &&
           (request.u.state == FERRY_STATE_STOP ||
            request.u.state == FERRY_STATE_STOP_COPY);
}

/* For the service thread alone. */
int bridge_link_fd(struct bridge_link *link);
void bridge_link_dispatch(struct bridge_link *link);

#endif
