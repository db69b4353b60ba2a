// SPDX-License-Identifier: GPL-2.0-only
/*
 * edu's buffer. Only DMA reaches it, and while a user has the device its DMA goes through
 * the user's page tables: to read or write the buffer the driver needs a page in there.
 * Hardware with a state worth moving has a window of its own for that, and a driver must
 * not put pages into a user's address space. So this is an opt-in (scratch_iova); without
 * it a device whose buffer was written is not saved.
 *
 * A device that no user has mapped anything for is reached through page tables of the
 * driver's own: so the buffer is cleared before the first user, and between users of
 * iommufd. In a container the user's tables are there before the driver is called: there
 * an earlier user's bytes stay, and trap.c lets nobody read them.
 */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iommu.h>
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <linux/vfio.h>

#include "edu.h"

#define OWN_IOVA 0x100000 /* in the driver's own page tables */

static unsigned long scratch_iova;
module_param(scratch_iova, ulong, 0444);
MODULE_PARM_DESC(scratch_iova,
		 "Page-aligned address that users leave free, for a page of the driver's "
		 "(0: none, and a buffer that was written is not migrated)");

/* A page that the device can reach. */
struct window {
	struct iommu_domain *domain;
	struct page *page;
	unsigned long iova;
	unsigned int resets; /* when it was opened */
	bool own;
	bool locked; /* the caller of the driver has memory_lock: a reset */
};

static struct iommu_domain *user_domain(struct edu_device *edu)
{
	struct iommu_domain *domain = iommu_get_domain_for_dev(&edu->core.pdev->dev);

	return domain && domain->type & __IOMMU_DOMAIN_PAGING ? domain : NULL;
}

/* Can the module's parameters be had? */
bool edu_buffer_scratch_valid(void)
{
	return IS_ALIGNED(scratch_iova, PAGE_SIZE) &&
	       scratch_iova <= BIT_ULL(edu_dma_bits) - PAGE_SIZE;
}

/*
 * A user who maps memory at the address meanwhile gets the IOMMU's tables and iommufd's
 * books out of step, and pages are given back that are not his.
 */
void edu_buffer_warn(void)
{
	if (!scratch_iova)
		return;
	add_taint(TAINT_USER, LOCKDEP_STILL_OK);
	pr_notice("edu-vfio-pci: scratch_iova is for users that are trusted\n");
}

/*
 * The user's page tables are not ours to keep: iommufd takes them from the device at any
 * time, while a window is open in them too, unless it is made to wait.
 */
void edu_buffer_open(struct edu_device *edu, bool opened)
{
	mutex_lock(&edu->window_lock);
	edu->opened = opened;
	mutex_unlock(&edu->window_lock);
}

int edu_attach_ioas(struct vfio_device *vdev, u32 *pt_id)
{
	struct edu_device *edu = edu_of(vdev);
	int ret;

	mutex_lock(&edu->window_lock);
	ret = vfio_iommufd_physical_attach_ioas(vdev, pt_id);
	mutex_unlock(&edu->window_lock);
	return ret;
}

void edu_detach_ioas(struct vfio_device *vdev)
{
	struct edu_device *edu = edu_of(vdev);

	mutex_lock(&edu->window_lock);
	vfio_iommufd_physical_detach_ioas(vdev);
	mutex_unlock(&edu->window_lock);
}

bool edu_buffer_can_move(struct edu_device *edu)
{
	return scratch_iova || !user_domain(edu);
}

static int borrow_domain(struct edu_device *edu, struct window *window,
			 struct iommu_domain *domain)
{
	/* Behind close() they are no more ours than the user's: they may go at any time. */
	if (!scratch_iova || !edu->opened)
		return -EOPNOTSUPP;
	if (iommu_iova_to_phys(domain, scratch_iova))
		return -EADDRINUSE;
	window->domain = domain;
	window->iova = scratch_iova;
	return 0;
}

static int own_domain(struct edu_device *edu, struct window *window)
{
	struct device *dev = &edu->core.pdev->dev;
	int ret;

	window->domain = iommu_paging_domain_alloc(dev);
	if (IS_ERR(window->domain))
		return PTR_ERR(window->domain);
	ret = iommu_attach_device(window->domain, dev);
	if (ret) {
		iommu_domain_free(window->domain);
		return ret;
	}
	window->own = true;
	window->iova = OWN_IOVA;
	return 0;
}

static void leave_domain(struct edu_device *edu, struct window *window)
{
	if (!window->own)
		return;
	iommu_detach_device(window->domain, &edu->core.pdev->dev);
	iommu_domain_free(window->domain);
}

