/* SPDX-License-Identifier: BSD-3-Clause */
#include "models/copy/copy_private.h"

#include <string.h>

#include "models/le.h"

static uint32_t channel_status(const struct copy_channel *channel)
{
    uint32_t status = 0;

    if ((channel->control & COPY_CONTROL_ENABLE) != 0) {
        status |= COPY_STATUS_ENABLED;
    }
    if (channel->busy != 0) {
        status |= COPY_STATUS_BUSY;
    }
    if (channel->error != COPY_ERROR_NONE) {
        status |= COPY_STATUS_ERROR | channel->error << COPY_STATUS_CODE_SHIFT;
    }
    return status;
}

static uint32_t read_channel(const struct copy_channel *channel, uint32_t off)
{
    switch (off) {
    case COPY_CH_RING:
    case COPY_CH_RING + 4:
        return le_half(channel->ring, off % 8);
    case COPY_CH_DONE_RING:
    case COPY_CH_DONE_RING + 4:
        return le_half(channel->done_ring, off % 8);
    case COPY_CH_ENTRIES:
        return channel->entries;
    case COPY_CH_CONTROL:
        return channel->control;
    case COPY_CH_STATUS:
        return channel_status(channel);
    case COPY_CH_VECTOR:
        return channel->vector;
    case COPY_CH_HEAD:
        return channel->head;
    case COPY_CH_TAIL:
        return channel->tail;
    case COPY_CH_DONE:
        return channel->done;
    case COPY_CH_PROGRESS:
    case COPY_CH_PROGRESS + 4:
        return le_half(channel->progress, off % 8);
    default:
        return 0;
    }
}

static uint32_t read_global(const struct copy *copy, uint32_t off)
{
    switch (off) {
    case COPY_REG_ID:
        return COPY_ID;
    case COPY_REG_VERSION:
        return COPY_VERSION;
    case COPY_REG_CHANNELS:
        return copy->channel_count;
    case COPY_REG_ENTRIES_MAX:
        return COPY_ENTRIES_MAX;
    case COPY_REG_MEMORY:
    case COPY_REG_MEMORY + 4:
        return le_half(copy->memory_bytes, off % 8);
    case COPY_REG_LEN_MAX:
    case COPY_REG_LEN_MAX + 4:
        return le_half(COPY_LEN_MAX, off % 8);
    default:
        return 0;
    }
}

static uint32_t read32(const struct copy *copy, uint32_t off)
{
    const uint32_t index = (off - COPY_CHANNEL_OFF) / COPY_CHANNEL_STEP;

    if (off < COPY_CHANNEL_OFF) {
        return read_global(copy, off);
    }
    if (off >= COPY_DOORBELL_OFF || index >= copy->channel_count) {
        return 0;
    }
    return read_channel(&copy->channel[index], off % COPY_CHANNEL_STEP);
}

void copy_registers_read(const struct copy *copy, uint64_t off, void *ret_data,
                         size_t count)
{
    uint8_t image[8];
    const uint32_t aligned = (uint32_t)(off & ~7ull);

    memset(ret_data, 0, count);
    if (count > sizeof(image) || off >= COPY_BAR_REGS_BYTES ||
        (off & 7) + count > sizeof(image)) {
        return; /* wider than any register */
    }
    le_put32(image, read32(copy, aligned));
    le_put32(image + 4, read32(copy, aligned + 4));
    memcpy(ret_data, image + (off & 7), count);
}

static void write_control(struct copy_channel *channel, uint32_t value)
{
    const uint32_t enable = value & COPY_CONTROL_ENABLE;

    if (enable == (channel->control & COPY_CONTROL_ENABLE)) {
        return;
    }
    if (enable != 0 && !copy_channel_valid(channel)) {
        return;
    }
    channel->control = enable;
    channel->error = COPY_ERROR_NONE;
    channel->head = 0;
    channel->tail = 0;
    channel->done = 0;
    channel->busy = 0;
    channel->progress = 0;
    channel->interrupt = 0;
    memset(&channel->current, 0, sizeof(channel->current));
}

static void write_tail(struct copy *copy, struct copy_channel *channel, uint32_t value)
{
    if ((channel->control & COPY_CONTROL_ENABLE) == 0) {
        return;
    }
    channel->tail = value;
    ferry_device_schedule(copy->device);
}

static void write_channel(struct copy *copy, struct copy_channel *channel, uint32_t off,
                          uint32_t value)
{
    const int enabled = (channel->control & COPY_CONTROL_ENABLE) != 0;

    switch (off) {
    case COPY_CH_RING:
    case COPY_CH_RING + 4:
        if (!enabled) {
            le_set_half(&channel->ring, off % 8, value);
        }
        break;
    case COPY_CH_DONE_RING:
    case COPY_CH_DONE_RING + 4:
        if (!enabled) {
            le_set_half(&channel->done_ring, off % 8, value);
        }
        break;
    case COPY_CH_ENTRIES:
        if (!enabled) {
            channel->entries = value;
        }
        break;
    case COPY_CH_CONTROL:
        write_control(channel, value);
        break;
    case COPY_CH_VECTOR:
        channel->vector = value < copy->channel_count ? value : COPY_NO_VECTOR;
        break;
    case COPY_CH_TAIL:
        write_tail(copy, channel, value);
        break;
    default:
        break;
    }
}

static void write32(struct copy *copy, uint32_t off, uint32_t value)
{
    uint32_t index = (off - COPY_CHANNEL_OFF) / COPY_CHANNEL_STEP;

    if (off >= COPY_DOORBELL_OFF) {
        index = (off - COPY_DOORBELL_OFF) / COPY_DOORBELL_STEP;
        if (index < copy->channel_count && off % COPY_DOORBELL_STEP == 0) {
            write_tail(copy, &copy->channel[index], value);
        }
    } else if (off >= COPY_CHANNEL_OFF && index < copy->channel_count) {
        write_channel(copy, &copy->channel[index], off % COPY_CHANNEL_STEP, value);
    }
}

void copy_registers_write(struct copy *copy, uint64_t off, const void *data, size_t count)
{
    const uint8_t *from = data;

    if (off % 4 != 0 || off >= COPY_BAR_REGS_BYTES ||
        (count != 4 && (count != 8 || off % 8 != 0))) {
        return;
    }
    write32(copy, (uint32_t)off, le_get32(from));
    if (count == 8) {
        write32(copy, (uint32_t)off + 4, le_get32(from + 4));
    }
}
