/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults that can be planted, one at a time, to see that a checker finds them:
 * echo NAME >/sys/module/edu_vfio_pci/parameters/defect. A driver that is written after
 * this one leaves them out. docs/write-a-variant-driver.md tells which check finds which.
 */
#ifndef EDU_DEFECTS_H
#define EDU_DEFECTS_H

#include <linux/types.h>

enum edu_defect {
	EDU_DEFECT_NONE,
	EDU_DEFECT_BUSY, /* it stops without waiting for DMA */
	EDU_DEFECT_STOP_WRITE, /* a stopped device takes writes to its registers */
	EDU_DEFECT_LOSE_LIVE, /* a load leaves out a register */
	EDU_DEFECT_LOSE_CHANGE, /* what changed in PRE_COPY is not sent again */
	EDU_DEFECT_SHORT, /* a load that lacks its end is accepted */
	EDU_DEFECT_NO_CRC, /* damage is not looked for */
	EDU_DEFECT_STICKY, /* a load that was refused is forgotten */
	EDU_DEFECT_ZERO, /* PRE_COPY ends with 0, not with ENOMSG */
	EDU_DEFECT_ECHO, /* pre-copy information gives the caller's bytes back */
	EDU_DEFECT_RISE, /* initial_bytes rises */
	EDU_DEFECT_SIZE, /* the size that is told is too small */
	EDU_DEFECT_LEAK, /* bytes that nobody set are sent */
	EDU_DEFECT_KEEP_FD, /* a session's descriptor works after the session */
	EDU_DEFECT_KEEP_RESET, /* a reset leaves the sessions */
	EDU_DEFECT_KEEP_REGS, /* a reset leaves the registers */
	EDU_DEFECT_KEEP_LOG, /* closing leaves the log on */
	EDU_DEFECT_LOG_MISS, /* the last page of a write is not logged */
	EDU_DEFECT_LOG_EARLY, /* a write is logged when it begins */
	EDU_DEFECT_LOG_MORE, /* a page beside it is logged too */
	EDU_DEFECT_LOG_KEEP, /* a report clears nothing */
	EDU_DEFECT_LOG_TWICE, /* a second START is accepted */
	EDU_DEFECT_COUNT
};

bool edu_defect(enum edu_defect defect);

#endif