static int window_make(struct edu_device *edu, struct window *window)
{
	struct iommu_domain *user = user_domain(edu);
	int ret = user ? borrow_domain(edu, window, user) : own_domain(edu, window);

	if (ret)
		return ret;
	window->page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (window->page)
		ret = iommu_map(window->domain, window->iova, page_to_phys(window->page),
				PAGE_SIZE, IOMMU_READ | IOMMU_WRITE, GFP_KERNEL);
	else
		ret = -ENOMEM;
	if (ret) {
		if (window->page)
			__free_page(window->page);
		leave_domain(edu, window);
	}
	return ret;
}

/*
 * Only one is open, and the user's page tables stay while it is. A reset has memory_lock,
 * which comes after window_lock: it only tries.
 */
static int window_open(struct edu_device *edu, struct window *window, bool locked)
{
	int ret;

	*window = (struct window){ .locked = locked };
	if (!locked)
		mutex_lock(&edu->window_lock);
	else if (!mutex_trylock(&edu->window_lock))
		return -EBUSY;
	window->resets = edu_resets(edu);
	ret = window_make(edu, window);
	if (ret)
		mutex_unlock(&edu->window_lock);
	return ret;
}

static void window_close(struct edu_device *edu, struct window *window)
{
	/* Before the page is freed: DMA that hangs must find nothing there. */
	iommu_unmap(window->domain, window->iova, PAGE_SIZE);
	__free_page(window->page);
	leave_domain(edu, window);
	mutex_unlock(&edu->window_lock);
}

static int run_dma(struct edu_device *edu, u64 src, u64 dst, u64 command)
{
	const unsigned long until = jiffies + msecs_to_jiffies(EDU_DMA_LIMIT_MS);

	writeq(src, edu->bar + EDU_DMA_SRC);
	writeq(dst, edu->bar + EDU_DMA_DST);
	writeq(EDU_BUFFER_BYTES, edu->bar + EDU_DMA_COUNT);
	writeq(command | EDU_DMA_RUN, edu->bar + EDU_DMA_COMMAND);
	while (readq(edu->bar + EDU_DMA_COMMAND) & EDU_DMA_RUN) {
		if (time_after(jiffies, until))
			return -EIO;
		usleep_range(50, 200);
	}
	return 0;
}

