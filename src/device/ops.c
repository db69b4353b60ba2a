/* SPDX-License-Identifier: BSD-3-Clause */
#include <string.h>

#include "device/device_private.h"

/* What an operation that the author left out does. */

static int default_region_read(void *state, struct ferry_device *device, uint32_t region,
                               uint64_t off, void *ret_data, size_t count)
{
    (void)state;
    (void)device;
    (void)region;
    (void)off;
    memset(ret_data, 0, count);
    return FERRY_OK;
}

static int default_region_write(void *state, struct ferry_device *device, uint32_t region,
                                uint64_t off, const void *data, size_t count)
{
    (void)state;
    (void)device;
    (void)region;
    (void)off;
    (void)data;
    (void)count;
    return FERRY_OK;
}

static int default_cap_read(void *state, struct ferry_device *device, uint32_t cap,
                            uint32_t off, void *ret_data, size_t count)
{
    const struct device_config *config = &device->config;

    (void)state;
    memcpy(ret_data, config->byte + config->cap[cap].off + off, count);
    return FERRY_OK;
}

static int default_cap_write(void *state, struct ferry_device *device, uint32_t cap,
                             uint32_t off, const void *data, size_t count)
{
    struct device_config *config = &device->config;

    (void)state;
    memcpy(config->byte + config->cap[cap].off + off, data, count);
    return FERRY_OK;
}

static void default_reset(void *state, struct ferry_device *device,
                          enum ferry_reset_reason reason)
{
    (void)state;
    (void)device;
    (void)reason;
}

static int default_work(void *state, struct ferry_device *device)
{
    (void)state;
    (void)device;
    return 0;
}

static int default_arc(void *state, struct ferry_device *device, uint32_t from,
                       uint32_t to)
{
    (void)state;
    (void)device;
    (void)from;
    (void)to;
    return FERRY_OK;
}

/* Whether segments are out is looked at by the SDK, whatever the author answers. */
static int default_dma_unmap(void *state, struct ferry_device *device, uint64_t iova,
                             uint64_t size)
{
    (void)state;
    (void)device;
    (void)iova;
    (void)size;
    return FERRY_OK;
}

static int default_counters(void *state, struct ferry_device *device,
                            struct ferry_counter *ret_counter, uint32_t cap)
{
    (void)state;
    (void)device;
    (void)ret_counter;
    (void)cap;
    return 0;
}

void device_ops_fill(struct ferry_device_ops *ops)
{
    ops->region_read = ops->region_read != NULL ? ops->region_read : default_region_read;
    ops->region_write =
        ops->region_write != NULL ? ops->region_write : default_region_write;
    ops->cap_read = ops->cap_read != NULL ? ops->cap_read : default_cap_read;
    ops->cap_write = ops->cap_write != NULL ? ops->cap_write : default_cap_write;
    ops->reset = ops->reset != NULL ? ops->reset : default_reset;
    ops->work = ops->work != NULL ? ops->work : default_work;
    ops->arc = ops->arc != NULL ? ops->arc : default_arc;
    ops->counters = ops->counters != NULL ? ops->counters : default_counters;
    ops->dma_unmap = ops->dma_unmap != NULL ? ops->dma_unmap : default_dma_unmap;
}
