/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stddef.h>
#include "bridge/device/link.h"

int bridge_link_open(struct bridge_device *device, struct bridge_link **ret_link,
                     struct ferry_error *reterr)
{
    (void)device;
    (void)ret_link;
    (void)reterr;
    return -ENOSYS;
}

void bridge_link_close(struct bridge_link *link)
{
    (void)link;
}

int bridge_link_call(struct bridge_link *link, struct ferry_request *request)
{
    (void)link;
    (void)request;
    return -ENOSYS;
}

int bridge_link_submit(struct bridge_link *link, struct ferry_request *request)
{
    (void)link;
    (void)request;
    return -ENOSYS;
}

int bridge_link_post(struct bridge_link *link, uint32_t region, uint64_t off,
                     const void *data, uint32_t count)
{
    (void)link;
    (void)region;
    (void)off;
    (void)data;
    (void)count;
    return -ENOSYS;
}

int bridge_link_dead(const struct bridge_link *link)
{
    (void)link;
    return -ENOSYS;
}

int bridge_link_reopen(struct bridge_link *link, struct ferry_error *reterr)
{
    (void)link;
    (void)reterr;
    return -ENOSYS;
}

uint32_t bridge_link_generation(const struct bridge_link *link)
{
    (void)link;
    return 0;
}

uint32_t bridge_link_max_data(const struct bridge_link *link)
{
    (void)link;
    return 0;
}

uint32_t bridge_link_max_fds(const struct bridge_link *link)
{
    (void)link;
    return 0;
}

const struct ferry_link_version *bridge_link_agreed(const struct bridge_link *link)
{
    (void)link;
    return NULL;
}

int bridge_link_fd(struct bridge_link *link)
{
    (void)link;
    return -ENOSYS;
}

void bridge_link_dispatch(struct bridge_link *link)
{
    (void)link;
}