/* With the registers' window open. */
static int run_buffer(struct edu_device *edu, const struct window *window, bool to_ram)
{
	struct pci_dev *pdev = edu->core.pdev;
	u64 src, dst, count;
	int ret = edu->resets == window->resets ? edu_regs_idle(edu) : -ECANCELED;

	if (ret)
		return ret;
	src = readq(edu->bar + EDU_DMA_SRC);
	dst = readq(edu->bar + EDU_DMA_DST);
	count = readq(edu->bar + EDU_DMA_COUNT);
	pci_write_config_word(pdev, PCI_COMMAND,
			      edu->command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	ret = to_ram ? run_dma(edu, EDU_BUFFER, window->iova, EDU_DMA_TO_RAM) :
		       run_dma(edu, window->iova, EDU_BUFFER, 0);
	pci_write_config_word(pdev, PCI_COMMAND, edu->command | PCI_COMMAND_MEMORY);
	writeq(src, edu->bar + EDU_DMA_SRC);
	writeq(dst, edu->bar + EDU_DMA_DST);
	writeq(count, edu->bar + EDU_DMA_COUNT);
	return ret;
}

/* One transfer of the whole buffer, whatever the user has set in config space. */
static int transfer(struct edu_device *edu, const struct window *window, bool to_ram)
{
	int ret = 0;

	if (window->locked)
		__edu_hw_begin(edu);
	else
		ret = edu_hw_begin(edu);
	if (ret)
		return ret;
	ret = run_buffer(edu, window, to_ram);
	if (window->locked)
		__edu_hw_end(edu);
	else
		edu_hw_end(edu);
	return ret;
}

/*
 * DMA that the IOMMU blocks fails without a sign. What arrived is believed when it is not
 * what was in the page before.
 */
static int fetch(struct edu_device *edu, struct window *window)
{
	static const u8 before[] = { 0xa5, 0x5a };
	u8 *bytes = page_address(window->page);
	int i;

	for (i = 0; i < ARRAY_SIZE(before); i++) {
		int ret;

		memset(bytes, before[i], PAGE_SIZE);
		ret = transfer(edu, window, true);
		if (ret)
			return ret;
		if (memchr_inv(bytes, before[i], EDU_BUFFER_BYTES))
			return 0;
	}
	return -EIO;
}

/* data: NULL for zeros. */
static int put(struct edu_device *edu, const u8 *data, bool locked)
{
	struct window window;
	u8 *bytes;
	int ret = window_open(edu, &window, locked);

	if (ret)
		return ret;
	bytes = page_address(window.page);
	if (data)
		memcpy(bytes, data, EDU_BUFFER_BYTES);
	ret = transfer(edu, &window, false);
	if (!ret)
		ret = fetch(edu, &window);
	if (!ret && (data ? memcmp(bytes, data, EDU_BUFFER_BYTES) != 0 :
			    memchr_inv(bytes, 0, EDU_BUFFER_BYTES) != NULL))
		ret = -EIO;
	window_close(edu, &window);
	return ret;
}

bool edu_buffer_readable(const struct edu_buffer *buffer, u32 off, u32 bytes)
{
	return !buffer->foreign ||
	       find_next_zero_bit(buffer->known, off + bytes, off) == off + bytes;
}

void edu_buffer_note(struct edu_buffer *buffer, u32 off, u32 bytes)
{
	buffer->written = true;
	bitmap_set(buffer->known, off, bytes);
}

/* state_mutex is held and the device stopped: nobody writes to the buffer. */
int edu_buffer_save(struct edu_device *edu, u8 *data)
{
	struct window window;
	unsigned int at;
	int ret = window_open(edu, &window, false);

	if (ret)
		return ret;
	ret = fetch(edu, &window);
	if (!ret)
		memcpy(data, page_address(window.page), EDU_BUFFER_BYTES);
	window_close(edu, &window);
	if (!ret && edu->buffer.foreign)
		for_each_clear_bit(at, edu->buffer.known, EDU_BUFFER_BYTES)
			data[at] = 0;
	return ret;
}

/* What is known of the buffer from here on. */
static void buffer_is(struct edu_device *edu, bool written, bool foreign)
{
	mutex_lock(&edu->io_lock);
	edu->buffer.written = written;
	edu->buffer.foreign = foreign;
	bitmap_zero(edu->buffer.known, EDU_BUFFER_BYTES);
	mutex_unlock(&edu->io_lock);
}

static bool buffer_is_clear(struct edu_device *edu)
{
	bool clear;

	mutex_lock(&edu->io_lock);
	clear = !edu->buffer.written && !edu->buffer.foreign;
	mutex_unlock(&edu->io_lock);
	return clear;
}

int edu_buffer_load(struct edu_device *edu, const u8 *data)
{
	int ret = !data && buffer_is_clear(edu) ? 0 : put(edu, data, false);

	if (!ret)
		buffer_is(edu, data != NULL, false);
	return ret;
}

/*
 * After a reset the buffer is zeros, where the driver can reach it; edu's own leaves it as
 * it was. Where it cannot, a user keeps what it wrote, and a device so written is not
 * saved. locked: the caller of the driver has memory_lock.
 */
void edu_buffer_reset(struct edu_device *edu, bool locked)
{
	int ret;

	if (buffer_is_clear(edu) || edu_defect(EDU_DEFECT_KEEP_REGS) ||
	    !edu_buffer_can_move(edu))
		return;
	ret = put(edu, NULL, locked);
	if (!ret)
		buffer_is(edu, false, false);
	mutex_lock(&edu->io_lock);
	edu->clear_late = ret == -EBUSY;
	mutex_unlock(&edu->io_lock);
}

/* For a reset that found the buffer on its way; who moved it calls, state_mutex is held. */
void edu_buffer_reset_late(struct edu_device *edu)
{
	bool late;

	mutex_lock(&edu->io_lock);
	late = edu->clear_late;
	edu->clear_late = false;
	mutex_unlock(&edu->io_lock);
	if (late)
		edu_buffer_reset(edu, false);
}

/* A user's bytes are nobody else's: what a reset could not clear, the next cannot read. */
void edu_buffer_next_user(struct edu_device *edu)
{
	edu_buffer_reset(edu, false);
	buffer_is(edu, false, !buffer_is_clear(edu));
}

/* When the driver is bound nothing is known of the buffer, and no user is there yet. */
int edu_buffer_first(struct edu_device *edu)
{
	struct device *dev = &edu->core.pdev->dev;
	int ret = iommu_device_claim_dma_owner(dev, edu);

	if (!ret) {
		ret = put(edu, NULL, false);
		iommu_device_release_dma_owner(dev);
	}
	buffer_is(edu, false, ret != 0);
	return ret;
}
