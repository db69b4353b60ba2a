// SPDX-License-Identifier: GPL-2.0-only
#include <linux/compiler.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>

#include "defects.h"

static const char *const names[EDU_DEFECT_COUNT] = {
	[EDU_DEFECT_NONE] = "none",
	[EDU_DEFECT_BUSY] = "busy",
	[EDU_DEFECT_STOP_WRITE] = "stop-write",
	[EDU_DEFECT_LOSE_LIVE] = "lose-live",
	[EDU_DEFECT_LOSE_CHANGE] = "lose-change",
	[EDU_DEFECT_SHORT] = "short",
	[EDU_DEFECT_NO_CRC] = "no-crc",
	[EDU_DEFECT_STICKY] = "sticky",
	[EDU_DEFECT_ZERO] = "zero",
	[EDU_DEFECT_ECHO] = "echo",
	[EDU_DEFECT_RISE] = "rise",
	[EDU_DEFECT_SIZE] = "size",
	[EDU_DEFECT_LEAK] = "leak",
	[EDU_DEFECT_KEEP_FD] = "keep-fd",
	[EDU_DEFECT_KEEP_RESET] = "keep-reset",
	[EDU_DEFECT_KEEP_REGS] = "keep-regs",
	[EDU_DEFECT_KEEP_LOG] = "keep-log",
	[EDU_DEFECT_LOG_MISS] = "log-miss",
	[EDU_DEFECT_LOG_EARLY] = "log-early",
	[EDU_DEFECT_LOG_MORE] = "log-more",
	[EDU_DEFECT_LOG_KEEP] = "log-keep",
	[EDU_DEFECT_LOG_TWICE] = "log-twice",
};

static int planted;

bool edu_defect(enum edu_defect defect)
{
	return unlikely(READ_ONCE(planted) == (int)defect);
}

static int defect_set(const char *text, const struct kernel_param *param)
{
	int at = sysfs_match_string(names, text);

	if (at < 0)
		return at;
	WRITE_ONCE(planted, at);
	if (at != EDU_DEFECT_NONE) {
		add_taint(TAINT_USER, LOCKDEP_STILL_OK);
		pr_warn("edu-vfio-pci: planted defect: %s\n", names[at]);
	}
	return 0;
}

static int defect_get(char *text, const struct kernel_param *param)
{
	return sysfs_emit(text, "%s\n", names[READ_ONCE(planted)]);
}

static const struct kernel_param_ops defect_ops = {
	.set = defect_set,
	.get = defect_get,
};
module_param_cb(defect, &defect_ops, NULL, 0600);
MODULE_PARM_DESC(defect, "Breaks one rule on purpose, to test a checker (none)");
