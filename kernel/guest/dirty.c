// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pages of the guest's memory that only the device writes, and that nobody reads until
 * they are checked: when a migration loses what the device wrote, nothing else brings it
 * along.
 */
#include <linux/dma-mapping.h>
#include <linux/mm.h>

#include "ferry_copy.h"

int copy_dirty_init(struct ferry_copy *copy)
{
    struct device *dev = &copy->pdev->dev;

    for (u32 i = 0; i < DIRTY_PAGES; i++) {
        copy->page[i] = alloc_page(GFP_KERNEL | __GFP_ZERO);
        if (!copy->page[i]) {
            return -ENOMEM;
        }
        copy->page_dma[i] =
            dma_map_page(dev, copy->page[i], 0, PAGE_SIZE, DMA_FROM_DEVICE);
        if (dma_mapping_error(dev, copy->page_dma[i])) {
            __free_page(copy->page[i]);
            copy->page[i] = NULL;
            return -ENOMEM;
        }
    }
    return 0;
}

void copy_dirty_free(struct ferry_copy *copy)
{
    for (u32 i = 0; i < DIRTY_PAGES && copy->page[i]; i++) {
        dma_unmap_page(&copy->pdev->dev, copy->page_dma[i], PAGE_SIZE, DMA_FROM_DEVICE);
        __free_page(copy->page[i]);
        copy->page[i] = NULL;
    }
}

/* What a page holds, 8 bytes again and again. */
static u64 pattern(u32 seed, u32 page)
{
    return (((u64)seed << 32) | page) * 0x9e3779b97f4a7c15ull + 1;
}

int copy_dirty_fill(struct ferry_copy *copy, u32 seed)
{
    struct copy_chan *chan = &copy->chan[CHANNEL_DIRTY];
    int failed = copy_chan_start(chan);

    BUILD_BUG_ON(DIRTY_PAGES > RING_ENTRIES);
    if (failed) {
        return failed;
    }
    for (u32 i = 0; i < DIRTY_PAGES; i++) {
        copy_submit(chan, COPY_OP_FILL, pattern(seed, i), copy->page_dma[i], PAGE_SIZE);
    }
    copy_kick(chan);
    failed = copy_wait(chan);
    copy_chan_stop(chan);
    snprintf(copy->dirty, sizeof(copy->dirty), "pages=%u", DIRTY_PAGES);
    return failed;
}

void copy_dirty_check(struct ferry_copy *copy, u32 seed)
{
    int first = -1;
    u32 wrong = 0;

    for (u32 i = 0; i < DIRTY_PAGES; i++) {
        const u64 *data = page_address(copy->page[i]);
        const u64 right = pattern(seed, i);
        u32 at = 0;

        dma_sync_single_for_cpu(&copy->pdev->dev, copy->page_dma[i], PAGE_SIZE,
                                DMA_FROM_DEVICE);
        while (at < PAGE_SIZE / 8 && READ_ONCE(data[at]) == right) {
            at++;
        }
        if (at < PAGE_SIZE / 8) {
            wrong++;
            first = first < 0 ? (int)i : first;
        }
        dma_sync_single_for_device(&copy->pdev->dev, copy->page_dma[i], PAGE_SIZE,
                                   DMA_FROM_DEVICE);
    }
    snprintf(copy->dirty, sizeof(copy->dirty), "pages=%u wrong=%u first=%d", DIRTY_PAGES,
             wrong, first);
}
