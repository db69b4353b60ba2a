/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdlib.h>

#include "models/nic/net/net_private.h"

/* No cable: the link is down, and what is sent is gone. */

static int none_send(struct nic_net *net, const struct nic_frame *frame, uint32_t count)
{
    (void)frame;
    net->dropped += count;
    return (int)count;
}

static int none_receive(struct nic_net *net, struct nic_frame *frame, uint32_t count)
{
    (void)net;
    (void)frame;
    (void)count;
    return 0;
}

static void none_close(struct nic_net *net)
{
    free(net);
}

static const struct nic_net_ops none_ops = {
    .name = "none",
    .send = none_send,
    .receive = none_receive,
    .close = none_close,
};

int nic_none_open(const char *rest, struct nic_net **ret_net, struct ferry_error *reterr)
{
    struct nic_net *net = calloc(1, sizeof(*net));

    (void)rest;
    if (net == NULL) {
        return ferry_error_set(reterr, FERRY_E_MEMORY, "nic", NULL, 0, "no memory");
    }
    net->ops = &none_ops;
    net->fd = -1;
    *ret_net = net;
    return FERRY_OK;
}
