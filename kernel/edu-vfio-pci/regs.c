// SPDX-License-Identifier: GPL-2.0-only
/* The registers: reached at any time, read, given back, and brought back to power-on. */
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/sched/signal.h>

#include "edu.h"

/* From here on all factorials are 0 modulo 2^32. */
#define FACTORIAL_ZERO 34
#define SETTLE_MS 50

void __edu_hw_begin(struct edu_device *edu)
{
	struct pci_dev *pdev = edu->core.pdev;

	mutex_lock(&edu->io_lock);
	pci_read_config_word(pdev, PCI_COMMAND, &edu->command);
	if (!(edu->command & PCI_COMMAND_MEMORY))
		pci_write_config_word(pdev, PCI_COMMAND,
				      edu->command | PCI_COMMAND_MEMORY);
}

void __edu_hw_end(struct edu_device *edu)
{
	if (!(edu->command & PCI_COMMAND_MEMORY))
		pci_write_config_word(edu->core.pdev, PCI_COMMAND, edu->command);
	mutex_unlock(&edu->io_lock);
}

int edu_hw_begin(struct edu_device *edu)
{
	/* Before memory_lock: waking up takes it. */
	if (pm_runtime_resume_and_get(&edu->core.pdev->dev) < 0)
		return -EIO;
	/* Not only for reading: a user's access must not see the decoding change. */
	down_write(&edu->core.memory_lock);
	__edu_hw_begin(edu);
	return 0;
}

void edu_hw_end(struct edu_device *edu)
{
	__edu_hw_end(edu);
	up_write(&edu->core.memory_lock);
	pm_runtime_put(&edu->core.pdev->dev);
}

unsigned int edu_resets(struct edu_device *edu)
{
	unsigned int resets;

	mutex_lock(&edu->io_lock);
	resets = edu->resets;
	mutex_unlock(&edu->io_lock);
	return resets;
}

int edu_regs_check(struct edu_device *edu)
{
	/* A device that was unplugged reads as ones, which looks like work without end. */
	return readl(edu->bar + EDU_IDENT) == EDU_IDENT_VALUE ? 0 : -ENODEV;
}

int edu_regs_idle(struct edu_device *edu)
{
	int ret = edu_regs_check(edu);

	if (ret)
		return ret;
	if (readq(edu->bar + EDU_DMA_COMMAND) & EDU_DMA_RUN ||
	    readl(edu->bar + EDU_STATUS) & EDU_STATUS_COMPUTING)
		return -EBUSY;
	edu_log_settle(edu);
	return 0;
}

/*
 * edu says that a factorial is ready a moment before it raises the interrupt for that.
 * Who stops it in between would have one raised in STOP.
 */
static bool irq_is_due(struct edu_device *edu)
{
	return edu->computed && readl(edu->bar + EDU_STATUS) & EDU_STATUS_IRQ &&
	       !(readl(edu->bar + EDU_IRQ_STATUS) & EDU_IRQ_FACTORIAL);
}

/* Waits for what is under way. The gate is shut already, so nothing is added. */
int edu_wait_idle(struct edu_device *edu)
{
	const unsigned long until = jiffies + msecs_to_jiffies(EDU_IDLE_LIMIT_MS);
	unsigned long settled = 0;

	for (;;) {
		bool due = false;
		int ret = edu_hw_begin(edu);

		if (ret)
			return ret;
		ret = edu_regs_idle(edu);
		if (!ret) {
			due = irq_is_due(edu);
			if (due && !settled)
				settled = jiffies + msecs_to_jiffies(SETTLE_MS) + 1;
			if (due && time_after(jiffies, settled))
				due = false;
			if (!due)
				edu->computed = false;
		}
		edu_hw_end(edu);
		if (ret != -EBUSY && !due)
			return ret;
		if (time_after(jiffies, until))
			return -ETIMEDOUT;
		if (fatal_signal_pending(current))
			return -EINTR;
		usleep_range(50, 200);
	}
}

