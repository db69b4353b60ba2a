// SPDX-License-Identifier: GPL-2.0-only
/*
 * The work. The device's memory is used in parts, each an eighth: A and B for copies, C
 * for what the CPU writes, K is written once and must stay; the upper half is for the
 * peer.
 */
#include <linux/delay.h>
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/ktime.h>

#include "ferry_copy.h"

#define STORM_JOBS 64u
#define STORM_BYTES 64u
#define CPU_BYTES 64u
#define SAMPLE_BYTES 256u
#define KEPT_PAGES_MAX 64u
#define REST_MS 20u /* after an error: a device that is gone is not asked in a loop */
#define KEPT_CHUNK 512u

static u64 part_off(const struct ferry_copy *copy, u32 part)
{
    return copy->memory_bytes / 8 * part;
}

#define PART_A 0
#define PART_B 1
#define PART_C 2
#define PART_K 3
#define PART_PEER 4

void copy_error(struct ferry_copy *copy, const char *format, ...)
{
    unsigned long flags;
    va_list args;

    spin_lock_irqsave(&copy->error_lock, flags);
    if (copy->error[0] == '\0') {
        va_start(args, format);
        vsnprintf(copy->error, sizeof(copy->error), format, args);
        va_end(args);
    }
    spin_unlock_irqrestore(&copy->error_lock, flags);
    atomic64_inc(&copy->errors);
}

static u64 next_random(struct ferry_copy *copy)
{
    copy->random ^= copy->random << 13;
    copy->random ^= copy->random >> 7;
    copy->random ^= copy->random << 17;
    return copy->random;
}

/* A multiple of 8, from 8 to most. */
static u32 some_bytes(struct ferry_copy *copy, u64 most)
{
    return 8 * (1 + (u32)(next_random(copy) % (most / 8)));
}

static void scatter(struct ferry_copy *copy, u8 *data, u32 bytes)
{
    const u64 step = next_random(copy) | 1;
    u64 value = next_random(copy);

    for (u32 i = 0; i < bytes; i += 8) {
        *(u64 *)(data + i) = value;
        value += step;
    }
}

/* The first byte at which they differ; bytes for none. */
static u32 differs(const u8 *one, const u8 *other, u32 bytes)
{
    u32 at = 0;

    while (at < bytes && one[at] == other[at]) {
        at++;
    }
    return at;
}

static int same(struct ferry_copy *copy, const char *what, const u8 *have, const u8 *want,
                u32 bytes)
{
    if (memcmp(have, want, bytes) == 0) {
        return 0;
    }
    copy_error(copy, "%s: wrong from byte %u of %u", what, differs(have, want, bytes),
               bytes);
    return -EIO;
}

static void to_cpu(struct ferry_copy *copy)
{
    dma_sync_single_for_cpu(&copy->pdev->dev, copy->dst_dma, BUFFER_BYTES,
                            DMA_FROM_DEVICE);
}

static void to_device(struct ferry_copy *copy)
{
    dma_sync_single_for_device(&copy->pdev->dev, copy->dst_dma, BUFFER_BYTES,
                               DMA_FROM_DEVICE);
}

/* Jobs and their end, with a doorbell for all or for each. */
static int finish(struct ferry_copy *copy, u64 bytes)
{
    struct copy_chan *chan = &copy->chan[CHANNEL_WORK];
    int failed;

    copy_kick(chan);
    failed = copy_wait(chan);
    if (failed == 0) {
        atomic64_add(bytes, &copy->bytes);
    }
    return failed;
}

/* What the CPU writes to the device's memory, the device brings. */
static int cpu_written(struct ferry_copy *copy)
{
    const u64 off = part_off(copy, PART_C) +
                    8 * (next_random(copy) % (copy->memory_bytes / 64 - CPU_BYTES / 8));
    u8 data[CPU_BYTES];
    int failed;

    scatter(copy, data, sizeof(data));
    memcpy_toio(copy->memory + off, data, sizeof(data));
    wmb(); /* a combined write reaches the memory before the doorbell */
    copy_submit(&copy->chan[CHANNEL_WORK], COPY_OP_COPY | COPY_F_SRC_LOCAL, off,
                copy->dst_dma, sizeof(data));
    failed = finish(copy, sizeof(data));
    if (failed) {
        return failed;
    }
    to_cpu(copy);
    failed =
        same(copy, "device memory written by the CPU", copy->dst, data, sizeof(data));
    to_device(copy);
    return failed;
}

