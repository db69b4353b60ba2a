/* SPDX-License-Identifier: BSD-3-Clause */
#include "link/endpoint.h"

#include <stddef.h>

#define HAS(ops, member)                                                                 \
    ((ops)->struct_size > offsetof(struct ferry_endpoint_ops, member) &&                 \
     (ops)->member != NULL)

int ferry_endpoint_wake_fd(struct ferry_endpoint *endpoint)
{
    return HAS(endpoint->ops, wake_fd) ? endpoint->ops->wake_fd(endpoint) : -1;
}

int ferry_endpoint_reads_inside(struct ferry_endpoint *endpoint)
{
    return HAS(endpoint->ops, reads_inside) && endpoint->ops->reads_inside(endpoint);
}

int ferry_endpoint_place(struct ferry_endpoint *endpoint, uint64_t most,
                         struct ferry_data_place *ret_place)
{
    return HAS(endpoint->ops, place) ? endpoint->ops->place(endpoint, most, ret_place)
                                     : FERRY_E_UNSUPPORTED;
}
