// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of the pages that the device wrote. All DMA begins with a command that passes
 * trap.c, and reaches no further than edu's address bits: a bitmap of that is exact, never
 * overflows, and has a size that is known (8 KiB).
 */
#include <linux/interval_tree.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iova_bitmap.h>
#include <linux/log2.h>
#include <linux/rbtree.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "edu.h"

#define LOG_SHIFT 12
#define LOG_PAGE BIT_ULL(LOG_SHIFT)

/* One more: a transfer begins below the limit and may end above. */
static u64 log_pages(void)
{
	return BIT_ULL(edu_dma_bits - LOG_SHIFT) + 1;
}

static bool is_logged(const struct edu_log *log, u64 page)
{
	const u64 first = page << LOG_SHIFT;
	const u64 last = first + LOG_PAGE - 1;
	unsigned int i;

	for (i = 0; i < log->ranges; i++)
		if (first <= log->last[i] && last >= log->first[i])
			return true;
	return false;
}

void edu_log_mark(struct edu_device *edu, u64 iova, u64 bytes)
{
	struct edu_log *log = &edu->log;
	u64 page = iova >> LOG_SHIFT;
	u64 last = (iova + bytes - 1) >> LOG_SHIFT;

	if (!log->pages)
		return;
	if (edu_defect(EDU_DEFECT_LOG_MISS) && last-- == page)
		return;
	if (edu_defect(EDU_DEFECT_LOG_MORE))
		last++;
	for (; page <= last && page < log_pages(); page++)
		if (is_logged(log, page))
			__set_bit(page, log->pages);
}

/*
 * A write is logged when it is over. Logged when it begins, a report in between would
 * take its bit away before the bytes are there, and the page were lost.
 */
void edu_log_settle(struct edu_device *edu)
{
	if (!edu->in_flight || readq(edu->bar + EDU_DMA_COMMAND) & EDU_DMA_RUN)
		return;
	edu_log_mark(edu, edu->flight_iova, edu->flight_bytes);
	edu->in_flight = false;
}

/* The core has looked at the ranges, but lets empty ones pass. */
static int take_ranges(struct edu_log *log, struct rb_root_cached *ranges, u32 count)
{
	struct rb_node *at;

	if (count > EDU_LOG_RANGES)
		return -E2BIG;
	log->ranges = 0;
	for (at = rb_first_cached(ranges); at; at = rb_next(at)) {
		const struct interval_tree_node *range =
			rb_entry(at, struct interval_tree_node, rb);

		/* An empty one at 0 has become all of the address space. */
		if (range->last < range->start ||
		    (range->start == 0 && range->last == ULONG_MAX))
			return -EINVAL;
		if (log->ranges == count)
			return -EINVAL;
		log->first[log->ranges] = range->start;
		log->last[log->ranges] = range->last;
		log->ranges++;
	}
	return 0;
}

/* The user's ranges in place, an empty log with them. `pages` gets the old one. */
static int take_start(struct edu_device *edu, struct rb_root_cached *ranges, u32 count,
		      unsigned long **pages)
{
	int ret;

	if (edu->log.pages && !edu_defect(EDU_DEFECT_LOG_TWICE))
		return -EBUSY;
	/* A write that was over before is no part of this log. */
	edu_log_settle(edu);
	ret = take_ranges(&edu->log, ranges, count);
	if (!ret)
		swap(edu->log.pages, *pages);
	return ret;
}

static int log_start(struct vfio_device *vdev, struct rb_root_cached *ranges, u32 nnodes,
		     u64 *page_size)
{
	struct edu_device *edu = edu_of(vdev);
	unsigned long *pages;
	int ret;

	if (!is_power_of_2(*page_size))
		return -EINVAL;
	pages = bitmap_zalloc(log_pages(), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return -ENOMEM;
	ret = edu_hw_begin(edu);
	if (!ret) {
		ret = take_start(edu, ranges, nnodes, &pages);
		edu_hw_end(edu);
	}
	bitmap_free(pages);
	if (!ret)
		*page_size = LOG_PAGE;
	return ret;
}

int edu_log_stop(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);
	unsigned long *pages = NULL;

	mutex_lock(&edu->io_lock);
	swap(edu->log.pages, pages);
	edu->log.ranges = 0;
	mutex_unlock(&edu->io_lock);
	bitmap_free(pages);
	return 0;
}

/* Moves the bits of a range of whole pages into `taken`. */
static void take_bits(struct edu_log *log, u64 iova, u64 last, unsigned long *taken)
{
	const u64 limit = min(last >> LOG_SHIFT, log_pages() - 1) + 1;
	unsigned long page = iova >> LOG_SHIFT;

	for_each_set_bit_from(page, log->pages, limit) {
		__set_bit(page, taken);
		if (!edu_defect(EDU_DEFECT_LOG_KEEP))
			__clear_bit(page, log->pages);
	}
}

static int take_log(struct edu_device *edu, u64 iova, u64 last, unsigned long *taken)
{
	int ret = edu_hw_begin(edu);

	if (ret)
		return ret;
	if (!edu->log.pages) {
		ret = -EINVAL;
	} else if (edu->in_flight && edu_regs_check(edu)) {
		/* Gone with a write under way: nobody can tell what it reached. */
		ret = -EIO;
	} else {
		edu_log_settle(edu);
		take_bits(&edu->log, iova, last, taken);
	}
	edu_hw_end(edu);
	return ret;
}

/* iova_bitmap_set() pins the user's pages: with no lock held, and bits of our own. */
static int log_report(struct vfio_device *vdev, unsigned long iova, unsigned long length,
		      struct iova_bitmap *dirty)
{
	unsigned long *taken;
	unsigned long page;
	int ret;

	/* The core leaves this to us. A part of a page would take all of its bit away. */
	if (!length || !IS_ALIGNED(iova | length, LOG_PAGE))
		return -EINVAL;
	taken = bitmap_zalloc(log_pages(), GFP_KERNEL_ACCOUNT);
	if (!taken)
		return -ENOMEM;
	ret = take_log(edu_of(vdev), iova, iova + length - 1, taken);
	if (!ret)
		for_each_set_bit(page, taken, log_pages())
			iova_bitmap_set(dirty, page << LOG_SHIFT, LOG_PAGE);
	bitmap_free(taken);
	return ret;
}

const struct vfio_log_ops edu_log_ops = {
	.log_start = log_start,
	.log_stop = edu_log_stop,
	.log_read_and_clear = log_report,
};