/*
 * Memory to A, A to B or by way of the peer's memory, B to memory; then B as the CPU sees
 * it.
 */
static int one_copy(struct ferry_copy *copy)
{
    struct copy_chan *chan = &copy->chan[CHANNEL_WORK];
    const u64 part = min_t(u64, copy->memory_bytes / 8, BUFFER_BYTES);
    const u32 bytes = some_bytes(copy, part);
    const u32 sample = min(bytes, SAMPLE_BYTES);
    const u64 slide = copy->memory_bytes / 8 - bytes;
    const u64 a =
        part_off(copy, PART_A) + (slide ? next_random(copy) % slide & ~7ull : 0);
    const u64 b =
        part_off(copy, PART_B) + (slide ? next_random(copy) % slide & ~7ull : 0);
    u8 seen[SAMPLE_BYTES];
    int failed;

    scatter(copy, copy->src, bytes);
    memset(copy->dst, 0, bytes);
    to_device(copy);
    copy_submit(chan, COPY_OP_COPY | COPY_F_DST_LOCAL, copy->src_dma, a, bytes);
    if (copy->peer) {
        const u64 size = pci_resource_len(copy->peer, COPY_BAR_MEMORY);
        const u64 there =
            pci_bus_address(copy->peer, COPY_BAR_MEMORY) + size / 8 * PART_PEER;

        if (bytes > size / 8) {
            copy_error(copy, "the peer has too little memory");
            return -EIO;
        }
        copy_submit(chan, COPY_OP_COPY | COPY_F_SRC_LOCAL, a, there, bytes);
        copy_submit(chan, COPY_OP_COPY | COPY_F_DST_LOCAL, there, b, bytes);
    } else {
        copy_submit(chan, COPY_OP_COPY | COPY_F_SRC_LOCAL | COPY_F_DST_LOCAL, a, b,
                    bytes);
    }
    copy_submit(chan, COPY_OP_COPY | COPY_F_SRC_LOCAL, b, copy->dst_dma, bytes);
    failed = finish(copy, (copy->peer ? 4 : 3) * (u64)bytes);
    if (failed) {
        return failed;
    }
    to_cpu(copy);
    failed = same(copy, copy->peer ? "copied by the peer's memory" : "copied", copy->dst,
                  copy->src, bytes);
    to_device(copy);
    memcpy_fromio(seen, copy->memory + b, sample);
    return failed ? failed : same(copy, "device memory", seen, copy->src, sample);
}

/* Many small jobs, each with a doorbell and an interrupt of its own. */
static int one_storm(struct ferry_copy *copy)
{
    struct copy_chan *chan = &copy->chan[CHANNEL_WORK];
    u64 right[STORM_JOBS];
    int failed;

    for (u32 i = 0; i < STORM_JOBS; i++) {
        right[i] = next_random(copy);
        copy_submit(chan, COPY_OP_FILL, right[i], copy->dst_dma + i * STORM_BYTES,
                    STORM_BYTES);
        copy_kick(chan);
    }
    failed = copy_wait(chan);
    if (failed) {
        return failed;
    }
    atomic64_add(STORM_JOBS * STORM_BYTES, &copy->bytes);
    to_cpu(copy);
    for (u32 i = 0; i < STORM_JOBS && !failed; i++) {
        for (u32 at = 0; at < STORM_BYTES && !failed; at += 8) {
            failed = same(copy, "filled", copy->dst + i * STORM_BYTES + at,
                          (const u8 *)&right[i], 8);
        }
    }
    to_device(copy);
    return failed;
}

static u64 kept_bytes(const struct ferry_copy *copy)
{
    return min_t(u64, copy->memory_bytes / 8, KEPT_PAGES_MAX * PAGE_SIZE);
}

/* Writes what must stay in the device's memory while the work goes on. */
static int keep(struct ferry_copy *copy)
{
    copy->kept_seed = next_random(copy);
    copy_submit(&copy->chan[CHANNEL_WORK], COPY_OP_FILL | COPY_F_DST_LOCAL,
                copy->kept_seed, part_off(copy, PART_K), kept_bytes(copy));
    return finish(copy, kept_bytes(copy));
}