void edu_regs_read(struct edu_device *edu, struct edu_regs *regs)
{
	regs->live = readl(edu->bar + EDU_LIVE);
	regs->factorial = readl(edu->bar + EDU_FACTORIAL);
	regs->status = readl(edu->bar + EDU_STATUS);
	regs->irq = readl(edu->bar + EDU_IRQ_STATUS) | edu->held_irq;
	regs->dma_src = readq(edu->bar + EDU_DMA_SRC);
	regs->dma_dst = readq(edu->bar + EDU_DMA_DST);
	regs->dma_count = readq(edu->bar + EDU_DMA_COUNT);
	regs->dma_command = readq(edu->bar + EDU_DMA_COMMAND);
	if (!(regs->dma_command & EDU_DMA_RUN))
		regs->dma_command = edu->dma_command & ~EDU_DMA_RUN;
}

/*
 * The result of a factorial cannot be written, but had again: which number has this
 * factorial? Return: -1 for a value that is none.
 */
static int operand_of(u32 factorial)
{
	u32 value = 1;
	int i;

	for (i = 0; i <= FACTORIAL_ZERO; i++) {
		if (i)
			value *= i;
		if (value == factorial)
			return i;
	}
	return -1;
}

/* Can edu be in this state while it is idle? */
bool edu_regs_valid(const struct edu_regs *regs)
{
	return operand_of(regs->factorial) >= 0 && !(regs->status & ~EDU_STATUS_IRQ) &&
	       !(regs->dma_command & EDU_DMA_RUN);
}

static int compute(struct edu_device *edu, u32 operand)
{
	const unsigned long until = jiffies + msecs_to_jiffies(EDU_IDLE_LIMIT_MS);

	writel(operand, edu->bar + EDU_FACTORIAL);
	while (readl(edu->bar + EDU_STATUS) & EDU_STATUS_COMPUTING) {
		if (time_after(jiffies, until))
			return -EIO;
		usleep_range(50, 200);
	}
	return 0;
}

/*
 * Gives the registers back; the device is idle and stays so: no interrupt is raised, no
 * DMA started. The DMA command cannot be written without starting one, so that trap.c
 * answers reads of it; what is pending waits until the device runs.
 */
int edu_regs_write(struct edu_device *edu, const struct edu_regs *regs)
{
	int ret;

	if (WARN_ON(!edu_regs_valid(regs)))
		return -EINVAL;
	writel(0, edu->bar + EDU_STATUS);
	ret = compute(edu, operand_of(regs->factorial));
	if (ret)
		return ret;
	writel(~0, edu->bar + EDU_IRQ_ACK);
	edu->held_irq = regs->irq;
	edu->computed = false;
	writel(regs->status, edu->bar + EDU_STATUS);
	if (!edu_defect(EDU_DEFECT_LOSE_LIVE))
		writel(~regs->live, edu->bar + EDU_LIVE);
	writeq(regs->dma_src, edu->bar + EDU_DMA_SRC);
	writeq(regs->dma_dst, edu->bar + EDU_DMA_DST);
	writeq(regs->dma_count, edu->bar + EDU_DMA_COUNT);
	edu->dma_command = regs->dma_command;
	return 0;
}

/* Waits for what is under way, where a reset has the locks already. */
int edu_regs_wait(struct edu_device *edu)
{
	const unsigned long until = jiffies + msecs_to_jiffies(EDU_IDLE_LIMIT_MS);
	int ret;

	while ((ret = edu_regs_idle(edu)) == -EBUSY && time_before(jiffies, until))
		usleep_range(50, 200);
	return ret;
}

/* edu has no reset of its own: a reset of its bus leaves all registers as they were. */
int edu_regs_reset(struct edu_device *edu)
{
	const struct edu_regs fresh = {};
	int ret = edu_regs_wait(edu);

	if (ret || edu_defect(EDU_DEFECT_KEEP_REGS))
		return ret;
	return edu_regs_write(edu, &fresh);
}

/*
 * Interrupts that were pending when the device was saved. The MSI that went with them may
 * have been lost on the way; one too many costs the user a look at the interrupt status.
 */
void edu_raise_held(struct edu_device *edu)
{
	if (edu->held_irq)
		writel(edu->held_irq, edu->bar + EDU_IRQ_RAISE);
	edu->held_irq = 0;
}
