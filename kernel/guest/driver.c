// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files in the device's folder in sysfs:
 *
 *   ferry/work   written: "start host", "start storm", "start pair ADDRESS", "stop"
 *   ferry/stats  "running= works= errors= gap_us= age_us= submitted= completed=
 * interrupts= spurious= bytes=": tests/qemu/guest/init.c tells what they mean. Reading
 *                begins a new longest gap
 *   ferry/works  the count of works alone, for who asks often
 *   ferry/error  the first error, or an empty line
 *   ferry/dirty  written: "fill SEED", "check SEED"; read: what came of it
 */
#include <linux/dma-mapping.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/sysfs.h>

#include "ferry_copy.h"

static ssize_t work_store(struct device *dev, struct device_attribute *attr,
                          const char *text, size_t count)
{
    struct ferry_copy *copy = dev_get_drvdata(dev);
    char word[64];
    int failed = 0;

    if (strscpy(word, text, sizeof(word)) < 0) {
        return -EINVAL;
    }
    mutex_lock(&copy->control);
    if (strncmp(word, "start ", 6) == 0) {
        failed = copy_work_start(copy, strim(word + 6));
    } else if (strcmp(strim(word), "stop") == 0) {
        copy_work_stop(copy);
    } else {
        failed = -EINVAL;
    }
    mutex_unlock(&copy->control);
    return failed ? failed : (ssize_t)count;
}
static DEVICE_ATTR_WO(work);

static ssize_t stats_show(struct device *dev, struct device_attribute *attr, char *text)
{
    struct ferry_copy *copy = dev_get_drvdata(dev);
    struct copy_chan *chan = &copy->chan[CHANNEL_WORK];
    const s64 gap = atomic64_xchg(&copy->gap_ns, 0);
    const s64 age = (s64)ktime_get_ns() - atomic64_read(&copy->last_ns);

    return sysfs_emit(text,
                      "running=%d works=%lld errors=%lld gap_us=%lld age_us=%lld "
                      "submitted=%lld completed=%lld interrupts=%lld spurious=%lld "
                      "bytes=%lld\n",
                      copy->task != NULL, atomic64_read(&copy->works),
                      atomic64_read(&copy->errors), gap / 1000, age / 1000,
                      atomic64_read(&chan->submitted), atomic64_read(&chan->completed),
                      atomic64_read(&chan->interrupts), atomic64_read(&chan->spurious),
                      atomic64_read(&copy->bytes));
}
static DEVICE_ATTR_RO(stats);

static ssize_t works_show(struct device *dev, struct device_attribute *attr, char *text)
{
    const struct ferry_copy *copy = dev_get_drvdata(dev);

    return sysfs_emit(text, "%lld\n", atomic64_read(&copy->works));
}
static DEVICE_ATTR_RO(works);

static ssize_t error_show(struct device *dev, struct device_attribute *attr, char *text)
{
    struct ferry_copy *copy = dev_get_drvdata(dev);
    unsigned long flags;
    ssize_t count;

    spin_lock_irqsave(&copy->error_lock, flags);
    count = sysfs_emit(text, "%s\n", copy->error);
    spin_unlock_irqrestore(&copy->error_lock, flags);
    return count;
}
static DEVICE_ATTR_RO(error);

static ssize_t dirty_store(struct device *dev, struct device_attribute *attr,
                           const char *text, size_t count)
{
    struct ferry_copy *copy = dev_get_drvdata(dev);
    char word[8];
    u32 seed;
    int failed = 0;

    if (sscanf(text, "%7s %u", word, &seed) != 2) {
        return -EINVAL;
    }
    mutex_lock(&copy->control);
    if (strcmp(word, "fill") == 0) {
        failed = copy_dirty_fill(copy, seed);
    } else if (strcmp(word, "check") == 0) {
        copy_dirty_check(copy, seed);
    } else {
        failed = -EINVAL;
    }
    mutex_unlock(&copy->control);
    return failed ? failed : (ssize_t)count;
}

static ssize_t dirty_show(struct device *dev, struct device_attribute *attr, char *text)
{
    struct ferry_copy *copy = dev_get_drvdata(dev);
    ssize_t count;

    mutex_lock(&copy->control);
    count = sysfs_emit(text, "%s\n", copy->dirty);
    mutex_unlock(&copy->control);
    return count;
}
static DEVICE_ATTR_RW(dirty);

