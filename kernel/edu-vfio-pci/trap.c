// SPDX-License-Identifier: GPL-2.0-only
/*
 * BAR0, access by access. It cannot be mmapped: a command that starts DMA must pass here,
 * or the log would miss it and the buffer's bookkeeping with it.
 */
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/uaccess.h>

#include "edu.h"

/* Has the user switched the BAR on? As vfio_pci_core asks before its own accesses. */
static bool memory_enabled(struct edu_device *edu)
{
	const __le16 *command = (const __le16 *)(edu->core.vconfig + PCI_COMMAND);

	return edu->core.pdev->current_state == PCI_D0 &&
	       le16_to_cpup(command) & PCI_COMMAND_MEMORY;
}

static u64 device_address(u64 iova)
{
	/* edu cuts addresses off, and writes there. */
	return iova & GENMASK_ULL(edu_dma_bits - 1, 0);
}

/*
 * The registers are read back rather than remembered: the device has the last word on
 * what they hold (it ignores writes while it is busy).
 */
static void dma_start(struct edu_device *edu, u64 command)
{
	const bool to_ram = command & EDU_DMA_TO_RAM;
	const u64 src = readq(edu->bar + EDU_DMA_SRC);
	const u64 dst = readq(edu->bar + EDU_DMA_DST);
	const u64 count = readq(edu->bar + EDU_DMA_COUNT);
	const u64 off = (to_ram ? src : dst) - EDU_BUFFER;

	/* What the device does out of its bounds is nowhere said. */
	if (off >= EDU_BUFFER_BYTES || count == 0 || count > EDU_BUFFER_BYTES - off) {
		dev_warn_ratelimited(&edu->core.pdev->dev,
				     "dropped a DMA that leaves the buffer\n");
		return;
	}
	if (to_ram && !edu_buffer_readable(&edu->buffer, off, count)) {
		dev_warn_ratelimited(
			&edu->core.pdev->dev,
			"dropped a DMA that reads an earlier user's bytes\n");
		return;
	}
	if (to_ram) {
		edu->in_flight = true;
		edu->flight_iova = device_address(dst);
		edu->flight_bytes = count;
		if (edu_defect(EDU_DEFECT_LOG_EARLY)) {
			edu_log_mark(edu, edu->flight_iova, count);
			edu->in_flight = false;
		}
	} else {
		edu_buffer_note(&edu->buffer, off, count);
	}
	edu->dma_command = command;
	writeq(command, edu->bar + EDU_DMA_COMMAND);
}

static void command_write(struct edu_device *edu, u64 command)
{
	/* So does the device: nothing but a start is a command, and one at a time. */
	if (!(command & EDU_DMA_RUN) || readq(edu->bar + EDU_DMA_COMMAND) & EDU_DMA_RUN)
		return;
	edu_log_settle(edu);
	dma_start(edu, command);
}

/* Whether an interrupt may be on its way, which nobody has seen yet (irq_is_due). */
static void note_factorial(struct edu_device *edu, u64 off, u64 value)
{
	if (off == EDU_FACTORIAL)
		edu->computed = true;
	else if (off == EDU_IRQ_ACK &&
		 value & readl(edu->bar + EDU_IRQ_STATUS) & EDU_IRQ_FACTORIAL)
		edu->computed = false;
}

static int reg_write(struct edu_device *edu, u64 off, u64 value, size_t width)
{
	if (edu->gate != EDU_GATE_OPEN && !edu_defect(EDU_DEFECT_STOP_WRITE))
		return -EBUSY;
	if (width == 8 && off >= EDU_DMA_SRC && off < EDU_DMA_COMMAND) {
		writeq(value, edu->bar + off);
	} else if (off == EDU_DMA_COMMAND) {
		command_write(edu, value);
	} else if (off < EDU_REGS_END) {
		note_factorial(edu, off, value);
		writel(value, edu->bar + off);
	}
	return 0;
}

