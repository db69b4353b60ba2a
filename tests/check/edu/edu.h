/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FERRY_TESTS_CHECK_EDU_EDU_H
#define FERRY_TESTS_CHECK_EDU_EDU_H

#include "models/models.h"

/*
 * A device with the registers of QEMU's edu that migrates as a variant driver of the
 * kernel has it migrate: its drivers are tested without a virtual machine. It is fast:
 * a transfer takes some slices of work. Unlike the real one a reset clears it.
 *
 * Options:
 *   slices=N   of a transfer; default 40
 *   fault=X    drops (a transfer that is under way at the end of RUNNING), forgets (does
 *              not carry the buffer), quiet (no interrupt), stale (carries the first
 *              register as it was at the reset)
 */
extern const struct ferry_model edu_model;

#endif