static struct attribute *ferry_attributes[] = {
    &dev_attr_work.attr,  &dev_attr_stats.attr, &dev_attr_works.attr,
    &dev_attr_error.attr, &dev_attr_dirty.attr, NULL
};
static const struct attribute_group ferry_group = { .name = "ferry",
                                                    .attrs = ferry_attributes };
static const struct attribute_group *ferry_groups[] = { &ferry_group, NULL };

/* Is it the device that we know? */
static int check_device(struct ferry_copy *copy)
{
    const u32 id = ioread32(copy->regs + COPY_REG_ID);
    const u32 version = ioread32(copy->regs + COPY_REG_VERSION);
    const u32 channels = ioread32(copy->regs + COPY_REG_CHANNELS);
    const u32 entries = ioread32(copy->regs + COPY_REG_ENTRIES_MAX);

    copy->memory_bytes = ioread32(copy->regs + COPY_REG_MEMORY) |
                         (u64)ioread32(copy->regs + COPY_REG_MEMORY + 4) << 32;
    if (id != COPY_ID || version != COPY_VERSION || channels < CHANNELS_USED ||
        entries < RING_ENTRIES ||
        copy->memory_bytes != pci_resource_len(copy->pdev, COPY_BAR_MEMORY)) {
        dev_err(&copy->pdev->dev, "not a device that this driver knows\n");
        return -ENODEV;
    }
    return 0;
}

static int map_device(struct ferry_copy *copy)
{
    struct pci_dev *pdev = copy->pdev;
    int failed = pcim_enable_device(pdev);

    failed = failed ? failed : pcim_iomap_regions(pdev, BIT(COPY_BAR_REGS), "ferry_copy");
    if (failed) {
        return failed;
    }
    copy->regs = pcim_iomap_table(pdev)[COPY_BAR_REGS];
    copy->memory = devm_ioremap_wc(&pdev->dev, pci_resource_start(pdev, COPY_BAR_MEMORY),
                                   pci_resource_len(pdev, COPY_BAR_MEMORY));
    if (!copy->memory) {
        return -ENOMEM;
    }
    failed = check_device(copy);
    failed = failed ? failed : dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
    pci_set_master(pdev);
    return failed;
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
    struct ferry_copy *copy = devm_kzalloc(&pdev->dev, sizeof(*copy), GFP_KERNEL);
    int failed;

    if (!copy) {
        return -ENOMEM;
    }
    copy->pdev = pdev;
    mutex_init(&copy->control);
    spin_lock_init(&copy->error_lock);
    failed = map_device(copy);
    if (failed) {
        return failed;
    }
    failed = pci_alloc_irq_vectors(pdev, CHANNELS_USED, CHANNELS_USED, PCI_IRQ_MSIX);
    if (failed < 0) {
        return failed;
    }
    failed = copy_work_init(copy);
    for (u32 i = 0; i < CHANNELS_USED && !failed; i++) {
        failed = copy_chan_init(copy, i);
    }
    failed = failed ? failed : copy_dirty_init(copy);
    if (failed) {
        copy_dirty_free(copy);
        return failed;
    }
    pci_set_drvdata(pdev, copy);
    return 0;
}

static void gone(struct pci_dev *pdev)
{
    struct ferry_copy *copy = pci_get_drvdata(pdev);

    copy_work_stop(copy);
    /* No DMA into memory that is about to be somebody else's. */
    for (u32 i = 0; i < CHANNELS_USED; i++) {
        copy_chan_stop(&copy->chan[i]);
    }
    copy_dirty_free(copy);
}

static const struct pci_device_id ids[] = {
    { PCI_DEVICE(COPY_PCI_VENDOR, COPY_PCI_DEVICE) }, {}
};
MODULE_DEVICE_TABLE(pci, ids);

static struct pci_driver ferry_copy_driver = {
    .name = "ferry_copy",
    .id_table = ids,
    .probe = probe,
    .remove = gone,
    .dev_groups = ferry_groups,
};
module_pci_driver(ferry_copy_driver);

MODULE_DESCRIPTION("Keeps Ferry's copy device at work and checks it");
MODULE_LICENSE("GPL");