static u64 reg_read(struct edu_device *edu, u64 off, size_t width)
{
	struct edu_regs regs;

	if (edu->gate == EDU_GATE_CLOSED || off >= EDU_REGS_END)
		return ~0ULL;
	if (off == EDU_DMA_COMMAND) {
		edu_regs_read(edu, &regs);
		return regs.dma_command;
	}
	if (off == EDU_IRQ_STATUS)
		return readl(edu->bar + off) | edu->held_irq;
	return width == 8 ? readq(edu->bar + off) : readl(edu->bar + off);
}

/* One access, under the locks. edu takes 4 bytes, and 8 of a DMA register. */
static int reg_access(struct edu_device *edu, u64 off, u64 *value, size_t width,
		      bool is_write)
{
	int ret = 0;

	down_read(&edu->core.memory_lock);
	if (!memory_enabled(edu)) {
		ret = -EIO;
	} else {
		mutex_lock(&edu->io_lock);
		if (is_write)
			ret = reg_write(edu, off, *value, width);
		else
			*value = reg_read(edu, off, width);
		mutex_unlock(&edu->io_lock);
	}
	up_read(&edu->core.memory_lock);
	if (is_write && !ret) {
		atomic64_inc(&edu->changes);
		wake_up_interruptible(&edu->data_wait);
	}
	return ret;
}

/* Bytes that are no register's: the device ignores them. They are refused like others. */
static int odd_access(struct edu_device *edu, u64 *value, bool is_write)
{
	int ret = 0;

	*value = is_write ? *value : ~0ULL;
	mutex_lock(&edu->io_lock);
	if (is_write && edu->gate != EDU_GATE_OPEN)
		ret = -EBUSY;
	mutex_unlock(&edu->io_lock);
	return ret;
}

static size_t width_at(u64 off, size_t left)
{
	if (!(off % 8) && left >= 8 && off >= EDU_DMA_SRC)
		return 8;
	return !(off % 4) && left >= 4 ? 4 : 1;
}

/*
 * The user's bytes are copied once, before the locks: what was looked at is what the
 * device gets, and a page fault takes memory_lock itself.
 */
static ssize_t bar_access(struct edu_device *edu, char __user *buf, size_t count,
			  loff_t *ppos, bool is_write)
{
	const u64 size = pci_resource_len(edu->core.pdev, 0);
	u64 off = *ppos & VFIO_PCI_OFFSET_MASK;
	size_t done = 0;
	int ret = 0;

	if (off >= size)
		return -EINVAL;
	count = min_t(u64, count, size - off);
	while (done < count) {
		const size_t width = width_at(off, count - done);
		__le64 wire = 0;
		u64 value;

		if (is_write && copy_from_user(&wire, buf + done, width)) {
			ret = -EFAULT;
			break;
		}
		value = le64_to_cpu(wire);
		ret = width == 1 ? odd_access(edu, &value, is_write) :
				   reg_access(edu, off, &value, width, is_write);
		if (ret)
			break;
		wire = cpu_to_le64(value);
		if (!is_write && copy_to_user(buf + done, &wire, width)) {
			ret = -EFAULT;
			break;
		}
		done += width;
		off += width;
	}
	*ppos += done;
	return done ? done : ret;
}

static ssize_t powered_access(struct edu_device *edu, char __user *buf, size_t count,
			      loff_t *ppos, bool is_write)
{
	ssize_t ret;

	if (pm_runtime_resume_and_get(&edu->core.pdev->dev) < 0)
		return -EIO;
	ret = bar_access(edu, buf, count, ppos, is_write);
	pm_runtime_put(&edu->core.pdev->dev);
	return ret;
}

ssize_t edu_bar_read(struct edu_device *edu, char __user *buf, size_t count, loff_t *ppos)
{
	return powered_access(edu, buf, count, ppos, false);
}

ssize_t edu_bar_write(struct edu_device *edu, const char __user *buf, size_t count,
		      loff_t *ppos)
{
	return powered_access(edu, (char __user *)buf, count, ppos, true);
}
