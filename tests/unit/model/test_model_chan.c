/* SPDX-License-Identifier: BSD-3-Clause */
#include "test_model_chan.h"

#include <string.h>

static uint64_t reg_off(uint32_t index, uint32_t reg)
{
    return COPY_CHANNEL_OFF + (uint64_t)index * COPY_CHANNEL_STEP + reg;
}

void chan_start(struct chan *chan, struct rig *rig, const struct rig_ram *ram,
                uint32_t index)
{
    memset(chan, 0, sizeof(*chan));
    chan->ram = ram->bytes;
    chan->index = index;
    chan->off = index * 0x4000;
    memset(ram->bytes + chan->off, 0, 0x4000);
    rig_write64(rig, COPY_BAR_REGS, reg_off(index, COPY_CH_RING), CHAN_IOVA(chan->off));
    rig_write64(rig, COPY_BAR_REGS, reg_off(index, COPY_CH_DONE_RING),
                CHAN_IOVA(chan->off + 0x2000));
    rig_write32(rig, COPY_BAR_REGS, reg_off(index, COPY_CH_ENTRIES), CHAN_ENTRIES);
    rig_write32(rig, COPY_BAR_REGS, reg_off(index, COPY_CH_VECTOR), index);
    rig_write32(rig, COPY_BAR_REGS, reg_off(index, COPY_CH_CONTROL), COPY_CONTROL_ENABLE);
    assert_int_equal(chan_reg(chan, rig, COPY_CH_STATUS), COPY_STATUS_ENABLED);
}

void chan_put(struct chan *chan, uint32_t op, uint32_t id, uint64_t src, uint64_t dst,
              uint64_t len)
{
    const struct copy_descriptor descriptor = { op, id, src, dst, len };

    memcpy(chan->ram + chan->off + (chan->tail % CHAN_ENTRIES) * sizeof(descriptor),
           &descriptor, sizeof(descriptor));
    chan->tail++;
}

int chan_ring(const struct chan *chan, struct rig *rig)
{
    return rig_write(rig, COPY_BAR_REGS,
                     COPY_DOORBELL_OFF + chan->index * COPY_DOORBELL_STEP, &chan->tail,
                     4);
}

int chan_take(struct chan *chan, struct copy_completion *ret_done)
{
    const uint8_t *at = chan->ram + chan->off + 0x2000;

    memcpy(ret_done, at + (chan->seen % CHAN_ENTRIES) * sizeof(*ret_done),
           sizeof(*ret_done));
    if (ret_done->sequence != (uint64_t)chan->seen + 1) {
        return 0;
    }
    chan->seen++;
    return 1;
}

uint32_t chan_reg(const struct chan *chan, struct rig *rig, uint32_t reg)
{
    return rig_read32(rig, COPY_BAR_REGS, reg_off(chan->index, reg));
}

uint64_t chan_progress(const struct chan *chan, struct rig *rig)
{
    uint64_t progress = 0;

    assert_int_equal(rig_read(rig, COPY_BAR_REGS, reg_off(chan->index, COPY_CH_PROGRESS),
                              &progress, 8),
                     FERRY_OK);
    return progress;
}
