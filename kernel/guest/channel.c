// SPDX-License-Identifier: GPL-2.0-only
#include <linux/dma-mapping.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/jiffies.h>

#include "ferry_copy.h"

static void __iomem *chan_reg(const struct copy_chan *chan, u32 reg)
{
    return chan->copy->regs + COPY_CHANNEL_OFF + chan->index * COPY_CHANNEL_STEP + reg;
}

static void write64(u64 value, void __iomem *at)
{
    iowrite32((u32)value, at);
    iowrite32((u32)(value >> 32), at + 4);
}

/* Job numbers go on over a restart of the channel, the device's numbers begin at 0. */
static struct copy_completion *completion(const struct copy_chan *chan, u32 number)
{
    return &chan->done[(number - chan->first) % RING_ENTRIES];
}

static int is_there(const struct copy_chan *chan, u32 number)
{
    return READ_ONCE(completion(chan, number)->sequence) ==
           (u64)(u32)(number - chan->first) + 1;
}

static void take(struct copy_chan *chan)
{
    const struct copy_completion *done = completion(chan, chan->taken);
    const u64 bytes = chan->expect[chan->taken % RING_ENTRIES];

    if (done->id != chan->taken || done->status != COPY_DONE || done->bytes != bytes) {
        copy_error(
            chan->copy,
            "channel %u: job %u of %llu bytes ends as job %u with status %u and %llu "
            "bytes",
            chan->index, chan->taken, bytes, done->id, done->status, done->bytes);
        chan->fault = 1;
    }
    atomic64_inc(&chan->completed);
    WRITE_ONCE(chan->taken, chan->taken + 1);
}

static void without_completion(struct copy_chan *chan)
{
    const u32 status = ioread32(chan_reg(chan, COPY_CH_STATUS));

    if (chan->fault) {
        return;
    }
    if ((status & COPY_STATUS_ERROR) != 0) {
        copy_error(chan->copy, "channel %u: stopped with status 0x%x at job %u",
                   chan->index, status, chan->taken);
        chan->fault = 1;
    } else if (chan->excess >= STORM_IRQS) {
        copy_error(chan->copy, "channel %u: an interrupt storm", chan->index);
        chan->fault = 1;
        iowrite32(COPY_NO_VECTOR, chan_reg(chan, COPY_CH_VECTOR));
    }
}

static irqreturn_t handle(int irq, void *arg)
{
    struct copy_chan *chan = arg;
    u32 count = 0;

    atomic64_inc(&chan->interrupts);
    /* A completion that nobody waits for is left alone, and found by who looks next. */
    while (chan->taken != READ_ONCE(chan->tail) && is_there(chan, chan->taken)) {
        dma_rmb();
        take(chan);
        count++;
    }
    /* Every interrupt has a completion of its own, if not at the same time. */
    chan->excess = chan->excess + 1 > count ? chan->excess + 1 - count : 0;
    if (count == 0) {
        atomic64_inc(&chan->spurious);
        without_completion(chan);
    }
    wake_up(&chan->wait);
    return IRQ_HANDLED;
}

int copy_chan_init(struct ferry_copy *copy, u32 index)
{
    struct copy_chan *chan = &copy->chan[index];
    struct device *dev = &copy->pdev->dev;

    chan->copy = copy;
    chan->index = index;
    init_waitqueue_head(&chan->wait);
    chan->ring = dmam_alloc_coherent(dev, RING_ENTRIES * sizeof(*chan->ring),
                                     &chan->ring_dma, GFP_KERNEL);
    chan->done = dmam_alloc_coherent(dev, RING_ENTRIES * sizeof(*chan->done),
                                     &chan->done_dma, GFP_KERNEL);
    if (!chan->ring || !chan->done) {
        return -ENOMEM;
    }
    chan->irq = pci_irq_vector(copy->pdev, index);
    if (chan->irq < 0) {
        return chan->irq;
    }
    return devm_request_irq(dev, chan->irq, handle, 0, "ferry_copy", chan);
}

void copy_chan_stop(struct copy_chan *chan)
{
    iowrite32(0, chan_reg(chan, COPY_CH_CONTROL));
    /* The read waits for the write, and the handler ends with what came before. */
    (void)ioread32(chan_reg(chan, COPY_CH_CONTROL));
    synchronize_irq(chan->irq);
}

int copy_chan_start(struct copy_chan *chan)
{
    u32 status;

    copy_chan_stop(chan);
    memset(chan->done, 0, RING_ENTRIES * sizeof(*chan->done));
    chan->taken = chan->tail;
    chan->first = chan->tail;
    chan->fault = 0;
    chan->excess = 0;
    write64(chan->ring_dma, chan_reg(chan, COPY_CH_RING));
    write64(chan->done_dma, chan_reg(chan, COPY_CH_DONE_RING));
    iowrite32(RING_ENTRIES, chan_reg(chan, COPY_CH_ENTRIES));
    iowrite32(chan->index, chan_reg(chan, COPY_CH_VECTOR));
    iowrite32(COPY_CONTROL_ENABLE, chan_reg(chan, COPY_CH_CONTROL));
    status = ioread32(chan_reg(chan, COPY_CH_STATUS));
    if (status == ~0u || (status & COPY_STATUS_ENABLED) == 0) {
        copy_error(chan->copy, "channel %u does not start, status 0x%x", chan->index,
                   status);
        return -EIO;
    }
    return 0;
}

void copy_submit(struct copy_chan *chan, u32 op, u64 src, u64 dst, u64 bytes)
{
    struct copy_descriptor *job = &chan->ring[(chan->tail - chan->first) % RING_ENTRIES];

    job->op = op;
    job->id = chan->tail;
    job->src = src;
    job->dst = dst;
    job->len = bytes;
    chan->expect[chan->tail % RING_ENTRIES] = bytes;
    atomic64_inc(&chan->submitted);
    WRITE_ONCE(chan->tail, chan->tail + 1);
}

void copy_kick(struct copy_chan *chan)
{
    dma_wmb();
    iowrite32(chan->tail - chan->first,
              chan->copy->regs + COPY_DOORBELL_OFF + chan->index * COPY_DOORBELL_STEP);
}

/* A job did not end in time: what is known about it. */
static void say_timeout(struct copy_chan *chan)
{
    const int there = is_there(chan, chan->taken);

    copy_error(
        chan->copy, "channel %u: %s of job %u in %u ms; status 0x%x, head %u, done %u",
        chan->index, there ? "no interrupt for the completion" : "no completion",
        chan->taken, TIMEOUT_MS, ioread32(chan_reg(chan, COPY_CH_STATUS)),
        ioread32(chan_reg(chan, COPY_CH_HEAD)), ioread32(chan_reg(chan, COPY_CH_DONE)));
}

int copy_wait(struct copy_chan *chan)
{
    const u32 given = chan->tail - chan->first;
    u32 head;
    u32 done;

    if (!wait_event_timeout(chan->wait,
                            READ_ONCE(chan->taken) == chan->tail || chan->fault,
                            msecs_to_jiffies(TIMEOUT_MS))) {
        say_timeout(chan);
        return -EIO;
    }
    if (chan->fault) {
        return -EIO;
    }
    head = ioread32(chan_reg(chan, COPY_CH_HEAD));
    done = ioread32(chan_reg(chan, COPY_CH_DONE));
    if (head != given || done != given) {
        copy_error(chan->copy,
                   "channel %u: %u jobs were given and taken, head %u, done %u",
                   chan->index, given, head, done);
        return -EIO;
    }
    return 0;
}