static int is_kept(struct ferry_copy *copy)
{
    const u64 off = (u64)atomic64_read(&copy->works) * KEPT_CHUNK % kept_bytes(copy);
    u64 data[KEPT_CHUNK / 8];

    memcpy_fromio(data, copy->memory + part_off(copy, PART_K) + off, sizeof(data));
    for (u32 i = 0; i < KEPT_CHUNK / 8; i++) {
        if (data[i] != copy->kept_seed) {
            copy_error(copy, "device memory has changed at 0x%llx",
                       part_off(copy, PART_K) + off + i * 8);
            return -EIO;
        }
    }
    return 0;
}

static void note_work(struct ferry_copy *copy)
{
    const s64 now = (s64)ktime_get_ns();
    const s64 gap = now - atomic64_read(&copy->last_ns);

    if (gap > atomic64_read(&copy->gap_ns)) {
        atomic64_set(&copy->gap_ns, gap);
    }
    atomic64_set(&copy->last_ns, now);
    atomic64_inc(&copy->works);
}

static int work(void *arg)
{
    struct ferry_copy *copy = arg;
    int failed = 1;

    while (!kthread_should_stop()) {
        if (failed) {
            failed = copy_chan_start(&copy->chan[CHANNEL_WORK]);
            failed = failed ? failed : keep(copy);
        }
        if (!failed) {
            failed = copy->storm ? one_storm(copy) : one_copy(copy);
            failed = failed || copy->storm ? failed : cpu_written(copy);
            failed = failed ? failed : is_kept(copy);
        }
        if (failed) {
            msleep(REST_MS);
        } else {
            note_work(copy);
            cond_resched();
        }
    }
    copy_chan_stop(&copy->chan[CHANNEL_WORK]);
    return 0;
}

int copy_work_init(struct ferry_copy *copy)
{
    struct device *dev = &copy->pdev->dev;

    copy->random = 88172645463325252ull + copy->pdev->devfn;
    copy->src = dmam_alloc_coherent(dev, BUFFER_BYTES, &copy->src_dma, GFP_KERNEL);
    copy->dst = devm_kmalloc(dev, BUFFER_BYTES, GFP_KERNEL);
    return copy->src && copy->dst ? 0 : -ENOMEM;
}

static struct pci_dev *find_peer(struct ferry_copy *copy, const char *address)
{
    unsigned int domain, bus, slot, function;
    struct pci_dev *peer;

    if (sscanf(address, "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) {
        return NULL;
    }
    peer = pci_get_domain_bus_and_slot((int)domain, bus, PCI_DEVFN(slot, function));
    if (peer && (peer == copy->pdev || peer->vendor != COPY_PCI_VENDOR ||
                 peer->device != COPY_PCI_DEVICE)) {
        pci_dev_put(peer);
        return NULL;
    }
    return peer;
}

int copy_work_start(struct ferry_copy *copy, const char *mode)
{
    const int storm = strcmp(mode, "storm") == 0;
    const int pair = strncmp(mode, "pair ", 5) == 0;
    struct device *dev = &copy->pdev->dev;
    struct task_struct *task;

    if (copy->task) {
        return -EBUSY;
    }
    if (!storm && !pair && strcmp(mode, "host") != 0) {
        return -EINVAL;
    }
    copy->peer = pair ? find_peer(copy, mode + 5) : NULL;
    if (pair && !copy->peer) {
        return -ENODEV;
    }
    copy->storm = storm;
    copy->error[0] = '\0';
    atomic64_set(&copy->works, 0);
    atomic64_set(&copy->errors, 0);
    atomic64_set(&copy->bytes, 0);
    atomic64_set(&copy->gap_ns, 0);
    atomic64_set(&copy->last_ns, (s64)ktime_get_ns());
    copy->dst_dma = dma_map_single(dev, copy->dst, BUFFER_BYTES, DMA_FROM_DEVICE);
    task = dma_mapping_error(dev, copy->dst_dma)
               ? ERR_PTR(-ENOMEM)
               : kthread_run(work, copy, "ferry_copy/%s", pci_name(copy->pdev));
    if (IS_ERR(task)) {
        pci_dev_put(copy->peer);
        copy->peer = NULL;
        return (int)PTR_ERR(task);
    }
    copy->task = task;
    return 0;
}

void copy_work_stop(struct ferry_copy *copy)
{
    if (!copy->task) {
        return;
    }
    kthread_stop(copy->task);
    copy->task = NULL;
    dma_unmap_single(&copy->pdev->dev, copy->dst_dma, BUFFER_BYTES, DMA_FROM_DEVICE);
    pci_dev_put(copy->peer);
    copy->peer = NULL;
}
