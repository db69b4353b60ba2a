/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef FERRY_KERNEL_GUEST_FERRY_COPY_H
#define FERRY_KERNEL_GUEST_FERRY_COPY_H

#include <linux/atomic.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/types.h>
#include <linux/wait.h>

#include "copy_regs.h"

/*
 * A guest's driver of Ferry's `copy` device that keeps it at work and checks all of it,
 * for tests of virtual machines: data, counters, interrupts. It is of no other use. How
 * it is told and asked is described in driver.c.
 */

#define RING_ENTRIES 256u
#define BUFFER_BYTES 65536u
#define DIRTY_PAGES 256u
#define TIMEOUT_MS 10000u
#define STORM_IRQS 1000u /* more interrupts than completions */
#define FILE_TEXT_BYTES 160u

enum { CHANNEL_WORK, CHANNEL_DIRTY, CHANNELS_USED };

/* One channel: rings, and what the interrupt handler counts. */
struct copy_chan {
    struct ferry_copy *copy;
    u32 index;
    int irq;
    struct copy_descriptor *ring;
    struct copy_completion *done;
    dma_addr_t ring_dma, done_dma;
    u64 expect[RING_ENTRIES]; /* bytes of each job */
    u32 tail;                 /* jobs given, free running */
    u32 taken;                /* completions that the handler took, free running */
    u32 first;                /* number of the first job since the channel started */
    u32 excess;               /* interrupts without a completion of their own */
    int fault;                /* the handler saw something wrong, and noted it */
    wait_queue_head_t wait;
    atomic64_t submitted, completed, interrupts, spurious;
};

struct ferry_copy {
    struct pci_dev *pdev;
    void __iomem *regs;
    void __iomem *memory; /* of the device, mapped whole */
    u64 memory_bytes;
    struct copy_chan chan[CHANNELS_USED];
    struct mutex control; /* one command at a time */

    /* work.c */
    struct task_struct *task;
    struct pci_dev *peer; /* whose memory is used as well, or NULL */
    int storm;
    u8 *src, *dst;
    dma_addr_t src_dma, dst_dma;
    u64 random;
    u64 kept_seed;
    atomic64_t works, errors, bytes, gap_ns, last_ns;
    spinlock_t error_lock;
    char error[FILE_TEXT_BYTES]; /* the first one */

    /* dirty.c */
    struct page *page[DIRTY_PAGES];
    dma_addr_t page_dma[DIRTY_PAGES];
    char dirty[FILE_TEXT_BYTES];
};

/* Notes an error; the text of the first is kept. */
__printf(2, 3) void copy_error(struct ferry_copy *copy, const char *format, ...);

/* channel.c. Memory is freed with the device. Return: 0 or -errno. */
int copy_chan_init(struct ferry_copy *copy, u32 index);
/* Starts with empty rings, also after a fault. Return: 0, or -EIO and an error noted. */
int copy_chan_start(struct copy_chan *chan);
void copy_chan_stop(struct copy_chan *chan);
/* Queues a job. The caller leaves at most RING_ENTRIES without completion. */
void copy_submit(struct copy_chan *chan, u32 op, u64 src, u64 dst, u64 bytes);
void copy_kick(struct copy_chan *chan);
/*
 * Waits until the handler has taken the completions of all jobs, and compares with the
 * device's counters. Return: 0, or -EIO and an error noted; the channel is to be started
 * anew.
 */
int copy_wait(struct copy_chan *chan);

/* work.c. Return: 0 or -errno. */
int copy_work_init(struct ferry_copy *copy);
/* mode: "host", "storm", or "pair ADDRESS". */
int copy_work_start(struct ferry_copy *copy, const char *mode);
void copy_work_stop(struct ferry_copy *copy);

/* dirty.c. Return: 0 or -errno. */
int copy_dirty_init(struct ferry_copy *copy);
void copy_dirty_free(struct ferry_copy *copy);
int copy_dirty_fill(struct ferry_copy *copy, u32 seed);
void copy_dirty_check(struct ferry_copy *copy, u32 seed);

#endif
